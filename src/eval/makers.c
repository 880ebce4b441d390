/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/makers.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"

/*
 * A table of chains. What a reader would get wrong: which of several makers is asked does matter. An empty file may be
 * what a node reads and, equal by chance, what another gives that stands above it: waiting for that one would be for
 * ever.
 */
struct maker {
	struct digest  id;
	struct flow   *node;	/* NULL: it has left */
	struct maker  *next;
	UT_hash_handle hh;
};
struct makers {
	struct maker  *table;
	struct flow_vec near;	/* marked CORE_NEAR: what x gets its operands from */
	struct flow_vec seen;	/* scratch */
};

struct makers *
makers_new(void)
{
	return xcalloc(1, sizeof(struct makers));
}

void
makers_free(struct makers *ms)
{
	struct maker *m, *next, *tmp;

	if (!ms)
		return;
	HASH_ITER(hh, ms->table, m, tmp) {
		HASH_DEL(ms->table, m);
		for (; m; m = next) {
			next = m->next;
			free(m);
		}
	}
	free(ms->near.v);
	free(ms->seen.v);
	free(ms);
}

static bool
makes(const struct flow *f)
{
	return f->op == FLOW_EXEC || f->op == FLOW_DATA || (f->op == FLOW_INTERN && !flow_is_local_intern(f));
}

struct each {
	struct makers *makers;
	struct flow   *node;
};

static void
enter_file(unused_arg const char *path, const struct file *file, void *arg)
{
	struct each *e = arg;
	struct maker *head, *m;

	HASH_FIND(hh, e->makers->table, &file->id, sizeof file->id, head);
	for (m = head; m; m = m->next)
		if (m->node == e->node)
			return;
	m = xcalloc(1, sizeof *m);
	m->id = file->id;
	m->node = e->node;
	if (head) {
		m->next = head->next;
		head->next = m;
	} else {
		HASH_ADD(hh, e->makers->table, id, sizeof m->id, m);
	}
}

static void
leave_file(unused_arg const char *path, const struct file *file, void *arg)
{
	struct each *e = arg;
	struct maker *m;

	HASH_FIND(hh, e->makers->table, &file->id, sizeof file->id, m);
	for (; m; m = m->next)
		if (m->node == e->node)
			m->node = NULL;
}

void
makers_enter(struct makers *ms, struct flow *f)
{
	if (f->value && makes(f))
		value_each_file(f->value, enter_file, &(struct each){ ms, f });
}

void
makers_leave(struct makers *ms, struct flow *f)
{
	if (f->value && makes(f))
		value_each_file(f->value, leave_file, &(struct each){ ms, f });
}

static void
near_push(struct makers *ms, struct flow *f)
{
	if (f->flags & CORE_NEAR)
		return;
	f->flags |= CORE_NEAR;
	flow_vec_push(&ms->near, f);
}

/* Through what merely hands values on. */
void
makers_near(struct makers *ms, struct flow *const *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		near_push(ms, from[i]);
	for (size_t i = 0; i < ms->near.n; i++) {
		struct flow *f = ms->near.v[i];

		if (makes(f))
			continue;
		for (uint32_t k = 0; k < f->ndeps + f->ncaptured; k++)
			near_push(ms, f->deps[k]);
		if (f->op == FLOW_K && f->forked)
			near_push(ms, f->forked);
	}
}

void
makers_near_end(struct makers *ms)
{
	for (size_t i = 0; i < ms->near.n; i++)
		ms->near.v[i]->flags &= (uint16_t)~CORE_NEAR;
	ms->near.n = 0;
}

static void
seen_push(struct makers *ms, struct flow *f)
{
	if (f->mark)
		return;
	f->mark = true;
	flow_vec_push(&ms->seen, f);
}

/* Does f need x, by however many steps? */
static bool
needs(struct makers *ms, struct flow *f, const struct flow *x)
{
	bool found = false;

	seen_push(ms, f);
	for (size_t i = 0; i < ms->seen.n && !found; i++) {
		struct flow *g = ms->seen.v[i];

		found = g == x;
		for (uint32_t k = 0; k < g->ndeps; k++)
			seen_push(ms, g->deps[k]);
		if (g->op == FLOW_K && g->forked)
			seen_push(ms, g->forked);
	}
	for (size_t i = 0; i < ms->seen.n; i++)
		ms->seen.v[i]->mark = false;
	ms->seen.n = 0;
	return found;
}

struct flow *
makers_find(struct makers *ms, const struct digest *id, const struct flow *x)
{
	struct flow *failed = NULL;
	struct maker *head, *m;

	HASH_FIND(hh, ms->table, id, sizeof *id, head);
	for (m = head; m; m = m->next) {
		if (m->node && m->node->err)
			failed = m->node;
		else if (m->node && (m->node->flags & CORE_NEAR))
			return m->node;
	}
	for (m = head; m; m = m->next)
		if (m->node && !m->node->err && (!x || !needs(ms, m->node, x)))
			return m->node;
	return failed;
}
