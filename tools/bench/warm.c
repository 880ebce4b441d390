/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"

int
bench_warm(void)
{
	double *wall = xcalloc(bench.rounds, sizeof *wall);
	char *root = root_of(0);

	(void)run_weir(root, "error", true, bench.program, "/dev/null");
	for (unsigned r = 0; r < bench.rounds; r++)
		wall[r] = run_weir(root, "error", true, bench.program, "/dev/null");
	printf("warm: a run of %u execs that are all known; median of %u\n", bench.n, bench.rounds);
	printf("%.1f ms, %.1f us an exec\n", median(wall, bench.rounds) * 1e3, wall[bench.rounds / 2] / bench.n * 1e6);
	free(wall);
	free(root);
	return 0;
}
