/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "flow/flow.h"
#include "flow/value.h"

/* Values: exact texts, then properties over random values of every kind. */

static uint64_t seed;

static uint64_t
rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static struct value *
random_int(void)
{
	struct value *v;
	mpz_t z;

	if (rnd(4) > 0)
		return value_int((int64_t)rnd(9) - 4);
	mpz_init_set_si(z, (long)rnd(1000) - 500);
	mpz_mul_2exp(z, z, rnd(200));
	v = value_mpz(z);
	mpz_clear(z);
	return v;
}

static struct value *
random_float(void)
{
	struct value *v;
	mpfr_t f;

	mpfr_init2(f, 64);
	mpfr_set_si(f, (long)rnd(2000) - 1000, MPFR_RNDN);
	mpfr_div_ui(f, f, 1 + rnd(97), MPFR_RNDN);
	mpfr_mul_2si(f, f, (long)rnd(200) - 100, MPFR_RNDN);
	v = value_float(f);
	mpfr_clear(f);
	return v;
}

static struct value *
random_string(void)
{
	static const char alphabet[] = "ab\0\xff\xc3\xa9\"\n";
	char s[8];
	size_t n = rnd(sizeof s);

	for (size_t i = 0; i < n; i++)
		s[i] = alphabet[rnd(sizeof alphabet - 1)];
	return value_string(s, n);
}

static struct file
random_file(void)
{
	struct file f = { .size = rnd(100) };
	uint8_t b = (uint8_t)f.size;

	sha256_of(&b, 1, &f.id);
	return f;
}

static struct value *
random_dir(void)
{
	static const char *const paths[] = { "a", "b/c", "\xff", "b", "z" };
	struct fileset_builder *b = fileset_builder_new();

	for (uint64_t n = rnd(4); n > 0; n--) {
		struct file f = random_file();

		fileset_builder_add(b, paths[rnd(nitems(paths))], &f);
	}
	return value_dir(fileset_builder_finish(b));
}

static struct value *random_value(int depth);

static struct value *
random_comp(int depth)
{
	static const char *const names[] = { "zeta", "a", "bb" };
	struct value *v[3], *k[3];
	size_t n = rnd(4);

	for (size_t i = 0; i < n; i++)
		v[i] = random_value(depth - 1);
	switch (rnd(6)) {
	case 0:
		return value_list(v, n);
	case 1:
		return value_tuple(v, n);
	case 2:
		return value_struct(names, v, n);
	case 3:
		return value_module(names, v, n);
	case 4:
		for (size_t i = 0; i < n; i++)
			k[i] = rnd(2) ? random_int() : random_string();
		return value_map(k, v, n);
	default:
		for (size_t i = 1; i < n; i++)
			value_unref(v[i]);
		return value_variant(rnd(2) ? "A" : "B", n > 0 ? v[0] : NULL);
	}
}

static struct value *
random_value(int depth)
{
	struct file f;

	switch (rnd(depth > 0 ? 10 : 7)) {
	case 0:
		return random_int();
	case 1:
		return random_float();
	case 2:
		return random_string();
	case 3:
		return value_bool(rnd(2));
	case 4:
		f = random_file();
		return value_file(&f);
	case 5:
		return random_dir();
	case 6:
		return value_unit();
	default:
		return random_comp(depth);
	}
}

#define NRANDOM 600

static struct value **
random_values(void)
{
	struct value **v = xcalloc(NRANDOM, sizeof *v);

	seed = 88172645463325252u;
	for (size_t i = 0; i < NRANDOM; i++)
		v[i] = random_value(3);
	return v;
}

static void
release_values(struct value **v)
{
	for (size_t i = 0; i < NRANDOM; i++)
		value_unref(v[i]);
	free(v);
}

static void
assert_same_text(const struct value *v, const json_t *j)
{
	struct buf text = BUF_INIT, dump = BUF_INIT;

	value_json_text(v, &text);
	json_dump_buf(j, &dump);
	assert_string_equal(buf_str(&text), buf_str(&dump));
	buf_release(&text);
	buf_release(&dump);
}

static void
test_json_round_trip(void **state unused_arg)
{
	struct value **v = random_values();

	for (size_t i = 0; i < NRANDOM; i++) {
		json_t *j = value_json(v[i]), *j2;
		char *text = json_dumps(j, JSON_ENCODE_ANY);
		struct value *back = NULL;
		struct digest a, b;

		assert_non_null(text);
		assert_same_text(v[i], j);
		j2 = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(j2);
		assert_null(value_from_json(j2, &back));
		assert_int_equal(value_cmp(v[i], back), 0);
		value_digest(v[i], &a);
		value_digest(back, &b);
		assert_true(digest_equal(&a, &b));
		value_unref(back);
		json_decref(j);
		json_decref(j2);
		free(text);
	}
	release_values(v);
}

/* Different values, different digests; equal ones, equal digests. Negative zero alone is both. */
static void
test_digest_is_injective(void **state unused_arg)
{
	struct value **v = random_values();
	struct digest *d = xcalloc(NRANDOM, sizeof *d);
	size_t equal = 0;

	for (size_t i = 0; i < NRANDOM; i++)
		value_digest(v[i], &d[i]);
	for (size_t i = 0; i < NRANDOM; i++) {
		for (size_t k = 0; k < i; k++) {
			bool same = value_cmp(v[i], v[k]) == 0;

			equal += same;
			if (same != digest_equal(&d[i], &d[k]))
				fail_msg("values %zu and %zu", i, k);
		}
	}
	assert_true(equal > 50);
	free(d);
	release_values(v);
}

static void
test_cmp_is_a_total_order(void **state unused_arg)
{
	struct value **v = random_values();

	for (size_t n = 0; n < 200000; n++) {
		struct value *a = v[rnd(NRANDOM)], *b = v[rnd(NRANDOM)], *c = v[rnd(NRANDOM)];

		assert_int_equal(value_cmp(a, b), -value_cmp(b, a));
		if (value_cmp(a, b) <= 0 && value_cmp(b, c) <= 0)
			assert_true(value_cmp(a, c) <= 0);
	}
	release_values(v);
}

/* Pairs that a careless digest would merge. */
static void
test_digest_tells_apart(void **state unused_arg)
{
	static const char *const ab[] = { "a", "b" }, *const ba[] = { "b", "a" };
	struct value *v[20];
	size_t n = 0;

#define LIST(...) value_list((struct value *[]){__VA_ARGS__}, sizeof((struct value *[]){__VA_ARGS__}) / sizeof(void *))
#define STRUCT(names, x, y) value_struct(names, (struct value *[]){ x, y }, 2)
	v[n++] = value_int(1);
	v[n++] = value_int(-1);
	v[n++] = value_double(1);
	v[n++] = value_str("1");
	v[n++] = value_bool(true);
	v[n++] = LIST(value_int(1));
	v[n++] = LIST(LIST(value_int(1)));
	v[n++] = LIST(value_int(1), value_int(2));
	v[n++] = LIST(LIST(value_int(1)), value_int(2));
	v[n++] = LIST(LIST(value_int(1), value_int(2)));
	v[n++] = LIST(value_str("ab"), value_str("c"));
	v[n++] = LIST(value_str("a"), value_str("bc"));
	v[n++] = STRUCT(ab, value_int(1), value_int(2));
	v[n++] = STRUCT(ba, value_int(1), value_int(2));
	v[n++] = value_variant("A", NULL);
	v[n++] = value_variant("A", value_unit());
	v[n++] = value_list(NULL, 0);
	v[n++] = value_map(NULL, NULL, 0);
	v[n++] = value_dir(fileset_empty());
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			struct digest a, b;

			value_digest(v[i], &a);
			value_digest(v[k], &b);
			assert_false(digest_equal(&a, &b));
		}
	}
	for (size_t i = 0; i < n; i++)
		value_unref(v[i]);
}

static void
assert_print(struct value *v, const struct type *t, const char *want)
{
	struct buf b = BUF_INIT;

	value_print(v, t, &b);
	assert_string_equal(buf_str(&b), want);
	buf_release(&b);
	value_unref(v);
}

static void
test_print(void **state unused_arg)
{
	static const char *const xy[] = { "x", "y" };
	struct type_field only_y = { "y", type_int };
	struct arena *a = arena_new();
	struct file hello = { .size = 5 };
	struct fileset_builder *b = fileset_builder_new();

	sha256_of("hello", 5, &hello.id);
	assert_print(value_int(-7), NULL, "-7");
	assert_print(value_str("tab\there \"q\""), NULL, "\"tab\\there \\\"q\\\"\"");
	assert_print(value_bool(true), NULL, "true");
	assert_print(value_unit(), NULL, "()");
	assert_print(value_file(&hello), NULL,
	    "file(sha256=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824, size=5)");
	fileset_builder_add(b, "d/h", &hello);
	assert_print(value_dir(fileset_builder_finish(b)), NULL,
	    "dir(\"d/h\": file(sha256=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824, "
	    "size=5))");
	assert_print(value_map(NULL, NULL, 0), NULL, "[]");
	assert_print(value_map((struct value *[]){ value_int(10), value_int(9), value_int(10) },
	    (struct value *[]){ value_str("old"), value_str("nine"), value_str("ten") }, 3), NULL,
	    "[9: \"nine\", 10: \"ten\"]");
	assert_print(value_tuple((struct value *[]){ value_int(1), value_double(0.5) }, 2), NULL, "(1, 0.5)");
	assert_print(STRUCT(xy, value_int(1), value_int(2)), NULL, "{x: 1, y: 2}");
	assert_print(STRUCT(xy, value_int(1), value_int(2)), type_struct(a, &only_y, 1), "{y: 2}");
	assert_print(value_module(xy, (struct value *[]){ value_int(1), value_int(2) }, 2), NULL,
	    "module{val x = 1; val y = 2}");
	assert_print(value_variant("None", NULL), NULL, "#None");
	assert_print(value_variant("Some", LIST(value_int(3))), NULL, "#Some([3])");
	arena_free(a);
}

static void
test_float_text(void **state unused_arg)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{ "0.1", "0.1" }, { "1e10", "1e+10" }, { "123456789", "123456789" }, { "1234567890", "1234567890" },
		{ "12345678901", "1.23456789e+10" }, { "0.0001", "0.0001" }, { "0.00001", "1e-05" }, { "-2.5", "-2.5" },
		{ "0", "0" }, { "1e100", "1e+100" }, { "0.33333333333333333333", "0.3333333333" },
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		struct buf b = BUF_INIT;
		char want[64];
		mpfr_t f;

		mpfr_init2(f, 64);
		mpfr_set_str(f, rows[i].in, 10, MPFR_RNDN);
		assert_print(value_float(f), NULL, rows[i].want);
		snprintf(want, sizeof want, "%.10Lg", strtold(rows[i].in, NULL));
		assert_string_equal(want, rows[i].want);
		mpfr_clear(f);
		buf_release(&b);
	}
}

/* Sixty-four bits of mantissa, not fifty-three: the sum below is equal only with them. */
static void
test_float_precision(void **state unused_arg)
{
	static const char *const parts[] = { "1.0", "2.1", "3.2" };
	struct value *a, *b;
	mpfr_t sum, f;

	mpfr_inits2(64, sum, f, (mpfr_ptr)0);
	mpfr_set_zero(sum, 1);
	for (size_t i = 0; i < nitems(parts); i++) {
		mpfr_set_str(f, parts[i], 10, MPFR_RNDN);
		mpfr_add(sum, sum, f, MPFR_RNDN);
	}
	mpfr_set_str(f, "6.3", 10, MPFR_RNDN);
	a = value_float(sum);
	b = value_float(f);
	assert_true(value_equal(a, b));
	value_unref(a);
	value_unref(b);
	mpfr_clears(sum, f, (mpfr_ptr)0);
}

static void
test_natural_order(void **state unused_arg)
{
	struct value *keys[4] = { value_str("b"), value_str("a"), value_str("ab"), value_str("") };
	struct value *values[4] = { value_int(0), value_int(1), value_int(2), value_int(3) };
	struct value *m = value_map(keys, values, 4), *key = value_str("ab"), *other = value_str("c");
	static const char *const want[] = { "", "a", "ab", "b" };

	for (size_t i = 0; i < 4; i++)
		assert_string_equal(value_get_string(value_key_at(m, i), NULL), want[i]);
	assert_int_equal(mpz_get_si(value_get_int(value_lookup(m, key))), 2);
	assert_null(value_lookup(m, other));
	value_unref(m);
	value_unref(key);
	value_unref(other);
}

static void
test_bad_json(void **state unused_arg)
{
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "1.5", "value: a bare real number has no type; floats are {\"$float\": TEXT}" },
		{ "{\"$int\": \"12x\"}", "value: $int is not a decimal number" },
		{ "{\"$float\": \"\"}", "value: $float is not a number" },
		{ "{\"$file\": \"sha256:12\", \"size\": 1}", "value: $file needs a digest and a size" },
		{ "{\"$map\": [[1]]}", "value: $map is not a list of pairs" },
		{ "{\"$tuple\": 1}", "value: $tuple is not a list" },
		{ "{\"$new\": 1}", "value: unknown mark $new" },
		{ "{\"a\": 1, \"b\": {\"$bytes\": \"0g\"}}", "value: $bytes is not hexadecimal" },
		{ "[1, {\"$func\": null}]", "value: functions and delayed values cannot be read back" },
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		json_t *j = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
		struct value *v = NULL;
		struct err *err = value_from_json(j, &v);
		char *text = err_str(err);

		assert_string_equal(text, rows[i].want);
		assert_null(v);
		free(text);
		err_free(err);
		json_decref(j);
	}
}

/* A function that captured a value that holds a function, and so on: release must not use the stack. */
struct closure {
	struct value_func fn;
	struct value	 *captured;
};

static void
closure_digest(const struct value_func *fn unused_arg, bool skeleton unused_arg, struct digest *d)
{
	memset(d, 0, sizeof *d);
}

static void
closure_each(const struct value_func *fn, value_flow_cb *cb, void *arg)
{
	value_each_captured(container_of(fn, struct closure, fn)->captured, cb, arg);
}

static void
closure_free(struct value_func *fn)
{
	struct closure *c = container_of(fn, struct closure, fn);

	value_unref(c->captured);
	free(c);
}

static const struct value_func_ops closure_ops = { closure_digest, closure_each, closure_free };

static void
test_deep_release(void **state unused_arg)
{
	struct value *v = value_int(0), *same;

	for (int i = 0; i < 1000000; i++) {
		struct closure *c;

		v = value_tuple(&v, 1);
		if (i % 3 != 0)
			continue;
		c = xcalloc(1, sizeof *c);
		c->fn.refs = 1;
		c->fn.ops = &closure_ops;
		c->captured = v;
		v = value_func(&c->fn);
	}
	same = value_ref(v);
	assert_true(value_is_strict(v) && !value_is_open(v));
	value_unref(v);
	value_unref(same);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_round_trip),
		cmocka_unit_test(test_digest_is_injective),
		cmocka_unit_test(test_cmp_is_a_total_order),
		cmocka_unit_test(test_digest_tells_apart),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_float_text),
		cmocka_unit_test(test_float_precision),
		cmocka_unit_test(test_natural_order),
		cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_deep_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
