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
#include <unistd.h>

#include <cmocka.h>

#include "base/frame.h"
#include "base/xalloc.h"
#include "run/id.h"

/* The run database over crafted journals: newest State, order by (epoch, seq), repeated seqs, ids. */

static char dir[] = "/tmp/weir-rundb-XXXXXX";
static struct root root;

static struct digest
digest_of(uint8_t first, uint8_t rest)
{
	struct digest d;

	memset(d.b, rest, sizeof d.b);
	d.b[0] = first;
	return d;
}

static void
write_segment(const char *controller, const char *name, const struct buf *b)
{
	char *path = xasprintf("%s/%s", root.journal, controller), *file;
	FILE *f;

	mkdir(path, 0700);
	file = xasprintf("%s/%s", path, name);
	f = fopen(file, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, b->len, f), b->len);
	fclose(f);
	free(file);
	free(path);
}

static void
add_snapshot(struct buf *out, const struct digest *run, uint64_t seq, uint64_t epoch, uint64_t n, enum run_phase phase)
{
	struct record_head h = { .kind = REC_SNAPSHOT, .seq = seq, .epoch = epoch, .n = n, .run = *run };
	struct run_state s;
	struct buf b = BUF_INIT;

	state_init(&s);
	s.ID = *run;
	s.Phase = phase;
	s.Created = 1000 + run->b[0];
	s.Program = xstrdup("p.rf");
	h.time = (int64_t)(2000 + seq);
	record_snapshot(&b, &h, &s);
	frame_add(out, b.p, b.len);
	buf_release(&b);
	state_release(&s);
}

static int
setup(void **arg)
{
	struct buf b = BUF_INIT;
	struct digest r1 = digest_of(0x11, 1), r2 = digest_of(0x12, 2);

	(void)arg;
	assert_non_null(mkdtemp(dir));
	assert_null(root_open(dir, NULL, true, &root));
	/* c1: r1 to Eval, then taken over by c2, which ends it; a seq sent twice; a torn tail. */
	add_snapshot(&b, &r1, 1, 1, 1, PHASE_INIT);
	add_snapshot(&b, &r1, 2, 1, 2, PHASE_EVAL);
	write_segment("c1", "000001.wal", &b);
	buf_clear(&b);
	add_snapshot(&b, &r1, 2, 1, 2, PHASE_EVAL);
	add_snapshot(&b, &r2, 3, 1, 1, PHASE_INIT);
	buf_add(&b, "\x40\0\0\0torn", 8);
	write_segment("c1", "000002.wal", &b);
	buf_clear(&b);
	add_snapshot(&b, &r1, 1, 2, 3, PHASE_DONE);
	write_segment("c2", "000001.wal", &b);
	buf_release(&b);
	return 0;
}

static int
teardown(void **arg)
{
	char *cmd = xasprintf("rm -rf %s", dir);

	(void)arg;
	root_release(&root);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	return 0;
}

static void
count_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	(void)pos;
	assert_int_equal(state, FRAME_TORN);
	assert_int_equal(skipped, 8);
	++*(int *)arg;
}

static void
test_newest_state_and_order(void **arg)
{
	struct rundb *db;
	struct run_entry *e;
	int damage = 0;
	size_t n;

	(void)arg;
	assert_null(rundb_open(&root, RUNDB_RECORDS, NULL, count_damage, &damage, &db));
	e = rundb_runs(db, &n);
	assert_int_equal(n, 2);
	assert_int_equal(damage, 1);
	assert_int_equal(e[0].state.ID.b[0], 0x11);
	assert_int_equal(e[0].state.Phase, PHASE_DONE);
	assert_int_equal(e[0].epoch, 2);
	assert_int_equal(e[0].n, 3);
	assert_string_equal(e[0].controller, "c2");
	assert_false(e[0].live);
	assert_int_equal(e[0].nrecords, 3);	/* the repeated one is dropped */
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(e[0].records[i].head.n, i + 1);
	assert_int_equal(e[1].state.Phase, PHASE_INIT);
	rundb_free(db);
}

/* Fields that a later version might write: a phase and an event that nobody knows yet. */
static void
add_strange(struct buf *out, const struct digest *run, uint64_t seq, const char *kind, const char *event,
    const char *state)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 7);
	mpk_key(&w, "kind"), mpk_str(&w, kind);
	mpk_key(&w, "seq"), mpk_u64(&w, seq);
	mpk_key(&w, "run"), mpk_digest(&w, run);
	mpk_key(&w, "n"), mpk_u64(&w, seq);
	mpk_key(&w, "event"), mpk_str(&w, event);
	mpk_key(&w, "state"), mpk_map(&w, 2);
	mpk_key(&w, "ID"), mpk_digest(&w, run);
	mpk_key(&w, "Phase"), mpk_str(&w, state);
	mpk_key(&w, "result"), mpk_map(&w, 1), mpk_key(&w, "state"), mpk_str(&w, "failed");
	frame_add(out, b.p, b.len);
	buf_release(&b);
}

/* Counts come from the events that are known, and the State from the newest snapshot that can be read. */
static void
test_counts(void **arg)
{
	struct digest run = digest_of(0x77, 7);
	struct buf b = BUF_INIT;
	struct run_entry *e;
	struct rundb *db;
	size_t n;

	(void)arg;
	add_snapshot(&b, &run, 1, 0, 1, PHASE_EVAL);
	add_strange(&b, &run, 2, "exec", "started", "Done");
	add_strange(&b, &run, 3, "exec", "ended", "Done");
	add_strange(&b, &run, 4, "exec", "hit", "Done");
	add_strange(&b, &run, 5, "exec", "dreamt", "Done");
	add_strange(&b, &run, 6, "snapshot", "ended", "Asleep");
	write_segment("c7", "000001.wal", &b);
	buf_release(&b);
	assert_null(rundb_open_one(&root, "c7", &run, &db));
	e = rundb_runs(db, &n);
	assert_int_equal(n, 1);
	assert_int_equal(e->nrecords, 6);
	assert_int_equal(e->state.Phase, PHASE_EVAL);
	assert_int_equal(e->execs_started, 1);
	assert_int_equal(e->execs_ended, 1);
	assert_int_equal(e->execs_failed, 1);
	assert_int_equal(e->hits, 1);
	assert_int_equal(e->n, 6);
	rundb_free(db);
	assert_null(rundb_open_one(&root, "nobody", &run, &db));
	(void)rundb_runs(db, &n);
	assert_int_equal(n, 0);
	rundb_free(db);
}

static void
expect_id(struct rundb *db, const char *text, uint8_t first)
{
	struct id id;

	assert_null(id_resolve(db, &root, text, &id));
	assert_int_equal(id.digest.b[0], first);
}

static void
expect_no_id(struct rundb *db, const char *text, const char *want)
{
	struct id id;
	struct err *err = id_resolve(db, &root, text, &id);
	char *s = err_str(err);

	assert_string_equal(s, want);
	free(s);
	err_free(err);
}

static void
test_ids(void **arg)
{
	struct rundb *db;

	(void)arg;
	assert_null(rundb_open(&root, RUNDB_STATES, NULL, NULL, NULL, &db));
	expect_id(db, "last", 0x12);
	expect_id(db, "run:11", 0x11);
	expect_id(db, "1202", 0x12);
	expect_no_id(db, "1", "1: ambiguous, could be run:1101010101010101, run:1202020202020202; give more digits");
	expect_no_id(db, "ff", "ff: no run, exec or object has this id; `weir ps -a` lists the runs");
	expect_no_id(db, "obj:11", "obj:11: no run, exec or object has this id; `weir ps -a` lists the runs");
	expect_no_id(db, "xyz", "xyz: not an id: write run:HEX, exec:HEX, obj:HEX, the first digits of one, or last");
	rundb_free(db);
}

static void
test_live_while_locked(void **arg)
{
	char *path = xasprintf("%s/c2", root.journal);
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	struct rundb *db;
	size_t n;

	(void)arg;
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_null(rundb_open(&root, RUNDB_STATES, NULL, NULL, NULL, &db));
	assert_true(rundb_runs(db, &n)[0].live);
	assert_false(rundb_runs(db, &n)[1].live);
	rundb_free(db);
	close(fd);
	free(path);
}

static void
add_start(struct buf *out, const struct digest *run, uint64_t seq, const struct digest *key)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 6);
	mpk_key(&w, "kind"), mpk_str(&w, "exec");
	mpk_key(&w, "seq"), mpk_u64(&w, seq);
	mpk_key(&w, "run"), mpk_digest(&w, run);
	mpk_key(&w, "n"), mpk_u64(&w, seq);
	mpk_key(&w, "event"), mpk_str(&w, "started");
	mpk_key(&w, "key"), mpk_digest(&w, key);
	frame_add(out, b.p, b.len);
	buf_release(&b);
}

/* Started again by a resume, or with more memory: one exec all the same. Another run's is another one. */
static void
test_execs_are_counted_once(void **arg)
{
	struct digest run = digest_of(0x78, 8), other = digest_of(0x79, 9), a = digest_of(1, 1), c = digest_of(2, 2);
	struct buf b = BUF_INIT;
	struct run_entry *e;
	struct rundb *db;
	size_t n;

	(void)arg;
	add_snapshot(&b, &run, 1, 0, 1, PHASE_EVAL);
	add_start(&b, &run, 2, &a);
	add_start(&b, &run, 3, &c);
	add_start(&b, &run, 4, &a);
	add_start(&b, &run, 5, &a);
	add_snapshot(&b, &other, 6, 0, 1, PHASE_EVAL);
	add_start(&b, &other, 7, &a);
	write_segment("c8", "000001.wal", &b);
	buf_release(&b);
	assert_null(rundb_open(&root, RUNDB_STATES, NULL, NULL, NULL, &db));
	rundb_count_execs(db);
	e = rundb_runs(db, &n);
	for (size_t i = 0; i < n; i++) {
		if (digest_equal(&e[i].state.ID, &run)) {
			assert_int_equal(e[i].execs, 2);
			assert_int_equal(e[i].execs_started, 4);
		} else {
			assert_int_equal(e[i].execs, digest_equal(&e[i].state.ID, &other));
		}
	}
	rundb_free(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newest_state_and_order),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_live_while_locked),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_execs_are_counted_once),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
