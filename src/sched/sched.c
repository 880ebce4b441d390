/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/sched.h"

#include <assert.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "sched/sched_priv.h"

/*
 * The scheduler itself is only the root of what the other modules keep: workers and holds (hold.c,
 * worker.c), admission (admit.c), execs in flight (flight.c) and their tasks (task.c).
 */

struct sched *
sched_new(struct loop *loop, struct cluster *cluster)
{
	struct sched *s = xcalloc(1, sizeof *s);

	s->loop = loop;
	s->cluster = cluster;
	TAILQ_INIT(&s->workers);
	TAILQ_INIT(&s->wants);
	TAILQ_INIT(&s->ends);
	return s;
}

void
sched_free(struct sched *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->ends))
		hold_end_cancel(TAILQ_FIRST(&s->ends));
	assert(TAILQ_EMPTY(&s->workers) && TAILQ_EMPTY(&s->wants) && s->inflight == NULL && s->stats.runs == 0);
	spare_release(&s->tasks);
	spare_release(&s->flights);
	free(s);
}

struct sched_run *
sched_run_new(struct sched *s, const struct digest *id, struct sched_alloc *hold)
{
	struct sched_run *r = xcalloc(1, sizeof *r);

	r->sched = s;
	r->hold = hold;
	r->worker = hold->worker;
	r->id = *id;
	admit_run_init(&r->admit);
	s->stats.runs++;
	return r;
}

void
sched_run_free(struct sched_run *r)
{
	if (!r)
		return;
	assert(r->ntasks == 0);
	r->sched->stats.runs--;
	resources_release(&r->need);
	free(r);
}

const struct resources *
sched_run_need(const struct sched_run *r)
{
	return &r->need;
}

struct sched_alloc *
sched_run_alloc(struct sched_run *r)
{
	return r->hold;
}

void
sched_stats(const struct sched *s, struct sched_stats *out)
{
	const struct worker *w;
	const struct flight *f;

	*out = s->stats;
	out->allocs = out->queued = out->running = out->joined = 0;
	TAILQ_FOREACH(w, &s->workers, link) {
		out->allocs++;
		out->queued += admit_nwaiting(w->admit);
		out->running += admit_nrunning(w->admit);
		TAILQ_FOREACH(f, &w->flights, link)
			out->joined += f->ntasks > 1 ? f->ntasks - 1 : 0;
	}
}
