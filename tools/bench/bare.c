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

struct cost
run_bare(unsigned round)
{
	char *folder = xasprintf("%s/bare-%u", bench.work, round);
	double wall, cpu = children_cpu();
	unsigned running = 0;

	if (mkdir(folder, 0700) == -1)
		die(folder);
	wall = now();
	for (unsigned i = 0; i < bench.n; i++) {
		if (running == bench.jobs) {
			wait_one("the bare loop");
			running--;
		}
		(void)start_bare(folder, i);
		running++;
	}
	for (; running > 0; running--)
		wait_one("the bare loop");
	wall = now() - wall;
	free(folder);
	return (struct cost){ wall, children_cpu() - cpu };
}
