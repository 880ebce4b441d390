/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mpk_scan.h"

#include "base/mpk.h"
#include "tests/check.h"

/* Scanning in place reads what parsing reads: every type, every size, and of broken bytes nothing. */

static void
same_field(const msgpack_object *map, const struct mpk_slice *key, const struct mpk_slice *value)
{
	struct digest d1, d2;
	const char *name, *s1, *s2;
	uint64_t u1, u2;
	int64_t t1, t2;
	size_t n, n1, n2;
	bool has;
	char *k;

	assert_true(mpk_slice_str(key, &name, &n));
	k = xstrndup(name, n);
	assert_true(mpk_slice_is(key, k));
	assert_false(mpk_slice_is(key, "another"));
	has = mpk_get_str(map, k, &s1, &n1);
	assert_int_equal(mpk_slice_str(value, &s2, &n2), has);
	if (has) {
		assert_int_equal(n1, n2);
		assert_memory_equal(s1, s2, n1);
	}
	has = mpk_get_u64(map, k, &u1);
	assert_int_equal(mpk_slice_u64(value, &u2), has);
	assert_true(!has || u1 == u2);
	has = mpk_get_digest(map, k, &d1);
	assert_int_equal(mpk_slice_digest(value, &d2), has);
	assert_true(!has || digest_equal(&d1, &d2));
	has = mpk_get_time(map, k, &t1);
	assert_int_equal(mpk_slice_time(value, &t2), has);
	assert_true(!has || t1 == t2);
	free(k);
}

static void
add_fields(struct mpk_w *w, struct buf *text)
{
	static const uint64_t numbers[] = { 0, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX };
	static const int64_t times[] = { 0, 1, -1, INT64_MIN, INT64_MAX, 1700000000123456789, (int64_t)UINT32_MAX * 1000000000 };
	struct digest d;

	sha256_of("x", 1, &d);
	mpk_map(w, nitems(numbers) + nitems(times) + 11);
	for (size_t i = 0; i < nitems(numbers); i++) {
		char key[8];

		snprintf(key, sizeof key, "u%zu", i);
		mpk_key(w, key), mpk_u64(w, numbers[i]);
	}
	for (size_t i = 0; i < nitems(times); i++) {
		char key[8];

		snprintf(key, sizeof key, "t%zu", i);
		mpk_key(w, key), mpk_time(w, times[i]);
	}
	for (size_t n = 0; n < 70000; n = n == 0 ? 31 : n == 31 ? 32 : n * 200) {
		char key[8];

		snprintf(key, sizeof key, "s%zu", n);
		while (text->len < n)
			buf_addch(text, 'a');
		mpk_key(w, key), mpk_strn(w, buf_str(text), n);
	}
	mpk_key(w, "digest"), mpk_digest(w, &d);
	mpk_key(w, "short"), mpk_bin(w, "abc", 3);
	mpk_key(w, "nil"), mpk_nil(w);
	mpk_key(w, "minus"), mpk_i64(w, -7);
	mpk_key(w, "float"), mpk_double(w, 1.5);
	mpk_key(w, "true"), mpk_bool(w, true);
	mpk_key(w, "list"), mpk_array(w, 2), mpk_map(w, 1), mpk_str(w, "k"), mpk_array(w, 0), mpk_u64(w, 1);
}

static void
fields(void **state unused_arg)
{
	struct buf b = BUF_INIT, text = BUF_INIT;
	struct mpk_slice key, value;
	struct mpk_scan s;
	struct mpk_doc doc;
	struct mpk_w w;
	size_t n = 0;

	mpk_w_init(&w, &b);
	add_fields(&w, &text);
	assert_ok(mpk_parse(&doc, b.p, b.len));
	assert_true(mpk_scan_map(&s, b.p, b.len));
	for (; mpk_scan_next(&s, &key, &value); n++)
		same_field(mpk_root(&doc), &key, &value);
	assert_int_equal(n, mpk_root(&doc)->via.map.size);
	assert_ptr_equal(s.p, s.end);
	mpk_doc_release(&doc);
	buf_release(&b);
	buf_release(&text);
}

/* Cut anywhere it ends early, and never beyond its end. */
static void
cut(void **state unused_arg)
{
	struct buf b = BUF_INIT;
	struct mpk_slice key, value;
	struct mpk_scan s;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "a"), mpk_str(&w, "text");
	mpk_key(&w, "list"), mpk_array(&w, 1), mpk_map(&w, 1), mpk_key(&w, "b"), mpk_u64(&w, 70000);
	mpk_key(&w, "t"), mpk_time(&w, 1700000000123456789);
	for (size_t n = 0; n < b.len; n++) {
		char *p = xmemdup(b.p, n);	/* on its own, so that a step too far is seen */
		size_t pairs = 0;

		if (mpk_scan_map(&s, p, n))
			while (mpk_scan_next(&s, &key, &value))
				pairs++;
		assert_true(pairs < 3);
		free(p);
	}
	buf_release(&b);
}

static void
no_map(void **state unused_arg)
{
	static const struct { const char *p; size_t n; } cases[] = {
		{ "", 0 }, { "\x90", 1 }, { "\xa1" "a", 2 }, { "\xc0", 1 }, { "\xde", 1 }, { "\xde\0", 2 }, { "\xdf\0\0\0", 4 },
	};
	struct mpk_slice key, value;
	struct mpk_scan s;

	for (size_t i = 0; i < nitems(cases); i++)
		assert_false(mpk_scan_map(&s, cases[i].p, cases[i].n));
	assert_false(mpk_scan_map(&s, "\xdf\xff\xff\xff\xff", 5));	/* four billion pairs, none of them there */
	assert_true(mpk_scan_map(&s, "\x81\xdd\xff\xff\xff\xff\xc0", 7));
	assert_false(mpk_scan_next(&s, &key, &value));
	assert_true(mpk_scan_map(&s, "\x81\xc1\xc0", 3));
	assert_false(mpk_scan_next(&s, &key, &value));
}

/* One pass over all of a document; what is something else stays where it is, and so does what is cut. */
static bool
take_all(const char *p, size_t n)
{
	struct mpk_scan s = { (const unsigned char *)p, (const unsigned char *)p + n, 0 };
	struct digest want, got;
	const char *text;
	uint64_t v;
	size_t len;

	memset(&want, 0xd1, sizeof want);
	return mpk_take_map(&s, &v) && v == 2 && !mpk_take_array(&s, &v) && mpk_take_str(&s, &text, &len) && len == 1 &&
	    *text == 'a' && !mpk_take_map(&s, &v) && mpk_take_array(&s, &v) && v == 4 && !mpk_take_u64(&s, &v) &&
	    mpk_take_digest(&s, &got) && digest_equal(&got, &want) && !mpk_take_digest(&s, &got) && mpk_take_u64(&s, &v) &&
	    v == 70000 && !mpk_take_str(&s, &text, &len) && mpk_take_nil(&s) && !mpk_take_nil(&s) && mpk_take_u64(&s, &v) &&
	    v == 7 && mpk_take_any(&s) && mpk_take_any(&s) && !mpk_take_any(&s) && s.p == s.end;
}

static void
take(void **state unused_arg)
{
	struct buf b = BUF_INIT;
	struct digest d;
	struct mpk_w w;

	memset(&d, 0xd1, sizeof d);
	mpk_w_init(&w, &b);
	mpk_map(&w, 2);
	mpk_key(&w, "a"), mpk_array(&w, 4), mpk_digest(&w, &d), mpk_u64(&w, 70000), mpk_nil(&w), mpk_u64(&w, 7);
	mpk_key(&w, "b"), mpk_array(&w, 1), mpk_str(&w, "text");
	assert_true(take_all(b.p, b.len));
	for (size_t n = 0; n < b.len; n++) {
		char *p = xmemdup(b.p, n);

		assert_false(take_all(p, n));
		free(p);
	}
	buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(cut),
		cmocka_unit_test(no_map),
		cmocka_unit_test(take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
