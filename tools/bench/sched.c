/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/xalloc.h"
#include "tests/sched/flows.h"
#include "tests/sched/list.h"
#include "tests/sched/play.h"

/*
 * How good the scheduler's choices are: the real scheduler on a virtual clock, on flows that are made of seeds, alone
 * and several at once, and on recorded ones. Ratios of makespans: to the list schedule by critical path, which knows
 * every duration; to the best of four such schedules; and to the lower bound, which no schedule may reach.
 */
enum { BOUND, BEST, LOWER, FIFO, NRATIOS };
struct figures {
	double	*v[NRATIOS];
	unsigned n;
};

static void
figures_add(struct figures *f, const double *ratio)
{
	for (unsigned k = 0; k < NRATIOS; k++) {
		f->v[k] = xreallocarray(f->v[k], f->n + 1, sizeof *f->v[k]);
		f->v[k][f->n] = ratio[k];
	}
	f->n++;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
figures_print(struct figures *f, const char *name)
{
	printf("%-14s %5u", name, f->n);
	for (unsigned k = 0; k < NRATIOS; k++) {
		double sum = 0;
		unsigned within = 0;

		qsort(f->v[k], f->n, sizeof *f->v[k], compare);
		for (unsigned i = 0; i < f->n; i++) {
			sum += f->v[k][i];
			within += f->v[k][i] <= 1.1;
		}
		printf(" |%6.3f %5.3f %5.3f %5.3f", sum / f->n, f->v[k][f->n / 2], f->v[k][f->n * 95 / 100], f->v[k][f->n - 1]);
		if (k == BOUND)
			printf(" %3.0f%%", 100.0 * within / f->n);
		free(f->v[k]);
	}
	printf("\n");
}

static void
measure(struct figures *to, struct figures *all, const struct flow_case *const *flows, unsigned n)
{
	const double *host = flows[0]->host;
	struct play_run *runs = xcalloc(n, sizeof *runs);
	double ours, list[NLISTS], best = INFINITY, ratio[NRATIOS];

	for (unsigned i = 0; i < n; i++)
		runs[i].flow = flows[i];
	ours = (double)play(host, runs, n);
	for (unsigned o = 0; o < NLISTS; o++)
		best = fmin(best, list[o] = list_makespan(flows, n, host, o));
	ratio[BOUND] = ours / list[LIST_CRITICAL];
	ratio[BEST] = ours / best;
	ratio[LOWER] = ours / list_lower_bound(flows, n, host);
	ratio[FIFO] = ours / list[LIST_FIFO];
	figures_add(to, ratio);
	if (all)
		figures_add(all, ratio);
	play_release(runs, n);
	free(runs);
}

static void
random_flows(unsigned n, struct figures *all)
{
	for (unsigned s = 0; s < NSHAPES; s++) {
		struct figures f = { .n = 0 };

		for (unsigned i = 0; i < n / NSHAPES; i++) {
			struct flow_case c;

			flow_case_make(&c, 1 + i * NSHAPES + s, s, NULL);
			measure(&f, all, (const struct flow_case *[]){ &c }, 1);
			flow_case_release(&c);
		}
		figures_print(&f, flow_shape_name(s));
	}
}

/* Two to four at once, on the first one's host. */
static void
several_flows(unsigned n, struct figures *all)
{
	struct figures f = { .n = 0 };

	for (unsigned i = 0; i < n; i++) {
		struct flow_case c[4];
		const struct flow_case *v[4];
		unsigned many = 2 + i % 3;

		for (unsigned k = 0; k < many; k++) {
			flow_case_make(&c[k], 100000 + 4 * i + k, SHAPE_ANY, k ? c[0].host : NULL);
			v[k] = &c[k];
		}
		measure(&f, all, v, many);
		for (unsigned k = 0; k < many; k++)
			flow_case_release(&c[k]);
	}
	figures_print(&f, "several runs");
}

static int
recorded_flows(void)
{
	glob_t g;
	int code = 0;

	if (glob("tests/sched/flows/*.flow", 0, NULL, &g) != 0 && glob("../tests/sched/flows/*.flow", 0, NULL, &g) != 0)
		return 0;
	for (size_t i = 0; i < g.gl_pathc && code == 0; i++) {
		struct figures f = { .n = 0 };
		struct flow_case c;
		struct err *err = flow_case_read(&c, g.gl_pathv[i]);

		if (err) {
			char *s = err_str(err);

			fprintf(stderr, "weir-bench: %s\n", s);
			free(s);
			err_free(err);
			code = 1;
			continue;
		}
		measure(&f, NULL, (const struct flow_case *[]){ &c }, 1);
		figures_print(&f, c.name);
		flow_case_release(&c);
	}
	globfree(&g);
	return code;
}

int
bench_sched(void)
{
	struct figures all = { .n = 0 };

	printf("makespan over: the list schedule by critical path | the best of four lists | the lower bound | the FIFO list\n"
	    "each: mean, median, 95 of 100, most; of the first also how many are within 1.1\n");
	random_flows(bench.n, &all);
	several_flows(bench.n / NSHAPES, &all);
	figures_print(&all, "all");
	return recorded_flows();
}
