/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>

#include "tests/check.h"

/* JSON: exact texts of each conversion, and the forms that the reference writes. */

/* Takes j. */
static void
assert_json(json_t *j, const char *text)
{
	struct buf b = BUF_INIT;

	assert_non_null(j);
	json_dump_buf(j, &b);
	json_decref(j);
	assert_string_equal(buf_str(&b), text);
	buf_release(&b);
}

static json_t *
loads(const char *text)
{
	json_error_t e;
	json_t *j = json_loads(text, JSON_DECODE_ANY, &e);

	if (!j)
		fail_msg("%s: %s", text, e.text);
	return j;
}

static void
digests(void **state unused_arg)
{
	static const char *const zeros[] = { "null", "\"\"", "\"<zero>\"" };
	static const char *const bad[] = { "\"sha256:12\"", "7", "[]", "\"zero\"" };
	struct digest d, back;
	json_t *j;

	sha256_of("abc", 3, &d);
	j = json_digest(&d);
	assert_true(json_as_digest(j, &back));
	assert_true(digest_equal(&d, &back));
	assert_json(j, "\"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
	memset(&d, 0, sizeof d);
	assert_json(json_digest(&d), "null");
	for (size_t i = 0; i < nitems(zeros); i++) {
		j = loads(zeros[i]);
		assert_true(json_as_digest(j, &back));
		assert_true(digest_is_zero(&back));
		json_decref(j);
	}
	for (size_t i = 0; i < nitems(bad); i++) {
		j = loads(bad[i]);
		assert_false(json_as_digest(j, &back));
		json_decref(j);
	}
	assert_false(json_as_digest(NULL, &back));
}

/* Takes e; it is written as text and reads back with the same text and kind. */
static void
assert_err_json(struct err *e, const char *text)
{
	json_t *j = json_err(e);
	struct err *back = json_as_err(j);
	char *s = err_str(e);

	assert_json(j, text);
	assert_int_equal(err_kind(e), err_kind(back));
	if (e)
		assert_err(back, s);
	else
		assert_null(back);
	free(s);
	err_free(e);
}

static void
errors(void **state unused_arg)
{
	assert_err_json(NULL, "null");
	assert_err_json(err_msg(ERR_OTHER, "went wrong"),
	    "{\"Op\":\"\",\"Arg\":null,\"Kind\":\"\",\"Error\":\"went wrong\"}");
	assert_err_json(err_new(ERR_TEMPORARY, "get", "%s", "u"),
	    "{\"Op\":\"get\",\"Arg\":[\"u\"],\"Kind\":\"Temporary\",\"Error\":\"\"}");
	assert_err_json(err_new(ERR_CANCELED, NULL, NULL),
	    "{\"Op\":\"\",\"Arg\":null,\"Kind\":\"Canceled\",\"Error\":\"\"}");
	assert_err_json(err_wrap(err_msg(ERR_NET, "reset"), "accept", "n"),
	    "{\"Op\":\"accept\",\"Arg\":[\"n\"],\"Kind\":\"Net\",\"Error\":\"\","
	    "\"Cause\":{\"Op\":\"\",\"Arg\":null,\"Kind\":\"\",\"Error\":\"reset\"}}");
	assert_err_json(err_errno(ENOENT, "open", "%s", "/x"),
	    "{\"Op\":\"open\",\"Arg\":[\"/x\"],\"Kind\":\"NotExist\","
	    "\"Msg\":\"No such file or directory\",\"Error\":\"\","
	    "\"Cause\":{\"Op\":\"\",\"Arg\":null,\"Kind\":\"\",\"Error\":\"No such file or directory\"}}");
}

static void
messages_with_causes(void **state unused_arg)
{
	struct err *e = err_errno(ENOENT, "open", "%s", "/x");

	e->cause = err_new(ERR_NET, "dial", "%s", "h");
	assert_err_json(e,
	    "{\"Op\":\"open\",\"Arg\":[\"/x\"],\"Kind\":\"NotExist\","
	    "\"Msg\":\"No such file or directory\",\"Error\":\"\","
	    "\"Cause\":{\"Op\":\"\",\"Arg\":null,\"Kind\":\"\",\"Error\":\"No such file or directory\","
	    "\"Cause\":{\"Op\":\"dial\",\"Arg\":[\"h\"],\"Kind\":\"Net\",\"Error\":\"\"}}}");
}

static void
deep_errors_keep_their_text(void **state unused_arg)
{
	struct err *e = err_msg(ERR_NET, "reset"), *back;
	json_t *j;
	char *text;

	for (int i = 0; i < 5000; i++)
		e = err_wrap(e, "op", NULL);
	text = err_str(e);
	j = json_err(e);
	back = json_as_err(j);
	assert_true(err_restartable(back));
	assert_err(back, text);
	json_decref(j);
	free(text);
	err_free(e);
}

static void
errors_of_the_reference(void **state unused_arg)
{
	static const struct {
		const char *json, *text;
		enum err_kind kind;
	} cases[] = {
		{ "{\"Op\":\"exec\",\"Arg\":[\"a\",\"b\"],\"Kind\":\"Temporary\",\"Cause\":{"
		  "\"Op\":\"\",\"Arg\":null,\"Kind\":\"\","
		  "\"Error\":\"no luck\"},\"Error\":\"\"}", "exec a b: temporary: no luck", ERR_TEMPORARY },
		{ "{\"Op\":\"x\",\"Kind\":\"Net\",\"Error\":\"text wins\"}", "text wins", ERR_OTHER },
		{ "{\"Kind\":\"from the future\",\"Op\":\"x\"}", "x", ERR_OTHER },
		{ "{\"Op\":7,\"Arg\":{},\"Kind\":[],\"Cause\":3}", "", ERR_OTHER },
		{ "\"just text\"", "just text", ERR_OTHER },
		{ "7", "an error that cannot be read", ERR_OTHER },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		json_t *j = loads(cases[i].json);
		struct err *e = json_as_err(j);

		assert_int_equal(err_kind(e), cases[i].kind);
		assert_err(e, cases[i].text);
		json_decref(j);
	}
	assert_null(json_as_err(NULL));
}

static void
times(void **state unused_arg)
{
	assert_json(json_time(0), "\"1970-01-01T00:00:00.000000000Z\"");
	assert_json(json_time(1700000000123456789), "\"2023-11-14T22:13:20.123456789Z\"");
	assert_json(json_time(-1), "\"1969-12-31T23:59:59.999999999Z\"");
	assert_json(json_time(INT64_MIN), "\"1677-09-21T00:12:43.145224192Z\"");
	assert_json(json_time(INT64_MAX), "\"2262-04-11T23:47:16.854775807Z\"");
}

static void
text_that_is_not_utf8(void **state unused_arg)
{
	assert_json(json_text("gr\xc3\xbc\xc3\x9f", 6), "\"gr\xc3\xbc\xc3\x9f\"");
	assert_json(json_text("a\xff" "b\xc3", 4), "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\"");
	assert_json(json_text("a\0b\n", 4), "\"a\\u0000b\\n\"");
	assert_json(json_text("", 0), "\"\"");
}

static void
from_msgpack(void **state unused_arg)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *json;
	} cases[] = {
		{ "\xc0", 1, "null" },
		{ "\xc3", 1, "true" },
		{ "\x07", 1, "7" },
		{ "\xff", 1, "-1" },
		{ "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "\"18446744073709551615\"" },
		{ "\xcb\x3f\xf8\0\0\0\0\0\0", 9, "1.5" },
		{ "\xcb\x40\x10\0\0\0\0\0\0", 9, "4.0" },
		{ "\xcb\x7f\xf0\0\0\0\0\0\0", 9, "\"Inf\"" },
		{ "\xcb\xff\xf0\0\0\0\0\0\0", 9, "\"-Inf\"" },
		{ "\xcb\x7f\xf8\0\0\0\0\0\0", 9, "\"NaN\"" },
		{ "\xa2\xff\x41", 3, "\"\xef\xbf\xbd" "A\"" },
		{ "\xc4\x02\x01\xfe", 4, "\"01fe\"" },
		{ "\xd6\xff\0\0\0\x01", 6, "\"1970-01-01T00:00:01.000000000Z\"" },
		{ "\xd6\x05\0\0\0\x01", 6, "\"00000001\"" },
		{ "\x93\x01\x90\x80", 4, "[1,[],{}]" },
		{ "\x83\xa1" "b\x01\xa1" "a\x02\x91\x07\x03", 10, "{\"b\":1,\"a\":2,\"[7]\":3}" },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		struct mpk_doc d;

		assert_ok(mpk_parse(&d, cases[i].bytes, cases[i].n));
		assert_json(json_from_mpk(mpk_root(&d)), cases[i].json);
		mpk_doc_release(&d);
	}
	assert_json(json_from_mpk(NULL), "null");
}

static void
digests_from_msgpack(void **state unused_arg)
{
	struct buf b = BUF_INIT;
	struct digest d;
	struct mpk_w w;
	struct mpk_doc doc;

	sha256_of("abc", 3, &d);
	mpk_w_init(&w, &b);
	mpk_digest(&w, &d);
	assert_ok(mpk_parse(&doc, b.p, b.len));
	assert_json(json_from_mpk(mpk_root(&doc)),
	    "\"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
	mpk_doc_release(&doc);
	buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests),
		cmocka_unit_test(errors),
		cmocka_unit_test(messages_with_causes),
		cmocka_unit_test(deep_errors_keep_their_text),
		cmocka_unit_test(errors_of_the_reference),
		cmocka_unit_test(times),
		cmocka_unit_test(text_that_is_not_utf8),
		cmocka_unit_test(from_msgpack),
		cmocka_unit_test(digests_from_msgpack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
