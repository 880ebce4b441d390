/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include "tests/check.h"

/* Decoding: every character there is, and what is none. */

static size_t
encode(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static void
every_character(void **state unused_arg)
{
	for (uint32_t c = 0; c < 0x120000; c++) {
		char text[4];
		size_t n = encode(c, text);
		uint32_t back = 0xffffffff;
		bool valid = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);

		if (utf8_next(text, n, &back) != (valid ? n : 0) || (valid && back != c))
			fail_msg("U+%04X", c);
		for (size_t cut = 0; cut < n; cut++)
			if (utf8_next(text, cut, NULL) != 0)
				fail_msg("U+%04X cut to %zu bytes", c, cut);
	}
}

static void
malformed(void **state unused_arg)
{
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xfe", "\xff", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98(",
	};

	for (size_t i = 0; i < nitems(bad); i++)
		assert_int_equal(utf8_next(bad[i], strlen(bad[i]), NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character),
		cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
