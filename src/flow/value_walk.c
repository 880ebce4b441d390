/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/value_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"
#include "flow/flow.h"

/*
 * Walks over values: order, digests, delayed parts. They recurse, but only as deep as the type of the
 * value, which the language bounds. What is easy to get wrong: value_each_flow and value_subst must
 * agree about the order of the parts, and value_each_captured about which parts a skeleton leaves out.
 */

struct named {
	const char *name;
	size_t	    i;
};

static int
named_cmp(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

size_t *
value_name_order(const struct value *v)
{
	const struct val_comp *c = VAL(val_comp, v);
	struct named *t = xcalloc(c->n ? c->n : 1, sizeof *t);
	size_t *order = xcalloc(c->n ? c->n : 1, sizeof *order);

	for (size_t i = 0; i < c->n; i++)
		t[i] = (struct named){ c->names[i], i };
	qsort(t, c->n, sizeof *t, named_cmp);
	for (size_t i = 0; i < c->n; i++)
		order[i] = t[i].i;
	free(t);
	return order;
}

static int
sign(long long n)
{
	return (n > 0) - (n < 0);
}

static int
string_cmp(const struct value *a, const struct value *b)
{
	size_t m, n, least;
	const char *p = value_get_string(a, &m), *q = value_get_string(b, &n);
	int c;

	least = m < n ? m : n;
	c = memcmp(p, q, least);
	return c != 0 ? sign(c) : (m > n) - (m < n);
}

static int
dir_cmp(struct fileset *a, struct fileset *b)
{
	size_t m = fileset_nmap(a), n = fileset_nmap(b);

	for (size_t i = 0; i < m && i < n; i++) {
		const struct fileset_entry *e = fileset_at(a, i), *f = fileset_at(b, i);
		int c = strcmp(e->path, f->path);

		if (c == 0)
			c = digest_cmp(&e->file.id, &f->file.id);
		if (c != 0)
			return sign(c);
	}
	return (m > n) - (m < n);
}

/* Lists, tuples and maps: a map's keys stand before its values, so sets of keys are compared first. */
static int
parts_cmp(const struct value *a, const struct value *b)
{
	const struct val_comp *x = VAL(val_comp, a), *y = VAL(val_comp, b);
	size_t m = comp_nparts(a), n = comp_nparts(b);

	if (a->kind == VAL_MAP && m != n)
		return m < n ? -1 : 1;
	for (size_t i = 0; i < m && i < n; i++) {
		int c = value_cmp(x->v[i], y->v[i]);

		if (c != 0)
			return c;
		slice_breathe(1);
	}
	return (m > n) - (m < n);
}

static int
struct_cmp(const struct value *a, const struct value *b)
{
	const struct val_comp *x = VAL(val_comp, a), *y = VAL(val_comp, b);
	size_t *p = value_name_order(a), *q = value_name_order(b);
	int c = (x->n > y->n) - (x->n < y->n);

	for (size_t i = 0; i < x->n && c == 0; i++)
		c = sign(strcmp(x->names[p[i]], y->names[q[i]]));
	for (size_t i = 0; i < x->n && c == 0; i++)
		c = value_cmp(x->v[p[i]], y->v[q[i]]);
	free(p);
	free(q);
	return c;
}

static int
variant_cmp(const struct value *a, const struct value *b)
{
	int c = strcmp(value_tag(a), value_tag(b));

	return c != 0 ? sign(c) : parts_cmp(a, b);
}

/* Not a value's order, but a total one all the same: floats that are no numbers come first. */
static int
float_cmp(mpfr_srcptr a, mpfr_srcptr b)
{
	if (mpfr_nan_p(a) || mpfr_nan_p(b))
		return (mpfr_nan_p(a) == 0) - (mpfr_nan_p(b) == 0);
	return sign(mpfr_cmp(a, b));
}

int
value_cmp(const struct value *a, const struct value *b)
{
	if (a == b)
		return 0;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (value_kind(a)) {
	case VAL_INT:
		return sign(mpz_cmp(value_get_int(a), value_get_int(b)));
	case VAL_FLOAT:
		return float_cmp(value_get_float(a), value_get_float(b));
	case VAL_STRING:
		return string_cmp(a, b);
	case VAL_BOOL:
		return value_get_bool(a) - value_get_bool(b);
	case VAL_FILE:
		return sign(digest_cmp(&value_get_file(a)->id, &value_get_file(b)->id));
	case VAL_DIR:
		return dir_cmp(value_get_dir(a), value_get_dir(b));
	case VAL_UNIT:
		return 0;
	case VAL_LIST:
	case VAL_MAP:
	case VAL_TUPLE:
		return parts_cmp(a, b);
	case VAL_STRUCT:
	case VAL_MODULE:
		return struct_cmp(a, b);
	case VAL_VARIANT:
		return variant_cmp(a, b);
	case VAL_FUNC:
		return (value_get_func(a) > value_get_func(b)) - (value_get_func(a) < value_get_func(b));
	case VAL_FLOW:
		return sign(digest_cmp(&value_get_flow(a)->digest, &value_get_flow(b)->digest));
	}
	return 0;
}

static bool
has_func(const struct value *v)
{
	if (v->kind == VAL_FUNC)
		return true;
	if (value_is_comp(v))
		for (size_t i = 0; i < comp_nparts(v); i++)
			if (has_func(VAL(val_comp, v)->v[i]))
				return true;
	return false;
}

bool
value_equal(const struct value *a, const struct value *b)
{
	return value_cmp(a, b) == 0 && !has_func(a);
}

/* Parts are visited in the order of the digest: fields by name. Only so do a skeleton and the parts make the whole. */
static size_t *
name_order_if_named(const struct value *v)
{
	return v->kind == VAL_STRUCT || v->kind == VAL_MODULE ? value_name_order(v) : NULL;
}

static void
int_digest(const struct value *v, struct w1 *w)
{
	mpz_srcptr z = value_get_int(v);
	size_t n = (mpz_sizeinbase(z, 2) + 7) / 8;
	uint8_t small[32], *p = n <= sizeof small ? small : xmalloc(n);
	size_t len = 0;

	mpz_export(p, &len, 1, 1, 1, 0, z);
	w1_add(w, mpz_sgn(z) < 0 ? W1_NEG : W1_POS, 0, p, len);
	if (p != small)
		free(p);
}

static void
float_digest(const struct value *v, struct w1 *w)
{
	char *text = NULL;

	if (mpfr_asprintf(&text, "%Ra", value_get_float(v)) < 0)
		abort();
	w1_add_str(w, W1_FLOAT, 0, text);
	mpfr_free_str(text);
}

static void value_hash(const struct value *, bool skeleton, struct digest *);

static void
part_digest(const struct value *v, bool skeleton, struct w1 *w, uint32_t pos)
{
	struct digest d;

	value_hash(v, skeleton, &d);
	w1_add_digest(w, W1_DIGEST, pos, &d);
}

static void
comp_digest(const struct value *v, bool skeleton, struct w1 *w)
{
	const struct val_comp *c = VAL(val_comp, v);
	size_t *order;

	w1_add_u64(w, 0, c->n);
	if (v->kind == VAL_VARIANT)
		w1_add_str(w, W1_NAME, 0, c->names[0]);
	order = name_order_if_named(v);
	for (size_t i = 0; i < comp_nparts(v); i++) {
		size_t k = order ? order[i] : i;

		if (order != NULL)
			w1_add_str(w, W1_NAME, (uint32_t)i, c->names[k]);
		part_digest(c->v[k], skeleton, w, (uint32_t)i);
		slice_breathe(2);
	}
	free(order);
}

static void
flow_digest(const struct value *v, bool skeleton, struct w1 *w)
{
	if (skeleton)
		w1_add_str(w, W1_DELAYED, 0, NULL);
	else
		w1_add_digest(w, W1_DELAYED, 0, &value_get_flow(v)->digest);
}

static const char *const kind_names[] = {
	[VAL_INT] = "int", [VAL_FLOAT] = "float", [VAL_STRING] = "string", [VAL_BOOL] = "bool", [VAL_FILE] = "file",
	[VAL_DIR] = "dir", [VAL_UNIT] = "unit", [VAL_LIST] = "list", [VAL_MAP] = "map", [VAL_TUPLE] = "tuple",
	[VAL_STRUCT] = "struct", [VAL_MODULE] = "module", [VAL_VARIANT] = "variant", [VAL_FUNC] = "func",
	[VAL_FLOW] = "flow",
};

static void
payload_digest(const struct value *v, bool skeleton, struct w1 *w)
{
	struct digest d;


	switch (value_kind(v)) {
	case VAL_INT:
		int_digest(v, w);
		return;
	case VAL_FLOAT:
		float_digest(v, w);
		return;
	case VAL_STRING:
		w1_add(w, W1_TEXT, 0, value_get_string(v, NULL), VAL(val_string, v)->len);
		return;
	case VAL_BOOL:
		w1_add_u64(w, 0, value_get_bool(v));
		return;
	case VAL_FILE:
		w1_add_digest(w, W1_DIGEST, 0, &value_get_file(v)->id);
		return;
	case VAL_DIR:
		fileset_digest(value_get_dir(v), &d);
		w1_add_digest(w, W1_DIGEST, 0, &d);
		return;
	case VAL_UNIT:
		return;
	case VAL_FUNC:
		value_get_func(v)->ops->digest(value_get_func(v), skeleton, &d);
		w1_add_digest(w, W1_DIGEST, 0, &d);
		return;
	case VAL_FLOW:
		flow_digest(v, skeleton, w);
		return;
	default:
		comp_digest(v, skeleton, w);
		return;
	}
}

/*
 * The digest of a composite is kept: environments and lists are hashed again and again. That of a place that is
 * delayed is always the same, and there may be a million of them.
 */
static void
value_hash(const struct value *v, bool skeleton, struct digest *out)
{
	static struct { struct digest digest; bool known; } delayed;
	bool keep = value_is_comp(v) && !(skeleton && v->open), place = skeleton && v->kind == VAL_FLOW;
	struct w1 w;

	if (place && delayed.known) {
		*out = delayed.digest;
		return;
	}
	if (keep && v->hashed) {
		*out = VAL(val_comp, v)->u.digest;
		return;
	}
	w1_init(&w, "value");
	w1_add_str(&w, W1_TEXT, 0, kind_names[v->kind]);
	payload_digest(v, skeleton, &w);
	w1_final(&w, out);
	if (place) {
		delayed.digest = *out;
		delayed.known = true;
	}
	if (keep) {
		((struct val_comp *)v)->u.digest = *out;
		((struct value *)v)->hashed = true;
	}
}

void
value_digest(const struct value *v, struct digest *out)
{
	value_hash(v, false, out);
}

void
value_skeleton(const struct value *v, struct digest *out)
{
	value_hash(v, v->open, out);
}

void
value_each_flow(const struct value *v, value_flow_cb *fn, void *arg)
{
	size_t *order;

	if (v->strict)
		return;
	if (v->kind == VAL_FLOW) {
		fn(value_get_flow(v), arg);
		return;
	}
	order = name_order_if_named(v);
	for (size_t i = 0; i < comp_nparts(v); i++) {
		value_each_flow(VAL(val_comp, v)->v[order ? order[i] : i], fn, arg);
		slice_breathe(1);
	}
	free(order);
}

void
value_each_captured(const struct value *v, value_flow_cb *fn, void *arg)
{
	size_t *order;

	if (!v->open)
		return;
	if (v->kind == VAL_FLOW) {
		fn(value_get_flow(v), arg);
		return;
	}
	if (v->kind == VAL_FUNC) {
		value_get_func(v)->ops->each_captured(value_get_func(v), fn, arg);
		return;
	}
	order = name_order_if_named(v);
	for (size_t i = 0; i < comp_nparts(v); i++) {
		value_each_captured(VAL(val_comp, v)->v[order ? order[i] : i], fn, arg);
		slice_breathe(1);
	}
	free(order);
}

static struct value *
subst(const struct value *v, struct value *const **next)
{
	const struct val_comp *c = VAL(val_comp, v);
	size_t n = value_is_comp(v) ? comp_nparts(v) : 0;
	struct value **parts, *out;
	size_t *order;

	if (v->strict)
		return value_ref(v);
	if (v->kind == VAL_FLOW)
		return value_ref(*(*next)++);
	parts = xcalloc(n, sizeof *parts);
	order = name_order_if_named(v);
	for (size_t i = 0; i < n; i++) {
		parts[order ? order[i] : i] = subst(c->v[order ? order[i] : i], next);
		slice_breathe(1);
	}
	free(order);
	switch (value_kind(v)) {
	case VAL_MAP:
		out = value_map(parts, parts + c->n, c->n);
		break;
	case VAL_STRUCT:
		out = value_struct(c->names, parts, n);
		break;
	case VAL_MODULE:
		out = value_module(c->names, parts, n);
		break;
	case VAL_VARIANT:
		out = value_variant(c->names[0], parts[0]);
		break;
	case VAL_TUPLE:
		out = value_tuple(parts, n);
		break;
	default:
		out = value_list(parts, n);
		break;
	}
	free(parts);
	return out;
}

struct value *
value_subst(const struct value *v, struct value *const *repl, size_t n)
{
	struct value *const *next = repl;
	struct value *out = subst(v, &next);

	assert(next == repl + n);
	(void)n;
	return out;
}

void
value_each_file(const struct value *v, fileset_file_cb *cb, void *arg)
{
	if (v->kind == VAL_FILE) {
		cb(".", value_get_file(v), arg);
	} else if (v->kind == VAL_DIR) {
		fileset_each(value_get_dir(v), cb, arg);
	} else if (value_is_comp(v)) {
		for (size_t i = 0; i < comp_nparts(v); i++) {
			value_each_file(VAL(val_comp, v)->v[i], cb, arg);
			slice_breathe(1);
		}
	}
}
