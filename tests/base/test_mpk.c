/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mpk.h"

#include <errno.h>

#include "tests/check.h"

/* msgpack: what is written reads back, by the right type only; times in all three sizes; hostile bytes; errors. */

static void
parse(struct mpk_doc *d, const char *bytes, size_t n)
{
	assert_ok(mpk_parse(d, bytes, n));
}

static void
round_trip(void **state unused_arg)
{
	struct digest digest, dback, zero = { { 0 } };
	struct buf b = BUF_INIT;
	const msgpack_object *m;
	struct mpk_doc d;
	struct mpk_w w;
	const char *s;
	char *dup;
	size_t n;
	uint64_t u;
	int64_t i;
	double f;
	bool flag;

	sha256_of("abc", 3, &digest);
	mpk_w_init(&w, &b);
	mpk_map(&w, 11);
	mpk_key(&w, "nil");
	mpk_nil(&w);
	mpk_key(&w, "yes");
	mpk_bool(&w, true);
	mpk_key(&w, "max");
	mpk_u64(&w, UINT64_MAX);
	mpk_key(&w, "min");
	mpk_i64(&w, INT64_MIN);
	mpk_key(&w, "seven");
	mpk_i64(&w, 7);
	mpk_key(&w, "pi");
	mpk_double(&w, 3.25);
	mpk_key(&w, "text");
	mpk_strn(&w, "a\0b", 3);
	mpk_key(&w, "none");
	mpk_str(&w, NULL);
	mpk_key(&w, "digest");
	mpk_digest(&w, &digest);
	mpk_key(&w, "zero");
	mpk_digest(&w, &zero);
	mpk_key(&w, "list");
	mpk_array(&w, 2);
	mpk_bin(&w, "xyz", 3);
	mpk_time(&w, 1);

	parse(&d, b.p, b.len);
	buf_release(&b);	/* the document has its own copy */
	m = mpk_root(&d);
	assert_int_equal(mpk_get(m, "nil")->type, MSGPACK_OBJECT_NIL);
	assert_null(mpk_get(m, "absent"));
	assert_true(mpk_get_bool(m, "yes", &flag) && flag);
	assert_true(mpk_get_u64(m, "max", &u) && u == UINT64_MAX);
	assert_false(mpk_get_i64(m, "max", &i));
	assert_true(mpk_get_i64(m, "min", &i) && i == INT64_MIN);
	assert_false(mpk_get_u64(m, "min", &u));
	assert_true(mpk_get_u64(m, "seven", &u) && u == 7);
	assert_true(mpk_get_i64(m, "seven", &i) && i == 7);
	assert_true(mpk_get_double(m, "seven", &f) && f == 7);
	assert_true(mpk_get_double(m, "pi", &f) && f == 3.25);
	assert_false(mpk_get_i64(m, "pi", &i));
	assert_true(mpk_get_str(m, "text", &s, &n) && n == 3 && memcmp(s, "a\0b", 3) == 0);
	assert_false(mpk_get_str(m, "none", &s, &n));
	assert_null(mpk_get_strdup(m, "none"));
	dup = mpk_get_strdup(m, "text");
	assert_string_equal(dup, "a");
	free(dup);
	assert_true(mpk_get_digest(m, "digest", &dback) && digest_equal(&dback, &digest));
	assert_false(mpk_get_digest(m, "zero", &dback));
	assert_false(mpk_get_digest(m, "text", &dback));
	assert_false(mpk_get_time(m, "list", &i));
	assert_true(mpk_as_time(&mpk_get(m, "list")->via.array.ptr[1], &i) && i == 1);
	assert_null(mpk_get(mpk_get(m, "list"), "a"));
	assert_null(mpk_get(NULL, "a"));
	assert_false(mpk_get_u64(NULL, "a", &u));
	mpk_doc_release(&d);
}

/* msgpack-c gives an empty string without a pointer. */
static void
empty_strings(void **state unused_arg)
{
	struct mpk_doc d;
	const char *s = NULL;
	size_t n = 7;
	char *dup;

	parse(&d, "\x81\xa0\xa0", 3);
	assert_true(mpk_get_str(mpk_root(&d), "", &s, &n));
	assert_non_null(s);
	assert_int_equal(n, 0);
	dup = mpk_get_strdup(mpk_root(&d), "");
	assert_string_equal(dup, "");
	free(dup);
	mpk_doc_release(&d);
}

static void
times(void **state unused_arg)
{
	static const struct {
		int64_t ns;
		const char *bytes;
		size_t n;
	} cases[] = {
		{ 0, "\xd6\xff\0\0\0\0", 6 },
		{ 1000000000, "\xd6\xff\0\0\0\x01", 6 },
		{ 4294967295000000000, "\xd6\xff\xff\xff\xff\xff", 6 },
		{ 4294967296000000000, "\xd7\xff\0\0\0\x01\0\0\0\0", 10 },
		{ 1, "\xd7\xff\0\0\0\x04\0\0\0\0", 10 },
		{ 1700000000123456789, "\xd7\xff\x1d\x6f\x34\x54\x65\x53\xf1\x00", 10 },
		{ -1, "\xc7\x0c\xff\x3b\x9a\xc9\xff\xff\xff\xff\xff\xff\xff\xff\xff", 15 },
		{ -1000000000, "\xc7\x0c\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 15 },
		{ INT64_MIN, NULL, 15 },
		{ INT64_MAX, NULL, 10 },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		struct buf b = BUF_INIT;
		struct mpk_w w;
		struct mpk_doc d;
		int64_t back = 7;

		mpk_w_init(&w, &b);
		mpk_time(&w, cases[i].ns);
		assert_int_equal(b.len, cases[i].n);
		if (cases[i].bytes)
			assert_memory_equal(b.p, cases[i].bytes, b.len);
		parse(&d, b.p, b.len);
		assert_true(mpk_as_time(mpk_root(&d), &back));
		assert_true(back == cases[i].ns);
		mpk_doc_release(&d);
		buf_release(&b);
	}
}

static void
times_that_are_none(void **state unused_arg)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "\x07", 1 },
		{ "\xd6\x01\0\0\0\0", 6 },						/* another extension */
		{ "\xd5\xff\0\0", 4 },							/* no such size */
		{ "\xd7\xff\xff\xff\xff\xff\0\0\0\0", 10 },				/* 1073741823 ns */
		{ "\xc7\x0c\xff\x3b\x9a\xca\x00\0\0\0\0\0\0\0\0", 15 },			/* 1000000000 ns */
		{ "\xc7\x0c\xff\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 15 },		/* beyond int64 */
		{ "\xc7\x0c\xff\0\0\0\0\x80\0\0\0\0\0\0\0", 15 },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		struct mpk_doc d;
		int64_t ns = 7;

		parse(&d, cases[i].bytes, cases[i].n);
		assert_false(mpk_as_time(mpk_root(&d), &ns));
		assert_int_equal(ns, 7);
		mpk_doc_release(&d);
	}
}

static void
assert_refused(const void *bytes, size_t n)
{
	char *exact = xmemdup(bytes, n), *text = xasprintf("not one whole msgpack object (%zu bytes)", n);
	struct mpk_doc d;

	assert_err(mpk_parse(&d, exact, n), text);
	free(text);
	free(exact);
}

static void
hostile_bytes(void **state unused_arg)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{ "", 0 }, { "\xc1", 1 }, { "\x01\x02", 2 }, { "\x91", 1 }, { "\x81\x01", 2 },
		{ "\xdd\xff\xff\xff\xff", 5 }, { "\xdf\xff\xff\xff\xff", 5 }, { "\xdd\xff\xff\xff\xff\x01", 6 },
		{ "\xdf\x80\x00\x00\x00\x01", 6 }, { "\xdb\xff\xff\xff\xff", 5 }, { "\xc6\xff\xff\xff\xff", 5 },
		{ "\xc9\xff\xff\xff\xff\xff", 6 }, { "\xc7\x01", 2 }, { "\xcb\0\0\0", 4 }, { "\xa3" "ab", 3 },
	};

	for (size_t i = 0; i < nitems(cases); i++)
		assert_refused(cases[i].bytes, cases[i].n);
}

static void
depth(void **state unused_arg)
{
	char nest[200];
	struct mpk_doc d;

	memset(nest, 0x91, sizeof nest);	/* [[[… */
	nest[30] = 0x01;
	parse(&d, nest, 31);
	mpk_doc_release(&d);
	nest[30] = (char)0x91;
	nest[31] = 0x01;
	assert_refused(nest, 32);
	nest[199] = (char)0x90;
	assert_refused(nest, 200);
	memset(nest, 0x81, 62);			/* {1: {1: … */
	for (size_t i = 0; i < 30; i++)
		nest[2 * i + 1] = 0x01;
	nest[60] = 0x01;
	parse(&d, nest, 61);
	mpk_doc_release(&d);
}

/* Every head byte, with every cut of what follows: the check and msgpack-c agree on what is whole. */
static void
every_head(void **state unused_arg)
{
	for (unsigned head = 0; head < 256; head++)
		for (size_t n = 1; n < 40; n++) {
			char *bytes = xcalloc(1, n);
			struct mpk_doc d;
			struct err *err;
			msgpack_unpacked u;
			size_t off = 0;
			bool whole;

			bytes[0] = (char)head;
			err = mpk_parse(&d, bytes, n);
			if (!err)
				mpk_doc_release(&d);
			msgpack_unpacked_init(&u);
			whole = msgpack_unpack_next(&u, bytes, n, &off) == MSGPACK_UNPACK_SUCCESS && off == n;
			msgpack_unpacked_destroy(&u);
			if (whole != !err)
				fail_msg("head %02x, %zu bytes", head, n);
			err_free(err);
			free(bytes);
		}
}

static char *
err_bytes(const struct err *e, size_t *n)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_err(&w, e);
	return buf_take(&b, n);
}

static struct err *
err_back(const struct err *e)
{
	struct mpk_doc d;
	struct err *back;
	size_t n;
	char *bytes = err_bytes(e, &n);

	parse(&d, bytes, n);
	free(bytes);
	back = mpk_as_err(mpk_root(&d));
	mpk_doc_release(&d);
	return back;
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Takes e. */
static void
assert_err_round_trip(struct err *e)
{
	struct err *back = err_back(e), *a = e, *b = back;

	for (; a && b; a = a->cause, b = b->cause) {
		assert_int_equal(a->kind, b->kind);
		assert_true(same_text(a->op, b->op));
		assert_true(same_text(a->arg, b->arg));
		assert_true(same_text(a->msg, b->msg));
	}
	assert_true(!a && !b);
	err_free(back);
	err_free(e);
}

static void
errors_round_trip(void **state unused_arg)
{
	assert_err_round_trip(NULL);
	assert_err_round_trip(err_new(ERR_OTHER, NULL, NULL));
	assert_err_round_trip(err_new(ERR_NET, "dial", "%s", ""));
	assert_err_round_trip(err_msg(ERR_INVALID, "bad"));
	assert_err_round_trip(err_wrap(err_errno(EIO, "read", "%s", "f"), "put", NULL));
	assert_err_round_trip(err_wrap_kind(err_wrap(err_msg(ERR_NET, "reset"), "a", "b"), ERR_EVAL, NULL, "c"));
	for (enum err_kind k = 0; k < ERR_NKINDS; k++)
		assert_err_round_trip(err_new(k, "op", NULL));
}

static void
errors_as_bytes(void **state unused_arg)
{
	static const char expected[] =
	    "\x85\xa2" "Op\xa6" "accept\xa3" "Arg\x91\xa7" "node7/3\xa4" "Kind\xa3" "Net\xa5" "Error\xc0\xa5" "Cause"
	    "\x85\xa2" "Op\xc0\xa3" "Arg\xc0\xa4" "Kind\xa5" "Other\xa5" "Error\xa5" "reset\xa5" "Cause\xc0";
	struct err *e = err_wrap(err_msg(ERR_NET, "reset"), "accept", "node7/3");
	size_t n;
	char *bytes = err_bytes(e, &n);

	assert_int_equal(n, sizeof expected - 1);
	assert_memory_equal(bytes, expected, n);
	free(bytes);
	err_free(e);
}

/* A chain too deep for a reader's limit keeps its text and what may be retried. */
static void
deep_errors_keep_their_text(void **state unused_arg)
{
	struct err *e = err_msg(ERR_NET, "reset"), *back;
	char *text;
	int links = 0;

	for (int i = 0; i < 40; i++)
		e = err_wrap(e, "op", NULL);
	text = err_str(e);
	back = err_back(e);
	for (struct err *b = back; b; b = b->cause)
		links++;
	assert_int_equal(links, 10);
	assert_true(err_restartable(back));
	assert_err(back, text);
	free(text);
	err_free(e);
}

static void
strange_errors(void **state unused_arg)
{
	struct mpk_doc d;

	parse(&d, "\x07", 1);
	assert_err(mpk_as_err(mpk_root(&d)), "an error that cannot be read");
	mpk_doc_release(&d);
	parse(&d, "\x83\xa2" "Op\x01\xa4" "Kind\xa4" "Nope\xa3" "Arg\x91\x02", 21);
	assert_err(mpk_as_err(mpk_root(&d)), "");
	mpk_doc_release(&d);
	assert_null(mpk_as_err(NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(empty_strings),
		cmocka_unit_test(times),
		cmocka_unit_test(times_that_are_none),
		cmocka_unit_test(hostile_bytes),
		cmocka_unit_test(depth),
		cmocka_unit_test(every_head),
		cmocka_unit_test(errors_round_trip),
		cmocka_unit_test(errors_as_bytes),
		cmocka_unit_test(deep_errors_keep_their_text),
		cmocka_unit_test(strange_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
