/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "lang/sys.h"

/*
 * Environments and closures. A closure does not keep the environment that made it, only the values of
 * its free variables, in the order of its piece: so it keeps nothing alive that it cannot use, and its digest
 * is that of its code and those values. It does not capture itself; a call adds it.
 */

struct env *
env_ref(struct env *e)
{
	if (e != NULL)
		e->refs++;
	return e;
}

void
env_unref(struct env *e)
{
	while (e != NULL && --e->refs == 0) {
		struct env *next = e->next;

		value_unref(e->value);
		free(e);
		e = next;
	}
}

void
env_push(struct env **env, const struct binding *b, struct value *v)
{
	struct env *e = xmalloc(sizeof *e);

	e->refs = 1;
	e->binding = b;
	e->value = v;
	e->next = *env;
	*env = e;
}

struct value *
env_get(const struct env *e, const struct binding *b)
{
	if (b->kind == BIND_CONST)
		return b->value;
	while (e != NULL && e->binding != b)
		e = e->next;
	assert(e != NULL);
	return e->value;
}

#define CLOSURE_MAX_DEPTH 3000

struct closure {
	struct value_func   fn;
	struct lower	   *lo;
	const struct expr  *func;
	const struct piece *piece;
	struct digest digest; /* made at once from those of the captured: functions over functions stay cheap */
	struct value	   *captured[];
};

static void
add_captured(struct w1 *w, uint32_t i, const struct value *v, bool skeleton)
{
	struct digest d;

	if (skeleton && value_is_open(v)) {
		w1_add_str(w, W1_DELAYED, i, NULL);
		return;
	}
	value_digest(v, &d);
	w1_add_digest(w, W1_DIGEST, i, &d);
}

static void
closure_hash(const struct closure *c, bool skeleton, struct digest *out)
{
	struct w1 w;

	w1_init(&w, "closure");
	w1_add_digest(&w, W1_DIGEST, 0, &c->piece->digest);
	for (size_t i = 0; i < c->piece->nfree; i++)
		add_captured(&w, (uint32_t)i + 1, c->captured[i], skeleton);
	w1_final(&w, out);
}

static void
closure_digest(const struct value_func *fn, bool skeleton, struct digest *out)
{
	const struct closure *c = container_of(fn, struct closure, fn);

	if (skeleton && fn->open)
		closure_hash(c, true, out);
	else
		*out = c->digest;
}

/* What is open is captured as one node, however much it holds: so many functions over the same data share it. */
static void
closure_each_captured(const struct value_func *fn, value_flow_cb *cb, void *arg)
{
	const struct closure *c = container_of(fn, struct closure, fn);

	for (size_t i = 0; i < c->piece->nfree; i++) {
		struct value *v = c->captured[i];

		if (value_kind(v) == VAL_FLOW)
			cb(value_get_flow(v), arg);
		else if (value_is_open(v))
			cb(flow_val(c->lo->g, value_ref(v)), arg);
	}
}

static void
closure_free(struct value_func *fn)
{
	struct closure *c = container_of(fn, struct closure, fn);

	values_unref(c->captured, c->piece->nfree);
	free(c);
}

static const struct value_func_ops closure_ops = { closure_digest, closure_each_captured, closure_free };

struct err *
closure_new(struct lower *lo, const struct expr *func, const struct place *place, struct value **out)
{
	const struct piece *piece = piece_get(lo->p, func, PIECE_ALL);
	struct closure *c = xcalloc(1, offsetof(struct closure, captured) + piece->nfree * sizeof(struct value *));
	unsigned depth = 0;

	c->fn.refs = 1;
	c->fn.ops = &closure_ops;
	c->lo = lo;
	c->func = func;
	c->piece = piece;
	for (size_t i = 0; i < piece->nfree; i++) {
		c->captured[i] = value_ref(env_get(place->env, piece->free[i]));
		c->fn.open |= value_is_open(c->captured[i]);
		if (value_depth(c->captured[i]) > depth)
			depth = value_depth(c->captured[i]);
	}
	if (depth >= CLOSURE_MAX_DEPTH) {
		closure_free(&c->fn);
		return lower_err(
		    &func->span, "functions that hold functions are nested deeper than %d", CLOSURE_MAX_DEPTH);
	}
	c->fn.depth = (uint16_t)(depth + 1);
	closure_hash(c, false, &c->digest);
	*out = value_func(&c->fn);
	return NULL;
}

const struct expr *
closure_enter(const struct value *v, struct value **args, struct place *place)
{
	const struct closure *c = container_of(value_get_func(v), struct closure, fn);
	const struct func_note *note = c->func->note;

	place->env = NULL;
	place->ident = note->ident;
	for (size_t i = 0; i < c->piece->nfree; i++)
		env_push(&place->env, c->piece->free[i], value_ref(c->captured[i]));
	if (note->self != NULL)
		env_push(&place->env, note->self, value_ref(v));
	for (size_t i = 0; i < c->func->nparams; i++)
		env_push(&place->env, c->func->param[i].note, args[i]);
	return c->func;
}

struct sys_closure {
	struct value_func      fn;
	const struct sys_func *func;
};

static void
sys_closure_digest(const struct value_func *fn, bool skeleton unused_arg, struct digest *out)
{
	const struct sys_func *f = container_of(fn, struct sys_closure, fn)->func;
	struct w1 w;

	w1_init(&w, "system function");
	w1_add_str(&w, W1_TEXT, 0, f->module);
	w1_add_str(&w, W1_TEXT, 1, f->name);
	w1_final(&w, out);
}

static void
sys_closure_each_captured(const struct value_func *fn unused_arg, value_flow_cb *cb unused_arg, void *arg unused_arg)
{
}

static void
sys_closure_free(struct value_func *fn)
{
	free(container_of(fn, struct sys_closure, fn));
}

static const struct value_func_ops sys_closure_ops = {sys_closure_digest, sys_closure_each_captured, sys_closure_free};

struct value *
sys_value(const struct sys_func *func)
{
	struct sys_closure *c = xcalloc(1, sizeof *c);

	c->fn.refs = 1;
	c->fn.ops = &sys_closure_ops;
	c->func = func;
	return value_func(&c->fn);
}

const struct sys_func *
sys_func_of(const struct value *v)
{
	const struct value_func *fn = value_get_func(v);

	return fn->ops == &sys_closure_ops ? container_of(fn, struct sys_closure, fn)->func : NULL;
}
