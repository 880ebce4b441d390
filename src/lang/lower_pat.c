/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * Patterns. A declaration takes its value apart name by name: of a delayed value each name becomes a
 * continuation of its own, so that siblings do not wait for each other. A switch first finds the case that
 * matches, waiting for no more than that needs, and then binds in the same way.
 */
enum step {		/* what is taken from a value; part of a continuation's digest */
	STEP_TUPLE,
	STEP_FIELD,
	STEP_VARIANT,
	STEP_ELEM,	/* of a list */
	STEP_TAIL,
};
/* One step, packed in an operation's number: kind, size of the list pattern, whether it has a tail, index. */
#define STEP(kind, size, tail, i)                                                                                      \
	((uint64_t)(kind) << 56 | (uint64_t)(tail) << 55 | (uint64_t)(size) << 24 | (uint64_t)(i))
#define STEP_KIND(n)		  ((enum step)((n) >> 56))
#define STEP_HAS_TAIL(n)	  ((n) >> 55 & 1)
#define STEP_SIZE(n)		  ((size_t)((n) >> 24 & 0x7fffffff))
#define STEP_INDEX(n)		  ((size_t)((n)&0xffffff))

static struct value *
list_from(const struct value *list, size_t from)
{
	size_t n = value_len(list) - from;
	struct value **v = xcalloc(n ? n : 1, sizeof *v), *tail;

	for (size_t i = 0; i < n; i++)
		v[i] = value_ref(value_at(list, from + i));
	tail = value_list(v, n);
	free(v);
	return tail;
}

static bool
length_fits(const struct value *list, size_t size, bool tail)
{
	return tail ? value_len(list) >= size : value_len(list) == size;
}

static struct err *
step_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	uint64_t s = op->number;

	switch (STEP_KIND(s)) {
	case STEP_TUPLE:
		*out = value_ref(value_at(v[0], STEP_INDEX(s)));
		return NULL;
	case STEP_FIELD:
		*out = value_ref(value_field(v[0], op->detail));
		return NULL;
	case STEP_VARIANT:
		if (strcmp(value_tag(v[0]), op->detail) != 0)
			return lower_err(
			    op->span, "cannot match tag #%s with a variant with tag #%s", op->detail, value_tag(v[0]));
		*out = value_elem(v[0]) ? value_ref(value_elem(v[0])) : value_unit();
		return NULL;
	default:
		if (!length_fits(v[0], STEP_SIZE(s), STEP_HAS_TAIL(s)))
			return lower_err(op->span, "cannot match list pattern of size %zu with a list of size %zu",
			    STEP_SIZE(s), value_len(v[0]));
		*out = STEP_KIND(s) == STEP_TAIL ? list_from(v[0], STEP_SIZE(s))
						 : value_ref(value_at(v[0], STEP_INDEX(s)));
		return NULL;
	}
}

/* Takes the value. */
static struct err *
take_step(
    struct lower *lo, const struct span *span, struct value *v, uint64_t number, const char *detail, struct value **out)
{
	struct lower_op op = {
	    .fn = step_fn, .name = "path", .detail = detail, .number = number, .span = span, .gives = GIVES_LIKE};

	return with_all(lo, &op, OPERAND_TOP, &v, 1, out);
}

struct err *
lower_part(struct lower *lo, const struct span *span, struct value *tuple, size_t i, struct value **out)
{
	return take_step(lo, span, tuple, STEP(STEP_TUPLE, 0, 0, i), NULL, out);
}

/* Matches one part of the value, which stays the caller's. A part of a delayed value that binds nothing is not looked
 * at. */
static struct err *
bind_part(struct lower *lo, const struct pat *whole, const struct pat *part, const struct value *v, uint64_t number,
    const char *detail, struct env **env)
{
	struct value *p;
	struct err *err;

	if (part == NULL || (part->kind == PAT_IGNORE && value_kind(v) == VAL_FLOW))
		return NULL;
	err = take_step(lo, &whole->span, value_ref(v), number, detail, &p);
	return err ? err : lower_pat(lo, part, p, env);
}

static struct err *
bind_list(struct lower *lo, const struct pat *p, const struct value *v, struct env **env)
{
	struct err *err = NULL;

	for (size_t i = 0; i < p->nelems && err == NULL; i++)
		err = bind_part(lo, p, p->elem[i], v, STEP(STEP_ELEM, p->nelems, p->has_tail, i), NULL, env);
	if (err == NULL && p->tail != NULL)
		err = bind_part(lo, p, p->tail, v, STEP(STEP_TAIL, p->nelems, true, 0), NULL, env);
	return err;
}

static struct err *
bind_variant(struct lower *lo, const struct pat *p, const struct value *v, struct env **env)
{
	struct value *elem;
	struct err *err;

	if (p->arg != NULL)
		return bind_part(lo, p, p->arg, v, STEP(STEP_VARIANT, 0, 0, 0), p->name, env);
	if (value_kind(v) == VAL_FLOW)
		return NULL;
	if ((err = take_step(lo, &p->span, value_ref(v), STEP(STEP_VARIANT, 0, 0, 0), p->name, &elem)) == NULL)
		value_unref(elem);
	return err;
}

struct err *
lower_pat(struct lower *lo, const struct pat *p, struct value *v, struct env **env)
{
	struct err *err = NULL;

	switch (p->kind) {
	case PAT_IDENT:
		env_push(env, p->note, v);
		return NULL;
	case PAT_IGNORE:
		break;
	case PAT_TUPLE:
		for (size_t i = 0; i < p->nelems && err == NULL; i++)
			err = bind_part(lo, p, p->elem[i], v, STEP(STEP_TUPLE, 0, 0, i), NULL, env);
		break;
	case PAT_LIST:
		err = bind_list(lo, p, v, env);
		break;
	case PAT_STRUCT:
		for (size_t i = 0; i < p->nfields && err == NULL; i++)
			err = bind_part(lo, p, p->field[i].pat, v, STEP(STEP_FIELD, 0, 0, 0), p->field[i].name, env);
		break;
	case PAT_VARIANT:
		err = bind_variant(lo, p, v, env);
		break;
	}
	value_unref(v);
	return err;
}

/* ---- Switch ---- */

enum match { MATCH, NO_MATCH, MATCH_WAITS };

static enum match match(const struct pat *, const struct value *, struct flow **need);

/* The elements of a list from `from` on. */
static enum match
match_list(const struct pat *p, const struct value *v, size_t from, struct flow **need)
{
	size_t left = value_len(v) - from;
	enum match m = MATCH;

	if (p->has_tail ? left < p->nelems : left != p->nelems)
		return NO_MATCH;
	for (size_t i = 0; i < p->nelems && m == MATCH; i++)
		m = match(p->elem[i], value_at(v, from + i), need);
	if (m == MATCH && p->tail != NULL && p->tail->kind == PAT_LIST)
		m = match_list(p->tail, v, from + p->nelems, need);
	return m;
}

static enum match
match(const struct pat *p, const struct value *v, struct flow **need)
{
	enum match m = MATCH;

	if (p->kind == PAT_IDENT || p->kind == PAT_IGNORE)
		return MATCH;
	if (value_kind(v) == VAL_FLOW) {
		*need = value_get_flow(v);
		return MATCH_WAITS;
	}
	switch (p->kind) {
	case PAT_TUPLE:
		for (size_t i = 0; i < p->nelems && m == MATCH; i++)
			m = match(p->elem[i], value_at(v, i), need);
		return m;
	case PAT_LIST:
		return match_list(p, v, 0, need);
	case PAT_STRUCT:
		for (size_t i = 0; i < p->nfields && m == MATCH; i++)
			m = match(p->field[i].pat, value_field(v, p->field[i].name), need);
		return m;
	default:
		if (strcmp(p->name, value_tag(v)) != 0)
			return NO_MATCH;
		return p->arg ? match(p->arg, value_elem(v), need) : MATCH;
	}
}

static struct err *
run_case(struct lower *lo, const struct lower_op *op, const struct expr_case *c, struct value *v, struct value **out)
{
	struct place place = { env_ref(op->place.env), op->place.ident };
	struct err *err = lower_pat(lo, c->pat, value_ref(v), &place.env);

	if (err == NULL)
		err = lower_go(lo, c->body, &place, out);
	env_unref(place.env);
	return err;
}

/*
 * All cases are tried again after a wait: the value is better known, and what did not match before still
 * does not, so the outcome is the same as going on where it stopped.
 */
static struct err *
switch_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need)
{
	for (size_t i = 0; i < op->expr->ncases; i++) {
		switch (match(op->expr->cases[i].pat, v[0], need)) {
		case MATCH:
			return run_case(lo, op, &op->expr->cases[i], v[0], out);
		case MATCH_WAITS:
			return NULL;
		case NO_MATCH:
			break;
		}
	}
	return lower_err(op->span, "no case matches");
}

struct err *
switch_done(struct lower *lo, struct frame *f, struct value **out)
{
	struct lower_op op = { .fn = switch_fn, .name = "switch", .expr = f->e, .span = &f->e->span, .place = f->place };

	if (!value_is_strict(f->v[0]))
		op.piece = piece_get(lo->p, f->e, PIECE_FROM);
	return with_all(lo, &op, OPERAND_RAW, f->v, 1, out);
}
