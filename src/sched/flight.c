/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/sched.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "sched/sched_priv.h"

/*
 * One exec on its way: queued, put, waited for. The in-flight table holds those that others may
 * join. Trouble of the engine is met with a pause and another put, which attaches to what the first
 * one started; a command that fails is a result like any other.
 */

#define FLIGHT_TRIES 5
#define FLIGHT_PAUSE MILLIS(100)	/* doubled each time */

static const char *
state_name(enum flight_state s)
{
	static const char *const names[] = { "queued", "put", "putting", "wait", "waiting", "pausing", "doubt", "asking",
		"over" };

	return names[s];
}

static void
flight_to(struct flight *f, enum flight_state s)
{
	op_trace(&f->op, state_name(f->state), state_name(s));
	f->state = s;
}

/* Nobody new may join; those who wait stay. */
static void
flight_close(struct flight *f)
{
	if (f->joinable)
		HASH_DEL(f->worker->sched->inflight, f);
	f->joinable = false;
}

static void
flight_release(struct op *op)
{
	struct flight *f = op_owner(op, struct flight, op);
	struct worker *w = f->worker;

	assert(f->ntasks == 0);
	op_cancel(&f->child);
	exec_free(f->exec);
	timer_clear(&f->pause);
	flight_close(f);
	admit_remove(w->admit, loop_now(op->loop), &f->item);
	TAILQ_REMOVE(&w->flights, f, link);
	if (!w->lost)
		op_wake(&w->op);
	if (f->has_result)
		exec_result_release(&f->result);
	err_free(f->err);
	spare_give(&w->sched->flights, f);
}

/* Would the same request fail in the same way? */
static bool
worth_another_put(const struct err *err)
{
	switch (err_kind(err)) {
	case ERR_CANCELED:
	case ERR_NOT_EXIST:	/* the alloc may be gone: see flight_doubts */
	case ERR_NOT_ALLOWED:
	case ERR_NOT_SUPPORTED:
	case ERR_INVALID:
	case ERR_FATAL:
	case ERR_PRECONDITION:	/* a later controller has taken the run over */
		return false;
	default:
		return true;
	}
}

/* Takes err: another put, after a pause, or the end. */
static void
flight_again(struct flight *f, struct err *err)
{
	if (++f->failures >= FLIGHT_TRIES) {
		f->err = err;
		flight_to(f, FLIGHT_OVER);
		op_wake(&f->op);
		return;
	}
	err_free(err);
	flight_to(f, FLIGHT_PAUSING);
	timer_set(&f->pause, FLIGHT_PAUSE << (f->failures - 1));
}

/* Takes err. */
static void
flight_trouble(struct flight *f, struct err *err)
{
	exec_free(f->exec);
	f->exec = NULL;
	if (!f->killed && err_is(err, ERR_NOT_EXIST)) {
		f->err = err;
		flight_to(f, FLIGHT_DOUBT);
		op_wake(&f->op);
		return;
	}
	if (f->killed || !worth_another_put(err)) {
		f->err = err;
		flight_to(f, FLIGHT_OVER);
		op_wake(&f->op);
		return;
	}
	flight_again(f, err);
}

static void
flight_paused(void *arg)
{
	struct flight *f = arg;

	flight_to(f, FLIGHT_PUT);
	op_wake(&f->op);
}

static void
flight_state_cb(enum attempt_state state, void *arg)
{
	struct flight *f = arg;
	struct task *t;

	f->reported = state;
	TAILQ_FOREACH(t, &f->tasks, link)
		if (t->config && t->ev.state)
			t->ev.state(state, t->arg);
}

static void
flight_put_cb(struct exec *exec, struct err *err, void *arg)
{
	struct flight *f = arg;

	f->child = NULL;
	if (err) {
		flight_trouble(f, err);
		return;
	}
	f->exec = exec;
	exec->on_state = flight_state_cb;
	exec->on_state_arg = f;
	flight_to(f, FLIGHT_WAIT);
	op_wake(&f->op);
}

/* An alloc that is ended takes its execs along, and the lease may not know of it yet. */
static bool
flight_doubts(const struct flight *f)
{
	return !f->killed && f->result.state == ATTEMPT_LOST && err_is(f->result.err, ERR_CANCELED);
}

static void
flight_wait_cb(struct exec_result *result, struct err *err, void *arg)
{
	struct flight *f = arg;

	f->child = NULL;
	if (err) {
		flight_trouble(f, err);
		return;
	}
	f->result = *result;
	f->has_result = true;
	flight_to(f, flight_doubts(f) ? FLIGHT_DOUBT : FLIGHT_OVER);
	op_wake(&f->op);
}

/* Takes err: why it is not known whether the alloc is there. NULL: it is, and it is the exec that nobody knows of. */
static void
flight_unresolved(struct flight *f, struct err *err)
{
	struct err *was = f->err;

	if (f->has_result)
		exec_result_release(&f->result);
	f->has_result = false;
	f->err = NULL;
	exec_free(f->exec);
	f->exec = NULL;
	flight_again(f, err ? err : err_wrap_kind(was, ERR_UNAVAILABLE, "exec", f->worker->alloc->uri));
	if (err)
		err_free(was);
}

static void
flight_inspect_cb(struct alloc_inspect *inspect, struct err *err, void *arg)
{
	struct flight *f = arg;

	f->child = NULL;
	if (inspect)
		alloc_inspect_release(inspect);
	if (err_is(err, ERR_NOT_EXIST)) {	/* the worker ends this flight with all others */
		worker_gone(f->worker, err);
		return;
	}
	if (err || !f->has_result) {	/* not to be known; or the alloc is there, and has lost the exec */
		flight_unresolved(f, err);
		return;
	}
	flight_to(f, FLIGHT_OVER);
	op_wake(&f->op);
}

/* Each task learns once that it is under way, and gives its configuration. */
static void
flight_tell(struct flight *f)
{
	struct task *t;

	if (!f->owner) {
		f->owner = TAILQ_FIRST(&f->tasks);
		if (!f->owner->config)
			f->owner->config = f->owner->ev.starting(f->put, f->owner->arg);
	}
	TAILQ_FOREACH(t, &f->tasks, link) {
		if (t->config)
			continue;
		t->config = t->ev.starting(true, t->arg);
		if (f->exec && t->ev.state)
			t->ev.state(f->reported, t->arg);
	}
}

static void
flight_put(struct flight *f)
{
	if (worker_lapsed(f->worker)) {		/* it ends this flight with all others */
		worker_gone(f->worker, err_new(ERR_TIMEOUT, "keepalive", "%s", f->worker->alloc->uri));
		return;
	}
	if (!f->put)
		f->worker->sched->stats.started++;
	f->put = true;
	flight_to(f, FLIGHT_PUTTING);
	f->child = executor_put(alloc_executor(f->worker->alloc), f->owner->config, flight_put_cb, f);
}

static void
flight_wait(struct flight *f)
{
	if (f->killed)
		exec_kill(f->exec);
	flight_to(f, FLIGHT_WAITING);
	f->child = exec_wait(f->exec, flight_wait_cb, f);
}

/* Every task gets the result as its own; only the owner's run started the exec. */
static void
flight_finish(struct flight *f)
{
	struct exec_result r;
	struct task *t;

	while ((t = TAILQ_FIRST(&f->tasks)) != NULL) {
		if (f->has_result) {
			exec_result_copy(&r, &f->result);
			r.attached = r.attached || t != f->owner;
		}
		task_over(t, f->has_result ? &r : NULL, err_copy(f->err));
	}
	op_release(&f->op);
}

static void
flight_advance(struct op *op)
{
	struct flight *f = op_owner(op, struct flight, op);

	if (f->state != FLIGHT_QUEUED && f->state != FLIGHT_OVER)
		flight_tell(f);
	switch (f->state) {
	case FLIGHT_PUT:
		flight_put(f);
		return;
	case FLIGHT_WAIT:
		flight_wait(f);
		return;
	case FLIGHT_DOUBT:
		flight_to(f, FLIGHT_ASKING);
		f->child = alloc_inspect_start(f->worker->alloc, flight_inspect_cb, f);
		return;
	case FLIGHT_OVER:
		flight_finish(f);
		return;
	case FLIGHT_QUEUED:
	case FLIGHT_PUTTING:
	case FLIGHT_WAITING:
	case FLIGHT_PAUSING:
	case FLIGHT_ASKING:
		return;
	}
}

/* Of a run on another alloc that shares it, nobody here can be charged. */
static struct admit_run *
account(const struct flight *f)
{
	return f->home->worker == f->worker ? &f->home->admit : &f->worker->guests;
}

static const struct op_type flight_type = { "flight", flight_advance, flight_release };

struct flight *
flight_new(struct sched_run *run, const struct task_want *want)
{
	struct worker *w = run->worker;
	struct flight *f = spare_take(&w->sched->flights, sizeof *f), *other;

	op_init(&f->op, w->sched->loop, &flight_type);
	f->worker = w;
	f->key = want->key;
	TAILQ_INIT(&f->tasks);
	timer_init(&f->pause, w->sched->loop, "exec_put_again", flight_paused, f);
	TAILQ_INSERT_TAIL(&w->flights, f, link);
	HASH_FIND(hh, w->sched->inflight, &f->key, sizeof f->key, other);
	if (want->join && !other) {
		HASH_ADD(hh, w->sched->inflight, key, sizeof f->key, f);
		f->joinable = true;
	}
	f->home = run;
	admit_push(w->admit, loop_now(w->sched->loop), account(f), &f->item, want->resources, want->rank);
	op_wake(&w->op);
	return f;
}

void
flight_admitted(struct flight *f)
{
	flight_to(f, FLIGHT_PUT);
	op_wake(&f->op);
}

void
flight_lost(struct flight *f, const struct err *err)
{
	struct task *t;

	while ((t = TAILQ_FIRST(&f->tasks)) != NULL)
		task_over(t, NULL, err_copy(err));
	f->worker->sched->stats.lost++;
	op_release(&f->op);
}

void
flight_joined(struct flight *f)
{
	if (f->state != FLIGHT_QUEUED)
		op_wake(&f->op);
}

void
flight_left(struct flight *f, const struct task *t, bool kill)
{
	struct worker *w = f->worker;

	if (f->ntasks == 0) {
		if (kill && f->exec)
			exec_kill(f->exec);
		op_release(&f->op);
		return;
	}
	if (f->home == t->run) {	/* which may go before the others do */
		f->home = TAILQ_FIRST(&f->tasks)->run;
		admit_move(w->admit, loop_now(w->sched->loop), account(f), &f->item);
	}
	if (f->owner != t)
		return;
	f->owner = NULL;	/* and its configuration goes with it */
	if (f->state == FLIGHT_PUTTING) {
		op_cancel(&f->child);
		flight_to(f, FLIGHT_PUT);
	}
	op_wake(&f->op);
}

bool
flight_kill(struct flight *f)
{
	switch (f->state) {
	case FLIGHT_QUEUED:
	case FLIGHT_PUT:
	case FLIGHT_PAUSING:
		return false;
	case FLIGHT_PUTTING:
	case FLIGHT_WAIT:
		break;
	case FLIGHT_WAITING:
		exec_kill(f->exec);
		break;
	case FLIGHT_DOUBT:
	case FLIGHT_ASKING:
	case FLIGHT_OVER:
		return true;
	}
	flight_close(f);
	f->killed = true;
	return true;
}
