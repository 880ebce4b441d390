/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster_local.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/xalloc.h"
#include "iface/later.h"
#include "loop/loop.h"
#include "pool/alloc_req.h"
#include "pool/pool_local.h"

/*
 * Allocation on one host. Whoever waits is woken when an alloc is freed or let lapse, and by a timer
 * when the next lease runs out: expiry is lazy, so nobody else would say so.
 */

#define NAME "local"

struct cluster_local {
	struct cluster cluster;
	struct pool   *pool;	/* kept */
	TAILQ_HEAD(, allocate) waiting;	/* all allocations under way */
};

struct allocate {
	struct op op;
	enum {
		AL_TRY,		/* ask the pool */
		AL_TRYING,	/* waits for allocate_req_cb */
		AL_WAIT,	/* told why; waits for room, or for the next lease to lapse */
		AL_DONE,	/* alloc or err is set: tell the owner */
	} state;
	TAILQ_ENTRY(allocate) entry;
	struct cluster_local *c;	/* kept */
	struct requirements   req;
	struct labels	      labels;
	struct op	     *child;	/* owned: the request under way, or NULL */
	struct timer	      lease_lapses;
	bool		      room;	/* somebody made room since the request began */
	struct alloc	     *alloc;	/* result, ours until cb takes it */
	struct err	     *err;	/* result, ours until cb takes it */
	cluster_waiting_cb   *told;
	pool_alloc_cb	     *cb;
	void		     *arg;
};

static struct cluster_local *
local_of(struct cluster *c)
{
	return container_of(c, struct cluster_local, cluster);
}

/* ---- texts ---- */

static void
add_amount(struct buf *out, const char *label, double v)
{
	if (strcmp(label, "mem") == 0 || strcmp(label, "disk") == 0)
		buf_add_size(out, v);
	else
		buf_addf(out, "%.6g", v);
}

typedef void label_fn(const char *label, double amount, void *arg);

static void
each_label(const struct resources *r, label_fn *fn, void *arg)
{
	if (r->cpu > 0)
		fn("cpu", r->cpu, arg);
	if (r->mem > 0)
		fn("mem", r->mem, arg);
	if (r->disk > 0)
		fn("disk", r->disk, arg);
	for (unsigned i = 0; i < r->nfeatures; i++)
		if (r->features[i].amount > 0)
			fn(r->features[i].label, r->features[i].amount, arg);
}

static void
need_fn(const char *label, double amount, void *arg)
{
	struct buf *out = arg;

	if (out->len)
		buf_addch(out, ' ');
	buf_addf(out, "%s:", label);
	add_amount(out, label, amount);
}

struct lack {			/* which labels fall short, and what there is of them */
	const struct resources *have;
	struct buf	       *out;
};

static void
lack_fn(const char *label, double amount, void *arg)
{
	struct lack *l = arg;
	double have = resources_get(l->have, label);

	if (have >= amount)
		return;
	if (l->out->len)
		buf_addstr(l->out, ", ");
	add_amount(l->out, label, have > 0 ? have : 0);
	buf_addf(l->out, " %s", label);
}

/* `cpu:4 mem:8.0GiB` and `2 cpu`: the need, and what falls short of it. */
static void
describe(const struct resources *need, const struct resources *have, struct buf *needs, struct buf *lacks)
{
	each_label(need, need_fn, needs);
	each_label(need, lack_fn, &(struct lack){ have, lacks });
}

static struct err *
exhausted(struct cluster_local *c, const struct resources *min)
{
	struct buf needs = BUF_INIT, lacks = BUF_INIT;
	struct err *err;

	describe(min, pool_local_total(c->pool), &needs, &lacks);
	err = err_new(ERR_RESOURCES_EXHAUSTED, "allocate", "%s", buf_str(&needs));
	err->msg = xasprintf("this host has only %s: ask for less, or use a cluster", buf_str(&lacks));
	buf_release(&needs);
	buf_release(&lacks);
	return err;
}

static void
tell_waiting(struct allocate *a)
{
	struct buf needs = BUF_INIT, lacks = BUF_INIT;
	struct resources have = RESOURCES_INIT;
	char *text;

	if (!a->told)
		return;
	pool_local_available(a->c->pool, &have);
	describe(&a->req.min, &have, &needs, &lacks);
	text =
	    xasprintf("waiting for %s: %s free on %s", buf_str(&needs), lacks.len ? buf_str(&lacks) : "nothing", NAME);
	a->told(text, a->arg);
	free(text);
	resources_release(&have);
	buf_release(&needs);
	buf_release(&lacks);
}

/* ---- allocate ---- */

static void
allocate_req_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct allocate *a = arg;

	a->child = NULL;
	if (err_is(err, ERR_UNAVAILABLE)) {
		err_free(err);
		a->state = a->room ? AL_TRY : AL_WAIT;
	} else {
		a->alloc = alloc;
		a->err = err;
		a->state = AL_DONE;
	}
	op_wake(&a->op);
}

static void
allocate_lapse_cb(void *arg)
{
	struct allocate *a = arg;

	if (a->state == AL_WAIT)
		a->state = AL_TRY;
	op_wake(&a->op);
}

static void
room_cb(void *arg)
{
	struct cluster_local *c = arg;
	struct allocate *a;

	TAILQ_FOREACH(a, &c->waiting, entry) {
		a->room = true;
		if (a->state == AL_WAIT)
			a->state = AL_TRY;
		op_wake(&a->op);
	}
}

/* Sets the timer before it tells: the owner's callback may cancel us. */
static void
allocate_wait(struct allocate *a)
{
	int64_t next = pool_local_next_expiry(a->c->pool);

	if (timer_is_set(&a->lease_lapses))
		return;		/* a spurious wake: told already */
	timer_set(&a->lease_lapses, next ? next - loop_now(a->op.loop) : SECONDS(1));
	tell_waiting(a);
}

static void
allocate_finish(struct allocate *a)
{
	pool_alloc_cb *cb = a->cb;
	void *arg = a->arg;
	struct alloc *alloc = a->alloc;
	struct err *err = a->err;

	a->alloc = NULL;
	a->err = NULL;
	op_release(&a->op);
	cb(alloc, err, arg);
}

static void
allocate_advance(struct op *op)
{
	struct allocate *a = op_owner(op, struct allocate, op);

	switch (a->state) {
	case AL_TRY:
		timer_clear(&a->lease_lapses);
		a->state = AL_TRYING;
		a->room = false;
		a->child = alloc_req_start(a->c->pool, &a->req, &a->labels, true, allocate_req_cb, a);
		return;
	case AL_TRYING:
		return;
	case AL_WAIT:
		allocate_wait(a);
		return;
	case AL_DONE:
		allocate_finish(a);
		return;
	}
}

static void
allocate_release(struct op *op)
{
	struct allocate *a = op_owner(op, struct allocate, op);

	TAILQ_REMOVE(&a->c->waiting, a, entry);
	timer_clear(&a->lease_lapses);
	op_cancel(&a->child);
	requirements_release(&a->req);
	labels_release(&a->labels);
	alloc_drop(a->alloc);
	err_free(a->err);
	free(a);
}

static const struct op_type allocate_type = { "cluster-local-allocate", allocate_advance, allocate_release };

static struct op *
local_allocate(struct cluster *cluster, const struct requirements *req, const struct labels *labels,
    cluster_waiting_cb *told, pool_alloc_cb *cb, void *arg)
{
	struct cluster_local *c = local_of(cluster);
	struct allocate *a = xcalloc(1, sizeof *a);

	a->c = c;
	requirements_copy(&a->req, req);
	if (labels)
		labels_copy(&a->labels, labels);
	a->told = told;
	a->cb = cb;
	a->arg = arg;
	timer_init(&a->lease_lapses, cluster->loop, "lease_lapses", allocate_lapse_cb, a);
	op_init(&a->op, cluster->loop, &allocate_type);
	TAILQ_INSERT_TAIL(&c->waiting, a, entry);
	if (!pool_could_ever(c->pool, &req->min)) {
		a->err = exhausted(c, &req->min);
		a->state = AL_DONE;
	}
	op_wake(&a->op);
	return &a->op;
}

/* ---- an alloc by name ---- */

struct restored {
	struct alloc  *alloc;	/* owned until run */
	struct err    *err;	/* likewise */
	pool_alloc_cb *cb;
	void	      *arg;
};

static void
restored_run(void *data)
{
	struct restored r = *(struct restored *)data;

	free(data);
	r.cb(r.alloc, r.err, r.arg);
}

static void
restored_drop(void *data)
{
	struct restored *r = data;

	alloc_drop(r->alloc);
	err_free(r->err);
	free(r);
}

static struct op *
answer(struct cluster *c, struct alloc *alloc, struct err *err, pool_alloc_cb *cb, void *arg)
{
	struct restored *r = xmalloc(sizeof *r);

	*r = (struct restored){ alloc, err, cb, arg };
	return later_start(c->loop, "cluster-local-alloc", restored_run, restored_drop, r);
}

static struct op *
local_alloc(struct cluster *cluster, const char *uri, const struct alloc_inspect *inspect, pool_alloc_cb *cb, void *arg)
{
	struct cluster_local *c = local_of(cluster);
	const char *slash = strchr(uri, '/'), *id = pool_id(c->pool);
	struct alloc *alloc = NULL;
	struct err *err;

	if (!slash) {
		err = err_new(ERR_INVALID, "alloc", "%s", uri);
		err->msg = xstrdup("not POOL/ID");
		return answer(cluster, NULL, err, cb, arg);
	}
	if (strlen(id) != (size_t)(slash - uri) || strncmp(uri, id, (size_t)(slash - uri)) != 0) {
		err = err_new(ERR_NOT_EXIST, "alloc", "%s", uri);
		err->msg = xasprintf("no such pool on cluster %s", NAME);
		return answer(cluster, NULL, err, cb, arg);
	}
	if (!inspect)
		return pool_alloc(c->pool, slash + 1, cb, arg);
	err = pool_local_restore(c->pool, inspect, &alloc);
	return answer(cluster, alloc, err, cb, arg);
}

/* ---- the cluster ---- */

static struct pool *
local_pool(struct cluster *c)
{
	return local_of(c)->pool;
}

static const char *
local_name(struct cluster *c unused_arg)
{
	return NAME;
}

static void
local_free(struct cluster *cluster)
{
	struct cluster_local *c = local_of(cluster);

	assert(TAILQ_EMPTY(&c->waiting));
	pool_local_on_room(c->pool, NULL, NULL);
	free(c);
}

static const struct cluster_ops cluster_local_ops = {
	.allocate = local_allocate,
	.alloc = local_alloc,
	.pool = local_pool,
	.name = local_name,
	.free = local_free,
};

struct cluster *
cluster_local_new(struct loop *loop, struct pool *pool)
{
	struct cluster_local *c = xcalloc(1, sizeof *c);

	c->cluster = (struct cluster){ &cluster_local_ops, loop };
	c->pool = pool;
	TAILQ_INIT(&c->waiting);
	pool_local_on_room(pool, room_cb, c);
	return &c->cluster;
}
