/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/core.h"

#include <stdlib.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * Logical keys. They come from below: a node has its key when all that it is made from have theirs,
 * and a local input has its own when it has been read. A walk goes down once through what has no key
 * yet, leaving in each node the count of those it waits for; answers come up by that count.
 *
 * An input that cannot be read leaves all above without a key. That is no failure: only those that
 * need its value fail, and the others are merely not looked up.
 */

#define FEW 8	/* parts: room for those is on the stack */

/* All of its parts are known. */
static void
settle_one(struct core *c, struct flow *f)
{
	uint32_t n = f->ndeps + f->ncaptured;
	struct digest few[FEW], *in = few;

	f->flags |= CORE_KEYED;
	f->dirty = f->dirty || f->op == FLOW_EXTERN;
	if (f->op == FLOW_INTERN && f->state == FLOW_DONE && f->err)
		f->flags |= CORE_KEYLESS;
	if (f->flags & CORE_KEYLESS)
		return;
	if (n > FEW)
		in = xcalloc(n, sizeof *in);
	for (uint32_t i = 0; i < n; i++) {
		in[i] = f->deps[i]->lkey;
		slice_breathe(1);
	}
	flow_logical_key(graph_universe(c->graph), f, in, &f->lkey);
	if (in != few)
		free(in);
	f->has_lkey = true;
}

static void
pass_on(struct flow *to, const struct flow *from)
{
	to->dirty = to->dirty || from->dirty;
	if (!from->has_lkey)
		to->flags |= CORE_KEYLESS;
}

/* Gives f its key, and tells those that wait for it. */
static void
settle(struct core *c, struct flow *f)
{
	struct flow_edge *e = f->on_key;

	if (f->flags & CORE_KEYED)
		return;
	settle_one(c, f);
	if (f->state == FLOW_KEYS)
		core_enqueue(c, f);
	f->on_key = NULL;
	for (e = core_edges_in_order(e); e; e = e->next) {
		c->stats->key_visits++;
		slice_breathe(1);
		pass_on(e->node, f);
		if (--e->node->nkeys == 0)
			flow_vec_push(&c->settled, e->node);
	}
}

static void
walk_push(struct core *c, struct flow *f)
{
	if (f->flags & CORE_KEYWALK)
		return;
	f->flags |= CORE_KEYWALK;
	flow_vec_push(&c->walk, f);
}

/* Counts what f waits for, and goes on there. */
static void
walk_one(struct core *c, struct flow *f)
{
	c->stats->key_visits++;
	for (uint32_t i = f->ndeps + f->ncaptured; i-- > 0;) {	/* so that the first one is on top */
		struct flow *d = f->deps[i];

		slice_breathe(1);
		if (d->flags & CORE_KEYED) {
			c->stats->key_visits++;
			pass_on(f, d);
			continue;
		}
		core_edge(c, &d->on_key, f);
		f->nkeys++;
		walk_push(c, d);
	}
}

/* The value of a local input is its key; nobody may have asked for it yet. */
static bool
must_resolve(struct core *c, struct flow *f)
{
	if (f->op != FLOW_INTERN || !flow_is_local_intern(f) || f->state == FLOW_DONE)
		return false;
	if (f->state == FLOW_INIT)
		core_ready(c, f);
	return true;
}

void
keys_start(struct core *c, struct flow *f)
{
	walk_push(c, f);
}

void
keys_resolved(struct core *c, struct flow *intern)
{
	if ((intern->flags & CORE_KEYWALK) && !(intern->flags & CORE_KEYED))
		flow_vec_push(&c->settled, intern);
}

bool
keys_step(struct core *c)
{
	struct flow *f;

	if (c->nsettled < c->settled.n) {
		settle(c, c->settled.v[c->nsettled++]);
		if (c->nsettled == c->settled.n)
			c->nsettled = c->settled.n = 0;
	} else if (c->walk.n > 0) {
		f = c->walk.v[--c->walk.n];
		walk_one(c, f);
		if (f->nkeys == 0 && !must_resolve(c, f))
			settle(c, f);
	} else {
		return false;
	}
	return true;
}
