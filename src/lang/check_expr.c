/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/check.h"

#include <stdlib.h>
#include <string.h>

#include "lang/sys.h"

/*
 * The type of every expression. What is easy to get wrong: the flow flag only says that a value is
 * surely delayed; whether an operand really is, lowering finds out.
 */

#define FLOAT_MAX_EXP 16384	/* the range of the 80-bit format: about 1e4932 */

/* Is the declaration of that name the one that is being checked? */
static bool
inside_of(const struct checker *c, const char *name)
{
	const char *dot = strrchr(c->ident, '.');

	return dot != NULL && strcmp(dot + 1, name) == 0;
}

static const struct type *
check_ident(struct checker *c, struct expr *e)
{
	struct binding *b = check_lookup(c, e->name);

	if (b == NULL) {
		diag_error(c->diags, &e->span, "identifier \"%s\" not defined", e->name);
		if (builtin_find(e->name) != NULL)
			diag_hint(c->diags, "%s is a builtin function, which can be called but is no value", e->name);
		else if (inside_of(c, e->name))
			diag_hint(c->diags, "a function that calls itself must declare the type of its result");
		return NULL;
	}
	b->used = true;
	e->note = b;
	return b->type;
}

/* MPFR's exponents go far, but not everywhere. */
static const struct type *
check_float_literal(struct checker *c, const struct expr *e)
{
	mpfr_t f;
	bool ok;

	mpfr_init2(f, 64);
	mpfr_set_str(f, e->str.p, 10, MPFR_RNDN);
	ok = mpfr_number_p(f) &&
	     (mpfr_zero_p(f) || (mpfr_get_exp(f) < FLOAT_MAX_EXP && mpfr_get_exp(f) > -FLOAT_MAX_EXP));
	mpfr_clear(f);
	if (!ok)
		diag_error(c->diags, &e->span, "the number is too large, or too small, for a float");
	return type_float;
}

static bool
is_number(const struct type *t)
{
	return t->kind == TYPE_INT || t->kind == TYPE_FLOAT;
}

/* What an operator that wants equal operand types gives for them; NULL: it does not take such. */
static const struct type *
operator_type(enum op op, const struct type *t)
{
	bool scalar = is_number(t) || t->kind == TYPE_STRING;

	switch (op) {
	case OP_OR:
	case OP_AND:
		return t->kind == TYPE_BOOL ? type_bool : NULL;
	case OP_LT:
	case OP_GT:
	case OP_LE:
	case OP_GE:
		return scalar ? type_bool : NULL;
	case OP_EQ:
	case OP_NE:
		return type_comparable(t) ? type_bool : NULL;
	case OP_ADD:
		return scalar ? t : NULL;
	case OP_SUB:
	case OP_MUL:
	case OP_DIV:
		return is_number(t) ? t : NULL;
	case OP_MOD:
	case OP_SHL:
	case OP_SHR:
		return t->kind == TYPE_INT ? t : NULL;
	default:
		return NULL;
	}
}

static bool
is_collection(const struct type *t)
{
	return t->kind == TYPE_LIST || t->kind == TYPE_MAP || t->kind == TYPE_DIR;
}

/* The type of a is known, or NULL. */
static const struct type *
check_operator(struct checker *c, struct expr *e, const struct type *a)
{
	const struct type *b = check_expr(c, e->b), *t;
	bool flow;

	if (a == NULL || b == NULL)
		return NULL;
	flow = a->flow || b->flow;
	if (e->op == OP_SEQ)
		return flow_if(c, b, flow);
	if (e->op == OP_ADD && is_collection(a))
		return flow_if(c, check_unify(c, "cannot add", a, b, &e->span), flow);
	if (a->kind == TYPE_BOTTOM)	/* after a panic anything goes */
		a = b;
	else if (b->kind == TYPE_BOTTOM)
		b = a;
	if (!type_equal(a, b)) {
		diag_error(c->diags, &e->span, "cannot apply binary operator \"%s\" to type %s and %s", op_text(e->op),
		    type_text(c, a), type_text(c, b));
		return NULL;
	}
	t = operator_type(e->op, a);
	if (t == NULL)
		diag_error(c->diags, &e->span, "binary operator \"%s\" not allowed for type %s", op_text(e->op),
		    type_text(c, a));
	return flow_if(c, t, flow);
}

/* A chain, from its first operand on. */
static const struct type *
check_binary(struct checker *c, struct expr *e)
{
	size_t n;
	struct expr **chain = expr_chain(e, &n);
	const struct type *t = check_expr(c, chain[n - 1]->a);

	while (n-- > 0 && !diags_full(c->diags))
		t = chain[n]->type = check_depth(c, check_operator(c, chain[n], t), &chain[n]->span);
	free(chain);
	return t;
}

static const struct type *
check_unary(struct checker *c, struct expr *e)
{
	const struct type *t = check_expr(c, e->a);

	if (t == NULL)
		return NULL;
	if (e->op == OP_NOT ? t->kind == TYPE_BOOL : is_number(t))
		return t;
	diag_error(
	    c->diags, &e->span, "unary operator \"%s\" not allowed for type %s", op_text(e->op), type_text(c, t));
	return NULL;
}

static bool
check_is_bool(struct checker *c, struct expr *e, const struct type **type)
{
	*type = check_expr(c, e);
	if (*type == NULL)
		return false;
	if ((*type)->kind != TYPE_BOOL && (*type)->kind != TYPE_BOTTOM) {
		diag_error(c->diags, &e->span, "expected bool, got %s", type_text(c, *type));
		return false;
	}
	return true;
}

static const struct type *
check_cond(struct checker *c, struct expr *e)
{
	const struct type *cond, *b, *d;
	bool ok = check_is_bool(c, e->a, &cond);

	b = check_expr(c, e->b);
	d = check_expr(c, e->c);
	return ok ? flow_if(c, check_unify(c, "the branches differ", b, d, &e->span), cond->flow) : NULL;
}

static const struct type *
check_block(struct checker *c, struct expr *e)
{
	struct scope_cell *mark = c->scope;
	size_t errors = diags_errors(c->diags);
	const struct type *t;

	for (size_t i = 0; i < e->ndecls; i++)
		check_decl(c, e->decl[i], BIND_LOCAL);
	t = check_expr(c, e->a);
	check_close(c, mark, diags_errors(c->diags) == errors);
	return t;
}

static const struct type *
check_switch(struct checker *c, struct expr *e)
{
	const struct type *subject = check_expr(c, e->a), *t = type_bottom, *body;
	bool ok = subject != NULL;

	for (size_t i = 0; i < e->ncases; i++) {
		struct scope_cell *mark = c->scope;
		size_t errors = diags_errors(c->diags);

		if (!check_pat(c, e->cases[i].pat, subject, BIND_LOCAL))
			ok = false;
		body = check_expr(c, e->cases[i].body);
		check_close(c, mark, diags_errors(c->diags) == errors);
		t = check_unify(c, "the cases differ", t, body, &e->cases[i].body->span);
	}
	if (ok)
		check_cases(c, e, subject);
	return ok ? flow_if(c, t, subject->flow) : NULL;
}

static const struct type *
check_func(struct checker *c, struct expr *e)
{
	struct type_field *args = arena_alloc(c->arena, e->nparams * sizeof *args);
	struct func_note *note = arena_alloc(c->arena, sizeof *note);
	struct scope_cell *mark = c->scope;
	const struct type *t, *u;
	bool ok = true;

	note->ident = c->ident;
	e->note = note;
	for (size_t i = 0; i < e->nparams; i++) {
		struct func_param *p = &e->param[i];

		args[i].name = p->name;
		args[i].type = check_texpr(c, p->type);
		ok &= args[i].type != NULL;
		p->note = check_bind(c, BIND_PARAM, p->name, args[i].type, &p->span);
	}
	t = check_expr(c, e->a);
	check_close(c, mark, false);
	if (e->texpr != NULL) {
		u = check_texpr(c, e->texpr);
		if (t != NULL && u != NULL && !check_ascribe(c, "value", t, u, &e->a->span))
			return NULL;
		t = flow_if(c, u, t != NULL && t->flow);
	}
	return ok && t != NULL ? type_func(c->arena, args, e->nparams, t) : NULL;
}

static const struct type *
check_tuple(struct checker *c, struct expr *e)
{
	struct type_field *f = arena_alloc(c->arena, e->nelems * sizeof *f);
	bool ok = true;

	for (size_t i = 0; i < e->nelems; i++)
		ok &= (f[i].type = check_expr(c, e->elem[i])) != NULL;
	return ok ? type_tuple(c->arena, f, e->nelems) : NULL;
}

static const struct type *
check_struct(struct checker *c, struct expr *e)
{
	struct type_field *f = arena_alloc(c->arena, e->nfields * sizeof *f);
	bool ok = true;

	for (size_t i = 0; i < e->nfields; i++) {
		f[i].name = e->field[i].name;
		ok &= (f[i].type = check_expr(c, e->field[i].expr)) != NULL;
		for (size_t k = 0; k < i; k++) {
			if (strcmp(f[k].name, f[i].name) != 0)
				continue;
			diag_error(c->diags, &e->field[i].span, "field %s stands twice in one struct", f[i].name);
			ok = false;
		}
	}
	return ok ? type_struct(c->arena, f, e->nfields) : NULL;
}

static const struct type *
check_spreads(struct checker *c, struct expr *e, const struct type *t, enum type_kind kind)
{
	for (size_t i = 0; i < e->nspreads; i++) {
		const struct type *s = check_expr(c, e->spread[i]);

		if (s != NULL && s->kind != kind && s->kind != TYPE_BOTTOM) {
			diag_error(c->diags, &e->spread[i]->span, "expected %s, got %s",
			    kind == TYPE_LIST ? "list" : "map", type_text(c, s));
			s = NULL;
		}
		t = flow_if(c, check_unify(c, "cannot add", t, s, &e->spread[i]->span), s && s->flow);
	}
	return t;
}

static const struct type *
check_list(struct checker *c, struct expr *e)
{
	const struct type *elem = type_bottom;

	for (size_t i = 0; i < e->nelems; i++) {
		const struct type *t = check_expr(c, e->elem[i]);

		elem = check_unify(c, "the elements differ", elem, t, &e->elem[i]->span);
	}
	return check_spreads(c, e, elem ? type_list(c->arena, elem) : NULL, TYPE_LIST);
}

static bool
is_key(const struct type *t)
{
	switch (t->kind) {
	case TYPE_STRING:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_BOOL:
	case TYPE_FILE:
	case TYPE_TOP:
	case TYPE_BOTTOM:
		return true;
	default:
		return false;
	}
}

static const struct type *
check_map(struct checker *c, struct expr *e)
{
	const struct type *key = NULL, *elem = type_bottom;
	bool ok = true;

	for (size_t i = 0; i < e->nentries; i++) {
		const struct type *k = check_expr(c, e->entry[i].key), *v = check_expr(c, e->entry[i].value);

		if (k != NULL && !is_key(k)) {
			diag_error(
			    c->diags, &e->entry[i].key->span, "type %s cannot be the key of a map", type_text(c, k));
			k = NULL;
		}
		key = i == 0 ? k : check_unify(c, "the keys differ", key, k, &e->entry[i].key->span);
		elem = check_unify(c, "the values differ", elem, v, &e->entry[i].value->span);
		ok &= key != NULL && elem != NULL;
	}
	return check_spreads(c, e, ok ? type_map(c->arena, key ? key : type_top, elem) : NULL, TYPE_MAP);
}

/* What a clause enumerates, element by element. */
static const struct type *
enum_type(struct checker *c, const struct type *t, const struct span *span)
{
	struct type_field f[2] = { { NULL, type_string }, { NULL, type_file } };

	switch (t->kind) {
	case TYPE_BOTTOM:
		return t;
	case TYPE_LIST:
		return t->elem;
	case TYPE_MAP:
		f[0].type = t->key;
		f[1].type = t->elem;
		return type_tuple(c->arena, f, 2);
	case TYPE_DIR:
		return type_tuple(c->arena, f, 2);
	default:
		diag_error(c->diags, span, "expected list, map, or dir, got %s", type_text(c, t));
		return NULL;
	}
}

static const struct type *
check_compr(struct checker *c, struct expr *e)
{
	struct scope_cell *mark = c->scope;
	size_t errors = diags_errors(c->diags);
	bool ok = true, flow = false;
	const struct type *t;

	if (e->clause[0].kind != CLAUSE_ENUM) {
		diag_error(
		    c->diags, &e->clause[0].span, "a comprehension must begin with an enumeration: [e | x <- list]");
		return NULL;
	}
	for (size_t i = 0; i < e->nclauses; i++) {
		struct expr_clause *cl = &e->clause[i];

		if (cl->kind == CLAUSE_FILTER) {
			ok &= check_is_bool(c, cl->expr, &t);
		} else {
			t = check_expr(c, cl->expr);
			ok &= t != NULL;
			ok &= check_pat(c, cl->pat, t ? enum_type(c, t, &cl->expr->span) : NULL, BIND_LOCAL);
		}
		flow |= t != NULL && t->flow;
	}
	t = check_expr(c, e->a);
	check_close(c, mark, diags_errors(c->diags) == errors);
	return ok && t != NULL ? flow_if(c, type_list(c->arena, t), flow) : NULL;
}

static void
no_field(struct checker *c, const struct expr *e, const struct type *t)
{
	const struct unit *u = c->p->units;
	char *missing = NULL;

	while (u != NULL && (u->sys == NULL || u->type != t))
		u = u->next;
	if (u != NULL)
		missing = sys_missing(u->sys, e->name);
	if (missing != NULL)
		diag_error(c->diags, &e->op_span, "%s", missing);
	else
		diag_error(c->diags, &e->op_span, "field \"%s\" not found in %s", e->name,
		    t->kind == TYPE_STRUCT ? type_text(c, t) : "the module");
	free(missing);
}

static const struct type *
check_field(struct checker *c, struct expr *e)
{
	const struct type *t = check_expr(c, e->a), *f;

	if (t == NULL)
		return NULL;
	if (t->kind == TYPE_BOTTOM)
		return t;
	if (t->kind != TYPE_STRUCT && t->kind != TYPE_MODULE) {
		diag_error(c->diags, &e->span, "expected struct or module, got %s", type_text(c, t));
		return NULL;
	}
	f = type_field(t, e->name);
	if (f == NULL)
		no_field(c, e, t);
	return flow_if(c, f, t->flow);
}

static const struct type *
check_index(struct checker *c, struct expr *e)
{
	const struct type *t = check_expr(c, e->a), *i = check_expr(c, e->b), *want;

	if (t == NULL || i == NULL)
		return NULL;
	if (t->kind != TYPE_LIST && t->kind != TYPE_MAP) {
		diag_error(c->diags, &e->span, "expected list or map, got %s", type_text(c, t));
		return NULL;
	}
	want = t->kind == TYPE_LIST ? type_int : t->key;
	if (i->kind != TYPE_BOTTOM && want->kind != TYPE_TOP && !type_equal(i, want)) {
		diag_error(c->diags, &e->b->span, "cannot index %s with type %s", type_text(c, t), type_text(c, i));
		return NULL;
	}
	return flow_if(c, t->elem, t->flow || i->flow);
}

static const struct type *
check_variant(struct checker *c, struct expr *e)
{
	struct type_field f = { e->name, NULL };

	if (e->a != NULL && (f.type = check_expr(c, e->a)) == NULL)
		return NULL;
	return type_sum(c->arena, &f, 1);
}

static const struct type *
expr_type(struct checker *c, struct expr *e)
{
	switch (e->kind) {
	case EXPR_INT:
		return type_int;
	case EXPR_FLOAT:
		return check_float_literal(c, e);
	case EXPR_STRING:
		return type_string;
	case EXPR_BOOL:
		return type_bool;
	case EXPR_IDENT:
		return check_ident(c, e);
	case EXPR_BINARY:
		return check_binary(c, e);
	case EXPR_UNARY:
		return check_unary(c, e);
	case EXPR_CALL:
		return check_call(c, e);
	case EXPR_FIELD:
		return check_field(c, e);
	case EXPR_INDEX:
		return check_index(c, e);
	case EXPR_COND:
		return check_cond(c, e);
	case EXPR_SWITCH:
		return check_switch(c, e);
	case EXPR_BLOCK:
		return check_block(c, e);
	case EXPR_FUNC:
		return check_func(c, e);
	case EXPR_EXEC:
		return check_exec(c, e);
	case EXPR_MAKE:
		return check_make(c, e);
	case EXPR_TUPLE:
		return check_tuple(c, e);
	case EXPR_STRUCT:
		return check_struct(c, e);
	case EXPR_LIST:
		return check_list(c, e);
	case EXPR_MAP:
		return check_map(c, e);
	case EXPR_COMPR:
		return check_compr(c, e);
	case EXPR_VARIANT:
		return check_variant(c, e);
	}
	return NULL;
}

const struct type *
check_expr(struct checker *c, struct expr *e)
{
	if (diags_full(c->diags))
		return NULL;
	e->type = check_depth(c, expr_type(c, e), &e->span);
	return e->type;
}
