/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/helper.h"
#include "base/xalloc.h"

/*
 * weir-bench: what weir costs, against the least that anybody can pay: a loop of posix_spawn over the same
 * commands, timed in the same round. Ratios of adjacent pairs are what can be compared between days and
 * machines. What a reader would get wrong: CPU is counted for the whole family. We are the subreaper of all that
 * weir leaves behind, end it when a run is over, and take the sum of what we have reaped.
 *
 * Nothing is deleted between rounds: some file systems are slow in creating files after many were removed.
 */
static struct bench {
	unsigned    n, rounds, jobs;
	const char *dir;	/* NULL: below TMPDIR */
	char	   *work;	/* a folder of ours in dir */
	char	   *weir, *keeper, *program, *one;
	bool	    isolate, keep;
} bench = { .n = 2000, .isolate = true };

struct cost {
	double wall, cpu;	/* seconds */
};

static no_return void
die(const char *what)
{
	log_error("%s: %s", what, strerror(errno));
	exit(1);
}

/* Figures. */

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
children_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, unsigned n)	/* sorts */
{
	qsort(v, n, sizeof *v, by_value);
	return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Processes. */

static const char *const clean_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/tmp", "TMPDIR=/tmp", NULL,
};

static pid_t
start(const char *const argv[], const char *const env[], const char *out, const char *errlog)
{
	posix_spawn_file_actions_t fa;
	pid_t pid;
	int rc;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&fa, 2, errlog, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	rc = posix_spawnp(&pid, argv[0], &fa, NULL, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
	posix_spawn_file_actions_destroy(&fa);
	if (rc != 0) {
		errno = rc;
		die(argv[0]);
	}
	return pid;
}

static void
must_succeed(int status, const char *what)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	log_error("%s failed, with wait status 0x%x; its folder is kept: %s", what, (unsigned)status, bench.work);
	exit(1);
}

static void
wait_one(const char *what)
{
	int status;

	if (wait(&status) == -1)
		die("wait");
	must_succeed(status, what);
}

/* The processes that weir has left behind are our children now. */
static bool
end_children(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool any = false;

	if (proc == NULL)
		die("/proc");
	while ((e = readdir(proc)) != NULL) {
		char path[PATH_MAX], line[512], *p;
		int pid = atoi(e->d_name), parent;
		ssize_t n;
		int fd;

		snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
		if (pid <= 0 || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
			continue;
		n = read(fd, line, sizeof line - 1);
		close(fd);
		line[n > 0 ? n : 0] = '\0';
		p = strrchr(line, ')');
		if (p == NULL || sscanf(p + 1, " %*c %d", &parent) != 1 || parent != getpid())
			continue;
		any = true;
		kill(pid, SIGKILL);
	}
	closedir(proc);
	return any;
}

static void
reap_all(void)
{
	while (end_children()) {
		while (wait(NULL) != -1)
			;
	}
}

/* The bare loop. */

static pid_t
start_bare(const char *folder, unsigned i)
{
	char *command = xasprintf("echo %u > %s/%u", i, folder, i);
	const char *argv[] = { "bash", "-e", "-o", "pipefail", "-c", command, NULL };
	pid_t pid = start(argv, clean_env, "/dev/null", "/dev/null");

	free(command);
	return pid;
}

static struct cost
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

/* weir. */

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
static double
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

static char *
root_of(unsigned round)
{
	return xasprintf("%s/root-%u", bench.work, round);
}

/* A keeper that is there before the run decides how execs are run. */
static void
start_keeper(const char *root)
{
	const char *argv[] = { bench.keeper, "--root", root, "--no-isolation", NULL };

	if (mkdir(root, 0700) == -1)
		die(root);
	(void)start(argv, weir_env(root), "/dev/null", "/dev/null");
	wait_one("weir-keeper");
}

static struct cost
run_cold(unsigned round)
{
	char *root = root_of(round);
	double cpu = children_cpu(), wall;

	if (!bench.isolate)
		start_keeper(root);
	wall = run_weir(root, "error", true, bench.program, "/dev/null");
	reap_all();
	free(root);
	return (struct cost){ wall, children_cpu() - cpu };
}

/* The folder. */

static void
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
	    "val Main = [echo(i) | i <- range(0, n)]\n");
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
	(void)start(argv, clean_env, "/dev/null", "/dev/null");
	wait_one("rm");
}

/* Benchmarks. */

static int
bench_cold(void)
{
	double *wall = xcalloc(bench.rounds, sizeof *wall), *cpu = xcalloc(bench.rounds, sizeof *cpu);

	printf("cold: %u execs `echo i > out`, start to end of weir run on a new root, against a loop of posix_spawn\n",
	    bench.n);
	printf("%5s %10s %10s %10s %10s %8s %8s\n", "round", "bare wall", "weir wall", "bare cpu", "weir cpu", "x wall",
	    "x cpu");
	for (unsigned r = 0; r < bench.rounds; r++) {
		struct cost bare, weir;

		/* Each goes first in every other round. */
		if (r % 2 == 0) {
			bare = run_bare(r);
			weir = run_cold(r);
		} else {
			weir = run_cold(r);
			bare = run_bare(r);
		}
		wall[r] = weir.wall / bare.wall;
		cpu[r] = weir.cpu / bare.cpu;
		printf("%5u %9.3fs %9.3fs %9.3fs %9.3fs %8.2f %8.2f\n", r + 1, bare.wall, weir.wall, bare.cpu, weir.cpu,
		    wall[r], cpu[r]);
		fflush(stdout);
	}
	printf("median: x %.2f wall, x %.2f cpu\n", median(wall, bench.rounds), median(cpu, bench.rounds));
	free(wall);
	free(cpu);
	return 0;
}

static int
bench_start(void)
{
	double *bare = xcalloc(bench.rounds, sizeof *bare), *weir = xcalloc(bench.rounds, sizeof *weir);
	char *root = root_of(0);

	if (!bench.isolate)
		start_keeper(root);
	(void)run_weir(root, "error", false, bench.one, "/dev/null");	/* starts the keeper */
	for (unsigned r = 0; r < bench.rounds; r++) {
		double began = now();

		(void)start_bare(bench.work, r);
		wait_one("the bare command");
		bare[r] = now() - began;
		weir[r] = run_weir(root, "error", false, bench.one, "/dev/null");
	}
	printf("start: one exec, start to end of weir run with its keeper there; median of %u\n", bench.rounds);
	printf("bare %.1f ms, weir %.1f ms\n", median(bare, bench.rounds) * 1e3, median(weir, bench.rounds) * 1e3);
	free(bare);
	free(weir);
	free(root);
	return 0;
}

static int
bench_warm(void)
{
	double *wall = xcalloc(bench.rounds, sizeof *wall);
	char *root = root_of(0);

	(void)run_weir(root, "error", true, bench.program, "/dev/null");
	for (unsigned r = 0; r < bench.rounds; r++)
		wall[r] = run_weir(root, "error", true, bench.program, "/dev/null");
	printf("warm: a run of %u execs that are all known; median of %u\n", bench.n, bench.rounds);
	printf("%.1f ms, %.1f us an exec\n", median(wall, bench.rounds) * 1e3, wall[bench.rounds / 2] / bench.n * 1e6);
	free(wall);
	free(root);
	return 0;
}

/* The run says its counts in one line of its debug log. */
static int
print_visits(const char *what, const char *log)
{
	unsigned long long nodes, edges, visits;
	char line[4096];
	FILE *f = fopen(log, "r");
	int bad = 1;

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		const char *p = strstr(line, "evaluator: ");

		if (p == NULL || sscanf(p, "evaluator: %llu nodes, %llu edges, %llu visits", &nodes, &edges, &visits) != 3)
			continue;
		printf("%s: %llu nodes, %llu edges, %llu visits: %s\n", what, nodes, edges, visits,
		    visits <= nodes + edges ? "not more than nodes and edges" : "MORE than nodes and edges");
		bad = visits > nodes + edges;
	}
	if (f != NULL)
		fclose(f);
	return bad;
}

static int
bench_visits(void)
{
	char *root = root_of(0), *log = xasprintf("%s/log", bench.work);
	int bad;

	(void)run_weir(root, "debug", true, bench.program, log);
	bad = print_visits("cold", log);
	(void)run_weir(root, "debug", true, bench.program, log);
	bad |= print_visits("warm", log);
	free(root);
	free(log);
	return bad;
}

static const struct benchmark {
	const char *name;
	unsigned    rounds;	/* unless -r says another number */
	int	  (*run)(void);
	const char *help;
} benchmarks[] = {
	{ "cold", 5, bench_cold, "N commands on a new root against a loop of posix_spawn" },
	{ "start", 21, bench_start, "start to end of a program with one command" },
	{ "warm", 5, bench_warm, "a run of N commands that are all known" },
	{ "visits", 1, bench_visits, "visits of the evaluator against nodes and edges" },
};

static int
usage(int code)
{
	fprintf(stderr, "usage: weir-bench BENCHMARK [-n N] [-r ROUNDS] [-j JOBS] [--dir DIR] [--no-isolation] [--keep]\n\n");
	for (size_t i = 0; i < nitems(benchmarks); i++)
		fprintf(stderr, "  %-8s %s\n", benchmarks[i].name, benchmarks[i].help);
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
take_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' }, { "no-isolation", no_argument, NULL, 'i' },
		{ "keep", no_argument, NULL, 'k' }, { NULL, 0, NULL, 0 },
	};
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "n:r:j:", longs, NULL)) != -1) {
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
		case 'k':
			bench.keep = true;
			break;
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
	int code;

	log_init("weir-bench", LOG_INFO);
	bench.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (!take_options(argc, argv))
		return usage(2);
	for (size_t i = 0; i < nitems(benchmarks); i++) {
		if (strcmp(benchmarks[i].name, argv[optind]) == 0)
			b = &benchmarks[i];
	}
	if (b == NULL)
		return usage(2);
	if (bench.rounds == 0)
		bench.rounds = b->rounds;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) == -1)
		die("prctl");
	prepare();
	code = b->run();
	clean();
	return code;
}
