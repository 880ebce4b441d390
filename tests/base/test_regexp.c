/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "base/regexp.h"

static void
finds(const char *pattern, const char *text, const char *want)
{
	struct regexp *re;
	size_t at[20];
	bool found;

	assert_ok(regexp_compile(pattern, &re));
	assert_true(regexp_ngroups(re) < 10);
	assert_ok(regexp_find(re, text, strlen(text), 0, at, &found));
	assert_true(found == (want != NULL));
	if (want) {
		assert_int_equal(at[1] - at[0], strlen(want));
		assert_memory_equal(text + at[0], want, at[1] - at[0]);
	}
	regexp_free(re);
}

static void
test_find(unused_arg void **state)
{
	finds("b.*d", "abcde", "bcd");
	finds("^a$", "a\n", NULL);
	finds("(?m)^b$", "a\nb", "b");
	finds("a+?", "aaa", "a");
	finds("[]a]+", "x]a]", "]a]");
	finds("[[:alpha:]]+", "1ab2", "ab");
	finds("\\Qa.b\\E+", "aXb a.bb", "a.bb");
	finds("(?:x|(?i)Y)y", "xY yy", "yy");
	finds("(?P<n>\\d{2,})", "1 23", "23");
	finds("\\x{e9}", "caf\xc3\xa9", "\xc3\xa9");
	finds("z", "", NULL);
	finds("", "abc", "");
}

static void
test_groups(unused_arg void **state)
{
	struct regexp *re;
	size_t at[8];
	bool found;

	assert_ok(regexp_compile("(a)|(?P<bee>b)(c)?", &re));
	assert_int_equal(regexp_ngroups(re), 3);
	assert_int_equal(regexp_group(re, "beer", 3), 2);
	assert_int_equal(regexp_group(re, "cee", 3), -1);
	assert_ok(regexp_find(re, "xb", 2, 0, at, &found));
	assert_true(found);
	assert_true(at[2] == SIZE_MAX && at[3] == SIZE_MAX);
	assert_true(at[4] == 1 && at[5] == 2);
	assert_true(at[6] == SIZE_MAX);
	assert_ok(regexp_find(re, "ab", 2, 1, at, &found));
	assert_int_equal(at[0], 1);
	regexp_free(re);
}

static void
refused(const char *pattern, const char *text)
{
	struct regexp *re;

	assert_err(regexp_compile(pattern, &re), text);
}

static void
test_refused(unused_arg void **state)
{
	refused("(a)\\1", "regular expression \"(a)\\\\1\": at byte 5: backreferences are not supported");
	refused("a(?=b)", "regular expression \"a(?=b)\": at byte 1: lookaround is not supported");
	refused("(?<!b)", "regular expression \"(?<!b)\": at byte 0: lookaround is not supported");
	refused("(?>b)", "regular expression \"(?>b)\": at byte 0: unknown group syntax");
	refused("(?R)", "regular expression \"(?R)\": at byte 0: unknown group syntax");
	refused("(?1)", "regular expression \"(?1)\": at byte 0: unknown group syntax");
	refused("(*ACCEPT)", "regular expression \"(*ACCEPT)\": at byte 0: verbs are not supported");
	refused("a++", "regular expression \"a++\": at byte 2: possessive quantifiers are not supported");
	refused("\\Ka", "regular expression \"\\\\Ka\": at byte 2: unknown escape");
	refused("a(", "regular expression \"a(\": at byte 2: missing closing parenthesis");
	refused("[a", "regular expression \"[a\": at byte 2: missing terminating ] for character class");
	refused("\\", "regular expression \"\\\\\": at byte 1: \\ at end of pattern");
}

static void
test_takes_too_long(unused_arg void **state)
{
	struct regexp *re;
	char text[64];
	bool found;

	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = 'b';
	assert_ok(regexp_compile("^(a|aa)+$", &re));
	assert_err(regexp_find(re, text, sizeof text, 0, NULL, &found), "regular expression ^(a|aa)+$: match limit exceeded");
	regexp_free(re);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_takes_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
