/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/helper.h"
#include "base/log.h"
#include "base/xalloc.h"

/*
 * variants: commands that take as long as real ones do. What weir adds to each does not show any more; what does is
 * whether it keeps the cores as busy as make does. Both make the table; --data is a folder that the example's fetch made.
 */
static char *
source(const char *name)
{
	char *path = xasprintf("%s/%s", BENCH_SOURCE, name);

	if (access(path, R_OK) != 0)
		die(path);
	return path;
}

static double
run_make(unsigned round)
{
	char *folder = xasprintf("%s/make-%u", bench.work, round), *file = source("tools/bench/variants.mk");
	char *jobs = xasprintf("-j%u", bench.jobs), *genome = xasprintf("GENOME=%s/lambda_virus.fa", bench.data);
	char *reads = xasprintf("READS=%s/reads", bench.data);
	const char *argv[] = { "make", "-s", "-C", folder, jobs, "-f", file, genome, reads, NULL };
	double began;

	if (mkdir(folder, 0700) == -1)
		die(folder);
	began = now();
	wait_for(start(argv, clean_env, "/dev/null", "/dev/null"), "make");
	began = now() - began;
	free(folder);
	free(file);
	free(jobs);
	free(genome);
	free(reads);
	return began;
}

static double
run_variants(unsigned round)
{
	char *root = root_of(round), *program = source("examples/variants/variants.rf");
	char *genome = xasprintf("%s/lambda_virus.fa", bench.data), *reads = xasprintf("%s/reads", bench.data);
	const char *argv[] = { bench.weir, "run", "--log", "error", program, "-genome", genome, "-reads", reads, NULL };
	double wall = run_weir_args(root, argv, "/dev/null");

	reap_all();
	free(root);
	free(program);
	free(genome);
	free(reads);
	return wall;
}

int
bench_variants(void)
{
	double *x = xcalloc(bench.rounds, sizeof *x), make, weir;

	if (bench.data == NULL) {
		log_error("variants: --data DIR, a folder made by examples/variants/fetch DIR");
		return 2;
	}
	printf("variants: 12 commands, on a new root, against make -j%u\n%5s %9s %9s %8s\n", bench.jobs, "round", "make", "weir", "x");
	for (unsigned r = 0; r < bench.rounds; r++) {
		if (r % 2 == 0) {
			make = run_make(r);
			weir = run_variants(r);
		} else {
			weir = run_variants(r);
			make = run_make(r);
		}
		x[r] = weir / make;
		printf("%5u %8.3fs %8.3fs %8.3f\n", r + 1, make, weir, x[r]);
		fflush(stdout);
	}
	printf("median: x %.3f\n", median(x, bench.rounds));
	free(x);
	return 0;
}
