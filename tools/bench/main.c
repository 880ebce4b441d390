/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/helper.h"
#include "base/log.h"
#include "base/xalloc.h"

/* Options, the folder, and the table of benchmarks. */
struct bench bench = { .isolate = true };

void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0)
		die(path);
}

static void
print_place(void)
{
	char line[4096], mount[PATH_MAX], type[64], source[PATH_MAX], best_type[64] = "?", best_source[PATH_MAX] = "?";
	FILE *f = fopen("/proc/self/mounts", "r");
	size_t best = 0;

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		size_t n;

		if (sscanf(line, "%4095s %4095s %63s", source, mount, type) != 3)
			continue;
		n = strcmp(mount, "/") == 0 ? 0 : strlen(mount);
		if (n >= best && strncmp(bench.work, mount, n) == 0 && (bench.work[n] == '/' || n == 0)) {
			best = n;
			strcpy(best_type, type);
			strcpy(best_source, source);
		}
	}
	if (f != NULL)
		fclose(f);
	printf("file system: %s (%s), %u at once%s\n", best_type, best_source, bench.jobs,
	    bench.isolate ? "" : ", without isolation");
}

static void
prepare(void)
{
	const char *dir = bench.dir != NULL ? bench.dir : getenv("TMPDIR");
	char *name = xasprintf("%s/weir-bench.XXXXXX", dir != NULL && *dir != '\0' ? dir : "/tmp");

	if (mkdtemp(name) == NULL || (bench.work = realpath(name, NULL)) == NULL)
		die(name);
	free(name);
	bench.weir = helper_path("weir");
	bench.keeper = helper_path("weir-keeper");
	bench.program = xasprintf("%s/many.rf", bench.work);
	write_file(bench.program,
	    "param n int\n"
	    "func echo(i int) = exec(image := \"host\", cpu := 1, mem := 1*MiB) (out file) {\" echo {{i}} > {{out}} \"}\n"
	    "val parts = [echo(i) | i <- range(0, n)]\n"
	    "val Main = exec(image := \"host\", cpu := 1, mem := 1*MiB) (out file) {\" cat {{parts}} > {{out}} \"}\n");
	bench.one = xasprintf("%s/one.rf", bench.work);
	write_file(bench.one,
	    "val Main = exec(image := \"host\", cpu := 1, mem := 1*MiB) (out file) {\" echo hello > {{out}} \"}\n");
	print_place();
}

static void
clean(void)
{
	const char *argv[] = { "rm", "-rf", bench.work, NULL };

	reap_all();
	if (bench.keep) {
		printf("kept: %s\n", bench.work);
		return;
	}
	wait_for(start(argv, clean_env, "/dev/null", "/dev/null"), "rm");
}

static const struct benchmark {
	const char *name;
	unsigned    n, rounds;	/* unless -n and -r say other numbers */
	int	  (*run)(void);
	const char *help;
} benchmarks[] = {
	{ "cold", 10000, 5, bench_cold, "N commands and a join on a new root against a loop of posix_spawn (--peers: make, ninja, makeflow, snakemake, cwltool)" },
	{ "durability", 2000, 7, bench_durability, "the same with and without the syncs" },
	{ "lag", 10000, 1, bench_lag, "the callbacks that hold the loop longest, cold and warm" },
	{ "start", 1, 21, bench_start, "start to end of a program with one command" },
	{ "variants", 1, 5, bench_variants, "examples/variants against make -j (--data DIR: what its fetch has made)" },
	{ "warm", 2000, 5, bench_warm, "N commands that are all known, beside make and ninja on as many files that are up to date" },
	{ "restart", 10000, 3, bench_restart, "what N finished runs cost who comes later; needs tests/run/make_runs" },
	{ "visits", 2000, 1, bench_visits, "visits of the evaluator against nodes and edges" },
	{ "eval", 1000000, 1, bench_eval, "the evaluator alone, on execs that end at once, at N/100, N/10 and N nodes (--shape NAME: one)" },
	{ "sched", 1200, 1, bench_sched, "makespans of N flows on a virtual clock against list schedules that know all durations" },
	{ "source", 1000000, 1, bench_source, "programs from their text to their result on such execs, likewise" },
	{ "admit", 10000, 3, bench_admit, "an admission, with 1 to N shapes of resources waiting" },
};

static int
usage(int code)
{
	FILE *to = code == 0 ? stdout : stderr;

	fprintf(to, "usage: weir-bench BENCHMARK [-n N] [-r ROUNDS] [-j JOBS] [--dir DIR] [--no-isolation] [--keep]\n"
	    "                            [--peers] [--data DIR] [--shape NAME]\n\n");
	for (size_t i = 0; i < nitems(benchmarks); i++)
		fprintf(to, "  %-10s %s\n", benchmarks[i].name, benchmarks[i].help);
	return code;
}

static bool
take_number(const char *text, unsigned *out)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	*out = (unsigned)v;
	return *text != '\0' && *end == '\0' && v > 0 && v < 10000000;
}

static bool
take_options(int argc, char **argv, bool *help)
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' }, { "no-isolation", no_argument, NULL, 'i' },
		{ "keep", no_argument, NULL, 'k' }, { "peers", no_argument, NULL, 'p' },
		{ "data", required_argument, NULL, 'D' }, { "shape", required_argument, NULL, 's' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "hn:r:j:", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			good &= take_number(optarg, &bench.n);
			break;
		case 'r':
			good &= take_number(optarg, &bench.rounds);
			break;
		case 'j':
			good &= take_number(optarg, &bench.jobs);
			break;
		case 'd':
			bench.dir = optarg;
			break;
		case 'i':
			bench.isolate = false;
			break;
		case 'p':
			bench.peers = true;
			break;
		case 'D':
			bench.data = optarg;
			break;
		case 's':
			bench.shape = optarg;
			break;
		case 'k':
			bench.keep = true;
			break;
		case 'h':
			*help = true;
			return true;
		default:
			good = false;
		}
	}
	return good && optind == argc - 1;
}

int
main(int argc, char **argv)
{
	const struct benchmark *b = NULL;
	bool help = false;
	int code;

	log_init("weir-bench", LOG_INFO);
	bench.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (!take_options(argc, argv, &help))
		return usage(2);
	if (help)
		return usage(0);
	for (size_t i = 0; i < nitems(benchmarks); i++) {
		if (strcmp(benchmarks[i].name, argv[optind]) == 0)
			b = &benchmarks[i];
	}
	if (b == NULL)
		return usage(2);
	if (bench.n == 0)
		bench.n = b->n;
	if (bench.rounds == 0)
		bench.rounds = b->rounds;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) == -1)
		die("prctl");
	prepare();
	code = b->run();
	clean();
	return code;
}
