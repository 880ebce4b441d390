/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_SCHED_LIST_H
#define WEIR_TESTS_SCHED_LIST_H

#include "tests/sched/flows.h"

/*
 * What a makespan is measured against. The lower bound cannot be beaten: the longest path, or for one of the amounts
 * the work over what the host has. A list schedule knows every duration beforehand: whenever something ends, the ready
 * tasks are gone through in one order and each that fits is started. No scheduler that meets a flow for the first
 * time can know as much.
 */
enum list_order {
	LIST_CRITICAL,		/* longest path to the end first (HLFET): the list-scheduling bound */
	LIST_CRITICAL_LARGE,	/* the same, times the share of the host plus a half */
	LIST_LONGEST,		/* longest task first */
	LIST_FIFO,		/* in the order they became ready */
	NLISTS
};
double list_lower_bound(const struct flow_case *const *, unsigned n, const double *host);	/* ns */
double list_makespan(const struct flow_case *const *, unsigned n, const double *host, enum list_order);
/* Of each task, what an evaluator knows when it walks from the result down: execs on the way to it. Gives n of them. */
unsigned *flow_ranks(const struct flow_case *);
double flow_share(const struct ftask *, const double *host);	/* the largest of its amounts */

#endif
