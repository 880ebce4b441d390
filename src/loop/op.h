/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_OP_H
#define WEIR_LOOP_OP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/attr.h"
#include "base/err.h"

struct loop;

/*
 * Everything that can wait is an operation. The contract, for every operation:
 *
 *  1. x_start() always returns a handle; failure arrives through the callback like any result.
 *  2. The callback runs exactly once, from the loop, never from inside x_start().
 *  3. The operation has released itself before the callback runs, so the callback may start another,
 *     cancel a sibling or tear down the owner. Its first line clears the owner's handle.
 *  4. x_cancel(&h) accepts NULL and a pointer to NULL, empties the handle and releases children too;
 *     after it returns the callback never runs.
 *  5. Whoever starts it owns the handle; results become the callback's; kept arguments outlive it.
 *  6. Callbacks of children only record, choose the next state and wake. Decisions live in advance().
 *
 * An operation is a struct with a `struct op` first or inside it, a commented state enum, one
 * `advance` and one `release`, which is the only destructor: finish and cancel both end there.
 */
struct op;
struct op_type {
	const char *name;		/* in the log, the lag table and the leak report */
	void (*advance)(struct op *);	/* called by the loop after op_wake, at most once a turn */
	void (*release)(struct op *);	/* cancels children, frees what is owned, frees the op */
};
struct op {
	struct loop		*loop;	/* kept */
	const struct op_type	*type;
	uint64_t		 id;	/* unique in the loop, for traces */
	bool			 queued;
	TAILQ_ENTRY(op)		 live;	/* all operations of the loop: the leak list */
	TAILQ_ENTRY(op)		 wake;
};

void op_init(struct op *, struct loop *, const struct op_type *);	/* enters the live list; does not wake */
void op_wake(struct op *);		/* advance runs on the next turn; repeated wakes are one */
void op_release(struct op *);		/* leaves all lists, then type->release: the op is gone */
void op_cancel(struct op **);		/* NULL, pointer to NULL: nothing. Else op_release, and the handle is emptied */
void op_trace(struct op *, const char *from, const char *to);	/* a state change, at debug level */

#define op_owner(op, type, member) container_of(op, type, member)

#endif
