/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/check.h"

#include <string.h>

/*
 * Patterns against types. Every name of the pattern gets bound, also when the pattern does not fit: to
 * no type, so that its uses are not reported again.
 */

static bool
check_tuple_pat(struct checker *c, struct pat *p, const struct type *t, enum binding_kind kind)
{
	bool ok = t == NULL || t->kind == TYPE_BOTTOM || (t->kind == TYPE_TUPLE && t->nfields == p->nelems);

	if (t != NULL && t->kind == TYPE_TUPLE && !ok)
		diag_error(c->diags, &p->span, "expected tuple of size %zu, got %zu (%s)", p->nelems, t->nfields,
		    type_text(c, t));
	else if (!ok)
		diag_error(c->diags, &p->span, "expected tuple, got %s", type_text(c, t));
	for (size_t i = 0; i < p->nelems; i++) {
		const struct type *et = ok && t ? (t->kind == TYPE_TUPLE ? t->fields[i].type : t) : NULL;

		ok &= check_pat(c, p->elem[i], flow_if(c, et, t && t->flow), kind);
	}
	return ok;
}

static bool
check_list_pat(struct checker *c, struct pat *p, const struct type *t, enum binding_kind kind)
{
	bool ok = t == NULL || t->kind == TYPE_LIST || t->kind == TYPE_BOTTOM;
	const struct type *et = ok && t ? (t->kind == TYPE_LIST ? t->elem : t) : NULL;

	if (!ok)
		diag_error(c->diags, &p->span, "expected list, got %s", type_text(c, t));
	for (size_t i = 0; i < p->nelems; i++)
		ok &= check_pat(c, p->elem[i], flow_if(c, et, t && t->flow), kind);
	if (p->tail != NULL)
		ok &= check_pat(c, p->tail, ok ? t : NULL, kind);
	return ok;
}

static bool
check_struct_pat(struct checker *c, struct pat *p, const struct type *t, enum binding_kind kind)
{
	bool ok = t == NULL || t->kind == TYPE_STRUCT || t->kind == TYPE_MODULE || t->kind == TYPE_BOTTOM;

	if (!ok)
		diag_error(c->diags, &p->span, "expected struct, got %s", type_text(c, t));
	for (size_t i = 0; i < p->nfields; i++) {
		const struct type *ft = ok && t ? (t->kind == TYPE_BOTTOM ? t : type_field(t, p->field[i].name)) : NULL;

		if (ok && t != NULL && ft == NULL) {
			diag_error(c->diags, &p->field[i].span, "struct %s does not have field %s", type_text(c, t),
			    p->field[i].name);
			ok = false;
		}
		ok &= check_pat(c, p->field[i].pat, flow_if(c, ft, t && t->flow), kind);
	}
	return ok;
}

static const struct type_field *
find_variant(const struct type *t, const char *tag)
{
	for (size_t i = 0; i < t->nfields; i++)
		if (strcmp(t->fields[i].name, tag) == 0)
			return &t->fields[i];
	return NULL;
}

static bool
check_variant_pat(struct checker *c, struct pat *p, const struct type *t, enum binding_kind kind)
{
	const struct type_field *v = t && t->kind == TYPE_SUM ? find_variant(t, p->name) : NULL;
	const struct type *et = v ? v->type : NULL;
	bool ok = false;

	if (t == NULL || t->kind == TYPE_BOTTOM)
		ok = true;
	else if (t->kind != TYPE_SUM)
		diag_error(c->diags, &p->span, "expected variant, got %s", type_text(c, t));
	else if (v == NULL)
		diag_error(c->diags, &p->span, "type %s has no variant #%s", type_text(c, t), p->name);
	else if (et != NULL && p->arg == NULL)
		diag_error(c->diags, &p->span, "#%s element is not matched; try #%s(_)", p->name, p->name);
	else if (et == NULL && p->arg != NULL)
		diag_error(c->diags, &p->span, "#%s has no element; try #%s", p->name, p->name);
	else
		ok = true;
	if (p->arg != NULL)
		ok &= check_pat(c, p->arg, ok ? flow_if(c, et, t && t->flow) : NULL, kind);
	return ok;
}

bool
check_pat(struct checker *c, struct pat *p, const struct type *t, enum binding_kind kind)
{
	p->type = t;
	switch (p->kind) {
	case PAT_IDENT:
		p->note = check_bind(c, kind, p->name, t, &p->span);
		return true;
	case PAT_IGNORE:
		return true;
	case PAT_TUPLE:
		return check_tuple_pat(c, p, t, kind);
	case PAT_LIST:
		return check_list_pat(c, p, t, kind);
	case PAT_STRUCT:
		return check_struct_pat(c, p, t, kind);
	case PAT_VARIANT:
		return check_variant_pat(c, p, t, kind);
	}
	return false;
}
