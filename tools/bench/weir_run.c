/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
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

static struct cost last;	/* what the last run used itself, and its journal */

static int
wait_weir(pid_t pid)
{
	struct rusage u;
	siginfo_t info;
	int got;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == -1 && errno == EINTR)
		;
	last.weir = process_cpu(pid);
	while (wait4(pid, &got, 0, &u) == -1 && errno == EINTR)
		;
	last.cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	last.journal = last.cpu - last.weir;
	return got;
}

double
run_weir_args(const char *root, const char *const argv[], const char *err)
{
	double began;
	pid_t pid;
	int got;

	began = now();
	pid = start(argv, weir_env(root), "/dev/null", err);
	got = wait_weir(pid);
	began = now() - began;
	must_succeed(got, "weir run");
	return began;
}

double
run_weir(const char *root, const char *level, bool cache, const char *program, const char *err)
{
	const char *argv[16];
	char n[16];
	int a = 0;

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
	return run_weir_args(root, argv, err);
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
	wait_for(start(argv, weir_env(root), "/dev/null", "/dev/null"), "weir-keeper");
}

struct cost
run_cold(unsigned round)
{
	struct cost c = { 0 };
	double cpu = children_cpu();
	char *root = root_of(round);

	if (!bench.isolate)
		start_keeper(root);
	c.wall = run_weir(root, "error", true, bench.program, "/dev/null");
	c.weir = last.weir;
	c.journal = last.journal;
	c.keeper = keepers_cpu();
	reap_all();
	c.cpu = children_cpu() - cpu;
	free(root);
	return c;
}
