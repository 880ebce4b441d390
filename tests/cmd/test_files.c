/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "cmd/files.h"
#include "store/object.h"
#include "store/root.h"

/* Laying out results as files: names, trees, what is refused, and that nothing ever leaves the folder. */
struct fixture {
	char *dir, *objects, *out;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);

	f->dir = temp_dir_new();
	f->objects = xasprintf("%s/objects", f->dir);
	f->out = xasprintf("%s/made/out", f->dir);
	assert_int_equal(mkdir(f->objects, 0700), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	free(f->objects);
	free(f->out);
	temp_dir_free(f->dir);
	free(f);
	return 0;
}

static struct file
object(struct fixture *f, const char *text)
{
	struct file file = { .size = strlen(text) };

	assert_ok(object_put_bytes(f->objects, text, strlen(text), false, &file.id));
	return file;
}

static struct value *
file_value(struct fixture *f, const char *text)
{
	struct file file = object(f, text);

	return value_file(&file);
}

static void
assert_content(struct fixture *f, const char *path, const char *text)
{
	char *full = xasprintf("%s/%s", f->out, path);
	struct buf b = BUF_INIT;

	assert_ok(buf_read_file(&b, full, 1000));
	assert_string_equal(buf_str(&b), text);
	buf_release(&b);
	free(full);
}

/* Takes the value. Writes it, and gives how many files were written. */
static size_t
write_value(struct fixture *f, struct value *v, bool force)
{
	struct file_plan p = { NULL, 0 };
	size_t written, same;

	assert_ok(plan_value(&p, v));
	assert_ok(plan_write(&p, f->objects, f->out, force, &written, &same));
	plan_release(&p);
	value_unref(v);
	return written;
}

static void
write_fails(struct fixture *f, struct value *v, bool force, const char *want)
{
	struct file_plan p = { NULL, 0 };
	size_t written, same;

	assert_ok(plan_value(&p, v));
	assert_err(plan_write(&p, f->objects, f->out, force, &written, &same), want);
	plan_release(&p);
	value_unref(v);
}

static struct value *
dir_value(struct fixture *f, const char *const *paths, size_t n)
{
	struct fileset_builder *b = fileset_builder_new();

	for (size_t i = 0; i < n; i++) {
		struct file file = object(f, paths[i]);

		fileset_builder_add(b, paths[i], &file);
	}
	return value_dir(fileset_builder_finish(b));
}

static void
test_single_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write_value(f, file_value(f, "hello"), false), 1);
	assert_content(f, "result", "hello");
}

static void
test_struct_list_map_tuple(void **state)
{
	static const char *const names[] = { "one", "many", "by", "pair", "n", "none" };
	static const char *const tree[] = { "a", "sub/b" };
	struct fixture *f = *state;
	struct value *list[] = { file_value(f, "l0"), file_value(f, "l1") };
	struct value *keys[] = { value_str("k/1"), value_int(7) }, *values[] = { file_value(f, "m0") };
	struct value *pair[] = { file_value(f, "p0"), dir_value(f, tree, 2) };
	struct value *fields[6];

	value_unref(keys[1]);
	fields[0] = file_value(f, "f0");
	fields[1] = value_list(list, 2);
	fields[2] = value_map(keys, values, 1);
	fields[3] = value_tuple(pair, 2);
	fields[4] = value_int(5);
	fields[5] = value_list(NULL, 0);
	assert_int_equal(write_value(f, value_struct(names, fields, 6), false), 7);
	assert_content(f, "one", "f0");
	assert_content(f, "many/0", "l0");
	assert_content(f, "many/1", "l1");
	assert_content(f, "by/k%2F1", "m0");
	assert_content(f, "pair/0", "p0");
	assert_content(f, "pair/1/a", "a");
	assert_content(f, "pair/1/sub/b", "sub/b");
	{
		char *none = xasprintf("%s/none", f->out);
		struct stat st;

		assert_int_equal(stat(none, &st), 0);
		assert_true(S_ISDIR(st.st_mode));
		free(none);
	}
}

static void
test_dir_at_the_top(void **state)
{
	static const char *const tree[] = { "a", "a.b", "c/d/e" };
	struct fixture *f = *state;

	assert_int_equal(write_value(f, dir_value(f, tree, 3), false), 3);
	assert_content(f, "a", "a");
	assert_content(f, "a.b", "a.b");
	assert_content(f, "c/d/e", "c/d/e");
}

static void
assert_names(const struct fileset *two, const char *const names[2], const char *first, const char *second)
{
	struct file_plan p = { NULL, 0 };

	assert_ok(plan_fileset(&p, two, names, 2));
	assert_int_equal(p.n, 2);
	assert_string_equal(p.v[0].path, first);
	assert_string_equal(p.v[1].path, second);
	plan_release(&p);
}

static void
test_exec_outputs(void **state)
{
	struct fixture *f = *state;
	struct file a = object(f, "A"), b = object(f, "B");
	struct fileset *part[] = { fileset_file(&a), fileset_file(&b) };
	struct fileset *one = fileset_list(part, 1), *two = fileset_list(part, 2);
	struct file_plan p = { NULL, 0 };
	struct file single;

	assert_ok(plan_fileset(&p, one, NULL, 0));
	assert_int_equal(p.n, 1);
	assert_string_equal(p.v[0].path, "result");
	assert_true(plan_single(&p, &single));
	assert_true(digest_equal(&single.id, &a.id));
	plan_release(&p);
	assert_ok(plan_fileset(&p, two, NULL, 0));
	assert_int_equal(p.n, 2);
	assert_string_equal(p.v[0].path, "0");
	assert_string_equal(p.v[1].path, "1");
	assert_false(plan_single(&p, &single));
	plan_release(&p);
	assert_names(two, (const char *const[]){ "bam", "../x" }, "bam", "%2E.%2Fx");
	assert_names(two, (const char *const[]){ "out", "out" }, "0", "1");
	assert_names(two, (const char *const[]){ "", "out" }, "0", "1");
	for (int i = 0; i < 2; i++)
		fileset_unref(part[i]);
	fileset_unref(one);
	fileset_unref(two);
}

static void
test_paths_that_leave(void **state)
{
	static const char *const bad[] = { "../x", "a/../../x", "/etc/x", "a//b", "./a", "a/.", "..", "a/" };
	struct fixture *f = *state;

	for (size_t i = 0; i < nitems(bad); i++) {
		struct value *v = dir_value(f, &bad[i], 1);
		struct file_plan p = { NULL, 0 };
		char *want = xasprintf("path %s in a dir leaves it, or is no path: refused", bad[i]);

		assert_err(plan_value(&p, v), want);
		assert_int_equal(p.n, 0);
		free(want);
		value_unref(v);
	}
}

static void
test_escapes(void **state)
{
	static const struct { const char *text, *name; } cases[] = {
		{ "plain-1_x.bam", "plain-1_x.bam" }, { "..", "%2E." }, { ".", "%2E" }, { ".hidden", "%2Ehidden" },
		{ "", "%" },
		{ "a/b", "a%2Fb" }, { "100%", "100%25" }, { "new\nline", "new%0Aline" }, { "tab\t*", "tab%09%2A" },
		{ "\xc3\xa4", "\xc3\xa4" },
	};
	struct buf b = BUF_INIT, c = BUF_INIT;
	char name[301];

	(void)state;
	for (size_t i = 0; i < nitems(cases); i++) {
		name_escape(cases[i].text, strlen(cases[i].text), &b);
		assert_string_equal(buf_str(&b), cases[i].name);
		buf_clear(&b);
	}
	memset(name, 'x', 300);
	name[300] = 'a';
	name_escape(name, 301, &b);
	name[300] = 'b';
	name_escape(name, 301, &c);
	assert_true(b.len == 209 && c.len == 209);
	assert_string_not_equal(buf_str(&b), buf_str(&c));
	buf_release(&b);
	buf_release(&c);
}

static void
test_existing_files(void **state)
{
	struct fixture *f = *state;
	char *want = xasprintf("%s/result exists with other content; --force replaces it", f->out);

	assert_int_equal(write_value(f, file_value(f, "first"), false), 1);
	/* The same content again is no conflict, and not written. */
	assert_int_equal(write_value(f, file_value(f, "first"), false), 0);
	write_fails(f, file_value(f, "other"), false, want);
	assert_content(f, "result", "first");
	assert_int_equal(write_value(f, file_value(f, "other"), true), 1);
	assert_content(f, "result", "other");
	free(want);
}

/* One conflict, and nothing at all is written. */
static void
test_nothing_is_half_written(void **state)
{
	static const char *const tree[] = { "a", "b" };
	struct fixture *f = *state;
	char *path = xasprintf("%s/b", f->out);
	char *want = xasprintf("%s exists with other content; --force replaces it", path);
	char *a = xasprintf("%s/a", f->out);
	struct stat st;

	assert_int_equal(write_value(f, file_value(f, "x"), false), 1);
	write_file(path, "mine", 4);
	write_fails(f, dir_value(f, tree, 2), false, want);
	assert_int_not_equal(stat(a, &st), 0);
	free(path);
	free(want);
	free(a);
}

static void
test_links_are_not_followed(void **state)
{
	static const char *const tree[] = { "sub/x" };
	struct fixture *f = *state;
	char *outside = xasprintf("%s/outside", f->dir), *link = xasprintf("%s/sub", f->out), *victim, *path;
	char *want = xasprintf("%s/sub/x: a link or a file stands where a folder must be", f->out);
	struct stat st;

	assert_int_equal(write_value(f, file_value(f, "x"), false), 1);
	assert_int_equal(mkdir(outside, 0700), 0);
	assert_int_equal(symlink(outside, link), 0);
	write_fails(f, dir_value(f, tree, 1), true, want);
	victim = xasprintf("%s/x", outside);
	assert_int_not_equal(stat(victim, &st), 0);
	free(victim);
	/* A link in the place of the file itself is replaced, not written through. */
	victim = xasprintf("%s/victim", f->dir);
	write_file(victim, "mine", 4);
	path = xasprintf("%s/result", f->out);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(write_value(f, file_value(f, "new"), true), 1);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(victim, &st), 0);
	assert_int_equal(st.st_size, 4);
	free(path);
	free(victim);
	free(want);
	free(link);
	free(outside);
}

static void
test_damaged_object(void **state)
{
	struct fixture *f = *state;
	struct file file = object(f, "right");
	struct file_plan p = { NULL, 0 };
	char path[400], *target = xasprintf("%s/result", f->out);
	size_t written, same, n = 0;
	struct err *err;
	struct stat st;
	DIR *d;

	object_path(f->objects, &file.id, path, sizeof path);
	assert_int_equal(chmod(path, 0600), 0);
	write_file(path, "wrong", 5);
	plan_file(&p, &file);
	err = plan_write(&p, f->objects, f->out, false, &written, &same);
	assert_non_null(err);
	assert_true(err_is(err, ERR_INTEGRITY));
	err_free(err);
	assert_int_not_equal(stat(target, &st), 0);
	/* Nor is a temporary file left. */
	d = opendir(f->out);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	assert_int_equal(n, 2);
	free(target);
	plan_release(&p);
}

static void
test_file_and_folder_of_one_name(void **state)
{
	static const char *const tree[] = { "b" };
	struct fixture *f = *state;
	struct value *keys[] = { value_str("a"), value_str("a/b") },
		     *values[] = { file_value(f, "1"), file_value(f, "2") };

	/* Escaping keeps keys of a map apart. */
	assert_int_equal(write_value(f, value_map(keys, values, 2), false), 2);
	assert_content(f, "a%2Fb", "2");
	{
		struct file_plan p = { NULL, 0 };
		struct file one = object(f, "1");
		struct value *d = dir_value(f, tree, 1);
		size_t written, same;

		plan_file(&p, &one);
		free(p.v[0].path);
		p.v[0].path = xstrdup("b/c");
		assert_ok(plan_value(&p, d));
		assert_err(plan_write(&p, f->objects, f->out, false, &written, &same),
		    "b and b/c cannot both be written: refused");
		plan_release(&p);
		value_unref(d);
	}
}

/* A list in a list, deeper than any stack. */
static void
test_deep_value(void **state)
{
	struct fixture *f = *state;
	struct value *v = file_value(f, "deep");
	struct file_plan p = { NULL, 0 };

	for (int i = 0; i < 3000; i++)
		v = value_list(&v, 1);
	assert_ok(plan_value(&p, v));
	assert_int_equal(p.n, 1);
	assert_int_equal(strlen(p.v[0].path), 2 * 3000 - 1);
	plan_release(&p);
	value_unref(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_single_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_struct_list_map_tuple, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dir_at_the_top, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exec_outputs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths_that_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_existing_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_half_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_are_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_object, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_and_folder_of_one_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep_value, setup, teardown),
		cmocka_unit_test(test_escapes),
	};

	umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
