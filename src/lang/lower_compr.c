/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdlib.h>

#include "base/xalloc.h"

/*
 * Comprehensions: nested loops, laid flat. A single enumeration without filters over a collection that
 * is there gives a list that is there, of bodies that may be delayed; everything else waits as little as it can.
 */

/* The i-th element of a collection, as its pattern sees it. */
static struct value *
element(const struct value *v, size_t i)
{
	struct value *pair[2];

	switch (value_kind(v)) {
	case VAL_LIST:
		return value_ref(value_at(v, i));
	case VAL_MAP:
		pair[0] = value_ref(value_key_at(v, i));
		pair[1] = value_ref(value_at(v, i));
		break;
	default:
		pair[0] = value_str(fileset_at(value_get_dir(v), i)->path);
		pair[1] = value_file(&fileset_at(value_get_dir(v), i)->file);
		break;
	}
	return value_tuple(pair, 2);
}

static size_t
size_of(const struct value *v)
{
	return value_kind(v) == VAL_DIR ? fileset_nmap(value_get_dir(v)) : value_len(v);
}

static struct err *compr_from(struct lower *, const struct expr *, size_t k, const struct place *, struct value **out);

/* For one element: the body itself when no clause is left, else a list of bodies. */
static struct err *
one_element(struct lower *lo, const struct lower_op *op, struct value *elem, struct value **out)
{
	const struct expr *e = op->expr;
	size_t k = (size_t)op->number;
	struct place place = { env_ref(op->place.env), op->place.ident };
	struct err *err = lower_pat(lo, e->clause[k].pat, elem, &place.env);

	if (err == NULL && k + 1 == e->nclauses)
		err = lower_expr(lo, e->a, &place, out);
	else if (err == NULL)
		err = compr_from(lo, e, k + 1, &place, out);
	env_unref(place.env);
	return err;
}

static struct err *
enum_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t nv unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	bool last = op->number + 1 == op->expr->nclauses;
	size_t n = size_of(v[0]), i;
	struct value **parts = xcalloc(n ? n : 1, sizeof *parts);
	struct err *err = NULL;

	for (i = 0; i < n && err == NULL; i++)
		err = one_element(lo, op, element(v[0], i), &parts[i]);
	if (err != NULL)
		values_unref(parts, i);
	else if (last)
		*out = value_list(parts, n);
	else
		err = lower_flatten(lo, op->span, parts, n, out);
	free(parts);
	return err;
}

static struct err *
filter_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	const struct expr *e = op->expr;
	size_t k = (size_t)op->number;
	struct value *body;
	struct err *err;

	if (!value_get_bool(v[0])) {
		*out = value_list(NULL, 0);
		return NULL;
	}
	if (k + 1 < e->nclauses)
		return compr_from(lo, e, k + 1, &op->place, out);
	if ((err = lower_expr(lo, e->a, &op->place, &body)) == NULL)
		*out = value_list(&body, 1);
	return err;
}

/* A list of the bodies for all that clauses k and on enumerate. */
static struct err *
compr_from(struct lower *lo, const struct expr *e, size_t k, const struct place *place, struct value **out)
{
	const struct expr_clause *c = &e->clause[k];
	struct lower_op op = {.fn = c->kind == CLAUSE_ENUM ? enum_fn : filter_fn,
	    .name = "comprehension",
	    .number = k,
	    .expr = e,
	    .span = &e->span,
	    .place = *place};
	struct value *v;
	struct err *err = lower_expr(lo, c->expr, place, &v);

	if (err != NULL)
		return err;
	if (value_kind(v) == VAL_FLOW)
		op.piece = piece_get(lo->p, e, PIECE_FROM + (unsigned)k);
	return with_all(lo, &op, OPERAND_TOP, &v, 1, out);
}

struct err *
lower_compr(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	return compr_from(lo, e, 0, place, out);
}

static struct err *
flatten_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n,
    struct value **out, struct flow **need unused_arg)
{
	size_t total = 0, k = 0;
	struct value **parts;

	for (size_t i = 0; i < n; i++)
		total += value_len(v[i]);
	if (total > LIST_MAX)
		return lower_err(op->span, "the list has more than %u elements", LIST_MAX);
	parts = xcalloc(total ? total : 1, sizeof *parts);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < value_len(v[i]); j++)
			parts[k++] = value_ref(value_at(v[i], j));
	*out = value_list(parts, total);
	free(parts);
	return NULL;
}

struct err *
lower_flatten(struct lower *lo, const struct span *span, struct value **v, size_t n, struct value **out)
{
	struct lower_op op = { .fn = flatten_fn, .name = "flatten", .span = span, .gives = GIVES_LIKE };

	return with_all(lo, &op, OPERAND_TOP, v, n, out);
}
