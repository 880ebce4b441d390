/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "loop/loop.h"
#include "sched/sched.h"
#include "tests/sched/fake.h"

/* Torture of the two ends of a hold, each alone. */
struct holding {
	struct fake   fake;
	struct sched *sched;
	struct op    *op, *follower;
	struct sched_alloc *hold;
	unsigned      waiting;
	struct err   *err;	/* of the two, the first one */
};

static void
holding_setup(struct torture *t)
{
	struct holding *h = xcalloc(1, sizeof *h);

	t->world = h;
	fake_init(&h->fake, t->loop, "cpu=1,mem=4GiB");
	h->sched = sched_new(t->loop, &h->fake.cluster);
	h->fake.torture = t;
}

static void
holding_teardown(struct torture *t)
{
	struct holding *h = t->world;

	sched_free(h->sched);
	assert_int_equal(h->fake.nallocs, 0);
	fake_release(&h->fake);
	err_free(h->err);
	free(h);
}

static void
ignore_cb(unused_arg struct err *err, unused_arg void *arg)
{
	fail();
}

/* Lets it go at once: what is left then must be nothing. */
static void
drop_hold(struct sched_alloc *hold)
{
	struct op *end = sched_alloc_release_start(hold, 0, ignore_cb, NULL);

	op_cancel(&end);
}

static void
wanted(struct torture *t, struct sched_alloc *hold, struct err *err)
{
	struct holding *h = t->world;

	assert_true(!hold != !err);
	if (hold)
		drop_hold(hold);
	if (!h->err)
		h->err = err;
	else
		err_free(err);
	if (--h->waiting > 0)
		return;
	err = h->err;
	h->err = NULL;
	torture_done(t, err);
}

static void
want_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	((struct holding *)((struct torture *)arg)->world)->op = NULL;
	wanted(arg, hold, err);
}

static void
follower_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	((struct holding *)((struct torture *)arg)->world)->follower = NULL;
	wanted(arg, hold, err);
}

static void
want_by_need(struct torture *t)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct holding *h = t->world;

	h->waiting = 1;
	h->op = sched_allocate_start(h->sched, &req, NULL, NULL, want_cb, t);
}

static void
want_by_name(struct torture *t)
{
	struct holding *h = t->world;

	h->waiting = 1;
	h->op = sched_lookup_start(h->sched, "fake/7", NULL, want_cb, t);
}

/* The second is covered by what the first one asks for, and must ask itself if that comes to nothing. */
static void
want_both(struct torture *t)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct holding *h = t->world;

	want_by_need(t);
	h->waiting = 2;
	h->follower = sched_allocate_start(h->sched, &req, NULL, NULL, follower_cb, t);
}

static void
want_cancel(struct torture *t)
{
	struct holding *h = t->world;
	bool there = h->fake.nallocs > 0;

	h->fake.retained = -1;
	op_cancel(&h->op);
	op_cancel(&h->follower);
	/* What had come already is given back, and that takes a turn or two. */
	while (h->fake.nallocs > 0)
		loop_turn(t->loop, true);
	assert_true(!there || h->fake.retained == 0);
}

static void
end_cancel(struct torture *t)
{
	op_cancel(&((struct holding *)t->world)->op);
}

static void
want_check(struct torture *t)
{
	if (t->fault_at < 0)
		assert_ok(t->err);
	else
		assert_int_equal(err_kind(t->err), t->fault_kind);
}

static void
held_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	assert_ok(err);
	((struct holding *)arg)->hold = hold;
}

static void
end_setup(struct torture *t)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct holding *h;

	holding_setup(t);
	h = t->world;
	h->fake.torture = NULL;
	sched_allocate_start(h->sched, &req, NULL, NULL, held_cb, h);
	while (!h->hold)
		loop_turn(t->loop, true);
	h->fake.torture = t;
	h->fake.keepalive_faults = true;
}

static void
end_cb(struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct holding *)t->world)->op = NULL;
	torture_done(t, err);
}

static void
end_make(struct torture *t)
{
	struct holding *h = t->world;

	h->op = sched_alloc_release_start(h->hold, SECONDS(60), end_cb, t);
}

static void
end_check(struct torture *t)
{
	want_check(t);
	assert_int_equal(((struct holding *)t->world)->fake.retained, SECONDS(60));
}

static void
test_torture_of_holds(unused_arg void **state)
{
	static const struct torture_spec specs[] = {
		{ "alloc_want by need", false, holding_setup, want_by_need, want_cancel, want_check, holding_teardown },
		{ "alloc_want by name", false, holding_setup, want_by_name, want_cancel, want_check, holding_teardown },
		{ "alloc_want twice", false, holding_setup, want_both, want_cancel, want_check, holding_teardown },
		{ "hold_end", false, end_setup, end_make, end_cancel, end_check, holding_teardown },
	};

	for (size_t i = 0; i < nitems(specs); i++)
		torture(&specs[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torture_of_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
