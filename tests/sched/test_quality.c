/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <glob.h>
#include <math.h>

#include "base/attr.h"
#include "loop/loop.h"
#include "tests/sched/list.h"
#include "tests/sched/play.h"

/*
 * What the scheduler's choices are worth, on a virtual clock, where a ratio is the same each time and can be asserted:
 * makespans against list schedules that know all durations, what large execs wait, what runs get of the host.
 * weir-bench sched prints the same for as many flows as one likes.
 */

struct sum {
	unsigned n, within;	/* within 1.1 */
	double	 sum, most;
};

static double
ratio(const struct flow_case *const *flows, unsigned n, enum list_order order)
{
	struct play_run runs[4] = { { NULL } };
	double ours, list = list_makespan(flows, n, flows[0]->host, order);

	for (unsigned i = 0; i < n; i++)
		runs[i].flow = flows[i];
	ours = (double)play(flows[0]->host, runs, n);
	assert_true(ours >= list_lower_bound(flows, n, flows[0]->host) * (1 - 1e-9));
	play_release(runs, n);
	return ours / list;
}

static void
sum_add(struct sum *s, double r)
{
	s->n++;
	s->within += r <= 1.1;
	s->sum += r;
	s->most = fmax(s->most, r);
}

static void
assert_sum(const struct sum *s, const char *name, double mean, double within, double most)
{
	print_message("%s: %u flows, mean %.3f, %u within 1.1, most %.3f\n", name, s->n, s->sum / s->n, s->within, s->most);
	assert_true(s->sum <= mean * s->n);
	assert_true(s->within >= within * s->n);
	assert_true(s->most <= most);
}

/*
 * Of random flows the mean is within 1.1, for each shape. Those beyond have one straggler among many alike, which
 * only he puts first who knows it beforehand.
 */
static void
test_makespan(unused_arg void **state)
{
	for (unsigned s = 0; s < NSHAPES; s++) {
		struct sum sum = { 0, 0, 0, 0 };

		for (unsigned i = 0; i < 30; i++) {
			struct flow_case c;

			flow_case_make(&c, 1 + i * NSHAPES + s, s, NULL);
			sum_add(&sum, ratio((const struct flow_case *[]){ &c }, 1, LIST_CRITICAL));
			flow_case_release(&c);
		}
		assert_sum(&sum, flow_shape_name(s), 1.1, 0.7, 1.7);
	}
}

static void
test_makespan_of_several_runs(unused_arg void **state)
{
	struct sum sum = { 0, 0, 0, 0 };

	for (unsigned i = 0; i < 60; i++) {
		struct flow_case c[3];

		for (unsigned k = 0; k < 3; k++)
			flow_case_make(&c[k], 5000 + 3 * i + k, SHAPE_ANY, k ? c[0].host : NULL);
		sum_add(&sum, ratio((const struct flow_case *[]){ &c[0], &c[1], &c[2] }, 3, LIST_CRITICAL));
		for (unsigned k = 0; k < 3; k++)
			flow_case_release(&c[k]);
	}
	assert_sum(&sum, "three at once", 1.1, 0.7, 1.7);
}

/* Whoever goes by the order in which execs became ready leaves the chain for last. */
static void
test_a_chain_beside_a_wide_map(unused_arg void **state)
{
	struct flow_case c = { .host = { 8, 1e10, 0 } };
	const struct flow_case *v = &c;
	double amount[NAMOUNTS] = { 1, 1e9, 0 };
	uint64_t rng = 1;
	unsigned at = 0;

	for (unsigned i = 0; i < 400; i++)
		flow_case_add(&c, "map", i, (int64_t)(1e9 * (5 + 10 * flow_uniform(&rng))), amount, NULL, 0);
	for (unsigned i = 0; i < 40; i++)
		at = flow_case_add(&c, "link", i, SECONDS(10), amount, &at, i ? 1 : 0);
	assert_true(ratio(&v, 1, LIST_CRITICAL) <= 1.1);
	assert_true(ratio(&v, 1, LIST_FIFO) <= 0.7);
	flow_case_release(&c);
}

static void
test_recorded_flows(unused_arg void **state)
{
	const char *srcdir = getenv("srcdir");
	char *pattern = xasprintf("%s/tests/sched/flows/*.flow", srcdir ? srcdir : "..");
	glob_t g;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= 2);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		struct flow_case c;
		const struct flow_case *v = &c;
		double r;

		assert_ok(flow_case_read(&c, g.gl_pathv[i]));
		r = ratio(&v, 1, LIST_CRITICAL);
		print_message("%s: %u execs, %.3f\n", c.name, c.n, r);
		assert_true(r <= 1.1);
		flow_case_release(&c);
	}
	globfree(&g);
	free(pattern);
}

static void
test_a_bad_recording(unused_arg void **state)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/x.flow", dir), *text;
	struct flow_case c;
	FILE *f = fopen(path, "w");

	fputs("host cpu=4,mem=1GiB\n# fine\ntask a 1 cpu=1\ntask b 1 cpu=1 c\n", f);
	fclose(f);
	text = xasprintf("%s line 4: invalid: b waits for c, which is not above it", path);
	assert_err(flow_case_read(&c, path), text);
	free(text);
	free(path);
	temp_dir_free(dir);
}

/* Large execs among small ones that never end: how long they wait, in times that the whole alloc is used. */
static double
longest_wait(uint64_t seed, bool same_run)
{
	struct flow_case small = { .host = { 4 << (seed % 4), 64e9, 0 } }, large = small;
	struct play_run runs[2] = { { .flow = &small }, { .flow = &large, .arrives = SECONDS(100) } };
	double one[NAMOUNTS] = { 1, 1e9, 0 }, big[NAMOUNTS] = { 0, 1e9, 0 }, most = 0, work = 0;
	uint64_t rng = seed;
	unsigned n = (unsigned)small.host[CPU] * 60;

	big[CPU] = ceil(small.host[CPU] * (0.5 + 0.5 * flow_uniform(&rng)));
	for (unsigned i = 0; i < n; i++) {
		int64_t ns = (int64_t)(1e9 * (5 + 15 * flow_uniform(&rng)));

		flow_case_add(&small, "small", i, ns, one, NULL, 0);
		work += (double)ns / n;
	}
	for (unsigned i = 0; i < 5; i++)
		flow_case_add(same_run ? &small : &large, "large", i, SECONDS(12), big, NULL, 0);
	play(small.host, runs, same_run ? 1 : 2);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < runs[k].flow->n && (k == 0 || !same_run); i++)
			if (runs[k].flow->tasks[i].name[0] == 'l')
				most = fmax(most, (double)(runs[k].ended[i] - SECONDS(12) - runs[k].submitted[i]));
	play_release(runs, same_run ? 1 : 2);
	flow_case_release(&small);
	flow_case_release(&large);
	return most / work;
}

/* Five in turn; the stream is sixty times the alloc. Each is passed by four, and the alloc runs empty once before it. */
static void
test_no_starvation(unused_arg void **state)
{
	for (unsigned same = 0; same < 2; same++) {
		double most = 0;

		for (uint64_t seed = 1; seed <= 40; seed++)
			most = fmax(most, longest_wait(seed, same));
		print_message("%s run: the fifth large exec waited for %.1f times the alloc\n", same ? "same" : "another", most);
		assert_true(most <= 5 * 7);
	}
}

static void
make_backlog(struct flow_case *c, uint64_t *rng, double seconds)
{
	double amount[NAMOUNTS] = { 0 }, mean = 5 * exp(2 * flow_uniform(rng)), work = 0;

	amount[CPU] = fmax(0.5, floor(c->host[CPU] * pow(2, -1 - 3 * flow_uniform(rng))));
	amount[MEM] = floor(c->host[MEM] * pow(2, -1 - 3 * flow_uniform(rng)));
	for (unsigned i = 0; work < seconds; i++) {
		double s = mean * (0.5 + flow_uniform(rng));
		unsigned t = flow_case_add(c, "x", i, (int64_t)(s * 1e9), amount, NULL, 0);

		work += s * flow_share(&c->tasks[t], c->host);
	}
}

/* How far from the mean of all a run is, while each has something waiting. */
static double
unfairness(uint64_t seed)
{
	struct flow_case c[5];
	struct play_run runs[5] = { { NULL } };
	uint64_t rng = seed;
	unsigned n = 2 + seed % 4;
	int64_t from = 0, to = INT64_MAX;
	double held[5], sum = 0, most = 0;

	for (unsigned k = 0; k < n; k++) {
		c[k] = (struct flow_case){ .host = { 32, 128e9, 0 } };
		make_backlog(&c[k], &rng, 12000);
		runs[k] = (struct play_run){ .flow = &c[k], .arrives = (int64_t)(1e9 * 200 * flow_uniform(&rng)) };
		from = runs[k].arrives > from ? runs[k].arrives : from;
	}
	play(c[0].host, runs, n);
	for (unsigned k = 0; k < n; k++) {
		int64_t last = 0;

		for (unsigned i = 0; i < c[k].n; i++)
			last = runs[k].ended[i] - c[k].tasks[i].ns > last ? runs[k].ended[i] - c[k].tasks[i].ns : last;
		to = last < to ? last : to;
	}
	for (unsigned k = 0; k < n; k++)
		sum += held[k] = play_held(&runs[k], c[0].host, from, to);
	for (unsigned k = 0; k < n; k++) {
		most = fmax(most, fabs(held[k] * n / sum - 1));
		flow_case_release(&c[k]);
	}
	play_release(runs, n);
	return most;
}

static void
test_fairness(unused_arg void **state)
{
	double most = 0;

	for (uint64_t seed = 1; seed <= 30; seed++)
		most = fmax(most, unfairness(seed));
	print_message("30 sets of runs: at most %.1f %% from the mean\n", 100 * most);
	assert_true(most <= 0.05);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_makespan),
		cmocka_unit_test(test_makespan_of_several_runs),
		cmocka_unit_test(test_a_chain_beside_a_wide_map),
		cmocka_unit_test(test_recorded_flows),
		cmocka_unit_test(test_a_bad_recording),
		cmocka_unit_test(test_no_starvation),
		cmocka_unit_test(test_fairness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
