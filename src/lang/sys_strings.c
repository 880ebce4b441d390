/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/sys.h"

#include <stdlib.h>
#include <string.h>

#include "base/regexp.h"
#include "base/xalloc.h"

/* $/strings and $/regexp. Strings are bytes; characters are those of UTF-8, and a stray byte is one of its own. */
#define FN(name)                                                                                                       \
	static struct err *name(struct lower *lo unused_arg, const struct lower_op *op unused_arg,                     \
	    struct value *const *v, size_t nv unused_arg, struct value **out, struct flow **need unused_arg)

static size_t
char_len(const char *s, size_t n)
{
	unsigned char c = (unsigned char)s[0];
	size_t len = c < 0x80                ? 1
		     : c >= 0xc2 && c < 0xe0 ? 2
		     : c >= 0xe0 && c < 0xf0 ? 3
		     : c >= 0xf0 && c < 0xf5 ? 4
					     : 1;

	if (len > n)
		return 1;
	for (size_t i = 1; i < len; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 1;
	return len;
}

struct strings {
	struct value **v;
	size_t	       n, cap;
};

static void
strings_add(struct strings *l, const char *s, size_t n)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->v = xreallocarray(l->v, l->cap, sizeof(struct value *));
	}
	l->v[l->n++] = value_string(s, n);
}

static struct value *
strings_finish(struct strings *l)
{
	struct value *list = value_list(l->v, l->n);

	free(l->v);
	return list;
}

static void
split_chars(struct strings *l, const char *s, size_t n)
{
	while (n > 0) {
		size_t k = char_len(s, n);

		strings_add(l, s, k);
		s += k;
		n -= k;
	}
}

FN(split_fn)
{
	size_t n, nsep;
	const char *s = value_get_string(v[0], &n), *sep = value_get_string(v[1], &nsep), *hit;
	struct strings l = { NULL, 0, 0 };

	if (nsep == 0) {
		split_chars(&l, s, n);
		*out = strings_finish(&l);
		return NULL;
	}
	while ((hit = memmem(s, n, sep, nsep)) != NULL) {
		strings_add(&l, s, (size_t)(hit - s));
		n -= (size_t)(hit - s) + nsep;
		s = hit + nsep;
	}
	strings_add(&l, s, n);
	*out = strings_finish(&l);
	return NULL;
}

FN(chunk_fn)
{
	size_t n, k, max;
	const char *s = value_get_string(v[0], &n);
	struct strings l = { NULL, 0, 0 };
	int64_t limit;

	if (!value_int_fits(v[1], &limit))
		limit = mpz_sgn(value_get_int(v[1])) > 0 ? INT64_MAX : 0;
	if (limit < 4)
		return lower_err(
		    op->span, "strings.Chunk: the length must be at least 4, so that every character fits");
	while (n > 0) {
		max = (uint64_t)limit < n ? (size_t)limit : n;
		for (k = 0; k < max && k + char_len(s + k, n - k) <= max;)
			k += char_len(s + k, n - k);
		strings_add(&l, s, k);
		s += k;
		n -= k;
	}
	*out = strings_finish(&l);
	return NULL;
}

FN(join_fn)
{
	size_t n, nsep;
	const char *s, *sep = value_get_string(v[1], &nsep);
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < value_len(v[0]); i++) {
		if (i > 0)
			buf_add(&b, sep, nsep);
		s = value_get_string(value_at(v[0], i), &n);
		buf_add(&b, s, n);
		if (b.len > STRING_MAX) {
			buf_release(&b);
			return lower_err(op->span, "strings.Join: the string has more than %u bytes", STRING_MAX);
		}
	}
	*out = value_string(buf_str(&b), b.len);
	buf_release(&b);
	return NULL;
}

FN(has_prefix_fn)
{
	size_t n, k;
	const char *s = value_get_string(v[0], &n), *x = value_get_string(v[1], &k);

	*out = value_bool(k <= n && memcmp(s, x, k) == 0);
	return NULL;
}

FN(has_suffix_fn)
{
	size_t n, k;
	const char *s = value_get_string(v[0], &n), *x = value_get_string(v[1], &k);

	*out = value_bool(k <= n && memcmp(s + n - k, x, k) == 0);
	return NULL;
}

static int
by_value(const void *a, const void *b)
{
	return value_cmp(*(struct value *const *)a, *(struct value *const *)b);
}

FN(sort_fn)
{
	size_t n = value_len(v[0]);
	struct value **l = xcalloc(n ? n : 1, sizeof *l);

	for (size_t i = 0; i < n; i++)
		l[i] = value_ref(value_at(v[0], i));
	qsort(l, n, sizeof *l, by_value);
	*out = value_list(l, n);
	free(l);
	return NULL;
}

FN(from_int_fn)
{
	struct buf b = BUF_INIT;

	value_int_text(v[0], &b);
	*out = value_string(buf_str(&b), b.len);
	buf_release(&b);
	return NULL;
}

FN(from_float_fn)
{
	int64_t digits;
	char *text = NULL;

	if (!value_int_fits(v[1], &digits) || digits < 1 || digits > 1000)
		return lower_err(op->span, "strings.FromFloat: the number of digits must be between 1 and 1000");
	if (mpfr_asprintf(&text, "%.*Rg", (int)digits, value_get_float(v[0])) < 0)
		abort();
	*out = value_str(text);
	mpfr_free_str(text);
	return NULL;
}

/* Decimal, with an exponent or not; no blanks, no names of infinities. */
static bool
is_decimal(const char *s)
{
	size_t digits;

	s += *s == '-' || *s == '+';
	digits = strspn(s, "0123456789");
	s += digits;
	if (*s == '.') {
		s++;
		digits += strspn(s, "0123456789");
		s += strspn(s, "0123456789");
	}
	if (digits == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		if (strspn(s, "0123456789") == 0)
			return false;
		s += strspn(s, "0123456789");
	}
	return *s == '\0';
}

FN(to_float_fn)
{
	struct buf b = BUF_INIT;
	struct err *err = NULL;
	size_t n;
	const char *s = value_get_string(v[0], &n);
	mpfr_t f;

	mpfr_init2(f, 64);
	if (strlen(s) == n && is_decimal(s) && (mpfr_set_str(f, s, 10, MPFR_RNDN), mpfr_number_p(f))) {
		*out = value_float(f);
	} else {
		buf_add_quoted(&b, s, n);
		err = lower_err(op->span, "strings.ToFloat: %s is not a number", buf_str(&b));
		buf_release(&b);
	}
	mpfr_clear(f);
	return err;
}

static const struct sys_func strings_funcs[] = {
	{ "$/strings", "Split", "func(s, sep string) [string]", OPERAND_TOP, split_fn },
	{ "$/strings", "Chunk", "func(s string, maxlen int) [string]", OPERAND_TOP, chunk_fn },
	{ "$/strings", "Join", "func(strs [string], sep string) string", OPERAND_FORCE, join_fn },
	{ "$/strings", "HasPrefix", "func(s, prefix string) bool", OPERAND_TOP, has_prefix_fn },
	{ "$/strings", "HasSuffix", "func(s, suffix string) bool", OPERAND_TOP, has_suffix_fn },
	{ "$/strings", "Sort", "func(strs [string]) [string]", OPERAND_FORCE, sort_fn },
	{ "$/strings", "FromInt", "func(n int) string", OPERAND_FORCE, from_int_fn },
	{ "$/strings", "FromFloat", "func(x float, digits int) string", OPERAND_FORCE, from_float_fn },
	{ "$/strings", "ToFloat", "func(str string) float", OPERAND_FORCE, to_float_fn },
};
const struct sys_module sys_strings = { "$/strings", strings_funcs, nitems(strings_funcs) };

/* ---- $/regexp ---- */

/* A match in s at or after from, with room for its groups (free). */
static struct err *
find(struct lower *lo, const struct lower_op *op, const struct value *s, const struct value *re, size_t from,
    size_t **at, unsigned *ngroups, bool *found)
{
	struct regexp *r;
	struct err *err = sys_regexp_get(lo, op, re, &r);
	const char *text;
	size_t n;

	*at = NULL;
	if (err != NULL)
		return err;
	*ngroups = regexp_ngroups(r);
	*at = xcalloc(2 * (*ngroups + 1), sizeof **at);
	text = value_get_string(s, &n);
	return sys_err(op, regexp_find(r, text, n, from, *at, found));
}

static struct err *
no_match(const struct lower_op *op, const struct value *s, const struct value *re)
{
	return lower_err(
	    op->span, "regexp %s does not match string %s", value_get_string(re, NULL), value_get_string(s, NULL));
}

FN(groups_fn)
{
	struct strings l = { NULL, 0, 0 };
	const char *s = value_get_string(v[0], NULL);
	unsigned ngroups = 0;
	bool found = false;
	size_t *at;
	struct err *err = find(lo, op, v[0], v[1], 0, &at, &ngroups, &found);

	if (err == NULL && !found)
		err = no_match(op, v[0], v[1]);
	if (err == NULL) {
		for (unsigned i = 1; i <= ngroups; i++)
			strings_add(&l, at[2 * i] == SIZE_MAX ? "" : s + at[2 * i],
			    at[2 * i] == SIZE_MAX ? 0 : at[2 * i + 1] - at[2 * i]);
		*out = strings_finish(&l);
	}
	free(at);
	return err;
}

FN(match_fn)
{
	unsigned ngroups;
	bool found = false;
	size_t *at;
	struct err *err = find(lo, op, v[0], v[1], 0, &at, &ngroups, &found);

	if (err == NULL)
		*out = value_bool(found);
	free(at);
	return err;
}

static size_t
name_len(const char *s, size_t n)
{
	size_t k = 0;

	while (k < n && (s[k] == '_' || (s[k] >= '0' && s[k] <= '9') || (s[k] >= 'a' && s[k] <= 'z') ||
			    (s[k] >= 'A' && s[k] <= 'Z')))
		k++;
	return k;
}

/* The group that a name means: a number, or a name of the pattern; -1: none, and it stands for nothing. */
static long
group_of(const struct regexp *re, const char *name, size_t n)
{
	long num = 0;

	for (size_t i = 0; i < n; i++) {
		if (name[i] < '0' || name[i] > '9' || num > 1000)
			return regexp_group(re, name, n);
		num = 10 * num + (name[i] - '0');
	}
	return num <= (long)regexp_ngroups(re) ? num : -1;
}

/* The replacement with $1, $name, ${name} filled in; $$ is a dollar. A name is as long as it can be. */
static void
expand(const struct regexp *re, const char *repl, size_t n, const char *s, const size_t *at, struct buf *out)
{
	for (size_t i = 0; i < n;) {
		size_t brace, k;
		long g;

		if (repl[i] != '$' || i + 1 == n) {
			buf_addch(out, repl[i++]);
			continue;
		}
		if (repl[i + 1] == '$') {
			buf_addch(out, '$');
			i += 2;
			continue;
		}
		brace = repl[i + 1] == '{';
		k = name_len(repl + i + 1 + brace, n - i - 1 - brace);
		if (k == 0 || (brace && (i + 2 + k >= n || repl[i + 2 + k] != '}'))) {
			buf_addch(out, repl[i++]);
			continue;
		}
		g = group_of(re, repl + i + 1 + brace, k);
		if (g >= 0 && at[2 * g] != SIZE_MAX)
			buf_add(out, s + at[2 * g], at[2 * g + 1] - at[2 * g]);
		i += 1 + 2 * brace + k;
	}
}

static struct err *
replace_all(const struct lower_op *op, struct regexp *re, const struct value *src, const struct value *repl, size_t *at,
    struct buf *b)
{
	size_t n, nrepl, from = 0, copied = 0;
	const char *s = value_get_string(src, &n), *r = value_get_string(repl, &nrepl);
	struct err *err;
	bool found, first = true;

	while (from <= n) {
		if ((err = sys_err(op, regexp_find(re, s, n, from, at, &found))) != NULL)
			return err;
		if (!found)
			break;
		buf_add(b, s + copied, at[0] - copied);
		/* An empty match right behind the last one is none. */
		if (first || at[1] > at[0] || at[0] > copied)
			expand(re, r, nrepl, s, at, b);
		first = false;
		copied = at[1];
		from = at[1] > at[0] ? at[1] : at[1] + (at[1] < n ? char_len(s + at[1], n - at[1]) : 1);
	}
	buf_add(b, s + copied, n - copied);
	return NULL;
}

FN(replace_fn)
{
	struct buf b = BUF_INIT;
	struct regexp *re;
	struct err *err = sys_regexp_get(lo, op, v[1], &re);
	size_t *at;

	if (err != NULL)
		return err;
	at = xcalloc(2 * (regexp_ngroups(re) + 1), sizeof *at);
	if ((err = replace_all(op, re, v[0], v[2], at, &b)) == NULL)
		*out = value_string(buf_str(&b), b.len);
	buf_release(&b);
	free(at);
	return err;
}

static const struct sys_func regexp_funcs[] = {
	{ "$/regexp", "Groups", "func(str, regexp string) [string]", OPERAND_TOP, groups_fn },
	{ "$/regexp", "Match", "func(str, regexp string) bool", OPERAND_TOP, match_fn },
	{ "$/regexp", "Replace", "func(src, regexp, repl string) string", OPERAND_TOP, replace_fn },
};
const struct sys_module sys_regexp = { "$/regexp", regexp_funcs, nitems(regexp_funcs) };
