/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rebuild.h"

#include "base/frame.h"
#include "base/log.h"
#include "run/record.h"
#include "store/assoc_lmdb.h"
#include "store/db_mark.h"
#include "store/db_read.h"
#include "tests/loop/looptest.h"
#include "tests/store/storetest.h"

/* The assoc made again from crafted journals, with the real writer as a process. */

enum { RUN_BOTH, RUN_OFF, RUN_READ, NRUNS };	/* by what they may do with the cache */

static struct digest
digest_of(unsigned a, unsigned b)
{
	unsigned in[2] = { a, b };
	struct digest d;

	sha256_of(in, sizeof in, &d);
	return d;
}

struct maker {
	struct testroot t;
	struct graph   *g;
	struct buf	out;
	uint64_t	seq;
};

static struct record_head
head(struct maker *m, enum record_kind kind, unsigned run)
{
	m->seq++;
	return (struct record_head){ .kind = kind, .seq = m->seq, .n = m->seq, .run = digest_of(1000, run) };
}

static void
add(struct maker *m, struct buf *payload)
{
	frame_add(&m->out, payload->p, payload->len);
	buf_release(payload);
}

static void
add_run(struct maker *m, unsigned run)
{
	static const enum cache_mode modes[] = { CACHE_READ_WRITE, CACHE_OFF, CACHE_READ };
	struct record_head h = head(m, REC_SNAPSHOT, run);
	struct run_state s;
	struct buf b = BUF_INIT;

	state_init(&s);
	s.ID = h.run;
	s.Config.cache = modes[run];
	record_snapshot(&b, &h, &s);
	state_release(&s);
	add(m, &b);
}

static void
result_of(struct exec_result *r, enum attempt_state state, unsigned key)
{
	struct file f = { digest_of(2000, key), key };
	struct fileset *fs = fileset_file(&f);

	*r = (struct exec_result){ .state = state, .attempt = 1 };
	if (state == ATTEMPT_OK)
		r->fileset = fileset_list(&fs, 1);
	else
		r->err = err_msg(ERR_EXEC, "no");
	fileset_unref(fs);
}

/* key is its physical key's number, and its logical key's with another seed. */
static void
add_event(struct maker *m, unsigned run, struct flow *node, enum eval_event_kind kind, enum attempt_state state,
    unsigned key)
{
	struct record_head h = head(m, REC_EXEC, run);
	struct exec_config config = { .claim = { .try_ = 0 } };
	struct exec_result r;
	struct eval_event ev = { .kind = kind, .node = node, .result = &r, .config = kind == EV_HIT ? NULL : &config };
	struct buf b = BUF_INIT;

	node->has_pkey = node->op == FLOW_EXEC;
	node->has_lkey = true;
	node->pkey = digest_of(1, key);
	node->lkey = digest_of(2, key);
	result_of(&r, state, key);
	record_exec(&b, &h, &ev, false);
	exec_result_release(&r);
	add(m, &b);
}

static struct flow *
exec_node(struct maker *m)
{
	struct flow_exec x = { .image = "host", .cmd = "true" };

	return flow_exec(m->g, &x, NULL, 0, "t.Main", NULL);
}

static void
write_journal(struct maker *m, const char *controller)
{
	char *dir = xasprintf("%s/%s", m->t.root.journal, controller), *path = xasprintf("%s/000001.wal", dir);

	assert_int_equal(mkdir(dir, 0700), 0);
	write_file(path, buf_str(&m->out), m->out.len);
	buf_clear(&m->out);
	m->seq = 0;
	free(path);
	free(dir);
}

static void
maker_begin(struct maker *m)
{
	struct graph_config config = { "" };

	memset(m, 0, sizeof *m);
	testroot_new(&m->t);
	m->g = graph_new(&config);
}

static void
maker_end(struct maker *m)
{
	graph_free(m->g);
	buf_release(&m->out);
	testroot_free(&m->t);
}

static bool
has(const struct root *root, const struct digest *key, unsigned size)
{
	struct db_read *r = db_read_open(root->db);
	uint8_t k[1 + DIGEST_LEN] = { ASSOC_FILESET };
	struct exec_result result;
	struct buf out = BUF_INIT;
	bool found = false;
	struct mpk_doc doc;

	memcpy(k + 1, key->b, DIGEST_LEN);
	assert_ok(db_read_get(r, DB_ASSOC, k, sizeof k, &out, &found));
	db_read_close(r);
	if (found) {
		assert_ok(mpk_parse(&doc, out.p, out.len));
		assert_ok(exec_result_from_mpk(mpk_root(&doc), &result));
		assert_int_equal(result.state, ATTEMPT_OK);
		assert_int_equal(fileset_size(result.fileset), size);
		exec_result_release(&result);
		mpk_doc_release(&doc);
	}
	buf_release(&out);
	return found;
}

static void
assert_entries(const struct root *root, unsigned key, bool physical, bool logical)
{
	struct digest p = digest_of(1, key), l = digest_of(2, key);

	assert_int_equal(has(root, &p, key), physical);
	assert_int_equal(has(root, &l, key), logical);
}

static size_t
rebuild_now(const struct root *root)
{
	struct loop *loop = loop_new(NULL);
	struct assoc *a = assoc_lmdb_new(loop, root);
	size_t n = 0;

	assert_ok(rebuild(loop, root, "own", a, NULL, &n));
	assert_int_equal(assoc_lmdb_npending(a), 0);
	assoc_free(a);
	loop_free(loop);
	return n;
}

static void
test_what_is_put_back(void **state unused_arg)
{
	struct maker m;
	struct flow *x, *local, *remote;
	pid_t writer;

	maker_begin(&m);
	x = exec_node(&m);
	local = flow_intern(m.g, "/data/in", false, "in", NULL);
	remote = flow_intern(m.g, "s3://bucket/in", false, "in", NULL);
	for (unsigned run = 0; run < NRUNS; run++) {
		add_run(&m, run);
		add_event(&m, run, x, EV_ENDED, ATTEMPT_OK, 10 + run);
	}
	add_event(&m, RUN_BOTH, x, EV_ENDED, ATTEMPT_FAILED, 20);
	add_event(&m, RUN_BOTH, x, EV_LOST, ATTEMPT_LOST, 21);
	add_event(&m, RUN_BOTH, x, EV_HIT, ATTEMPT_OK, 22);
	add_event(&m, RUN_READ, x, EV_HIT, ATTEMPT_OK, 23);
	add_event(&m, RUN_BOTH, local, EV_INTERN, ATTEMPT_OK, 24);
	add_event(&m, RUN_BOTH, remote, EV_INTERN, ATTEMPT_OK, 25);
	write_journal(&m, "c1");
	/* Another controller goes on with a run, and with a damaged journal. */
	add_event(&m, RUN_BOTH, x, EV_ENDED, ATTEMPT_OK, 30);
	buf_addstr(&m.out, "rubbish that is no frame");
	write_journal(&m, "c2");
	assert_true(rebuild_wanted(&m.t.root, "own"));
	writer = writer_start(&m.t.root, NULL);
	assert_int_equal(rebuild_now(&m.t.root), 2 + 2 + 1 + 2);
	assert_false(rebuild_wanted(&m.t.root, "own"));
	assert_entries(&m.t.root, 10 + RUN_BOTH, true, true);
	assert_entries(&m.t.root, 10 + RUN_OFF, false, false);
	assert_entries(&m.t.root, 10 + RUN_READ, false, false);
	assert_entries(&m.t.root, 20, false, false);
	assert_entries(&m.t.root, 21, false, false);
	assert_entries(&m.t.root, 22, true, true);
	assert_entries(&m.t.root, 23, false, false);
	assert_entries(&m.t.root, 24, false, false);
	assert_entries(&m.t.root, 25, false, true);
	assert_entries(&m.t.root, 30, true, true);
	assert_int_equal(writer_stop(writer), 0);
	maker_end(&m);
}

/* More than may be undecided at once. */
static void
test_many(void **state unused_arg)
{
	struct maker m;
	struct flow *x;
	pid_t writer;

	maker_begin(&m);
	x = exec_node(&m);
	add_run(&m, RUN_BOTH);
	for (unsigned i = 0; i < 5000; i++)
		add_event(&m, RUN_BOTH, x, EV_ENDED, ATTEMPT_OK, i);
	write_journal(&m, "c1");
	writer = writer_start(&m.t.root, NULL);
	assert_int_equal(rebuild_now(&m.t.root), 10000);
	assert_entries(&m.t.root, 0, true, true);
	assert_entries(&m.t.root, 4999, true, true);
	assert_int_equal(writer_stop(writer), 0);
	maker_end(&m);
}

/* When it is wanted: a mark, a power cut, a database that is not there although runs are. */
static void
test_wanted(void **state unused_arg)
{
	struct maker m;
	char *path;
	pid_t writer;

	maker_begin(&m);
	assert_false(rebuild_wanted(&m.t.root, "own"));
	write_journal(&m, "own");
	assert_false(rebuild_wanted(&m.t.root, "own"));	/* the first run of a root has nothing to read */
	add_run(&m, RUN_OFF);
	write_journal(&m, "c1");
	assert_true(rebuild_wanted(&m.t.root, "own"));
	writer = writer_start(&m.t.root, NULL);
	assert_int_equal(rebuild_now(&m.t.root), 0);	/* nothing to put: the database is there all the same */
	assert_false(rebuild_wanted(&m.t.root, "own"));
	assert_int_equal(writer_stop(writer), 0);

	path = xasprintf("%s/%s", m.t.root.db, DB_DIRTY);
	write_file(path, "another boot", 12);
	assert_true(rebuild_wanted(&m.t.root, "own"));
	writer = writer_start(&m.t.root, NULL);
	assert_int_equal(rebuild_now(&m.t.root), 0);
	assert_false(db_mark_wants_rebuild(m.t.root.db));	/* which the writer had set meanwhile */
	assert_false(rebuild_wanted(&m.t.root, "own"));
	assert_ok(db_mark_drop(m.t.root.db, "a test"));
	assert_true(rebuild_wanted(&m.t.root, "own"));
	assert_int_equal(writer_stop(writer), 0);
	free(path);
	maker_end(&m);
}

/* An exec that had more memory than it asked for, and so succeeded: the next one of its name begins with that. */
static void
add_grown(struct maker *m, const char *ident, double asked, double had, enum attempt_state state)
{
	struct record_head h = head(m, REC_EXEC, RUN_OFF);
	struct flow_exec x = { .image = "host", .cmd = ident };
	struct exec_config config = { .claim = { .retry = 1 } };
	struct exec_result r;
	struct eval_event ev = { .kind = EV_ENDED, .result = &r, .config = &config, .asked = asked };
	struct buf b = BUF_INIT;

	ev.node = flow_exec(m->g, &x, NULL, 0, ident, NULL);
	result_of(&r, state, 1);
	r.owner = h.run;
	resources_set(&r.usage.admitted, "mem", had);
	record_exec(&b, &h, &ev, false);
	exec_result_release(&r);
	add(m, &b);
}

static void
test_sizes(void **state unused_arg)
{
	struct loop *loop = loop_new(NULL);
	struct exec_result r = { .state = ATTEMPT_OK };
	struct sizes *s;
	struct assoc *a;
	struct maker m;
	pid_t writer;
	size_t n;

	maker_begin(&m);
	add_run(&m, RUN_OFF);	/* which reads and writes no cache: what it learned counts all the same */
	add_grown(&m, "a", 100, 150, ATTEMPT_OK);
	add_grown(&m, "a", 100, 225, ATTEMPT_OK);
	add_grown(&m, "a", 100, 150, ATTEMPT_OK);
	add_grown(&m, "b", 100, 150, ATTEMPT_FAILED);
	add_grown(&m, "c", 100, 100, ATTEMPT_OK);
	write_journal(&m, "c1");
	writer = writer_start(&m.t.root, NULL);
	a = assoc_lmdb_new(loop, &m.t.root);
	s = sizes_new(a);
	assert_ok(rebuild(loop, &m.t.root, "own", a, s, &n));
	assert_int_equal(n, 0);
	sizes_free(s);
	/* Another process reads it. */
	s = sizes_new(a);
	assert_true(sizes_get(s, "a", 100) == 225);
	assert_true(sizes_get(s, "a", 101) == 0 && sizes_get(s, "b", 100) == 0 && sizes_get(s, "c", 100) == 0);
	/* It is only ever raised, and only by what has succeeded on its own account. */
	resources_set(&r.usage.admitted, "mem", 200);
	sizes_learn(s, "a", 100, &r);
	assert_true(sizes_get(s, "a", 100) == 225);
	resources_set(&r.usage.admitted, "mem", 300);
	r.attached = true;
	sizes_learn(s, "a", 100, &r);
	assert_true(sizes_get(s, "a", 100) == 225);
	r.attached = false;
	sizes_learn(s, "a", 100, &r);
	assert_true(sizes_get(s, "a", 100) == 300);
	sizes_learn(NULL, "a", 100, &r);
	assert_true(sizes_get(NULL, "a", 100) == 0);
	exec_result_release(&r);
	sizes_free(s);
	writer_stop(writer);
	assoc_free(a);
	loop_free(loop);
	maker_end(&m);
}

/* No writer: the mark stays for the next time. The patience with it is of a virtual clock. */
static void
test_no_writer(void **state unused_arg)
{
	struct clock *clock = clock_virtual_new(SECONDS(1000));
	struct loop *loop = loop_new(clock);
	struct assoc *a;
	struct maker m;
	char *text;
	size_t n;

	maker_begin(&m);
	add_run(&m, RUN_BOTH);
	add_event(&m, RUN_BOTH, exec_node(&m), EV_ENDED, ATTEMPT_OK, 1);
	write_journal(&m, "c1");
	assert_ok(db_mark_drop(m.t.root.db, "a test"));
	a = assoc_lmdb_new(loop, &m.t.root);
	text = xasprintf("assoc %s: its writer (%s/db) does not answer", m.t.root.db, m.t.root.keeper);
	assert_err(rebuild(loop, &m.t.root, "own", a, NULL, &n), text);
	assert_true(db_mark_wants_rebuild(m.t.root.db));
	free(text);
	assoc_free(a);
	maker_end(&m);
	loop_free(loop);
	clock_virtual_free(clock);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_put_back),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_writer),
	};
	int status;

	if (writer_child_main(argc, argv, &status))
		return status;
	log_init("test_rebuild", LOG_OFF);
	test_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
