/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/torture.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"

/* See the header. A round that hangs is ended by the limit that torture() sets. */
#define TURNS_MAX  200000
#define AFTERMATH  8	/* turns in which a late callback would show */
#define LIMIT	   120	/* seconds for all rounds of one spec */

struct fake_op {
	struct op	op;
	struct op_type	type;	/* its own, for the name */
	struct torture *torture;
	int		turns;
	fake_op_cb     *cb;
	void	       *arg;
};

static void
fake_op_advance(struct op *op)
{
	struct fake_op *f = op_owner(op, struct fake_op, op);
	struct torture *t = f->torture;
	const char *name = f->type.name;
	fake_op_cb *cb = f->cb;
	void *arg = f->arg;

	if (f->turns-- > 0) {
		op_wake(op);
		return;
	}
	op_release(op);
	cb(torture_fault(t, name), arg);
}

static void
fake_op_release(struct op *op)
{
	free(op_owner(op, struct fake_op, op));
}

struct fake_op *
fake_op_start(struct torture *t, const char *name, int turns, fake_op_cb *cb, void *arg)
{
	struct fake_op *f = xcalloc(1, sizeof *f);

	f->type = (struct op_type){ name, fake_op_advance, fake_op_release };
	op_init(&f->op, t->loop, &f->type);
	f->torture = t;
	f->turns = turns;
	f->cb = cb;
	f->arg = arg;
	op_wake(&f->op);
	return f;
}

void
fake_op_cancel(struct fake_op **fp)
{
	struct fake_op *f;

	if (fp == NULL || *fp == NULL)
		return;
	f = *fp;
	*fp = NULL;
	op_release(&f->op);
}

struct err *
torture_fault(struct torture *t, const char *op)
{
	if (t->faults++ != t->fault_at)
		return NULL;
	return err_new(t->fault_kind, op, "injected");
}

void
torture_done(struct torture *t, struct err *err)
{
	if (t->canceled)
		fail_msg("%s: the callback came after cancel", t->spec->name);
	if (++t->calls > 1)
		fail_msg("%s: the callback came twice", t->spec->name);
	t->err = err;
}

static void
torture_assert_clean(struct torture *t, size_t before, int turn)
{
	if (loop_nlive(t->loop) <= before)	/* fewer: the world has lost something, which is its own affair */
		return;
	loop_report_live(t->loop);
	fail_msg("%s: %zu alive before, %zu after %s at turn %d (fault %d, %s)", t->spec->name, before,
	    loop_nlive(t->loop), t->canceled ? "cancel" : "the end", turn, t->fault_at, err_kind_name(t->fault_kind));
}

/* Turns until the end, or until cancel_at turns are over. Returns how many it took. */
static int
torture_turns(struct torture *t, int cancel_at)
{
	int n;

	for (n = 0; t->calls == 0 && n < cancel_at; n++) {
		if (n == TURNS_MAX)
			fail_msg("%s: no end after %d turns", t->spec->name, n);
		if (!loop_turn(t->loop, true) && t->calls == 0) {
			loop_report_live(t->loop);
			fail_msg("%s: stuck after %d turns: nothing could wake it", t->spec->name, n);
		}
	}
	return n;
}

static void
torture_operation(struct torture *t, int cancel_at)
{
	size_t before = loop_nlive(t->loop);
	int turn;

	t->spec->make(t);
	if (t->calls > 0)
		fail_msg("%s: the callback ran inside the start", t->spec->name);
	turn = torture_turns(t, cancel_at);
	if (t->calls == 0) {
		t->spec->cancel(t);
		t->canceled = true;
	}
	torture_assert_clean(t, before, turn);
	test_turns(t->loop, AFTERMATH);
	if (t->calls > 0 && t->spec->check != NULL)
		t->spec->check(t);
}

/* One round in a world of its own. Returns whether the operation came to its end; faults may be NULL. */
static bool
torture_round(const struct torture_spec *spec, int cancel_at, int fault_at, enum err_kind kind, int *faults)
{
	struct clock *clock = spec->real_clock ? NULL : clock_virtual_new(SECONDS(1700000000));
	struct torture t = { .spec = spec, .fault_at = fault_at, .fault_kind = kind };

	t.loop = loop_new(clock);
	loop_seed(t.loop, 1);
	if (spec->setup != NULL)
		spec->setup(&t);
	torture_operation(&t, cancel_at);
	if (faults != NULL)
		*faults = t.faults;
	if (spec->teardown != NULL)
		spec->teardown(&t);
	t.canceled = false;
	torture_assert_clean(&t, 0, -1);
	err_free(t.err);
	loop_free(t.loop);
	clock_virtual_free(clock);
	return t.calls > 0;
}

static void
torture_cancel(const struct torture_spec *spec, int fault_at, enum err_kind kind)
{
	int n = 0;

	while (!torture_round(spec, n, fault_at, kind, NULL))
		n++;
}

void
torture(const struct torture_spec *spec)
{
	int n, faults, kind;

	test_limit(LIMIT);
	torture_round(spec, TURNS_MAX + 1, -1, ERR_OTHER, &faults);
	torture_cancel(spec, -1, ERR_OTHER);
	for (n = 0; n < faults; n++) {
		for (kind = 0; kind < ERR_NKINDS; kind++)
			torture_round(spec, TURNS_MAX + 1, n, (enum err_kind)kind, NULL);
		torture_cancel(spec, n, ERR_UNAVAILABLE);
	}
	alarm(0);
}
