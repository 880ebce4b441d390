/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "sched/sched_priv.h"

/*
 * Holds: who needs an alloc gets a count on one that is there, or the cluster is asked. A need that
 * is covered by another one that is being asked for waits for that answer, so that runs which start
 * together do not each wait for an alloc of their own.
 */

#define RELEASE_LIMIT SECONDS(10)

static void
hold_advance(struct op *op)
{
	struct sched_alloc *h = op_owner(op, struct sched_alloc, op);
	sched_lost_cb *lost = h->lost;

	h->lost = NULL;
	if (h->worker->lost && lost)
		lost(err_copy(h->worker->lost), h->arg);
}

static void
hold_release(struct op *op)
{
	struct sched_alloc *h = op_owner(op, struct sched_alloc, op);

	TAILQ_REMOVE(&h->worker->holds, h, link);
	free(h);
}

static const struct op_type hold_type = { "hold", hold_advance, hold_release };

struct sched_alloc *
hold_new(struct worker *w)
{
	struct sched_alloc *h = xcalloc(1, sizeof *h);

	op_init(&h->op, w->sched->loop, &hold_type);
	h->worker = w;
	TAILQ_INSERT_TAIL(&w->holds, h, link);
	return h;
}

void
sched_alloc_watch(struct sched_alloc *h, sched_lost_cb *lost, void *arg)
{
	h->lost = lost;
	h->arg = arg;
	if (lost && h->worker->lost)
		op_wake(&h->op);
}

struct alloc *
sched_alloc_get(struct sched_alloc *h)
{
	return h->worker->alloc;
}

void
sched_alloc_gone(struct sched_alloc *h, struct err *err)
{
	worker_gone(h->worker, err);
}

/* An alloc is wanted: by need, or by name. */
struct alloc_want {
	struct op	 op;
	enum {
		WANT_TRY,	/* look at what is there */
		WANT_FOLLOW,	/* another want that covers ours is asking; woken by its end */
		WANT_ASKING,	/* waits for the cluster */
		WANT_OVER,	/* hold or err is set */
	} state;
	struct sched	*sched;
	struct requirements req;
	struct labels	 labels;
	char		*uri;		/* by name; owned, or NULL */
	struct alloc_inspect inspect;
	bool		 has_inspect;
	struct op	*child;		/* the cluster's, or NULL */
	struct err	*err;
	struct sched_alloc *hold;
	cluster_waiting_cb *waiting;
	sched_alloc_cb	*cb;
	void		*arg;
	TAILQ_ENTRY(alloc_want) link;
};

/* What the others may have waited for has come, or will not come. */
static void
want_wake_others(struct alloc_want *except)
{
	struct alloc_want *w;

	TAILQ_FOREACH(w, &except->sched->wants, link)
		if (w != except && (w->state == WANT_FOLLOW || (w->state == WANT_ASKING && !w->uri)))
			op_wake(&w->op);
}

/* What has come and nobody takes any more goes back at once, rather than with its lease. */
static void
want_release(struct op *op)
{
	struct alloc_want *w = op_owner(op, struct alloc_want, op);

	op_cancel(&w->child);
	TAILQ_REMOVE(&w->sched->wants, w, link);
	want_wake_others(w);
	if (w->hold)
		(void)sched_alloc_release_start(w->hold, 0, NULL, NULL);
	requirements_release(&w->req);
	labels_release(&w->labels);
	if (w->has_inspect)
		alloc_inspect_release(&w->inspect);
	free(w->uri);
	err_free(w->err);
	free(w);
}

static void
want_alloc_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct alloc_want *w = arg;

	w->child = NULL;
	w->state = WANT_OVER;
	if (err)
		w->err = err;
	else
		w->hold = hold_new(worker_new(w->sched, alloc));
	op_wake(&w->op);
}

static void
want_waiting_cb(const char *what, void *arg)
{
	struct alloc_want *w = arg;

	if (w->waiting)
		w->waiting(what, w->arg);
}

static struct worker *
want_existing(const struct alloc_want *w)
{
	return w->uri ? worker_by_uri(w->sched, w->uri) : worker_covering(w->sched, &w->req.min);
}

/* Is somebody asking the cluster for what would do for us, too? */
static bool
want_led(const struct alloc_want *w)
{
	const struct alloc_want *o;

	TAILQ_FOREACH(o, &w->sched->wants, link)
		if (o != w && o->state == WANT_ASKING && !o->uri && !w->uri &&
		    resources_available(&o->req.min, &w->req.min))
			return true;
	return false;
}

static void
want_try(struct alloc_want *w)
{
	struct worker *there = want_existing(w);

	if (there) {
		op_cancel(&w->child);
		w->hold = hold_new(there);
		w->state = WANT_OVER;
		op_wake(&w->op);
	} else if (w->child) {
		return;
	} else if (want_led(w)) {
		w->state = WANT_FOLLOW;
	} else if (w->uri) {
		w->state = WANT_ASKING;
		w->child = cluster_alloc(w->sched->cluster, w->uri, w->has_inspect ? &w->inspect : NULL, want_alloc_cb,
		    w);
	} else {
		w->state = WANT_ASKING;
		w->child = cluster_allocate(w->sched->cluster, &w->req, &w->labels, want_waiting_cb, want_alloc_cb, w);
	}
}

static void
want_finish(struct alloc_want *w)
{
	sched_alloc_cb *cb = w->cb;
	struct sched_alloc *hold = w->hold;
	struct err *err = w->err;
	void *arg = w->arg;

	w->hold = NULL;
	w->err = NULL;
	op_release(&w->op);
	cb(hold, err, arg);
}

static void
want_advance(struct op *op)
{
	struct alloc_want *w = op_owner(op, struct alloc_want, op);

	if (w->state == WANT_OVER)
		want_finish(w);
	else
		want_try(w);
}

static const struct op_type want_type = { "alloc_want", want_advance, want_release };

static struct alloc_want *
want_new(struct sched *s, sched_alloc_cb *cb, void *arg)
{
	struct alloc_want *w = xcalloc(1, sizeof *w);

	op_init(&w->op, s->loop, &want_type);
	w->sched = s;
	w->cb = cb;
	w->arg = arg;
	TAILQ_INSERT_TAIL(&s->wants, w, link);
	op_wake(&w->op);
	return w;
}

struct op *
sched_allocate_start(struct sched *s, const struct requirements *req, const struct labels *labels,
    cluster_waiting_cb *waiting, sched_alloc_cb *cb, void *arg)
{
	struct alloc_want *w = want_new(s, cb, arg);

	requirements_copy(&w->req, req);
	if (labels)
		labels_copy(&w->labels, labels);
	w->waiting = waiting;
	return &w->op;
}

struct op *
sched_lookup_start(struct sched *s, const char *uri, const struct alloc_inspect *inspect, sched_alloc_cb *cb, void *arg)
{
	struct alloc_want *w = want_new(s, cb, arg);

	w->uri = xstrdup(uri);
	if (inspect)
		alloc_inspect_copy(&w->inspect, inspect);
	w->has_inspect = inspect != NULL;
	return &w->op;
}

/* The end of a hold. The last one tells the pool how long the alloc shall live on. */
struct hold_end {
	struct op	op;
	enum {
		END_TELL,	/* the pool, if this was the last hold of a worker that is well */
		END_TELLING,	/* waits for the pool, or for the limit */
		END_OVER,
	} state;
	struct sched   *sched;
	struct worker  *worker;	/* owned when it was the last hold, else NULL */
	struct op      *child;
	struct timer	limit;
	struct err     *err;
	alloc_done_cb  *cb;	/* NULL: in the sched's list */
	void	       *arg;
	TAILQ_ENTRY(hold_end) link;
};

static void
end_release(struct op *op)
{
	struct hold_end *e = op_owner(op, struct hold_end, op);

	if (!e->cb)
		TAILQ_REMOVE(&e->sched->ends, e, link);
	op_cancel(&e->child);
	timer_clear(&e->limit);
	worker_free(e->worker);
	err_free(e->err);
	free(e);
}

static void
end_over(struct hold_end *e, struct err *err)
{
	timer_clear(&e->limit);
	e->err = err;
	e->state = END_OVER;
	op_wake(&e->op);
}

static void
end_keepalive_cb(unused_arg int64_t granted, struct err *err, void *arg)
{
	struct hold_end *e = arg;

	e->child = NULL;
	end_over(e, err);
}

static void
end_limit(void *arg)
{
	struct hold_end *e = arg;

	op_cancel(&e->child);
	end_over(e, err_new(ERR_TIMEOUT, "release", "%s", e->worker->alloc->uri));
}

static void
end_tell(struct hold_end *e)
{
	int64_t now = loop_now(e->op.loop), left;

	if (!e->worker || e->worker->lost) {
		end_over(e, NULL);
		return;
	}
	left = e->worker->retain_until > now ? e->worker->retain_until - now : 0;
	e->state = END_TELLING;
	timer_set(&e->limit, RELEASE_LIMIT);
	e->child = alloc_keepalive(e->worker->alloc, left, end_keepalive_cb, e);
}

static void
end_advance(struct op *op)
{
	struct hold_end *e = op_owner(op, struct hold_end, op);
	alloc_done_cb *cb = e->cb;
	struct err *err;
	void *arg = e->arg;

	switch (e->state) {
	case END_TELL:
		end_tell(e);
		return;
	case END_TELLING:
		return;
	case END_OVER:
		err = e->err;
		e->err = NULL;
		op_release(op);
		if (cb)
			cb(err, arg);
		else
			err_free(err);
		return;
	}
}

static const struct op_type end_type = { "hold_end", end_advance, end_release };

void
hold_end_cancel(struct hold_end *e)
{
	op_release(&e->op);
}

struct op *
sched_alloc_release_start(struct sched_alloc *h, int64_t retain_ns, alloc_done_cb *cb, void *arg)
{
	struct hold_end *e = xcalloc(1, sizeof *e);
	struct worker *w = h->worker;
	int64_t until = loop_now(w->sched->loop) + retain_ns;

	op_init(&e->op, w->sched->loop, &end_type);
	timer_init(&e->limit, w->sched->loop, "hold_end_limit", end_limit, e);
	e->sched = w->sched;
	e->cb = cb;
	e->arg = arg;
	if (!cb)
		TAILQ_INSERT_TAIL(&e->sched->ends, e, link);
	if (until > w->retain_until)
		w->retain_until = until;
	op_release(&h->op);
	if (TAILQ_EMPTY(&w->holds)) {		/* nobody can find it any more */
		TAILQ_REMOVE(&w->sched->workers, w, link);
		op_cancel(&w->lease);
		e->worker = w;
	}
	op_wake(&e->op);
	return &e->op;
}
