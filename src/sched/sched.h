/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SCHED_SCHED_H
#define WEIR_SCHED_SCHED_H

#include "iface/cluster.h"

/*
 * The scheduler: one per controller, for all of its runs. It owns the allocs, admits tasks by
 * resources, fair over runs, starts identical execs of several runs once, and never scans: a task
 * waits in the queue of its resource shape, and only an event (a task, an end, an alloc) moves it.
 *
 * An ordinary case. A runner holds an alloc (sched_allocate_start) and registers its run. The
 * evaluator submits a task; when the alloc has room the task is admitted: `starting` is called (the
 * run writes its record), the exec is put, waited for, and `done` hands over the result.
 */
struct sched;
struct sched *sched_new(struct loop *, struct cluster *);	/* keeps both */
void sched_free(struct sched *);				/* no run and no hold may be left */

/* A hold on an alloc, shared by count: runs whose need fits one that is there get the same. */
struct sched_alloc;
typedef void sched_alloc_cb(struct sched_alloc *, struct err *, void *arg);	/* gives the hold */
typedef void sched_lost_cb(struct err *, void *arg);		/* the lease is lost: restartable; takes the error */
struct op *sched_allocate_start(struct sched *, const struct requirements *, const struct labels *,
    cluster_waiting_cb *, sched_alloc_cb *, void *arg);
/* The alloc a snapshot names; see cluster_alloc. */
struct op *sched_lookup_start(struct sched *, const char *uri, const struct alloc_inspect *, sched_alloc_cb *,
    void *arg);
void sched_alloc_watch(struct sched_alloc *, sched_lost_cb *, void *arg);	/* one per hold; NULL ends it */
struct alloc *sched_alloc_get(struct sched_alloc *);		/* borrows */
/* Somebody has asked for it, and it does not exist: whoever holds it hears that its lease is lost. Takes. */
void sched_alloc_gone(struct sched_alloc *, struct err *);
/*
 * Ends the hold; the last one keeps the alloc alive for retain_ns more (0: it expires at once). cb may be NULL: nobody
 * waits, the scheduler owns the operation, and sched_free ends it.
 */
struct op *sched_alloc_release_start(struct sched_alloc *, int64_t retain_ns, alloc_done_cb *, void *arg);

/* A run, the unit of fairness. */
struct sched_run;
struct sched_run *sched_run_new(struct sched *, const struct digest *run, struct sched_alloc *);	/* keeps it */
void sched_run_free(struct sched_run *);	/* all of its tasks are over or cancelled */
struct sched_alloc *sched_run_alloc(struct sched_run *);
/* Borrows: the most of what tasks asked for and this alloc has not, though another could; empty if there was none. */
const struct resources *sched_run_need(const struct sched_run *);

/*
 * A task: one exec wanted by one run. Identical ones (same physical key, all joinable) share one put;
 * each subscriber gets its own callbacks. An operation: done runs once. What a put needs beyond the
 * key is asked for only when the task is admitted, so that a waiting task costs little.
 */
struct task;
struct task_want {			/* borrowed during the call */
	struct digest		key;	/* physical key */
	const struct resources *resources;	/* NULL: none, always fits (but see SCHED_FREE_MAX) */
	bool			join;	/* may share the exec of another task with this key */
	unsigned		rank;	/* execs on the longest known way from here to the result; what has more goes first */
};
struct task_events {
	/*
	 * Admitted, about to be put (joined: to an exec that another task put). Gives the
	 * configuration, kept until done or cancel. Must not start, cancel or kill tasks.
	 */
	const struct exec_config *(*starting)(bool joined, void *arg);
	void (*state)(enum attempt_state, void *arg);		/* as reported; may skip; same rule. May be NULL */
	void (*done)(struct exec_result *, struct err *, void *arg);	/* as exec_result_cb; the task is gone */
};
#define SCHED_FREE_MAX 64	/* tasks without resources that are put at once */
/*
 * Wants more than the alloc has: done gets RESOURCES_EXHAUSTED with both amounts, or UNAVAILABLE when the cluster has a
 * machine that covers it: on another alloc it may run (see sched_run_need).
 */
struct task *sched_submit(struct sched_run *, const struct task_want *, const struct task_events *, void *arg);
void task_cancel(struct task **);	/* detaches; the last one kills the exec, unseen */
void task_detach(struct task **);	/* detaches; the attempt goes on, for others or for a resume */
/* As cancel, and done comes when the exec is gone: its result if it still has one, else CANCELED. */
void task_kill(struct task *);

struct sched_stats {
	size_t runs, allocs, queued, running, joined;	/* now; joined: subscribers beyond the first */
	uint64_t submitted, started, done, lost;
};
void sched_stats(const struct sched *, struct sched_stats *);

#endif
