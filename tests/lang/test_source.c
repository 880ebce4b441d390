/* SPDX-License-Identifier: Apache-2.0 */
#include "../check.h"

#include "base/buf.h"
#include "lang/source.h"

/* Sources: keys, the cache, and every way in which a file is no program. */

static void
assert_resolves(const char *importer, const char *path, const char *expected)
{
	char *got = source_resolve(importer, path);

	assert_string_equal(got, expected);
	free(got);
}

static void
test_resolve(void **state unused_arg)
{
	assert_resolves(NULL, "x.rf", "x.rf");
	assert_resolves("a/b.rf", "x.rf", "x.rf");
	assert_resolves("a/b.rf", "c/../x.rf", "c/../x.rf");
	assert_resolves("a/b.rf", "/x.rf", "/x.rf");
	assert_resolves("a/b.rf", "$/strings", "$/strings");
	assert_resolves(NULL, "./x.rf", "x.rf");
	assert_resolves("b.rf", "./x.rf", "x.rf");
	assert_resolves("a/b.rf", "./x.rf", "a/x.rf");
	assert_resolves("a/b.rf", "./c/./d//x.rf", "a/c/d/x.rf");
	assert_resolves("a/b.rf", "../x.rf", "x.rf");
	assert_resolves("a/b.rf", "./../../x.rf", "../x.rf");
	assert_resolves("b.rf", "../x.rf", "../x.rf");
	assert_resolves("../b.rf", "../x.rf", "../../x.rf");
	assert_resolves("/a/b.rf", "./x.rf", "/a/x.rf");
	assert_resolves("/b.rf", "../../x.rf", "/x.rf");
	assert_resolves("./a/b.rf", "./x.rf", "a/x.rf");
	assert_resolves("a/b.rf", "./..", ".");
}

static void
test_kinds(void **state unused_arg)
{
	assert_true(source_is_system("$/dirs"));
	assert_false(source_is_system("./$/dirs"));
	assert_true(source_is_archive("a.rfx"));
	assert_false(source_is_archive("a.rf"));
	assert_true(source_is_legacy("a.reflow"));
}

static void
test_cache(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/a.rf", dir);
	struct sources *s = sources_new();
	const struct source_text *one, *two;
	char hex[DIGEST_STR + 1];

	write_file(path, "val a = 1\n", 10);
	assert_ok(sources_get(s, path, &one));
	assert_string_equal(one->path, path);
	assert_string_equal(one->text, "val a = 1\n");
	assert_int_equal(one->len, 10);
	digest_str(&one->digest, hex);
	assert_string_equal(hex, "sha256:866ae1c614c41d4aacbd666b2d768ebff161770c9c2c0907d439a7e95c774b4d");
	write_file(path, "changed", 7);
	assert_ok(sources_get(s, path, &two));
	assert_ptr_equal(one, two);
	assert_int_equal(sources_count(s), 1);
	sources_free(s);
	free(path);
	temp_dir_free(dir);
}

static void
test_mark(void **state unused_arg)
{
	struct sources *s = sources_new();
	const struct source_text *src;
	struct digest d;

	assert_ok(sources_add(s, "a.rf", "\xef\xbb\xbfx", 4, &src));
	assert_string_equal(src->text, "x");
	assert_int_equal(src->len, 1);
	assert_int_equal(src->rawlen, 4);
	sha256_of("\xef\xbb\xbfx", 4, &d);
	assert_true(digest_equal(&d, &src->digest));
	assert_err(sources_add(s, "a.rf", "x", 1, &src), "a.rf: added twice");
	sources_free(s);
}

/* Takes path, puts the folder before it, and expects `before` + path + `after`. */
static void
assert_refused(const char *dir, const char *name, const char *before, const char *after)
{
	struct sources *s = sources_new();
	const struct source_text *src = NULL;
	char *path = xasprintf("%s/%s", dir, name), *text = xasprintf("%s%s%s", before, path, after);

	assert_err(sources_get(s, path, &src), text);
	assert_null(src);
	assert_int_equal(sources_count(s), 0);
	free(text);
	free(path);
	sources_free(s);
}

static void
write_in(const char *dir, const char *name, const char *p, size_t n)
{
	char *path = xasprintf("%s/%s", dir, name);

	write_file(path, p, n);
	free(path);
}

static void
test_refused(void **state unused_arg)
{
	char *dir = temp_dir_new(), *fifo = xasprintf("%s/fifo.rf", dir), *big = xasprintf("%s/big.rf", dir);

	write_in(dir, "bytes.rf", "a\né\xff", 5);
	write_in(dir, "nul.rf", "a\0b", 3);
	write_in(dir, "old.reflow", "a", 1);
	write_in(dir, "big.rf", "", 0);
	assert_int_equal(truncate(big, SOURCE_MAX_BYTES + 1), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_refused(dir, "none.rf", "open ", ": No such file or directory");
	assert_refused(dir, "nul.rf/x.rf", "open ", ": Not a directory");
	assert_refused(dir, ".", "", ": is a directory, not a program");
	assert_refused(dir, "fifo.rf", "", ": not a regular file");
	assert_refused(dir, "big.rf", "", ": larger than 16 MiB");
	assert_refused(dir, "bytes.rf", "", ":2:2: not UTF-8: byte 0xff");
	assert_refused(dir, "nul.rf", "", ":1:2: NUL byte in a program");
	assert_refused(dir, "old.reflow", "", ": .reflow modules are not supported; write an .rf module");
	if (geteuid() != 0) {	/* root reads everything */
		char *secret = xasprintf("%s/secret.rf", dir);

		write_in(dir, "secret.rf", "a", 1);
		assert_int_equal(chmod(secret, 0), 0);
		assert_refused(dir, "secret.rf", "open ", ": Permission denied");
		free(secret);
	}
	free(fifo);
	free(big);
	temp_dir_free(dir);
}

static void
test_system(void **state unused_arg)
{
	struct sources *s = sources_new();
	const struct source_text *src;

	assert_err(sources_get(s, "$/no", &src), "no system module named no");
	assert_ok(sources_add_system(s, "$/yes", "val A = 1", 9, NULL));
	assert_ok(sources_get(s, "$/yes", &src));
	assert_true(src->system);
	sources_free(s);
}

static void
collect_cb(const struct source_text *src, void *arg)
{
	buf_addf(arg, "%s ", src->path);
}

static void
test_each(void **state unused_arg)
{
	static const char *const paths[] = { "b", "c", "a", "B", "ab" };
	struct sources *s = sources_new();
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < nitems(paths); i++)
		assert_ok(sources_add(s, paths[i], "", 0, NULL));
	sources_each(s, collect_cb, &b);
	assert_string_equal(buf_str(&b), "B a ab b c ");
	buf_release(&b);
	sources_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
