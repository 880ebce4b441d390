/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/check.h"

#include <string.h>

/*
 * exec, make and @requires: expressions with named parameters. What is easy to get wrong: inside a
 * template a plain name that equals an output means the output, whatever else has that name.
 */
enum want {
	WANT_STRING = 1,
	WANT_INT = 2,
	WANT_FLOAT = 4,
	WANT_BOOL = 8,
	WANT_STRINGS = 16,
	WANT_NOW = 32,	/* must not be delayed */
};
struct named_param {
	const char *name;
	unsigned    want;
};

static const struct named_param exec_params[] = {
    {"image", WANT_STRING | WANT_NOW},
    {"cpu", WANT_INT | WANT_FLOAT},
    {"mem", WANT_INT},
    {"disk", WANT_INT},
    {"cpufeatures", WANT_STRINGS},
    {"nondeterministic", WANT_BOOL},
};
static const struct named_param requires_params[] = {
	{ "cpu", WANT_INT | WANT_FLOAT | WANT_NOW }, { "mem", WANT_INT | WANT_NOW }, { "disk", WANT_INT | WANT_NOW },
	{ "cpufeatures", WANT_STRINGS | WANT_NOW }, { "wide", WANT_BOOL | WANT_NOW },
};

static const char *
want_text(unsigned want)
{
	switch (want & ~(unsigned)WANT_NOW) {
	case WANT_STRING:
		return "string";
	case WANT_INT:
		return "int";
	case WANT_INT | WANT_FLOAT:
		return "int or float";
	case WANT_BOOL:
		return "bool";
	default:
		return "[string]";
	}
}

static bool
wanted(const struct type *t, unsigned want)
{
	switch (t->kind) {
	case TYPE_BOTTOM:
		return true;
	case TYPE_STRING:
		return want & WANT_STRING;
	case TYPE_INT:
		return want & WANT_INT;
	case TYPE_FLOAT:
		return want & WANT_FLOAT;
	case TYPE_BOOL:
		return want & WANT_BOOL;
	case TYPE_LIST:
		return (want & WANT_STRINGS) && (t->elem->kind == TYPE_STRING || t->elem->kind == TYPE_BOTTOM);
	default:
		return false;
	}
}

static void
check_named(struct checker *c, struct decl *d, const char *of, const struct named_param *params, size_t n)
{
	const struct type *t;

	if (d->kind != DECL_VAL || d->name == NULL || d->nrequires > 0) {
		diag_error(c->diags, &d->span, "%s parameters have the form name := value", of);
		return;
	}
	t = check_expr(c, d->expr);
	d->type = t;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(params[i].name, d->name) != 0)
			continue;
		if (t != NULL && !wanted(t, params[i].want))
			diag_error(c->diags, &d->span, "%s parameter %s must be of type %s, got %s", of, d->name,
			    want_text(params[i].want), type_text(c, t));
		else if (t != NULL && t->flow && (params[i].want & WANT_NOW))
			diag_error(c->diags, &d->span,
			    "%s parameter %s must be known before anything runs, but is delayed", of, d->name);
		return;
	}
	diag_error(c->diags, &d->span, "unrecognized %s parameter %s", of, d->name);
}

static void
no_doubles(struct checker *c, struct decl *const *d, size_t n, const char *of)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (d[i]->name && d[k]->name && strcmp(d[i]->name, d[k]->name) == 0)
				diag_error(c->diags, &d[i]->span, "%s parameter %s is given twice", of, d[i]->name);
}

void
check_requires(struct checker *c, struct requires *r)
{
	for (size_t i = 0; i < r->ndecls; i++)
		check_named(c, r->decl[i], "@requires", requires_params, nitems(requires_params));
	no_doubles(c, r->decl, r->ndecls, "@requires");
}

static bool
add_output(struct checker *c, struct exec_note *n, const char *label, const struct type *t, const struct span *span)
{
	if (t->kind != TYPE_FILE && t->kind != TYPE_DIR) {
		diag_error(c->diags, span, "execs can only return files and dirs, not %s", type_text(c, t));
		return false;
	}
	if (label == NULL) {
		diag_error(c->diags, span, "output %zu (type %s) must be labelled", n->nouts, type_text(c, t));
		return false;
	}
	for (size_t i = 0; i < n->nouts; i++) {
		if (strcmp(n->outs[i].name, label) != 0)
			continue;
		diag_error(c->diags, span, "two outputs have the name %s", label);
		return false;
	}
	n->outs[n->nouts].name = label;
	n->outs[n->nouts++].dir = t->kind == TYPE_DIR;
	return true;
}

static bool
check_outputs(struct checker *c, struct texpr *x, struct exec_note *n)
{
	const struct type *t = check_texpr(c, x);
	bool ok = true;

	if (t == NULL)
		return false;
	n->outs = arena_alloc(c->arena, (t->nfields + 1) * sizeof *n->outs);
	if (t->kind != TYPE_TUPLE)
		return add_output(c, n, t->label, t, &x->span);
	for (size_t i = 0; i < t->nfields && ok; i++)
		ok = add_output(c, n, t->fields[i].name, t->fields[i].type, &x->field[i].span);
	return ok;
}

static int
output_named(const struct exec_note *n, const struct expr *e)
{
	if (e->kind == EXPR_IDENT)
		for (size_t i = 0; i < n->nouts; i++)
			if (strcmp(n->outs[i].name, e->name) == 0)
				return (int)i;
	return -1;
}

static bool
insertable(const struct type *t)
{
	switch (t->kind) {
	case TYPE_BOTTOM:
	case TYPE_STRING:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_FILE:
	case TYPE_DIR:
		return true;
	case TYPE_LIST:
		return t->elem->kind == TYPE_FILE || t->elem->kind == TYPE_DIR || t->elem->kind == TYPE_BOTTOM;
	default:
		return false;
	}
}

static bool
check_template(struct checker *c, struct expr *e, struct exec_note *n)
{
	bool *written = arena_alloc(c->arena, n->nouts + 1), ok = true;

	n->part = arena_alloc(c->arena, (e->nparts + 1) * sizeof *n->part);
	n->inserted = arena_alloc(c->arena, (e->nparts + 1) * sizeof *n->inserted);
	for (size_t i = 0; i < e->nparts; i++) {
		const struct type *t;

		n->part[i] = -1;
		if (e->part[i].expr == NULL)
			continue;
		if ((n->part[i] = output_named(n, e->part[i].expr)) >= 0) {
			written[n->part[i]] = true;
			continue;
		}
		n->inserted[n->ninserted++] = e->part[i].expr;
		if ((t = check_expr(c, e->part[i].expr)) != NULL && !insertable(t)) {
			diag_error(c->diags, &e->part[i].span, "cannot insert a value of type %s into a command",
			    type_text(c, t));
			diag_hint(c->diags, "a command takes file, dir, string, int, float, [file] and [dir]");
		}
		ok &= t != NULL && insertable(t);
	}
	for (size_t i = 0; i < n->nouts; i++) {
		if (written[i])
			continue;
		diag_error(c->diags, &e->texpr->span, "the command never mentions its output %s: write to {{%s}}",
		    n->outs[i].name, n->outs[i].name);
		return false;
	}
	return ok;
}

static bool
has_image(const struct expr *e)
{
	for (size_t i = 0; i < e->ndecls; i++)
		if (e->decl[i]->name != NULL && strcmp(e->decl[i]->name, "image") == 0)
			return true;
	return false;
}

const struct type *
check_exec(struct checker *c, struct expr *e)
{
	struct exec_note *n = arena_alloc(c->arena, sizeof *n);
	size_t errors = diags_errors(c->diags);
	bool ok;

	for (size_t i = 0; i < e->ndecls; i++)
		check_named(c, e->decl[i], "exec", exec_params, nitems(exec_params));
	no_doubles(c, e->decl, e->ndecls, "exec");
	if (!has_image(e)) {
		diag_error(c->diags, &e->span, "exec needs the parameter image");
		diag_hint(c->diags, "image := \"host\" runs a command with the programs of this machine");
	}
	ok = check_outputs(c, e->texpr, n) && check_template(c, e, n);
	e->note = n;
	if (!ok || diags_errors(c->diags) != errors)
		return NULL;
	return flow_if(c, e->texpr->type, true);
}

static void
check_make_param(struct checker *c, struct unit *u, struct decl *d)
{
	const struct type *t;
	const struct param *p;

	if (d->kind != DECL_VAL || d->name == NULL || d->nrequires > 0) {
		diag_error(c->diags, &d->span, "module parameters have the form name := value");
		return;
	}
	t = check_expr(c, d->expr);
	if (d->texpr != NULL) {
		const struct type *as = check_texpr(c, d->texpr);

		check_ascribe(c, d->name, t, as, &d->span);
		t = flow_if(c, as, t != NULL && t->flow);
	}
	d->type = t;
	p = unit_param(u, d->name, NULL);
	if (p == NULL)
		diag_error(c->diags, &d->span, "module has no parameter %s", d->name);
	else if (t != NULL && p->type != NULL && !type_sub(t, p->type))
		diag_error(c->diags, &d->span, "invalid type %s for parameter %s (type %s)", type_text(c, t), d->name,
		    type_text(c, p->type));
}

static bool
is_given(const struct expr *e, const char *name)
{
	for (size_t i = 0; i < e->ndecls; i++)
		if (e->decl[i]->name != NULL && strcmp(e->decl[i]->name, name) == 0)
			return true;
	return false;
}

static void
check_missing(struct checker *c, struct unit *u, struct expr *e)
{
	const char *missing = NULL;
	size_t n = 0;

	for (size_t i = 0; u->ast != NULL && i < u->ast->nparams; i++) {
		const struct param *p = &u->ast->param[i];

		if (p->expr != NULL || is_given(e, p->name))
			continue;
		missing = n++ ? arena_printf(c->arena, "%s, %s", missing, p->name) : p->name;
	}
	if (n > 0)
		diag_error(c->diags, &e->span, "missing required module parameter%s %s", n > 1 ? "s" : "", missing);
}

const struct type *
check_make(struct checker *c, struct expr *e)
{
	struct unit *u;

	if (strlen(e->str.p) != e->str.len) {
		diag_error(c->diags, &e->span, "the path of a module cannot hold a NUL");
		return NULL;
	}
	u = unit_get(c->p, c->u, e->str.p, &e->span);
	e->note = u;
	if (u == NULL)
		return NULL;
	for (size_t i = 0; i < e->ndecls; i++)
		check_make_param(c, u, e->decl[i]);
	no_doubles(c, e->decl, e->ndecls, "module");
	check_missing(c, u, e);
	return u->type;
}
