/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/slice.h"
#include "base/xalloc.h"
#include "lang/program.h"

/*
 * Large programs of every shape, from their text to their result. Each exec runs once, and what is looked at is linear
 * in nodes and edges, which world_until sees to; a step that recursed or scanned would not come to an end here.
 */
#define EXEC "exec(image := \"host\", cpu := 1, mem := 1*MiB) (out file) "
#define ECHO "func echo(i int) = " EXEC "{\" echo {{i}} > {{out}} \"}\n"
#define STEP ECHO "func step(f file, i int) = " EXEC "{\" echo {{f}} {{i}} > {{out}} \"}\n"
#define JOIN ECHO "func join(a, b file, i int) = " EXEC "{\" cat {{a}} {{b}} {{i}} > {{out}} \"}\n"

#define N 50000

static struct world w;
static struct program *program;

/* The result, borrowed, is w.value. */
static void
run(const char *text, unsigned execs)
{
	struct sources *sources = sources_new();
	const struct source_text *source;
	struct param_set none = { .n = 0 };
	struct buf diag = BUF_INIT;
	struct value *root;

	world_init(&w, "cpu=64,mem=1000000GiB,disk=1TiB");
	w.args.config.cache = CACHE_OFF;
	assert_ok(sources_add(sources, "/t.rf", text, strlen(text), &source));
	assert_ok(program_open("/t.rf", sources, &diag, &program));
	assert_string_equal(buf_str(&diag), "");
	buf_release(&diag);
	assert_ok(program_instantiate(program, w.graph, "/", &none, &root));
	world_run(&w, value_get_flow(root));
	assert_ok(w.err);
	assert_int_equal(w.stats.execs, execs);
	assert_int_equal(w.fake.nstarted, execs);
	value_unref(root);
}

static void
close_run(void)
{
	world_release(&w);
	program_free(program);
}

static void
test_list(unused_arg void **state)
{
	run(ECHO "val Main = [echo(i) | i <- range(0, 50000)]\n", N);
	assert_int_equal(value_len(w.value), N);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(value_kind(value_at(w.value, i)), VAL_FILE);
	close_run();
}

static void
test_merge(unused_arg void **state)
{
	run(ECHO "val all = [echo(i) | i <- range(0, 50000)]\nval Main = " EXEC "{\" cat {{all}} > {{out}} \"}\n", N + 1);
	assert_int_equal(value_kind(w.value), VAL_FILE);
	close_run();
}

/* Each condition waits for a result of its own; every file has ten bytes. */
static void
test_filter(unused_arg void **state)
{
	run(ECHO "val files = [echo(i) | i <- range(0, 50000)]\nval Main = len([f | f <- files, if len(f) > 9])\n", N);
	assert_int_equal(mpz_get_ui(value_get_int(w.value)), N);
	close_run();
}

static void
test_fold(unused_arg void **state)
{
	run(STEP "val Main = fold(step, range(1, 50000), echo(0))\n", N);
	close_run();
}

/* A function that calls itself once for each exec, and is back from all of them at the end. */
static void
test_recursion(unused_arg void **state)
{
	run(STEP "func chain(i int) file = if i == 0 { echo(0) } else { step(chain(i - 1), i) }\n"
		 "val Main = chain(49999)\n", N);
	close_run();
}

/* Each step decides by the result of the one before whether there is another. */
static void
test_chain_of_results(unused_arg void **state)
{
	run(STEP "func chain(f file, i int) file =\n"
		 "\tif len(f) == 0 || i == 20000 { f } else { chain(step(f, i), i + 1) }\n"
		 "val Main = chain(echo(0), 1)\n", 20000);
	close_run();
}

static void
test_diamonds(unused_arg void **state)
{
	run(JOIN "val Main = fold(func(p (file, file), i int) => {\n\tval (a, b) = p\n"
		 "\t(join(a, b, 2*i), join(a, b, 2*i + 1))\n}, range(1, 25000), (echo(0), echo(1)))\n", N);
	assert_int_equal(value_kind(w.value), VAL_TUPLE);
	close_run();
}

static void
test_tree(unused_arg void **state)
{
	run(JOIN "func tree(a, b int) file = if b - a == 1 { echo(a) } else {\n"
		 "\tval mid = a + (b - a) / 2\n\tjoin(tree(a, mid), tree(mid, b), 0)\n}\n"
		 "val Main = tree(0, 25000)\n", N - 1);
	close_run();
}

/* How long a list is, is known when something has run. */
static void
test_list_from_a_result(unused_arg void **state)
{
	run(STEP "val first = echo(0)\nval Main = [step(first, i) | i <- range(1, len(first) * 5000)]\n", N);
	assert_int_equal(value_len(w.value), N - 1);
	close_run();
}

static void
test_lists_from_results(unused_arg void **state)
{
	run(STEP "val Main = flatten([[step(f, j) | j <- range(1, len(f))] | f <- [echo(i) | i <- range(0, 5000)]])\n", N);
	assert_int_equal(value_len(w.value), 9 * 5000);
	close_run();
}

/* What a function without end leaves behind is released, and nothing has run. */
static void
test_without_end(unused_arg void **state)
{
	static const char text[] = "func up(n int) int = 1 + up(n + 1)\nval Main = up(0)\n";
	struct sources *sources = sources_new();
	const struct source_text *source;
	struct param_set none = { .n = 0 };
	struct graph *g = graph_new(NULL);
	struct buf diag = BUF_INIT;
	struct value *root;
	struct err *err;
	char *said;

	assert_ok(sources_add(sources, "/t.rf", text, sizeof text - 1, &source));
	assert_ok(program_open("/t.rf", sources, &diag, &program));
	err = program_instantiate(program, g, "/", &none, &root);
	said = err_str(err);
	assert_string_equal(said,
	    "/t.rf:1:28: evaluation is nested too deeply: does a function call itself without end?");
	free(said);
	err_free(err);
	buf_release(&diag);
	graph_free(g);
	program_free(program);
}

struct making {
	struct graph *g;
	struct value *root;
	struct err   *err;
};

static void
make(void *arg)
{
	struct making *m = arg;
	struct param_set none = { .n = 0 };

	m->err = program_instantiate(program, m->g, "/", &none, &m->root);
}

/* Given up in the middle: the stack is released with all that stands on it. */
static void
test_given_up(unused_arg void **state)
{
	static const char text[] = "func down(n int) int = if n == 0 { 0 } else { 1 + down(n - 1) }\n"
				   "val Main = [down(i) | i <- range(0, 1000)]\n";
	struct sources *sources = sources_new();
	const struct source_text *source;
	struct making m = { .g = graph_new(NULL) };
	struct buf diag = BUF_INIT;
	struct slice *slice = slice_new();

	assert_ok(sources_add(sources, "/t.rf", text, sizeof text - 1, &source));
	assert_ok(program_open("/t.rf", sources, &diag, &program));
	slice_begin(slice, make, &m);
	for (unsigned i = 0; i < 10; i++)
		assert_false(slice_go(slice));
	slice_free(slice);
	assert_null(m.root);
	assert_true(err_is(m.err, ERR_CANCELED));
	err_free(m.err);
	buf_release(&diag);
	graph_free(m.g);
	program_free(program);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_recursion),
		cmocka_unit_test(test_chain_of_results),
		cmocka_unit_test(test_diamonds),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_list_from_a_result),
		cmocka_unit_test(test_lists_from_results),
		cmocka_unit_test(test_without_end),
		cmocka_unit_test(test_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
