/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/xalloc.h"

/* The least that N commands cost: as many at once as weir may run, and nothing else. */
pid_t
start_bare(const char *folder, unsigned i)
{
	char *command = xasprintf("echo %u > %s/%u", i, folder, i);
	const char *argv[] = { "bash", "-e", "-o", "pipefail", "-c", command, NULL };
	pid_t pid = start(argv, clean_env, "/dev/null", "/dev/null");

	free(command);
	return pid;
}

/* And what all of them lead to. */
static void
join_bare(const char *folder)
{
	char *command = xasprintf("cd %s; cat $(seq 0 %u) > all", folder, bench.n - 1);
	const char *argv[] = { "bash", "-e", "-o", "pipefail", "-c", command, NULL };

	(void)start(argv, clean_env, "/dev/null", "/dev/null");
	wait_for(-1, "the bare loop");
	free(command);
}

struct cost
run_bare(unsigned round)
{
	char *folder = xasprintf("%s/bare-%u", bench.work, round);
	double wall, cpu = children_cpu() + own_cpu();
	unsigned running = 0;

	if (mkdir(folder, 0700) == -1)
		die(folder);
	wall = now();
	for (unsigned i = 0; i < bench.n; i++) {
		if (running == bench.jobs) {
			wait_for(-1, "the bare loop");
			running--;
		}
		(void)start_bare(folder, i);
		running++;
	}
	for (; running > 0; running--)
		wait_for(-1, "the bare loop");
	join_bare(folder);
	wall = now() - wall;
	free(folder);
	return (struct cost){ .wall = wall, .cpu = children_cpu() + own_cpu() - cpu };
}
