/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_RUNNER_H
#define WEIR_RUN_RUNNER_H

#include "lang/program.h"
#include "run/controller.h"
#include "run/knowledge.h"

/*
 * The runner of one run: the phase machine Init -> Eval -> Done, with Retry between tries (also
 * when an alloc could not be had, or not be looked at, for now). Each step of
 * `Do` makes one transition, and the transition is acted on only when its snapshot is durable.
 * Source: grailbio/reflow runner/runner.go; its defects are fixed (cancellable waits, a lost keepalive
 * is restartable, TotalResources is filled).
 */
struct runner;
struct runner_events {			/* each may be NULL; everything is borrowed during the call */
	void (*transition)(struct runner *, void *arg);	/* the State has changed and is durable */
	void (*exec)(struct runner *, const struct eval_event *, void *arg);	/* to tell people */
	void (*waiting)(struct runner *, const char *what, void *arg);
	void *arg;
};
struct runner_args {
	struct controller *controller;	/* kept */
	struct program	  *program;	/* kept */
	struct param_set  *params;	/* kept */
	struct run_state  *state;	/* takes the contents */
	uint64_t	   epoch, n;	/* n: records that the run has so far */
	struct run_knowledge *known;	/* takes; what its journal knows, or NULL for a new run */
	struct graph	  *graph;	/* takes; the first try's, already made, with its main value; or NULL */
	struct value	  *main;	/* takes */
	const char	  *cause;	/* `created`, `resumed`, `reset` */
	struct runner_events events;
};
struct runner *runner_new(const struct runner_args *);
void runner_free(struct runner *);	/* no operation of it is under way; NULL is fine */

/*
 * One step: one phase transition, durable when the callback comes. more: the phase is not Done yet.
 * After a cancel another may be started: it goes on where the State stands, once that is durable.
 */
typedef void runner_do_cb(bool more, struct err *, void *arg);
struct op *runner_do_start(struct runner *, runner_do_cb *, void *arg);
/* Steps until Done, or until an error outside of the run (its journal cannot be written) or an interrupt (CANCELED). */
typedef void runner_run_cb(struct err *, void *arg);
struct op *runner_run_start(struct runner *, runner_run_cb *, void *arg);
/*
 * First ^C: ends the run's execs, writes a note, keeps the phase; the operation under way then completes with
 * CANCELED. It does so too when the execs cannot be ended: after some seconds they are left to themselves.
 */
void runner_interrupt(struct runner *, const char *why);
bool runner_left_execs(const struct runner *);

const struct run_state *runner_state(const struct runner *);
const struct eval_stats *runner_stats(const struct runner *);	/* of the last try; NULL before it */
struct flow *const *runner_failures(const struct runner *, size_t *n);
const struct digest *runner_id(const struct runner *);
struct runner *runner_next(struct runner *);	/* in the controller's list */

#endif
