/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_LOOP_TORTURE_H
#define WEIR_TESTS_LOOP_TORTURE_H

#include "tests/loop/looptest.h"

/*
 * Torture for operations: what curl does to allocations, done to time. Each round is a fresh world and
 * a fresh loop (on a virtual clock, unless the spec says otherwise):
 *
 *  - cancel at turn n, for n = 0, 1, 2, … until the operation ends first: afterwards the loop holds no
 *    more than before the start, and no callback comes any more;
 *  - fail the nth call of torture_fault with each error kind: the operation ends, by exactly one
 *    callback, and the loop holds no more than before. What result that should be is for check to say;
 *  - fail the nth, and cancel at each turn after that.
 *
 * A room gives the functions below. Its fakes ask torture_fault at every point where the real thing
 * could fail; fake_op is such a fake, ready made: an operation that ends after some turns.
 *
 *	static void
 *	make(struct torture *t)
 *	{
 *		struct world *w = t->world;
 *
 *		w->req = alloc_req_start(t->loop, &w->pool, …, got_cb, t);
 *	}
 *	static void
 *	got_cb(struct alloc *alloc, struct err *err, void *arg)
 *	{
 *		struct torture *t = arg;
 *
 *		((struct world *)t->world)->req = NULL;
 *		alloc_free(alloc);
 *		torture_done(t, err);
 *	}
 */
struct torture;
struct torture_spec {
	const char *name;
	bool	    real_clock;		/* real children and descriptors need it */
	/* All but make and cancel may be NULL. */
	void (*setup)(struct torture *);	/* makes t->world; what lives in the loop after it does not count */
	void (*make)(struct torture *);		/* starts the operation */
	void (*cancel)(struct torture *);	/* cancels it */
	void (*check)(struct torture *);	/* after the callback: is t->err right for fault_at and fault_kind? */
	void (*teardown)(struct torture *);	/* frees t->world; the loop must be empty after it */
};
struct torture {
	const struct torture_spec *spec;
	struct loop *loop;
	void	    *world;		/* the room's */
	int	     calls;		/* of torture_done in this round */
	struct err  *err;		/* what it was given */
	int	     fault_at;		/* which call of torture_fault fails; -1: none */
	enum err_kind fault_kind;
	int	     faults;		/* calls of torture_fault so far */
	bool	     canceled;
};

void torture(const struct torture_spec *);		/* all of it */
void torture_done(struct torture *, struct err *);	/* from the operation's callback; takes err */
struct err *torture_fault(struct torture *, const char *op);	/* gives an error (op: static) if it is its turn */

/* An operation that ends after this many turns, with torture_fault's error. */
struct fake_op;
typedef void fake_op_cb(struct err *, void *arg);
struct fake_op *fake_op_start(struct torture *, const char *name, int turns, fake_op_cb *, void *arg);
void fake_op_cancel(struct fake_op **);

#endif
