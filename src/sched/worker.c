/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "pool/keepalive.h"
#include "sched/sched_priv.h"

/*
 * A worker: an alloc, the operation that keeps it alive, and what is admitted to it. When the lease
 * is lost everything that ran here is over with that error, and every hold's watcher hears of it;
 * the worker itself stays until they let go.
 */

static void
worker_lost(struct worker *w)
{
	struct flight *f;
	struct sched_alloc *h;

	while ((f = TAILQ_FIRST(&w->flights)) != NULL)
		flight_lost(f, w->lost);
	TAILQ_FOREACH(h, &w->holds, link)
		op_wake(&h->op);
}

static void
worker_advance(struct op *op)
{
	struct worker *w = op_owner(op, struct worker, op);
	struct admit_item *it;

	if (w->lost) {
		worker_lost(w);
		return;
	}
	while ((it = admit_next(w->admit, loop_now(op->loop))) != NULL)
		flight_admitted(container_of(it, struct flight, item));
}

static void
worker_release(struct op *op)
{
	struct worker *w = op_owner(op, struct worker, op);

	assert(TAILQ_EMPTY(&w->holds) && TAILQ_EMPTY(&w->flights));
	op_cancel(&w->lease);
	alloc_drop(w->alloc);
	admit_free(w->admit);
	err_free(w->lost);
	free(w);
}

static const struct op_type worker_type = { "worker", worker_advance, worker_release };

/* A lost lease may be had anew, whatever the pool said of this one. */
static void
worker_lease_cb(struct err *err, void *arg)
{
	struct worker *w = arg;

	w->lease = NULL;
	w->lost = err_restartable(err) ? err_wrap(err, "lease", w->alloc->uri) :
	    err_wrap_kind(err, ERR_UNAVAILABLE, "lease", w->alloc->uri);
	op_wake(&w->op);
}

void
worker_gone(struct worker *w, struct err *err)
{
	if (w->lost) {
		err_free(err);
		return;
	}
	op_cancel(&w->lease);
	worker_lease_cb(err, w);
}

bool
worker_lapsed(const struct worker *w)
{
	const struct alloc *a = w->alloc;

	return a->lapses && a->granted_until > 0 && loop_now(w->op.loop) > a->granted_until;
}

struct worker *
worker_new(struct sched *s, struct alloc *alloc)
{
	struct worker *w = xcalloc(1, sizeof *w);

	op_init(&w->op, s->loop, &worker_type);
	w->sched = s;
	w->alloc = alloc;
	w->admit = admit_new(&alloc->resources, alloc_executor(alloc)->lookahead, SCHED_FREE_MAX);
	admit_run_init(&w->guests);
	TAILQ_INIT(&w->holds);
	TAILQ_INIT(&w->flights);
	TAILQ_INSERT_TAIL(&s->workers, w, link);
	w->lease = keepalive_start(alloc, worker_lease_cb, w);
	return w;
}

void
worker_free(struct worker *w)
{
	if (w)
		op_release(&w->op);
}

struct worker *
worker_covering(struct sched *s, const struct resources *min)
{
	struct worker *w;

	TAILQ_FOREACH(w, &s->workers, link)
		if (!w->lost && resources_available(&w->alloc->resources, min))
			return w;
	return NULL;
}

struct worker *
worker_by_uri(struct sched *s, const char *uri)
{
	struct worker *w;

	TAILQ_FOREACH(w, &s->workers, link)
		if (!w->lost && strcmp(w->alloc->uri, uri) == 0)
			return w;
	return NULL;
}

bool
worker_shares(const struct worker *a, const struct worker *b)
{
	return a == b || executor_repo(alloc_executor(a->alloc)) == executor_repo(alloc_executor(b->alloc));
}
