/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_SCHED_PLAY_H
#define WEIR_TESTS_SCHED_PLAY_H

#include "tests/sched/flows.h"

/*
 * Flows through the real scheduler, on a virtual clock, over a fake host that admits in arrival order. A task is
 * submitted when those that it waits for are done, with the rank that the evaluator would give it. Only the scheduler's
 * choices take part: no time passes but the tasks' own.
 */
struct play_run {
	const struct flow_case *flow;	/* kept */
	int64_t	 arrives;		/* after the first */
	/* Set by play: when each task was submitted and when it ended, after the arrival of the first. */
	int64_t *submitted, *ended;
};
int64_t play(const double *host, struct play_run *, unsigned n);	/* gives the time of the last end */
void play_release(struct play_run *, unsigned n);
/* Shares of the host that the run held from one time to another, times ns. */
double play_held(const struct play_run *, const double *host, int64_t from, int64_t to);

#endif
