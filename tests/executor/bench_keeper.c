/* SPDX-License-Identifier: Apache-2.0 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/executor/keepertest.h"

/*
 * bench_keeper [N [ROUNDS]]: what an exec costs beside the bare spawn of its command. Each exec has three
 * inputs and one output. Prints the time per exec of both, and their ratio, round by round. Not a test:
 * the figure that counts is the median ratio, on a quiet machine and a file system that is named.
 */
#define WINDOW 4

struct slotful {
	struct running g;
	bool	       used;
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double
bare(const char *dir, unsigned n)
{
	char cmd[512];
	const char *argv[] = { "bash", "-e", "-o", "pipefail", "-c", cmd, NULL };
	const char *envp[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };
	double begin = now();
	unsigned live = 0;
	pid_t pid;

	for (unsigned i = 0; i < n; i++) {
		snprintf(cmd, sizeof cmd, "echo %u > %s/bare", i, dir);
		if (live == 2) {
			wait(NULL);
			live--;
		}
		if (posix_spawn(&pid, "/bin/bash", NULL, NULL, (char *const *)(uintptr_t)argv,
			(char *const *)(uintptr_t)envp) == 0)
			live++;
	}
	while (live-- > 0)
		wait(NULL);
	return (now() - begin) / n;
}

static double
kept(struct world *w, unsigned n, struct file in[3])
{
	struct slotful s[WINDOW];
	unsigned put = 0, over = 0;
	double begin = now();
	char cmd[64];

	memset(s, 0, sizeof s);
	while (over < n) {
		for (unsigned i = 0; i < WINDOW; i++) {
			if (s[i].used && s[i].g.done) {
				assert_int_equal(s[i].g.result.state, ATTEMPT_OK);
				drop(&s[i].g);
				s[i].used = false;
				over++;
			}
			if (!s[i].used && put < n) {
				struct spec x = { .cmd = cmd, .holes = { OUT(0) }, .nholes = 1,
					.inputs = { { .path = "0/0", .file = in[0] }, { .path = "1/0", .file = in[1] },
					    { .path = "2/0", .file = in[2] } }, .ninputs = 3, .outputs = { { "out", false } },
					.noutputs = 1, .cpu = 1 };

				snprintf(cmd, sizeof cmd, "echo %u > %%s", put++);
				start(w, &x, &s[i].g);
				s[i].used = true;
			}
		}
		if (over < n)
			loop_turn(w->loop, true);
	}
	return (now() - begin) / n;
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1000, rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
	struct keeper_options o = { .no_isolation = getenv("NO_ISOLATION") != NULL };
	struct world w;
	struct file in[3];
	double a, b;

	world_open(&w, &o);
	test_limit(600);
	object_put(&w, "one", &in[0]);
	object_put(&w, "two", &in[1]);
	object_put(&w, "three", &in[2]);
	for (unsigned i = 0; i < rounds; i++) {
		a = bare(w.dir, n);
		b = kept(&w, n, in);
		printf("bare %.0f us, kept %.0f us: x%.2f\n", a * 1e6, b * 1e6, b / a);
	}
	world_close(&w);
	return 0;
}
