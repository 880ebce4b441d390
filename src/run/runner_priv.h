/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_RUNNER_PRIV_H
#define WEIR_RUN_RUNNER_PRIV_H

#include "run/runner.h"

/* For runner.c, runner_do.c (the phases), runner_try.c (what a try needs) and runner_host.c (records) alone. */
struct do_op;
struct runner {
	struct controller  *controller;
	struct program	   *program;
	struct param_set   *params;
	struct run_state    state;
	uint64_t	    epoch, n;
	uint64_t	    snapshot;	/* seq of the newest; 0: none yet */
	uint64_t	    told;	/* seq of the newest that the owner was told of */
	struct buf	    scratch;	/* an exec record while it is written */
	struct run_knowledge *known;
	struct runner_events events;
	const char	   *cause;	/* of the first snapshot; NULL once written */
	const char	   *interrupt;	/* why, once asked to stop */
	struct timer	    patience;	/* interrupted: until what runs is left alone */
	bool		    left;	/* execs were */
	bool		    noted;	/* the note of that is durable */
	/* of the try */
	struct graph	   *graph;
	struct value	   *main;	/* of graph; NULL: not known yet */
	struct slice	   *slice;	/* or NULL: the program becomes nodes, or the result becomes text */
	struct err	   *made;	/* by it: the error */
	struct requirements *asks;	/* of graph: what it asks of a cluster; NULL: not known yet */
	const struct value *result;	/* borrowed, while it becomes text */
	struct sched_alloc *hold;
	struct sched_run   *srun;	/* while eval is */
	struct eval	   *eval;
	struct eval_stats   stats;
	bool		    has_stats;
	struct flow	  **failures;	/* of graph */
	size_t		    nfailures;
	struct err	   *lost;	/* why the lease of hold was lost */
	struct resources    need;	/* of all tries so far: what an alloc turned out to have too little of */
	struct do_op	   *doing;	/* the operation under way */
	struct runner	   *next;
};

void runner_patience_cb(void *runner);	/* of patience */

/* Appends a record; gives its seq. */
uint64_t runner_append_snapshot(struct runner *);
uint64_t runner_append_note(struct runner *, const char *text);
struct eval_host runner_host(struct runner *);

/* A graph belongs to one try: continuations run anew, and failed nodes are forgotten. */
/* Makes it unless it is there, a share of it in each call. True: it is over; the graph is there, or *err is set. */
bool try_graph(struct runner *, struct err **);
void try_drop_graph(struct runner *);
void try_requirements(struct runner *, struct requirements *);	/* of graph, and at least the runner's own */
void try_labels(const struct runner *, struct labels *);	/* of the alloc */
/* What state says of the alloc: takes inspect (NULL: nothing). */
void try_set_alloc(struct runner *, const char *uri);
void try_set_inspect(struct runner *, struct alloc_inspect *);
void try_hold(struct runner *, struct sched_alloc *);	/* takes, and watches the lease */
struct op *try_release_start(struct runner *, alloc_done_cb *, void *arg);	/* the alloc goes back */
void try_let_go(struct runner *);			/* likewise, and nobody waits */
struct eval *try_eval_start(struct runner *, eval_cb *, void *arg);
void try_eval_over(struct runner *);			/* in the callback of eval: figures and failures */
void try_eval_cancel(struct runner *);
bool try_result(struct runner *, const struct value *);	/* into the State, likewise */

int64_t retry_pause(uint32_t stalled);	/* from one try's start to the next one's, ns */

#endif
