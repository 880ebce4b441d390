/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/*
 * The type checker: scopes, declarations and modules. What is easy to get wrong: a name is in scope from
 * its own declaration on and no earlier, so a function sees only what stands above it, and itself if the
 * type of its result is written.
 */

struct binding *
check_bind(
    struct checker *c, enum binding_kind kind, const char *name, const struct type *type, const struct span *span)
{
	struct binding *b = arena_alloc(c->arena, sizeof *b);
	struct scope_cell *cell = arena_alloc(c->arena, sizeof *cell);

	b->kind = kind;
	b->name = name;
	b->type = type;
	b->span = *span;
	cell->binding = b;
	cell->next = c->scope;
	c->scope = cell;
	return b;
}

void
check_bind_alias(struct checker *c, const char *name, const struct type *type)
{
	struct scope_cell *cell = arena_alloc(c->arena, sizeof *cell);

	cell->alias = name;
	cell->type = type;
	cell->next = c->scope;
	c->scope = cell;
}

static void
warn_unused(struct checker *c, const struct scope_cell *cell)
{
	const struct binding *b = cell->binding;

	if (b == NULL || b->used || b->type == NULL || b->kind == BIND_PARAM || b->kind == BIND_CONST)
		return;
	if (b->kind == BIND_DECL && name_is_exported(b->name))
		return;
	diag_warn(c->diags, &b->span, "%s declared and not used", b->name);
}

/* Warns in the order of the text, which is the reverse of the list. */
void
check_close(struct checker *c, struct scope_cell *mark, bool warn)
{
	struct scope_cell *cell, *next, *reversed = NULL;

	for (cell = c->scope; cell != mark; cell = next) {
		next = cell->next;
		cell->next = reversed;
		reversed = cell;
	}
	for (cell = reversed; warn && cell != NULL; cell = cell->next)
		warn_unused(c, cell);
	c->scope = mark;
}

struct binding *
check_lookup(struct checker *c, const char *name)
{
	for (struct scope_cell *cell = c->scope; cell != NULL; cell = cell->next)
		if (cell->binding != NULL && strcmp(cell->binding->name, name) == 0)
			return cell->binding;
	for (size_t i = 0; i < c->p->nconsts; i++)
		if (strcmp(c->p->consts[i]->name, name) == 0)
			return c->p->consts[i];
	return NULL;
}

const struct type *
check_alias(struct checker *c, const char *name)
{
	for (struct scope_cell *cell = c->scope; cell != NULL; cell = cell->next)
		if (cell->alias != NULL && strcmp(cell->alias, name) == 0)
			return cell->type;
	return NULL;
}

const char *
type_text(struct checker *c, const struct type *t)
{
	struct buf b = BUF_INIT;
	const char *text;

	type_str(t, &b);
	text = arena_strndup(c->arena, buf_str(&b), b.len);
	buf_release(&b);
	return text;
}

bool
check_ascribe(struct checker *c, const char *what, const struct type *t, const struct type *u, const struct span *span)
{
	if (t == NULL || u == NULL || type_sub(t, u))
		return true;
	diag_error(c->diags, span, "cannot use %s (type %s) as type %s", what, type_text(c, t), type_text(c, u));
	return false;
}

const struct type *
check_unify(struct checker *c, const char *what, const struct type *t, const struct type *u, const struct span *span)
{
	const struct type *both;
	char *why = NULL;

	if (t == NULL || u == NULL)
		return NULL;
	both = type_unify(c->arena, t, u, &why);
	if (both == NULL)
		diag_error(c->diags, span, "%s: %s", what, why);
	free(why);
	return both;
}

const struct type *
check_depth(struct checker *c, const struct type *t, const struct span *span)
{
	if (t == NULL || t->depth <= TYPE_MAX_DEPTH)
		return t;
	diag_error(c->diags, span, "the type is nested deeper than %d levels", TYPE_MAX_DEPTH);
	return NULL;
}

const struct type *
flow_if(struct checker *c, const struct type *t, bool flow)
{
	return t != NULL && flow ? type_as_flow(c->arena, t) : t;
}

/* A function that says what it gives is in scope of its own body. */
static struct binding *
bind_self(struct checker *c, struct decl *d)
{
	struct expr *f = d->expr;
	struct type_field *args;
	const struct type *result;

	if (d->form != FORM_FUNC || f->kind != EXPR_FUNC || f->texpr == NULL)
		return NULL;
	args = arena_alloc(c->arena, f->nparams * sizeof *args);
	for (size_t i = 0; i < f->nparams; i++) {
		args[i].name = f->param[i].name;
		if ((args[i].type = check_texpr(c, f->param[i].type)) == NULL)
			return NULL;
	}
	if ((result = check_texpr(c, f->texpr)) == NULL)
		return NULL;
	return check_bind(c, BIND_LOCAL, d->name, type_func(c->arena, args, f->nparams, result), &d->name_span);
}

static const char *
decl_ident(struct checker *c, const struct decl *d)
{
	return d->name != NULL ? arena_printf(c->arena, "%s.%s", c->ident, d->name) : c->ident;
}

static void
check_val(struct checker *c, struct decl *d, enum binding_kind kind)
{
	struct scope_cell *mark = c->scope;
	const char *outer = c->ident, *what = d->name != NULL ? d->name : "value";
	struct binding *self;
	const struct type *t, *u;

	c->ident = decl_ident(c, d);
	d->note = (void *)c->ident;
	for (size_t i = 0; i < d->nrequires; i++)
		check_requires(c, &d->req[i]);
	self = bind_self(c, d);
	t = check_expr(c, d->expr);
	check_close(c, mark, false);
	if (d->expr->kind == EXPR_FUNC && d->expr->note != NULL)
		((struct func_note *)d->expr->note)->self = self;
	c->ident = outer;
	if (d->texpr != NULL) {
		u = check_texpr(c, d->texpr);
		if (t != NULL && u != NULL)
			check_ascribe(c, what, t, u, &d->span);
		t = flow_if(c, u, t != NULL && t->flow);
	}
	d->type = check_depth(c, t, &d->span);
	check_pat(c, d->pat, d->type, kind);
}

void
check_decl(struct checker *c, struct decl *d, enum binding_kind kind)
{
	if (d->kind == DECL_VAL) {
		check_val(c, d, kind);
		return;
	}
	d->type = check_texpr(c, d->texpr);
	check_bind_alias(c, d->name, d->type);
}

static void
check_param(struct checker *c, struct param *p)
{
	const char *outer = c->ident;
	const struct type *t = NULL, *u = NULL;

	c->ident = arena_printf(c->arena, "%s.%s", outer, p->name);
	if (p->expr != NULL)
		t = check_expr(c, p->expr);
	c->ident = outer;
	if (p->texpr != NULL) {
		u = check_texpr(c, p->texpr);
		if (t != NULL && u != NULL)
			check_ascribe(c, p->name, t, u, &p->span);
		t = u;
	}
	p->type = check_depth(c, t, &p->span);
	p->note = check_bind(c, BIND_PARAM, p->name, p->type, &p->span);
}

static void
add_field(struct type_field *f, size_t *n, const char *name, const struct type *type)
{
	for (size_t i = 0; i < *n; i++) {
		if (strcmp(f[i].name, name) == 0) {
			f[i].type = type;
			return;
		}
	}
	f[(*n)++] = (struct type_field){ name, type };
}

/* What an instance shows: exported values in the order of the text, and exported types. A name bound again: the last
 * counts. */
static const struct type *
module_type(struct checker *c, struct scope_cell *mark)
{
	struct type_field *vals, *aliases;
	struct scope_cell **cells, *cell;
	size_t n = 0, nvals = 0, naliases = 0;
	bool ok = true;

	for (cell = c->scope; cell != mark; cell = cell->next)
		n++;
	cells = arena_alloc(c->arena, (n + 1) * sizeof(struct scope_cell *));
	vals = arena_alloc(c->arena, (n + 1) * sizeof *vals);
	aliases = arena_alloc(c->arena, (n + 1) * sizeof *aliases);
	for (cell = c->scope; cell != mark; cell = cell->next)
		cells[--n] = cell;
	for (size_t i = 0; cells[i] != NULL; i++) {
		const char *name = cells[i]->alias ? cells[i]->alias : cells[i]->binding->name;
		const struct type *t = cells[i]->alias ? cells[i]->type : cells[i]->binding->type;

		if (!name_is_exported(name) || (cells[i]->binding && cells[i]->binding->kind != BIND_DECL))
			continue;
		ok &= t != NULL;
		if (cells[i]->alias != NULL)
			add_field(aliases, &naliases, name, t);
		else
			add_field(vals, &nvals, name, t);
	}
	return ok ? type_module(c->arena, vals, nvals, aliases, naliases) : NULL;
}

void
check_unit(struct program *p, struct unit *u)
{
	struct checker c = { .p = p, .u = u, .arena = p->arena, .diags = &p->diags, .ident = u->base };
	size_t errors = diags_errors(c.diags);

	for (size_t i = 0; i < u->ast->nparams; i++)
		check_param(&c, &u->ast->param[i]);
	for (size_t i = 0; i < u->ast->ndecls; i++)
		check_decl(&c, u->ast->decl[i], BIND_DECL);
	u->type = module_type(&c, NULL);
	/* An error may hide a use. */
	check_close(&c, NULL, diags_errors(c.diags) == errors);
}
