/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_INSTANT_H
#define TOOLS_BENCH_INSTANT_H

#include "eval/eval.h"
#include "loop/loop.h"

/*
 * An evaluation over nothing: a cluster in memory whose execs end a turn after they were put, each with one file,
 * named by the exec's key. What is left to be measured is weir's own: nodes, digests, evaluator, scheduler, loop.
 * The assoc, when there is one, knows every key.
 */
struct instant {
	struct loop	*loop;
	struct cluster	 cluster;
	struct executor	 executor;
	struct repo	 repo;
	struct assoc	 assoc;
	struct resources capacity;

	struct sched	*sched;
	struct sched_alloc *hold;
	struct sched_run *run;
	struct graph	*graph;
	struct eval	*eval;

	/* The end. */
	struct value	*value;
	struct err	*err;
	bool		 over;
	struct eval_stats stats;
};
void instant_init(struct instant *, const char *resources);
void instant_release(struct instant *);
/* Evaluates root, a node of in->graph; known: the assoc has a result for each exec. */
void instant_run(struct instant *, struct flow *root, bool known);

#endif
