/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_FAKE_H
#define WEIR_TESTS_IFACE_FAKE_H

#include "base/err.h"
#include "loop/loop.h"
#include "tests/loop/torture.h"

/*
 * What all fakes share: the script by which they answer. One script may serve a whole world of fakes.
 *
 *	struct fake f;
 *
 *	fake_init(&f, loop);
 *	f.latency = MILLIS(5);			// of every answer, on the loop's clock; 0: the next turn
 *	fake_fail(&f, "repo-put", 2, ERR_NET);	// the second put fails; 0 instead of 2: each one
 *	f.torture = t;				// and each answer asks torture_fault
 *
 * The names of calls stand in the headers of the fakes.
 */
#define FAKE_FAULTS 16
#define FAKE_CALLS  32
struct fake_fault {
	const char   *call;
	unsigned      nth;
	enum err_kind kind;
};
struct fake {
	struct loop    *loop;		/* kept */
	int64_t		latency;
	struct torture *torture;	/* or NULL */
	struct fake_fault faults[FAKE_FAULTS];
	size_t		nfaults;
	struct { const char *call; unsigned n; } counts[FAKE_CALLS];
	size_t		ncounts;
};
void fake_init(struct fake *, struct loop *);
/* Replaces what was said of this call and nth. */
void fake_fail(struct fake *, const char *call, unsigned nth, enum err_kind);
unsigned fake_calls(const struct fake *, const char *call);	/* so far */

/* For the fakes themselves: counts the call and answers it later. run and drop take data; run also takes fault. */
struct op *fake_call(
    struct fake *, const char *call, void (*run)(struct err *fault, void *data), void (*drop)(void *data), void *data);

#endif
