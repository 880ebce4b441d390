/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_RUNNER_PRIV_H
#define WEIR_RUN_RUNNER_PRIV_H

#include "run/runner.h"

/* For runner.c (the phases) and runner_host.c (its records, and what the evaluator asks of it) alone. */
struct do_op;
struct runner {
	struct controller  *controller;
	struct program	   *program;
	struct param_set   *params;
	struct run_state    state;
	uint64_t	    epoch, n;
	struct run_knowledge *known;
	struct graph	   *graph;
	struct value	   *main;	/* of graph */
	struct runner_events events;
	const char	   *cause;	/* of the first snapshot; NULL once written */
	struct sched_alloc *hold;
	struct sched_run   *srun;
	struct eval	   *eval;
	struct eval_stats   stats;
	bool		    has_stats;
	struct flow	  **failures;
	size_t		    nfailures;
	uint64_t	    results;	/* execs that this try was first to finish */
	const char	   *interrupt;	/* why, once asked to stop */
	struct err	   *lost;	/* why the alloc was lost during this evaluation */
	struct do_op	   *doing;	/* the operation under way */
	struct runner	   *next;
};

/* Appends a record; gives its seq. */
uint64_t runner_append_snapshot(struct runner *);
uint64_t runner_append_note(struct runner *, const char *text);
struct eval_host runner_host(struct runner *);

#endif
