/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/*
 * The processes that a benchmark starts, and what they cost: children_cpu() counts what has been reaped, so
 * reap_all() comes before it is read.
 */
no_return void
die(const char *what)
{
	log_error("%s: %s", what, strerror(errno));
	exit(1);
}

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double
children_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double
own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double
process_cpu(pid_t pid)
{
	char path[64];
	long long ns = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
	f = fopen(path, "r");
	if (f != NULL && fscanf(f, "%lld", &ns) != 1)
		ns = 0;
	if (f != NULL)
		fclose(f);
	return (double)ns / 1e9;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
median(double *v, unsigned n)	/* sorts */
{
	qsort(v, n, sizeof *v, by_value);
	return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

const char *const clean_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/tmp", "TMPDIR=/tmp", NULL,
};

pid_t
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

void
must_succeed(int status, const char *what)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	log_error("%s failed, with wait status 0x%x; its folder is kept: %s", what, (unsigned)status, bench.work);
	exit(1);
}

void
wait_for(pid_t pid, const char *what)
{
	int status;

	while (waitpid(pid, &status, 0) == -1) {
		if (errno != EINTR)
			die("wait");
	}
	must_succeed(status, what);
}

static pid_t
parent_of(pid_t pid)
{
	char path[64], line[512], *p;
	int parent = 0, fd;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof line - 1);
	close(fd);
	line[n > 0 ? n : 0] = '\0';
	p = strrchr(line, ')');
	return p != NULL && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static void
each_process(void (*seen)(pid_t pid, pid_t parent, void *arg), void *arg)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	if (proc == NULL)
		die("/proc");
	while ((e = readdir(proc)) != NULL) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0)
			seen(pid, parent_of(pid), arg);
	}
	closedir(proc);
}

static void
add_keeper(pid_t pid, pid_t parent, void *arg)
{
	double *sum = arg;

	/* Once weir has ended our children are keepers, and theirs the workers: commands have ended, too. */
	if (parent == getpid() || (parent > 0 && parent_of(parent) == getpid()))
		*sum += process_cpu(pid);
}

double
keepers_cpu(void)
{
	double sum = 0;

	each_process(add_keeper, &sum);
	return sum;
}

static void
end_child(pid_t pid, pid_t parent, void *arg)
{
	if (parent != getpid())
		return;
	*(bool *)arg = true;
	kill(pid, SIGKILL);
}

/* The processes that weir has left behind are our children now. */
static bool
end_children(void)
{
	bool any = false;

	each_process(end_child, &any);
	return any;
}

void
reap_all(void)
{
	while (end_children()) {
		while (wait(NULL) != -1)
			;
	}
}

unsigned long
status_kib(const char *field)
{
	FILE *f = fopen("/proc/self/status", "r");
	size_t n = strlen(field);
	unsigned long kib = 0;
	char line[256];

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, field, n) == 0)
			kib = strtoul(line + n, NULL, 10);
	}
	if (f != NULL)
		fclose(f);
	return kib;
}

double
thread_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
run_apart(int (*run)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == -1)
		die("fork");
	if (pid == 0) {
		status = run(arg);
		fflush(stdout);
		_exit(status);
	}
	if (waitpid(pid, &status, 0) == -1)
		die("wait");
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
