/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/run/world.h"

#include "run/runner_priv.h"

/* The phase machine on fakes: what is written, in which order, and when on a virtual clock. */

#define A1 "alloc p/0000000000000001"
#define A2 "alloc p/0000000000000002"
#define A3 "alloc p/0000000000000003"
#define FAILED_TRY "the try failed, and may be made again"

static struct program *one, *two, *panics, *large;

static void
run_to_the_end(struct world *w)
{
	world_run(w);
	world_wait(w);
	assert_ok(w->err);
	w->err = NULL;
	assert_int_equal(runner_state(w->runner)->Phase, PHASE_DONE);
}

static void
test_success(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Eval: allocated; " A1 "\n"
	    "started t.Main try 0.0 components\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; " A1 "; try at 0.0; over at 10.0; result 10\n");
	assert_told(&w, "Init\nEval\nDone\n");
	assert_string_equal(runner_state(w.runner)->ResultJSON, "10");
	assert_string_equal(runner_state(w.runner)->ResultType, "int");
	assert_int_equal(fake_assoc_count(w.c.assoc), 2);	/* both keys */
	assert_int_equal(world_lease(&w, "p/0000000000000001"), 0);
	assert_int_equal(runner_stats(w.runner)->execs, 1);
	world_end(&w);
}

/* One Do is one transition; the first one writes the first snapshot too. */
static void
test_step_by_step(void **state unused_arg)
{
	static const enum run_phase after[] = { PHASE_EVAL, PHASE_DONE, PHASE_DONE };
	struct world w;

	world_begin(&w, NULL, one, NULL);
	world_new_run(&w);
	for (size_t i = 0; i < nitems(after); i++) {
		world_do(&w);
		world_wait(&w);
		assert_ok(w.err);
		w.err = NULL;
		assert_int_equal(runner_state(w.runner)->Phase, after[i]);
		assert_int_equal(w.more, after[i] != PHASE_DONE);
	}
	assert_told(&w, "Init\nEval\nDone\n");
	world_end(&w);
}

static void
test_cached(void **state unused_arg)
{
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, one, NULL);
	world_new_run(&w);
	run_to_the_end(&w);
	a = world_restart(&w, &s);
	state_release(&s);
	run_knowledge_free(a.known);
	world_state(&s);
	s.ID.b[0]++;
	a = world_args(&w, &s);
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Eval: allocated; " A2 "\n"
	    "hit t.Main ok\n"
	    "Done: evaluated; " A2 "; try at 10.0; over at 10.0; result 10\n");
	assert_int_equal(world_puts(&w, "t.Main"), 1);
	world_end(&w);
}

static void
test_no_alloc(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	fake_fail(&w.fake, "cluster-allocate", 1, ERR_UNAVAILABLE);
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Retry: no alloc to be had; stalled 1; try at 0.0; error allocate: unavailable: cluster-allocate injected\n"
	    "Init: trying again; tries 1; stalled 1; try at 0.0\n"
	    "Eval: allocated; tries 1; stalled 1; " A1 "; try at 0.0\n"
	    "started t.Main try 1.0 components\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; tries 1; stalled 1; " A1 "; try at 1.0; over at 11.0; result 10\n");
	world_end(&w);

	world_begin(&w, NULL, large, NULL);
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Done: no alloc to be had; over at 0.0; error allocate: resources exhausted: allocate\n");
	world_end(&w);
}

/* Somebody else has the machine: the run says what it waits for, and goes on when it is free. */
static void
test_waits_for_an_alloc(void **state unused_arg)
{
	struct alloc_meta meta = { .owner = xstrdup("<other>") };
	struct world w;

	world_begin(&w, NULL, one, NULL);
	assert_ok(resources_parse(&meta.want, "cpu=4,mem=8GiB,disk=1TiB"));
	fake_pool_take(w.c.pool, &meta);	/* for a minute */
	alloc_meta_release(&meta);
	world_new_run(&w);
	world_run(&w);
	for (int i = 0; i < 1000 && w.told.len < strlen("Init\nwaiting for waiting\n"); i++)
		loop_turn(w.loop, true);
	assert_told(&w, "Init\nwaiting for waiting\n");
	world_wait(&w);
	assert_ok(w.err);
	w.err = NULL;
	assert_int_equal(world_count(&w, "Done: evaluated; " A2 "; try at 60.0; over at 70.0; result 10"), 1);
	world_end(&w);
}

/* The first alloc has gone back: else there would be no room for the second. */
static void
test_inspection_fails(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	fake_fail(&w.fake, "alloc-inspect", 1, ERR_NET);
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Retry: the alloc could not be inspected; stalled 1; " A1 " not inspected; try at 0.0; "
	    "error inspect p/0000000000000001: network error: alloc-inspect injected\n"
	    "Init: trying again; tries 1; stalled 1; " A1 " not inspected; try at 0.0\n"
	    "Eval: allocated; tries 1; stalled 1; " A2 "; try at 0.0\n"
	    "started t.Main try 1.0 components\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; tries 1; stalled 1; " A2 "; try at 1.0; over at 11.0; result 10\n");
	world_end(&w);
}

/* The pool has ended an alloc that a sister run holds, and the scheduler does not know it yet. */
static void
test_alloc_gone_at_once(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	fake_fail(&w.fake, "alloc-inspect", 1, ERR_NOT_EXIST);
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Eval: allocated; " A2 "\n"
	    "started t.Main try 0.0 components\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; " A2 "; try at 120.0; over at 130.0; result 10\n");
	world_end(&w);
}

static void
test_program_fails(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, panics, NULL);
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Done: the program failed before any exec; over at 0.0; error t.rf:1:17: panic: no\n");
	assert_int_equal(fake_calls(&w.fake, "cluster-allocate"), 0);
	world_end(&w);
}

/* Pauses double from the start of one try to that of the next; the third without progress is the last. */
static void
test_too_many_tries(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	fake_executor_set_plan(w.executor, plan_lost, NULL);
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Eval: allocated; " A1 "\n"
	    "started t.Main try 0.0 components\n"
	    "lost t.Main lost\n"
	    "Retry: " FAILED_TRY "; stalled 1; " A1 "; try at 0.0; error t.Main t.rf:1:20: temporary: no room\n"
	    "Init: trying again; tries 1; stalled 1; " A1 "; try at 0.0\n"
	    "Eval: allocated; tries 1; stalled 1; " A2 "; try at 0.0\n"
	    "started t.Main try 1.0\n"
	    "lost t.Main lost\n"
	    "Retry: " FAILED_TRY "; tries 1; stalled 2; " A2 "; try at 1.0; error t.Main t.rf:1:20: temporary: no room\n"
	    "Init: trying again; tries 2; stalled 2; " A2 "; try at 1.0\n"
	    "Eval: allocated; tries 2; stalled 2; " A3 "; try at 1.0\n"
	    "started t.Main try 2.0\n"
	    "lost t.Main lost\n"
	    "Retry: " FAILED_TRY "; tries 2; stalled 3; " A3 "; try at 3.0; error t.Main t.rf:1:20: temporary: no room\n"
	    "Done: too many tries without progress; tries 3; stalled 3; " A3 "; try at 3.0; over at 3.0; "
	    "error retry: too many tries: t.Main t.rf:1:20: temporary: no room\n");
	assert_true(err_is(runner_state(w.runner)->Err, ERR_TOO_MANY_TRIES));
	assert_true(err_transient(runner_state(w.runner)->Err));
	world_end(&w);
}

/* The try in which an exec was finished does not count, and that exec is not run again. */
static void
test_progress(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, two, NULL);
	fake_executor_duration(w.executor, 0);
	fake_executor_set_plan(w.executor, plan_lost, (void *)"t.Main");
	world_new_run(&w);
	run_to_the_end(&w);
	assert_int_equal(world_count(&w, "Retry: " FAILED_TRY "; " A1 "; try at 0.0; error t.Main"), 1);
	assert_int_equal(world_count(&w, "Retry: " FAILED_TRY "; tries 1; stalled 1; " A2 "; try at 1.0; error t.Main"), 1);
	assert_int_equal(world_count(&w, "Retry: " FAILED_TRY "; tries 2; stalled 2; " A3 "; try at 2.0; error t.Main"), 1);
	assert_int_equal(world_count(&w, "Retry: " FAILED_TRY "; tries 3; stalled 3; "), 1);
	assert_int_equal(world_count(&w, "Retry:"), 4);
	assert_int_equal(world_count(&w, "Done: too many tries without progress; tries 4; stalled 3; "), 1);
	assert_int_equal(world_puts(&w, "t.a"), 1);
	assert_int_equal(world_puts(&w, "t.Main"), 4);
	world_end(&w);
}

static void
test_lost_lease(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	fake_executor_duration(w.executor, SECONDS(600));
	world_new_run(&w);
	world_run(&w);
	world_until(&w, "started");
	fake_pool_lose(w.c.pool, "p/0000000000000001");
	world_wait(&w);
	assert_ok(w.err);
	w.err = NULL;
	assert_records(&w,
	    "Init: created\n"
	    "Eval: allocated; " A1 "\n"
	    "started t.Main try 0.0 components\n"
	    "Retry: " FAILED_TRY "; stalled 1; " A1 "; try at 0.0; "
	    "error lease p/0000000000000001: unavailable: keepalive p/0000000000000001: alloc expired\n"
	    "Init: trying again; tries 1; stalled 1; " A1 "; try at 0.0\n"
	    "Eval: allocated; tries 1; stalled 1; " A2 "; try at 0.0\n"
	    "started t.Main try 1.0\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; tries 1; stalled 1; " A2 "; try at 90.0; over at 600.0; result 10\n");
	assert_int_equal(world_puts(&w, "t.Main"), 1);
	world_end(&w);
}

static void
test_evaluation_fails(void **state unused_arg)
{
	struct world w;
	size_t n;

	world_begin(&w, NULL, two, NULL);
	fake_executor_set_plan(w.executor, plan_failed, (void *)"t.Main");
	world_new_run(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Eval: allocated; " A1 "\n"
	    "started t.a try 0.0 components\n"
	    "ended t.a ok\n"
	    "started t.Main try 0.0 components\n"
	    "ended t.Main failed\n"
	    "Done: the evaluation failed; " A1 "; try at 0.0; over at 10.0; "
	    "error evaluation error: t.Main t.rf:2:20: exec failed: exit status 1\n");
	assert_true(err_is(runner_state(w.runner)->Err, ERR_EVAL));
	assert_string_equal(runner_failures(w.runner, &n)[0]->place->ident, "t.Main");
	assert_int_equal(n, 1);
	assert_int_equal(world_lease(&w, "p/0000000000000001"), SECONDS(3600));	/* retained */
	world_end(&w);
}

/* Eval from the start, on an alloc that is there, or is not, or is not even named. */
static void
start_in_eval(struct world *w, const char *alloc)
{
	struct run_state s;
	struct runner_args a;

	world_state(&s);
	s.Phase = PHASE_EVAL;
	s.AllocID = alloc == NULL ? NULL : xstrdup(alloc);
	a = world_args(w, &s);
	world_runner(w, &a);
	run_to_the_end(w);
}

static void
test_alloc_of_before(void **state unused_arg)
{
	struct alloc_meta meta = { .owner = xstrdup("<other>") };
	struct world w;

	world_begin(&w, NULL, one, NULL);
	assert_ok(resources_parse(&meta.want, "cpu=2,mem=2GiB,disk=1TiB"));
	fake_pool_take(w.c.pool, &meta);
	alloc_meta_release(&meta);
	start_in_eval(&w, "p/0000000000000001");
	assert_records(&w,
	    "Eval: created; " A1 " not inspected\n"
	    "started t.Main try 0.0 components\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; " A1 " not inspected; try at 0.0; over at 10.0; result 10\n");
	world_end(&w);
}

static void
test_alloc_that_is_gone(void **state unused_arg)
{
	struct world w;

	world_begin(&w, NULL, one, NULL);
	start_in_eval(&w, "p/00000000000000ff");
	assert_records(&w,
	    "Eval: created; alloc p/00000000000000ff not inspected\n"
	    "Retry: the alloc is gone; stalled 1; alloc p/00000000000000ff not inspected; try at 0.0; "
	    "error alloc p/00000000000000ff: resource does not exist: alloc p/00000000000000ff\n"
	    "Init: trying again; tries 1; stalled 1; alloc p/00000000000000ff not inspected; try at 0.0\n"
	    "Eval: allocated; tries 1; stalled 1; " A1 "; try at 0.0\n"
	    "started t.Main try 1.0 components\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; tries 1; stalled 1; " A1 "; try at 1.0; over at 11.0; result 10\n");
	world_end(&w);

	world_begin(&w, NULL, one, NULL);
	start_in_eval(&w, NULL);
	assert_int_equal(world_count(&w, "Retry: the alloc is gone; stalled 1; try at 0.0; error a State in phase Eval "
						"that names no alloc"), 1);
	assert_int_equal(world_count(&w, "Done: evaluated"), 1);
	world_end(&w);
}

static void
assert_label(const struct labels *l, const char *name, const char *want)
{
	const char *got = labels_get(l, name);

	assert_non_null(got);
	assert_string_equal(got, want);
}

static void
test_labels(void **state unused_arg)
{
	const struct labels *l;
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, one, NULL);
	world_state(&s);
	labels_set(&s.Labels, "team", "lambda");
	labels_set(&s.Labels, "ID", "mine");
	labels_set(&s.Params, "chunks", "4");
	s.nArgs = 2;
	s.Args = xcalloc(2, sizeof *s.Args);
	s.Args[0] = xstrdup("a b");
	s.Args[1] = xstrdup("");
	a = world_args(&w, &s);
	world_runner(&w, &a);
	run_to_the_end(&w);
	l = &runner_state(w.runner)->AllocInspect->meta.labels;
	assert_int_equal(l->n, 6);
	assert_label(l, "team", "lambda");
	assert_label(l, "ID", "abababababababababababababababababababababababababababababababab");
	assert_label(l, "program", "t.rf");
	assert_label(l, "param[chunks]", "4");
	assert_label(l, "arg[0]", "a b");
	assert_label(l, "arg[1]", "");
	world_end(&w);
}

static void
test_pauses(void **state unused_arg)
{
	static const int64_t want[] = { 1, 1, 2, 4, 8, 16, 32, 60, 60 };

	for (uint32_t i = 0; i < nitems(want); i++)
		assert_int_equal(retry_pause(i), SECONDS(want[i]));
	assert_int_equal(retry_pause(UINT32_MAX), SECONDS(60));
}

static int
setup(void **state unused_arg)
{
	test_limit(120);
	one = world_program("val Main = len(exec(image := \"host\", cpu := 1, mem := GiB) (out file) {\"echo > {{out}}\"})\n");
	two = world_program("val a = exec(image := \"host\", cpu := 2, mem := GiB) (out file) {\"echo > {{out}}\"}\n"
			    "val Main = len(exec(image := \"host\", cpu := 1, mem := GiB) (out file) {\"cat {{a}} > {{out}}\"})\n");
	panics = world_program("val Main = panic(\"no\")\n");
	large = world_program("val Main = exec(image := \"host\", cpu := 5) (out file) {\"echo > {{out}}\"}\n");
	return 0;
}

static int
teardown(void **state unused_arg)
{
	program_free(one);
	program_free(two);
	program_free(panics);
	program_free(large);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_step_by_step),
		cmocka_unit_test(test_cached),
		cmocka_unit_test(test_no_alloc),
		cmocka_unit_test(test_waits_for_an_alloc),
		cmocka_unit_test(test_inspection_fails),
		cmocka_unit_test(test_alloc_gone_at_once),
		cmocka_unit_test(test_program_fails),
		cmocka_unit_test(test_too_many_tries),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_lost_lease),
		cmocka_unit_test(test_evaluation_fails),
		cmocka_unit_test(test_alloc_of_before),
		cmocka_unit_test(test_alloc_that_is_gone),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
