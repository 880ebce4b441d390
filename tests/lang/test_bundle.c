/* SPDX-License-Identifier: Apache-2.0 */
#include "../check.h"

#include <archive.h>
#include <archive_entry.h>
#include <time.h>

#include "base/buf.h"
#include "lang/bundle.h"

/* Bundles: what was read comes back, equal programs give equal bytes, and nothing foreign is believed. */

static void
add(struct sources *s, const char *path, const char *text)
{
	assert_ok(sources_add(s, path, text, strlen(text), NULL));
}

static struct sources *
program(void)
{
	struct sources *s = sources_new();

	add(s, "flows/main.rf", "val M = make(\"./lib/x.rf\")\n");
	add(s, "flows/lib/x.rf", "val X = 1\n");
	add(s, "/abs/same.rf", "val X = 1\n");
	assert_ok(sources_add(s, "empty.rf", "\xef\xbb\xbf", 3, NULL));
	assert_ok(sources_add_system(s, "$/strings", "val S = 1\n", 10, NULL));
	return s;
}

static void
write_bundle(const struct sources *s, struct buf *out)
{
	char x[] = "-x=1", name[] = "--name=é", *args[] = { x, name };

	assert_ok(bundle_write(s, "flows/main.rf", args, 2, out));
}

static void
test_round_trip(void **state unused_arg)
{
	struct sources *s = program(), *again;
	const struct source_text *src;
	struct buf zip = BUF_INIT;
	struct bundle *b;
	struct digest d;
	size_t n;

	write_bundle(s, &zip);
	assert_ok(bundle_read(zip.p, zip.len, &b));
	assert_string_equal(bundle_entry(b), "flows/main.rf");
	assert_int_equal(bundle_nargs(b), 2);
	assert_string_equal(bundle_arg(b, 0), "-x=1");
	assert_string_equal(bundle_arg(b, 1), "--name=é");
	assert_int_equal(bundle_nfiles(b), 4);
	assert_string_equal(bundle_path(b, 0), "/abs/same.rf");
	assert_string_equal(bundle_path(b, 3), "flows/main.rf");
	assert_string_equal(bundle_find(b, "flows/lib/x.rf", &n, &d), "val X = 1\n");
	assert_int_equal(n, 10);
	assert_null(bundle_find(b, "$/strings", NULL, NULL));
	again = sources_from_bundle(b);
	assert_ok(sources_get(again, "flows/lib/x.rf", &src));
	assert_true(digest_equal(&d, &src->digest));
	assert_ok(sources_get(again, "empty.rf", &src));
	assert_int_equal(src->len, 0);
	assert_int_equal(src->rawlen, 3);
	assert_err(sources_get(again, "/etc/passwd", &src), "/etc/passwd: not in the bundle");
	sources_free(again);
	sources_free(s);
	buf_release(&zip);
}

static void
test_deterministic(void **state unused_arg)
{
	struct sources *s = program(), *other = sources_new();
	struct buf one = BUF_INIT, two = BUF_INIT;

	assert_ok(sources_add(other, "empty.rf", "\xef\xbb\xbf", 3, NULL));
	add(other, "/abs/same.rf", "val X = 1\n");
	add(other, "flows/lib/x.rf", "val X = 1\n");
	add(other, "flows/main.rf", "val M = make(\"./lib/x.rf\")\n");
	setenv("TZ", "America/New_York", 1);
	tzset();
	write_bundle(s, &one);
	setenv("TZ", "Asia/Tokyo", 1);
	tzset();
	write_bundle(other, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.p, two.p, one.len);
	buf_release(&one);
	buf_release(&two);
	sources_free(other);
	sources_free(s);
}

/* A bundle is a source as well: a program may make one. */
static void
test_nested(void **state unused_arg)
{
	struct sources *s = program(), *outer = sources_new();
	const struct source_text *src;
	struct buf inner = BUF_INIT, zip = BUF_INIT;
	struct bundle *b, *in;
	size_t n;
	const char *p;

	write_bundle(s, &inner);
	add(outer, "main.rf", "val X = make(\"./in.rfx\")\n");
	assert_ok(sources_add(outer, "in.rfx", inner.p, inner.len, &src));
	assert_true(src->archive);
	assert_ok(bundle_write(outer, "main.rf", NULL, 0, &zip));
	assert_ok(bundle_read(zip.p, zip.len, &b));
	assert_string_equal(bundle_entry(b), "main.rf");
	p = bundle_find(b, "in.rfx", &n, NULL);
	assert_ok(bundle_read(p, n, &in));
	assert_string_equal(bundle_entry(in), "flows/main.rf");
	bundle_free(in);
	bundle_free(b);
	buf_release(&inner);
	buf_release(&zip);
	sources_free(outer);
	sources_free(s);
}

static void
test_unwritable(void **state unused_arg)
{
	struct sources *s = program();
	struct buf zip = BUF_INIT;
	char bad[] = "\xff", *args[] = { bad };

	assert_err(bundle_write(s, "no.rf", NULL, 0, &zip), "bundle: no.rf was not read");
	assert_err(bundle_write(s, "$/strings", NULL, 0, &zip), "bundle: $/strings was not read");
	assert_err(bundle_write(s, "empty.rf", args, 1, &zip), "bundle: a path or an argument is not UTF-8");
	assert_int_equal(zip.len, 0);
	buf_release(&zip);
	sources_free(s);
}

/* ---- Archives that are none of ours ---- */

struct entry {
	const char *name;
	const char *text;
};

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OTHER "sha256:00000000000000000000000000000000000000000000000000000000000000aa"

static la_ssize_t
write_cb(struct archive *a unused_arg, void *arg, const void *p, size_t n)
{
	buf_add(arg, p, n);
	return (la_ssize_t)n;
}

static void
make_zip(const struct entry *v, size_t n, struct buf *out)
{
	struct archive *a = archive_write_new();

	assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open(a, out, NULL, write_cb, NULL), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *e = archive_entry_new();

		archive_entry_set_pathname(e, v[i].name);
		archive_entry_set_filetype(e, AE_IFREG);
		archive_entry_set_size(e, (la_int64_t)strlen(v[i].text));
		assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, v[i].text, strlen(v[i].text)), (la_ssize_t)strlen(v[i].text));
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

static void
assert_bad(const struct entry *v, size_t n, const char *text)
{
	struct buf zip = BUF_INIT;
	struct bundle *b = NULL;

	make_zip(v, n, &zip);
	assert_err(bundle_read(zip.p, zip.len, &b), text);
	assert_null(b);
	buf_release(&zip);
}

#define MANIFEST(files, entry, path) \
	"{\"Entrypoint\":\"" entry "\",\"EntrypointPath\":" path ",\"Args\":[],\"Files\":{" files "}}"

static void
test_hostile(void **state unused_arg)
{
	static const struct {
		struct entry v[2];
		const char  *text;
	} bad[] = {
		{ { { EMPTY, "" }, { "x", "" } }, "invalid bundle: an entry is not named by a digest" },
		{ { { EMPTY, "" }, { "../../etc/passwd", "" } }, "invalid bundle: an entry is not named by a digest" },
		{ { { EMPTY, "x" }, { "manifest", "{}" } }, "invalid bundle: entry " EMPTY " is damaged" },
		{ { { EMPTY, "" }, { EMPTY, "" } }, "invalid bundle: no manifest" },
		{ { { "manifest", "{}" }, { "manifest", "{}" } }, "invalid bundle: two manifests" },
		{ { { EMPTY, "" }, { "manifest", "[]" } }, "invalid bundle: manifest is no object" },
		{ { { EMPTY, "" }, { "manifest", "{}" } }, "invalid bundle: no table of files" },
		{ { { EMPTY, "" }, { "manifest", "{\"Files\":{}}" } }, "invalid bundle: no entry point" },
		{ { { EMPTY, "" }, { "manifest", "{\"Files\":{\"a\":1}}" } }, "invalid bundle: a file has no digest" },
		{ { { EMPTY, "" }, { "manifest", "{\"Files\":{\"a\":\"" OTHER "\"}}" } },
		    "invalid bundle: file a is missing" },
		{ { { EMPTY, "" }, { "manifest", MANIFEST("", OTHER, "\".\"") } },
		    "invalid bundle: the entry point is missing" },
		{ { { EMPTY, "" }, { "manifest", MANIFEST("", EMPTY, "1") } }, "invalid bundle: no entry point" },
		{ { { EMPTY, "" }, { "manifest", "{\"Args\":1,\"Files\":{}}" } }, "invalid bundle: arguments are no list" },
		{ { { EMPTY, "" }, { "manifest", "{\"Args\":[1],\"Files\":{}}" } },
		    "invalid bundle: an argument is no string" },
	};

	for (size_t i = 0; i < nitems(bad); i++)
		assert_bad(bad[i].v, 2, bad[i].text);
}

/* Another program's bundle need not list its entry among the files; its imports are relative to the path named. */
static void
test_entry_without_path(void **state unused_arg)
{
	static const struct entry v[] = { { EMPTY, "" }, { "manifest", MANIFEST("", EMPTY, "\"flows\"") } };
	struct buf zip = BUF_INIT;
	struct bundle *b;

	make_zip(v, 2, &zip);
	assert_ok(bundle_read(zip.p, zip.len, &b));
	assert_string_equal(bundle_entry(b), "flows/main.rf");
	assert_string_equal(bundle_find(b, "flows/main.rf", NULL, NULL), "");
	bundle_free(b);
	buf_release(&zip);
}

/* Deflated entries are read too, but not without bound. */
static void
test_bomb(void **state unused_arg)
{
	char *text = xmalloc((65u << 20) + 1);
	struct entry v = { "manifest", text };

	memset(text, ' ', 65u << 20);
	text[65u << 20] = '\0';
	assert_bad(&v, 1, "invalid bundle: too large");
	free(text);
}

/* Every truncation and every flipped byte is an error or the same bundle, never anything else. */
static void
test_damage(void **state unused_arg)
{
	struct sources *s = program();
	struct buf zip = BUF_INIT;
	struct bundle *b = NULL;
	struct err *err;

	write_bundle(s, &zip);
	for (size_t n = 0; n < zip.len; n++) {
		char *copy = xmemdup(zip.p, n + 1);	/* so that a read past n is seen */

		b = NULL;
		err = bundle_read(copy, n, &b);
		assert_true((err == NULL) == (b != NULL));
		err_free(err);
		bundle_free(b);
		free(copy);
	}
	for (size_t i = 0; i < zip.len; i++) {
		zip.p[i] ^= 0x41;
		b = NULL;
		err = bundle_read(zip.p, zip.len, &b);
		if (err == NULL && bundle_find(b, "flows/lib/x.rf", NULL, NULL) != NULL)
			assert_string_equal(bundle_find(b, "flows/lib/x.rf", NULL, NULL), "val X = 1\n");
		err_free(err);
		bundle_free(b);
		zip.p[i] ^= 0x41;
	}
	buf_release(&zip);
	sources_free(s);
}

static void
test_not_a_zip(void **state unused_arg)
{
	struct bundle *b = NULL;
	struct err *err = bundle_read("val x = 1\n", 10, &b);

	assert_non_null(err);
	assert_int_equal(err_kind(err), ERR_INVALID);
	assert_null(b);
	err_free(err);
	assert_err(bundle_read("", 0, &b), "invalid bundle: not a ZIP archive");
	assert_err(bundle_read("val x = 1\n", 10, &b), "invalid bundle: not a ZIP archive");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_unwritable),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_entry_without_path),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_not_a_zip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
