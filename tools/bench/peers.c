/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/xalloc.h"

/*
 * The same commands through tools that keep no results by content. Their files are written before the clock starts. One
 * that is not installed is left out.
 */
static bool
is_there(const char *tool)
{
	char *command = xasprintf("command -v %s >/dev/null", tool);
	int rc = system(command);

	free(command);
	return rc == 0;
}

static FILE *
create(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		die(path);
	return f;
}

static void
write_makefile(const char *path)
{
	FILE *f = create(path);

	fprintf(f, "SHELL := /bin/bash\n.SHELLFLAGS := -e -o pipefail -c\n.SUFFIXES:\nP := $(shell seq 0 %u)\n"
		   "all: $(P)\n\tcat $(sort $^) > all\n", bench.n - 1);
	for (unsigned i = 0; i < bench.n; i++)
		fprintf(f, "%u:\n\techo %u > %u\n", i, i, i);
	fclose(f);
}

/* ninja asks /bin/sh, which is given nothing to do but to become bash. */
static void
write_ninja(const char *path)
{
	FILE *f = create(path);

	fputs("rule echo\n  command = exec bash -e -o pipefail -c 'echo $out > $out'\n"
	      "rule join\n  command = exec bash -e -o pipefail -c 'cat $$(seq 0 ", f);
	fprintf(f, "%u) > $out'\n", bench.n - 1);
	for (unsigned i = 0; i < bench.n; i++)
		fprintf(f, "build %u: echo\n", i);
	fputs("build all: join", f);
	for (unsigned i = 0; i < bench.n; i++)
		fprintf(f, " %u", i);
	fputs("\ndefault all\n", f);
	fclose(f);
}

static void
run_peer(const char *tool, const char *file, void (*write)(const char *), unsigned round, double bare)
{
	char *folder = xasprintf("%s/%s-%u", bench.work, tool, round), *path = xasprintf("%s/%s", folder, file);
	char *jobs = xasprintf("-j%u", bench.jobs);
	const char *argv[] = { tool, "-C", folder, jobs, NULL };
	double began;

	if (is_there(tool)) {
		if (mkdir(folder, 0700) == -1)
			die(folder);
		write(path);
		began = now();
		(void)start(argv, clean_env, "/dev/null", "/dev/null");
		wait_one(tool);
		printf("      %s: %.3f s, x %.2f wall\n", tool, now() - began, (now() - began) / bare);
		fflush(stdout);
	}
	free(folder);
	free(path);
	free(jobs);
}

void
run_peers(unsigned round, double bare)
{
	run_peer("make", "Makefile", write_makefile, round, bare);
	run_peer("ninja", "build.ninja", write_ninja, round, bare);
}
