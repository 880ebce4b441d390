/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"
#include "lang/builtin.h"

/*
 * What the builtin functions do. Their arguments are awaited at the top; those that need to look
 * deeper say so by a second operation over the parts.
 */
static struct err *
len_fn(struct lower *lo unused_arg, const struct lower_op *op unused_arg, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	size_t len;

	switch (value_kind(v[0])) {
	case VAL_FILE:
		*out = value_int((int64_t)value_get_file(v[0])->size);
		return NULL;
	case VAL_DIR:
		len = fileset_nmap(value_get_dir(v[0]));
		break;
	case VAL_STRING:
		value_get_string(v[0], &len);
		break;
	default:
		len = value_len(v[0]);
		break;
	}
	*out = value_int((int64_t)len);
	return NULL;
}

/* Through 64 bits, which saturate: a number beyond them becomes the nearest that fits. */
static struct err *
int_fn(struct lower *lo unused_arg, const struct lower_op *op unused_arg, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	*out = value_int(mpfr_get_sj(value_get_float(v[0]), MPFR_RNDZ));
	return NULL;
}

static struct err *
float_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	double d = mpz_get_d(value_get_int(v[0]));

	if (!(d > -1.7e308 && d < 1.7e308))
		return lower_err(op->span, "the int is too large for a float");
	*out = value_double(d);
	return NULL;
}

static struct err *
zip_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	size_t len = value_len(v[0]);
	struct value **pairs;

	if (len != value_len(v[1]))
		return lower_err(op->span, "list sizes do not match: %zu vs %zu", len, value_len(v[1]));
	pairs = xcalloc(len ? len : 1, sizeof *pairs);
	for (size_t i = 0; i < len; i++) {
		struct value *pair[2] = { value_ref(value_at(v[0], i)), value_ref(value_at(v[1], i)) };

		pairs[i] = value_tuple(pair, 2);
		slice_breathe(2);
	}
	*out = value_list(pairs, len);
	free(pairs);
	return NULL;
}

/* The i-th part of each pair; a pair that is delayed gives a delayed part. */
static struct err *
parts_of(struct lower *lo, const struct span *span, const struct value *list, size_t which, struct value **out)
{
	size_t n = value_len(list), i;
	struct value **v = xcalloc(n ? n : 1, sizeof *v);
	struct err *err = NULL;

	for (i = 0; i < n && err == NULL; i++) {
		err = lower_part(lo, span, value_ref(value_at(list, i)), which, &v[i]);
		slice_breathe(2);
	}
	if (err == NULL)
		*out = value_list(v, n);
	else
		values_unref(v, i);
	free(v);
	return err;
}

static struct err *
unzip_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	struct value *lists[2];
	struct err *err = parts_of(lo, op->span, v[0], 0, &lists[0]);

	if (err != NULL)
		return err;
	if ((err = parts_of(lo, op->span, v[0], 1, &lists[1])) != NULL) {
		value_unref(lists[0]);
		return err;
	}
	*out = value_tuple(lists, 2);
	return NULL;
}

static struct err *
flatten_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t nv unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	size_t n = value_len(v[0]);
	struct value **parts = xcalloc(n ? n : 1, sizeof *parts);
	struct err *err;

	for (size_t i = 0; i < n; i++) {
		parts[i] = value_ref(value_at(v[0], i));
		slice_breathe(1);
	}
	err = lower_flatten(lo, op->span, parts, n, out);
	free(parts);
	return err;
}

static struct err *
map_fn(struct lower *lo unused_arg, const struct lower_op *op unused_arg, struct value *const *v, size_t n,
    struct value **out, struct flow **need unused_arg)
{
	struct value **kv = xcalloc(n ? n : 1, sizeof *kv);

	for (size_t i = 0; i < n; i++) {
		kv[i] = value_ref(v[i]);
		slice_breathe(1);
	}
	*out = value_map(kv, kv + n / 2, n / 2);
	free(kv);
	return NULL;
}

struct err *
lower_map(struct lower *lo, const struct span *span, struct value **kv, size_t n, struct value **out)
{
	struct lower_op op = { .fn = map_fn, .name = "map", .span = span };
	enum operand *modes = xcalloc(2 * n + 1, sizeof *modes);
	struct err *err;

	for (size_t i = 0; i < 2 * n; i++)
		modes[i] = i < n ? OPERAND_FORCE : OPERAND_RAW;
	err = with_values(lo, &op, modes, kv, 2 * n, out);
	free(modes);
	return err;
}

static struct value *
map_of_dir(const struct fileset *fs)
{
	size_t n = fileset_nmap(fs);
	struct value **k = xcalloc(2 * n + 1, sizeof *k), *map;

	for (size_t i = 0; i < n; i++) {
		k[i] = value_str(fileset_at(fs, i)->path);
		k[n + i] = value_file(&fileset_at(fs, i)->file);
		slice_breathe(2);
	}
	map = value_map(k, k + n, n);
	free(k);
	return map;
}

static struct err *
map_of_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t nv unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	struct value **kv;
	struct err *err = NULL;
	size_t n, i;

	if (value_kind(v[0]) == VAL_DIR) {
		*out = map_of_dir(value_get_dir(v[0]));
		return NULL;
	}
	n = value_len(v[0]);
	kv = xcalloc(2 * n + 1, sizeof *kv);
	for (i = 0; i < 2 * n && err == NULL; i++) {
		err = lower_part(lo, op->span, value_ref(value_at(v[0], i < n ? i : i - n)), i >= n, &kv[i]);
		slice_breathe(2);
	}
	if (err == NULL)
		err = lower_map(lo, op->span, kv, n, out);
	else
		values_unref(kv, i);
	free(kv);
	return err;
}

static struct err *
list_of_fn(struct lower *lo unused_arg, const struct lower_op *op unused_arg, struct value *const *v,
    size_t nv unused_arg, struct value **out, struct flow **need unused_arg)
{
	struct value *map = value_kind(v[0]) == VAL_DIR ? map_of_dir(value_get_dir(v[0])) : value_ref(v[0]);
	size_t n = value_len(map);
	struct value **pairs = xcalloc(n ? n : 1, sizeof *pairs);

	for (size_t i = 0; i < n; i++) {
		struct value *pair[2] = { value_ref(value_key_at(map, i)), value_ref(value_at(map, i)) };

		pairs[i] = value_tuple(pair, 2);
		slice_breathe(2);
	}
	*out = value_list(pairs, n);
	free(pairs);
	value_unref(map);
	return NULL;
}

static struct err *
range_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t nv unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	struct value **list;
	int64_t a, b;

	if (mpz_cmp(value_get_int(v[0]), value_get_int(v[1])) > 0)
		return lower_err(op->span, "invalid range: its start is greater than its end");
	if (!value_int_fits(v[0], &a) || !value_int_fits(v[1], &b) || (uint64_t)b - (uint64_t)a > LIST_MAX)
		return lower_err(op->span, "invalid range: more than %u elements", LIST_MAX);
	list = xcalloc((size_t)(b - a) + 1, sizeof *list);
	for (int64_t i = a; i < b; i++) {
		list[i - a] = value_int(i);
		slice_breathe(1);
	}
	*out = value_list(list, (size_t)(b - a));
	free(list);
	return NULL;
}

/* Folds held by the function v[0], from element number on; got is what there is so far. */
static struct err *
fold_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	struct err *err;

	for (; f->number < value_len(f->held); f->number++) {
		struct value *args[2] = { got, value_ref(value_at(f->held, f->number)) };

		got = NULL;
		frame_push(lo, f);
		err = lower_call(lo, &f->e->span, &f->place, value_ref(f->v[0]), args, 2, &got);
		if (err != NULL)
			return err;
		if (got == NULL) {
			f->number++;
			return NULL;
		}
		lo->top = f->below;
	}
	frame_free(f);
	*out = got;
	return NULL;
}

static struct err *
fold_from(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t i, struct value *acc,
    struct value **out)
{
	struct frame *f = frame_new(op->expr, &op->place, fold_step, 1);

	f->v[f->n++] = value_ref(v[0]);
	f->held = value_ref(v[1]);
	f->number = i;
	return fold_step(lo, f, acc, out);
}

static struct err *
reduce_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	if (value_len(v[1]) == 0)
		return lower_err(op->span, "cannot reduce empty list");
	return fold_from(lo, op, v, 1, value_ref(value_at(v[1], 0)), out);
}

static struct err *
fold_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	return fold_from(lo, op, v, 0, value_ref(v[2]), out);
}

static struct err *
delay_fn(struct lower *lo, const struct lower_op *op unused_arg, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	*out = value_flow(flow_val(lo->g, value_ref(v[0])));
	return NULL;
}

static struct err *
trace_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out, struct flow **need unused_arg)
{
	struct buf b = BUF_INIT;

	span_add_pos(op->span, &b);
	buf_addf(&b, "(%s): ", op->place.ident);
	value_print(v[0], op->expr->type, &b);
	fprintf(stderr, "%s\n", buf_str(&b));
	buf_release(&b);
	*out = value_ref(v[0]);
	return NULL;
}

static struct err *
panic_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out unused_arg, struct flow **need unused_arg)
{
	return lower_err(op->span, "panic: %s", value_get_string(v[0], NULL));
}

static struct err *
error_fn(struct lower *lo unused_arg, const struct lower_op *op, struct value *const *v, size_t n unused_arg,
    struct value **out unused_arg, struct flow **need unused_arg)
{
	struct buf b = BUF_INIT;
	struct err *err;

	span_add_pos(op->span, &b);
	buf_addstr(&b, ": module error code ");
	value_int_text(v[0], &b);
	err = err_msg(ERR_MODULE, "%s %s", buf_str(&b), value_get_string(v[1], NULL));
	buf_release(&b);
	return err;
}

static const struct {
	lower_fn    *fn;
	enum operand mode;
} impls[] = {
	[BUILTIN_DELAY] = { delay_fn, OPERAND_RAW },	[BUILTIN_ERROR] = { error_fn, OPERAND_TOP },
	[BUILTIN_FLATTEN] = { flatten_fn, OPERAND_TOP }, [BUILTIN_FLOAT] = { float_fn, OPERAND_TOP },
	[BUILTIN_FOLD] = { fold_fn, OPERAND_TOP },	[BUILTIN_INT] = { int_fn, OPERAND_TOP },
	[BUILTIN_LEN] = { len_fn, OPERAND_TOP },	[BUILTIN_LIST] = { list_of_fn, OPERAND_TOP },
	[BUILTIN_MAP] = { map_of_fn, OPERAND_TOP },	[BUILTIN_PANIC] = { panic_fn, OPERAND_TOP },
	[BUILTIN_RANGE] = { range_fn, OPERAND_TOP },	[BUILTIN_REDUCE] = { reduce_fn, OPERAND_TOP },
	[BUILTIN_TRACE] = { trace_fn, OPERAND_FORCE },	[BUILTIN_UNZIP] = { unzip_fn, OPERAND_TOP },
	[BUILTIN_ZIP] = { zip_fn, OPERAND_TOP },
};

struct err *
builtin_done(struct lower *lo, struct frame *f, struct value **out)
{
	const struct expr *e = f->e;
	const struct builtin *b = e->note;
	enum operand modes[3] = { impls[b->id].mode, impls[b->id].mode, impls[b->id].mode };
	struct lower_op op = { .fn = impls[b->id].fn, .name = "builtin", .detail = b->name, .expr = e, .span = &e->span,
		.place = { NULL, f->place.ident } };

	/* The initial value is only handed on. */
	if (b->id == BUILTIN_FOLD)
		modes[2] = OPERAND_RAW;
	return with_values(lo, &op, modes, f->v, f->n, out);
}
