/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "store/memo.h"
#include "tests/executor/keepertest.h"

/* test_intern: local files and directories, identified by their content. */

static void
intern_cb(struct exec_result *r, struct err *err, void *arg)
{
	struct running *g = arg;

	g->op = NULL;
	if (r != NULL)
		g->result = *r;
	g->err = err;
	g->done = true;
}

static void
intern_put_cb(struct exec *exec, struct err *err, void *arg)
{
	struct running *g = arg;

	g->op = NULL;
	g->exec = exec;
	g->err = err;
	g->put = true;
	if (err != NULL)
		g->done = true;
	else
		g->op = exec_wait(exec, intern_cb, g);
}

static void
intern_start(struct world *w, const char *path, bool dir, bool install, struct running *g)
{
	struct exec_config c = { .type = EXEC_INTERN, .ident = "input", .url = path, .dir = dir, .install = install };

	memset(g, 0, sizeof *g);
	key_of(w, &c.key);
	g->op = executor_put(w->executor, &c, intern_put_cb, g);
}

static void
intern(struct world *w, const char *path, bool dir, bool install, struct running *g)
{
	intern_start(w, path, dir, install, g);
	finish(w, g);
}

static void
intern_fails(struct world *w, const char *path, bool dir, const char *text)
{
	char *want = xasprintf(text, path);
	struct running g;

	intern(w, path, dir, false, &g);
	assert_failed(&g, ATTEMPT_FAILED, want);
	drop(&g);
	free(want);
}

static void
put_text(const char *dir, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);

	write_file(path, text, strlen(text));
	free(path);
}

static void
test_files(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file f, want;
	struct stat st;
	char *path;

	world_open(&w, NULL);
	put_text(w.dir, "in", "content");
	path = xasprintf("%s/in", w.dir);
	sha256_of("content", 7, &want.id);
	want.size = 7;
	intern(&w, path, false, false, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_true(fileset_as_file(g.result.fileset, &f));
	assert_true(digest_equal(&f.id, &want.id) && f.size == 7);
	drop(&g);
	/* Only asked to identify, it was not taken in. */
	char object[4096];
	object_path(w.root.objects, &want.id, object, sizeof object);
	assert_int_equal(access(object, F_OK), -1);
	for (unsigned i = 0; i < 2; i++) {
		intern(&w, path, false, true, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		assert_true(fileset_as_file(g.result.fileset, &f));
		assert_true(digest_equal(&f.id, &want.id));
		drop(&g);
	}
	assert_int_equal(stat(object, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_nlink, 1);	/* a copy: the user's file stays the user's */
	/* Another content at the same path is another file. */
	write_file(path, "CONTENT", 7);
	sha256_of("CONTENT", 7, &want.id);
	intern(&w, path, false, false, &g);
	assert_true(fileset_as_file(g.result.fileset, &f));
	assert_true(digest_equal(&f.id, &want.id));
	drop(&g);
	free(path);
	world_close(&w);
}

static void
nap_cb(void *arg)
{
	*(bool *)arg = true;
}

static void
nap(struct world *w, int64_t ns)
{
	struct timer t;
	bool over = false;

	timer_init(&t, w->loop, "nap", nap_cb, &over);
	timer_set(&t, ns);
	test_until(w->loop, &over);
}

/* What was read once is remembered by the databases, when the file is old enough to be sure of it. */
static void
test_memo(void **state unused_arg)
{
	struct digest known;
	struct world w;
	struct running g;
	struct memo *memo;
	struct file f;
	struct stat st;
	char *path;

	world_open(&w, NULL);
	put_text(w.dir, "in", "content");
	path = xasprintf("%s/in", w.dir);
	assert_int_equal(stat(path, &st), 0);
	nap(&w, MEMO_MARGIN + MILLIS(50));
	intern(&w, path, false, false, &g);
	assert_true(fileset_as_file(g.result.fileset, &f));
	drop(&g);
	memo = memo_open(w.root.db);
	while (!memo_lookup(memo, &st, &known))
		nap(&w, MILLIS(5));
	assert_true(digest_equal(&f.id, &known));
	memo_close(memo);
	/* And it is believed. */
	intern(&w, path, false, false, &g);
	assert_true(fileset_as_file(g.result.fileset, &f));
	assert_true(digest_equal(&f.id, &known));
	drop(&g);
	free(path);
	world_close(&w);
}

static void
test_directories(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *dir, *path;

	world_open(&w, NULL);
	dir = xasprintf("%s/d", w.dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	path = xasprintf("%s/sub", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put_text(dir, "a", "1");
	put_text(path, "b", "2");
	put_text(w.dir, "outside", "3");
	free(path);
	path = xasprintf("%s/link", dir);
	assert_int_equal(symlink("../outside", path), 0);
	intern(&w, dir, true, true, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_int_equal(fileset_nmap(g.result.fileset), 3);
	assert_non_null(fileset_find(g.result.fileset, "a"));
	assert_non_null(fileset_find(g.result.fileset, "sub/b"));
	char *text = object_text(&w, &fileset_find(g.result.fileset, "link")->file.id);
	assert_string_equal(text, "3");
	free(text);
	drop(&g);
	free(path);
	path = xasprintf("%s/sub/up", dir);
	assert_int_equal(symlink("..", path), 0);
	char *up = xasprintf("open %s/sub/up: it is a link to a directory that holds it", dir);
	intern(&w, dir, true, false, &g);
	assert_failed(&g, ATTEMPT_FAILED, up);
	drop(&g);
	free(up);
	unlink(path);
	free(path);
	path = xasprintf("%s/sub/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	char *want = xasprintf("open %s: it is a FIFO", path);
	intern(&w, dir, true, false, &g);
	assert_failed(&g, ATTEMPT_FAILED, want);
	drop(&g);
	free(want);
	unlink(path);
	free(path);
	/* More entries than one report holds. */
	for (unsigned i = 0; i < 3000; i++) {
		char name[40];

		snprintf(name, sizeof name, "sub/a-name-of-some-length-%u", i);
		put_text(dir, name, "x");
	}
	intern(&w, dir, true, false, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_int_equal(fileset_nmap(g.result.fileset), 3003);
	drop(&g);
	free(dir);
	world_close(&w);
}

static void
test_faults(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *path;

	world_open(&w, NULL);
	path = xasprintf("%s/missing", w.dir);
	intern(&w, path, false, false, &g);
	char *want = xasprintf("open %s: resource does not exist", path);
	assert_failed(&g, ATTEMPT_FAILED, want);
	assert_true(err_is(g.result.err, ERR_NOT_EXIST));
	drop(&g);
	free(want);
	intern_fails(&w, path, true, "open %s: resource does not exist");
	intern_fails(&w, w.dir, false, "open %s: it is a directory, not a file");
	intern_fails(&w, "/dev/null", false, "open %s: it is a device");
	write_file(path, "x", 1);
	intern_fails(&w, path, true, "open %s: it is a file, not a directory");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	intern_fails(&w, path, false, "open %s: it is a FIFO");
	free(path);
	world_close(&w);
}

/* A helper that dies with an intern in its hand: it is asked again, of the next. */
static void
test_helper_dies(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *path, *once;

	world_open(&w, NULL);
	put_text(w.dir, "in", "content");
	path = xasprintf("%s/in", w.dir);
	once = xasprintf("%s/once", w.dir);
	setenv("WEIR_CRASH", "keeper-interned", 1);
	setenv("WEIR_CRASH_ONCE", once, 1);
	intern(&w, path, false, false, &g);
	unsetenv("WEIR_CRASH");
	unsetenv("WEIR_CRASH_ONCE");
	assert_int_equal(access(once, F_OK), 0);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	free(path);
	free(once);
	world_close(&w);
}

/* Many at once: more than the sockets hold, and answers faster than they are read. */
static void
test_many(void **state unused_arg)
{
	struct running g[300];
	struct world w;
	char *path;

	world_open(&w, NULL);
	put_text(w.dir, "in", "content");
	path = xasprintf("%s/in", w.dir);
	for (size_t i = 0; i < nitems(g); i++)
		intern_start(&w, path, false, false, &g[i]);
	for (size_t i = 0; i < nitems(g); i++) {
		finish(&w, &g[i]);
		assert_failed(&g[i], ATTEMPT_OK, "");
	}
	for (size_t i = 0; i < nitems(g); i++)
		drop(&g[i]);
	free(path);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_memo),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_helper_dies),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
