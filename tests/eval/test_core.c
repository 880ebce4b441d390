/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <time.h>

#include "eval/core.h"

/* The core alone: which intents come out for which answers, and that large graphs cost what they must. */

struct world {
	struct graph *graph;
	struct eval_config config;
	struct eval_stats stats;
	struct core core;
	struct buf said;
};

static void
begin(struct world *w, enum cache_mode cache)
{
	static const struct graph_config gc = { "" };

	memset(w, 0, sizeof *w);
	w->graph = graph_new(&gc);
	w->config.cache = cache;
}

static void
start(struct world *w, struct flow *root)
{
	assert_ok(core_init(&w->core, w->graph, root, &w->config, &w->stats));
	core_want(&w->core, root);
}

static void
finish(struct world *w)
{
	core_release(&w->core);
	graph_free(w->graph);
	buf_release(&w->said);
}

static struct flow *
node(struct world *w, const char *name, struct flow *const *deps, uint32_t n)
{
	struct flow_arg *args = xcalloc(n + 1, sizeof *args);
	struct flow_out out = { "o", false };
	struct flow_exec x = { .image = "host", .cmd = name, .args = args, .nargs = n, .outs = &out, .nouts = 1 };
	struct flow *f;

	for (uint32_t i = 0; i < n; i++)
		args[i].index = i;
	f = flow_exec(w->graph, &x, deps, n, name, NULL);
	free(args);
	return f;
}

/* What is to be done now: state and name of each intent. */
static void
assert_intents(struct world *w, const char *text)
{
	struct flow *f;

	while ((f = core_next(&w->core)) != NULL)
		buf_addf(&w->said, "%s%s %s", w->said.len ? ", " : "", flow_state_name(f->state),
		    f->place->ident ? f->place->ident : f->u.intern.url);
	assert_string_equal(buf_str(&w->said), text);
	buf_clear(&w->said);
	assert_true(core_idle(&w->core));
}

static struct value *
some_file(const char *of)
{
	struct file file = { .size = 1 };

	sha256_of(of, strlen(of), &file.id);
	return value_file(&file);
}

static void
done(struct world *w, struct flow *f)
{
	core_done(&w->core, f, some_file(f->place->ident ? f->place->ident : f->u.intern.url));
}

static void
test_top_down(unused_arg void **state)
{
	struct world w;
	struct flow *x, *y, *a, *b, *c, *deps[2];

	begin(&w, CACHE_READ);
	x = flow_intern(w.graph, "x", false, NULL, NULL);
	y = flow_intern(w.graph, "y", false, NULL, NULL);
	a = node(&w, "a", &x, 1);
	b = node(&w, "b", &y, 1);
	deps[0] = a;
	deps[1] = b;
	c = node(&w, "c", deps, 2);
	start(&w, c);
	assert_intents(&w, "ready x, ready y");
	assert_int_equal(c->state, FLOW_KEYS);
	done(&w, y);
	assert_intents(&w, "");
	done(&w, x);
	assert_intents(&w, "lookup c");
	core_missed(&w.core, c);
	assert_intents(&w, "lookup a, lookup b");
	done(&w, a);			/* a hit */
	assert_intents(&w, "");
	core_missed(&w.core, b);
	assert_intents(&w, "plookup b");
	core_missed(&w.core, b);
	assert_intents(&w, "ready b");
	done(&w, b);
	assert_intents(&w, "plookup c");
	done(&w, c);
	assert_intents(&w, "");
	assert_int_equal(c->state, FLOW_DONE);
	finish(&w);
}

static void
test_failure_waits_for_the_others(unused_arg void **state)
{
	struct world w;
	struct flow *a, *b, *c, *deps[2];

	begin(&w, CACHE_OFF);
	deps[0] = a = node(&w, "a", NULL, 0);
	deps[1] = b = node(&w, "b", NULL, 0);
	c = node(&w, "c", deps, 2);
	start(&w, c);
	assert_intents(&w, "ready a, ready b");
	core_failed(&w.core, b, err_msg(ERR_EXEC, "no"));
	assert_intents(&w, "");
	assert_int_equal(c->state, FLOW_DEPS);
	done(&w, a);
	assert_intents(&w, "");
	assert_int_equal(c->state, FLOW_DONE);
	assert_err(err_copy(c->err), "b: exec failed: no");
	assert_int_equal(w.core.failures.n, 1);
	finish(&w);
}

/* An input that cannot be read is missed by its keys first, and fails whom it concerns. */
static void
test_unreadable_input(unused_arg void **state)
{
	struct world w;
	struct flow *x, *c;

	begin(&w, CACHE_READ_WRITE);
	x = flow_intern(w.graph, "x", false, NULL, NULL);
	c = node(&w, "c", &x, 1);
	start(&w, c);
	assert_intents(&w, "ready x");
	assert_int_equal(w.core.failures.n, 0);
	core_failed(&w.core, x, err_msg(ERR_NOT_EXIST, "x is not there"));
	assert_int_equal(w.core.failures.n, 0);
	assert_intents(&w, "");
	assert_int_equal(w.core.failures.n, 1);
	assert_int_equal(c->state, FLOW_DONE);
	assert_false(c->has_lkey);
	finish(&w);
}

/* Everything misses and runs: the longest way. Returns seconds. */
static double
run_all(struct world *w, struct flow *root)
{
	clock_t t0 = clock();
	struct flow *f;

	start(w, root);
	while ((f = core_next(&w->core)) != NULL) {
		if (f->state == FLOW_READY)
			core_done(&w->core, f, some_file("f"));
		else
			core_missed(&w->core, f);
	}
	assert_true(core_idle(&w->core));
	assert_int_equal(root->state, FLOW_DONE);
	assert_null(root->err);
	assert_in_range(w->stats.visits, 1, graph_nnodes(w->graph) + graph_nedges(w->graph));
	assert_in_range(w->stats.key_visits, 0, graph_nnodes(w->graph) + graph_nedges(w->graph));
	return (double)(clock() - t0) / CLOCKS_PER_SEC;
}

#define LARGE 100000

static void
report(const struct world *w, const char *what, double seconds)
{
	double n = (double)graph_nnodes(w->graph);

	print_message("%s: %.0f nodes, %.2f s, %.0f bytes of arena a node\n", what, n, seconds,
	    (double)arena_bytes(graph_arena(w->graph)) / n);
}

static struct flow *
numbered(struct world *w, size_t i, struct flow *const *deps, uint32_t n)
{
	char name[24];

	snprintf(name, sizeof name, "%zu", i);
	return node(w, name, deps, n);
}

static void
test_flat(unused_arg void **state)
{
	struct world w;
	struct flow **v = xcalloc(LARGE, sizeof *v);

	begin(&w, CACHE_READ_WRITE);
	for (size_t i = 0; i < LARGE; i++)
		v[i] = numbered(&w, i, NULL, 0);
	report(&w, "flat", run_all(&w, node(&w, "all", v, LARGE)));
	free(v);
	finish(&w);
}

static void
test_chain(unused_arg void **state)
{
	struct world w;
	struct flow *f;

	for (int bottomup = 0; bottomup < 2; bottomup++) {
		begin(&w, CACHE_READ_WRITE);
		w.config.bottomup = bottomup;
		f = flow_intern(w.graph, "x", false, NULL, NULL);
		for (size_t i = 0; i < LARGE; i++)
			f = numbered(&w, i, &f, 1);
		report(&w, bottomup ? "chain, bottom-up" : "chain", run_all(&w, f));
		finish(&w);
	}
}

/* Each node needs both of the level below: the paths are 2^50000, the nodes are not. */
static void
test_diamonds(unused_arg void **state)
{
	struct world w;
	struct flow *v[2], *next[2];

	begin(&w, CACHE_READ_WRITE);
	v[0] = numbered(&w, 0, NULL, 0);
	v[1] = numbered(&w, 1, NULL, 0);
	for (size_t i = 2; i < LARGE; i += 2) {
		next[0] = numbered(&w, i, v, 2);
		next[1] = numbered(&w, i + 1, v, 2);
		v[0] = next[0];
		v[1] = next[1];
	}
	report(&w, "diamonds", run_all(&w, v[0]));
	finish(&w);
}

/* A failure at the bottom of a long chain comes up without recursion. */
static void
test_long_failure(unused_arg void **state)
{
	struct world w;
	struct flow *f, *first;

	begin(&w, CACHE_OFF);
	f = first = numbered(&w, 0, NULL, 0);
	for (size_t i = 1; i < LARGE; i++)
		f = numbered(&w, i, &f, 1);
	start(&w, f);
	assert_ptr_equal(core_next(&w.core), first);
	core_failed(&w.core, first, err_msg(ERR_EXEC, "no"));
	assert_null(core_next(&w.core));
	assert_err(err_copy(f->err), "0: exec failed: no");
	finish(&w);
}

static void
test_size_of_a_node(unused_arg void **state)
{
	print_message("struct flow: %zu bytes\n", sizeof(struct flow));
	/* With its place in the table (at worst 8 / 0.375), one dep and its two edges. */
	assert_in_range(sizeof(struct flow) + 22 + 8 + 2 * sizeof(struct flow_edge), 0, 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_top_down),
		cmocka_unit_test(test_failure_waits_for_the_others),
		cmocka_unit_test(test_unreadable_input),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_diamonds),
		cmocka_unit_test(test_long_failure),
		cmocka_unit_test(test_size_of_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
