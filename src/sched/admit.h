/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SCHED_ADMIT_H
#define WEIR_SCHED_ADMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/resources.h"

/*
 * Who may run next on one alloc. Pure: no loop, no operations. An item waits in the lane of its run
 * within its resource shape; only an event (push, release) makes another one eligible.
 *
 * Fairness: each run has a virtual time that grows by the share of the alloc it is given; the run
 * that is furthest behind goes first, and within a shape runs take turns. An item that does not fit
 * is passed by younger ones that do, but not for ever: once twice the alloc has gone by, the room
 * for it is reserved.
 *
 * Lookahead: a few items beyond what fits may be put, so that slots never idle; they enter the
 * account in their order as room comes. Only an item that fits as soon as any running one ends goes
 * ahead, since the host admits in arrival order.
 *
 * Disk is checked against the total and never admitted on: a full disk is met when it happens.
 */
struct admit;
struct admit_shape;
struct admit_lane;

struct admit_run {		/* embedded in a run; admit_run_init */
	double vtime;
	size_t waiting;
};
enum admit_state { ADMIT_OUT, ADMIT_WAITING, ADMIT_AHEAD, ADMIT_RUNNING };
struct admit_item {		/* embedded in what waits; zeroed is out */
	enum admit_state    state;
	struct admit_shape *shape;
	struct admit_lane  *lane;	/* ADMIT_WAITING */
	uint64_t	    seq;
	TAILQ_ENTRY(admit_item) link;	/* of the lane, or of the ahead list */
};

/* free_max: how many items without resources run at once. */
struct admit *admit_new(const struct resources *total, unsigned lookahead, unsigned free_max);	/* gives; copies */
void admit_free(struct admit *);	/* every item is out */
bool admit_could(const struct admit *, const struct resources *);	/* does the total cover it? */
void admit_run_init(struct admit_run *);
/* res NULL: none. The total covers it. */
void admit_push(struct admit *, struct admit_run *, struct admit_item *, const struct resources *res);
/* It waits for another run from now on, at the end of that one's lane; fine on one that does not wait. */
void admit_move(struct admit *, struct admit_run *, struct admit_item *);
struct admit_item *admit_next(struct admit *);	/* the next to be put, now running or ahead; NULL: none */
void admit_remove(struct admit *, struct admit_item *);	/* from any state: it is out */
size_t admit_nwaiting(const struct admit *);
size_t admit_nrunning(const struct admit *);	/* running and ahead */

#endif
