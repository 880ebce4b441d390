/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"

/*
 * weir-bench: what weir costs, against the least that anybody can pay: a loop of posix_spawn over the same
 * commands, timed in the same round. Ratios of adjacent pairs are what can be compared between days and
 * machines. What a reader would get wrong: CPU is counted for the whole family. We are the subreaper of all that
 * weir leaves behind, end it when a run is over, and take the sum of what we have reaped.
 *
 * Nothing is deleted between rounds: some file systems are slow in creating files after many were removed.
 *
 * A benchmark is a file of its own with one function, and a row in main.c. It returns the exit code.
 */
struct bench {
	unsigned    n, rounds, jobs;	/* as the options say, or the benchmark's own number */
	const char *dir;		/* NULL: below TMPDIR */
	char	   *work;		/* a folder of ours in dir */
	char	   *weir, *keeper, *program, *one;
	const char *data;		/* of the variants example */
	const char *shape;		/* eval, source: only those whose name begins so; NULL: all */
	bool	    isolate, keep, peers;
};

extern struct bench bench;

struct cost {
	double wall, cpu;	/* seconds, of all processes */
	/* of weir's: each is a part of cpu */
	double weir, journal, keeper;
};

int bench_admit(void);
int bench_cold(void);
int bench_durability(void);
int bench_eval(void);
int bench_lag(void);
int bench_restart(void);
int bench_sched(void);
int bench_source(void);
int bench_start(void);
int bench_variants(void);
int bench_visits(void);
int bench_warm(void);

/* family.c: processes, and what they cost. */
extern const char *const clean_env[];

no_return void die(const char *what);	/* with errno */

double now(void);
double children_cpu(void);
double own_cpu(void);
double process_cpu(pid_t);	/* of its main thread; also when it has ended and was not reaped */
double keepers_cpu(void);	/* of the keepers that are our children, and their workers; without the commands */
double median(double *v, unsigned n);	/* sorts */

pid_t start(const char *const argv[], const char *const env[], const char *out, const char *errlog);
void  must_succeed(int status, const char *what);
/* Ends unless it has succeeded; -1: the next child, whichever. What a tool leaves behind is a child of ours as well. */
void  wait_for(pid_t, const char *what);
unsigned long status_kib(const char *field);	/* of /proc/self/status, as `VmRSS:` */
double thread_cpu(void);
int    run_apart(int (*run)(void *), void *arg);	/* in a process of its own; 0: it was, and gave, well */
void  reap_all(void);			/* kills and reaps whatever weir has left behind */

/* bare.c: the loop of posix_spawn over the commands of `cold`. */
pid_t	    start_bare(const char *folder, unsigned i);
struct cost run_bare(unsigned round);

/* peers.c: the same commands through other tools. */
void run_peers(unsigned round, double bare);

/* weir_run.c: weir on a root of this round. */
struct cost run_cold(unsigned round);	/* the program with N commands on a new root */
char  *root_of(unsigned round);		/* gives */
void   start_keeper(const char *root);	/* makes the root; for --no-isolation: a keeper that is there decides */
/* From the start of the process to its end; err: what it has said. */
double run_weir_args(const char *root, const char *const argv[], const char *err);
double run_weir(const char *root, const char *level, bool cache, const char *program, const char *err);

/* main.c */
void write_file(const char *path, const char *text);

#endif
