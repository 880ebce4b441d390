/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_CLOCK_H
#define WEIR_LOOP_CLOCK_H

#include <stdint.h>

/*
 * Time comes from here, so that a simulator can own it. On a virtual clock the loop never sleeps:
 * when nothing is ready it moves the clock to the next timer.
 */
struct clock {
	int64_t (*mono)(struct clock *);	/* CLOCK_BOOTTIME of the host, ns */
	int64_t (*wall)(struct clock *);	/* ns since 1970 */
	void (*advance)(struct clock *, int64_t to_mono);	/* virtual clocks only, else NULL */
};
struct clock *clock_real(void);			/* a constant, never freed */
struct clock *clock_virtual_new(int64_t wall);	/* gives: starts at mono 1 s and this wall time */
void clock_virtual_free(struct clock *);

#endif
