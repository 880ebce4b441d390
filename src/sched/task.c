/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/sched.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "sched/sched_priv.h"

/*
 * A task: one run's wish for one exec. It only subscribes to a flight; several tasks of several runs
 * may share one. done is always called from the task's own turn, so that an owner may do in it what
 * it likes with every other task.
 */

static void
task_advance(struct op *op)
{
	struct task *t = op_owner(op, struct task, op);
	struct task_events ev = t->ev;
	struct exec_result result = t->result;
	bool has_result = t->has_result;
	struct err *err = t->err;
	void *arg = t->arg;

	assert(t->flight == NULL);
	t->has_result = false;
	t->err = NULL;
	t->run->sched->stats.done++;
	op_release(op);
	ev.done(has_result ? &result : NULL, err, arg);
}

/* Leaves its flight without a word; the flight decides what becomes of the exec. */
static struct flight *
task_leave(struct task *t)
{
	struct flight *f = t->flight;

	if (!f)
		return NULL;
	TAILQ_REMOVE(&f->tasks, t, link);
	f->ntasks--;
	t->flight = NULL;
	return f;
}

static void
task_release(struct op *op)
{
	struct task *t = op_owner(op, struct task, op);

	struct spare *spares = &t->run->sched->tasks;

	assert(t->flight == NULL);
	t->run->ntasks--;
	if (t->has_result)
		exec_result_release(&t->result);
	err_free(t->err);
	spare_give(spares, t);
}

static const struct op_type task_type = { "task", task_advance, task_release };

void
task_over(struct task *t, struct exec_result *result, struct err *err)
{
	task_leave(t);
	if (result)
		t->result = *result;
	t->has_result = result != NULL;
	t->err = err;
	op_wake(&t->op);
}

/* What was found out on the way, a part of the flow that nobody could see before, may need a larger machine. */
static struct err *
too_much(struct sched_run *run, const struct resources *want)
{
	const struct worker *w = run->worker;
	bool elsewhere = pool_could_ever(cluster_pool(run->sched->cluster), want);
	struct buf has = BUF_INIT, wants = BUF_INIT;
	struct err *err;

	resources_str(&w->alloc->resources, &has);
	resources_str(want, &wants);
	if (elsewhere)
		resources_max(&run->need, want);
	err = err_msg(elsewhere ? ERR_UNAVAILABLE : ERR_RESOURCES_EXHAUSTED,
	    "requested resources %s exceed the total available %s", buf_str(&wants), buf_str(&has));
	buf_release(&has);
	buf_release(&wants);
	return err;
}

static void
task_join(struct task *t, struct flight *f)
{
	t->flight = f;
	TAILQ_INSERT_TAIL(&f->tasks, t, link);
	f->ntasks++;
}

/* An exec in flight that the run may share: its result must lie where the run looks for it. */
static struct flight *
joinable(struct sched_run *run, const struct digest *key)
{
	struct flight *f;

	HASH_FIND(hh, run->sched->inflight, key, sizeof *key, f);
	return f && worker_shares(f->worker, run->worker) ? f : NULL;
}

struct task *
sched_submit(struct sched_run *run, const struct task_want *want, const struct task_events *events, void *arg)
{
	struct task *t = spare_take(&run->sched->tasks, sizeof *t);
	struct flight *f;

	op_init(&t->op, run->sched->loop, &task_type);
	t->run = run;
	t->ev = *events;
	t->arg = arg;
	run->ntasks++;
	run->sched->stats.submitted++;
	if (run->worker->lost) {
		task_over(t, NULL, err_copy(run->worker->lost));
	} else if (!admit_could(run->worker->admit, want->resources)) {
		task_over(t, NULL, too_much(run, want->resources));
	} else if (want->join && (f = joinable(run, &want->key)) != NULL) {
		task_join(t, f);
		flight_joined(f);
	} else {
		task_join(t, flight_new(run, want));
	}
	return t;
}

void
task_cancel(struct task **tp)
{
	struct task *t = tp ? *tp : NULL;
	struct flight *f;

	if (!t)
		return;
	*tp = NULL;
	f = task_leave(t);
	if (f)
		flight_left(f, t, true);
	op_release(&t->op);
}

void
task_detach(struct task **tp)
{
	struct task *t = tp ? *tp : NULL;
	struct flight *f;

	if (!t)
		return;
	*tp = NULL;
	f = task_leave(t);
	if (f)
		flight_left(f, t, false);
	op_release(&t->op);
}

void
task_kill(struct task *t)
{
	struct flight *f = t->flight;

	if (!f)			/* over already: done is on its way */
		return;
	if (f->ntasks == 1 && flight_kill(f))
		return;
	task_over(t, NULL, err_new(ERR_CANCELED, NULL, NULL));
	flight_left(f, t, true);
}
