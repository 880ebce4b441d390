/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/keepalive.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "loop/loop.h"

/*
 * The client's side of a lease. A pool that says the alloc is unknown, or that it has no leases, is
 * believed at once; any other trouble is met with patience, for the lease outlives a few failed calls. But
 * not beyond the end of what was granted, where that is the end of the alloc: from there on others may
 * start what ran there.
 */

#define ASK_FOR SECONDS(120)
#define CALL_LIMIT SECONDS(10)
#define TRIES 5
#define FIRST_PAUSE SECONDS(2)	/* doubled after each failure */
#define WIGGLE SECONDS(30)	/* renewed this long before the end */
#define LONGEST_SLEEP SECONDS(300)

struct keepalive {
	struct op     op;
	enum {
		KEEP_CALL,	/* ask now */
		KEEP_CALLING,	/* waits for the pool, or for call_limit */
		KEEP_SLEEPING,	/* waits for renew */
		KEEP_LOST,	/* err is set: tell the owner */
	} state;
	struct alloc *alloc;	/* kept */
	struct op    *child;	/* the call, or NULL */
	struct timer  renew, call_limit;
	struct timer  lapse;	/* what was granted is over */
	int64_t	      asked;	/* when */
	unsigned      failures;	/* in a row */
	struct err   *err;
	keepalive_cb *cb;
	void	     *arg;
};

static void
keepalive_sleep(struct keepalive *k, int64_t ns)
{
	k->state = KEEP_SLEEPING;
	timer_set(&k->renew, ns);
}

/* Takes err. */
static void
keepalive_failed(struct keepalive *k, struct err *err)
{
	if (err_is(err, ERR_NOT_EXIST) || err_is(err, ERR_NOT_SUPPORTED) || ++k->failures >= TRIES) {
		k->err = err;
		k->state = KEEP_LOST;
		op_wake(&k->op);
		return;
	}
	err_free(err);
	keepalive_sleep(k, FIRST_PAUSE << (k->failures - 1));
}

/* A grant shorter than a minute is renewed at its half. */
static int64_t
sleep_of(int64_t granted)
{
	int64_t ns = granted >= 2 * WIGGLE ? granted - WIGGLE : granted / 2;

	if (ns < MILLIS(1))
		ns = MILLIS(1);
	return ns < LONGEST_SLEEP ? ns : LONGEST_SLEEP;
}

static void
keepalive_until(struct keepalive *k, int64_t until)
{
	int64_t left = until - loop_now(k->op.loop);

	k->alloc->granted_until = until;
	timer_set(&k->lapse, left > 0 ? left : 0);
}

static void
keepalive_call_cb(int64_t granted, struct err *err, void *arg)
{
	struct keepalive *k = arg;

	k->child = NULL;
	timer_clear(&k->call_limit);
	if (err) {
		keepalive_failed(k, err);
		return;
	}
	k->failures = 0;
	if (k->alloc->lapses)
		keepalive_until(k, k->asked + granted);
	keepalive_sleep(k, sleep_of(granted));
}

static void
keepalive_renew(void *arg)
{
	struct keepalive *k = arg;

	k->state = KEEP_CALL;
	op_wake(&k->op);
}

static void
keepalive_limit(void *arg)
{
	struct keepalive *k = arg;

	op_cancel(&k->child);
	keepalive_failed(k, err_new(ERR_TIMEOUT, "keepalive", "%s", k->alloc->uri));
}

static void
keepalive_lapse(void *arg)
{
	struct keepalive *k = arg;

	if (k->state == KEEP_LOST)
		return;
	op_cancel(&k->child);
	timer_clear(&k->call_limit);
	timer_clear(&k->renew);
	k->err = err_new(ERR_TIMEOUT, "keepalive", "%s", k->alloc->uri);
	k->state = KEEP_LOST;
	op_wake(&k->op);
}

static void
keepalive_advance(struct op *op)
{
	struct keepalive *k = op_owner(op, struct keepalive, op);
	keepalive_cb *cb = k->cb;
	struct err *err = k->err;
	void *arg = k->arg;

	switch (k->state) {
	case KEEP_CALL:
		k->state = KEEP_CALLING;
		timer_set(&k->call_limit, CALL_LIMIT);
		k->asked = loop_now(op->loop);
		k->child = alloc_keepalive(k->alloc, ASK_FOR, keepalive_call_cb, k);
		return;
	case KEEP_LOST:
		k->err = NULL;
		timer_clear(&k->lapse);
		op_release(op);
		cb(err, arg);
		return;
	case KEEP_CALLING:
	case KEEP_SLEEPING:
		return;
	}
}

static void
keepalive_release(struct op *op)
{
	struct keepalive *k = op_owner(op, struct keepalive, op);

	op_cancel(&k->child);
	timer_clear(&k->renew);
	timer_clear(&k->call_limit);
	timer_clear(&k->lapse);
	err_free(k->err);
	free(k);
}

static const struct op_type keepalive_type = { "keepalive", keepalive_advance, keepalive_release };

struct op *
keepalive_start(struct alloc *alloc, keepalive_cb *cb, void *arg)
{
	struct keepalive *k = xcalloc(1, sizeof *k);

	op_init(&k->op, alloc->loop, &keepalive_type);
	k->alloc = alloc;
	k->cb = cb;
	k->arg = arg;
	timer_init(&k->renew, alloc->loop, "lease_renew", keepalive_renew, k);
	timer_init(&k->lapse, alloc->loop, "lease_lapse", keepalive_lapse, k);
	timer_init(&k->call_limit, alloc->loop, "keepalive_limit", keepalive_limit, k);
	if (alloc->lapses && alloc->granted_until > 0)
		keepalive_until(k, alloc->granted_until);
	op_wake(&k->op);
	return &k->op;
}
