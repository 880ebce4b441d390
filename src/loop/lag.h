/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_LAG_H
#define WEIR_LOOP_LAG_H

#include "loop/loop.h"

/* How late the loop is, and who made it so: thread CPU of callbacks, by the name of operation, timer or io. */
struct lag_row {
	const char *name;
	uint64_t    calls;
	int64_t	    total_ns, max_ns;	/* thread CPU */
};
/* Rows, longest maximum first; borrowed until the next turn. */
const struct lag_row *loop_lag(struct loop *, size_t *n);
int64_t loop_lag_max(const struct loop *, const char **name);	/* the longest callback so far */

#endif
