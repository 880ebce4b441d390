/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/check.h"

/*
 * Calls. The name of a builtin means the builtin only where it is called and nothing in scope has that
 * name: every builtin can be shadowed, but for int and float, which are keywords.
 */

const char *
callee_text(struct checker *c, const struct expr *e)
{
	if (e->kind == EXPR_IDENT)
		return e->name;
	if (e->kind == EXPR_FIELD)
		return arena_printf(c->arena, "%s.%s", callee_text(c, e->a), e->name);
	return "function";
}

static const char *
types_text(struct checker *c, const struct type *const *t, size_t n)
{
	const char *text = "";

	for (size_t i = 0; i < n; i++)
		text = arena_printf(c->arena, "%s%s%s", text, i ? ", " : "", t[i] ? type_text(c, t[i]) : "?");
	return text;
}

static void
wrong_count(struct checker *c, struct expr *e, const struct type *f, const struct type *const *have)
{
	const struct type **want = arena_alloc(c->arena, (f->nfields + 1) * sizeof(struct type *));

	for (size_t i = 0; i < f->nfields; i++)
		want[i] = f->fields[i].type;
	diag_error(c->diags, &e->span, "too %s arguments in call to %s", e->nelems < f->nfields ? "few" : "many",
	    callee_text(c, e->a));
	diag_hint(c->diags, "have (%s), want (%s)", types_text(c, have, e->nelems), types_text(c, want, f->nfields));
}

const struct type *
check_args(struct checker *c, struct expr *e, const struct type *f)
{
	const struct type **have = arena_alloc(c->arena, e->nelems * sizeof(struct type *));
	bool ok = true;

	for (size_t i = 0; i < e->nelems; i++)
		ok &= (have[i] = check_expr(c, e->elem[i])) != NULL;
	if (e->nelems != f->nfields) {
		wrong_count(c, e, f, have);
		return NULL;
	}
	for (size_t i = 0; i < e->nelems; i++) {
		if (have[i] == NULL || type_sub(have[i], f->fields[i].type))
			continue;
		diag_error(c->diags, &e->elem[i]->span, "cannot use type %s as type %s in argument to %s (type %s)",
		    type_text(c, have[i]), type_text(c, f->fields[i].type), callee_text(c, e->a), type_text(c, f));
		ok = false;
	}
	return ok ? f->elem : NULL;
}

const struct type *
check_call(struct checker *c, struct expr *e)
{
	const struct builtin *b = e->a->kind == EXPR_IDENT ? builtin_find(e->a->name) : NULL;
	const struct type *f, *t;

	if (b != NULL && check_lookup(c, e->a->name) == NULL) {
		e->note = (void *)b;
		return check_builtin(c, e, b);
	}
	f = check_expr(c, e->a);
	if (f == NULL || f->kind == TYPE_BOTTOM) {
		for (size_t i = 0; i < e->nelems; i++)
			check_expr(c, e->elem[i]);
		return f;
	}
	if (f->kind != TYPE_FUNC) {
		diag_error(c->diags, &e->span, "%s is not a function (type %s)", callee_text(c, e->a), type_text(c, f));
		return NULL;
	}
	t = check_args(c, e, f);
	return flow_if(c, t, f->flow);
}
