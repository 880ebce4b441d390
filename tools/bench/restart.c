/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/helper.h"
#include "base/xalloc.h"

/*
 * What N finished runs of 100 execs cost who comes later: a command that looks up, on plain journals and on packs.
 * What a reader would get wrong: the packs are made by the benchmark, with weir-compact in the foreground.
 */
static const char *environment[4];

static struct cost
cost_of(const char *const argv[])
{
	struct cost c = { now(), children_cpu() };

	wait_for(start(argv, environment, "/dev/null", "/dev/null"), argv[0]);
	c.wall = now() - c.wall;
	c.cpu = children_cpu() - c.cpu;
	return c;
}

static void
measure(const char *name, const char *const argv[])
{
	double *wall = xcalloc(bench.rounds, sizeof *wall), *cpu = xcalloc(bench.rounds, sizeof *cpu);

	for (unsigned r = 0; r < bench.rounds; r++) {
		struct cost c = cost_of(argv);

		wall[r] = c.wall;
		cpu[r] = c.cpu;
	}
	printf("%-24s %.3f s, %.3f s of CPU\n", name, median(wall, bench.rounds), median(cpu, bench.rounds));
	free(wall);
	free(cpu);
}

int
bench_restart(void)
{
	char *maker = helper_path("tests/run/make_runs"), *compact = helper_path("weir-compact");
	char *root = root_of(0), *variable = xasprintf("WEIR_ROOT=%s", root), n[16];
	const char *const make[] = { maker, root, n, "100", NULL }, *const pack[] = { compact, root, NULL };
	const char *const ps[] = { bench.weir, "ps", "-a", NULL }, *const info[] = { bench.weir, "info", "last", NULL };

	snprintf(n, sizeof n, "%u", bench.n);
	environment[0] = variable;
	environment[1] = clean_env[0];
	environment[2] = clean_env[1];
	(void)cost_of(make);
	printf("restart: %u finished runs of 100 execs; median of %u\n", bench.n, bench.rounds);
	measure("ps -a, plain journals", ps);
	measure("info last, plain", info);
	printf("%-24s %.3f s of CPU\n", "weir-compact", cost_of(pack).cpu);
	measure("ps -a, packed", ps);
	measure("info last, packed", info);
	free(maker);
	free(compact);
	free(root);
	free(variable);
	return 0;
}
