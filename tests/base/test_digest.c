/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include "tests/check.h"

/* SHA-256 by the standard's examples; w1 by values computed outside: a change here orphans every key on disk. */

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void
assert_hex(const struct digest *d, const char *hex)
{
	char text[DIGEST_HEX + 1];

	digest_hex(d, text);
	assert_string_equal(text, hex);
}

static void
standard_examples(void **state unused_arg)
{
	struct digest d;
	struct sha256 s;

	sha256_of("abc", 3, &d);
	assert_hex(&d, ABC);
	sha256_of("", 0, &d);
	assert_hex(&d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_init(&s);
	for (int i = 0; i < 1000; i++) {
		char block[1000];

		memset(block, 'a', sizeof block);
		sha256_add(&s, block, sizeof block);
	}
	sha256_final(&s, &d);
	assert_hex(&d, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void
of_a_descriptor(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/f", dir), *big = xcalloc(1, 300000), *text;
	struct digest d, expected;
	uint64_t size = 0;
	int fd;

	write_file(path, big, 300000);
	sha256_of(big + 7, 300000 - 7, &expected);
	fd = open(path, O_RDONLY);
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	assert_ok(sha256_fd(fd, path, &d, &size));
	assert_int_equal(size, 300000 - 7);
	assert_true(digest_equal(&d, &expected));
	close(fd);

	fd = open(dir, O_RDONLY);
	text = xasprintf("read %s: Is a directory", dir);
	assert_err(sha256_fd(fd, dir, &d, NULL), text);
	close(fd);
	free(text);
	free(big);
	free(path);
	temp_dir_free(dir);
}

static void
text_forms(void **state unused_arg)
{
	struct digest d, e;
	char full[DIGEST_STR + 1], brief[9];

	sha256_of("abc", 3, &d);
	digest_str(&d, full);
	digest_short(&d, brief);
	assert_string_equal(full, "sha256:" ABC);
	assert_string_equal(brief, "ba7816bf");
	assert_ok(digest_parse(full, strlen(full), &e));
	assert_true(digest_equal(&d, &e));
	memset(&e, 0, sizeof e);
	assert_true(digest_is_zero(&e));
	assert_ok(digest_parse("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", 64, &e));
	assert_true(digest_equal(&d, &e));
	assert_false(digest_is_zero(&e));
	assert_int_equal(digest_cmp(&d, &e), 0);
	e.b[31]++;
	assert_true(digest_cmp(&d, &e) < 0);
}

static void
bad_texts(void **state unused_arg)
{
	static const char *const bad[] = {
		"", "sha256:", "sha1:" ABC, "sha256:" ABC "0", "sha256:ba78", ABC "00",
	};
	struct digest d;

	memset(&d, 7, sizeof d);
	for (size_t i = 0; i < nitems(bad); i++) {
		char *text = xasprintf("bad digest \"%s\": sha256: and 64 hex digits are expected", bad[i]);

		assert_err(digest_parse(bad[i], strlen(bad[i]), &d), text);
		free(text);
	}
	assert_err(digest_parse("sha256:" ABC, 70, &d), "bad digest \"sha256:"
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a\": "
	    "sha256: and 64 hex digits are expected");
	assert_err(digest_parse("gA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", 64, &d),
	    "bad digest \"gA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD\": "
	    "sha256: and 64 hex digits are expected");
	assert_int_equal(d.b[0], 7);	/* untouched on failure */
}

static void
w1_golden(void **state unused_arg)
{
	struct digest d, abc;
	struct w1 w;

	w1_init(&w, "");
	w1_final(&w, &d);
	assert_hex(&d, "68feee7e0e920503b271ef9f2c6ba17d063803c98f08229f324d4ab53aacab80");
	w1_init(&w, "exec");
	w1_final(&w, &d);
	assert_hex(&d, "f923916f9f8c14cce4df500cf0112ae78fd9ae3f76b13835ad7981e66548d48d");

	sha256_of("abc", 3, &abc);
	w1_init(&w, "value");
	w1_add_str(&w, W1_TEXT, 0, "hello");
	w1_add_digest(&w, W1_DIGEST, 1, &abc);
	w1_add_u64(&w, 2, 0x0102030405060708);
	w1_add_digest(&w, W1_INPUT, 3, &abc);
	w1_add(&w, W1_OUTPUT, 4, NULL, 0);
	w1_add_digest(&w, W1_DELAYED, 5, &abc);
	w1_add_str(&w, W1_NAME, 6, "name");
	w1_add_str(&w, W1_FLOAT, 7, "1.5");
	w1_add(&w, W1_NEG, 8, "\x01\x00", 2);
	w1_add(&w, W1_POS, 9, "\xff", 1);
	w1_final(&w, &d);
	assert_hex(&d, "1d69dffb97cf24d23449d53c39a9bd6b9ce6f14b2cb50f2f903dc1e6f8047945");

	w1_init(&w, "k");
	w1_add_str(&w, W1_TEXT, 0, "");
	w1_final(&w, &d);
	assert_hex(&d, "79c9773322f7260db7003a1a42a3c62e6fa24c292a4abc87d121c34c7e248c77");
	w1_init(&w, "k");
	w1_add_str(&w, W1_TEXT, 0, NULL);
	w1_final(&w, &d);
	assert_hex(&d, "27ca4824f5bc740c8d64e8e833a4144988d3d78dba0341d609216b711b6e31c1");
}

static void
w1_of(const char *domain, enum w1_kind kind, uint32_t pos, const char *a, const char *b, struct digest *out)
{
	struct w1 w;

	w1_init(&w, domain);
	w1_add_str(&w, kind, pos, a);
	if (b)
		w1_add_str(&w, kind, pos + 1, b);
	w1_final(&w, out);
}

/* Sequences that a digest without frames would merge. */
static void
w1_tells_apart(void **state unused_arg)
{
	struct digest d[9];

	w1_of("k", W1_TEXT, 0, "ab", "c", &d[0]);
	w1_of("k", W1_TEXT, 0, "a", "bc", &d[1]);
	w1_of("k", W1_TEXT, 0, "abc", NULL, &d[2]);
	w1_of("k", W1_TEXT, 0, "abc", "", &d[3]);
	w1_of("k", W1_TEXT, 1, "ab", "c", &d[4]);
	w1_of("k", W1_NAME, 0, "ab", "c", &d[5]);
	w1_of("ka", W1_TEXT, 0, "b", "c", &d[6]);
	w1_of("k", W1_TEXT, 0, NULL, "c", &d[7]);
	w1_of("k", W1_TEXT, 0, "", "c", &d[8]);
	for (size_t i = 0; i < nitems(d); i++)
		for (size_t k = i + 1; k < nitems(d); k++)
			assert_false(digest_equal(&d[i], &d[k]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standard_examples),
		cmocka_unit_test(of_a_descriptor),
		cmocka_unit_test(text_forms),
		cmocka_unit_test(bad_texts),
		cmocka_unit_test(w1_golden),
		cmocka_unit_test(w1_tells_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
