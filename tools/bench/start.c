/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"

int
bench_start(void)
{
	double *bare = xcalloc(bench.rounds, sizeof *bare), *weir = xcalloc(bench.rounds, sizeof *weir);
	char *root = root_of(0);

	if (!bench.isolate)
		start_keeper(root);
	(void)run_weir(root, "error", false, bench.one, "/dev/null");	/* starts the keeper */
	for (unsigned r = 0; r < bench.rounds; r++) {
		double began = now();

		wait_for(start_bare(bench.work, r), "the bare command");
		bare[r] = now() - began;
		weir[r] = run_weir(root, "error", false, bench.one, "/dev/null");
	}
	printf("start: one exec, start to end of weir run with its keeper there; median of %u\n", bench.rounds);
	printf("bare %.1f ms, weir %.1f ms\n", median(bare, bench.rounds) * 1e3, median(weir, bench.rounds) * 1e3);
	free(bare);
	free(weir);
	free(root);
	return 0;
}
