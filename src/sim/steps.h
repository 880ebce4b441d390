/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_STEPS_H
#define WEIR_SIM_STEPS_H

#include "sim/play.h"

/*
 * A scenario of which every durable step is one to die at. Its own misfortunes stay; what it expects of its figures goes,
 * for a death more changes them. Instead somebody looks after its runs, each has to come to its right end, and nothing
 * may be left.
 */
struct steps {
	struct buf text;
	char	 **victims;	/* owned: what is done at a step */
	size_t	   n;
};
void steps_init(struct steps *, const char *scenario);
void steps_release(struct steps *);
/* With the victim's death at the step, counted from 1; step 0: nobody dies. */
void steps_scenario(const struct steps *, uint64_t step, size_t victim, struct buf *out);

#endif
