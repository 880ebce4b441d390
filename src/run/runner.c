/* SPDX-License-Identifier: Apache-2.0 */
#include "run/runner_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * The runner as its owner sees it, from first to last. The phases are in runner_do.c, what a try needs
 * in runner_try.c, records in runner_host.c.
 */
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
	run_knowledge_state(r->known, &r->state);	/* a Reset in memory, which no record tells of yet */
	r->graph = a->graph;
	r->main = a->main;
	r->cause = a->cause;
	r->events = a->events;
	timer_init(&r->patience, r->controller->loop, "patience", runner_patience_cb, r);
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
	assert(r->doing == NULL);
	for (p = &r->controller->runners.first; *p != r; p = &(*p)->next)
		;
	*p = r->next;
	timer_clear(&r->patience);
	try_let_go(r);
	try_drop_graph(r);
	run_knowledge_free(r->known);
	state_release(&r->state);
	resources_release(&r->need);
	buf_release(&r->scratch);
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

bool
runner_left_execs(const struct runner *r)
{
	return r->left;
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
