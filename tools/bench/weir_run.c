/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/xalloc.h"

/* `weir run` on the root of a round, from the start of the process to its end. */
static const char **
weir_env(const char *root)
{
	static const char *vars[4];
	static char *variable;

	free(variable);
	vars[0] = variable = xasprintf("WEIR_ROOT=%s", root);
	vars[1] = clean_env[0];
	vars[2] = clean_env[1];
	return vars;
}

/* From the start of the process to its end; err: what it has said. */
double
run_weir(const char *root, const char *level, bool cache, const char *program, const char *err)
{
	const char *argv[16];
	char n[16];
	double began;
	int a = 0, got;
	pid_t pid;

	snprintf(n, sizeof n, "%u", bench.n);
	argv[a++] = bench.weir;
	argv[a++] = "run";
	argv[a++] = "--log";
	argv[a++] = level;
	if (!cache)
		argv[a++] = "--no-cache";
	argv[a++] = program;
	if (program == bench.program) {
		argv[a++] = "-n";
		argv[a++] = n;
	}
	argv[a] = NULL;
	began = now();
	pid = start(argv, weir_env(root), "/dev/null", err);
	while (waitpid(pid, &got, 0) == -1 && errno == EINTR)
		;
	began = now() - began;
	must_succeed(got, "weir run");
	return began;
}

char *
root_of(unsigned round)
{
	return xasprintf("%s/root-%u", bench.work, round);
}

/* A keeper that is there before the run decides how execs are run. */
void
start_keeper(const char *root)
{
	const char *argv[] = { bench.keeper, "--root", root, "--no-isolation", NULL };

	if (mkdir(root, 0700) == -1)
		die(root);
	(void)start(argv, weir_env(root), "/dev/null", "/dev/null");
	wait_one("weir-keeper");
}
