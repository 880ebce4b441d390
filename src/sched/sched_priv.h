/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SCHED_SCHED_PRIV_H
#define WEIR_SCHED_SCHED_PRIV_H

#include <uthash.h>

#include "base/spare.h"
#include "loop/loop.h"
#include "sched/admit.h"
#include "sched/sched.h"

/* What the modules of the room share; nobody outside includes it. */

struct flight;
struct worker;

/* sched's side of an alloc: it is born with its first hold and goes with the last. */
struct worker {
	struct op	  op;		/* woken: admit what fits, or tell of the loss */
	struct sched	 *sched;
	struct alloc	 *alloc;	/* owned */
	struct op	 *lease;	/* keeps it alive, or NULL */
	struct err	 *lost;		/* owned; set: the lease is gone, and so is all that ran here */
	struct admit	 *admit;	/* owned */
	struct admit_run  guests;	/* is charged for what went on for runs on other allocs alone */
	int64_t		  retain_until;	/* the latest that a hold asked for */
	TAILQ_HEAD(, sched_alloc) holds;
	TAILQ_HEAD(, flight) flights;
	TAILQ_ENTRY(worker) link;	/* of the sched, until the last hold is released */
};
struct worker *worker_new(struct sched *, struct alloc *);	/* takes the alloc */
void worker_free(struct worker *);				/* no hold and no flight is left */
void worker_gone(struct worker *, struct err *);	/* takes: its alloc is not there any more, before the lease said so */
/* Its lease is over, though nobody has said so yet: after a sleep, this may be seen before the timer is. */
bool worker_lapsed(const struct worker *);
/* A worker that is well and covers min, or holds that alloc; NULL: none. */
struct worker *worker_covering(struct sched *, const struct resources *min);
struct worker *worker_by_uri(struct sched *, const char *uri);
/* Do results that are made at one lie where the other looks for them? */
bool worker_shares(const struct worker *, const struct worker *);

/* A hold: one runner's count on a worker. */
struct sched_alloc {
	struct op	 op;		/* woken: the worker is lost, tell the watcher */
	struct worker	*worker;
	sched_lost_cb	*lost;
	void		*arg;
	TAILQ_ENTRY(sched_alloc) link;
};
struct sched_alloc *hold_new(struct worker *);

struct alloc_want;		/* an allocation under way; hold.c */
struct hold_end;		/* the end of a hold; hold.c */
void hold_end_cancel(struct hold_end *);

struct sched_run {
	struct sched	   *sched;
	struct sched_alloc *hold;	/* kept */
	struct worker	   *worker;
	struct digest	    id;
	struct admit_run    admit;
	struct resources    need;	/* see sched_run_need */
	size_t		    ntasks;
};

/* One exec on its way through an executor, and the tasks that wait for it. */
enum flight_state {
	FLIGHT_QUEUED,	/* in the admission's hands */
	FLIGHT_PUT,	/* to be put now: admitted, or after a pause */
	FLIGHT_PUTTING,	/* waits for the executor's handle */
	FLIGHT_WAIT,	/* has the handle */
	FLIGHT_WAITING,	/* waits for the end of the exec */
	FLIGHT_PAUSING,	/* after trouble: waits for its timer */
	FLIGHT_DOUBT,	/* was ended by somebody else: is the alloc still there? */
	FLIGHT_ASKING,	/* waits for the alloc's answer; result or err is set */
	FLIGHT_OVER,	/* result or err is set: tell the tasks */
};
struct flight {
	struct op	   op;
	enum flight_state  state;
	struct worker	  *worker;
	struct digest	   key;
	bool		   joinable;	/* in the in-flight table */
	bool		   killed;	/* its last task wants it gone */
	struct admit_item  item;
	struct sched_run  *home;	/* while queued: the run in whose lane, which is that of one of the tasks */
	struct task	  *owner;	/* whose configuration is put; NULL until admitted, and when it left */
	TAILQ_HEAD(, task) tasks;
	size_t		   ntasks;
	struct op	  *child;	/* the put or the wait, or NULL */
	struct exec	  *exec;	/* owned */
	struct timer	   pause;
	unsigned	   failures;	/* of the engine */
	bool		   put;		/* once at least */
	enum attempt_state reported;	/* the last state that was */
	struct exec_result result;
	bool		   has_result;
	struct err	  *err;
	UT_hash_handle	   hh;
	TAILQ_ENTRY(flight) link;	/* of the worker */
};
struct flight *flight_new(struct sched_run *, const struct task_want *);	/* queued */
void flight_admitted(struct flight *);		/* the worker's admission chose it */
void flight_lost(struct flight *, const struct err *);	/* the lease is gone: each task gets a copy */
void flight_joined(struct flight *);		/* one task more */
/* A task left. When it was the last the flight is gone after this, and so is the exec if kill is set. */
void flight_left(struct flight *, const struct task *, bool kill);
/* Asks for the end of an exec with one task, which stays. False: it was not started, nothing to wait for. */
bool flight_kill(struct flight *);

struct task {
	struct op	   op;		/* woken: over, call done */
	struct sched_run  *run;
	struct flight	  *flight;	/* NULL once it is over */
	struct task_events ev;
	void		  *arg;
	const struct exec_config *config;	/* what starting gave, or NULL: not called yet */
	struct exec_result result;
	bool		   has_result;
	struct err	  *err;
	TAILQ_ENTRY(task)  link;	/* of the flight */
};
/* Takes the result (NULL: none) and the error. */
void task_over(struct task *, struct exec_result *, struct err *);

struct sched {
	struct loop    *loop;
	struct cluster *cluster;
	TAILQ_HEAD(, worker) workers;
	TAILQ_HEAD(, alloc_want) wants;
	TAILQ_HEAD(, hold_end) ends;	/* those that nobody waits for */
	struct flight  *inflight;	/* joinable flights by key */
	struct spare	tasks, flights;
	struct sched_stats stats;
};

#endif
