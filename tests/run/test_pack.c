/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "tests/run/crafted.h"

/*
 * Packs over crafted journals: whatever was compacted, and whatever has become of the index, the run database says
 * what it said of the plain journals.
 */
/* All that a run database says, as text. */

struct saying {
	struct buf   *b;
	struct rundb *db;	/* with the records of each; or NULL */
};

static void
say_exec(const struct digest *pkey, const struct digest *run, void *arg)
{
	struct saying *s = arg;
	struct rundb *of_exec;
	char key[9], of[9];

	digest_short(pkey, key);
	digest_short(run, of);
	buf_addf(s->b, "exec %s of %s\n", key, of);
	if (s->db == NULL)
		return;
	assert_null(rundb_open_exec(s->db, run, pkey, no_damage, NULL, &of_exec));
	say_records(s->b, rundb_run(of_exec, run));
	rundb_free(of_exec);
}

static void
say_entry(struct buf *b, const struct run_entry *e)
{
	char id[9];

	digest_short(&e->state.ID, id);
	buf_addf(b, "run %s %s created %lld epoch %llu n %llu %s%s%s last %lld: %llu %llu %llu %llu, %llu\n", id,
	    phase_name(e->state.Phase), (long long)e->state.Created, (unsigned long long)e->epoch,
	    (unsigned long long)e->n, e->controller, e->live ? " live" : "", e->interrupted ? " interrupted" : "",
	    (long long)e->last_time, (unsigned long long)e->execs_started, (unsigned long long)e->execs_ended,
	    (unsigned long long)e->execs_failed, (unsigned long long)e->hits, (unsigned long long)e->execs);
	say_records(b, e);
}

static void
say_db(struct buf *b, enum rundb_what what, const struct digest *only)
{
	struct digest from = { { 0 } }, to;
	struct saying s = { .b = b };
	struct rundb *db;
	struct run_entry *e;
	size_t n;

	memset(to.b, 0xff, sizeof to.b);
	assert_null(rundb_open(&root, what, only, NULL, NULL, &db));
	s.db = what == RUNDB_STATES ? db : NULL;
	rundb_count_execs(db);
	e = rundb_runs(db, &n);
	for (size_t i = 0; i < n; i++)
		say_entry(b, &e[i]);
	rundb_each_exec(db, &from, &to, say_exec, &s);
	from = digest_of(2, 7);		/* and a part */
	rundb_each_exec(db, &from, &from, say_exec, &s);
	rundb_free(db);
}

static char *
say_all(void)
{
	struct buf b = BUF_INIT;

	say_db(&b, RUNDB_STATES, NULL);
	say_db(&b, RUNDB_RECORDS, NULL);
	for (uint64_t i = 0; i < NRUNS; i++) {
		struct digest run = digest_of(1, i);

		say_db(&b, RUNDB_RECORDS, &run);
	}
	return buf_take(&b, NULL);
}

static void
expect_said(const char *wanted)
{
	char *got = say_all();

	assert_string_equal(got, wanted);
	free(got);
}

/* Names in the journals' folder that end so. */
static unsigned
count_names(const char *pattern)
{
	char *cmd = xasprintf("cd %s && ls -A | grep -c '%s'", root.journal, pattern);
	FILE *f = popen(cmd, "r");
	unsigned n = 99;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	free(cmd);
	return n;
}

static void
test_same_as_plain(void **arg)
{
	(void)arg;
	for (uint64_t seed = 1; seed <= 15; seed++) {
		begin(seed);
		make_runs();
		for (int round = 0; round < 4; round++) {
			char *plain;

			for (uint64_t i = roll(6); i > 0; i--)
				make_controller(1 + (unsigned)roll(80));
			plain = say_all();
			compact_all();
			expect_said(plain);
			compact_all();
			expect_said(plain);
			free(plain);
			assert_int_equal(count_names("^0000"), 0);
			assert_int_equal(count_names("pack$"), count_names("idx$"));
		}
		end();
	}
}

/* Large enough for many blocks, and for records of one key in several. */
static void
test_many_blocks(void **arg)
{
	struct compact_result r;
	char *plain;

	(void)arg;
	begin(77);
	make_runs();
	for (int i = 0; i < 3; i++)
		make_controller(5000);
	plain = say_all();
	r = compact_all();
	assert_int_equal(r.journals, 3);
	assert_int_equal(r.packs, 0);
	assert_true(r.after * 3 < r.before);
	expect_said(plain);
	free(plain);
	end();
}

static void
overwrite(const char *path, const struct buf *b)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, b->len, f), b->len);
	fclose(f);
}

static void
expect_remade(const char *path, const struct buf *wanted, const char *plain)
{
	struct buf got = BUF_INIT;

	expect_said(plain);
	assert_null(buf_read_file(&got, path, 1 << 26));
	assert_int_equal(got.len, wanted->len);
	assert_memory_equal(got.p, wanted->p, got.len);
	buf_release(&got);
}

/* Missing, cut at any length, with any byte changed, of another pack or version: made anew, to the byte. */
static void
test_index_is_remade(void **arg)
{
	struct buf index = BUF_INIT, bad = BUF_INIT;
	char *plain, *path;

	(void)arg;
	begin(5);
	make_runs();
	for (int i = 0; i < 4; i++)
		make_controller(60);
	compact_all();
	plain = say_all();
	path = only_file(".idx");
	assert_null(buf_read_file(&index, path, 1 << 26));
	assert_int_equal(unlink(path), 0);
	expect_remade(path, &index, plain);
	for (int i = 0; i < 40; i++) {
		buf_clear(&bad);
		buf_add(&bad, index.p, i < 20 ? roll(index.len) : index.len);
		if (i >= 20)
			bad.p[roll(bad.len)] ^= (char)(1 + roll(255));
		overwrite(path, &bad);
		expect_remade(path, &index, plain);
	}
	for (int i = 0; i < 3; i++) {	/* grown; random; of another version, with a sum that is right */
		buf_clear(&bad);
		buf_add(&bad, index.p, index.len);
		if (i == 0)
			buf_addstr(&bad, "more");
		for (size_t k = 0; i == 1 && k < bad.len; k++)
			bad.p[k] = (char)roll(256);
		if (i == 2)
			bad.p[12] = 9;
		overwrite(path, &bad);
		expect_remade(path, &index, plain);
	}
	free(path);
	free(plain);
	buf_release(&index);
	buf_release(&bad);
	end();
}

/* The index of another pack of the same root is not taken for this one's. */
static void
test_foreign_index(void **arg)
{
	char *plain, *path, *old;
	struct buf foreign = BUF_INIT, index = BUF_INIT;

	(void)arg;
	begin(6);
	make_runs();
	make_controller(50);
	compact_all();
	old = only_file(".idx");
	assert_null(buf_read_file(&foreign, old, 1 << 26));
	make_controller(50);
	compact_all();
	plain = say_all();
	path = only_file(".idx");
	assert_string_not_equal(path, old);
	assert_null(buf_read_file(&index, path, 1 << 26));
	overwrite(path, &foreign);
	expect_remade(path, &index, plain);
	free(old);
	free(path);
	free(plain);
	buf_release(&foreign);
	buf_release(&index);
	end();
}

/* A damaged journal stays as it is, is marked, and is still read as far as it goes. */
static void
test_damaged_journal_stays(void **arg)
{
	struct buf b = BUF_INIT;
	struct rundb *db;
	char *plain, *path;
	int damage = 0;

	(void)arg;
	begin(8);
	make_runs();
	make_controller(40);
	make_controller(40);
	path = xasprintf("%s/%012x%08x/000001.wal", root.journal, 0, 1);
	assert_null(buf_read_file(&b, path, 1 << 26));
	b.p[b.len / 2] ^= 1;
	overwrite(path, &b);
	plain = say_all();
	assert_int_equal(compact_all().journals, 1);
	assert_int_equal(compact_all().journals, 0);
	expect_said(plain);
	assert_null(rundb_open(&root, RUNDB_STATES, NULL, note_damage, &damage, &db));
	rundb_free(db);
	assert_int_equal(damage, 1);
	free(plain);
	free(path);
	buf_release(&b);
	end();
}

/* A damaged block costs its own records, and they are reported; the pack is not taken into another. */
static void
test_damaged_block(void **arg)
{
	struct buf b = BUF_INIT;
	struct digest run;
	struct rundb *db;
	char *path;
	int damage = 0;
	size_t n;

	(void)arg;
	begin(9);
	make_runs();
	for (int i = 0; i < 3; i++)
		make_controller(40);
	compact_all();
	path = only_file(".pack");
	assert_null(buf_read_file(&b, path, 1 << 26));
	b.p[20] ^= 1;
	overwrite(path, &b);
	assert_null(rundb_open(&root, RUNDB_RECORDS, NULL, note_damage, &damage, &db));
	assert_true(rundb_runs(db, &n) != NULL);
	assert_true(n > 0);
	rundb_free(db);
	make_controller(10);
	assert_int_equal(compact_all().packs, 0);
	assert_int_equal(access(path, F_OK), 0);
	run = digest_of(1, 0);
	assert_null(rundb_open(&root, RUNDB_RECORDS, &run, NULL, NULL, &db));
	rundb_free(db);
	free(path);
	buf_release(&b);
	end();
}

/* A journal whose lock is held, or that has no segment yet, is nobody's to touch. */
static void
test_live_stays(void **arg)
{
	char *path;
	int fd;

	(void)arg;
	begin(10);
	make_runs();
	make_controller(10);
	make_controller(10);
	path = xasprintf("%s/%012x%08x", root.journal, 0, 1);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	free(path);
	path = xasprintf("%s/%012x%08x", root.journal, 7, 7);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(compact_all().journals, 1);
	assert_int_equal(count_names("^0000"), 2);
	close(fd);
	assert_int_equal(compact_all().journals, 1);
	assert_int_equal(count_names("^0000"), 1);
	free(path);
	end();
}

/* Another that compacts is not waited for. */
static void
test_busy(void **arg)
{
	struct compact_result r;
	char *path;
	int fd;

	(void)arg;
	begin(11);
	make_runs();
	make_controller(10);
	path = xasprintf("%s/.compact", root.journal);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_null(compact(&root, &compact_any, &r));
	assert_true(r.busy);
	assert_int_equal(count_names("^0000"), 1);
	close(fd);
	free(path);
	end();
}

/* Leftovers of whoever died: superseded packs, folders of packed journals, hidden ones, indexes of nothing. */
static void
test_leftovers(void **arg)
{
	char *plain, *cmd;

	(void)arg;
	begin(12);
	make_runs();
	make_controller(30);
	make_controller(30);
	plain = say_all();
	cmd = xasprintf("cd %s && cp -r . ../saved && cd ../saved && mv %012x%08x .gone-x && touch lonely.idx .a.pack.tmp",
	    root.journal, 0, 1);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	compact_all();
	cmd = xasprintf("cd %s && cp -r ../saved/. . && for i in *.pack; do cp $i 0$i; done", root.journal);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	expect_said(plain);
	compact_all();
	expect_said(plain);
	assert_int_equal(count_names("^0000"), 0);
	assert_int_equal(count_names("gone"), 0);
	assert_int_equal(count_names("tmp$"), 0);
	assert_int_equal(count_names("pack$"), 1);
	assert_int_equal(count_names("idx$"), 1);
	free(plain);
	end();
}

static void
in_journals(const char *fmt, ...)
{
	va_list ap;
	char *cmd, *all;

	va_start(ap, fmt);
	cmd = xvasprintf(fmt, ap);
	va_end(ap);
	all = xasprintf("cd %s && %s", root.journal, cmd);
	assert_int_equal(system(all), 0);
	free(all);
	free(cmd);
}

/*
 * Two hosts have compacted one root, and each of two packs has the first journal, and one that no other has. Neither is
 * superseded, whichever it is that the first one is read from.
 */
static void
test_packs_that_overlap(void **arg)
{
	char *plain;

	(void)arg;
	for (int turn = 0; turn < 2; turn++) {
		begin(14);
		make_runs();
		for (int i = 0; i < 3; i++)
			make_controller(30);
		plain = say_all();
		in_journals("cp -r . ../saved && rm -r %012x%08x", turn ? 0 : 1, turn ? 1 : 2);
		compact_all();
		in_journals("mkdir ../aside && mv *.pack *.idx ../aside && cp -r ../saved/. . && rm -r %012x%08x", turn ? 1 : 0,
		    turn ? 2 : 1);
		compact_all();
		in_journals("mv ../aside/* .");
		assert_int_equal(count_names("pack$"), 2);
		expect_said(plain);
		compact_all();
		assert_int_equal(count_names("pack$"), 2);
		expect_said(plain);
		free(plain);
		end();
	}
}

/* A record is written again only now and then: the number of packs stays about logarithmic. */
static void
test_few_packs(void **arg)
{
	char *plain;

	(void)arg;
	begin(13);
	make_runs();
	for (int i = 0; i < 60; i++) {
		make_controller(20);
		compact_all();
	}
	assert_true(count_names("pack$") <= 7);
	plain = say_all();
	compact_all();
	expect_said(plain);
	free(plain);
	end();
}

/* Readers while journals come and go into packs: each sees every record of what was there before it began, once. */
static void no_return
compact_beside(void)
{
	struct compact_result r;

	for (int i = 0; i < 40; i++) {
		make_controller(30);
		if (compact(&root, &compact_any, &r) != NULL)
			_exit(1);
	}
	_exit(0);
}

static void
expect_whole(size_t *most)
{
	struct rundb *db;
	struct run_entry *e;
	size_t n, all = 0;

	assert_null(rundb_open(&root, RUNDB_RECORDS, NULL, NULL, NULL, &db));
	e = rundb_runs(db, &n);
	for (size_t i = 0; i < n; i++) {
		all += e[i].nrecords;
		assert_int_equal(e[i].nrecords, e[i].n);
		for (size_t k = 0; k < e[i].nrecords; k++)
			assert_int_equal(e[i].records[k].head.n, k + 1);
	}
	assert_true(all >= *most);
	*most = all;
	rundb_free(db);
}

static void
test_readers_beside(void **arg)
{
	size_t most = 0;
	int status = 0;
	pid_t pid;

	(void)arg;
	begin(14);
	make_runs();
	pid = fork();
	if (pid == 0)
		compact_beside();
	while (waitpid(pid, &status, WNOHANG) == 0)
		expect_whole(&most);
	assert_int_equal(status, 0);
	expect_whole(&most);
	assert_int_equal(most, 40 * 30);
	end();
}

/* Who may not write there reads all the same, and leaves nothing. */
static void
test_read_only(void **arg)
{
	char *plain, *path;

	(void)arg;
	if (geteuid() == 0)
		skip();
	begin(15);
	make_runs();
	make_controller(30);
	plain = say_all();
	compact_all();
	path = only_file(".idx");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(chmod(root.journal, 0500), 0);
	expect_said(plain);
	assert_int_equal(chmod(root.journal, 0700), 0);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
	free(plain);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_plain), cmocka_unit_test(test_many_blocks),
		cmocka_unit_test(test_index_is_remade), cmocka_unit_test(test_foreign_index),
		cmocka_unit_test(test_damaged_journal_stays), cmocka_unit_test(test_damaged_block),
		cmocka_unit_test(test_live_stays), cmocka_unit_test(test_busy), cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_packs_that_overlap),
		cmocka_unit_test(test_few_packs), cmocka_unit_test(test_readers_beside), cmocka_unit_test(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
