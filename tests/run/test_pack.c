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

#include "base/frame.h"
#include "base/xalloc.h"
#include "run/compact.h"
#include "run/id.h"

/*
 * Packs over crafted journals: whatever was compacted, and whatever has become of the index, the run database says
 * what it said of the plain journals.
 */
static char dir[64];
static struct root root;
static uint64_t dice;

static uint64_t
roll(uint64_t below)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (dice >> 33) % below;
}

static struct digest
digest_of(uint64_t kind, uint64_t i)
{
	uint64_t in[2] = { kind, i };
	struct digest d;

	sha256_of(in, sizeof in, &d);
	return d;
}

static void
begin(uint64_t seed)
{
	dice = seed;
	snprintf(dir, sizeof dir, "/tmp/weir-pack-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_null(root_open(dir, NULL, true, &root));
}

static void
end(void)
{
	char *cmd = xasprintf("rm -rf %s", dir);

	root_release(&root);
	assert_int_equal(system(cmd), 0);
	free(cmd);
}

/* Journals. */

struct maker {
	struct buf out;
	uint64_t   seq, last;	/* last: where the newest record begins in out */
};
struct run {
	uint64_t number, epoch, n;
};

static void
add(struct maker *m, struct buf *payload)
{
	m->last = m->out.len;
	frame_add(&m->out, payload->p, payload->len);
	buf_release(payload);
}

static struct record_head
head_of(struct maker *m, struct run *r, enum record_kind kind)
{
	return (struct record_head){ .kind = kind, .seq = ++m->seq, .n = ++r->n, .epoch = r->epoch,
	    .run = digest_of(1, r->number), .time = (int64_t)(5000 + 10 * r->n) };
}

static void
add_snapshot(struct maker *m, struct run *r, enum run_phase phase)
{
	struct record_head h = head_of(m, r, REC_SNAPSHOT);
	struct buf b = BUF_INIT;
	struct run_state s;

	state_init(&s);
	s.ID = h.run;
	s.Phase = phase;
	s.Created = 1000 + (int64_t)r->number;
	s.Program = xstrdup("p.rf");
	record_snapshot(&b, &h, &s);
	state_release(&s);
	add(m, &b);
}

static void
put(struct mpk_w *w, const char *key, const char *text)
{
	mpk_key(w, key);
	mpk_str(w, text);
}

static void
put_u64(struct mpk_w *w, const char *key, uint64_t v)
{
	mpk_key(w, key);
	mpk_u64(w, v);
}

static void
put_digest(struct mpk_w *w, const char *key, const struct digest *d)
{
	mpk_key(w, key);
	mpk_digest(w, d);
}

static void
add_exec(struct maker *m, struct run *r, const char *event, uint64_t key, const char *state)
{
	static const char *const idents[] = { "a", "align.Bam", "align", "z", "" };
	struct record_head h = head_of(m, r, REC_EXEC);
	struct digest pkey = digest_of(2, key);
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 10);
	put(&w, "kind", "exec");
	put(&w, "event", event);
	put_u64(&w, "seq", h.seq);
	mpk_key(&w, "time");
	mpk_time(&w, h.time);
	put_digest(&w, "run", &h.run);
	put_u64(&w, "epoch", h.epoch);
	put_u64(&w, "n", h.n);
	put_digest(&w, "key", key % 7 == 6 ? NULL : &pkey);
	put(&w, "ident", idents[key % 5]);
	mpk_key(&w, "result");
	mpk_map(&w, 1);
	put(&w, "state", state);
	add(m, &b);
}

static void
add_some(struct maker *m, struct run *r)
{
	static const char *const events[] = { "started", "ended", "hit", "lost", "unheard" };
	struct record_head h;
	struct buf b = BUF_INIT;

	switch (roll(8)) {
	case 0:
		add_snapshot(m, r, (enum run_phase)roll(4));
		break;
	case 1:
		h = head_of(m, r, REC_NOTE);
		record_note(&b, &h, "interrupted");
		add(m, &b);
		break;
	default:
		add_exec(m, r, events[roll(5)], roll(60), roll(4) == 0 ? "failed" : "ok");
	}
}

static void
write_segment(const char *controller, unsigned number, const struct buf *b)
{
	char *folder = xasprintf("%s/%s", root.journal, controller), *path = xasprintf("%s/%06u.wal", folder, number);
	FILE *f;

	(void)mkdir(folder, 0700);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, b->len, f), b->len);
	fclose(f);
	free(folder);
	free(path);
}

static void
add_header(struct maker *m, const char *controller)
{
	struct buf b = BUF_INIT;

	record_header(&b, m->seq + 1, 1, controller, "host.example", "boot");
	add(m, &b);
}

#define NRUNS 12
static struct run runs[NRUNS];
static unsigned ncontrollers;

static void
name_controller(unsigned i, char *name)
{
	sprintf(name, "%012x%08x", i / 2, i);
}

/* One controller with a few runs, new ones and such that it has taken over; segments that repeat, and torn ends. */
static void
make_controller(unsigned nrecords)
{
	struct run *mine[3] = { &runs[roll(NRUNS)], &runs[roll(NRUNS)], &runs[roll(NRUNS)] };
	struct maker m = { .seq = 0 };
	unsigned segment = 1;
	char name[32];

	name_controller(ncontrollers++, name);
	add_header(&m, name);
	for (int i = 0; i < 3; i++)
		mine[i]->epoch++;
	for (unsigned i = 0; i < nrecords; i++) {
		struct buf again = BUF_INIT;

		add_some(&m, mine[roll(3)]);
		if (roll(20) != 0)
			continue;
		/* The journal process died: what was not acknowledged comes again. */
		buf_add(&again, m.out.p + m.last, m.out.len - m.last);
		if (roll(2) == 0)
			buf_add(&m.out, "\x40\0\0\0torn", 8);
		write_segment(name, segment++, &m.out);
		buf_clear(&m.out);
		add_header(&m, name);
		buf_add(&m.out, again.p, again.len);
		buf_release(&again);
	}
	write_segment(name, segment, &m.out);
	buf_release(&m.out);
}

static void
make_runs(void)
{
	ncontrollers = 0;
	for (unsigned i = 0; i < NRUNS; i++)
		runs[i] = (struct run){ .number = i };
}

/* All that a run database says, as text. */

static void
say_exec(const struct digest *pkey, const struct digest *run, void *arg)
{
	char key[9], of[9];

	digest_short(pkey, key);
	digest_short(run, of);
	buf_addf(arg, "exec %s of %s\n", key, of);
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
	for (size_t i = 0; i < e->nrecords; i++) {
		struct digest d;

		sha256_of(e->records[i].payload, e->records[i].len, &d);
		digest_short(&d, id);
		buf_addf(b, "  %s %llu %llu %s\n", e->records[i].controller, (unsigned long long)e->records[i].head.seq,
		    (unsigned long long)e->records[i].head.n, id);
	}
}

static void
say_db(struct buf *b, enum rundb_what what, const struct digest *only)
{
	struct digest from = { { 0 } }, to;
	struct rundb *db;
	struct run_entry *e;
	size_t n;

	memset(to.b, 0xff, sizeof to.b);
	assert_null(rundb_open(&root, what, only, NULL, NULL, &db));
	rundb_count_execs(db);
	e = rundb_runs(db, &n);
	for (size_t i = 0; i < n; i++)
		say_entry(b, &e[i]);
	rundb_each_exec(db, &from, &to, say_exec, b);
	from = digest_of(2, 7);		/* and a part */
	rundb_each_exec(db, &from, &from, say_exec, b);
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

static struct compact_result
compact_all(void)
{
	struct compact_result r;

	assert_null(compact(&root, true, &r));
	assert_false(r.busy);
	return r;
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

static char *
only_file(const char *suffix)
{
	char *cmd = xasprintf("ls %s/*%s", root.journal, suffix), line[256];
	FILE *f = popen(cmd, "r");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	pclose(f);
	free(cmd);
	line[strcspn(line, "\n")] = '\0';
	return xstrdup(line);
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

static void
note_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	(void)pos;
	(void)skipped;
	assert_int_equal(state, FRAME_BAD);
	++*(int *)arg;
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
	assert_null(compact(&root, true, &r));
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
		if (compact(&root, true, &r) != NULL)
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
		cmocka_unit_test(test_few_packs), cmocka_unit_test(test_readers_beside), cmocka_unit_test(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
