/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/fake_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct fake_cluster {
	struct cluster cluster;
	struct fake   *f;	/* kept */
	struct pool   *pool;	/* kept */
};
struct allocate {
	struct op	    op;
	struct fake_cluster *c;
	struct requirements req;
	struct labels	    labels;
	char		   *id;		/* of an alloc that is looked up; owned */
	struct op	   *child;
	struct timer	    again;
	bool		    over;
	struct alloc	   *alloc;
	struct err	   *err;
	cluster_waiting_cb *told;
	pool_alloc_cb	   *cb;
	void		   *arg;
};

static struct fake_cluster *
fake_of(struct cluster *c)
{
	return container_of(c, struct fake_cluster, cluster);
}

static void
over(struct allocate *a, struct alloc *alloc, struct err *err)
{
	a->over = true;
	a->alloc = alloc;
	a->err = err;
	op_wake(&a->op);
}

static void start(struct allocate *);

static void
again_cb(void *arg)
{
	start(arg);
}

static void
wait_and_try_again(struct allocate *a)
{
	timer_set(&a->again, SECONDS(1));
	if (a->told)
		a->told("waiting", a->arg);
}

static void
accept_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct allocate *a = arg;

	a->child = NULL;
	if (err_is(err, ERR_NOT_EXIST) && !a->id) {
		err_free(err);
		wait_and_try_again(a);
	} else {
		over(a, alloc, err);
	}
}

static void
offers_cb(struct offers *offers, struct err *err, void *arg)
{
	struct allocate *a = arg;
	struct alloc_meta meta = { .owner = NULL };

	a->child = NULL;
	if (err) {
		over(a, NULL, err);
		return;
	}
	for (size_t i = 0; i < offers->n && !a->child; i++) {
		if (!resources_available(&offers->v[i].available, &a->req.min))
			continue;
		resources_copy(&meta.want, &offers->v[i].available);
		meta.owner = xstrdup("<test>");
		labels_copy(&meta.labels, &a->labels);
		a->child = pool_accept(a->c->pool, offers->v[i].id, &meta, accept_cb, a);
	}
	alloc_meta_release(&meta);
	offers_release(offers);
	if (!a->child)
		wait_and_try_again(a);
}

static void
start(struct allocate *a)
{
	a->child = pool_offers(a->c->pool, offers_cb, a);
}

static void
allowed(struct err *err, void *data)
{
	struct allocate *a = data;

	a->child = NULL;
	if (err) {
		over(a, NULL, err);
	} else if (a->id) {
		a->child = pool_alloc(a->c->pool, a->id, accept_cb, a);
	} else if (!pool_could_ever(a->c->pool, &a->req.min)) {
		over(a, NULL, err_new(ERR_RESOURCES_EXHAUSTED, "allocate", NULL));
	} else {
		start(a);
	}
}

static void
allocate_advance(struct op *op)
{
	struct allocate *a = op_owner(op, struct allocate, op);
	struct alloc *alloc = a->alloc;
	struct err *err = a->err;
	pool_alloc_cb *cb = a->cb;
	void *arg = a->arg;

	if (!a->over)
		return;
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
	free(a->id);
	free(a);
}

static const struct op_type allocate_type = { "fake-cluster-allocate", allocate_advance, allocate_release };

static void
nothing(void *data unused_arg)
{
}

static struct allocate *
allocate_new(struct cluster *c, const char *call, const char *id, pool_alloc_cb *cb, void *arg)
{
	struct allocate *a = xcalloc(1, sizeof *a);

	a->c = fake_of(c);
	a->id = id ? xstrdup(id) : NULL;
	a->cb = cb;
	a->arg = arg;
	timer_init(&a->again, c->loop, "fake_again", again_cb, a);
	op_init(&a->op, c->loop, &allocate_type);
	a->child = fake_call(a->c->f, call, allowed, nothing, a);
	return a;
}

static struct op *
fake_allocate(struct cluster *c, const struct requirements *req, const struct labels *labels, cluster_waiting_cb *told,
    pool_alloc_cb *cb, void *arg)
{
	struct allocate *a = allocate_new(c, "cluster-allocate", NULL, cb, arg);

	requirements_copy(&a->req, req);
	if (labels)
		labels_copy(&a->labels, labels);
	a->told = told;
	return &a->op;
}

static struct op *
fake_alloc(
    struct cluster *c, const char *uri, const struct alloc_inspect *inspect unused_arg, pool_alloc_cb *cb, void *arg)
{
	const char *slash = strchr(uri, '/');

	return &allocate_new(c, "cluster-alloc", slash ? slash + 1 : uri, cb, arg)->op;
}

static struct pool *
fake_pool(struct cluster *c)
{
	return fake_of(c)->pool;
}

static const char *
fake_name(struct cluster *c unused_arg)
{
	return "fake";
}

static void
fake_free(struct cluster *c)
{
	free(fake_of(c));
}

static const struct cluster_ops fake_cluster_ops = { fake_allocate, fake_alloc, fake_pool, fake_name, fake_free };

struct cluster *
fake_cluster_new(struct fake *f, struct pool *pool)
{
	struct fake_cluster *c = xcalloc(1, sizeof *c);

	c->cluster = (struct cluster){ &fake_cluster_ops, f->loop };
	c->f = f;
	c->pool = pool;
	return &c->cluster;
}
