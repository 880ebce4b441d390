/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "iface/later.h"
#include "pool/alloc_req.h"
#include "sim/remote.h"

/*
 * A cluster of several hosts: their pools behind one, whose offers are those of all that answer, and allocation over it,
 * for as long as it takes. A host that does not answer has no offers.
 */
#define LOOK_AGAIN SECONDS(5)	/* when nobody had room */

struct sim_cluster {
	struct cluster cluster;
	struct pool    mux;
	struct ctl    *ctl;
	TAILQ_HEAD(, remote) remotes;
};

static struct sim_cluster *
cluster_of(struct cluster *c)
{
	return container_of(c, struct sim_cluster, cluster);
}

static struct sim_cluster *
mux_of(struct pool *p)
{
	return container_of(p, struct sim_cluster, mux);
}

static struct remote *
remote_named(struct sim_cluster *c, const char *uri, const char **id)
{
	struct remote *r;

	TAILQ_FOREACH(r, &c->remotes, link) {
		size_t n = strlen(r->host->name);

		if (strncmp(uri, r->host->name, n) == 0 && uri[n] == '/') {
			*id = uri + n + 1;
			return r;
		}
	}
	return NULL;
}

/* ---- all offers ---- */

struct gather {
	struct op     op;
	struct op    *child[NET_NODES];
	struct gather_one { struct gather *g; unsigned i; } one[NET_NODES];
	unsigned      n, left;
	struct offers offers;
	pool_offers_cb *cb;
	void	     *arg;
};

static void
gather_cb(struct offers *offers, struct err *err, void *arg)
{
	struct gather_one *one = arg;
	struct gather *g = one->g;

	g->child[one->i] = NULL;
	for (size_t i = 0; !err && i < offers->n; i++) {
		g->offers.v = xreallocarray(g->offers.v, g->offers.n + 1, sizeof *g->offers.v);
		g->offers.v[g->offers.n++] = offers->v[i];
	}
	if (!err)
		free(offers->v);
	err_free(err);
	g->left--;
	op_wake(&g->op);
}

static void
gather_advance(struct op *op)
{
	struct gather *g = op_owner(op, struct gather, op);
	struct offers offers = g->offers;
	pool_offers_cb *cb = g->cb;
	void *arg = g->arg;

	if (g->left > 0)
		return;
	g->offers = (struct offers){ NULL, 0 };
	op_release(op);
	cb(&offers, NULL, arg);
}

static void
gather_release(struct op *op)
{
	struct gather *g = op_owner(op, struct gather, op);

	for (unsigned i = 0; i < g->n; i++)
		op_cancel(&g->child[i]);
	offers_release(&g->offers);
	free(g);
}

static const struct op_type gather_type = { "sim_cluster_offers", gather_advance, gather_release };

static struct op *
mux_offers(struct pool *p, pool_offers_cb *cb, void *arg)
{
	struct gather *g = xcalloc(1, sizeof *g);
	struct remote *r;

	op_init(&g->op, p->loop, &gather_type);
	g->cb = cb;
	g->arg = arg;
	TAILQ_FOREACH(r, &mux_of(p)->remotes, link) {
		g->one[g->n] = (struct gather_one){ g, g->n };
		g->child[g->n] = pool_offers(&r->pool, gather_cb, &g->one[g->n]);
		g->n++;
	}
	g->left = g->n;
	op_wake(&g->op);
	return &g->op;
}

static bool
mux_could_ever(struct pool *p, const struct resources *want)
{
	struct remote *r;

	TAILQ_FOREACH(r, &mux_of(p)->remotes, link)
		if (pool_could_ever(&r->pool, want))
			return true;
	return false;
}

static const char *
mux_id(struct pool *p unused_arg)
{
	return "";
}

/* Offers name their own pool, and allocs too: nobody accepts or looks up here. */
static const struct pool_ops mux_ops = { .offers = mux_offers, .could_ever = mux_could_ever, .id = mux_id };

/* ---- allocating ---- */

struct allocate {
	struct op    op;
	struct sim_cluster *c;
	struct requirements req;
	struct labels labels;
	struct op   *child;
	struct timer again;
	bool	     over;
	struct alloc *alloc;
	struct err  *err;
	cluster_waiting_cb *told;
	pool_alloc_cb *cb;
	void	    *arg;
};

static void
allocate_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct allocate *a = arg;

	a->child = NULL;
	if (err && err_restartable(err)) {
		err_free(err);
		timer_set(&a->again, LOOK_AGAIN);
		if (a->told)
			a->told("waiting for a host with room", a->arg);
		return;
	}
	a->alloc = alloc;
	a->err = err;
	a->over = true;
	op_wake(&a->op);
}

static void
allocate_again(void *arg)
{
	struct allocate *a = arg;

	op_wake(&a->op);
}

static void
allocate_advance(struct op *op)
{
	struct allocate *a = op_owner(op, struct allocate, op);
	struct alloc *alloc = a->alloc;
	struct err *err = a->err;
	pool_alloc_cb *cb = a->cb;
	void *arg = a->arg;

	if (a->child || timer_is_set(&a->again))
		return;
	if (!a->over) {
		a->child = alloc_req_start(&a->c->mux, &a->req, &a->labels, true, allocate_cb, a);
		return;
	}
	a->alloc = NULL;
	a->err = NULL;
	op_release(op);
	cb(alloc, err, arg);
}

static void
allocate_release(struct op *op)
{
	struct allocate *a = op_owner(op, struct allocate, op);

	op_cancel(&a->child);
	timer_clear(&a->again);
	requirements_release(&a->req);
	labels_release(&a->labels);
	alloc_drop(a->alloc);
	err_free(a->err);
	free(a);
}

static const struct op_type allocate_type = { "sim_cluster_allocate", allocate_advance, allocate_release };

static struct op *
cluster_allocate_op(struct cluster *cluster, const struct requirements *req, const struct labels *labels,
    cluster_waiting_cb *told, pool_alloc_cb *cb, void *arg)
{
	struct allocate *a = xcalloc(1, sizeof *a);

	op_init(&a->op, cluster->loop, &allocate_type);
	a->c = cluster_of(cluster);
	requirements_copy(&a->req, req);
	if (labels)
		labels_copy(&a->labels, labels);
	timer_init(&a->again, cluster->loop, "look_again", allocate_again, a);
	a->told = told;
	a->cb = cb;
	a->arg = arg;
	if (!pool_could_ever(&a->c->mux, &req->min)) {
		a->err = err_msg(ERR_RESOURCES_EXHAUSTED, "no host has so much");
		a->over = true;
	}
	op_wake(&a->op);
	return &a->op;
}

struct unknown {
	pool_alloc_cb *cb;
	void *arg;
};

static void
unknown_run(void *data)
{
	struct unknown u = *(struct unknown *)data;

	free(data);
	u.cb(NULL, err_msg(ERR_NOT_EXIST, "there is no such host"), u.arg);
}

/* The inspection that a snapshot holds makes nothing alive again here. */
static struct op *
cluster_alloc_op(struct cluster *cluster, const char *uri, const struct alloc_inspect *inspect unused_arg, pool_alloc_cb *cb,
    void *arg)
{
	struct unknown *u;
	const char *id;
	struct remote *r = remote_named(cluster_of(cluster), uri, &id);

	if (r)
		return pool_alloc(&r->pool, id, cb, arg);
	u = xmalloc(sizeof *u);
	*u = (struct unknown){ cb, arg };
	return later_start(cluster->loop, "sim_cluster_alloc", unknown_run, free, u);
}

static struct pool *
cluster_pool_op(struct cluster *c)
{
	return &cluster_of(c)->mux;
}

static const char *
cluster_name_op(struct cluster *c unused_arg)
{
	return "sim";
}

static void
cluster_free_op(struct cluster *cluster)
{
	struct sim_cluster *c = cluster_of(cluster);
	struct remote *r;

	while ((r = TAILQ_FIRST(&c->remotes))) {
		TAILQ_REMOVE(&c->remotes, r, link);
		pool_free(&r->pool);
	}
	free(c);
}

static const struct cluster_ops cluster_ops = { cluster_allocate_op, cluster_alloc_op, cluster_pool_op, cluster_name_op,
	cluster_free_op };

struct cluster *
sim_cluster_new(struct ctl *ctl, struct repo *shared)
{
	struct sim_cluster *c = xcalloc(1, sizeof *c);
	struct host *h;

	c->cluster = (struct cluster){ &cluster_ops, ctl->proc.loop };
	c->mux = (struct pool){ &mux_ops, ctl->proc.loop };
	c->ctl = ctl;
	TAILQ_INIT(&c->remotes);
	TAILQ_FOREACH(h, &ctl->proc.world->hosts, link) {
		struct pool *p = remote_pool_new(&ctl->proc, ctl, h, shared);

		TAILQ_INSERT_TAIL(&c->remotes, container_of(p, struct remote, pool), link);
	}
	return &c->cluster;
}

void
sim_cluster_gone(struct cluster *cluster)
{
	struct remote *r;

	TAILQ_FOREACH(r, &cluster_of(cluster)->remotes, link)
		session_gone(r->session);
}
