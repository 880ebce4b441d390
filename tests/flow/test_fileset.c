/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mpk_scan.h"
#include "flow/fileset.h"

/* Filesets: building, text, and the two coded forms, whole and damaged. */

static struct file
file_of(const char *text)
{
	struct file f = { .size = strlen(text) };

	sha256_of(text, strlen(text), &f.id);
	return f;
}

static struct fileset *
map_of(const char *const *paths, size_t n)
{
	struct fileset_builder *b = fileset_builder_new();

	for (size_t i = 0; i < n; i++) {
		struct file f = file_of(paths[i]);

		fileset_builder_add(b, paths[i], &f);
	}
	return fileset_builder_finish(b);
}

static void
assert_text(const struct fileset *fs, const char *want)
{
	struct buf b = BUF_INIT;

	fileset_str(fs, &b);
	assert_string_equal(buf_str(&b), want);
	buf_release(&b);
}

static void
test_sorted_and_later_wins(void **state unused_arg)
{
	struct fileset_builder *b = fileset_builder_new();
	struct file one = file_of("one"), two = file_of("two");
	struct fileset *fs;

	fileset_builder_add(b, "b", &one);
	fileset_builder_add(b, "a/x", &one);
	fileset_builder_add(b, "a", &one);
	fileset_builder_add(b, "a/x", &two);
	fs = fileset_builder_finish(b);
	assert_int_equal(fileset_nmap(fs), 3);
	assert_string_equal(fileset_at(fs, 0)->path, "a");
	assert_string_equal(fileset_at(fs, 1)->path, "a/x");
	assert_string_equal(fileset_at(fs, 2)->path, "b");
	assert_true(digest_equal(&fileset_find(fs, "a/x")->file.id, &two.id));
	assert_null(fileset_find(fs, "a/y"));
	assert_int_equal(fileset_size(fs), 9);
	fileset_unref(fs);
}

static void
test_text(void **state unused_arg)
{
	struct file hello = file_of("hello");
	struct fileset *f = fileset_file(&hello), *none = fileset_empty(), *both[] = { f, none };
	struct fileset *list = fileset_list(both, 2);

	assert_text(none, "void");
	assert_text(f, "obj<.=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824>");
	assert_text(list,
	    "list<obj<.=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824>, void>");
	assert_true(fileset_any_empty(list));
	assert_false(fileset_any_empty(f));
	assert_int_equal(fileset_n(list), 1);
	fileset_unref(list);
	fileset_unref(f);
	fileset_unref(none);
}

static struct fileset *
sample(void)
{
	static const char *const one[] = { "x", "dir/y", "z z" }, *const two[] = { "." };
	struct fileset *parts[2] = { map_of(one, 3), map_of(two, 1) }, *fs = fileset_list(parts, 2);

	fileset_unref(parts[0]);
	fileset_unref(parts[1]);
	return fs;
}

static void
test_round_trips(void **state unused_arg)
{
	struct fileset *fs = sample(), *back;
	json_t *j = fileset_json(fs);
	struct buf b = BUF_INIT;
	struct mpk_doc doc;
	struct mpk_w w;

	assert_null(fileset_from_json(j, &back));
	assert_true(fileset_equal(fs, back));
	fileset_unref(back);
	json_decref(j);

	mpk_w_init(&w, &b);
	fileset_mpk(fs, &w);
	assert_null(mpk_parse(&doc, b.p, b.len));
	assert_null(fileset_from_mpk(mpk_root(&doc), &back));
	assert_true(fileset_equal(fs, back));
	assert_int_equal(fileset_size(back), fileset_size(fs));
	fileset_unref(back);
	mpk_doc_release(&doc);
	buf_release(&b);
	fileset_unref(fs);
}

static void
test_bad_json(void **state unused_arg)
{
	static const struct {
		const char *json, *want;
	} cases[] = {
		{ "[]", "fileset: neither a list nor a map of files" },
		{ "{\"List\":[],\"Fileset\":{}}", "fileset: neither a list nor a map of files" },
		{ "{\"List\":3}", "fileset: List must be an array and Fileset an object" },
		{ "{\"Fileset\":{\"a\":{\"ID\":\"zz\",\"Size\":1}}}", "fileset: bad file at a" },
		{ "{\"Fileset\":{\"a\":{\"ID\":null,\"Size\":-1}}}", "fileset: bad file at a" },
		{ "{\"List\":[{},[]]}", "fileset: neither a list nor a map of files" },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		json_t *j = json_loads(cases[i].json, 0, NULL);
		struct fileset *fs = NULL;
		struct err *err = fileset_from_json(j, &fs);
		char *text = err_str(err);

		assert_string_equal(text, cases[i].want);
		assert_null(fs);
		free(text);
		err_free(err);
		json_decref(j);
	}
}

static struct fileset *
scanned(const struct buf *b)	/* NULL: it is none, or more than that */
{
	struct mpk_scan s = { (const unsigned char *)b->p, (const unsigned char *)b->p + b->len, 0 };
	struct fileset *fs = NULL;

	if (!fileset_scan(&s, &fs) || s.p != s.end) {
		fileset_unref(fs);
		return NULL;
	}
	return fs;
}

/* Both readers take the same for a fileset, and for the same one. */
static bool
readers_agree(const struct buf *b)
{
	struct fileset *in_place = scanned(b), *back = NULL;
	struct mpk_doc doc;
	struct err *err;

	if ((err = mpk_parse(&doc, b->p, b->len)) == NULL) {
		err = fileset_from_mpk(mpk_root(&doc), &back);
		mpk_doc_release(&doc);
	}
	assert_true((err != NULL) == (in_place == NULL));
	if (back != NULL)
		assert_true(fileset_equal(back, in_place));
	fileset_unref(back);
	fileset_unref(in_place);
	err_free(err);
	return back != NULL;
}

/* Paths that are not in order, or come twice, are put in order; what we write is. */
static void
test_any_order(void **state unused_arg)
{
	static const char *const paths[] = { "b", "a", "c", "a" };
	struct fileset *fs;
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_array(&w, nitems(paths));
	for (size_t i = 0; i < nitems(paths); i++)
		mpk_array(&w, 3), mpk_str(&w, paths[i]), mpk_nil(&w), mpk_u64(&w, i);
	assert_true(readers_agree(&b));
	fs = scanned(&b);
	assert_int_equal(fileset_nmap(fs), 3);
	assert_string_equal(fileset_at(fs, 0)->path, "a");
	assert_int_equal(fileset_at(fs, 0)->file.size, 3);	/* the later wins */
	assert_string_equal(fileset_at(fs, 2)->path, "c");
	fileset_unref(fs);
	buf_release(&b);
}

/* Every prefix of a coded fileset, and every single byte changed, is an error or a fileset, never worse. */
static void
test_damaged_mpk(void **state unused_arg)
{
	struct fileset *fs = sample();
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	fileset_mpk(fs, &w);
	assert_true(readers_agree(&b));
	for (size_t i = 0; i < b.len; i++) {
		for (int flip = 1; flip < 256; flip += 51) {
			b.p[i] = (char)(b.p[i] ^ flip);
			(void)readers_agree(&b);
			b.p[i] = (char)(b.p[i] ^ flip);
		}
	}
	buf_release(&b);
	fileset_unref(fs);
}

static void
test_digest_tells_apart(void **state unused_arg)
{
	static const char *const ab[] = { "a", "b" };
	struct fileset *m = map_of(ab, 2), *a = map_of(ab, 1), *b = map_of(ab + 1, 1), *pair[] = { a, b };
	struct fileset *l = fileset_list(pair, 2), *ll = fileset_list(&l, 1), *up = fileset_pullup(ll);
	struct fileset *all[] = { m, a, b, l, ll };
	struct digest d[5], u;

	for (size_t i = 0; i < 5; i++)
		fileset_digest(all[i], &d[i]);
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < i; k++)
			assert_false(digest_equal(&d[i], &d[k]));
	fileset_digest(up, &u);
	assert_true(digest_equal(&u, &d[0]));
	fileset_unref(up);
	for (size_t i = 0; i < 5; i++)
		fileset_unref(all[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted_and_later_wins),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_damaged_mpk),
		cmocka_unit_test(test_digest_tells_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
