/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "tests/check.h"

/* Buffers: the NUL that does not count, growth, quoting as Go does, sizes, reading files within a limit. */

static void
grows_and_stays_terminated(void **state unused_arg)
{
	struct buf b = BUF_INIT;
	char *p;
	size_t n;

	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 1000; i++) {
		buf_addch(&b, (char)('a' + i % 26));
		assert_true(b.cap > b.len);
		assert_int_equal(b.p[b.len], 0);
	}
	buf_drop(&b, 990);
	assert_string_equal(buf_str(&b), "cdefghijkl");
	buf_drop(&b, 11);
	assert_int_equal(b.len, 0);
	buf_add(&b, "x\0y", 3);
	p = buf_take(&b, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(p, "x\0y", 4);
	assert_null(b.p);
	free(p);
	p = buf_take(&b, NULL);
	assert_string_equal(p, "");
	free(p);
	buf_release(&b);
}

static void
formats_of_any_length(void **state unused_arg)
{
	for (int width = 0; width < 300; width++) {
		struct buf b = BUF_INIT;

		buf_addstr(&b, "<");
		buf_addf(&b, "%*d", width, 7);
		buf_addstr(&b, ">");
		assert_int_equal(b.len, (width ? width : 1) + 2);
		assert_int_equal(b.p[b.len - 2], '7');
		buf_release(&b);
	}
}

static void
quotes(void **state unused_arg)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} cases[] = {
		{ "", 0, "\"\"" },
		{ "plain text", 10, "\"plain text\"" },
		{ "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
		{ "\a\b\f\n\r\t\v", 7, "\"\\a\\b\\f\\n\\r\\t\\v\"" },
		{ "\0\x01\x1f\x7f", 4, "\"\\x00\\x01\\x1f\\x7f\"" },
		{ "gr\xc3\xbc\xc3\x9f", 6, "\"gr\xc3\xbc\xc3\x9f\"" },
		{ "\xff\xc3", 2, "\"\\xff\\xc3\"" },
		{ "\xc2\x85", 2, "\"\\u0085\"" },
		{ "\xe2\x80\xae", 3, "\"\\u202e\"" },		/* right-to-left override: must not reach a terminal */
		{ "\xf3\xa0\x80\x81", 4, "\"\\U000e0001\"" },
		{ "\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"" },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		struct buf b = BUF_INIT;

		buf_add_quoted(&b, cases[i].in, cases[i].n);
		assert_string_equal(buf_str(&b), cases[i].out);
		buf_release(&b);
	}
}

static void
sizes(void **state unused_arg)
{
	static const struct {
		double bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 1, "1B" },
		{ 512, "512B" },
		{ 1023, "1023B" },
		{ 1024, "1.0KiB" },
		{ 1536, "1.5KiB" },
		{ 10.0 * (1 << 20), "10.0MiB" },
		{ 10.0 * (1 << 30), "10.0GiB" },
		{ 1099511627776.0, "1.0TiB" },
		{ 1125899906842624.0, "1.0PiB" },
		{ 1152921504606846976.0 * 2048, "2048.0EiB" },
		{ -1536, "-1.5KiB" },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		struct buf b = BUF_INIT;

		buf_add_size(&b, cases[i].bytes);
		assert_string_equal(buf_str(&b), cases[i].text);
		buf_release(&b);
	}
}

static void
hex(void **state unused_arg)
{
	struct buf b = BUF_INIT;

	buf_add_hex(&b, "\x00\x9a\xff", 3);
	assert_string_equal(buf_str(&b), "009aff");
	buf_release(&b);
}

static void
reads_files_within_a_limit(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/f", dir), *text;
	struct buf b = BUF_INIT;

	buf_addstr(&b, "head ");
	write_file(path, "0123456789", 10);
	assert_ok(buf_read_file(&b, path, 10));
	assert_string_equal(buf_str(&b), "head 0123456789");

	text = xasprintf("%s is larger than 9 bytes", path);
	assert_err(buf_read_file(&b, path, 9), text);
	assert_string_equal(buf_str(&b), "head 0123456789");
	free(text);

	text = xasprintf("open %s/none: No such file or directory", dir);
	free(path);
	path = xasprintf("%s/none", dir);
	assert_err(buf_read_file(&b, path, 9), text);
	free(text);

	text = xasprintf("read %s: Is a directory", dir);
	assert_err(buf_read_file(&b, dir, 9), text);
	free(text);
	free(path);
	buf_release(&b);
	temp_dir_free(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_stays_terminated),
		cmocka_unit_test(formats_of_any_length),
		cmocka_unit_test(quotes),
		cmocka_unit_test(sizes),
		cmocka_unit_test(hex),
		cmocka_unit_test(reads_files_within_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
