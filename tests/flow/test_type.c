/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "flow/type.h"

/*
 * The relations of types as tables. Types are written as text; the little reader below knows what
 * type_str writes, so each row also tests the printer.
 */
static struct arena *arena;

static const struct type *read_type(const char **);

static bool
take(const char **p, const char *word)
{
	size_t n = strlen(word);

	while (**p == ' ')
		++*p;
	if (strncmp(*p, word, n) != 0)
		return false;
	*p += n;
	return true;
}

static const char *
read_name(const char **p)
{
	size_t n;

	while (**p == ' ')
		++*p;
	n = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
	*p += n;
	return arena_strndup(arena, *p - n, n);
}

static size_t
read_fields(const char **p, const char *end, bool named, struct type_field *f)
{
	size_t n = 0;

	while (!take(p, end)) {
		take(p, ",");
		f[n].name = named ? read_name(p) : NULL;
		f[n].type = read_type(p);
		n++;
	}
	return n;
}

static const struct type *
read_sum(const char **p)
{
	struct type_field f[8];
	size_t n = 0;

	do {
		f[n].name = read_name(p);
		f[n].type = NULL;
		if (take(p, "(")) {
			f[n].type = read_type(p);
			assert_true(take(p, ")"));
		}
		n++;
	} while (take(p, "| #"));
	return type_sum(arena, f, n);
}

static const struct type *
read_list_or_map(const char **p)
{
	const struct type *a = read_type(p), *b;

	if (take(p, "]"))
		return type_list(arena, a);
	assert_true(take(p, ":"));
	b = read_type(p);
	assert_true(take(p, "]"));
	return type_map(arena, a, b);
}

static const struct type *
read_type(const char **p)
{
	const struct type *const base[] = { type_bottom, type_top, type_int, type_float, type_string, type_bool,
		type_fileset, type_file, type_dir };
	static const char *const names[] = {
	    "bottom", "top", "int", "float", "string", "bool", "fileset", "file", "dir"};
	struct type_field f[8];
	size_t n;

	if (take(p, "()"))
		return type_unit;
	if (take(p, "["))
		return read_list_or_map(p);
	if (take(p, "module{"))
		return type_module(arena, f, read_fields(p, "}", true, f), NULL, 0);
	if (take(p, "{"))
		return type_struct(arena, f, read_fields(p, "}", true, f));
	if (take(p, "func(")) {
		n = read_fields(p, ")", false, f);
		return type_func(arena, f, n, read_type(p));
	}
	if (take(p, "("))
		return type_tuple(arena, f, read_fields(p, ")", false, f));
	if (take(p, "#"))
		return read_sum(p);
	for (size_t i = 0; i < nitems(base); i++)
		if (take(p, names[i]))
			return base[i];
	fail_msg("no type: %s", *p);
	return NULL;
}

static const struct type *
T(const char *text)
{
	const char *p = text;
	const struct type *t = read_type(&p);

	assert_string_equal(p, "");
	return t;
}

static void
test_str(void **state unused_arg)
{
	static const char *const texts[] = {
	    "int",
	    "()",
	    "[string]",
	    "[string:[int]]",
	    "(int, string)",
	    "{a int, b [string]}",
	    "func(int, {a int}) bool",
	    "module{A int, B string}",
	    "#A | #B(int)",
	    "[top:bottom]",
	};
	struct type_field a = { "A", type_int }, t = { "T", T("{x int}") };
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < nitems(texts); i++) {
		buf_clear(&b);
		type_str(T(texts[i]), &b);
		assert_string_equal(buf_str(&b), texts[i]);
	}
	buf_clear(&b);
	type_str(type_module(arena, &a, 1, &t, 1), &b);
	assert_string_equal(buf_str(&b), "module{A int, type T {x int}}");
	buf_release(&b);
}

static void
test_sub(void **state unused_arg)
{
	static const struct {
		const char *t, *u;
		bool sub;
	} rows[] = {
	    {"bottom", "int", true},
	    {"int", "top", true},
	    {"int", "bottom", false},
	    {"top", "int", false},
	    {"int", "float", false},
	    {"()", "()", true},
	    {"[bottom]", "[int]", true},
	    {"[int]", "[top]", true},
	    {"{a int, b string}", "{a int}", true},
	    {"{a int}", "{a int, b string}", false},
	    {"{b string, a int}", "{a int, b string}", true},
	    {"{a int}", "{a string}", false},
	    {"[top:bottom]", "[string:int]", true},
	    {"[string:int]", "[top:int]", false},
	    {"(int, bottom)", "(int, int)", true},
	    {"(int, int)", "(int, int, int)", false},
	    {"func({a int}) int", "func({a int, b int}) int", true},
	    {"func({a int, b int}) int", "func({a int}) int", false},
	    {"func(int) {a int, b int}", "func(int) {a int}", true},
	    {"#A", "#A | #B(int)", true},
	    {"#A | #B(int)", "#A", false},
	    {"#A", "#A(int)", false},
	    {"#A(bottom)", "#A(int)", true},
	    {"module{A int}", "{A int}", false},
	    {"module{A int, B int}", "module{A int}", true},
	};

	for (size_t i = 0; i < nitems(rows); i++)
		if (type_sub(T(rows[i].t), T(rows[i].u)) != rows[i].sub)
			fail_msg("%s <= %s", rows[i].t, rows[i].u);
}

static void
test_equal(void **state unused_arg)
{
	static const struct {
		const char *t, *u;
		bool equal;
	} rows[] = {
	    {"{a int, b string}", "{b string, a int}", true},
	    {"(int, string)", "(string, int)", false},
	    {"#A | #B(int)", "#B(int) | #A", true},
	    {"#A", "#A(int)", false},
	    {"[int:string]", "[int:string]", true},
	    {"func(int) int", "func(int) int", true},
	    {"func(int) int", "func(int) bool", false},
	    {"{a int, b string}", "{a int, c string}", false},
	    {"bottom", "top", false},
	};

	for (size_t i = 0; i < nitems(rows); i++)
		if (type_equal(T(rows[i].t), T(rows[i].u)) != rows[i].equal)
			fail_msg("%s == %s", rows[i].t, rows[i].u);
}

static void
test_unify(void **state unused_arg)
{
	static const struct {
		const char *t, *u, *want;
	} rows[] = {
	    {"bottom", "int", "int"},
	    {"int", "int", "int"},
	    {"string", "int", "!kind mismatch: string != int"},
	    {"[{a int, b int}]", "[{a int}]", "[{a int}]"},
	    {"[bottom]", "[int]", "[int]"},
	    {"[top:bottom]", "[string:int]", "[string:int]"},
	    {"[string:int]", "[top:bottom]", "[string:int]"},
	    {"[string:int]", "[int:int]", "!map keys differ: string and int"},
	    {"#A", "#B(int)", "#A | #B(int)"},
	    {"#A(int)", "#A", "!a variant has an element in one type only: #A(int) and #A"},
	    {"{a int}", "{b int}", "!no field in common: {a int} and {b int}"},
	    {"{a int, b [bottom]}", "{b [int], c int}", "{b [int]}"},
	    {"(int, [bottom])", "(int, [int])", "(int, [int])"},
	    {"(int)", "(int, int)", "!tuples differ in size: (int) and (int, int)"},
	    {"func(int) [bottom]", "func(int) [int]", "func(int) [int]"},
	    {"func(int) int", "func(bool) int",
		"!functions differ in their arguments: func(int) int and func(bool) int"},
	    {"[int]", "[string]", "!kind mismatch: int != string"},
	    {"{a int, b bool}", "{a int, b int}", "!kind mismatch: bool != int"},
	    {"module{A int, B int}", "module{A int}", "module{A int}"},
	    {"()", "()", "()"},
	    {"[int]", "{a int}", "!kind mismatch: list != struct"},
	};

	for (size_t i = 0; i < nitems(rows); i++) {
		char *why = NULL;
		const struct type *t = type_unify(arena, T(rows[i].t), T(rows[i].u), &why);
		struct buf b = BUF_INIT;

		if (t != NULL)
			type_str(t, &b);
		else
			buf_addf(&b, "!%s", why);
		assert_string_equal(buf_str(&b), rows[i].want);
		if (t != NULL) {
			assert_true(type_sub(T(rows[i].t), t) || t->kind == TYPE_MAP);
			assert_true(type_sub(T(rows[i].u), t) || t->kind == TYPE_MAP);
		}
		buf_release(&b);
		free(why);
	}
}

static void
test_comparable(void **state unused_arg)
{
	assert_true(type_comparable(T("[string:(int, #A | #B(file))]")));
	assert_false(type_comparable(T("{a int, f func(int) int}")));
	assert_false(type_comparable(T("()")));
	assert_false(type_comparable(T("[fileset]")));
}

static void
test_flow_flag(void **state unused_arg)
{
	char *why = NULL;
	const struct type *f = type_as_flow(arena, type_int);

	assert_true(f->flow && !type_int->flow);
	assert_ptr_equal(type_as_flow(arena, f), f);
	assert_true(type_unify(arena, type_int, f, &why)->flow);
	assert_true(type_equal(f, type_int));
}

static void
test_copy_outlives(void **state unused_arg)
{
	struct arena *mine = arena_new();
	const struct type *t = type_copy(mine, T("{a [string:#A | #B(int)], f func(int) (int, bool)}"));
	struct buf b = BUF_INIT;

	arena_free(arena);
	arena = arena_new();
	type_str(t, &b);
	assert_string_equal(buf_str(&b), "{a [string:#A | #B(int)], f func(int) (int, bool)}");
	assert_int_equal(t->depth, 3);
	buf_release(&b);
	arena_free(mine);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_str),
		cmocka_unit_test(test_sub),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_unify),
		cmocka_unit_test(test_comparable),
		cmocka_unit_test(test_flow_flag),
		cmocka_unit_test(test_copy_outlives),
	};
	int failed;

	arena = arena_new();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return failed;
}
