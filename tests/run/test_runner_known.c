/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/run/world.h"

/* What a run knows of itself when it goes on: execs, inputs, resources, components; and what a Reset forgets. */

#define MAIN_FAILED "error evaluation error: t.Main t.rf:3:20: exec failed: exit status 1"

static struct program *two, *reads;

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
no_cache(struct world *w)
{
	struct run_state s;
	struct runner_args a;

	world_state(&s);
	s.Config.cache = CACHE_OFF;
	a = world_args(w, &s);
	world_runner(w, &a);
}

/* An exec that ended is known, without the cache, and one that runs is attached to. */
static void
test_resume(void **state unused_arg)
{
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, two, NULL);
	no_cache(&w);
	world_run(&w);
	world_until(&w, "started t.Main");
	world_turns(&w, 10);
	a = world_restart(&w, &s);
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_records(&w,
	    "Eval: resumed; alloc p/0000000000000001\n"
	    "started t.Main try 0.0\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; alloc p/0000000000000001; try at 10.0; over at 20.0; result 10\n");
	assert_int_equal(world_puts(&w, "t.a"), 1);
	assert_int_equal(world_puts(&w, "t.Main"), 1);
	assert_int_equal(runner_stats(w.runner)->known, 1);
	world_end(&w);
}

static void
assert_total(const struct world *w, double cpu, double mem)
{
	const struct resources *r = &runner_state(w->runner)->TotalResources;

	assert_float_equal(r->cpu, cpu, 1e-9);
	assert_float_equal(r->mem / 1073741824.0, mem, 1e-9);
}

/* a: 2 cpu, 1 GiB; Main: 1 cpu, 1 GiB; ten seconds each. */
static void
test_total_resources(void **state unused_arg)
{
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, two, NULL);
	no_cache(&w);
	world_run(&w);
	world_until(&w, "started t.Main");
	a = world_restart(&w, &s);
	s.TotalResources.cpu = 99;	/* the records decide */
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_total(&w, 3 / 6.0, 2 / 6.0);

	a = world_restart(&w, &s);
	world_end(&w);
	run_knowledge_free(a.known);
	state_reset(&s);
	assert_float_equal(s.TotalResources.cpu, 0.5, 1e-9);
	state_release(&s);
}

/* Another run's attempt is charged to that one alone. */
static void
test_total_of_what_another_run_started(void **state unused_arg)
{
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, two, NULL);
	world_new_run(&w);
	world_run(&w);
	world_until(&w, "started t.a");
	a = world_restart(&w, &s);
	run_knowledge_free(a.known);
	state_release(&s);
	world_state(&s);
	s.ID.b[0]++;
	a = world_args(&w, &s);
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_int_equal(world_puts(&w, "t.a"), 1);
	assert_total(&w, 1 / 6.0, 1 / 6.0);
	world_end(&w);
}

static bool
fails_after_a_minute(const struct exec_config *c, struct exec_result *out, void *arg)
{
	bool planned = plan_failed(c, out, arg);

	if (planned)
		out->usage.wall_ns = SECONDS(60);
	return planned;
}

/* A failure that a resume finds again is recorded again, and charged once. */
static void
test_total_of_a_failure(void **state unused_arg)
{
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, two, NULL);
	fake_executor_set_plan(w.executor, fails_after_a_minute, (void *)"t.Main");
	no_cache(&w);
	world_run(&w);
	world_until(&w, "ended t.Main failed");
	world_turns(&w, 10);
	assert_total(&w, 2 / 6.0 + 1, 1 / 6.0 + 1);
	a = world_restart(&w, &s);
	s.Phase = PHASE_EVAL;
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_int_equal(world_count(&w, "ended t.Main failed"), 1);
	assert_int_equal(world_puts(&w, "t.Main"), 1);
	assert_total(&w, 2 / 6.0 + 1, 1 / 6.0 + 1);
	world_end(&w);
}

static bool
lost_after_a_while(const struct exec_config *c unused_arg, struct exec_result *out, void *arg)
{
	int *left = arg;

	if ((*left)-- <= 0)
		return false;
	out->state = ATTEMPT_LOST;
	out->err = err_msg(ERR_TEMPORARY, "no room");
	out->usage.wall_ns = SECONDS(30);
	return true;
}

/* A lost attempt has used what it used; the same key's components are written once. */
static void
test_lost_attempts(void **state unused_arg)
{
	struct world w;
	int left = 2;

	world_begin(&w, NULL, two, NULL);
	fake_executor_set_plan(w.executor, lost_after_a_while, &left);
	no_cache(&w);
	run_to_the_end(&w);
	assert_int_equal(world_count(&w, "lost t.a"), 2);
	assert_int_equal(world_count(&w, "started t.a"), 3);
	assert_int_equal(world_count(&w, "started t.a try 0.0 components"), 1);
	assert_int_equal(world_count(&w, "started t.Main try 2.0 components"), 1);
	assert_total(&w, (2 * 2 * 30 + 2 * 10 + 10) / 60.0, (2 * 30 + 10 + 10) / 60.0);
	world_end(&w);
}

static struct runner_args
reset(struct world *w, struct run_state *s)
{
	struct runner_args a = world_restart(w, s);

	state_reset(s);
	a.cause = "reset";
	return a;
}

/* A resumed run believes what it found of its inputs; a reset one looks again. Execs that ended stay known. */
static void
test_inputs(void **state unused_arg)
{
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, reads, NULL);
	fake_executor_set_plan(w.executor, plan_failed, (void *)"t.Main");
	no_cache(&w);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: created\n"
	    "Eval: allocated; alloc p/0000000000000001\n"
	    "intern /data/in ok\n"
	    "started t.first try 0.0 components\n"
	    "ended t.first ok\n"
	    "started t.Main try 0.0 components\n"
	    "ended t.Main failed\n"
	    "Done: the evaluation failed; alloc p/0000000000000001; try at 0.0; over at 20.0; " MAIN_FAILED "\n");
	assert_int_equal(world_puts(&w, NULL), 1);

	a = world_restart(&w, &s);	/* as if the end had not been written */
	s.Phase = PHASE_EVAL;
	s.Completion = 0;
	err_free(s.Err);
	s.Err = NULL;
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_records(&w,
	    "Eval: resumed; alloc p/0000000000000001; try at 0.0\n"
	    "started t.Main try 0.0\n"
	    "ended t.Main failed\n"
	    "Done: the evaluation failed; alloc p/0000000000000001; try at 20.0; over at 20.0; " MAIN_FAILED "\n");
	assert_int_equal(world_puts(&w, NULL), 1);
	assert_int_equal(world_puts(&w, "t.Main"), 1);	/* the failure of this try answers for it */

	a = reset(&w, &s);
	fake_executor_set_plan(w.executor, NULL, NULL);
	fake_pool_lose(w.c.pool, "p/0000000000000001");	/* which is retained */
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_records(&w,
	    "Init: reset\n"
	    "Eval: allocated; alloc p/0000000000000002\n"
	    "intern /data/in ok\n"
	    "started t.Main try 1000.0\n"
	    "ended t.Main ok\n"
	    "Done: evaluated; alloc p/0000000000000002; try at 20.0; over at 40.0; result 10\n");
	assert_int_equal(world_puts(&w, NULL), 2);
	assert_int_equal(world_puts(&w, "t.first"), 1);
	assert_int_equal(world_puts(&w, "t.Main"), 2);
	world_end(&w);
}

/* Progress that was journaled counts, whichever process made it. */
static void
test_progress_of_before(void **state unused_arg)
{
	struct run_state s;
	struct runner_args a;
	struct world w;

	world_begin(&w, NULL, two, NULL);
	fake_executor_set_plan(w.executor, plan_lost, (void *)"t.Main");
	no_cache(&w);
	world_run(&w);
	world_until(&w, "ended t.a");
	world_turns(&w, 10);
	a = world_restart(&w, &s);
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_int_equal(world_count(&w, "Retry: the try failed, and may be made again; alloc"), 1);
	assert_int_equal(world_count(&w, "Retry: the try failed, and may be made again; tries 1; stalled 1"), 1);
	assert_int_equal(world_count(&w, "Done: too many tries without progress; tries 4; stalled 3"), 1);

	a = reset(&w, &s);	/* and a reset begins to count anew */
	world_runner(&w, &a);
	run_to_the_end(&w);
	assert_int_equal(world_count(&w, "Done: too many tries without progress; tries 3; stalled 3"), 1);
	assert_int_equal(world_puts(&w, "t.a"), 1);
	world_end(&w);
}

static int
setup(void **state unused_arg)
{
	test_limit(120);
	two = world_program("val a = exec(image := \"host\", cpu := 2, mem := GiB) (out file) {\"echo > {{out}}\"}\n"
			    "val Main = len(exec(image := \"host\", cpu := 1, mem := GiB) (out file) {\"cat {{a}} > {{out}}\"})\n");
	reads = world_program("val in = file(\"in\")\n"
			      "val first = exec(image := \"host\", mem := GiB) (out file) {\"cat {{in}} > {{out}}\"}\n"
			      "val Main = len(exec(image := \"host\", mem := GiB) (out file) {\"cat {{first}} > {{out}}\"})\n");
	return 0;
}

static int
teardown(void **state unused_arg)
{
	program_free(two);
	program_free(reads);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_total_resources),
		cmocka_unit_test(test_total_of_what_another_run_started),
		cmocka_unit_test(test_total_of_a_failure),
		cmocka_unit_test(test_lost_attempts),
		cmocka_unit_test(test_inputs),
		cmocka_unit_test(test_progress_of_before),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
