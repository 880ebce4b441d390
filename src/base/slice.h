/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_SLICE_H
#define WEIR_BASE_SLICE_H

#include <stdbool.h>

/*
 * Long computing that must not hold the loop, and need not be written in parts for that: it runs on a stack of its own,
 * is left in the middle when it has had its share, and gone on with in a later turn.
 *
 * It may stop only where it calls slice_breathe, which walks over values, graphs and code do at each of their steps;
 * outside of a slice that is nothing but a count. Whoever calls such a walk in a slice must reckon with callbacks that
 * run meanwhile: nothing that they use or change may be half done. It is for computing alone: what waits for something
 * is an operation. Shares are counted, not timed, so that a simulated run is the same each time.
 */
struct slice;
typedef void slice_fn(void *arg);
struct slice *slice_new(void);
/* What is in the middle is told to give up, and first runs to its end. NULL is fine. */
void slice_free(struct slice *);
void slice_begin(struct slice *, slice_fn *, void *arg);	/* nothing is under way; runs nothing yet */
bool slice_go(struct slice *);		/* a share of it; true: it is over */
bool slice_busy(const struct slice *);	/* begun, and not over */

/* Inside: leaves, until the next slice_go. False: it is to give up. */
bool slice_pause(void);

/* For slice_breathe. */
extern unsigned slice_left;
bool slice_rest(void);

/*
 * cost: of what was done since the last time, in steps of a tenth of a microsecond or so. False: it is to give up, as
 * soon as it can; walks that are over soon need not care.
 */
static inline bool
slice_breathe(unsigned cost)
{
	if (slice_left <= cost)
		return slice_rest();
	slice_left -= cost;
	return true;
}

#endif
