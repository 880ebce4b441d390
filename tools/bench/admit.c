/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/xalloc.h"
#include "sched/admit.h"

/*
 * What an admission costs, by the number of distinct shapes that wait: one exec ends, another that asks for as much
 * comes, and the next ones are chosen. Memory differs in every shape, as it does when it was learned from use; half of
 * them ask for more cores than are mostly free, and of these some for little memory, which is hard for a search.
 */

#define GIB (1024.0 * 1024 * 1024)

static double
thread_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned
draw(unsigned *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void
shape(unsigned i, struct resources *r)
{
	unsigned state = i * 2654435761u + 1;
	bool wide = draw(&state) % 2 == 0;

	resources_set(r, "cpu", wide ? 8 + draw(&state) % 8 : 1);
	resources_set(r, "mem", ((wide && draw(&state) % 2 == 0 ? 0.1 : 2) + draw(&state) % 65536 / 16384.0) * GIB + i);
}

static double
admissions(unsigned nshapes, unsigned n)
{
	struct resources total = RESOURCES_INIT, *shapes = xcalloc(nshapes, sizeof *shapes);
	unsigned nitems = nshapes + 256, running = 0, admitted = 0, state = 7;
	struct admit_item *items = xcalloc(nitems, sizeof *items), **run = xcalloc(nitems, sizeof(struct admit_item *)), *it;
	struct admit_run owner;
	struct admit *a;
	int64_t now = 0;
	double begun;

	resources_set(&total, "cpu", 32);
	resources_set(&total, "mem", 64 * GIB);
	a = admit_new(&total, 2, 64);
	admit_run_init(&owner);
	for (unsigned i = 0; i < nshapes; i++)
		shape(i, &shapes[i]);
	for (unsigned i = 0; i < nitems; i++)
		admit_push(a, now, &owner, &items[i], &shapes[i % nshapes], 0);
	begun = thread_seconds();
	while (admitted < n) {
		while ((it = admit_next(a, now)) != NULL) {
			run[running++] = it;
			admitted++;
		}
		now += 1000000000;
		for (unsigned k = draw(&state) % running;; k = (k + 1) % running) {
			if (run[k]->state != ADMIT_RUNNING)
				continue;
			it = run[k];
			run[k] = run[--running];
			admit_remove(a, now, it);
			admit_push(a, now, &owner, it, &shapes[(unsigned)(it - items) % nshapes], 0);
			break;
		}
	}
	begun = thread_seconds() - begun;
	for (unsigned i = 0; i < nitems; i++)
		admit_remove(a, now, &items[i]);
	admit_free(a);
	for (unsigned i = 0; i < nshapes; i++)
		resources_release(&shapes[i]);
	resources_release(&total);
	free(shapes);
	free(items);
	free(run);
	return begun / admitted;
}

int
bench_admit(void)
{
	for (unsigned nshapes = 1; nshapes <= bench.n; nshapes *= 10) {
		double *v = xcalloc(bench.rounds, sizeof *v);

		for (unsigned r = 0; r < bench.rounds; r++)
			v[r] = admissions(nshapes, 20000) * 1e9;
		printf("%6u shapes waiting: %6.0f ns an admission\n", nshapes, median(v, bench.rounds));
		free(v);
	}
	return 0;
}
