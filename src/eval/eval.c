/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/eval.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "eval/eval_priv.h"
#include "eval/heal.h"

/*
 * The course of an evaluation: the core says what is to be done (core.c), windows bound how much of
 * it is done at once, works do it (work.c). Answers only change the core and wake this operation;
 * every decision about the whole is taken in its advance.
 */

static const char *
state_name(enum eval_state s)
{
	static const char *const names[] = { "run", "result", "stop", "drain" };

	return names[s];
}

void
eval_to(struct eval *e, enum eval_state s)
{
	op_trace(&e->op, state_name(e->state), state_name(s));
	e->state = s;
}

void
eval_trouble(struct eval *e, struct err *err)
{
	if (e->trouble)
		err_free(err);
	else
		e->trouble = err;
	op_wake(&e->op);
}

/* The result is right all the same. Said once: a cache that cannot be written fails every time. */
static void
put_failed(struct eval *e, struct err *err)
{
	char *text = err_str(err);

	if (!e->put_failed)
		log_info("warning: results cannot be written to the cache: %s", text);
	e->put_failed = true;
	free(text);
	err_free(err);
}

static void
put_done(struct err *err, void *arg)
{
	struct put *p = arg;
	struct eval *e = p->eval;

	if (err)
		put_failed(e, err);
	if (!digest_is_zero(&p->pkey) && e->args.host.settled)
		e->args.host.settled(&p->pkey, &p->owner, p->attempt, e->args.host.arg);
	TAILQ_REMOVE(&e->puts, p, link);
	free(p);
	if (TAILQ_EMPTY(&e->puts))
		op_wake(&e->op);
}

void
eval_put_raw(struct eval *e, enum assoc_kind kind, const struct digest *key, const void *value, size_t len)
{
	struct put *p = xcalloc(1, sizeof *p);

	p->eval = e;
	p->op = assoc_put(e->args.assoc, kind, key, value, len, put_done, p);
	TAILQ_INSERT_TAIL(&e->puts, p, link);
}

static struct put *
put_start(struct eval *e, const struct digest *keys, unsigned nkeys, const struct exec_result *r)
{
	struct put *p = xcalloc(1, sizeof *p);

	p->eval = e;
	p->op = cache_put_start(e->args.assoc, keys, nkeys, r, put_done, p);
	TAILQ_INSERT_TAIL(&e->puts, p, link);
	return p;
}

void
eval_put(struct eval *e, const struct digest *keys, unsigned nkeys, const struct exec_result *r)
{
	if (nkeys > 0)
		(void)put_start(e, keys, nkeys, r);
}

/* The cache has it under all that the node is known by, and with whose it is. */
void
eval_remember(struct eval *e, const struct flow *f, const struct exec_result *r)
{
	struct exec_result said = *r;	/* borrows its parts */
	struct digest keys[2];
	unsigned nkeys = eval_keys(f, keys);
	struct put *p;

	if (!eval_writes(e) || nkeys == 0) {
		if (f->op == FLOW_EXEC && f->has_pkey && e->args.host.settled)
			e->args.host.settled(&f->pkey, &r->owner, r->attempt, e->args.host.arg);
		return;
	}
	if (f->has_pkey)
		said.exec = f->pkey;
	p = put_start(e, keys, nkeys, &said);
	if (f->op != FLOW_EXEC || !f->has_pkey)
		return;
	p->pkey = f->pkey;
	p->owner = r->owner;
	p->attempt = r->attempt;
}

static void
window_due(struct eval *e, struct window *w)
{
	if (w->due)
		return;
	w->due = true;
	TAILQ_INSERT_TAIL(&e->due, w, link);
}

/* Of an exec: 0, 1, 2, 3, then each twice as wide as the one before: how far it is matters less when it is far. */
static unsigned
window_level(unsigned rank)
{
	unsigned level = rank < 4 ? rank : 2;

	for (; rank >= 4; rank /= 2)
		level++;
	return level < WINDOW_RANKS ? level : WINDOW_RANKS - 1;
}

void
window_push(struct eval *e, struct window *w, struct flow *f)
{
	queue_push(&w->waiting[w->shape ? window_level(core_rank(f)) : 0], f);
	w->nwaiting++;
	window_due(e, w);
}

struct flow *
window_pop(struct window *w)
{
	struct flow *f = NULL;

	for (unsigned i = WINDOW_RANKS; !f && i-- > 0;)
		f = queue_pop(&w->waiting[i]);
	w->nwaiting -= f != NULL;
	return f;
}

void
window_left(struct eval *e, struct window *w)
{
	w->out--;
	for (unsigned i = 0; i < WINDOW_RANKS; i++)
		if (w->waiting[i].head)
			window_due(e, w);
}

static void
window_pump(struct eval *e, struct window *w)
{
	struct flow *f;

	if (w == &e->lookups && !batch_due(&e->batch, w, core_idle(&e->core)))
		return;
	while (w->out + w->answered < WINDOW_MAX &&
	    (f = w == &e->lookups ? batch_pop(&e->batch, w) : window_pop(w)) != NULL)
		w->start(e, w, f);
}

/* Those of the shapes only where something has changed: there may be as many of them as execs. */
static void
pump(struct eval *e)
{
	struct window *w;

	e->lookups.answered = 0;
	window_pump(e, &e->lookups);
	window_pump(e, &e->light);
	while ((w = TAILQ_FIRST(&e->due)) != NULL) {
		TAILQ_REMOVE(&e->due, w, link);
		w->due = false;
		window_pump(e, w);
	}
}

/* The failures of the flow as one error; the list says the rest. */
static struct err *
flow_error(const struct eval *e)
{
	const struct flow_vec *fails = &e->core.failures;
	const struct flow *first = fails->n > 0 ? fails->v[0] : e->root;
	struct err *err = err_wrap_kind(err_copy(first->err), ERR_EVAL, NULL, NULL);

	if (fails->n > 1)
		err->msg = xasprintf("%zu failures, the first", fails->n);
	return err;
}

/* Nothing new from here on. */
static void
eval_stop(struct eval *e, struct err *err, bool kill)
{
	struct work *w, *next;

	e->err = err;
	eval_to(e, EVAL_STOP);
	for (w = TAILQ_FIRST(&e->works); w; w = next) {
		next = TAILQ_NEXT(w, link);
		work_stop(w, kill);
	}
	op_wake(&e->op);
}

/* What a callback, the owner or the first failure asks for. */
static void
check_stop(struct eval *e)
{
	struct err *trouble = e->trouble;

	e->trouble = NULL;
	if (e->state >= EVAL_STOP)
		err_free(trouble);
	else if (trouble)
		eval_stop(e, trouble, false);
	else if (e->kill)
		eval_stop(e, err_new(ERR_CANCELED, NULL, NULL), true);
	else if (e->config.fail_fast && e->core.failures.n > 0)
		eval_stop(e, flow_error(e), true);
}

static void
eval_end(struct eval *e, struct err *err)
{
	e->err = err;
	eval_to(e, EVAL_DRAIN);
	op_wake(&e->op);
}

void
eval_failed(struct eval *e, struct err *err)
{
	eval_end(e, err_wrap_kind(err, ERR_EVAL, NULL, NULL));
}

/* Nothing is under way and nothing to be done: the root is done, or it never will be. */
static void
eval_settled(struct eval *e)
{
	struct flow *root = e->root;

	if (root->state != FLOW_DONE) {
		eval_trouble(e, core_located(root, err_msg(ERR_FATAL, "a node waits for itself, for ever")));
	} else if (root->err) {
		eval_end(e, flow_error(e));
	} else if (!value_is_strict(root->value)) {
		e->root = flow_force(e->core.graph, value_ref(root->value));
		core_want(&e->core, e->root);
		op_wake(&e->op);
	} else {
		result_plan(e);
		eval_to(e, EVAL_RESULT);
		op_wake(&e->op);
	}
}

/* In the slice. What is wide waits for nothing but to be prepared. */
static void
run_core(void *arg)
{
	struct eval *e = arg;
	struct flow *f;

	for (;;) {
		if (work_prepare(e))
			continue;
		if ((f = core_next(&e->core)) == NULL)
			return;
		eval_act(e, f);
	}
}

static void
eval_run(struct eval *e)
{
	bool over;

	if (!slice_busy(e->slice))
		slice_begin(e->slice, run_core, e);
	over = slice_go(e->slice);
	pump(e);
	if (!over || !core_idle(&e->core) || e->lookups.answered > 0 || e->trouble || (e->config.fail_fast && e->core.failures.n > 0)) {
		op_wake(&e->op);
	} else if (heal_pending(e)) {
		heal_step(e);
		op_wake(&e->op);
	} else if (e->nworks == 0 && TAILQ_EMPTY(&e->due)) {
		eval_settled(e);
	}
}

/* Failures and figures may be asked for inside the callback, so the last of it goes after that. */
static void
eval_finish(struct eval *e)
{
	struct value *value = e->err ? NULL : value_ref(e->root->value);
	struct err *err = e->err;

	e->err = NULL;
	e->telling = true;
	op_release(&e->op);
	e->cb(value, err, e->arg);
	core_release(&e->core);
	free(e);
}

static void
eval_advance(struct op *op)
{
	struct eval *e = op_owner(op, struct eval, op);

	check_stop(e);
	switch (e->state) {
	case EVAL_RUN:
		eval_run(e);
		return;
	case EVAL_RESULT:
		result_step(e);
		return;
	case EVAL_STOP:
		if (e->nworks > 0)
			return;
		eval_to(e, EVAL_DRAIN);
		/* fall through */
	case EVAL_DRAIN:
		if (TAILQ_EMPTY(&e->puts))
			eval_finish(e);
		else
			assoc_hurry(e->args.assoc);
		return;
	}
}

static void
shapes_release(struct eval *e)
{
	struct window *w, *tmp;

	HASH_ITER(hh, e->shapes, w, tmp) {
		HASH_DEL(e->shapes, w);
		free(w->shape);
		free(w);
	}
}

static void
eval_release(struct op *op)
{
	struct eval *e = op_owner(op, struct eval, op);
	struct work *w;
	struct put *p;

	slice_free(e->slice);
	HASH_CLEAR(hh, e->keys);
	while ((w = TAILQ_FIRST(&e->works)) != NULL) {
		task_detach(&w->task);
		TAILQ_REMOVE(&e->works, w, link);
		op_cancel(&w->op);
		if (w->has_result)
			exec_result_release(&w->result);
		node_config_release(&w->nc);
		free(w);
	}
	while ((p = TAILQ_FIRST(&e->puts)) != NULL) {
		TAILQ_REMOVE(&e->puts, p, link);
		op_cancel(&p->op);
		free(p);
	}
	spare_release(&e->spares);
	batch_release(&e->batch);
	shapes_release(e);
	origin_free(e->origin);
	result_release(e);
	fileset_builder_free(e->missing);
	heal_release(e);
	err_free(e->trouble);
	err_free(e->err);
	if (e->telling)
		return;
	core_release(&e->core);
	free(e);
}

static const struct op_type eval_type = { "eval", eval_advance, eval_release };

struct eval *
eval_start(struct loop *loop, const struct eval_args *args, eval_cb *cb, void *arg)
{
	struct eval *e = xcalloc(1, sizeof *e);
	char *cwd = args->dir ? xstrdup(args->dir) : getcwd(NULL, 0);

	op_init(&e->op, loop, &eval_type);
	e->args = *args;
	e->config = args->config;
	if (!args->assoc)
		e->config.cache = CACHE_OFF;
	e->args.dir = NULL;
	e->root = args->root;
	e->cb = cb;
	e->arg = arg;
	e->origin = origin_new(cwd ? cwd : "/");
	free(cwd);
	TAILQ_INIT(&e->works);
	TAILQ_INIT(&e->wide);
	e->slice = slice_new();
	TAILQ_INIT(&e->puts);
	TAILQ_INIT(&e->due);
	eval_windows_init(e);
	heal_init(e);
	e->trouble = core_init(&e->core, args->graph, args->root, &e->config, &e->stats);
	if (!e->trouble)
		core_want(&e->core, e->root);
	op_wake(&e->op);
	return e;
}

void
eval_cancel(struct eval **ep)
{
	struct eval *e = ep ? *ep : NULL;

	if (!e)
		return;
	*ep = NULL;
	op_release(&e->op);
}

void
eval_kill(struct eval *e)
{
	e->kill = true;
	op_wake(&e->op);
}

const struct eval_stats *
eval_stats(struct eval *e)
{
	e->stats.nodes = graph_nnodes(e->core.graph);
	e->stats.edges = graph_nedges(e->core.graph) + e->core.more_edges;
	return &e->stats;
}

struct flow *const *
eval_failures(const struct eval *e, size_t *n)
{
	*n = e->core.failures.n;
	return e->core.failures.v;
}
