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
	try_let_go(r);
	try_drop_graph(r);
	run_knowledge_free(r->known);
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
