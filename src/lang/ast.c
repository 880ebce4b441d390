/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/ast.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "lang/print.h"

/*
 * Equality of trees: what was written, not where. Strings are equal by content, however they were quoted; all else
 * that the printer keeps (the form of a declaration, `{a}` for `{a: a}`) counts.
 */

static bool
same_name(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool
same_str(const struct ast_str *a, const struct ast_str *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

static bool
same_tfields(size_t na, const struct tfield *a, size_t nb, const struct tfield *b)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (!same_name(a[i].name, b[i].name) || !texpr_equal(a[i].type, b[i].type))
			return false;
	return true;
}

bool
texpr_equal(const struct texpr *a, const struct texpr *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->kind != b->kind || !same_name(a->label, b->label) || a->npath != b->npath)
		return false;
	for (size_t i = 0; i < a->npath; i++)
		if (strcmp(a->path[i], b->path[i]) != 0)
			return false;
	return texpr_equal(a->key, b->key) && texpr_equal(a->elem, b->elem) &&
	    same_tfields(a->nfields, a->field, b->nfields, b->field);
}

bool
pat_equal(const struct pat *a, const struct pat *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->kind != b->kind || !same_name(a->name, b->name) || a->nelems != b->nelems ||
	    a->has_tail != b->has_tail || a->nfields != b->nfields)
		return false;
	for (size_t i = 0; i < a->nelems; i++)
		if (!pat_equal(a->elem[i], b->elem[i]))
			return false;
	for (size_t i = 0; i < a->nfields; i++)
		if (!same_name(a->field[i].name, b->field[i].name) || a->field[i].brief != b->field[i].brief ||
		    !pat_equal(a->field[i].pat, b->field[i].pat))
			return false;
	return pat_equal(a->tail, b->tail) && pat_equal(a->arg, b->arg);
}

static bool
same_exprs(size_t na, struct expr *const *a, size_t nb, struct expr *const *b)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (!expr_equal(a[i], b[i]))
			return false;
	return true;
}

static bool
same_decls(size_t na, struct decl *const *a, size_t nb, struct decl *const *b)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (!decl_equal(a[i], b[i]))
			return false;
	return true;
}

static bool
same_entries(const struct expr *a, const struct expr *b)
{
	if (a->nentries != b->nentries || a->nfields != b->nfields)
		return false;
	for (size_t i = 0; i < a->nentries; i++)
		if (!expr_equal(a->entry[i].key, b->entry[i].key) || !expr_equal(a->entry[i].value, b->entry[i].value))
			return false;
	for (size_t i = 0; i < a->nfields; i++)
		if (!same_name(a->field[i].name, b->field[i].name) || a->field[i].brief != b->field[i].brief ||
		    !expr_equal(a->field[i].expr, b->field[i].expr))
			return false;
	return true;
}

static bool
same_clauses(const struct expr *a, const struct expr *b)
{
	if (a->ncases != b->ncases || a->nclauses != b->nclauses)
		return false;
	for (size_t i = 0; i < a->ncases; i++)
		if (!pat_equal(a->cases[i].pat, b->cases[i].pat) || !expr_equal(a->cases[i].body, b->cases[i].body))
			return false;
	for (size_t i = 0; i < a->nclauses; i++)
		if (a->clause[i].kind != b->clause[i].kind || !pat_equal(a->clause[i].pat, b->clause[i].pat) ||
		    !expr_equal(a->clause[i].expr, b->clause[i].expr))
			return false;
	return true;
}

static bool
same_exec(const struct expr *a, const struct expr *b)
{
	if (a->nparams != b->nparams || a->nparts != b->nparts)
		return false;
	for (size_t i = 0; i < a->nparams; i++)
		if (!same_name(a->param[i].name, b->param[i].name) || !texpr_equal(a->param[i].type, b->param[i].type))
			return false;
	for (size_t i = 0; i < a->nparts; i++)
		if (!same_str(&a->part[i].text, &b->part[i].text) || !expr_equal(a->part[i].expr, b->part[i].expr))
			return false;
	return texpr_equal(a->texpr, b->texpr);
}

struct expr **
expr_chain(const struct expr *e, size_t *n)
{
	struct expr **chain;
	size_t i = 1;

	for (const struct expr *x = e; x->a->kind == EXPR_BINARY; x = x->a)
		i++;
	*n = i;
	chain = xcalloc(i, sizeof *chain);
	chain[0] = (struct expr *)(uintptr_t)e;
	for (i = 1; i < *n; i++)
		chain[i] = chain[i - 1]->a;
	return chain;
}

static bool
same_but_left(const struct expr *a, const struct expr *b)
{
	if (a->kind != b->kind || a->op != b->op || !same_name(a->name, b->name) || !same_str(&a->str, &b->str) ||
	    a->boolean != b->boolean || a->braces != b->braces)
		return false;
	return expr_equal(a->b, b->b) && expr_equal(a->c, b->c) &&
	    same_exprs(a->nelems, a->elem, b->nelems, b->elem) &&
	    same_exprs(a->nspreads, a->spread, b->nspreads, b->spread) && same_entries(a, b) && same_clauses(a, b) &&
	    same_decls(a->ndecls, a->decl, b->ndecls, b->decl) && same_exec(a, b);
}

bool
expr_equal(const struct expr *a, const struct expr *b)
{
	for (; a != NULL && b != NULL; a = a->a, b = b->a)
		if (!same_but_left(a, b))
			return false;
	return a == b;
}

bool
decl_equal(const struct decl *a, const struct decl *b)
{
	if (a->kind != b->kind || a->form != b->form || !same_name(a->name, b->name) || a->nrequires != b->nrequires)
		return false;
	for (size_t i = 0; i < a->nrequires; i++)
		if (!same_decls(a->req[i].ndecls, a->req[i].decl, b->req[i].ndecls, b->req[i].decl))
			return false;
	return pat_equal(a->pat, b->pat) && texpr_equal(a->texpr, b->texpr) && expr_equal(a->expr, b->expr);
}

bool
module_equal(const struct module *a, const struct module *b)
{
	if (a->has_keyspace != b->has_keyspace || !same_str(&a->keyspace, &b->keyspace) || a->nparams != b->nparams)
		return false;
	for (size_t i = 0; i < a->nparams; i++)
		if (!same_name(a->param[i].name, b->param[i].name) ||
		    !texpr_equal(a->param[i].texpr, b->param[i].texpr) ||
		    !expr_equal(a->param[i].expr, b->param[i].expr))
			return false;
	return same_decls(a->ndecls, a->decl, b->ndecls, b->decl);
}
