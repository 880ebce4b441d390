/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"
#include "base/xalloc.h"
#include "lang/sys.h"

/*
 * Expressions and declarations. Most expressions have operands, and a form: which these are, and what is done with
 * their values. The rest (literals, names, functions, blocks) are told apart in lower_go.
 */

struct err *
lower_err(const struct span *span, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	struct err *err;
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	span_add_pos(span, &b);
	err = err_msg(ERR_EVAL, "%s: %s", buf_str(&b), text);
	buf_release(&b);
	free(text);
	return err;
}

struct src_pos
lower_pos(const struct span *span)
{
	struct src_pos pos = { NULL, 0, 0 };

	if (span->src != NULL) {
		pos.name = span->src->path;
		pos.line = (int)span->pos.line;
		pos.col = (int)span->pos.col;
	}
	return pos;
}

void
values_unref(struct value **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		value_unref(v[i]);
		slice_breathe(1);
	}
}

static struct value *
int_literal(const struct expr *e)
{
	struct value *v;
	int64_t n = 0;
	mpz_t z;

	if (e->str.len <= 18) {		/* as they nearly all are; and one in a loop is read each time */
		for (size_t i = 0; i < e->str.len; i++)
			n = 10 * n + (e->str.p[i] - '0');
		return value_int(n);
	}
	mpz_init_set_str(z, e->str.p, 10);
	v = value_mpz(z);
	mpz_clear(z);
	return v;
}

static struct value *
float_literal(const struct expr *e)
{
	struct value *v;
	mpfr_t f;

	mpfr_init2(f, 64);
	mpfr_set_str(f, e->str.p, 10, MPFR_RNDN);
	v = value_float(f);
	mpfr_clear(f);
	return v;
}

/* ---- Projections ---- */

static struct err *
field_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	*out = value_ref(value_field(v[0], op->detail));
	return NULL;
}

static struct err *
field_done(struct lower *lo, struct frame *f, struct value **out)
{
	struct lower_op op = { .fn = field_fn, .name = "field", .detail = f->e->name, .span = &f->e->span,
		.place = f->place, .gives = GIVES_LIKE };

	return with_all(lo, &op, OPERAND_TOP, f->v, 1, out);
}

static struct err *
index_list(const struct lower_op *op, const struct value *list, const struct value *index, struct value **out)
{
	struct buf b = BUF_INIT;
	struct err *err;
	int64_t i;

	if (value_int_fits(index, &i) && i >= 0 && (uint64_t)i < value_len(list)) {
		*out = value_ref(value_at(list, (size_t)i));
		return NULL;
	}
	value_int_text(index, &b);
	err = lower_err(op->span, "index %s out of bounds for list of size %zu", buf_str(&b), value_len(list));
	buf_release(&b);
	return err;
}

static struct err *
index_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	struct buf b = BUF_INIT;
	struct value *found;
	struct err *err;

	if (value_kind(v[0]) == VAL_LIST)
		return index_list(op, v[0], v[1], out);
	if ((found = value_lookup(v[0], v[1])) != NULL) {
		*out = value_ref(found);
		return NULL;
	}
	value_print(v[1], NULL, &b);
	err = lower_err(op->span, "key %s not found", buf_str(&b));
	buf_release(&b);
	return err;
}

static struct err *
index_done(struct lower *lo, struct frame *f, struct value **out)
{
	struct lower_op op = { .fn = index_fn, .name = "index", .span = &f->e->span, .place = f->place,
		.gives = GIVES_LIKE };

	return with_all(lo, &op, OPERAND_TOP, f->v, 2, out);
}

/* ---- Calls ---- */

static struct err *
call_closure(struct lower *lo, const struct span *span, const struct value *f, struct value **args, struct value **out)
{
	struct place place;
	const struct expr *func = closure_enter(f, args, &place);
	struct err *err = frame_call(lo, span, func->a, &place, out);

	env_unref(place.env);
	return err;
}

static struct err *
call_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n, struct value **out,
    struct flow **need unused_arg)
{
	struct value **args = xcalloc(n, sizeof *args);
	struct err *err;

	for (size_t i = 0; i < n; i++)
		args[i] = value_ref(v[i]);
	err = lower_call(lo, op->span, &op->place, args[0], args + 1, n - 1, out);
	free(args);
	return err;
}

static struct err *
call_later(struct lower *lo, const struct span *span, const struct place *place, struct value *f, struct value **args,
    size_t n, struct value **out)
{
	struct lower_op op = { .fn = call_fn, .name = "call", .span = span, .place = { NULL, place->ident } };
	struct value **v = xcalloc(n + 1, sizeof *v);
	enum operand *modes = xcalloc(n + 1, sizeof *modes);
	struct err *err;

	v[0] = f;
	modes[0] = OPERAND_TOP;
	for (size_t i = 0; i < n; i++) {
		v[i + 1] = args[i];
		modes[i + 1] = OPERAND_RAW;
	}
	err = with_values(lo, &op, modes, v, n + 1, out);
	free(modes);
	free(v);
	return err;
}

struct err *
lower_call(struct lower *lo, const struct span *span, const struct place *place, struct value *f, struct value **args,
    size_t n, struct value **out)
{
	const struct sys_func *sys;
	struct err *err;

	if (value_kind(f) == VAL_FLOW)
		return call_later(lo, span, place, f, args, n, out);
	if ((sys = sys_func_of(f)) != NULL) {
		struct lower_op op = { .fn = sys->fn, .name = sys->module, .detail = sys->name, .span = span,
			.place = { NULL, place->ident }, .data = sys };

		err = with_all(lo, &op, sys->mode, args, n, out);
	} else {
		err = call_closure(lo, span, f, args, out);
	}
	value_unref(f);
	return err;
}

static struct err *
call_done(struct lower *lo, struct frame *f, struct value **out)
{
	if (f->e->note != NULL)
		return builtin_done(lo, f, out);
	return lower_call(lo, &f->e->span, &f->place, f->v[0], f->v + 1, f->n - 1, out);
}

/* ---- Conditions and blocks ---- */

static struct err *
cond_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	return lower_go(lo, value_get_bool(v[0]) ? op->expr->b : op->expr->c, &op->place, out);
}

static struct err *
cond_done(struct lower *lo, struct frame *f, struct value **out)
{
	struct lower_op op = { .fn = cond_fn, .name = "if", .expr = f->e, .span = &f->e->span, .place = f->place };

	if (value_kind(f->v[0]) == VAL_FLOW)
		op.piece = piece_get(lo->p, f->e, PIECE_RIGHT);
	return with_all(lo, &op, OPERAND_TOP, f->v, 1, out);
}

struct err *
lower_bind(struct lower *lo, const struct decl *d, struct value *v, struct place *place)
{
	struct place inner = { place->env, d->note };
	struct err *err;

	/* The outermost stands first, so the last is the innermost. */
	for (size_t i = d->nrequires; i-- > 0;)
		if ((err = lower_requires(lo, &d->req[i], &inner, v, &v)) != NULL)
			return err;
	return lower_pat(lo, d->pat, v, &place->env);
}

static struct err *
block_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	const struct expr *e = f->e;
	struct err *err = NULL;

	for (; f->number < e->ndecls && err == NULL; f->number++) {
		const struct decl *d = e->decl[f->number];
		struct place inner = { f->place.env, d->note };

		if (d->kind != DECL_VAL)
			continue;
		if (got == NULL && ((err = frame_await(lo, f, d->expr, &inner, &got)) != NULL || got == NULL))
			return err;
		err = lower_bind(lo, d, got, &f->place);
		got = NULL;
	}
	if (err == NULL)
		err = lower_go(lo, e->a, &f->place, out);
	frame_free(f);
	return err;
}

/* ---- Composites ---- */

static struct err *
struct_done(struct lower *lo unused_arg, struct frame *f, struct value **out)
{
	const char **names = xcalloc(f->n + 1, sizeof *names);

	for (size_t i = 0; i < f->n; i++)
		names[i] = f->e->field[i].name;
	*out = value_struct(names, f->v, f->n);
	free(names);
	return NULL;
}

/* Takes acc and the spreads. Those of a list follow in order; of two maps' entries the left one's win. */
static struct err *
add_spreads(struct lower *lo, const struct expr *e, struct value **spread, struct value *acc, struct value **out)
{
	for (size_t i = 0; i < e->nspreads; i++) {
		bool map = e->kind == EXPR_MAP;
		struct value *s = spread[i];
		struct err *err =
		    lower_concat(lo, &e->spread[i]->span, map ? s : acc, map ? acc : s, &acc);

		if (err != NULL) {
			values_unref(spread + i + 1, e->nspreads - i - 1);
			return err;
		}
	}
	*out = acc;
	return NULL;
}

static struct err *
list_done(struct lower *lo, struct frame *f, struct value **out)
{
	size_t n = f->e->nelems;

	return add_spreads(lo, f->e, f->v + n, value_list(f->v, n), out);
}

static struct err *
map_done(struct lower *lo, struct frame *f, struct value **out)
{
	size_t n = f->e->nentries;
	struct value *map;
	struct err *err = lower_map(lo, &f->e->span, f->v, n, &map);

	if (err == NULL)
		return add_spreads(lo, f->e, f->v + 2 * n, map, out);
	values_unref(f->v + 2 * n, f->e->nspreads);
	return err;
}

static struct err *
tuple_done(struct lower *lo unused_arg, struct frame *f, struct value **out)
{
	*out = value_tuple(f->v, f->n);
	return NULL;
}

static struct err *
variant_done(struct lower *lo unused_arg, struct frame *f, struct value **out)
{
	*out = value_variant(f->e->name, f->n > 0 ? f->v[0] : NULL);
	return NULL;
}

/* ---- Forms ---- */

struct form {
	size_t (*count)(const struct expr *);
	const struct expr *(*operand)(const struct expr *, size_t i);
	done_fn *done;
};

static size_t
one(const struct expr *e unused_arg)
{
	return 1;
}

static size_t
count_binary(const struct expr *e)
{
	return e->op == OP_AND || e->op == OP_OR ? 1 : 2;
}

static size_t
two(const struct expr *e unused_arg)
{
	return 2;
}

static const struct expr *
operand_ab(const struct expr *e, size_t i)
{
	return i == 0 ? e->a : e->b;
}

static size_t
count_variant(const struct expr *e)
{
	return e->a != NULL;
}

static size_t
count_call(const struct expr *e)
{
	return e->nelems + (e->note == NULL);
}

/* A builtin is no value: there the arguments are all. */
static const struct expr *
operand_call(const struct expr *e, size_t i)
{
	if (e->note != NULL)
		return e->elem[i];
	return i == 0 ? e->a : e->elem[i - 1];
}

static size_t
count_elems(const struct expr *e)
{
	return e->nelems + e->nspreads;
}

static const struct expr *
operand_elem(const struct expr *e, size_t i)
{
	return i < e->nelems ? e->elem[i] : e->spread[i - e->nelems];
}

static size_t
count_entries(const struct expr *e)
{
	return 2 * e->nentries + e->nspreads;
}

static const struct expr *
operand_entry(const struct expr *e, size_t i)
{
	size_t n = e->nentries;

	return i < n ? e->entry[i].key : i < 2 * n ? e->entry[i - n].value : e->spread[i - 2 * n];
}

static size_t
count_fields(const struct expr *e)
{
	return e->nfields;
}

static const struct expr *
operand_field(const struct expr *e, size_t i)
{
	return e->field[i].expr;
}

static size_t
count_decls(const struct expr *e)
{
	return e->ndecls;
}

static const struct expr *
operand_decl(const struct expr *e, size_t i)
{
	return e->decl[i]->expr;
}

static size_t
count_exec(const struct expr *e)
{
	return e->ndecls + ((const struct exec_note *)e->note)->ninserted;
}

static const struct expr *
operand_exec(const struct expr *e, size_t i)
{
	return i < e->ndecls ? e->decl[i]->expr : ((const struct exec_note *)e->note)->inserted[i - e->ndecls];
}

/* Of a comprehension, the collection or condition of the clause that the frame is at: lower_clauses. */
static const struct form forms[] = {
	[EXPR_BINARY] = { count_binary, operand_ab, binary_done },
	[EXPR_UNARY] = { one, operand_ab, unary_done },
	[EXPR_CALL] = { count_call, operand_call, call_done },
	[EXPR_FIELD] = { one, operand_ab, field_done },
	[EXPR_INDEX] = { two, operand_ab, index_done },
	[EXPR_COND] = { one, operand_ab, cond_done },
	[EXPR_SWITCH] = { one, operand_ab, switch_done },
	[EXPR_EXEC] = { count_exec, operand_exec, exec_done },
	[EXPR_MAKE] = { count_decls, operand_decl, make_done },
	[EXPR_TUPLE] = { count_elems, operand_elem, tuple_done },
	[EXPR_STRUCT] = { count_fields, operand_field, struct_done },
	[EXPR_LIST] = { count_elems, operand_elem, list_done },
	[EXPR_MAP] = { count_entries, operand_entry, map_done },
	[EXPR_VARIANT] = { count_variant, operand_ab, variant_done },
};

/* One operand after the other, then what the form does with them. */
static struct err *
operands_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	size_t n = f->form->count(f->e);
	struct err *err;

	for (;;) {
		if (got != NULL)
			f->v[f->n++] = got;
		if (f->n == n)
			break;
		got = NULL;
		err = frame_await(lo, f, f->form->operand(f->e, f->n), &f->place, &got);
		if (err != NULL || got == NULL)
			return err;
	}
	err = f->form->done(lo, f, out);
	f->n = 0;
	frame_free(f);
	return err;
}

struct err *
lower_go(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct frame *f;

	switch (e->kind) {
	case EXPR_INT:
		*out = int_literal(e);
		return NULL;
	case EXPR_FLOAT:
		*out = float_literal(e);
		return NULL;
	case EXPR_STRING:
		*out = value_string(e->str.p, e->str.len);
		return NULL;
	case EXPR_BOOL:
		*out = value_bool(e->boolean);
		return NULL;
	case EXPR_IDENT:
		*out = value_ref(env_get(place->env, e->note));
		return NULL;
	case EXPR_FUNC:
		return closure_new(lo, e, place, out);
	case EXPR_BLOCK:
		frame_push(lo, frame_new(e, place, block_step, 0));
		return NULL;
	case EXPR_COMPR:
		return lower_clauses(lo, e, 0, place, out);
	default:
		break;
	}
	f = frame_new(e, place, operands_step, forms[e->kind].count(e));
	f->form = &forms[e->kind];
	frame_push(lo, f);
	return NULL;
}
