/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/value_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * Making, reading and releasing values. What is easy to get wrong: a constructor takes the references
 * of its parts, a getter only borrows. Release keeps a list of the dying, so that neither nested values
 * nor functions that capture functions recurse; while a slice is left in the middle of that, whatever dies
 * waits on the list until it goes on.
 */

static void *
value_alloc(enum value_kind kind, size_t size)
{
	struct value *v = xmalloc(size);

	v->refs = 1;
	v->kind = (uint8_t)kind;
	v->strict = true;
	v->open = false;
	v->hashed = false;
	v->depth = 0;
	return v;
}

enum value_kind
value_kind(const struct value *v)
{
	return (enum value_kind)v->kind;
}

struct value *
value_ref(const struct value *v)
{
	struct value *w = (struct value *)v;

	w->refs++;
	return w;
}

/* The dying, linked through their own memory. Values are of one thread, so one list does. */
static struct value *dying;
static bool releasing;

static struct value **
dying_link(struct value *v)
{
	return v->kind == VAL_FUNC ? &((struct val_func *)v)->next : &((struct val_comp *)v)->u.next;
}

static void
release_parts(struct value *v)
{
	if (v->kind == VAL_FUNC) {
		struct value_func *fn = ((struct val_func *)v)->fn;

		if (--fn->refs == 0)
			fn->ops->free(fn);
	} else {
		for (size_t i = 0; i < comp_nparts(v); i++) {
			value_unref(((struct val_comp *)v)->v[i]);
			slice_breathe(1);
		}
	}
	free(v);
}

static void
release_leaf(struct value *v)
{
	if (v->kind == VAL_INT && ((struct val_int *)v)->big)
		mpz_clear(((struct val_int *)v)->z);
	else if (v->kind == VAL_DIR)
		fileset_unref(((struct val_dir *)v)->fs);
	free(v);
}

void
value_unref(struct value *v)
{
	if (v == NULL || --v->refs > 0)
		return;
	if (v->kind != VAL_FUNC && !value_is_comp(v)) {
		release_leaf(v);
		return;
	}
	*dying_link(v) = dying;
	dying = v;
	if (releasing)
		return;
	releasing = true;
	while ((v = dying) != NULL) {
		dying = *dying_link(v);
		release_parts(v);
	}
	releasing = false;
}

/* The limb of a small int is read through a view that owns nothing. */
static struct value *
int_small(mp_limb_t magnitude, int sign)
{
	struct val_int *v = value_alloc(VAL_INT, sizeof *v);

	v->big = false;
	v->limb = magnitude;
	mpz_roinit_n(v->z, &v->limb, magnitude == 0 ? 0 : sign);
	return &v->head;
}

struct value *
value_int(int64_t i)
{
	uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;

	static_assert(sizeof(mp_limb_t) == sizeof(uint64_t), "a small int is one limb");
	return int_small(magnitude, i < 0 ? -1 : 1);
}

struct value *
value_mpz(const mpz_t z)
{
	struct val_int *v;

	if (mpz_size(z) <= 1)
		return int_small(mpz_getlimbn(z, 0), mpz_sgn(z));
	v = value_alloc(VAL_INT, sizeof *v);
	v->big = true;
	mpz_init_set(v->z, z);
	return &v->head;
}

static struct val_float *
float_alloc(void)
{
	struct val_float *v = value_alloc(VAL_FLOAT, sizeof *v);

	static_assert(sizeof(mp_limb_t) == 8, "64 bits of mantissa are one limb");
	mpfr_custom_init(v->limb, 64);
	mpfr_custom_init_set(v->f, MPFR_ZERO_KIND, 0, 64, v->limb);
	return v;
}

struct value *
value_float(const mpfr_t f)
{
	struct val_float *v = float_alloc();

	mpfr_set(v->f, f, MPFR_RNDN);
	return &v->head;
}

struct value *
value_double(double d)
{
	struct val_float *v = float_alloc();

	mpfr_set_d(v->f, d, MPFR_RNDN);
	return &v->head;
}

struct value *
value_string(const char *p, size_t len)
{
	struct val_string *v = value_alloc(VAL_STRING, offsetof(struct val_string, p) + len + 1);

	v->len = len;
	memcpy(v->p, p, len);
	v->p[len] = '\0';
	return &v->head;
}

struct value *
value_str(const char *s)
{
	return value_string(s, strlen(s));
}

struct value *
value_bool(bool b)
{
	struct val_bool *v = value_alloc(VAL_BOOL, sizeof *v);

	v->b = b;
	return &v->head;
}

struct value *
value_file(const struct file *file)
{
	struct val_file *v = value_alloc(VAL_FILE, sizeof *v);

	v->file = *file;
	return &v->head;
}

struct value *
value_dir(struct fileset *fs)
{
	struct val_dir *v = value_alloc(VAL_DIR, sizeof *v);

	assert(!fileset_is_list(fs));
	v->fs = fs;
	return &v->head;
}

struct value *
value_unit(void)
{
	return value_alloc(VAL_UNIT, sizeof(struct value));
}

struct value *
value_flow(struct flow *flow)
{
	struct val_flow *v = value_alloc(VAL_FLOW, sizeof *v);

	v->head.strict = false;
	v->head.open = true;
	v->flow = flow;
	return &v->head;
}

struct value *
value_func(struct value_func *fn)
{
	struct val_func *v = value_alloc(VAL_FUNC, sizeof *v);

	v->head.open = fn->open;
	v->head.depth = fn->depth;
	v->fn = fn;
	return &v->head;
}

/* Room for nparts parts and, behind them, nnames names of which the characters stand last. */
static struct val_comp *
comp_alloc(enum value_kind kind, size_t n, size_t nparts, const char *const *names, size_t nnames)
{
	size_t chars = 0, head = offsetof(struct val_comp, v) + nparts * sizeof(struct value *);
	struct val_comp *c;
	char *p;

	for (size_t i = 0; i < nnames; i++)
		chars += strlen(names[i]) + 1;
	c = value_alloc(kind, head + nnames * sizeof(char *) + chars);
	c->n = n;
	c->names = nnames ? (const char **)(void *)((char *)c + head) : NULL;
	p = (char *)c + head + nnames * sizeof(char *);
	for (size_t i = 0; i < nnames; i++) {
		c->names[i] = p;
		p = stpcpy(p, names[i]) + 1;
	}
	return c;
}

static void
comp_set(struct val_comp *c, size_t i, struct value *part)
{
	c->v[i] = part;
	c->head.strict = c->head.strict && part->strict;
	c->head.open = c->head.open || part->open;
	if (part->depth >= c->head.depth)
		c->head.depth = part->depth < UINT16_MAX ? (uint16_t)(part->depth + 1) : UINT16_MAX;
}

static struct value *
comp_of(enum value_kind kind, const char *const *names, struct value **v, size_t n)
{
	struct val_comp *c = comp_alloc(kind, n, n, names, names ? n : 0);

	for (size_t i = 0; i < n; i++) {
		comp_set(c, i, v[i]);
		slice_breathe(1);
	}
	return &c->head;
}

struct value *
value_list(struct value **v, size_t n)
{
	return comp_of(VAL_LIST, NULL, v, n);
}

struct value *
value_tuple(struct value **v, size_t n)
{
	return comp_of(VAL_TUPLE, NULL, v, n);
}

struct value *
value_struct(const char *const *names, struct value **v, size_t n)
{
	return comp_of(VAL_STRUCT, names, v, n);
}

struct value *
value_module(const char *const *names, struct value **v, size_t n)
{
	return comp_of(VAL_MODULE, names, v, n);
}

struct value *
value_variant(const char *tag, struct value *elem)
{
	struct val_comp *c = comp_alloc(VAL_VARIANT, elem != NULL, elem != NULL, &tag, 1);

	if (elem != NULL)
		comp_set(c, 0, elem);
	return &c->head;
}

struct entry {
	struct value *key, *value;
	size_t	      seq;
};

static int
entry_cmp(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	int c = value_cmp(a->key, b->key);

	slice_breathe(1);
	return c != 0 ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

/* Drops all but the last of equal keys; gives how many are left. */
static size_t
entries_dedup(struct entry *e, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && value_cmp(e[i].key, e[i + 1].key) == 0) {
			value_unref(e[i].key);
			value_unref(e[i].value);
		} else {
			e[kept++] = e[i];
		}
	}
	return kept;
}

struct value *
value_map(struct value **keys, struct value **values, size_t n)
{
	struct entry *e = xcalloc(n ? n : 1, sizeof *e);
	struct val_comp *c;

	for (size_t i = 0; i < n; i++) {
		assert(keys[i]->strict);
		e[i] = (struct entry){ keys[i], values[i], i };
	}
	qsort(e, n, sizeof *e, entry_cmp);
	n = entries_dedup(e, n);
	c = comp_alloc(VAL_MAP, n, 2 * n, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		comp_set(c, i, e[i].key);
		comp_set(c, n + i, e[i].value);
		slice_breathe(1);
	}
	free(e);
	return &c->head;
}

bool
value_get_bool(const struct value *v)
{
	assert(v->kind == VAL_BOOL);
	return VAL(val_bool, v)->b;
}

mpz_srcptr
value_get_int(const struct value *v)
{
	assert(v->kind == VAL_INT);
	return VAL(val_int, v)->z;
}

bool
value_int_fits(const struct value *v, int64_t *out)
{
	static_assert(sizeof(long) == sizeof(int64_t), "GMP's long is 64 bits");
	if (!mpz_fits_slong_p(value_get_int(v)))
		return false;
	*out = mpz_get_si(value_get_int(v));
	return true;
}

mpfr_srcptr
value_get_float(const struct value *v)
{
	assert(v->kind == VAL_FLOAT);
	return VAL(val_float, v)->f;
}

const char *
value_get_string(const struct value *v, size_t *len)
{
	assert(v->kind == VAL_STRING);
	if (len != NULL)
		*len = VAL(val_string, v)->len;
	return VAL(val_string, v)->p;
}

const struct file *
value_get_file(const struct value *v)
{
	assert(v->kind == VAL_FILE);
	return &VAL(val_file, v)->file;
}

struct fileset *
value_get_dir(const struct value *v)
{
	assert(v->kind == VAL_DIR);
	return VAL(val_dir, v)->fs;
}

struct flow *
value_get_flow(const struct value *v)
{
	assert(v->kind == VAL_FLOW);
	return VAL(val_flow, v)->flow;
}

struct value_func *
value_get_func(const struct value *v)
{
	assert(v->kind == VAL_FUNC);
	return VAL(val_func, v)->fn;
}

size_t
value_nparts(const struct value *v)
{
	return value_is_comp(v) ? comp_nparts(v) : 0;
}

size_t
value_len(const struct value *v)
{
	assert(value_is_comp(v) && v->kind != VAL_VARIANT);
	return VAL(val_comp, v)->n;
}

struct value *
value_at(const struct value *v, size_t i)
{
	const struct val_comp *c = VAL(val_comp, v);

	assert(i < value_len(v));
	return c->v[v->kind == VAL_MAP ? c->n + i : i];
}

struct value *
value_key_at(const struct value *v, size_t i)
{
	assert(v->kind == VAL_MAP && i < value_len(v));
	return VAL(val_comp, v)->v[i];
}

struct value *
value_lookup(const struct value *v, const struct value *key)
{
	size_t lo = 0, hi = value_len(v);

	assert(v->kind == VAL_MAP);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = value_cmp(key, value_key_at(v, mid));

		if (c == 0)
			return value_at(v, mid);
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const char *
value_name_at(const struct value *v, size_t i)
{
	assert((v->kind == VAL_STRUCT || v->kind == VAL_MODULE) && i < VAL(val_comp, v)->n);
	return VAL(val_comp, v)->names[i];
}

struct value *
value_field(const struct value *v, const char *name)
{
	for (size_t i = 0; i < value_len(v); i++)
		if (strcmp(value_name_at(v, i), name) == 0)
			return value_at(v, i);
	return NULL;
}

const char *
value_tag(const struct value *v)
{
	assert(v->kind == VAL_VARIANT);
	return VAL(val_comp, v)->names[0];
}

struct value *
value_elem(const struct value *v)
{
	assert(v->kind == VAL_VARIANT);
	return VAL(val_comp, v)->n ? VAL(val_comp, v)->v[0] : NULL;
}

bool
value_is_strict(const struct value *v)
{
	return v->strict;
}

bool
value_is_open(const struct value *v)
{
	return v->open;
}

unsigned
value_depth(const struct value *v)
{
	return v->depth;
}
