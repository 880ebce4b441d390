/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_CONFORM_ASSOC_H
#define WEIR_TESTS_IFACE_CONFORM_ASSOC_H

#include "base/buf.h"
#include "iface/assoc.h"
#include "tests/loop/looptest.h"

/* What every assoc must do: as conform_repo. real: on the real clock, for one that talks to a process. */
struct conform_assoc {
	struct assoc *(*make)(struct loop *, void *arg);
	void (*end)(void *arg);
	bool  real;
	void *arg;
};
void conform_assoc(const struct conform_assoc *);

struct err *sync_assoc_put(struct assoc *, enum assoc_kind, const struct digest *, const void *, size_t);
struct err *sync_assoc_get(struct assoc *, enum assoc_kind, const struct digest *, struct buf *out);

#endif
