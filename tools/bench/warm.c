/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"

/*
 * A list of N execs that are all known, so that every node is visited: the whole process from source, and what is left of
 * it without what a run of one exec takes, which is what a node costs. Beside it make and ninja, on as many files that
 * are newer than what they depend on; a node of theirs is two looks at a time, and no content.
 */
static void
write_targets(const char *folder, unsigned n)
{
	char *make = xasprintf("%s/Makefile", folder), *ninja = xasprintf("%s/build.ninja", folder);
	FILE *m, *b;

	if (mkdir(folder, 0700) == -1 || chdir(folder) == -1)
		die(folder);
	write_file("in", "in\n");
	m = fopen(make, "w");
	b = fopen(ninja, "w");
	if (m == NULL || b == NULL)
		die(folder);
	fputs(".SUFFIXES:\nMAKEFLAGS += -r\nall:", m);
	/* A generator is not made anew for want of a note of how it was made. */
	fputs("rule echo\n  command = echo $out > $out\n  generator = 1\n", b);
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof name, "f%u", i);
		write_file(name, name);
		fprintf(m, " %s", name);
		fprintf(b, "build %s: echo in\n", name);
	}
	fputs("\n", m);
	for (unsigned i = 0; i < n; i++)
		fprintf(m, "f%u: in\n\techo %u > f%u\n", i, i, i);
	if (fclose(m) != 0 || fclose(b) != 0 || chdir("/") == -1)
		die(folder);
	free(make);
	free(ninja);
}

static double
run_tool(const char *const argv[], double *cpu)
{
	double began = now(), used = children_cpu();

	wait_for(start(argv, clean_env, "/dev/null", "/dev/null"), argv[0]);
	*cpu = children_cpu() - used;
	return now() - began;
}

/* No exec takes them all: it would be known itself, and nothing below it looked at. */
static char *
write_program(const char *name, unsigned n)
{
	char *path = xasprintf("%s/%s.rf", bench.work, name);
	char *text = xasprintf("func echo(i int) = exec(image := \"host\", cpu := 1, mem := 1*MiB) (out file) {\" echo {{i}} > "
	    "{{out}} \"}\nval Main = [echo(i) | i <- range(0, %u)]\n", n);

	write_file(path, text);
	free(text);
	return path;
}

static double
run_known(const char *root, const char *program, double *cpu)
{
	double used = children_cpu(), wall = run_weir(root, "error", true, program, "/dev/null");

	*cpu = children_cpu() - used;
	return wall;
}

static void
say(const char *name, const double *wall, const double *cpu, const double *one)
{
	double node = (cpu[0] - one[0]) / bench.n;

	printf("%-6s %8.1f ms, %8.1f ms of CPU; a node %.2f us of CPU: %.0f a second\n", name, wall[0] * 1e3, cpu[0] * 1e3,
	    node * 1e6, 1 / node);
}

/* Medians of the rounds, each of all nodes and then of one. */
static void
measure(const char *name, const char *const *all, const char *const *one, const char *root)
{
	char *many = write_program("known", bench.n), *single = write_program("single", 1);
	double *v[3];

	for (int i = 0; i < 3; i++)
		v[i] = xcalloc(bench.rounds, sizeof(double));
	for (unsigned r = 0; r < bench.rounds; r++) {
		v[0][r] = root != NULL ? run_known(root, many, &v[1][r]) : run_tool(all, &v[1][r]);
		(void)(root != NULL ? run_known(root, single, &v[2][r]) : run_tool(one, &v[2][r]));
	}
	for (int i = 0; i < 3; i++)
		v[i][0] = median(v[i], bench.rounds);
	say(name, v[0], v[1], v[2]);
	free(many);
	free(single);
	for (int i = 0; i < 3; i++)
		free(v[i]);
}

static void
measure_peers(void)
{
	char *all = xasprintf("%s/all", bench.work), *one = xasprintf("%s/single", bench.work);
	const char *const make[] = { "make", "-s", "-C", all, NULL }, *const make_one[] = { "make", "-s", "-C", one, NULL };
	const char *const ninja[] = { "ninja", "-C", all, NULL }, *const ninja_one[] = { "ninja", "-C", one, NULL };

	write_targets(all, bench.n);
	write_targets(one, 1);
	if (access("/usr/bin/make", X_OK) == 0)
		measure("make", make, make_one, NULL);
	if (access("/usr/bin/ninja", X_OK) == 0)
		measure("ninja", ninja, ninja_one, NULL);
	free(all);
	free(one);
}

int
bench_warm(void)
{
	char *root = root_of(0), *known = write_program("known", bench.n);

	(void)run_weir(root, "error", true, known, "/dev/null");
	printf("warm: %u execs that are all known, from source to end; medians of %u\n", bench.n, bench.rounds);
	measure("weir", NULL, NULL, root);
	measure_peers();
	free(known);
	free(root);
	return 0;
}
