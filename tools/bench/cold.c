/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"

static struct cost
run_cold(unsigned round)
{
	char *root = root_of(round);
	double cpu = children_cpu(), wall;

	if (!bench.isolate)
		start_keeper(root);
	wall = run_weir(root, "error", true, bench.program, "/dev/null");
	reap_all();
	free(root);
	return (struct cost){ wall, children_cpu() - cpu };
}

int
bench_cold(void)
{
	double *wall = xcalloc(bench.rounds, sizeof *wall), *cpu = xcalloc(bench.rounds, sizeof *cpu);

	printf("cold: %u execs `echo i > out`, start to end of weir run on a new root, against a loop of posix_spawn\n",
	    bench.n);
	printf("%5s %10s %10s %10s %10s %8s %8s\n", "round", "bare wall", "weir wall", "bare cpu", "weir cpu", "x wall",
	    "x cpu");
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
		printf("%5u %9.3fs %9.3fs %9.3fs %9.3fs %8.2f %8.2f\n", r + 1, bare.wall, weir.wall, bare.cpu, weir.cpu,
		    wall[r], cpu[r]);
		fflush(stdout);
	}
	printf("median: x %.2f wall, x %.2f cpu\n", median(wall, bench.rounds), median(cpu, bench.rounds));
	free(wall);
	free(cpu);
	return 0;
}
