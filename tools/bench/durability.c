/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * durability: what the syncs cost. weir has no switch for them, so the kernel is told to take each as done: a filter of
 * system calls that fsync, fdatasync, syncfs and sync_file_range return from at once. The other side has a filter of the
 * same length that lets them through. Worth looking at on a file system with a disk below it: on tmpfs a sync is free.
 */
static void
filter_syncs(bool skip)
{
	unsigned done = skip ? SECCOMP_RET_ERRNO | 0 : SECCOMP_RET_ALLOW;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fdatasync, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_syncfs, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sync_file_range, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, done),
	};
	struct sock_fprog prog = { sizeof code / sizeof code[0], code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == -1)
		die("seccomp");
}

/* A filter is for ever, so a process of its own has it; the figure comes back through a pipe. */
static double
run_filtered(unsigned round, bool skip)
{
	double wall = 0;
	int ends[2], status;
	pid_t pid;

	if (pipe(ends) == -1 || (pid = fork()) == -1)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		filter_syncs(skip);
		wall = run_cold(round).wall;
		_exit(write(ends[1], &wall, sizeof wall) == sizeof wall ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], &wall, sizeof wall) != sizeof wall)
		wall = 0;
	close(ends[0]);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	must_succeed(status, "the run");
	return wall;
}

int
bench_durability(void)
{
	double *x = xcalloc(bench.rounds, sizeof *x), with, without;

	printf("durability: %u commands and a join, with the syncs and without\n%5s %9s %9s %8s\n", bench.n, "round", "with",
	    "without", "x");
	for (unsigned r = 0; r < bench.rounds; r++) {
		if (r % 2 == 0) {
			with = run_filtered(2 * r, false);
			without = run_filtered(2 * r + 1, true);
		} else {
			without = run_filtered(2 * r, true);
			with = run_filtered(2 * r + 1, false);
		}
		x[r] = with / without;
		printf("%5u %8.3fs %8.3fs %8.3f\n", r + 1, with, without, x[r]);
		fflush(stdout);
	}
	printf("median: x %.3f\n", median(x, bench.rounds));
	free(x);
	return 0;
}
