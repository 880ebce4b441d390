/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* It looks for inputs and outputs, and keeps a log of what is done. */
static void
write_makeflow(const char *path)
{
	FILE *f = create(path);

	for (unsigned i = 0; i < bench.n; i++)
		fprintf(f, "%u:\n\tbash -e -o pipefail -c 'echo %u > %u'\n\n", i, i, i);
	fputs("all:", f);
	for (unsigned i = 0; i < bench.n; i++)
		fprintf(f, " %u", i);
	fprintf(f, "\n\tbash -e -o pipefail -c 'cat $(seq 0 %u) > all'\n", bench.n - 1);
	fclose(f);
}

/* Its own shell is `bash -euo pipefail`. */
static void
write_snakefile(const char *path)
{
	FILE *f = create(path);

	fprintf(f, "rule all:\n    input: expand(\"f{i}\", i=range(%u))\n    output: \"all\"\n"
		   "    shell: \"cat $(seq -f f%%.0f 0 %u) > all\"\n"
		   "rule echo:\n    output: \"f{i}\"\n    shell: \"echo {wildcards.i} > {output}\"\n", bench.n, bench.n - 1);
	fclose(f);
}

static void
write_cwl(const char *path)
{
	FILE *f = create(path);

	fputs("cwlVersion: v1.2\nclass: Workflow\n"
	      "requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}\n"
	      "inputs: []\noutputs: {all: {type: File, outputSource: join/out}}\nsteps:\n  echo:\n    scatter: i\n    in:\n"
	      "      i: {default: [0", f);
	for (unsigned i = 1; i < bench.n; i++)
		fprintf(f, ", %u", i);
	fputs("]}\n    out: [out]\n    run:\n      class: CommandLineTool\n"
	      "      baseCommand: [bash, -e, -o, pipefail, -c]\n      arguments: ['echo $0']\n"
	      "      inputs: {i: {type: int, inputBinding: {position: 1}}}\n      stdout: out\n"
	      "      outputs: {out: {type: stdout}}\n"
	      "  join:\n    in: {parts: echo/out}\n    out: [out]\n    run:\n      class: CommandLineTool\n"
	      "      baseCommand: cat\n      inputs: {parts: {type: 'File[]', inputBinding: {position: 1}}}\n      stdout: all\n"
	      "      outputs: {out: {type: stdout}}\n", f);
	fclose(f);
}

#define ARGS 10

static const struct peer {
	const char *tool, *file;
	void	  (*write)(const char *path);
	const char *argv[ARGS];	/* in its folder; JOBS is how many at once */
} peers[] = {
	{ "make", "Makefile", write_makefile, { "make", "-j", "JOBS" } },
	{ "ninja", "build.ninja", write_ninja, { "ninja", "-j", "JOBS" } },
	{ "makeflow", "Makeflow", write_makeflow, { "/usr/bin/makeflow", "-T", "local", "-j", "JOBS", "Makeflow" } },
	{ "snakemake", "Snakefile", write_snakefile, { "snakemake", "--nolock", "-j", "JOBS", "all", "-q" } },
	{ "cwltool", "all.cwl", write_cwl, { "cwltool", "--quiet", "--parallel", "all.cwl" } },
};

static void
run_peer(const struct peer *p, unsigned round, double bare)
{
	char *folder = xasprintf("%s/%s-%u", bench.work, p->tool, round), *path = xasprintf("%s/%s", folder, p->file);
	char *jobs = xasprintf("%u", bench.jobs);
	const char *argv[ARGS] = { NULL };
	double began;

	if (mkdir(folder, 0700) == -1 || chdir(folder) == -1)
		die(folder);
	p->write(path);
	for (int i = 0; i < ARGS - 1 && p->argv[i] != NULL; i++)
		argv[i] = strcmp(p->argv[i], "JOBS") == 0 ? jobs : p->argv[i];
	began = now();
	wait_for(start(argv, clean_env, "/dev/null", "log"), p->tool);
	printf("      %s: %.3f s, x %.2f wall\n", p->tool, now() - began, (now() - began) / bare);
	fflush(stdout);
	if (access("all", R_OK) == -1)
		die("all");
	if (chdir("/") == -1)
		die("/");
	free(folder);
	free(path);
	free(jobs);
}

void
run_peers(unsigned round, double bare)
{
	for (size_t i = 0; i < nitems(peers); i++) {
		if (is_there(peers[i].tool))
			run_peer(&peers[i], round, bare);
	}
}
