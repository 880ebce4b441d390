/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "lang/sys.h"

/*
 * Expressions and declarations. Evaluation recurses as the program does; what bounds it is the stack,
 * which is measured, so that a function without end is an error with a position.
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
	for (size_t i = 0; i < n; i++)
		value_unref(v[i]);
}

/* How much of the stack evaluation may use: of what the main thread may grow to, most; of another's, little. */
#define STACK_WANTED ((rlim_t)96 << 20)	/* below the 128 MiB that Linux keeps free under a stack */

void
lower_enter(struct lower *lo, struct lower_stack *outer)
{
	struct rlimit more;

	outer->base = lo->stack;
	outer->room = lo->room;
	outer->raised = false;
	if (outer->base != NULL)
		return;
	lo->stack = __builtin_frame_address(0);
	lo->room = 256u << 10;
	if (gettid() != getpid() || getrlimit(RLIMIT_STACK, &outer->limit) != 0)
		return;
	/* The limit is looked at when the stack grows, so it can be raised for a while; children never see it. */
	more = outer->limit;
	if (more.rlim_cur < STACK_WANTED) {
		more.rlim_cur = more.rlim_max < STACK_WANTED ? more.rlim_max : STACK_WANTED;
		outer->raised = setrlimit(RLIMIT_STACK, &more) == 0;
	}
	if (!outer->raised)
		more = outer->limit;
	lo->room = (size_t)(more.rlim_cur < STACK_WANTED ? more.rlim_cur : STACK_WANTED) / 8 * 5;
}

void
lower_leave(struct lower *lo, const struct lower_stack *outer)
{
	lo->stack = outer->base;
	lo->room = outer->room;
	/* What could be raised can be put back. */
	if (outer->raised)
		(void)!setrlimit(RLIMIT_STACK, &outer->limit);
}

static struct err *
check_stack(const struct lower *lo, const struct span *span)
{
	const char *here = __builtin_frame_address(0);

	if ((size_t)(lo->stack - here) < lo->room)
		return NULL;
	return lower_err(span, "evaluation is nested too deeply: does a function call itself without end?");
}

struct err *
lower_exprs(struct lower *lo, struct expr *const *e, size_t n, const struct place *place, struct value ***out)
{
	struct value **v = xcalloc(n ? n : 1, sizeof *v);
	struct err *err = NULL;
	size_t i;

	for (i = 0; i < n && err == NULL; i++)
		err = lower_expr(lo, e[i], place, &v[i]);
	if (err == NULL) {
		*out = v;
		return NULL;
	}
	values_unref(v, i);
	free(v);
	return err;
}

static struct value *
int_literal(const struct expr *e)
{
	struct value *v;
	mpz_t z;

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
lower_field(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct lower_op op = { .fn = field_fn, .name = "field", .detail = e->name, .span = &e->span, .place = *place,
		.gives = GIVES_LIKE };
	struct value *v;
	struct err *err = lower_expr(lo, e->a, place, &v);

	return err ? err : with_all(lo, &op, OPERAND_TOP, &v, 1, out);
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
lower_index(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct lower_op op = {.fn = index_fn, .name = "index", .span = &e->span, .place = *place, .gives = GIVES_LIKE};
	struct value *v[2];
	struct err *err = lower_expr(lo, e->a, place, &v[0]);

	if (err != NULL)
		return err;
	if ((err = lower_expr(lo, e->b, place, &v[1])) != NULL) {
		value_unref(v[0]);
		return err;
	}
	return with_all(lo, &op, OPERAND_TOP, v, 2, out);
}

/* ---- Calls ---- */

static struct err *
call_closure(struct lower *lo, const struct value *f, struct value **args, struct value **out)
{
	struct place place;
	const struct expr *func = closure_enter(f, args, &place);
	struct err *err = lower_expr(lo, func->a, &place, out);

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

	if ((err = check_stack(lo, span)) != NULL) {
		value_unref(f);
		values_unref(args, n);
		return err;
	}
	if (value_kind(f) == VAL_FLOW)
		return call_later(lo, span, place, f, args, n, out);
	if ((sys = sys_func_of(f)) != NULL) {
		struct lower_op op = { .fn = sys->fn, .name = sys->module, .detail = sys->name, .span = span,
			.place = { NULL, place->ident }, .data = sys };

		err = with_all(lo, &op, sys->mode, args, n, out);
	} else {
		err = call_closure(lo, f, args, out);
	}
	value_unref(f);
	return err;
}

static struct err *
lower_call_expr(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct value *f, **args;
	struct err *err;

	if (e->note != NULL)
		return lower_builtin(lo, e, place, out);
	if ((err = lower_expr(lo, e->a, place, &f)) != NULL)
		return err;
	if ((err = lower_exprs(lo, e->elem, e->nelems, place, &args)) != NULL) {
		value_unref(f);
		return err;
	}
	err = lower_call(lo, &e->span, place, f, args, e->nelems, out);
	free(args);
	return err;
}

/* ---- Conditions and blocks ---- */

static struct err *
cond_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	return lower_expr(lo, value_get_bool(v[0]) ? op->expr->b : op->expr->c, &op->place, out);
}

static struct err *
lower_cond(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct lower_op op = { .fn = cond_fn, .name = "if", .expr = e, .span = &e->span, .place = *place };
	struct value *v;
	struct err *err = lower_expr(lo, e->a, place, &v);

	if (err != NULL)
		return err;
	if (value_kind(v) == VAL_FLOW)
		op.piece = piece_get(lo->p, e, PIECE_RIGHT);
	return with_all(lo, &op, OPERAND_TOP, &v, 1, out);
}

struct err *
lower_decl(struct lower *lo, const struct decl *d, struct place *place)
{
	struct place inner = { place->env, d->note };
	struct value *v;
	struct err *err;

	if (d->kind != DECL_VAL)
		return NULL;
	if ((err = lower_expr(lo, d->expr, &inner, &v)) != NULL)
		return err;
	/* The outermost stands first, so the last is the innermost. */
	for (size_t i = d->nrequires; i-- > 0;)
		if ((err = lower_requires(lo, &d->req[i], &inner, v, &v)) != NULL)
			return err;
	return lower_pat(lo, d->pat, v, &place->env);
}

static struct err *
lower_block(struct lower *lo, const struct expr *e, const struct place *outer, struct value **out)
{
	struct place place = { env_ref(outer->env), outer->ident };
	struct err *err = NULL;

	for (size_t i = 0; i < e->ndecls && err == NULL; i++)
		err = lower_decl(lo, e->decl[i], &place);
	if (err == NULL)
		err = lower_expr(lo, e->a, &place, out);
	env_unref(place.env);
	return err;
}

/* ---- Composites ---- */

static struct err *
lower_struct(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	const char **names = xcalloc(e->nfields, sizeof *names);
	struct value **v = xcalloc(e->nfields, sizeof *v);
	struct err *err = NULL;
	size_t i;

	for (i = 0; i < e->nfields && err == NULL; i++) {
		names[i] = e->field[i].name;
		err = lower_expr(lo, e->field[i].expr, place, &v[i]);
	}
	if (err == NULL)
		*out = value_struct(names, v, i);
	else
		values_unref(v, i);
	free(names);
	free(v);
	return err;
}

/* Takes *acc and gives the sum in its place. Spreads of a list follow in order; of two maps' entries the left one's
 * win. */
static struct err *
add_spreads(struct lower *lo, const struct expr *e, const struct place *place, struct value **acc)
{
	for (size_t i = 0; i < e->nspreads; i++) {
		bool map = e->kind == EXPR_MAP;
		struct value *s;
		struct err *err = lower_expr(lo, e->spread[i], place, &s);

		if (err != NULL) {
			value_unref(*acc);
			return err;
		}
		err = lower_concat(lo, &e->spread[i]->span, map ? s : *acc, map ? *acc : s, acc);
		if (err != NULL)
			return err;
	}
	return NULL;
}

static struct err *
lower_list(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct value **v, *list;
	struct err *err = lower_exprs(lo, e->elem, e->nelems, place, &v);

	if (err != NULL)
		return err;
	list = value_list(v, e->nelems);
	free(v);
	if ((err = add_spreads(lo, e, place, &list)) == NULL)
		*out = list;
	return err;
}

static struct err *
lower_map_expr(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	size_t n = e->nentries, i = 0;
	struct value **kv = xcalloc(2 * n + 1, sizeof *kv), *map;
	struct err *err = NULL;

	for (i = 0; i < 2 * n && err == NULL; i++)
		err = lower_expr(lo, i < n ? e->entry[i].key : e->entry[i - n].value, place, &kv[i]);
	if (err != NULL)
		values_unref(kv, i);
	else
		err = lower_map(lo, &e->span, kv, n, &map);
	free(kv);
	if (err == NULL && (err = add_spreads(lo, e, place, &map)) == NULL)
		*out = map;
	return err;
}

static struct err *
lower_tuple(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct value **v;
	struct err *err = lower_exprs(lo, e->elem, e->nelems, place, &v);

	if (err != NULL)
		return err;
	*out = value_tuple(v, e->nelems);
	free(v);
	return NULL;
}

static struct err *
lower_variant(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct value *v = NULL;
	struct err *err = e->a ? lower_expr(lo, e->a, place, &v) : NULL;

	if (err == NULL)
		*out = value_variant(e->name, v);
	return err;
}

struct err *
lower_expr(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
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
	case EXPR_BINARY:
		return lower_binary(lo, e, place, out);
	case EXPR_UNARY:
		return lower_unary(lo, e, place, out);
	case EXPR_CALL:
		return lower_call_expr(lo, e, place, out);
	case EXPR_FIELD:
		return lower_field(lo, e, place, out);
	case EXPR_INDEX:
		return lower_index(lo, e, place, out);
	case EXPR_COND:
		return lower_cond(lo, e, place, out);
	case EXPR_SWITCH:
		return lower_switch(lo, e, place, out);
	case EXPR_BLOCK:
		return lower_block(lo, e, place, out);
	case EXPR_FUNC:
		return closure_new(lo, e, place, out);
	case EXPR_EXEC:
		return lower_exec(lo, e, place, out);
	case EXPR_MAKE:
		return lower_make(lo, e, place, out);
	case EXPR_TUPLE:
		return lower_tuple(lo, e, place, out);
	case EXPR_STRUCT:
		return lower_struct(lo, e, place, out);
	case EXPR_LIST:
		return lower_list(lo, e, place, out);
	case EXPR_MAP:
		return lower_map_expr(lo, e, place, out);
	case EXPR_COMPR:
		return lower_compr(lo, e, place, out);
	case EXPR_VARIANT:
		return lower_variant(lo, e, place, out);
	}
	assert(!"a kind of expression");
	return NULL;
}
