/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "flow/flow_priv.h"

/*
 * The graph: an arena of nodes and the table that interns them by digest. What is easy to get wrong:
 * whatever a node owns outside the arena (values, errors, continuations) is released by graph_free,
 * which walks the table; the arena itself knows nothing of it.
 */
struct recent {
	struct flow_place *place;
	struct flow_exec  *form;
	const char	  *cmd;
};

/* Open addressing, a power of two, at most three quarters full. Tags: to pass by the others without a look at them. */
struct table {
	struct flow **slots;
	uint8_t	     *tags;	/* of a slot: a byte of its digest, never 0; 0: empty */
	size_t	      n;
};

struct graph {
	struct arena  *arena;
	char	      *universe;
	struct table   table;
	struct table   old;	/* the table of before, while it is moved; or empty */
	size_t	       moved;
	size_t	       nnodes, nedges;
	struct recent  recent[64];	/* by position: most nodes repeat what the one before from the same place has */
};

void
cont_unref(struct cont *c)
{
	if (c != NULL && --c->refs == 0)
		c->ops->free(c);
}

static void
table_init(struct table *t, size_t n)
{
	*t = (struct table){ xcalloc(n, sizeof *t->slots), xcalloc(n, 1), n };
}

static void
table_release(struct table *t)
{
	free(t->slots);
	free(t->tags);
	*t = (struct table){ NULL, NULL, 0 };
}

struct graph *
graph_new(const struct graph_config *config)
{
	struct graph *g = xcalloc(1, sizeof *g);

	g->arena = arena_new();
	g->universe = xstrdup(config && config->universe ? config->universe : "");
	table_init(&g->table, 64);
	return g;
}

struct arena *
graph_arena(struct graph *g)
{
	return g->arena;
}

const char *
graph_universe(const struct graph *g)
{
	return g->universe;
}

size_t
graph_nnodes(const struct graph *g)
{
	return g->nnodes;
}

size_t
graph_nedges(const struct graph *g)
{
	return g->nedges;
}

static uint8_t
tag_of(const struct digest *d)
{
	return d->b[sizeof(uint64_t)] | 1;
}

/* The slot that holds the digest, or the empty one where it belongs. */
static size_t
slot_of(const struct table *t, const struct digest *d)
{
	uint8_t tag = tag_of(d);
	uint64_t h;
	size_t i;

	memcpy(&h, d->b, sizeof h);
	for (i = h & (t->n - 1); t->tags[i] != 0; i = (i + 1) & (t->n - 1))
		if (t->tags[i] == tag && digest_equal(&t->slots[i]->digest, d))
			break;
	return i;
}

static void
table_set(struct table *t, size_t i, struct flow *f)
{
	t->slots[i] = f;
	t->tags[i] = tag_of(&f->digest);
}

static struct flow *
table_find(const struct table *t, const struct digest *d)
{
	return t->n > 0 ? t->slots[slot_of(t, d)] : NULL;
}

/* A table of a million is not moved at once: the loop waits for nobody that long. The old one stays as it is. */
static void
move_some(struct graph *g, size_t n)
{
	for (; n > 0 && g->moved < g->old.n; n--, g->moved++)
		if (g->old.tags[g->moved] != 0)
			table_set(&g->table, slot_of(&g->table, &g->old.slots[g->moved]->digest), g->old.slots[g->moved]);
	if (g->old.n == 0 || g->moved < g->old.n)
		return;
	table_release(&g->old);
	g->moved = 0;
}

static void
graph_grow(struct graph *g)
{
	move_some(g, SIZE_MAX);
	g->old = g->table;
	table_init(&g->table, 2 * g->old.n);
}

static const struct flow_place nowhere;

/* A node with that digest: *fresh says whether the caller must still fill in what its op has. */
static struct flow *
node_get(struct graph *g, enum flow_op op, const struct digest *d, bool *fresh)
{
	struct flow *f;
	size_t slot;

	if (4 * (g->nnodes + 1) > 3 * g->table.n)
		graph_grow(g);
	move_some(g, 8);
	slot = slot_of(&g->table, d);
	f = g->table.slots[slot];
	if (f == NULL)
		f = table_find(&g->old, d);
	*fresh = f == NULL;
	if (f != NULL)
		return f;
	f = arena_alloc(g->arena, sizeof *f);
	f->op = op;
	f->digest = *d;
	f->place = &nowhere;
	table_set(&g->table, slot, f);
	g->nnodes++;
	return f;
}

bool
graph_walk(struct graph *g, struct graph_walk *w, size_t n, graph_node_cb *cb, void *arg)
{
	move_some(g, SIZE_MAX);
	if (w->size != g->table.n)
		*w = (struct graph_walk){ .size = g->table.n };
	for (; n > 0 && w->at < g->table.n; n--, w->at++)
		if (g->table.tags[w->at] != 0)
			cb(g->table.slots[w->at], arg);
	return w->at < g->table.n;
}

static void
node_release(struct flow *f)
{
	value_unref(f->value);
	err_free(f->err);
	if (f->op == FLOW_K)
		cont_unref(f->u.k.cont);
	else if (f->op == FLOW_VAL)
		value_unref(f->u.val.value);
	else if (f->op == FLOW_REQUIREMENTS)
		requirements_release(f->u.req.req);
}

void
graph_free(struct graph *g)
{
	if (g == NULL)
		return;
	move_some(g, SIZE_MAX);
	for (size_t i = 0; i < g->table.n; i++)
		if (g->table.tags[i] != 0)
			node_release(g->table.slots[i]);
	table_release(&g->table);
	free(g->universe);
	arena_free(g->arena);
	free(g);
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The text of before, if it is the same, or else a copy. */
static const char *
keep(struct graph *g, const char *before, const char *s)
{
	return same_text(before, s) ? before : s != NULL ? arena_strdup(g->arena, s) : NULL;
}

static bool
same_pos(const struct src_pos *a, const struct src_pos *b)
{
	return a->line == b->line && a->col == b->col && same_text(a->name, b->name);
}

/* Of the position. Two that meet there drive each other out, which costs memory and nothing else. */
static struct recent *
recent_of(struct graph *g, const struct src_pos *pos)
{
	return &g->recent[pos != NULL ? (unsigned)(pos->line * 7 + pos->col) % nitems(g->recent) : 0];
}

static void
node_label(struct graph *g, struct flow *f, const char *ident, const struct src_pos *pos)
{
	struct flow_place **place = &recent_of(g, pos)->place, *was = *place;
	struct src_pos at = pos != NULL ? *pos : (struct src_pos){ NULL, 0, 0 };

	if (was == NULL || !same_text(was->ident, ident) || !same_pos(&was->pos, &at)) {
		*place = arena_alloc(g->arena, sizeof **place);
		(*place)->ident = keep(g, was != NULL ? was->ident : NULL, ident);
		(*place)->pos = at;
	}
	f->place = *place;
}

static void
node_deps(struct graph *g, struct flow *f, struct flow *const *deps, size_t n, struct flow *const *captured, size_t nc)
{
	f->ndeps = (uint32_t)n;
	f->ncaptured = (uint32_t)nc;
	g->nedges += n + nc;
	if (n + nc == 0)
		return;
	f->deps = arena_alloc(g->arena, (n + nc) * sizeof(struct flow *));
	if (n > 0)
		memcpy(f->deps, deps, n * sizeof *deps);
	if (nc > 0)
		memcpy(f->deps + n, captured, nc * sizeof *captured);
}

static const char *const *
env_copy(struct graph *g, const char *const *from)
{
	const char **env;
	size_t n = 0;

	if (from == NULL)
		return NULL;
	while (from[n] != NULL)
		n++;
	env = arena_alloc(g->arena, (n + 1) * sizeof *env);
	for (size_t i = 0; i < n; i++)
		env[i] = arena_strdup(g->arena, from[i]);
	return env;
}

static bool
same_env(const char *const *a, const char *const *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	for (; *a != NULL && same_text(*a, *b); a++, b++)
		;
	return *a == NULL && *b == NULL;
}

static bool
same_operands(const struct flow_exec *a, const struct flow_exec *b)
{
	bool same = a->nargs == b->nargs && a->nouts == b->nouts;

	for (uint32_t i = 0; same && i < a->nargs; i++)
		same = a->args[i].out == b->args[i].out && a->args[i].index == b->args[i].index &&
		    same_text(a->args[i].name, b->args[i].name);
	for (uint32_t i = 0; same && i < a->nouts; i++)
		same = a->outs[i].dir == b->outs[i].dir && same_text(a->outs[i].name, b->outs[i].name);
	return same;
}

static bool
same_form(const struct flow_exec *a, const struct flow_exec *b)
{
	return a->nondeterministic == b->nondeterministic && same_text(a->image, b->image) &&
	    same_text(a->image_digest, b->image_digest) && same_env(a->env, b->env) &&
	    resources_equal(&a->resources, &b->resources) && same_operands(a, b);
}

static void
operands_copy(struct graph *g, struct flow_exec *y, const struct flow_exec *x)
{
	y->args = arena_memdup(g->arena, x->args, x->nargs * sizeof *x->args);
	for (uint32_t i = 0; i < x->nargs; i++)
		y->args[i].name = keep(g, NULL, x->args[i].name);
	y->outs = arena_memdup(g->arena, x->outs, x->nouts * sizeof *x->outs);
	for (uint32_t i = 0; i < x->nouts; i++)
		y->outs[i].name = keep(g, NULL, x->outs[i].name);
}

static void
release_resources(void *res)
{
	resources_release(res);
}

/* was: the form made last at that place, or NULL: what is the same in both is shared. */
static struct flow_exec *
form_copy(struct graph *g, const struct flow_exec *x, const struct flow_exec *was)
{
	struct flow_exec *y = arena_alloc(g->arena, sizeof *y);

	*y = *x;
	y->cmd = NULL;
	y->image = keep(g, was != NULL ? was->image : NULL, x->image);
	y->image_digest = keep(g, was != NULL ? was->image_digest : NULL, x->image_digest);
	if (was != NULL && same_operands(was, x)) {
		y->args = was->args;
		y->outs = was->outs;
	} else {
		operands_copy(g, y, x);
	}
	y->env = was != NULL && same_env(was->env, x->env) ? was->env : env_copy(g, x->env);
	memset(&y->resources, 0, sizeof y->resources);
	resources_copy(&y->resources, &x->resources);
	if (y->resources.nfeatures > 0)
		arena_cleanup(g->arena, release_resources, &y->resources);
	return y;
}

static void
exec_copy(struct graph *g, struct flow *f, const struct flow_exec *x, struct recent *recent)
{
	if (recent->form == NULL || !same_form(recent->form, x))
		recent->form = form_copy(g, x, recent->form);
	recent->cmd = keep(g, recent->cmd, x->cmd);
	f->u.exec.form = recent->form;
	f->u.exec.cmd = recent->cmd;
}

struct flow_exec
flow_exec_of(const struct flow *f)
{
	struct flow_exec x = *f->u.exec.form;

	x.cmd = f->u.exec.cmd;
	return x;
}

struct flow *
flow_exec(struct graph *g, const struct flow_exec *x, struct flow *const *deps, size_t ndeps, const char *ident,
    const struct src_pos *pos)
{
	struct digest d;
	struct flow *f;
	bool fresh;

	node_digest_exec(g->universe, x, deps, ndeps, &d);
	f = node_get(g, FLOW_EXEC, &d, &fresh);
	if (fresh) {
		node_deps(g, f, deps, ndeps, NULL, 0);
		exec_copy(g, f, x, recent_of(g, pos));
		node_label(g, f, ident, pos);
	}
	return f;
}

struct flow *
flow_intern(struct graph *g, const char *url, bool dir, const char *ident, const struct src_pos *pos)
{
	struct digest d;
	struct flow *f;
	bool fresh;

	node_digest_url("node-intern", url, dir, NULL, &d);
	f = node_get(g, FLOW_INTERN, &d, &fresh);
	if (fresh) {
		f->u.intern.url = arena_strdup(g->arena, url);
		f->u.intern.dir = dir;
		node_label(g, f, ident, pos);
	}
	return f;
}

struct flow *
flow_extern(struct graph *g, const char *url, struct flow *dep, const char *ident, const struct src_pos *pos)
{
	struct digest d;
	struct flow *f;
	bool fresh;

	node_digest_url("node-extern", url, false, dep, &d);
	f = node_get(g, FLOW_EXTERN, &d, &fresh);
	if (fresh) {
		f->u.intern.url = arena_strdup(g->arena, url);
		node_deps(g, f, &dep, 1, NULL, 0);
		node_label(g, f, ident, pos);
	}
	return f;
}

struct flow *
flow_k(struct graph *g, const struct digest *own, struct flow *const *deps, size_t ndeps, struct flow *const *captured,
    size_t ncaptured, struct cont *cont, const char *ident, const struct src_pos *pos)
{
	struct digest d;
	struct flow *f;
	bool fresh;

	node_digest_k(own, deps, ndeps, captured, ncaptured, &d);
	f = node_get(g, FLOW_K, &d, &fresh);
	if (!fresh) {
		cont_unref(cont);
		return f;
	}
	f->u.k.cont = cont;
	f->u.k.own = arena_memdup(g->arena, own, sizeof *own);
	node_deps(g, f, deps, ndeps, captured, ncaptured);
	node_label(g, f, ident, pos);
	return f;
}

struct gather {
	struct flow **v;
	size_t	      n, cap;
};

static void
gather_cb(struct flow *f, void *arg)
{
	struct gather *ga = arg;

	if (ga->n == ga->cap) {
		ga->cap = ga->cap ? 2 * ga->cap : 8;
		ga->v = xreallocarray(ga->v, ga->cap, sizeof(struct flow *));
	}
	ga->v[ga->n++] = f;
}

struct flow *
flow_val(struct graph *g, struct value *value)
{
	struct gather captured = { NULL, 0, 0 };
	struct digest d, v;
	struct flow *f;
	struct w1 w;
	bool fresh;

	value_digest(value, &v);
	w1_init(&w, "node-val");
	w1_add_digest(&w, W1_DIGEST, 0, &v);
	w1_final(&w, &d);
	f = node_get(g, FLOW_VAL, &d, &fresh);
	if (!fresh) {
		value_unref(value);
		return f;
	}
	f->u.val.value = value;
	value_each_captured(value, gather_cb, &captured);
	node_deps(g, f, NULL, 0, captured.v, captured.n);
	free(captured.v);
	return f;
}

struct flow *
flow_data(struct graph *g, const void *p, size_t len, const char *ident, const struct src_pos *pos)
{
	struct digest d;
	struct flow *f;
	struct w1 w;
	bool fresh;
	char *copy;

	w1_init(&w, "node-data");
	w1_add(&w, W1_TEXT, 0, p, len);
	w1_final(&w, &d);
	f = node_get(g, FLOW_DATA, &d, &fresh);
	if (fresh) {
		copy = arena_alloc(g->arena, len + 1);
		if (len > 0)
			memcpy(copy, p, len);
		f->u.data.p = copy;
		f->u.data.len = len;
		node_label(g, f, ident, pos);
	}
	return f;
}

struct flow *
flow_requirements(struct graph *g, const struct requirements *req, struct flow *dep)
{
	struct digest d;
	struct flow *f;
	bool fresh;

	node_digest_requirements(req, dep, &d);
	f = node_get(g, FLOW_REQUIREMENTS, &d, &fresh);
	if (fresh) {
		f->u.req.req = arena_alloc(g->arena, sizeof *f->u.req.req);
		requirements_copy(f->u.req.req, req);
		node_deps(g, f, &dep, 1, NULL, 0);
		f->place = dep->place;
	}
	return f;
}

/* Forcing: a continuation over the delayed parts that puts their values in their places. */
struct force {
	struct cont   cont;
	struct value *value;	/* owned; has delayed parts */
};

static struct err *
force_call(struct cont *c, struct graph *g, struct value *const *in, size_t n, struct value **out)
{
	struct force *fo = container_of(c, struct force, cont);
	struct value *v = value_subst(fo->value, in, n);

	*out = value_is_strict(v) ? v : value_flow(flow_force(g, v));
	return NULL;
}

static void
force_free(struct cont *c)
{
	struct force *fo = container_of(c, struct force, cont);

	value_unref(fo->value);
	free(fo);
}

static const struct cont_ops force_ops = { "force", true, force_call, force_free };

bool
flow_gives_strict(const struct flow *f)
{
	while (f->op == FLOW_REQUIREMENTS)
		f = f->deps[0];
	if (f->op == FLOW_K)
		return f->u.k.cont->ops->strict;
	return f->op != FLOW_VAL || value_is_strict(f->u.val.value);
}

struct flow *
flow_force(struct graph *g, struct value *value)
{
	struct gather deps = { NULL, 0, 0 }, captured = { NULL, 0, 0 };
	struct flow *f = value_kind(value) == VAL_FLOW ? value_get_flow(value) : NULL;
	struct digest skeleton, own;
	struct force *fo;
	struct w1 w;

	if (value_is_strict(value))
		return flow_val(g, value);
	if (f != NULL && flow_gives_strict(f)) {
		value_unref(value);
		return f;
	}
	value_skeleton(value, &skeleton);
	w1_init(&w, "force");
	w1_add_digest(&w, W1_DIGEST, 0, &skeleton);
	w1_final(&w, &own);
	fo = xcalloc(1, sizeof *fo);
	fo->cont.refs = 1;
	fo->cont.ops = &force_ops;
	fo->value = value;
	value_each_flow(value, gather_cb, &deps);
	value_each_captured(value, gather_cb, &captured);
	/* Without functions the two are the same, and deps alone say it all. */
	f = flow_k(g, &own, deps.v, deps.n, captured.v, captured.n == deps.n ? 0 : captured.n, &fo->cont, NULL, NULL);
	free(deps.v);
	free(captured.v);
	return f;
}
