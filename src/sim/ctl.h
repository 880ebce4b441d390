/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_CTL_H
#define WEIR_SIM_CTL_H

#include "run/runner.h"
#include "run/takeover.h"
#include "sim/world.h"

/*
 * A controller's process: a real controller, put together over simulated neighbours, on a loop of its own.
 * When it is killed it falls silent at that instant, in the midst of whatever it does; what it leaves in
 * memory is torn down afterwards through the ordinary cancellations, and its loop must end empty.
 */
struct sim_program {
	char	       *name;	/* owned */
	char	       *text;	/* owned */
	struct program *program;	/* owned */
};
struct sim_run {		/* a run of the scenario, over all of its controllers */
	char	      *name;	/* owned */
	struct sim_program *program;	/* kept */
	struct param_set params;
	struct run_config config;
	struct digest  id;
	struct ctl    *ctl;	/* who has it now, or NULL */
	struct watch_run *watch;	/* kept */
	bool	       begun;
	unsigned       resets;	/* after errors that were not the world's */
	struct err    *last;	/* owned: what the newest controller ended with, or NULL */
	/* What the naive evaluator says. */
	bool	       must_fail;
	char	      *result;	/* owned: as State.Result */
	size_t	       nexecs;	/* distinct ones that a full evaluation runs */
	struct resources most;	/* no exec asks for more than this of cores, or of memory */
};
struct ctl {
	struct proc   proc;
	TAILQ_ENTRY(ctl) link;
	struct controller c;
	struct sim_journal *journal;
	bool	      leaving;
	TAILQ_HEAD(, job) jobs;
	struct op    *losing;	/* an alloc that is about to be lost, or NULL */
	struct alloc *lost;
};
struct ctl *ctl_new(struct world *, struct host *);
struct world *ctl_world(const struct ctl *);
unsigned ctl_number(const struct ctl *);
bool ctl_is_dead(const struct ctl *);
struct ctl *ctl_find(struct world *, unsigned number);	/* lives; else NULL */

void ctl_run(struct ctl *, struct sim_run *);
void ctl_resume(struct ctl *, struct sim_run *);
void ctl_interrupt(struct sim_run *, const char *why);	/* as ^C or `weir kill` */
/* The pool ends the alloc of the run, as when its lease has lapsed and its room was needed. */
void ctl_lose_alloc(struct sim_run *);
void ctl_kill(struct ctl *);		/* at once, from anywhere */
void ctl_stall(struct ctl *, int64_t ns);
void ctl_check_busy(struct ctl *);	/* when nothing is due any more at this moment */
/* After a turn: buries the dead, lets those leave who are done. May free it. */
void ctl_bury(struct ctl *);

#endif
