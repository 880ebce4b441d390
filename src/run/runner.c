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
 * until the record is on disk.
 */
#define STALLED_TRIES	3		/* tries in a row without a new result end the run */
#define RETRY_FIRST	SECONDS(1)	/* doubled with each stalled try */
#define RETRY_MAX	SECONDS(60)
#define MIN_CPU		1.0		/* what a run asks for at least. No disk: a full one is met when it is full */
#define MIN_MEM		(500.0 * 1048576)

struct do_op {
	struct op	op;
	enum {
		D_ENTER,	/* first snapshot, or the phase's step */
		D_ALLOCATING,	/* Init: waits for sched; runner_hold_cb wakes */
		D_INSPECTING,	/* Init: waits for the alloc's inspection */
		D_LOOKING,	/* Eval: waits for the alloc that the State names */
		D_EVALUATING,	/* Eval: waits for the evaluator */
		D_EVALUATED,	/* Eval: the outcome is in: release the alloc */
		D_RELEASING,	/* Eval: waits for the last keepalive */
		D_PAUSING,	/* Retry: waits for its timer */
		D_COMMIT,	/* the State has changed: write it */
		D_COMMITTING,	/* waits until the snapshot is durable */
		D_NOTE,		/* interrupted: write a note, keep the phase */
		D_NOTING,	/* waits until the note is durable */
		D_FINISH,
	} step;
	struct runner  *r;
	struct op      *child;
	struct journal_wait *wait;
	struct timer	retry_due;
	struct value   *value;		/* outcome of the evaluation */
	struct err     *err;		/* likewise, or of the step */
	struct err     *fatal;		/* for the callback: the journal is gone */
	bool		first;		/* this commit is the first snapshot */
	runner_do_cb   *cb;
	void	       *arg;
};

/* The steps. */

static void
set_cause(struct runner *r, const char *cause)
{
	free(r->state.Cause);
	r->state.Cause = xstrdup(cause);
}

static void
go(struct do_op *d, const char *cause)	/* the State has changed, because of cause */
{
	set_cause(d->r, cause);
	d->step = D_COMMIT;
}

static void
end_run(struct do_op *d, struct err *err, const char *cause)	/* takes err */
{
	struct run_state *s = &d->r->state;

	err_free(s->Err);
	s->Err = err;
	s->Phase = PHASE_DONE;
	s->Completion = loop_wall(d->op.loop);
	go(d, cause);
}

static void
retry_run(struct do_op *d, struct err *err, const char *cause)	/* takes err */
{
	struct run_state *s = &d->r->state;

	err_free(s->Err);
	s->Err = err;
	s->Phase = PHASE_RETRY;
	s->Stalled = d->r->results > 0 ? 0 : s->Stalled + 1;
	go(d, cause);
}

/* A graph belongs to one try: continuations run anew, and failed nodes are forgotten. */
static void
drop_graph(struct runner *r)
{
	free(r->failures);
	r->failures = NULL;
	r->nfailures = 0;
	value_unref(r->main);
	r->main = NULL;
	graph_free(r->graph);
	r->graph = NULL;
}

static struct err *
make_graph(struct runner *r)
{
	struct graph_config config = { .universe = r->state.Config.universe != NULL ? r->state.Config.universe : "" };

	if (r->graph != NULL)
		return NULL;
	r->graph = graph_new(&config);
	return program_instantiate(r->program, r->graph, r->state.Dir, r->params, &r->main);
}

static struct flow *
root_flow(struct runner *r)
{
	return value_kind(r->main) == VAL_FLOW ? value_get_flow(r->main) : flow_val(r->graph, value_ref(r->main));
}

/* Labels of the primary alloc: the run's own, and what says whose it is. */
static void
alloc_labels(const struct runner *r, struct labels *out)
{
	const struct run_state *s = &r->state;
	char hex[DIGEST_HEX + 1];

	labels_copy(out, &s->Labels);
	digest_hex(&s->ID, hex);
	labels_set(out, "ID", hex);
	labels_set(out, "program", s->Program);
	for (size_t i = 0; i < s->Params.n; i++) {
		char *name = xasprintf("param[%s]", s->Params.v[i].name);

		labels_set(out, name, s->Params.v[i].value);
		free(name);
	}
	for (size_t i = 0; i < s->nArgs; i++) {
		char *name = xasprintf("arg[%zu]", i);

		labels_set(out, name, s->Args[i]);
		free(name);
	}
}

static void
waiting_cb(const char *what, void *arg)
{
	struct do_op *d = arg;

	if (d->r->events.waiting != NULL)
		d->r->events.waiting(d->r, what, d->r->events.arg);
}

static void
runner_lost_cb(struct err *err, void *arg)
{
	struct runner *r = arg;

	/* The evaluator's tasks get the same news; it is its error that ends the try. */
	err_free(r->lost);
	r->lost = err;
	log_info("alloc %s: its lease is lost", r->state.AllocID);
}

static void
runner_hold_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	struct do_op *d = arg;

	d->child = NULL;
	d->r->hold = hold;
	d->err = err;
	if (hold != NULL)
		sched_alloc_watch(hold, runner_lost_cb, d->r);
	op_wake(&d->op);
}

static void
runner_inspect_cb(struct alloc_inspect *inspect, struct err *err, void *arg)
{
	struct do_op *d = arg;
	struct run_state *s = &d->r->state;

	d->child = NULL;
	d->err = err;
	if (inspect != NULL) {
		s->AllocInspect = xcalloc(1, sizeof *s->AllocInspect);
		*s->AllocInspect = *inspect;
	}
	op_wake(&d->op);
}

/* Allocate: from Init, on what the flow needs. */
static void
step_allocate(struct do_op *d)
{
	struct runner *r = d->r;
	struct requirements req = { 0 };
	struct labels labels = { NULL, 0 };
	struct err *err = make_graph(r);

	if (err != NULL) {
		end_run(d, err, "the program failed before any exec");
		return;
	}
	flow_requirements_of(root_flow(r), &req);
	if (req.min.cpu < MIN_CPU)
		resources_set(&req.min, "cpu", MIN_CPU);
	if (req.min.mem < MIN_MEM)
		resources_set(&req.min, "mem", MIN_MEM);
	alloc_labels(r, &labels);
	d->step = D_ALLOCATING;
	d->child = sched_allocate_start(r->controller->sched, &req, &labels, waiting_cb, runner_hold_cb, d);
	labels_release(&labels);
	resources_release(&req.min);
}

static void
step_allocated(struct do_op *d)
{
	struct runner *r = d->r;

	if (d->err != NULL) {
		struct err *err = d->err;

		d->err = NULL;
		end_run(d, err_wrap(err, "allocate", NULL), "no alloc to be had");
		return;
	}
	free(r->state.AllocID);
	r->state.AllocID = xstrdup(sched_alloc_get(r->hold)->uri);
	if (r->state.AllocInspect != NULL)
		alloc_inspect_release(r->state.AllocInspect);
	free(r->state.AllocInspect);
	r->state.AllocInspect = NULL;
	d->step = D_INSPECTING;
	d->child = alloc_inspect_start(sched_alloc_get(r->hold), runner_inspect_cb, d);
}

static void
step_inspected(struct do_op *d)
{
	struct err *err = d->err;

	d->err = NULL;
	if (err != NULL) {
		end_run(d, err_wrap(err, "inspect", d->r->state.AllocID), "the alloc could not be inspected");
		return;
	}
	d->r->state.Phase = PHASE_EVAL;
	go(d, "allocated");
}

static void
copy_failures(struct runner *r)
{
	struct flow *const *f = eval_failures(r->eval, &r->nfailures);

	free(r->failures);
	r->failures = r->nfailures == 0 ? NULL : xmemdup(f, r->nfailures * sizeof *f);
}

static void
runner_eval_cb(struct value *value, struct err *err, void *arg)
{
	struct do_op *d = arg;
	struct runner *r = d->r;

	r->stats = *eval_stats(r->eval);
	log_debug("evaluator: %llu nodes, %llu edges, %llu visits", (unsigned long long)r->stats.nodes,
	    (unsigned long long)r->stats.edges, (unsigned long long)r->stats.visits);
	copy_failures(r);
	r->eval = NULL;
	d->value = value;
	d->err = err;
	d->step = D_EVALUATED;
	op_wake(&d->op);
}

static void
eval_config_of(const struct runner *r, struct eval_config *c)
{
	const struct run_config *rc = &r->state.Config;

	memset(c, 0, sizeof *c);
	c->cache = rc->cache;
	c->bottomup = rc->bottomup;
	c->no_cache_extern = rc->no_cache_extern;
	c->recompute_empty = rc->recompute_empty;
	c->fail_fast = rc->fail_fast;
	c->invalidate = rc->invalidate;
	c->lookup_timeout = rc->lookup_timeout;
	c->claim.run = r->state.ID;
	c->claim.epoch = r->epoch;
	c->claim.try_ = state_try(&r->state);
	c->claim.join = (rc->cache & CACHE_READ) != 0;
	c->claim.retain_ns = (uint64_t)rc->retain;
}

/* Eval: one evaluation on the alloc. */
static void
step_eval(struct do_op *d)
{
	struct runner *r = d->r;
	struct eval_args a = { 0 };
	struct err *err = make_graph(r);

	if (err != NULL) {
		d->err = err;
		d->step = D_EVALUATED;
		return;
	}
	r->state.LastTry = loop_wall(d->op.loop);
	r->results = 0;
	r->srun = sched_run_new(r->controller->sched, &r->state.ID, r->hold);
	a.graph = r->graph;
	a.root = root_flow(r);
	eval_config_of(r, &a.config);
	a.run = r->srun;
	a.assoc = r->state.Config.cache == CACHE_OFF ? NULL : r->controller->assoc;
	a.host = runner_host(r);
	d->step = D_EVALUATING;
	r->has_stats = true;
	r->eval = eval_start(d->op.loop, &a, runner_eval_cb, d);
}

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

/* The alloc goes back: kept for `retain` when the run failed and may be looked at or resumed. */
static void
step_release(struct do_op *d)
{
	struct runner *r = d->r;
	struct sched_alloc *hold = r->hold;
	int64_t retain = d->err != NULL && r->interrupt == NULL ? r->state.Config.retain : 0;

	sched_run_free(r->srun);
	r->srun = NULL;
	r->hold = NULL;
	d->step = D_RELEASING;
	if (hold != NULL) {
		sched_alloc_watch(hold, NULL, NULL);
		d->child = sched_alloc_release_start(hold, retain, runner_released_cb, d);
	} else {
		op_wake(&d->op);
	}
}

static void
take_result(struct runner *r, struct value *value)
{
	struct run_state *s = &r->state;
	struct buf text = BUF_INIT;
	json_t *json = value_json(value);

	value_print(value, program_main_type(r->program), &text);
	s->Result = buf_take(&text, NULL);
	json_dump_buf(json, &text);
	s->ResultJSON = buf_take(&text, NULL);
	json_decref(json);
	type_str(program_main_type(r->program), &text);
	s->ResultType = buf_take(&text, NULL);
	value_unref(value);
}

/* What the evaluation came to. A lost alloc explains whatever error followed from it. */
static void
step_outcome(struct do_op *d)
{
	struct runner *r = d->r;
	struct err *err = d->err;
	struct value *value = d->value;

	d->err = NULL;
	d->value = NULL;
	if (r->lost != NULL && err != NULL) {
		err_free(err);
		err = err_wrap_kind(r->lost, ERR_UNAVAILABLE, "keepalive", r->state.AllocID);
		r->lost = NULL;
	}
	if (r->interrupt != NULL && err != NULL) {
		err_free(err);
		d->step = D_NOTE;
	} else if (err == NULL) {
		take_result(r, value);
		end_run(d, NULL, "evaluated");
	} else if (!err_is(err, ERR_EVAL) && err_restartable(err)) {
		retry_run(d, err, "the try failed, and may be made again");
	} else {
		end_run(d, err, "the evaluation failed");
	}
}

static void
retry_due_cb(void *arg)
{
	struct do_op *d = arg;

	op_wake(&d->op);
}

/* Retry: some tries without any progress end the run; else wait, longer each time, and begin anew. */
static void
step_retry(struct do_op *d)
{
	struct run_state *s = &d->r->state;
	int64_t pause = RETRY_FIRST, since = loop_wall(d->op.loop) - s->LastTry;

	for (uint32_t i = 1; i < s->Stalled && pause < RETRY_MAX; i++)
		pause *= 2;
	d->step = D_PAUSING;
	timer_set(&d->retry_due, since < pause && since >= 0 ? pause - since : 0);
}

static void
step_retried(struct do_op *d)
{
	struct runner *r = d->r;
	struct run_state *s = &r->state;

	s->NumTries++;
	if (s->Stalled >= STALLED_TRIES) {
		struct err *err = err_wrap_kind(s->Err, ERR_TOO_MANY_TRIES, "retry", NULL);

		s->Err = NULL;
		end_run(d, err, "too many tries without progress");
		return;
	}
	err_free(s->Err);
	s->Err = NULL;
	s->Phase = PHASE_INIT;
	drop_graph(r);
	go(d, "trying again");
}

static void
runner_durable_cb(struct err *err, void *arg)
{
	struct do_op *d = arg;

	d->wait = NULL;
	d->fatal = err;
	op_wake(&d->op);
}

static void
step_commit(struct do_op *d)
{
	crash_point("run-before-snapshot");
	d->step = D_COMMITTING;
	d->wait = journal_wait_start(d->r->controller->journal, runner_append_snapshot(d->r), runner_durable_cb, d);
}

static void
step_committed(struct do_op *d)
{
	struct runner *r = d->r;

	crash_point("run-after-snapshot");
	if (d->fatal == NULL && r->events.transition != NULL)
		r->events.transition(r, r->events.arg);
	d->step = d->first && d->fatal == NULL ? D_ENTER : D_FINISH;
	d->first = false;
}

static void
step_note(struct do_op *d)
{
	struct runner *r = d->r;

	d->step = D_NOTING;
	d->wait = journal_wait_start(r->controller->journal, runner_append_note(r, r->interrupt), runner_durable_cb, d);
}

/* Where a step begins. */
static void
step_enter(struct do_op *d)
{
	struct runner *r = d->r;

	if (r->cause != NULL) {
		if (r->state.Created == 0)
			r->state.Created = loop_wall(d->op.loop);
		d->first = true;
		go(d, r->cause);
		r->cause = NULL;
		return;
	}
	if (r->interrupt != NULL) {
		d->step = D_NOTE;
		return;
	}
	switch (r->state.Phase) {
	case PHASE_INIT:
		step_allocate(d);
		break;
	case PHASE_EVAL:
		if (r->hold != NULL) {
			step_eval(d);
			break;
		}
		d->step = D_LOOKING;
		d->child = sched_lookup_start(r->controller->sched, r->state.AllocID, r->state.AllocInspect, runner_hold_cb, d);
		break;
	case PHASE_RETRY:
		step_retry(d);
		break;
	case PHASE_DONE:
		d->step = D_FINISH;
		break;
	}
}

static void
step_looked(struct do_op *d)
{
	struct err *err = d->err;

	d->err = NULL;
	if (err != NULL)
		retry_run(d, err_wrap(err, "alloc", d->r->state.AllocID), "the alloc is gone");
	else
		step_eval(d);
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

static void
do_advance(struct op *op)
{
	struct do_op *d = op_owner(op, struct do_op, op);

	for (;;) {
		if (d->r->interrupt != NULL && (d->step == D_ALLOCATING || d->step == D_LOOKING || d->step == D_PAUSING)) {
			op_cancel(&d->child);
			timer_clear(&d->retry_due);
			d->step = D_NOTE;
		}
		switch (d->step) {
		case D_ENTER:
			step_enter(d);
			break;
		case D_ALLOCATING:
			if (d->child != NULL)
				return;
			step_allocated(d);
			break;
		case D_INSPECTING:
			if (d->child != NULL)
				return;
			step_inspected(d);
			break;
		case D_LOOKING:
			if (d->child != NULL)
				return;
			step_looked(d);
			break;
		case D_EVALUATING:
			return;
		case D_EVALUATED:
			step_release(d);
			return;
		case D_RELEASING:
			if (d->child != NULL)
				return;
			step_outcome(d);
			break;
		case D_PAUSING:
			if (timer_is_set(&d->retry_due))
				return;
			step_retried(d);
			break;
		case D_COMMIT:
			step_commit(d);
			return;
		case D_COMMITTING:
			if (d->wait != NULL)
				return;
			step_committed(d);
			break;
		case D_NOTE:
			step_note(d);
			return;
		case D_NOTING:
			if (d->wait != NULL)
				return;
			d->step = D_FINISH;
			break;
		case D_FINISH:
			do_finish(d);
			return;
		}
	}
}

static void
do_release(struct op *op)
{
	struct do_op *d = op_owner(op, struct do_op, op);
	struct runner *r = d->r;

	r->doing = NULL;
	op_cancel(&d->child);
	journal_wait_cancel(&d->wait);
	timer_clear(&d->retry_due);
	eval_cancel(&r->eval);
	if (r->srun != NULL)
		sched_run_free(r->srun);
	r->srun = NULL;
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

/* Do, until Done. */

struct run_op {
	struct op      op;
	struct runner *r;
	struct op     *child;
	bool	       more;
	struct err    *err;
	runner_run_cb *cb;
	void	      *arg;
};

static void
run_step_cb(bool more, struct err *err, void *arg)
{
	struct run_op *o = arg;

	o->child = NULL;
	o->more = more;
	o->err = err;
	op_wake(&o->op);
}

static void
run_advance(struct op *op)
{
	struct run_op *o = op_owner(op, struct run_op, op);
	runner_run_cb *cb = o->cb;
	struct err *err;
	void *arg = o->arg;

	if (o->child != NULL)
		return;
	if (o->more && o->err == NULL) {
		o->child = runner_do_start(o->r, run_step_cb, o);
		return;
	}
	err = o->err;
	o->err = NULL;
	op_release(op);
	cb(err, arg);
}

static void
run_release(struct op *op)
{
	struct run_op *o = op_owner(op, struct run_op, op);

	op_cancel(&o->child);
	err_free(o->err);
	free(o);
}

static const struct op_type run_type = { "runner_run", run_advance, run_release };

struct op *
runner_run_start(struct runner *r, runner_run_cb *cb, void *arg)
{
	struct run_op *o = xcalloc(1, sizeof *o);

	op_init(&o->op, r->controller->loop, &run_type);
	o->r = r;
	o->more = true;
	o->cb = cb;
	o->arg = arg;
	op_wake(&o->op);
	return &o->op;
}

void
runner_interrupt(struct runner *r, const char *why)
{
	if (r->interrupt != NULL)
		return;
	r->interrupt = why;
	if (r->eval != NULL)
		eval_kill(r->eval);
	if (r->doing != NULL)
		op_wake(&r->doing->op);
}

struct runner *
runner_new(const struct runner_args *a)
{
	struct runner *r = xcalloc(1, sizeof *r);

	r->controller = a->controller;
	r->program = a->program;
	r->params = a->params;
	r->state = *a->state;
	memset(a->state, 0, sizeof *a->state);
	r->epoch = a->epoch;
	r->n = a->n;
	r->known = a->known != NULL ? a->known : run_knowledge_new(&r->state.ID, NULL, 0);
	r->graph = a->graph;
	r->main = a->main;
	r->cause = a->cause;
	r->events = a->events;
	r->next = r->controller->runners.first;
	r->controller->runners.first = r;
	return r;
}

void
runner_free(struct runner *r)
{
	struct runner **p;

	if (r == NULL)
		return;
	for (p = &r->controller->runners.first; *p != r; p = &(*p)->next)
		;
	*p = r->next;
	if (r->hold != NULL) {		/* a run that ends between Init and Eval: nobody waits for the answer */
		struct op *op = sched_alloc_release_start(r->hold, 0, NULL, NULL);

		(void)op;
	}
	drop_graph(r);
	run_knowledge_free(r->known);
	err_free(r->lost);
	state_release(&r->state);
	free(r);
}

const struct run_state *
runner_state(const struct runner *r)
{
	return &r->state;
}

const struct eval_stats *
runner_stats(const struct runner *r)
{
	return r->eval != NULL ? eval_stats(r->eval) : r->has_stats ? &r->stats : NULL;
}

struct flow *const *
runner_failures(const struct runner *r, size_t *n)
{
	*n = r->nfailures;
	return r->failures;
}

const struct digest *
runner_id(const struct runner *r)
{
	return &r->state.ID;
}

struct runner *
runner_next(struct runner *r)
{
	return r->next;
}
