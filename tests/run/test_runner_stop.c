/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/run/world.h"

#include "base/log.h"
#include "run/runner_priv.h"

/*
 * A runner that is held up: by a journal that is slow or broken, by an interrupt at any moment, by a
 * cancel at any turn. Nothing is done before its record is durable, and nothing is left behind.
 */

static struct program *one, *two;

/* Lets exactly one sync happen, then holds the journal again. */
static void
one_sync(struct world *w)
{
	uint64_t before = journal_durable_seq(w->c.journal);

	fake_journal_hold(w->c.journal, false);
	while (journal_durable_seq(w->c.journal) == before)
		assert_true(loop_turn(w->loop, true));
	fake_journal_hold(w->c.journal, true);
	for (int i = 0; i < 60; i++)	/* also moves the clock: execs end */
		loop_turn(w->loop, true);
}

static void
test_write_ahead(void **state unused_arg)
{
	struct world w;
	unsigned keepalives;

	world_begin(&w, NULL, two, NULL);
	fake_journal_hold(w.c.journal, true);
	world_new_run(&w);
	world_run(&w);
	world_turns(&w, 50);
	assert_records(&w, "Init: created\n");
	assert_told(&w, "");
	assert_int_equal(fake_calls(&w.fake, "cluster-allocate"), 0);

	one_sync(&w);	/* Init */
	assert_told(&w, "Init\n");
	assert_int_equal(world_count(&w, "Eval: allocated"), 1);
	assert_int_equal(fake_calls(&w.fake, "exec-put"), 0);
	assert_int_equal(fake_calls(&w.fake, "assoc-get"), 0);

	one_sync(&w);	/* Eval */
	assert_told(&w, "Init\nEval\n");
	assert_int_equal(world_count(&w, "ended t.a ok"), 1);
	assert_int_equal(fake_calls(&w.fake, "exec-put"), 1);
	assert_int_equal(fake_calls(&w.fake, "assoc-put"), 0);

	one_sync(&w);	/* the end of a */
	assert_int_equal(world_count(&w, "ended t.Main ok"), 1);
	assert_int_equal(fake_calls(&w.fake, "exec-put"), 2);
	assert_int_equal(world_count(&w, "Done"), 0);

	one_sync(&w);	/* the end of Main */
	keepalives = fake_calls(&w.fake, "alloc-keepalive");
	assert_int_equal(world_count(&w, "Done: evaluated"), 1);
	assert_told(&w, "Init\nEval\n");

	one_sync(&w);	/* Done: only now does the alloc go back */
	assert_told(&w, "Init\nEval\nDone\n");
	assert_int_equal(fake_calls(&w.fake, "alloc-keepalive"), keepalives + 1);
	assert_true(w.done);
	assert_ok(w.err);
	w.err = NULL;
	world_end(&w);
}

/* The journal breaks: the run stops where it was; nobody is told of a transition that is not on disk. */
static void
test_journal_breaks(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	fake_journal_fail(w.c.journal, ERR_NOT_ALLOWED);
	world_new_run(&w);
	world_run(&w);
	world_wait(&w);
	assert_err(w.err, "journal-sync injected: access denied");
	w.err = NULL;
	assert_told(&w, "");
	assert_int_equal(fake_calls(&w.fake, "cluster-allocate"), 0);
	world_run(&w);		/* it can be written again: what was appended is not appended twice */
	world_wait(&w);
	assert_ok(w.err);
	w.err = NULL;
	assert_int_equal(world_count(&w, "Init: created"), 1);
	assert_told(&w, "Init\nEval\nDone\n");
	world_end(&w);
}

/* Interrupts. */

static void
assert_interrupted(struct world *w)
{
	world_wait(w);
	assert_err(w->err, "run SIGINT: canceled");
	w->err = NULL;
	assert_int_equal(world_count(w, "note: SIGINT"), 1);
	assert_int_equal(world_count(w, "Done"), 0);
}

static void
interrupted_in_transition(int n, const char *records)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	w.interrupt_at = n;
	world_new_run(&w);
	world_run(&w);
	assert_interrupted(&w);
	assert_records(&w, records);
	assert_int_equal(fake_calls(&w.fake, "exec-put"), 0);
	if (n == 2)
		assert_int_equal(world_lease(&w, "p/0000000000000001"), 0);
	world_end(&w);
}

static void
test_interrupt_between_steps(void **state unused_arg)
{
	interrupted_in_transition(1, "Init: created\nnote: SIGINT\n");
	interrupted_in_transition(2, "Init: created\nEval: allocated; alloc p/0000000000000001\nnote: SIGINT\n");
}

static void
test_interrupt_of_a_run_that_is_done(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	w.interrupt_at = 3;
	world_new_run(&w);
	world_run(&w);
	world_wait(&w);
	assert_ok(w.err);
	w.err = NULL;
	assert_told(&w, "Init\nEval\nDone\n");
	assert_int_equal(world_count(&w, "note"), 0);
	world_do(&w);		/* nothing more to do, and nothing to note */
	world_wait(&w);
	assert_ok(w.err);
	w.err = NULL;
	assert_false(w.more);
	assert_int_equal(world_count(&w, "note"), 0);
	world_end(&w);
}

static void
test_interrupt_while_allocating(void **state unused_arg)
{
	struct alloc_meta meta = { .owner = xstrdup("<other>") };
	struct world w;

	world_begin(&w, NULL, one, NULL);
	assert_ok(resources_parse(&meta.want, "cpu=4,mem=8GiB,disk=1TiB"));
	fake_pool_take(w.c.pool, &meta);
	alloc_meta_release(&meta);
	world_new_run(&w);
	world_run(&w);
	while (strstr(buf_str(&w.told), "waiting") == NULL)
		loop_turn(w.loop, true);
	runner_interrupt(w.runner, "SIGINT");
	runner_interrupt(w.runner, "again");	/* once is enough */
	assert_interrupted(&w);
	assert_records(&w, "Init: created\nnote: SIGINT\n");
	assert_int_equal(loop_wall(w.loop) / SECONDS(1), 1000);
	world_end(&w);
}

static void
test_interrupt_while_evaluating(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, two, NULL);
	world_new_run(&w);
	world_run(&w);
	world_until(&w, "ended t.a");
	world_until(&w, "started t.Main");
	runner_interrupt(w.runner, "SIGINT");
	assert_interrupted(&w);
	assert_int_equal(fake_executor_stats(w.executor).killed, 1);
	assert_int_equal(fake_executor_stats(w.executor).running, 0);
	assert_int_equal(runner_state(w.runner)->Phase, PHASE_EVAL);
	assert_int_equal(loop_wall(w.loop) / SECONDS(1), 1010);	/* Main was not waited for */
	world_end(&w);
}

static void
test_interrupt_while_pausing(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	fake_executor_set_plan(w.executor, plan_lost, NULL);
	world_new_run(&w);
	world_run(&w);
	while (strstr(buf_str(&w.told), "Retry") == NULL)
		assert_true(loop_turn(w.loop, true));
	world_turns(&w, 10);
	runner_interrupt(w.runner, "SIGINT");
	assert_interrupted(&w);
	assert_int_equal(runner_state(w.runner)->Phase, PHASE_RETRY);
	assert_int_equal(loop_wall(w.loop) / SECONDS(1), 1000);
	world_end(&w);
}

/* Goes on with a run as a resume would; it must come to its end, and what was durable is not done again. */
static void
go_on_and_check(struct world *w, size_t most_starts)
{
	struct run_state s;
	struct runner_args a = world_restart(w, &s);
	bool new_run = s.Created == 0;	/* not even the first record */

	if (new_run) {
		state_release(&s);
		world_state(&s);
		a.cause = "created";
	}
	world_runner(w, &a);
	world_run(w);
	world_wait(w);
	assert_ok(w->err);
	w->err = NULL;
	assert_string_equal(runner_state(w->runner)->Result, "10");
	assert_true(world_puts(w, "t.a") <= most_starts && world_puts(w, "t.Main") <= most_starts);
}

/* At any turn: it ends at once, with a note unless it was over, and goes on later. */
static void
test_interrupt_at_every_turn(void **state unused_arg)
{
	struct world w;
	bool over = false;

	for (int n = 0; !over; n++) {
		world_begin(&w, NULL, two, NULL);
		world_new_run(&w);
		world_run(&w);
		for (int i = 0; i < n && !w.done; i++)
			loop_turn(w.loop, true);
		over = w.done;
		runner_interrupt(w.runner, "SIGINT");
		world_wait(&w);
		if (runner_state(w.runner)->Phase != PHASE_DONE) {
			assert_err(w.err, "run SIGINT: canceled");
			assert_int_equal(world_count(&w, "note: SIGINT"), 1);
		} else {
			assert_ok(w.err);
			assert_int_equal(world_count(&w, "note"), 0);
		}
		w.err = NULL;
		assert_int_equal(fake_executor_stats(w.executor).running, 0);
		assert_int_equal(fake_executor_stats(w.executor).handles, 0);
		if (runner_state(w.runner)->Phase != PHASE_DONE)
			go_on_and_check(&w, 2);
		world_end(&w);
		assert_true(n < 1000);
	}
}

/* kill -9 at any turn: no exec starts twice. */
static void
test_death_at_every_turn(void **state unused_arg)
{
	struct world w;
	bool over = false;

	for (int n = 0; !over; n++) {
		world_begin(&w, NULL, two, NULL);
		world_new_run(&w);
		world_run(&w);
		for (int i = 0; i < n && !w.done; i++)
			loop_turn(w.loop, true);
		over = w.done;
		if (!over)
			go_on_and_check(&w, 1);
		world_end(&w);
		assert_true(n < 1000);
	}
}

/* Cancelled at any turn, the same runner can go on; at worst it waits for the lease of an alloc that it nearly had. */
static void
test_cancel_at_every_turn(void **state unused_arg)
{
	struct world w;
	bool over = false;

	for (int n = 0; !over; n++) {
		world_begin(&w, NULL, two, NULL);
		world_new_run(&w);
		world_run(&w);
		for (int i = 0; i < n && !w.done; i++)
			loop_turn(w.loop, true);
		over = w.done;
		op_cancel(&w.op);
		world_turns(&w, n % 7);
		if (!over) {
			world_run(&w);
			world_wait(&w);
		}
		assert_ok(w.err);
		w.err = NULL;
		if (strstr(buf_str(&w.told), "waiting") != NULL)
			assert_told(&w, "Init\nwaiting for waiting\nEval\nDone\n");
		else
			assert_told(&w, "Init\nEval\nDone\n");
		assert_string_equal(runner_state(w.runner)->Result, "10");
		assert_int_equal(world_puts(&w, "t.a"), 1);
		assert_int_equal(world_puts(&w, "t.Main"), 1);
		assert_int_equal(fake_pool_nallocs(w.c.pool), 1);
		world_end(&w);
		assert_true(n < 1000);
	}
}

/* Torture. */

static void
setup_torture(struct torture *t)
{
	static struct world w;

	world_begin(&w, t->loop, two, NULL);
	fake_executor_duration(w.executor, 0);
	w.fake.torture = t;
	fake_journal_torture(w.c.journal, t);
	world_new_run(&w);
	t->world = &w;
}

static void
tortured_run_cb(struct err *err, void *arg)
{
	struct torture *t = arg;
	struct world *w = t->world;

	w->op = NULL;
	if (err == NULL)
		assert_int_equal(runner_state(w->runner)->Phase, PHASE_DONE);
	else	/* only the journal stops a runner */
		assert_int_equal(err_kind(err), t->fault_kind);
	torture_done(t, err);
	world_end(w);
	t->world = NULL;
}

static void
tortured_do_cb(bool more, struct err *err, void *arg)
{
	struct torture *t = arg;
	struct world *w = t->world;

	assert_int_equal(more, err == NULL && runner_state(w->runner)->Phase != PHASE_DONE);
	if (!more) {
		tortured_run_cb(err, t);
		return;
	}
	w->op = runner_do_start(w->runner, tortured_do_cb, t);
}

static void
make_run(struct torture *t)
{
	struct world *w = t->world;

	w->op = runner_run_start(w->runner, tortured_run_cb, t);
}

static void
make_do(struct torture *t)
{
	struct world *w = t->world;

	w->op = runner_do_start(w->runner, tortured_do_cb, t);
}

static void
end_torture(struct torture *t)
{
	if (t->world != NULL)
		world_end(t->world);
	t->world = NULL;
}

static void
test_torture(void **state unused_arg)
{
	static const struct torture_spec run = { "runner_run", .setup = setup_torture, .make = make_run, .cancel = end_torture,
		.teardown = end_torture };
	static const struct torture_spec step = { "runner_do", .setup = setup_torture, .make = make_do, .cancel = end_torture,
		.teardown = end_torture };

	torture(&run);
	torture(&step);
}

/* An exec record on its way to the disk, alone. */
struct committing {
	struct world w;
	struct graph *graph;
	struct op    *op;
};

static void
setup_commit(struct torture *t)
{
	struct committing *c = xcalloc(1, sizeof *c);

	t->world = c;
	world_begin(&c->w, t->loop, one, NULL);
	world_new_run(&c->w);
	fake_journal_torture(c->w.c.journal, t);
	c->graph = graph_new(NULL);
}

static void
committed_cb(struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct committing *)t->world)->op = NULL;
	torture_done(t, err);
}

static void
make_commit(struct torture *t)
{
	struct committing *c = t->world;
	struct flow *f = flow_intern(c->graph, "/data/in", false, "t.In", NULL);
	struct exec_config config = { .type = EXEC_INTERN, .url = "/data/in" };
	struct exec_result result = { .state = ATTEMPT_OK, .fileset = fileset_list(NULL, 0) };
	struct eval_event ev = { .kind = EV_INTERN, .node = f, .config = &config, .result = &result };
	struct eval_host host = runner_host(c->w.runner);

	c->op = host.commit(&ev, committed_cb, t, host.arg);
	exec_result_release(&result);
}

static void
cancel_commit(struct torture *t)
{
	op_cancel(&((struct committing *)t->world)->op);
}

/* Committed only when it is durable; cancelled or not, the record has been appended. */
static void
check_commit(struct torture *t)
{
	struct committing *c = t->world;
	size_t n;

	(void)fake_journal_records(c->w.c.journal, &n);
	assert_int_equal(n, 1);
	if (t->fault_at >= 0) {
		assert_int_equal(err_kind(t->err), t->fault_kind);
	} else {
		assert_ok(t->err);
		assert_int_equal(journal_durable_seq(c->w.c.journal), journal_next_seq(c->w.c.journal) - 1);
	}
}

static void
end_commit(struct torture *t)
{
	struct committing *c = t->world;

	world_end(&c->w);
	graph_free(c->graph);
	free(c);
}

static void
test_torture_of_commit(void **state unused_arg)
{
	torture(&(struct torture_spec){ "record_commit", .setup = setup_commit, .make = make_commit,
	    .cancel = cancel_commit, .check = check_commit, .teardown = end_commit });
}

static int
setup(void **state unused_arg)
{
	log_init("test_runner_stop", LOG_ERROR);	/* the cache that is tortured says so each time */
	test_limit(240);
	one = world_program("val Main = len(exec(image := \"host\", cpu := 1, mem := GiB) (out file) {\"echo > {{out}}\"})\n");
	two = world_program("val a = exec(image := \"host\", cpu := 2, mem := GiB) (out file) {\"echo > {{out}}\"}\n"
			    "val Main = len(exec(image := \"host\", cpu := 1, mem := GiB) (out file) {\"cat {{a}} > {{out}}\"})\n");
	return 0;
}

static int
teardown(void **state unused_arg)
{
	program_free(one);
	program_free(two);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_ahead),
		cmocka_unit_test(test_journal_breaks),
		cmocka_unit_test(test_interrupt_between_steps),
		cmocka_unit_test(test_interrupt_of_a_run_that_is_done),
		cmocka_unit_test(test_interrupt_while_allocating),
		cmocka_unit_test(test_interrupt_while_evaluating),
		cmocka_unit_test(test_interrupt_while_pausing),
		cmocka_unit_test(test_interrupt_at_every_turn),
		cmocka_unit_test(test_death_at_every_turn),
		cmocka_unit_test(test_cancel_at_every_turn),
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_torture_of_commit),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
