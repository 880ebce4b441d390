/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/builtin.h"

#include <stdlib.h>
#include <string.h>

/*
 * The types of the builtin functions, which the type language cannot write: most are generic. What is
 * easy to get wrong: the empty list has elements of type bottom, which fit everywhere.
 */

static const struct type *
mismatch(struct checker *c, const struct expr *e, size_t i, const char *want, const struct type *got)
{
	diag_error(c->diags, &e->elem[i]->span, "%s expects %s, got %s", e->a->name, want, type_text(c, got));
	return NULL;
}

static bool
is(const struct type *t, enum type_kind kind)
{
	return t->kind == kind || t->kind == TYPE_BOTTOM;
}

/* What a list's elements are; bottom's are bottom. */
static const struct type *
elem_of(const struct type *t)
{
	return t->kind == TYPE_LIST ? t->elem : t;
}

static const struct type *
pair(struct checker *c, const struct type *a, const struct type *b)
{
	struct type_field f[2] = { { NULL, a }, { NULL, b } };

	return type_tuple(c->arena, f, 2);
}

static const struct type *
check_len(struct checker *c, const struct expr *e, const struct type *const *t)
{
	switch (t[0]->kind) {
	case TYPE_FILE:
	case TYPE_DIR:
	case TYPE_LIST:
	case TYPE_MAP:
	case TYPE_STRING:
	case TYPE_BOTTOM:
		return type_int;
	default:
		return mismatch(c, e, 0, "a file, dir, list, map or string", t[0]);
	}
}

static const struct type *
check_int(struct checker *c, const struct expr *e, const struct type *const *t)
{
	return is(t[0], TYPE_FLOAT) ? type_int : mismatch(c, e, 0, "a float", t[0]);
}

static const struct type *
check_float(struct checker *c, const struct expr *e, const struct type *const *t)
{
	return is(t[0], TYPE_INT) ? type_float : mismatch(c, e, 0, "an int", t[0]);
}

static const struct type *
check_zip(struct checker *c, const struct expr *e, const struct type *const *t)
{
	for (size_t i = 0; i < 2; i++)
		if (!is(t[i], TYPE_LIST))
			return mismatch(c, e, i, "a list", t[i]);
	return type_list(c->arena, pair(c, elem_of(t[0]), elem_of(t[1])));
}

static bool
is_pair(const struct type *t)
{
	return t->kind == TYPE_BOTTOM || (t->kind == TYPE_TUPLE && t->nfields == 2);
}

static const struct type *
part(const struct type *t, size_t i)
{
	return t->kind == TYPE_TUPLE ? t->fields[i].type : t;
}

static const struct type *
check_unzip(struct checker *c, const struct expr *e, const struct type *const *t)
{
	const struct type *p = elem_of(t[0]);

	if (!is(t[0], TYPE_LIST) || !is_pair(p))
		return mismatch(c, e, 0, "a list of pairs", t[0]);
	return pair(c, type_list(c->arena, part(p, 0)), type_list(c->arena, part(p, 1)));
}

static const struct type *
check_flatten(struct checker *c, const struct expr *e, const struct type *const *t)
{
	if (!is(t[0], TYPE_LIST) || !is(elem_of(t[0]), TYPE_LIST))
		return mismatch(c, e, 0, "a list of lists", t[0]);
	return type_list(c->arena, elem_of(elem_of(t[0])));
}

static const struct type *
check_map_of(struct checker *c, const struct expr *e, const struct type *const *t)
{
	const struct type *p = elem_of(t[0]), *key;

	if (t[0]->kind == TYPE_DIR)
		return type_map(c->arena, type_string, type_file);
	if (!is(t[0], TYPE_LIST) || !is_pair(p))
		return mismatch(c, e, 0, "a list of pairs or a dir", t[0]);
	key = part(p, 0);
	if (key->kind == TYPE_BOTTOM)
		return type_map(c->arena, type_top, part(p, 1));
	if (key->kind != TYPE_STRING && key->kind != TYPE_INT)
		return mismatch(c, e, 0, "pairs that begin with a string or an int", t[0]);
	return type_map(c->arena, key, part(p, 1));
}

static const struct type *
check_list_of(struct checker *c, const struct expr *e, const struct type *const *t)
{
	if (t[0]->kind == TYPE_DIR)
		return type_list(c->arena, pair(c, type_string, type_file));
	if (t[0]->kind == TYPE_BOTTOM)
		return type_list(c->arena, type_bottom);
	if (t[0]->kind != TYPE_MAP)
		return mismatch(c, e, 0, "a map or a dir", t[0]);
	return type_list(c->arena, pair(c, t[0]->key, t[0]->elem));
}

static const struct type *
check_range(struct checker *c, const struct expr *e, const struct type *const *t)
{
	for (size_t i = 0; i < 2; i++)
		if (!is(t[i], TYPE_INT))
			return mismatch(c, e, i, "an int", t[i]);
	return type_list(c->arena, type_int);
}

static bool
is_binary_func(struct checker *c, const struct expr *e, const struct type *f)
{
	if (f->kind != TYPE_FUNC) {
		mismatch(c, e, 0, "a function of two arguments", f);
		return false;
	}
	if (f->nfields == 2)
		return true;
	diag_error(c->diags, &e->elem[0]->span, "%s expects a function of two arguments, got one of %zu (%s)",
	    e->a->name, f->nfields, type_text(c, f));
	return false;
}

static bool
fits(struct checker *c, const struct expr *e, const char *what, const struct type *t, const struct type *u)
{
	if (type_sub(t, u))
		return true;
	diag_error(c->diags, &e->elem[0]->span, "%s: cannot use %s (type %s) as the function's %s", e->a->name, what,
	    type_text(c, t), type_text(c, u));
	return false;
}

/* func(t, t) t over [e] with e <= t. */
static const struct type *
check_reduce(struct checker *c, const struct expr *e, const struct type *const *t)
{
	const struct type *f = t[0];

	if (!is_binary_func(c, e, f))
		return NULL;
	if (!is(t[1], TYPE_LIST))
		return mismatch(c, e, 1, "a list", t[1]);
	if (!fits(c, e, "an element", elem_of(t[1]), f->fields[0].type) ||
	    !fits(c, e, "an element", elem_of(t[1]), f->fields[1].type) ||
	    !fits(c, e, "its own result", f->elem, f->fields[0].type))
		return NULL;
	return check_unify(c, "reduce", f->elem, elem_of(t[1]), &e->span);
}

/* func(a, e) a over [e], from z <= a. */
static const struct type *
check_fold(struct checker *c, const struct expr *e, const struct type *const *t)
{
	const struct type *f = t[0];

	if (!is_binary_func(c, e, f))
		return NULL;
	if (!is(t[1], TYPE_LIST))
		return mismatch(c, e, 1, "a list", t[1]);
	if (!fits(c, e, "the initial value", t[2], f->fields[0].type) ||
	    !fits(c, e, "its own result", f->elem, f->fields[0].type) ||
	    !fits(c, e, "an element", elem_of(t[1]), f->fields[1].type))
		return NULL;
	return f->fields[0].type;
}

static const struct type *
check_delay(struct checker *c, const struct expr *e unused_arg, const struct type *const *t)
{
	return type_as_flow(c->arena, t[0]);
}

static const struct type *
check_trace(struct checker *c unused_arg, const struct expr *e unused_arg, const struct type *const *t)
{
	return t[0];
}

static const struct type *
check_panic(struct checker *c, const struct expr *e, const struct type *const *t)
{
	return is(t[0], TYPE_STRING) ? type_bottom : mismatch(c, e, 0, "a string", t[0]);
}

static const struct type *
check_error(struct checker *c, const struct expr *e, const struct type *const *t)
{
	if (!is(t[0], TYPE_INT))
		return mismatch(c, e, 0, "an int as its code", t[0]);
	return is(t[1], TYPE_STRING) ? type_bottom : mismatch(c, e, 1, "a string", t[1]);
}

static const struct builtin builtins[] = {
	{ BUILTIN_DELAY, "delay", 1, check_delay },
	{ BUILTIN_ERROR, "error", 2, check_error },
	{ BUILTIN_FLATTEN, "flatten", 1, check_flatten },
	{ BUILTIN_FLOAT, "float", 1, check_float },
	{ BUILTIN_FOLD, "fold", 3, check_fold },
	{ BUILTIN_INT, "int", 1, check_int },
	{ BUILTIN_LEN, "len", 1, check_len },
	{ BUILTIN_LIST, "list", 1, check_list_of },
	{ BUILTIN_MAP, "map", 1, check_map_of },
	{ BUILTIN_PANIC, "panic", 1, check_panic },
	{ BUILTIN_RANGE, "range", 2, check_range },
	{ BUILTIN_REDUCE, "reduce", 2, check_reduce },
	{ BUILTIN_TRACE, "trace", 1, check_trace },
	{ BUILTIN_UNZIP, "unzip", 1, check_unzip },
	{ BUILTIN_ZIP, "zip", 2, check_zip },
};

const struct builtin *
builtin_find(const char *name)
{
	for (size_t i = 0; i < nitems(builtins); i++)
		if (strcmp(builtins[i].name, name) == 0)
			return &builtins[i];
	return NULL;
}

const struct type *
check_builtin(struct checker *c, struct expr *e, const struct builtin *b)
{
	const struct type *t[3] = { NULL, NULL, NULL }, *result;
	bool ok = true, flow = false;

	for (size_t i = 0; i < e->nelems; i++) {
		const struct type *arg = check_expr(c, e->elem[i]);

		ok &= arg != NULL;
		flow |= arg != NULL && arg->flow;
		if (i < nitems(t))
			t[i] = arg;
	}
	if (e->nelems != b->nargs) {
		diag_error(c->diags, &e->span, "too %s arguments in call to %s: have %zu, want %zu",
		    e->nelems < b->nargs ? "few" : "many", b->name, e->nelems, b->nargs);
		return NULL;
	}
	if (!ok)
		return NULL;
	result = b->check(c, e, t);
	return flow_if(c, result, flow);
}
