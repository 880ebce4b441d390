/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * Operators. Integers have any size and divide as Euclid does (the remainder is never negative); floats
 * have 64 bits of mantissa. What has no value (a division by zero, a shift out of reason) is an error.
 */
#define SHIFT_MAX (1 << 24)	/* bits: a number of two megabytes */
#define INT_MAX_BITS (1u << 26)

typedef void int_fn(mpz_t, mpz_srcptr, mpz_srcptr);

static void
euclid_div(mpz_t q, mpz_srcptr a, mpz_srcptr b)
{
	if (mpz_sgn(b) > 0)
		mpz_fdiv_q(q, a, b);
	else
		mpz_cdiv_q(q, a, b);
}

static struct err *
shift(const struct lower_op *op, mpz_t z, mpz_srcptr a, mpz_srcptr b)
{
	if (mpz_sgn(b) < 0 || mpz_cmp_ui(b, SHIFT_MAX) > 0)
		return lower_err(op->span, "shift count must be between 0 and %d", SHIFT_MAX);
	if (op->expr->op == OP_SHL)
		mpz_mul_2exp(z, a, mpz_get_ui(b));
	else
		mpz_fdiv_q_2exp(z, a, mpz_get_ui(b));
	return NULL;
}

static struct err *
int_op(const struct lower_op *op, mpz_t z, mpz_srcptr a, mpz_srcptr b)
{
	switch (op->expr->op) {
	case OP_ADD:
		mpz_add(z, a, b);
		return NULL;
	case OP_SUB:
		mpz_sub(z, a, b);
		return NULL;
	case OP_MUL:
		if (mpz_sizeinbase(a, 2) + mpz_sizeinbase(b, 2) > INT_MAX_BITS)
			return lower_err(op->span, "the product has more than %u bits", INT_MAX_BITS);
		mpz_mul(z, a, b);
		return NULL;
	case OP_DIV:
	case OP_MOD:
		if (mpz_sgn(b) == 0)
			return lower_err(op->span, "division by zero");
		if (op->expr->op == OP_DIV)
			euclid_div(z, a, b);
		else
			mpz_mod(z, a, b);
		return NULL;
	default:
		return shift(op, z, a, b);
	}
}

static struct err *
arith_int(const struct lower_op *op, const struct value *a, const struct value *b, struct value **out)
{
	struct err *err;
	mpz_t z;

	mpz_init(z);
	if ((err = int_op(op, z, value_get_int(a), value_get_int(b))) == NULL)
		*out = value_mpz(z);
	mpz_clear(z);
	return err;
}

static struct err *
arith_float(const struct lower_op *op, const struct value *va, const struct value *vb, struct value **out)
{
	mpfr_srcptr a = value_get_float(va), b = value_get_float(vb);
	struct err *err = NULL;
	mpfr_t f;

	mpfr_init2(f, 64);
	if (op->expr->op == OP_ADD)
		mpfr_add(f, a, b, MPFR_RNDN);
	else if (op->expr->op == OP_SUB)
		mpfr_sub(f, a, b, MPFR_RNDN);
	else if (op->expr->op == OP_MUL)
		mpfr_mul(f, a, b, MPFR_RNDN);
	else if (mpfr_zero_p(b))
		err = lower_err(op->span, "division by zero");
	else
		mpfr_div(f, a, b, MPFR_RNDN);
	if (err == NULL && !mpfr_number_p(f))
		err = lower_err(op->span, "the result is not a finite number");
	if (err == NULL)
		*out = value_float(f);
	mpfr_clear(f);
	return err;
}

static struct err *
concat_strings(const struct lower_op *op, const struct value *a, const struct value *b, struct value **out)
{
	size_t m, n;
	const char *p = value_get_string(a, &m), *q = value_get_string(b, &n);
	struct buf s = BUF_INIT;

	if (m + n > STRING_MAX)
		return lower_err(op->span, "the string has more than %u bytes", STRING_MAX);
	buf_add(&s, p, m);
	buf_add(&s, q, n);
	*out = value_string(buf_str(&s), s.len);
	buf_release(&s);
	return NULL;
}

static struct value *
concat_lists(const struct value *a, const struct value *b)
{
	size_t m = value_len(a), n = value_len(b);
	struct value **v = xcalloc(m + n + 1, sizeof *v), *list;

	for (size_t i = 0; i < m + n; i++) {
		v[i] = value_ref(i < m ? value_at(a, i) : value_at(b, i - m));
		slice_breathe(1);
	}
	list = value_list(v, m + n);
	free(v);
	return list;
}

static struct value *
concat_maps(const struct value *a, const struct value *b)
{
	size_t m = value_len(a), n = value_len(b);
	struct value **k = xcalloc(m + n + 1, sizeof *k), **v = xcalloc(m + n + 1, sizeof *v), *map;

	for (size_t i = 0; i < m + n; i++) {
		slice_breathe(2);
		k[i] = value_ref(i < m ? value_key_at(a, i) : value_key_at(b, i - m));
		v[i] = value_ref(i < m ? value_at(a, i) : value_at(b, i - m));
	}
	map = value_map(k, v, m + n);
	free(k);
	free(v);
	return map;
}

static struct value *
concat_dirs(const struct value *a, const struct value *b)
{
	struct fileset *parts[2] = { value_get_dir(a), value_get_dir(b) };
	struct fileset *list = fileset_list(parts, 2), *sum = fileset_pullup(list);

	fileset_unref(list);
	return value_dir(sum);
}

static struct err *
concat_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	if (value_kind(v[0]) != VAL_DIR && value_len(v[0]) + value_len(v[1]) > LIST_MAX)
		return lower_err(op->span, "the sum has more than %u elements", LIST_MAX);
	if (value_kind(v[0]) == VAL_LIST)
		*out = concat_lists(v[0], v[1]);
	else if (value_kind(v[0]) == VAL_MAP)
		*out = concat_maps(v[0], v[1]);
	else
		*out = concat_dirs(v[0], v[1]);
	return NULL;
}

struct err *
lower_concat(struct lower *lo, const struct span *span, struct value *a, struct value *b, struct value **out)
{
	struct lower_op op = { .fn = concat_fn, .name = "concat", .span = span, .gives = GIVES_LIKE };
	struct value *v[2] = { a, b };

	return with_all(lo, &op, OPERAND_TOP, v, 2, out);
}

static struct err *
arith_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	switch (op->expr->op) {
	case OP_LT:
		*out = value_bool(value_cmp(v[0], v[1]) < 0);
		return NULL;
	case OP_GT:
		*out = value_bool(value_cmp(v[0], v[1]) > 0);
		return NULL;
	case OP_LE:
		*out = value_bool(value_cmp(v[0], v[1]) <= 0);
		return NULL;
	case OP_GE:
		*out = value_bool(value_cmp(v[0], v[1]) >= 0);
		return NULL;
	default:
		break;
	}
	if (value_kind(v[0]) == VAL_INT)
		return arith_int(op, v[0], v[1], out);
	if (value_kind(v[0]) == VAL_FLOAT)
		return arith_float(op, v[0], v[1], out);
	return concat_strings(op, v[0], v[1], out);
}

/* ---- Equality: of what the type admits, as far as needed ---- */

enum verdict { SAME, DIFFER, WAIT };

static enum verdict equal(const struct type *, const struct value *, const struct value *, struct flow **need);

static const struct type *
part_type(const struct type *t, size_t i)
{
	return t->kind == TYPE_TUPLE ? t->fields[i].type : t->elem;
}

/* Lists and tuples; the values of maps whose keys have been found equal. */
static enum verdict
equal_parts(const struct type *t, const struct value *a, const struct value *b, struct flow **need)
{
	enum verdict v = SAME;

	for (size_t i = 0; i < value_len(a) && v == SAME; i++) {
		v = equal(part_type(t, i), value_at(a, i), value_at(b, i), need);
		slice_breathe(1);
	}
	return v;
}

static enum verdict
equal_maps(const struct type *t, const struct value *a, const struct value *b, struct flow **need)
{
	for (size_t i = 0; i < value_len(a); i++)
		if (value_cmp(value_key_at(a, i), value_key_at(b, i)) != 0)
			return DIFFER;
	return equal_parts(t, a, b, need);
}

static enum verdict
equal_structs(const struct type *t, const struct value *a, const struct value *b, struct flow **need)
{
	enum verdict v = SAME;

	for (size_t i = 0; i < t->nfields && v == SAME; i++)
		v = equal(
		    t->fields[i].type, value_field(a, t->fields[i].name), value_field(b, t->fields[i].name), need);
	return v;
}

static enum verdict
equal_variants(const struct type *t, const struct value *a, const struct value *b, struct flow **need)
{
	if (strcmp(value_tag(a), value_tag(b)) != 0)
		return DIFFER;
	return value_elem(a) ? equal(type_field(t, value_tag(a)), value_elem(a), value_elem(b), need) : SAME;
}

static enum verdict
equal(const struct type *t, const struct value *a, const struct value *b, struct flow **need)
{
	if (value_kind(a) == VAL_FLOW || value_kind(b) == VAL_FLOW) {
		*need = value_get_flow(value_kind(a) == VAL_FLOW ? a : b);
		return WAIT;
	}
	switch (t->kind) {
	case TYPE_LIST:
		return value_len(a) != value_len(b) ? DIFFER : equal_parts(t, a, b, need);
	case TYPE_TUPLE:
		return equal_parts(t, a, b, need);
	case TYPE_MAP:
		return value_len(a) != value_len(b) ? DIFFER : equal_maps(t, a, b, need);
	case TYPE_STRUCT:
	case TYPE_MODULE:
		return equal_structs(t, a, b, need);
	case TYPE_SUM:
		return equal_variants(t, a, b, need);
	default:
		return value_cmp(a, b) == 0 ? SAME : DIFFER;
	}
}

static struct err *
equal_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need)
{
	enum verdict verdict = equal(op->expr->a->type, v[0], v[1], need);

	if (verdict != WAIT)
		*out = value_bool((verdict == SAME) == (op->expr->op == OP_EQ));
	return NULL;
}

/* ---- Operators that do not evaluate both sides at once ---- */

static struct err *
logic_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	bool a = value_get_bool(v[0]);

	if (a == (op->expr->op == OP_OR)) {
		*out = value_bool(a);
		return NULL;
	}
	return lower_go(lo, op->expr->b, &op->place, out);
}

static struct err *
logic_done(struct lower *lo, struct frame *f, struct value **out)
{
	const struct expr *e = f->e;
	struct lower_op op = { .fn = logic_fn, .name = "logic", .detail = op_text(e->op), .expr = e, .span = &e->span,
		.place = f->place };

	if (value_kind(f->v[0]) == VAL_FLOW)
		op.piece = piece_get(lo->p, e, PIECE_RIGHT);
	return with_all(lo, &op, OPERAND_TOP, f->v, 1, out);
}

static struct err *
seq_fn(struct lower *lo unused_arg, const struct lower_op *op unused_arg, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	*out = value_ref(v[1]);
	return NULL;
}

/* The type of the operands of == decides what is compared, so it is part of the operation. */
static const char *
detail_of(struct lower *lo, const struct expr *e)
{
	struct buf b = BUF_INIT;
	const char *text;

	if (e->op != OP_EQ && e->op != OP_NE)
		return op_text(e->op);
	buf_addf(&b, "%s ", op_text(e->op));
	type_str(e->a->type, &b);
	text = arena_strdup(graph_arena(lo->g), buf_str(&b));
	buf_release(&b);
	return text;
}

struct err *
binary_done(struct lower *lo, struct frame *f, struct value **out)
{
	static const enum operand top[] = { OPERAND_TOP, OPERAND_TOP }, seq[] = { OPERAND_FORCE, OPERAND_RAW };
	const struct expr *e = f->e;
	struct lower_op op = { .name = "operator", .expr = e, .span = &e->span, .place = { NULL, f->place.ident } };
	struct value **v = f->v;

	if (e->op == OP_AND || e->op == OP_OR)
		return logic_done(lo, f, out);
	if (e->op == OP_ADD && (e->type->kind == TYPE_LIST || e->type->kind == TYPE_MAP || e->type->kind == TYPE_DIR))
		return lower_concat(lo, &e->span, v[0], v[1], out);
	op.fn = e->op == OP_SEQ ? seq_fn : e->op == OP_EQ || e->op == OP_NE ? equal_fn : arith_fn;
	op.gives = e->op == OP_SEQ ? GIVES_LIKE : GIVES_STRICT;
	if (value_is_strict(v[0]) && value_is_strict(v[1]))
		op.detail = op_text(e->op);
	else
		op.detail = detail_of(lo, e);
	return with_values(lo, &op, e->op == OP_SEQ ? seq : top, v, 2, out);
}

static struct err *
unary_fn(struct lower *lo unused_arg, const struct lower_op *op unused_arg, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	mpz_t z;
	mpfr_t f;

	switch (value_kind(v[0])) {
	case VAL_BOOL:
		*out = value_bool(!value_get_bool(v[0]));
		break;
	case VAL_INT:
		mpz_init(z);
		mpz_neg(z, value_get_int(v[0]));
		*out = value_mpz(z);
		mpz_clear(z);
		break;
	default:
		mpfr_init2(f, 64);
		mpfr_neg(f, value_get_float(v[0]), MPFR_RNDN);
		*out = value_float(f);
		mpfr_clear(f);
		break;
	}
	return NULL;
}

struct err *
unary_done(struct lower *lo, struct frame *f, struct value **out)
{
	const struct expr *e = f->e;
	struct lower_op op = { .fn = unary_fn, .name = "unary", .detail = op_text(e->op), .expr = e, .span = &e->span,
		.place = { NULL, f->place.ident }, .gives = GIVES_STRICT };

	return with_all(lo, &op, OPERAND_TOP, f->v, 1, out);
}
