/* SPDX-License-Identifier: Apache-2.0 */
#include "run/runner_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/xalloc.h"

/*
 * The phase machine. One `Do` is one operation: it works on the phase that the State names, changes the
 * State once, and ends when the snapshot of that change is durable. What a reader would get wrong: the
 * State in memory is ahead of the journal while D_COMMITTING, and nothing may be done on its strength
 * until the record is on disk; so the alloc goes back after the snapshot, not before it.
 */
#define PATIENCE SECONDS(8)	/* after an interrupt: TERM, KILL five seconds later, and time to tell of it */

enum do_step {
	D_ENTER,	/* first snapshot, or the phase's step */
	D_MAKING,	/* Init, Eval: the program becomes nodes, a part in each turn */
	D_ALLOCATING,	/* Init: waits for sched; runner_hold_cb wakes */
	D_ALLOCATED,	/* Init: has an alloc */
	D_INSPECTING,	/* Init: waits for the alloc's inspection */
	D_LOOKING,	/* Eval: waits for the alloc that the State names */
	D_EVALUATING,	/* Eval: waits for the evaluator */
	D_EVALUATED,	/* Eval: the outcome is in; a result becomes text, a part in each turn */
	D_PAUSING,	/* Retry: waits for its timer */
	D_COMMIT,	/* the State has changed: write it */
	D_COMMITTING,	/* waits until the snapshot is durable */
	D_SETTLE,	/* the State is durable: what is left to do? */
	D_NOTING,	/* interrupted: waits until the note is durable */
	D_RELEASING,	/* waits for the alloc's last keepalive */
	D_FINISH,
};
struct do_op {
	struct op	op;
	enum do_step	step;
	struct runner  *r;
	struct op      *child;
	struct journal_wait *wait;
	struct timer	retry_due;
	struct value   *value;		/* outcome of the evaluation */
	struct err     *err;		/* likewise, or of the child */
	struct err     *fatal;		/* for the callback: the journal is gone */
	bool		pause;		/* there is more to do, in the next turn */
	bool		again;		/* this commit belongs to no transition of this Do */
	runner_do_cb   *cb;
	void	       *arg;
};

static void
to(struct do_op *d, enum do_step step)
{
	static const char *const names[] = { "enter", "making", "allocating", "allocated", "inspecting", "looking", "evaluating",
		"evaluated", "pausing", "commit", "committing", "settle", "noting", "releasing", "finish" };

	op_trace(&d->op, names[d->step], names[step]);
	d->step = step;
}

static struct err *
take_err(struct do_op *d)
{
	struct err *err = d->err;

	d->err = NULL;
	return err;
}

/* Transitions. */

static void
go(struct do_op *d, const char *cause)	/* the State has changed, because of cause */
{
	free(d->r->state.Cause);
	d->r->state.Cause = xstrdup(cause);
	to(d, D_COMMIT);
}

static void
enter_phase(struct do_op *d, enum run_phase phase, struct err *err, const char *cause)	/* takes err */
{
	struct run_state *s = &d->r->state;

	err_free(s->Err);
	s->Err = err;
	s->Phase = phase;
	go(d, cause);
}

static void
end_run(struct do_op *d, struct err *err, const char *cause)	/* takes err */
{
	d->r->state.Completion = loop_wall(d->op.loop);
	enter_phase(d, PHASE_DONE, err, cause);
}

static void
retry_run(struct do_op *d, struct err *err, const char *cause)	/* takes err */
{
	struct run_state *s = &d->r->state;

	s->Stalled = run_knowledge_progress(d->r->known) > 0 ? 0 : s->Stalled + 1;
	enter_phase(d, PHASE_RETRY, err, cause);
}

/*
 * Init: allocate what the flow needs. Where the alloc is elsewhere it may be gone, or out of reach, before it was looked
 * at: that is another try, as in Eval.
 */

static void
fail_init(struct do_op *d, struct err *err, const char *cause)	/* takes err */
{
	if (!err_restartable(err)) {
		end_run(d, err, cause);
		return;
	}
	d->r->state.LastTry = loop_wall(d->op.loop);
	retry_run(d, err, cause);
}

static void
runner_waiting_cb(const char *what, void *arg)
{
	struct do_op *d = arg;

	if (d->r->events.waiting != NULL)
		d->r->events.waiting(d->r, what, d->r->events.arg);
}

static void
runner_hold_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	struct do_op *d = arg;

	d->child = NULL;
	d->err = err;
	if (hold != NULL)
		try_hold(d->r, hold);
	op_wake(&d->op);
}

static void
runner_inspect_cb(struct alloc_inspect *inspect, struct err *err, void *arg)
{
	struct do_op *d = arg;

	d->child = NULL;
	d->err = err;
	if (inspect != NULL)
		try_set_inspect(d->r, inspect);
	op_wake(&d->op);
}

/* False: not yet, or the program failed. */
static bool
make_graph(struct do_op *d)
{
	struct err *err;

	if (!try_graph(d->r, &err)) {
		to(d, D_MAKING);
		d->pause = true;
		op_wake(&d->op);
		return false;
	}
	if (err != NULL)
		end_run(d, err, "the program failed before any exec");
	return err == NULL;
}

static void
step_allocate(struct do_op *d)
{
	struct runner *r = d->r;
	struct requirements req = { 0 };
	struct labels labels = { NULL, 0 };

	if (!make_graph(d))
		return;
	if (r->hold != NULL) {		/* of a Do that was cancelled */
		to(d, D_ALLOCATED);
		return;
	}
	try_requirements(r, &req);
	try_labels(r, &labels);
	to(d, D_ALLOCATING);
	d->child = sched_allocate_start(r->controller->sched, &req, &labels, runner_waiting_cb, runner_hold_cb, d);
	labels_release(&labels);
	requirements_release(&req);
}

static void
step_inspect(struct do_op *d)
{
	struct alloc *alloc = sched_alloc_get(d->r->hold);

	try_set_alloc(d->r, alloc->uri);
	to(d, D_INSPECTING);
	d->child = alloc_inspect_start(alloc, runner_inspect_cb, d);
}

static void
step_allocating(struct do_op *d)
{
	struct err *err = take_err(d);

	if (err != NULL)
		fail_init(d, err_wrap(err, "allocate", NULL), "no alloc to be had");
	else
		to(d, D_ALLOCATED);
}

static void
step_inspected(struct do_op *d)
{
	struct err *err = take_err(d);

	if (err_is(err, ERR_NOT_EXIST)) {	/* it was lost before anybody noticed: another one */
		sched_alloc_gone(d->r->hold, err);
		try_let_go(d->r);
		to(d, D_ENTER);
	} else if (err != NULL) {
		fail_init(d, err_wrap(err, "inspect", d->r->state.AllocID), "the alloc could not be inspected");
	} else {
		enter_phase(d, PHASE_EVAL, NULL, "allocated");
	}
}

/* Eval: one evaluation on the alloc that the State names. */

static void
runner_eval_cb(struct value *value, struct err *err, void *arg)
{
	struct do_op *d = arg;

	try_eval_over(d->r);
	d->value = value;
	d->err = err;
	to(d, D_EVALUATED);
	op_wake(&d->op);
}

static void
step_eval(struct do_op *d)
{
	struct runner *r = d->r;

	if (!make_graph(d))
		return;
	to(d, D_EVALUATING);
	r->eval = try_eval_start(r, runner_eval_cb, d);
}

static void
step_look(struct do_op *d)
{
	struct run_state *s = &d->r->state;

	s->LastTry = loop_wall(d->op.loop);
	if (d->r->hold != NULL) {
		step_eval(d);
	} else if (s->AllocID == NULL) {
		retry_run(d, err_msg(ERR_NOT_EXIST, "a State in phase Eval that names no alloc"), "the alloc is gone");
	} else {
		to(d, D_LOOKING);
		d->child = sched_lookup_start(d->r->controller->sched, s->AllocID, s->AllocInspect, runner_hold_cb, d);
	}
}

static void
step_looked(struct do_op *d)
{
	struct err *err = take_err(d);

	if (err == NULL)
		step_eval(d);
	else
		retry_run(d, err_wrap(err, "alloc", d->r->state.AllocID), "the alloc is gone");
}

/* A lost lease explains whatever trouble followed from it; that the flow itself failed it does not. */
static struct err *
explain(struct runner *r, struct err *err)
{
	struct err *lost = r->lost;

	if (lost == NULL || err == NULL || err_is(err, ERR_EVAL))
		return err;
	r->lost = NULL;
	err_free(err);
	return lost;
}

static void
step_outcome(struct do_op *d)
{
	struct runner *r = d->r;
	struct err *err = explain(r, take_err(d));

	if (err == NULL && !try_result(r, d->value)) {
		d->pause = true;
		op_wake(&d->op);
	} else if (err == NULL) {
		value_unref(d->value);
		d->value = NULL;
		end_run(d, NULL, "evaluated");
	} else if (err_is(err, ERR_EVAL)) {
		end_run(d, err, "the evaluation failed");
	} else if (r->interrupt != NULL) {
		err_free(err);
		try_drop_graph(r);
		to(d, D_SETTLE);
	} else if (err_restartable(err)) {
		retry_run(d, err, "the try failed, and may be made again");
	} else {
		end_run(d, err, "the evaluation failed");
	}
}

/* Retry: some tries without any progress end the run; else wait, longer each time, and begin anew. */

static void
retry_due_cb(void *arg)
{
	struct do_op *d = arg;

	op_wake(&d->op);
}

static void
step_retry(struct do_op *d)
{
	struct run_state *s = &d->r->state;
	int64_t pause = retry_pause(s->Stalled), since = loop_wall(d->op.loop) - s->LastTry;

	if (s->Stalled >= STALLED_TRIES) {
		struct err *err = s->Err == NULL ? err_new(ERR_TOO_MANY_TRIES, "retry", NULL) :
		    err_wrap_kind(s->Err, ERR_TOO_MANY_TRIES, "retry", NULL);

		s->Err = NULL;
		s->NumTries++;
		end_run(d, err, "too many tries without progress");
		return;
	}
	to(d, D_PAUSING);
	timer_set(&d->retry_due, since < pause && since >= 0 ? pause - since : 0);
}

static void
step_retried(struct do_op *d)
{
	d->r->state.NumTries++;
	try_drop_graph(d->r);
	enter_phase(d, PHASE_INIT, NULL, "trying again");
}

/* Records. */

static void
runner_durable_cb(struct err *err, void *arg)
{
	struct do_op *d = arg;

	d->wait = NULL;
	d->fatal = err;
	op_wake(&d->op);
}

static void
wait_durable(struct do_op *d, uint64_t seq, enum do_step step)
{
	to(d, step);
	d->wait = journal_wait_start(d->r->controller->journal, seq, runner_durable_cb, d);
}

static void
step_commit(struct do_op *d)
{
	crash_point("run-before-snapshot");
	wait_durable(d, runner_append_snapshot(d->r), D_COMMITTING);
}

static void
step_committed(struct do_op *d)
{
	struct runner *r = d->r;

	crash_point("run-after-snapshot");
	if (d->fatal == NULL) {
		r->told = r->snapshot;
		if (r->events.transition != NULL)
			r->events.transition(r, r->events.arg);
	}
	to(d, d->again && d->fatal == NULL ? D_ENTER : D_SETTLE);
	d->again = false;
}

/* The alloc goes back. */

static void
runner_released_cb(struct err *err, void *arg)
{
	struct do_op *d = arg;

	d->child = NULL;
	if (err != NULL)
		log_debug("alloc %s: the last keepalive failed", d->r->state.AllocID);
	err_free(err);
	op_wake(&d->op);
}

/* Where a step begins. */
static void
step_enter(struct do_op *d)
{
	struct runner *r = d->r;

	if (r->cause != NULL) {
		if (r->state.Created == 0)
			r->state.Created = loop_wall(d->op.loop);
		d->again = true;
		go(d, r->cause);
		r->cause = NULL;
		return;
	}
	if (r->told != r->snapshot) {	/* a Do was cancelled, or the journal broke: it may be durable, or not yet */
		d->again = true;
		wait_durable(d, r->snapshot, D_COMMITTING);
		return;
	}
	if (r->interrupt != NULL) {
		to(d, D_SETTLE);
		return;
	}
	switch (r->state.Phase) {
	case PHASE_INIT:
		step_allocate(d);
		break;
	case PHASE_EVAL:
		step_look(d);
		break;
	case PHASE_RETRY:
		step_retry(d);
		break;
	case PHASE_DONE:
		to(d, D_SETTLE);
		break;
	}
}

/*
 * An interrupted run has a note of it, unless it was over; an alloc is held for an evaluation to come, or not at all.
 */
static void
step_settle(struct do_op *d)
{
	struct runner *r = d->r;
	bool stopped = r->interrupt != NULL && r->state.Phase != PHASE_DONE;

	if (d->fatal != NULL) {
		to(d, D_FINISH);
	} else if (stopped && !r->noted) {
		wait_durable(d, runner_append_note(r, r->interrupt), D_NOTING);
	} else if (r->hold != NULL && (stopped || r->state.Phase != PHASE_EVAL)) {
		to(d, D_RELEASING);
		d->child = try_release_start(r, runner_released_cb, d);
	} else {
		to(d, D_FINISH);
	}
}

static void
do_finish(struct do_op *d)
{
	runner_do_cb *cb = d->cb;
	void *arg = d->arg;
	struct err *err = d->fatal;
	bool more = d->r->state.Phase != PHASE_DONE;

	d->fatal = NULL;
	if (err == NULL && d->r->interrupt != NULL && more)
		err = err_new(ERR_CANCELED, "run", "%s", d->r->interrupt);
	op_release(&d->op);
	cb(more && err == NULL, err, arg);
}

/* The end of the execs is waited for, and that the alloc goes back; but not for ever, if nobody answers. */
static void
lose_patience(struct do_op *d)
{
	if (d->r->interrupt == NULL || timer_is_set(&d->r->patience))
		return;
	if (d->step == D_EVALUATING) {
		d->r->left = true;
		try_eval_cancel(d->r);
		to(d, D_SETTLE);
	} else if (d->step == D_RELEASING && d->child != NULL) {
		op_cancel(&d->child);
		to(d, D_FINISH);
	}
}

/* Whatever only waits is left at once. */
static void
obey_interrupt(struct do_op *d)
{
	if (d->r->interrupt == NULL)
		return;
	switch (d->step) {
	case D_MAKING:
	case D_ALLOCATING:
	case D_ALLOCATED:
	case D_INSPECTING:
	case D_LOOKING:
	case D_PAUSING:
		op_cancel(&d->child);
		timer_clear(&d->retry_due);
		err_free(take_err(d));
		to(d, D_SETTLE);
		break;
	default:
		break;
	}
}

static bool
still_waiting(const struct do_op *d)
{
	return d->child != NULL || d->wait != NULL || timer_is_set(&d->retry_due) || d->step == D_EVALUATING;
}

static void
do_advance(struct op *op)
{
	struct do_op *d = op_owner(op, struct do_op, op);

	obey_interrupt(d);
	lose_patience(d);
	d->pause = false;
	while (!still_waiting(d) && !d->pause) {
		switch (d->step) {
		case D_ENTER:
			step_enter(d);
			break;
		case D_MAKING:
			if (d->r->state.Phase == PHASE_INIT)
				step_allocate(d);
			else
				step_eval(d);
			break;
		case D_ALLOCATING:
			step_allocating(d);
			break;
		case D_ALLOCATED:
			step_inspect(d);
			break;
		case D_INSPECTING:
			step_inspected(d);
			break;
		case D_LOOKING:
			step_looked(d);
			break;
		case D_EVALUATING:
			return;
		case D_EVALUATED:
			step_outcome(d);
			break;
		case D_PAUSING:
			step_retried(d);
			break;
		case D_COMMIT:
			step_commit(d);
			break;
		case D_COMMITTING:
			step_committed(d);
			break;
		case D_NOTING:
			d->r->noted = d->fatal == NULL;
			to(d, D_SETTLE);
			break;
		case D_SETTLE:
			step_settle(d);
			break;
		case D_RELEASING:
			to(d, D_SETTLE);
			break;
		case D_FINISH:
			do_finish(d);
			return;
		}
	}
}

/* Cancelled, the run keeps what a later Do goes on with: its alloc, and a snapshot on its way to the disk. */
static void
do_release(struct op *op)
{
	struct do_op *d = op_owner(op, struct do_op, op);

	d->r->doing = NULL;
	op_cancel(&d->child);
	journal_wait_cancel(&d->wait);
	timer_clear(&d->retry_due);
	try_eval_cancel(d->r);
	if (d->value != NULL || d->err != NULL)	/* an outcome that nobody acts on: it is evaluated again */
		try_drop_graph(d->r);
	value_unref(d->value);
	err_free(d->err);
	err_free(d->fatal);
	free(d);
}

static const struct op_type do_type = { "runner_do", do_advance, do_release };

struct op *
runner_do_start(struct runner *r, runner_do_cb *cb, void *arg)
{
	struct do_op *d = xcalloc(1, sizeof *d);

	op_init(&d->op, r->controller->loop, &do_type);
	timer_init(&d->retry_due, d->op.loop, "retry_due", retry_due_cb, d);
	d->r = r;
	d->cb = cb;
	d->arg = arg;
	r->doing = d;
	op_wake(&d->op);
	return &d->op;
}

void
runner_interrupt(struct runner *r, const char *why)
{
	if (r->interrupt != NULL)
		return;
	r->interrupt = why;
	timer_set(&r->patience, PATIENCE);
	if (r->eval != NULL)
		eval_kill(r->eval);
	if (r->doing != NULL)
		op_wake(&r->doing->op);
}

void
runner_patience_cb(void *arg)
{
	struct runner *r = arg;

	if (r->doing != NULL)
		op_wake(&r->doing->op);
}
