/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdlib.h>

#include "base/slice.h"
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

/* For one element: the body itself when no clause is left, else a list of bodies. Awaited by the frame. */
static struct err *
one_element(struct lower *lo, struct frame *f, struct value *elem, struct value **out)
{
	const struct expr *e = f->e;
	size_t k = (size_t)f->number;
	struct place place = { env_ref(f->place.env), f->place.ident };
	struct err *err = lower_pat(lo, e->clause[k].pat, elem, &place.env);

	if (err != NULL) {
		frame_free(f);
	} else if (k + 1 == e->nclauses) {
		err = frame_await(lo, f, e->a, &place, out);
	} else {
		frame_push(lo, f);
		err = lower_clauses(lo, e, k + 1, &place, out);
	}
	env_unref(place.env);
	return err;
}

/* Goes over held; v are the bodies of the elements so far. */
static struct err *
enum_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	size_t n = size_of(f->held);
	struct err *err = NULL;

	for (;;) {
		if (got != NULL)
			f->v[f->n++] = got;
		if (f->n == n)
			break;
		slice_breathe(2);
		got = NULL;
		err = one_element(lo, f, element(f->held, f->n), &got);
		if (err != NULL || got == NULL)
			return err;
	}
	f->n = 0;
	if (f->number + 1 == f->e->nclauses)
		*out = value_list(f->v, n);
	else
		err = lower_flatten(lo, &f->e->span, f->v, n, out);
	frame_free(f);
	return err;
}

static struct err *
enum_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t nv unused_arg,
    struct value **out unused_arg, struct flow **need unused_arg)
{
	struct frame *f = frame_new(op->expr, &op->place, enum_step, size_of(v[0]));

	f->number = op->number;
	f->held = value_ref(v[0]);
	frame_push(lo, f);
	return NULL;
}

/* A list of the one body. */
static struct err *
body_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	struct err *err = NULL;

	if (got == NULL && ((err = frame_await(lo, f, f->e->a, &f->place, &got)) != NULL || got == NULL))
		return err;
	*out = value_list(&got, 1);
	frame_free(f);
	return NULL;
}

static struct err *
filter_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	const struct expr *e = op->expr;
	size_t k = (size_t)op->number;
	if (!value_get_bool(v[0])) {
		*out = value_list(NULL, 0);
		return NULL;
	}
	if (k + 1 < e->nclauses)
		return lower_clauses(lo, e, k + 1, &op->place, out);
	frame_push(lo, frame_new(e, &op->place, body_step, 0));
	return NULL;
}

/* A list of the bodies for all that clauses k and on enumerate. */
static struct err *
clause_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	const struct expr *e = f->e;
	const struct expr_clause *c = &e->clause[f->number];
	struct lower_op op = { .fn = c->kind == CLAUSE_ENUM ? enum_fn : filter_fn, .name = "comprehension",
		.number = f->number, .expr = e, .span = &e->span, .place = f->place };
	struct err *err = NULL;

	if (got == NULL && ((err = frame_await(lo, f, c->expr, &f->place, &got)) != NULL || got == NULL))
		return err;
	if (value_kind(got) == VAL_FLOW)
		op.piece = piece_get(lo->p, e, PIECE_FROM + (unsigned)f->number);
	err = with_all(lo, &op, OPERAND_TOP, &got, 1, out);
	frame_free(f);
	return err;
}

struct err *
lower_clauses(struct lower *lo, const struct expr *e, size_t k, const struct place *place, struct value **out unused_arg)
{
	struct frame *f = frame_new(e, place, clause_step, 0);

	f->number = k;
	frame_push(lo, f);
	return NULL;
}

static struct err *
flatten_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n,
    struct value **out, struct flow **need unused_arg)
{
	size_t total = 0, k = 0;
	struct value **parts;

	for (size_t i = 0; i < n; i++) {
		total += value_len(v[i]);
		slice_breathe(1);
	}
	if (total > LIST_MAX)
		return lower_err(op->span, "the list has more than %u elements", LIST_MAX);
	parts = xcalloc(total ? total : 1, sizeof *parts);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < value_len(v[i]); j++) {
			parts[k++] = value_ref(value_at(v[i], j));
			slice_breathe(1);
		}
		slice_breathe(1);
	}
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
