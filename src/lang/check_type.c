/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/check.h"

#include <string.h>

/*
 * Types as written become types. What is easy to get wrong: a group `a, b int` shares one written type,
 * which is checked once and remembered.
 */

static const struct type *
alias_of_module(struct checker *c, const struct texpr *x)
{
	const struct binding *b = check_lookup(c, x->path[0]);
	const struct type *t = b ? b->type : NULL;

	if (b == NULL)
		return NULL;
	((struct binding *)b)->used = true;
	for (size_t i = 1; t != NULL && i + 1 < x->npath; i++)
		t = t->kind == TYPE_MODULE || t->kind == TYPE_STRUCT ? type_field(t, x->path[i]) : NULL;
	if (t == NULL || t->kind != TYPE_MODULE)
		return NULL;
	for (size_t i = 0; i < t->naliases; i++)
		if (strcmp(t->aliases[i].name, x->path[x->npath - 1]) == 0)
			return t->aliases[i].type;
	return NULL;
}

static const char *
path_text(struct checker *c, const struct texpr *x)
{
	const char *text = x->path[0];

	for (size_t i = 1; i < x->npath; i++)
		text = arena_printf(c->arena, "%s.%s", text, x->path[i]);
	return text;
}

static bool
alias_is_broken(struct checker *c, const char *name)
{
	for (struct scope_cell *cell = c->scope; cell != NULL; cell = cell->next)
		if (cell->alias != NULL && strcmp(cell->alias, name) == 0)
			return cell->type == NULL;
	return false;
}

static const struct type *
check_alias_path(struct checker *c, const struct texpr *x)
{
	const struct type *t = x->npath == 1 ? check_alias(c, x->path[0]) : alias_of_module(c, x);

	if (t == NULL && !(x->npath == 1 && alias_is_broken(c, x->path[0])))
		diag_error(c->diags, &x->span, "type alias %s not found", path_text(c, x));
	return t;
}

/* The fields with their types; false if one is in error. Names, where there are any, are unique. */
static bool
check_tfields(struct checker *c, const struct texpr *x, struct type_field *f, const char *what)
{
	bool ok = true;

	for (size_t i = 0; i < x->nfields; i++) {
		f[i].name = x->field[i].name;
		f[i].type = x->field[i].type ? check_texpr(c, x->field[i].type) : NULL;
		ok &= x->field[i].type == NULL || f[i].type != NULL;
		for (size_t k = 0; k < i && what != NULL; k++) {
			if (strcmp(f[k].name, f[i].name) != 0)
				continue;
			diag_error(c->diags, &x->field[i].span, "%s %s stands twice in one type", what, f[i].name);
			ok = false;
		}
	}
	return ok;
}

static const struct type *
check_fields_type(struct checker *c, const struct texpr *x)
{
	bool named = x->kind == TEXPR_STRUCT || x->kind == TEXPR_MODULE;
	struct type_field *f = arena_alloc(c->arena, (x->nfields + 1) * sizeof *f);
	const struct type *result;

	if (!check_tfields(c, x, f, x->kind == TEXPR_SUM ? "variant" : named ? "field" : NULL))
		return NULL;
	switch (x->kind) {
	case TEXPR_TUPLE:
		return type_tuple(c->arena, f, x->nfields);
	case TEXPR_STRUCT:
		return type_struct(c->arena, f, x->nfields);
	case TEXPR_MODULE:
		return type_module(c->arena, f, x->nfields, NULL, 0);
	case TEXPR_SUM:
		return type_sum(c->arena, f, x->nfields);
	default:
		result = check_texpr(c, x->elem);
		return result ? type_func(c->arena, f, x->nfields, result) : NULL;
	}
}

static const struct type *
check_map_type(struct checker *c, const struct texpr *x)
{
	const struct type *key = check_texpr(c, x->key), *elem = check_texpr(c, x->elem);

	if (key == NULL || elem == NULL)
		return NULL;
	switch (key->kind) {
	case TYPE_STRING:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_BOOL:
	case TYPE_FILE:
		return type_map(c->arena, key, elem);
	default:
		diag_error(c->diags, &x->key->span, "type %s cannot be the key of a map", type_text(c, key));
		return NULL;
	}
}

static const struct type *
texpr_type(struct checker *c, struct texpr *x)
{
	const struct type *t;

	switch (x->kind) {
	case TEXPR_INT:
		return type_int;
	case TEXPR_FLOAT:
		return type_float;
	case TEXPR_STRING:
		return type_string;
	case TEXPR_BOOL:
		return type_bool;
	case TEXPR_FILE:
		return type_file;
	case TEXPR_DIR:
		return type_dir;
	case TEXPR_UNIT:
		return type_unit;
	case TEXPR_ALIAS:
		return check_alias_path(c, x);
	case TEXPR_LIST:
		t = check_texpr(c, x->elem);
		return t ? type_list(c->arena, t) : NULL;
	case TEXPR_MAP:
		return check_map_type(c, x);
	default:
		return check_fields_type(c, x);
	}
}

const struct type *
check_texpr(struct checker *c, struct texpr *x)
{
	const struct type *t = x->type;

	if (t == NULL)
		t = check_depth(c, texpr_type(c, x), &x->span);
	if (t != NULL && x->label != NULL && t->label == NULL)
		t = type_labelled(c->arena, t, x->label);
	x->type = t;
	return t;
}
