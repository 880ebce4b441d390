/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "sched/fit.h"

/* The tree against a plain search, in a long random history. */

#define N 300

static unsigned state_of;

static unsigned
draw(unsigned n)
{
	state_of = state_of * 1664525 + 1013904223;
	return (state_of >> 8) % n;
}

struct set {
	struct fit  nodes[N];
	bool	    in[N];
	struct fit *root;
	uint64_t    seq;
	unsigned    calls;
};

static void
amounts(double *v)
{
	for (unsigned d = 0; d < FIT_DIMS; d++)
		v[d] = draw(d == 3 ? 2 : 20);
}

static bool
within(const double *amount, const double *limit)
{
	for (unsigned d = 0; d < FIT_DIMS; d++)
		if (amount[d] > limit[d])
			return false;
	return true;
}

static struct fit *
plain(struct set *s, const double *limit, fit_ok *ok)
{
	struct fit *best = NULL;

	for (unsigned i = 0; i < N; i++)
		if (s->in[i] && (!limit || within(s->nodes[i].own, limit)) && (!ok || ok(&s->nodes[i], NULL)) &&
		    (!best || fit_before(&s->nodes[i], best)))
			best = &s->nodes[i];
	return best;
}

static bool
odd(struct fit *f, unused_arg void *arg)
{
	return f->seq % 2 == 1;
}

static void
step(struct set *s)
{
	unsigned i = draw(N);
	struct fit *f = &s->nodes[i];
	double limit[FIT_DIMS];

	if (s->in[i] && draw(3) == 0) {
		amounts(f->own);
		fit_changed(s->root, f);
	} else if (s->in[i]) {
		fit_remove(&s->root, f);
		s->in[i] = false;
	} else {
		f->key = draw(10);
		f->tie = draw(3);
		f->seq = ++s->seq;
		amounts(f->own);
		fit_insert(&s->root, f);
		s->in[i] = true;
	}
	amounts(limit);
	assert_ptr_equal(fit_min(s->root), plain(s, NULL, NULL));
	assert_ptr_equal(fit_first(s->root, limit, NULL, NULL), plain(s, limit, NULL));
	assert_ptr_equal(fit_first(s->root, limit, odd, NULL), plain(s, limit, odd));
}

static void
test_against_a_plain_search(unused_arg void **state)
{
	static struct set s;

	for (int i = 0; i < 20000; i++)
		step(&s);
	for (unsigned i = 0; i < N; i++)
		if (s.in[i])
			fit_remove(&s.root, &s.nodes[i]);
	assert_null(s.root);
}

static unsigned
depth(const struct fit *f)
{
	unsigned l = f ? depth(f->left) : 0, r = f ? depth(f->right) : 0;

	return f ? 1 + (l > r ? l : r) : 0;
}

/* Also when they come in order. */
static void
test_depth(unused_arg void **state)
{
	enum { MANY = 1 << 16 };
	struct fit *nodes = xcalloc(MANY, sizeof *nodes), *root = NULL;

	for (unsigned i = 0; i < MANY; i++) {
		nodes[i].seq = i + 1;
		fit_insert(&root, &nodes[i]);
	}
	assert_in_range(depth(root), 16, 50);
	free(nodes);
}

/* Ten tenths are one. */
static void
test_slack(unused_arg void **state)
{
	double limit[FIT_DIMS] = { 1 }, want[FIT_DIMS] = { 0.1 };

	for (int i = 0; i < 9; i++)
		limit[0] -= 0.1;
	assert_true(fit_within(want, limit));
	want[0] += 1e-6;
	assert_false(fit_within(want, limit));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_plain_search),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_slack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
