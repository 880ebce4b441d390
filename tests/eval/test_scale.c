/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/xalloc.h"

/*
 * Large graphs of every shape: each exec runs once, and what is looked at is linear in nodes and edges, which
 * world_until sees to. Counts are asserted, never times; a step that recursed or scanned would not come to an end here.
 */
#define MANY 100000

static struct world w;
static struct flow *v[MANY];

static void
begin(void)
{
	world_init(&w, "cpu=64,mem=1000000GiB,disk=1TiB");
	w.args.config.cache = CACHE_OFF;
}

static struct flow *
numbered(unsigned i, struct flow *const *deps, unsigned n)
{
	char name[32];

	snprintf(name, sizeof name, "e%u", i);
	return n_execv(&w, name, 1, deps, n);
}

static void
run(struct flow *root, unsigned execs)
{
	world_run(&w, root);
	assert_ok(w.err);
	assert_int_equal(w.stats.execs, execs);
	assert_int_equal(w.fake.nstarted, execs);
}

static void
test_merge(unused_arg void **state)
{
	begin();
	for (unsigned i = 0; i < MANY; i++)
		v[i] = numbered(i, NULL, 0);
	run(n_k(&w, "all", k_list, v, MANY, NULL), MANY);
	assert_int_equal(value_len(w.value), MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(value_at(w.value, i), v[i]->value);
	world_release(&w);
}

/* One command that reads all of them. */
static void
test_merge_by_exec(unused_arg void **state)
{
	struct flow *list;

	begin();
	for (unsigned i = 0; i < MANY / 2; i++)
		v[i] = numbered(i, NULL, 0);
	list = n_k(&w, "all", k_list, v, MANY / 2, NULL);
	run(n_exec(&w, "merge", 1, 1, list), MANY / 2 + 1);
	world_release(&w);
}

static void
test_chain(unused_arg void **state)
{
	begin();
	for (unsigned i = 0; i < MANY; i++)
		v[i] = numbered(i, v + i - (i > 0), i > 0);
	run(v[MANY - 1], MANY);
	world_release(&w);
}

/* Two ways at each of 50,000 levels. */
static void
test_diamonds(unused_arg void **state)
{
	begin();
	for (unsigned i = 0; i < MANY; i++)
		v[i] = i < 2 ? numbered(i, NULL, 0) : numbered(i, v + i - i % 2 - 2, 2);
	run(n_k(&w, "both", k_list, v + MANY - 2, 2, NULL), MANY);
	world_release(&w);
}

static unsigned grown;

/* Each result becomes a list of ten more execs, until there are enough. */
static struct err *
k_grow(struct world *world, struct value *const *in, size_t n, struct value **out)
{
	struct value *parts[10];

	assert_int_equal(n, 1);
	for (unsigned i = 0; i < 10; i++) {
		struct flow *f = numbered(grown++, &(struct flow *){ flow_val(world->graph, value_ref(in[0])) }, 1);
		char name[32];

		snprintf(name, sizeof name, "grow%u", grown);
		if (grown < MANY / 20)
			f = n_k(world, name, k_grow, &f, 1, NULL);
		parts[i] = value_flow(f);
	}
	*out = value_list(parts, 10);
	return NULL;
}

static size_t
count_files(const struct value *value)
{
	size_t n = 0;

	if (value_kind(value) != VAL_LIST)
		return 1;
	for (size_t i = 0; i < value_len(value); i++)
		n += count_files(value_at(value, i));
	return n;
}

static void
test_growth(unused_arg void **state)
{
	struct flow *first;

	begin();
	grown = 0;
	first = numbered(grown++, NULL, 0);
	world_run(&w, n_k(&w, "grow", k_grow, &first, 1, NULL));
	assert_ok(w.err);
	assert_int_equal(w.stats.execs, grown);
	assert_int_equal(w.fake.nstarted, grown);
	assert_true(grown > MANY / 20);
	/* Each node of the tree but its leaves is an exec that gave ten. */
	assert_int_equal(10 * (grown - count_files(w.value)), grown - 1);
	world_release(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_merge_by_exec),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_diamonds),
		cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
