/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"

/*
 * cold: nothing is known, all is done. The bare loop's own CPU counts as that of weir does. Where weir's goes is told
 * by process: `weir` is the controller, `keeper` the keeper with its slot workers and the writer of the databases.
 */
static double
micros(double seconds)
{
	return seconds / bench.n * 1e6;
}

static void
print_round(unsigned r, const struct cost *bare, const struct cost *weir)
{
	printf("%5u %8.3f %8.3f %8.3f %8.3f %6.2f %6.2f %8.1f %8.1f %8.1f\n", r + 1, bare->wall, weir->wall, bare->cpu, weir->cpu,
	    weir->wall / bare->wall, weir->cpu / bare->cpu, micros(weir->weir), micros(weir->journal),
	    micros(weir->keeper));
	fflush(stdout);
}

int
bench_cold(void)
{
	double *wall = xcalloc(bench.rounds, sizeof *wall), *cpu = xcalloc(bench.rounds, sizeof *cpu);

	printf("cold: %u commands `echo i > out` and a join of them, start to end of weir run on a new root, against a loop of "
	       "posix_spawn\n", bench.n);
	printf("%5s %8s %8s %8s %8s %6s %6s %8s %8s %8s\n", "round", "bare s", "weir s", "bare cpu", "weir cpu", "x wall", "x cpu",
	    "weir us", "jrnl us", "keepr us");
	for (unsigned r = 0; r < bench.rounds; r++) {
		struct cost bare, weir;

		/* Each goes first in every other round. */
		if (r % 2 == 0) {
			bare = run_bare(r);
			weir = run_cold(r);
		} else {
			weir = run_cold(r);
			bare = run_bare(r);
		}
		wall[r] = weir.wall / bare.wall;
		cpu[r] = weir.cpu / bare.cpu;
		print_round(r, &bare, &weir);
		if (bench.peers)
			run_peers(r, bare.wall);
	}
	printf("median: x %.2f wall, x %.2f cpu\n", median(wall, bench.rounds), median(cpu, bench.rounds));
	free(wall);
	free(cpu);
	return 0;
}
