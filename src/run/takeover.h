/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_TAKEOVER_H
#define WEIR_RUN_TAKEOVER_H

#include "run/controller.h"
#include "run/knowledge.h"

/*
 * Takes a run over from a controller that is gone: under the lock of the journals' folder, so that of
 * two who try at once one wins, reads its records and raises its epoch, durably. An operation.
 * While the old controller's journal process drains it is waited for, a short while; after that the
 * run counts as live: UNAVAILABLE. A run that has come to a good end is not taken over: epoch is 0.
 */
struct takeover {			/* result, borrowed during the callback */
	const struct run_entry *entry;	/* as it was before */
	struct run_knowledge **known;	/* what its records tell: whoever wants it takes it, and leaves NULL */
	uint64_t epoch, n;		/* of the run from now on */
};
typedef void takeover_cb(const struct takeover *, struct err *, void *arg);
struct op *takeover_start(struct controller *, const struct digest *run, takeover_cb *, void *arg);

#endif
