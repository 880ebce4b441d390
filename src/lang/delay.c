/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * with_values: run an operation now, or make a continuation that will. What is easy to get wrong: the
 * digest of a continuation never holds a node. Delayed operands are its deps, told by their place; whatever
 * else has delayed parts (a list with delayed elements, a variable of the code left to run) is captured,
 * and stands in the digest by its place as well.
 */
struct waiting {
	struct cont	cont;
	struct lower   *lo;
	struct lower_op op;		/* place.env is NULL: rebuilt from captured */
	struct flow    *need;		/* or NULL: the last dep */
	size_t		n, ncaptured;
	bool	       *is_dep;		/* n: the operand comes as a dep */
	struct value  **v;		/* n operands, then the captured variables; NULL where is_dep */
};

static struct err *run(struct lower *, const struct lower_op *, struct value **v, size_t n, struct value **out);

struct replace {
	struct flow   *flow;
	struct value  *by;
	struct value **v;
	size_t	       n;
};

static void
replace_cb(struct flow *f, void *arg)
{
	struct replace *r = arg;

	r->v = xreallocarray(r->v, r->n + 1, sizeof(struct value *));
	r->v[r->n++] = f == r->flow ? value_ref(r->by) : value_flow(f);
}

/* The value with one flow's value put wherever that flow stands. */
static struct value *
value_with(const struct value *v, struct flow *flow, struct value *by)
{
	struct replace r = { flow, by, NULL, 0 };
	struct value *out;

	value_each_flow(v, replace_cb, &r);
	out = value_subst(v, r.v, r.n);
	values_unref(r.v, r.n);
	free(r.v);
	return out;
}

static struct err *
waiting_begin(const struct waiting *w, struct value *const *in, size_t nin, struct value **out)
{
	struct lower_op op = w->op;
	struct value **v = xcalloc(w->n ? w->n : 1, sizeof *v);
	struct err *err;
	size_t dep = 0;

	for (size_t i = 0; i < w->n; i++) {
		v[i] = value_ref(w->is_dep[i] ? in[dep++] : w->v[i]);
		if (w->need != NULL && !w->is_dep[i]) {
			struct value *old = v[i];

			v[i] = value_with(old, w->need, in[nin - 1]);
			value_unref(old);
		}
		slice_breathe(1);
	}
	for (size_t i = 0; i < w->ncaptured; i++)
		env_push(&op.place.env, op.piece->free[i], value_ref(w->v[w->n + i]));
	*out = NULL;
	err = run(w->lo, &op, v, w->n, out);
	env_unref(op.place.env);
	free(v);
	return err;
}

static struct err *
waiting_call(struct cont *cont, struct graph *g unused_arg, struct value *const *in, size_t nin, struct value **out)
{
	struct waiting *w = container_of(cont, struct waiting, cont);
	struct frame *base = w->lo->top;

	return lower_run(w->lo, base, waiting_begin(w, in, nin, out), out);
}

static void
waiting_free(struct cont *cont)
{
	struct waiting *w = container_of(cont, struct waiting, cont);

	values_unref(w->v, w->n + w->ncaptured);
	free(w->v);
	free(w->is_dep);
	free(w);
}

static const struct cont_ops waiting_ops = { "operation", false, waiting_call, waiting_free };
static const struct cont_ops waiting_strict_ops = { "operation", true, waiting_call, waiting_free };

/* While a node is made: its digest, and who is dep and who captured. */
struct making {
	struct lower *lo;
	struct w1     w;
	uint32_t      pos;
	struct flow **deps, **captured;
	size_t	      ndeps, ncaptured;
	bool	      strict;
};

static void
add_dep(struct making *m, struct flow *f)
{
	w1_add_str(&m->w, W1_DELAYED, m->pos++, NULL);
	m->deps[m->ndeps++] = f;
	m->strict &= flow_gives_strict(f);
}

static void
add_value(struct making *m, struct value *v)
{
	struct digest d;

	m->strict &= value_is_strict(v);
	if (!value_is_open(v)) {
		value_digest(v, &d);
		w1_add_digest(&m->w, W1_DIGEST, m->pos++, &d);
		return;
	}
	w1_add_str(&m->w, W1_DELAYED, m->pos++, NULL);
	m->captured[m->ncaptured++] =
	    value_kind(v) == VAL_FLOW ? value_get_flow(v) : flow_val(m->lo->g, value_ref(v));
}

static void
add_op(struct making *m, const struct lower_op *op)
{
	w1_init(&m->w, "operation");
	w1_add_str(&m->w, W1_NAME, m->pos++, op->name);
	w1_add_str(&m->w, W1_TEXT, m->pos++, op->detail);
	w1_add_u64(&m->w, m->pos++, op->number);
	if (op->piece != NULL)
		w1_add_digest(&m->w, W1_DIGEST, m->pos++, &op->piece->digest);
	else
		w1_add_str(&m->w, W1_DIGEST, m->pos++, NULL);
}

static struct waiting *
waiting_new(struct lower *lo, const struct lower_op *op, struct value **v, size_t n, struct flow *need)
{
	struct waiting *w = xcalloc(1, sizeof *w);

	w->cont.refs = 1;
	w->lo = lo;
	w->op = *op;
	w->op.place.env = NULL;
	w->need = need;
	w->n = n;
	w->ncaptured = op->piece ? op->piece->nfree : 0;
	w->is_dep = xcalloc(n ? n : 1, sizeof *w->is_dep);
	w->v = xcalloc(n + w->ncaptured + 1, sizeof *w->v);
	if (n > 0)
		memcpy(w->v, v, n * sizeof *v);
	for (size_t i = 0; i < w->ncaptured; i++)
		w->v[n + i] = value_ref(env_get(op->place.env, op->piece->free[i]));
	return w;
}

/* Takes v. The operands for which wait is true are deps; need, if any, is one more. */
static struct value *
make_node(struct lower *lo, const struct lower_op *op, struct value **v, size_t n, const bool *wait, struct flow *need)
{
	struct waiting *w = waiting_new(lo, op, v, n, need);
	size_t most = n + w->ncaptured + 1;
	struct making m = { .lo = lo, .strict = op->gives == GIVES_LIKE && need == NULL };
	struct src_pos pos = lower_pos(op->span);
	struct digest own;
	struct flow *f;

	m.deps = xcalloc(most, sizeof *m.deps);
	m.captured = xcalloc(most, sizeof *m.captured);
	add_op(&m, op);
	for (size_t i = 0; i < n; i++) {
		slice_breathe(2);
		if (wait == NULL || !wait[i]) {
			add_value(&m, w->v[i]);
			continue;
		}
		w->is_dep[i] = true;
		add_dep(&m, value_get_flow(w->v[i]));
		value_unref(w->v[i]);
		w->v[i] = NULL;
	}
	for (size_t i = 0; i < w->ncaptured; i++)
		add_value(&m, w->v[n + i]);
	if (need != NULL)
		add_dep(&m, need);
	w->cont.ops = m.strict || op->gives == GIVES_STRICT ? &waiting_strict_ops : &waiting_ops;
	w1_final(&m.w, &own);
	f = flow_k(lo->g, &own, m.deps, m.ndeps, m.captured, m.ncaptured, &w->cont, op->place.ident, &pos);
	free(m.deps);
	free(m.captured);
	return value_flow(f);
}

/* Takes v. */
static struct err *
run(struct lower *lo, const struct lower_op *op, struct value **v, size_t n, struct value **out)
{
	struct flow *need = NULL;
	struct err *err = op->fn(lo, op, v, n, out, &need);

	if (err == NULL && need != NULL)
		*out = make_node(lo, op, v, n, NULL, need);
	else
		values_unref(v, n);
	return err;
}

struct err *
with_values(struct lower *lo, const struct lower_op *op, const enum operand *modes, struct value **v, size_t n,
    struct value **out)
{
	bool few[8], *wait = n <= nitems(few) ? few : xcalloc(n, sizeof *wait), any = false;
	struct err *err = NULL;

	for (size_t i = 0; i < n; i++) {
		if (modes[i] == OPERAND_FORCE && !value_is_strict(v[i]))
			v[i] = value_flow(flow_force(lo->g, v[i]));
		wait[i] = modes[i] != OPERAND_RAW && value_kind(v[i]) == VAL_FLOW;
		any |= wait[i];
		slice_breathe(1);
	}
	if (any)
		*out = make_node(lo, op, v, n, wait, NULL);
	else
		err = run(lo, op, v, n, out);
	if (wait != few)
		free(wait);
	return err;
}

struct err *
with_all(struct lower *lo, const struct lower_op *op, enum operand mode, struct value **v, size_t n, struct value **out)
{
	enum operand few[8] = { mode }, *modes = n <= nitems(few) ? few : xcalloc(n, sizeof *modes);
	struct err *err;

	for (size_t i = 0; i < n; i++)
		modes[i] = mode;
	err = with_values(lo, op, modes, v, n, out);
	if (modes != few)
		free(modes);
	return err;
}
