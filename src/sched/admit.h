/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SCHED_ADMIT_H
#define WEIR_SCHED_ADMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/resources.h"
#include "sched/fit.h"

/*
 * Who may run next on one alloc. Pure: no loop, no operations; the time is told. Only an event (push, release) makes
 * another item eligible, and no step walks over items, shapes or runs: see fit.h.
 *
 * Between runs: each is charged for the share of the alloc that it holds, for as long as it holds it (while an exec
 * runs, what those of its run took so far is expected of it). The run that is furthest behind goes first. A share is
 * that of the scarcest of the resources, for the whole alloc.
 *
 * Within a run: what has the longest way to go, by number of execs, goes first, then what is largest, then what is
 * oldest; durations are not known. That is no strict order: each step of the way is worth as much waiting as sixteen
 * times the alloc takes, so that whoever has waited long goes first in the end.
 *
 * An item that should go first and does not fit is passed by others that do, but not for ever: once four times the alloc
 * has gone by, or another run has got too far ahead, the room for it is reserved, and only what fits beside it goes on.
 *
 * Lookahead: a few items beyond what fits may be put, so that slots never idle; they enter the account in their order
 * as room comes. Only an item that fits as soon as any running one ends goes ahead, since the host admits in arrival
 * order.
 *
 * Disk is checked against the total and never admitted on: a full disk is met when it happens.
 */
struct admit;
struct admit_shape;

#define ADMIT_CLASSES 16
struct admit_lane {		/* what waits of one run */
	struct fit  fit;	/* among the runs, while anything waits */
	struct fit *waiting[ADMIT_CLASSES];	/* items, in order; one tree for each class of shapes */
	size_t	    nwaiting;
};
struct admit_run {		/* embedded in a run; admit_run_init. Outlives its items, or they are moved */
	struct admit_lane lane[2];	/* of items that need something; of those that need nothing */
	unsigned nheld;		/* items running or ahead */
	double	 used;		/* charged, in shares of the alloc times seconds */
	double	 share, begun, expected;	/* of what it holds: sums of shares, of shares times start, of what will be charged */
	double	 spent, ended;	/* lately: what was charged for how much, to expect durations */
	double	 volume;	/* shares admitted so far */
	double	 passed;	/* shares that went by its first item, which did not fit */
};
enum admit_state { ADMIT_OUT, ADMIT_WAITING, ADMIT_AHEAD, ADMIT_RUNNING };
struct admit_item {		/* embedded in what waits; zeroed is out */
	enum admit_state    state;
	struct admit_shape *shape;
	struct admit_run   *run;
	struct fit	    fit;
	unsigned	    rank;
	double		    since, expected;	/* ahead and running: from when it is charged, and what was expected */
	TAILQ_ENTRY(admit_item) link;	/* of the ahead list */
};

/* free_max: how many items without resources run at once. */
struct admit *admit_new(const struct resources *total, unsigned lookahead, unsigned free_max);	/* gives; copies */
void admit_free(struct admit *);	/* every item is out */
bool admit_could(const struct admit *, const struct resources *);	/* does the total cover it? */
void admit_run_init(struct admit_run *);
/* now: monotonic, ns; it never goes back. res NULL: none; the total covers it. rank: execs on the way to the result. */
void admit_push(struct admit *, int64_t now, struct admit_run *, struct admit_item *, const struct resources *res,
    unsigned rank);
/* It is another run's from now on: waits in that one's lane as if it had come now, or is charged to it; fine on one that is out. */
void admit_move(struct admit *, int64_t now, struct admit_run *, struct admit_item *);
struct admit_item *admit_next(struct admit *, int64_t now);	/* the next to be put, now running or ahead; NULL: none */
void admit_remove(struct admit *, int64_t now, struct admit_item *);	/* from any state: it is out */
size_t admit_nwaiting(const struct admit *);
size_t admit_nrunning(const struct admit *);	/* running and ahead */

#endif
