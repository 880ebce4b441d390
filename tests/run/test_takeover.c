/* SPDX-License-Identifier: Apache-2.0 */
#include "run/takeover.h"

#include "base/wal.h"
#include "run/follow.h"
#include "tests/run/fake_journal.h"

/*
 * Two processes and one run: who takes it over and who must wait, and how another's is followed. The
 * journals are files, the clock is virtual.
 */
struct party {			/* a controller that wants the run */
	struct controller c;
	struct op	 *op;
	bool		  done;
	struct err	 *err;
	struct takeover	  got;	/* without its entry */
	enum run_phase	  phase;
	uint64_t	  nrecords;
};
struct scene {
	char	       *tmp;
	struct clock   *clock;
	struct loop    *loop;
	struct root	root;
	struct journal *old;	/* who had it before; NULL once gone */
	struct digest	run;
	uint64_t	n;
	struct party	p[2];
	/* following */
	struct op      *op;
	struct buf	told;
	bool		done;
	struct err     *err;
	bool		over;
};

static void
scene_begin(struct scene *s, struct loop *loop)
{
	memset(s, 0, sizeof *s);
	s->tmp = temp_dir_new();
	s->clock = loop == NULL ? clock_virtual_new(SECONDS(1000)) : NULL;
	s->loop = loop == NULL ? loop_new(s->clock) : loop;
	assert_ok(root_open(s->tmp, NULL, true, &s->root));
	memset(s->run.b, 0xab, sizeof s->run.b);
}

static struct journal *
journal_of(struct scene *s, const char *name)
{
	char *dir = xasprintf("%s/%s", s->root.journal, name);
	struct journal *j = fake_journal_new(s->loop, dir);

	free(dir);
	return j;
}

static void
party_begin(struct scene *s, int i)
{
	struct controller *c = &s->p[i].c;

	c->loop = s->loop;
	c->root = s->root;	/* lent */
	snprintf(c->id, sizeof c->id, "c%d", i + 1);
	c->journal = journal_of(s, c->id);
}

static void
scene_end(struct scene *s)
{
	op_cancel(&s->op);
	for (int i = 0; i < 2; i++) {
		op_cancel(&s->p[i].op);
		journal_close(s->p[i].c.journal);
		err_free(s->p[i].err);
	}
	journal_close(s->old);
	err_free(s->err);
	buf_release(&s->told);
	root_release(&s->root);
	temp_dir_free(s->tmp);
	if (loop_nlive(s->loop) > 0) {
		loop_report_live(s->loop);
		fail_msg("the loop is not empty");
	}
	if (s->clock != NULL)
		loop_free(s->loop);
	clock_virtual_free(s->clock);
}

static void
add_snapshot(struct scene *s, struct journal *j, uint64_t epoch, enum run_phase phase, struct err *err)	/* takes err */
{
	struct record_head h = { .kind = REC_SNAPSHOT, .seq = journal_next_seq(j), .epoch = epoch, .run = s->run };
	struct run_state state;
	struct buf b = BUF_INIT;

	h.n = ++s->n;
	state_init(&state);
	state.ID = s->run;
	state.Phase = phase;
	state.Created = SECONDS(1000);
	state.Err = err;
	record_snapshot(&b, &h, &state);
	journal_append(j, b.p, b.len);
	buf_release(&b);
	state_release(&state);
}

/* A run as c0 left it: in this phase, and gone unless it is to stay. */
static void
old_run(struct scene *s, enum run_phase phase, struct err *err, bool stays)
{
	s->old = journal_of(s, "c0");
	add_snapshot(s, s->old, 0, PHASE_INIT, NULL);
	add_snapshot(s, s->old, 0, phase, err);
	test_turns(s->loop, 10);
	if (stays)
		return;
	journal_close(s->old);
	s->old = NULL;
}

static void
taken_cb(const struct takeover *t, struct err *err, void *arg)
{
	struct party *p = arg;

	assert_false(p->done);
	p->op = NULL;
	p->done = true;
	p->err = err;
	if (t == NULL)
		return;
	p->got = *t;
	p->got.entry = NULL;
	p->phase = t->entry->state.Phase;
	p->nrecords = t->entry->n;
}

static void
start(struct scene *s, int i)
{
	s->p[i].done = false;
	s->p[i].op = takeover_start(&s->p[i].c, &s->run, taken_cb, &s->p[i]);
}

static void
take(struct scene *s, int i)
{
	start(s, i);
	test_until(s->loop, &s->p[i].done);
}

static bool
folder_is_free(const struct scene *s)
{
	int fd = open(s->root.journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	assert_true(fd >= 0);
	rc = wal_lock(fd);
	close(fd);
	return rc == 0;
}

static void
test_taken_over(void **state unused_arg)
{
	struct scene s;
	struct run_entry *e;
	struct rundb *db;
	size_t n;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, false);
	party_begin(&s, 0);
	take(&s, 0);
	assert_ok(s.p[0].err);
	s.p[0].err = NULL;
	assert_int_equal(s.p[0].got.epoch, 1);
	assert_int_equal(s.p[0].got.n, 3);
	assert_int_equal(s.p[0].phase, PHASE_EVAL);
	assert_int_equal(s.p[0].nrecords, 2);
	assert_true(folder_is_free(&s));
	assert_ok(rundb_open(&s.root, RUNDB_RECORDS, &s.run, NULL, NULL, &db));	/* the epoch was durable */
	e = rundb_runs(db, &n);
	assert_int_equal(n, 1);
	assert_int_equal(e->epoch, 1);
	assert_int_equal(e->n, 3);
	assert_string_equal(e->controller, "c1");
	assert_true(e->live);
	assert_int_equal(e->state.Phase, PHASE_EVAL);
	assert_int_equal(e->records[2].head.kind, REC_EPOCH);
	rundb_free(db);
	scene_end(&s);
}

/* The loser waits for as long as the winner might only be draining, and is told who has it. */
static void
test_two_at_once(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, false);
	party_begin(&s, 0);
	party_begin(&s, 1);
	start(&s, 0);
	start(&s, 1);
	test_until(s.loop, &s.p[0].done);
	test_until(s.loop, &s.p[1].done);
	assert_ok(s.p[0].err);
	s.p[0].err = NULL;
	assert_int_equal(s.p[0].got.epoch, 1);
	assert_err(s.p[1].err, "resume controller c1 has the run: unavailable");
	s.p[1].err = NULL;
	assert_int_equal(loop_wall(s.loop) / SECONDS(1), 1002);
	/* Nor does the winner get it twice; and it need not wait to know. */
	take(&s, 0);
	assert_err(s.p[0].err, "resume controller c1 has the run: unavailable");
	s.p[0].err = NULL;
	assert_int_equal(loop_wall(s.loop) / SECONDS(1), 1002);
	/* When it is gone in its turn, the other may. */
	journal_close(s.p[0].c.journal);
	s.p[0].c.journal = NULL;
	take(&s, 1);
	assert_ok(s.p[1].err);
	s.p[1].err = NULL;
	assert_int_equal(s.p[1].got.epoch, 2);
	assert_int_equal(s.p[1].got.n, 4);
	scene_end(&s);
}

static void
test_drains(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, true);
	party_begin(&s, 0);
	start(&s, 0);
	while (loop_wall(s.loop) < SECONDS(1001))
		loop_turn(s.loop, true);
	assert_false(s.p[0].done);
	add_snapshot(&s, s.old, 0, PHASE_RETRY, NULL);	/* the last of it */
	journal_close(s.old);
	s.old = NULL;
	test_until(s.loop, &s.p[0].done);
	assert_ok(s.p[0].err);
	s.p[0].err = NULL;
	assert_int_equal(s.p[0].phase, PHASE_RETRY);
	assert_int_equal(s.p[0].got.n, 4);
	scene_end(&s);
}

static void
test_of_a_live_one(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, true);
	party_begin(&s, 0);
	take(&s, 0);
	assert_err(s.p[0].err, "resume controller c0 has the run: unavailable");
	s.p[0].err = NULL;
	assert_true(folder_is_free(&s));
	scene_end(&s);
}

/* A good end needs no new owner; a bad one does, for a Reset. */
static void
test_of_one_that_is_done(void **state unused_arg)
{
	struct scene s;

	for (int failed = 0; failed < 2; failed++) {
		scene_begin(&s, NULL);
		old_run(&s, PHASE_DONE, failed ? err_msg(ERR_EVAL, "no") : NULL, false);
		party_begin(&s, 0);
		take(&s, 0);
		assert_ok(s.p[0].err);
		s.p[0].err = NULL;
		assert_int_equal(s.p[0].phase, PHASE_DONE);
		assert_int_equal(s.p[0].got.epoch, failed);
		scene_end(&s);
	}
}

static void
test_of_none(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	party_begin(&s, 0);
	take(&s, 0);
	assert_err(s.p[0].err, "resume the run has no record: resource does not exist");
	s.p[0].err = NULL;
	scene_end(&s);
}

/* The record cannot be written: nobody has the run, and the next who tries may get it. */
static void
test_journal_breaks(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, false);
	party_begin(&s, 0);
	party_begin(&s, 1);
	fake_journal_fail(s.p[0].c.journal, ERR_TEMPORARY);
	take(&s, 0);
	assert_err(s.p[0].err, "journal-sync injected: temporary");
	s.p[0].err = NULL;
	assert_true(folder_is_free(&s));
	scene_end(&s);
}

/* Following. */

static void
follow_record(const struct run_record *rec, void *arg)
{
	struct scene *s = arg;

	buf_addf(&s->told, "%s %llu\n", record_kind_name(rec->head.kind), (unsigned long long)rec->head.n);
}

static void
followed_cb(const struct run_entry *e, struct err *err, void *arg)
{
	struct scene *s = arg;

	assert_false(s->done);
	s->op = NULL;
	s->done = true;
	s->err = err;
	s->over = e != NULL && e->state.Phase == PHASE_DONE;
}

static void
follow(struct scene *s)
{
	s->op = follow_start(s->loop, &s->root, &s->run, follow_record, followed_cb, s);
}

/* A virtual clock does not wait for what inotify has to say; the slow timer finds it all the same. */
static void
pass(struct scene *s, int64_t ns)
{
	int64_t end = loop_now(s->loop) + ns;

	while (loop_now(s->loop) < end)
		assert_true(loop_turn(s->loop, true));
}

static void
test_follow_to_the_end(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, true);
	follow(&s);
	pass(&s, SECONDS(1));
	assert_string_equal(s.told.p, "snapshot 1\nsnapshot 2\n");
	add_snapshot(&s, s.old, 0, PHASE_RETRY, NULL);
	pass(&s, SECONDS(1));
	assert_string_equal(s.told.p, "snapshot 1\nsnapshot 2\nsnapshot 3\n");
	assert_false(s.done);
	add_snapshot(&s, s.old, 0, PHASE_DONE, NULL);
	test_until(s.loop, &s.done);
	assert_ok(s.err);
	s.err = NULL;
	assert_true(s.over);
	assert_string_equal(s.told.p, "snapshot 1\nsnapshot 2\nsnapshot 3\nsnapshot 4\n");
	scene_end(&s);
}

static void
test_follow_one_that_dies(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, true);
	follow(&s);
	pass(&s, SECONDS(1));
	journal_close(s.old);
	s.old = NULL;
	test_until(s.loop, &s.done);
	assert_ok(s.err);
	s.err = NULL;
	assert_false(s.over);
	scene_end(&s);
}

/* Its controller is gone and another has it: the following goes on there. */
static void
test_follow_over_a_takeover(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	old_run(&s, PHASE_EVAL, NULL, true);
	party_begin(&s, 0);
	follow(&s);
	pass(&s, SECONDS(1));
	start(&s, 0);
	journal_close(s.old);
	s.old = NULL;
	test_until(s.loop, &s.p[0].done);
	assert_ok(s.p[0].err);
	s.p[0].err = NULL;
	s.n = s.p[0].got.n;
	pass(&s, SECONDS(1));
	assert_false(s.done);
	add_snapshot(&s, s.p[0].c.journal, 1, PHASE_DONE, NULL);
	test_until(s.loop, &s.done);
	assert_true(s.over);
	assert_string_equal(s.told.p, "snapshot 1\nsnapshot 2\nepoch 3\nsnapshot 4\n");
	scene_end(&s);
}

static void
test_follow_none(void **state unused_arg)
{
	struct scene s;

	scene_begin(&s, NULL);
	follow(&s);
	test_until(s.loop, &s.done);
	assert_err(s.err, "follow the run has no record: resource does not exist");
	s.err = NULL;
	scene_end(&s);
}

/* Torture. */

static void
setup_torture(struct torture *t)
{
	static struct scene s;

	scene_begin(&s, t->loop);
	old_run(&s, strcmp(t->spec->name, "follow") == 0 ? PHASE_DONE : PHASE_EVAL, NULL, true);
	journal_close(s.old);
	s.old = NULL;
	party_begin(&s, 0);
	fake_journal_torture(s.p[0].c.journal, t);
	t->world = &s;
}

static void
tortured_takeover_cb(const struct takeover *got, struct err *err, void *arg)
{
	struct torture *t = arg;
	struct scene *s = t->world;

	s->p[0].op = NULL;
	assert_int_equal(got == NULL, err != NULL);
	assert_true(err == NULL || err_kind(err) == t->fault_kind);
	assert_true(folder_is_free(s));
	torture_done(t, err);
}

static void
make_takeover(struct torture *t)
{
	struct scene *s = t->world;

	s->p[0].op = takeover_start(&s->p[0].c, &s->run, tortured_takeover_cb, t);
}

static void
cancel_takeover(struct torture *t)
{
	struct scene *s = t->world;

	op_cancel(&s->p[0].op);
	assert_true(folder_is_free(s));
}

static void
tortured_follow_cb(const struct run_entry *e, struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct scene *)t->world)->op = NULL;
	assert_int_equal(e == NULL, err != NULL);
	torture_done(t, err);
}

static void
make_follow(struct torture *t)
{
	struct scene *s = t->world;

	s->op = follow_start(s->loop, &s->root, &s->run, NULL, tortured_follow_cb, t);
}

static void
cancel_follow(struct torture *t)
{
	op_cancel(&((struct scene *)t->world)->op);
}

static void
end_torture(struct torture *t)
{
	scene_end(t->world);
}

static void
test_torture(void **state unused_arg)
{
	static const struct torture_spec takeover = { "takeover", .setup = setup_torture, .make = make_takeover,
		.cancel = cancel_takeover, .teardown = end_torture };
	static const struct torture_spec following = { "follow", .setup = setup_torture, .make = make_follow,
		.cancel = cancel_follow, .teardown = end_torture };

	torture(&takeover);
	torture(&following);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_drains),
		cmocka_unit_test(test_of_a_live_one),
		cmocka_unit_test(test_of_one_that_is_done),
		cmocka_unit_test(test_of_none),
		cmocka_unit_test(test_journal_breaks),
		cmocka_unit_test(test_follow_to_the_end),
		cmocka_unit_test(test_follow_one_that_dies),
		cmocka_unit_test(test_follow_over_a_takeover),
		cmocka_unit_test(test_follow_none),
		cmocka_unit_test(test_torture),
	};

	test_limit(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
