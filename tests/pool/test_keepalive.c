/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/keepalive.h"
#include "tests/iface/conform_pool.h"
#include "tests/iface/fake_pool.h"
#include "tests/loop/torture.h"

/* The client's side of a lease, on a virtual clock: when it asks, how long it is patient, when it gives up. */

static struct clock *clock_;
static struct loop *loop;
static struct fake script;
static struct pool *pool;
static struct alloc *alloc;
static struct op *keeping;
static bool lost;
static struct err *why;

static void
lost_cb(struct err *err, void *arg unused_arg)
{
	keeping = NULL;
	assert_non_null(err);
	lost = true;
	why = err;
}

static int
setup(void **state unused_arg)
{
	struct resources r = RESOURCES_INIT;

	clock_ = clock_virtual_new(SECONDS(1700000000));
	loop = loop_new(clock_);
	fake_init(&script, loop);
	pool = fake_pool_new(&script, "p");
	amount(&r, 4, 4, 4);
	fake_pool_add(pool, &r, NULL);
	assert_ok(sync_accept(pool, "1", &r, &alloc));
	resources_release(&r);
	lost = false;
	why = NULL;
	keeping = keepalive_start(alloc, lost_cb, NULL);
	return 0;
}

static int
teardown(void **state unused_arg)
{
	op_cancel(&keeping);
	alloc_drop(alloc);
	pool_free(pool);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock_);
	return 0;
}

static unsigned
calls(void)
{
	return fake_calls(&script, "alloc-keepalive");
}

/* Two minutes are asked for and granted: again after 90 s. */
static void
test_rhythm(void **state unused_arg)
{
	advance(loop, SECONDS(1));
	assert_int_equal(calls(), 1);
	advance(loop, SECONDS(88));
	assert_int_equal(calls(), 1);
	advance(loop, SECONDS(2));
	assert_int_equal(calls(), 2);
	advance(loop, SECONDS(3600));
	assert_in_range(calls(), 41, 43);
	assert_false(lost);
}

/* A server that grants little is asked at the half of it, never in a spin. */
static void
test_short_grants(void **state unused_arg)
{
	fake_pool_grant(pool, SECONDS(20));
	advance(loop, SECONDS(100));
	assert_in_range(calls(), 10, 12);
	assert_false(lost);
}

static void
test_patience(void **state unused_arg)
{
	int64_t start;

	advance(loop, SECONDS(1));
	fake_fail(&script, "alloc-keepalive", 0, ERR_NET);
	start = loop_now(loop);
	test_until(loop, &lost);
	assert_int_equal(calls(), 6);
	assert_in_range(loop_now(loop) - start, SECONDS(89 + 30), SECONDS(90 + 63));
	assert_err(why, "alloc-keepalive injected: network error");
}

/* Elsewhere the alloc is gone at the end of its lease: patience ends there, counted from when that grant was asked for. */
static void
test_end_of_the_lease(void **state unused_arg)
{
	int64_t start = loop_now(loop);

	alloc->lapses = true;
	advance(loop, SECONDS(1));
	assert_true(alloc->granted_until >= start + SECONDS(120) && alloc->granted_until < start + SECONDS(121));
	fake_fail(&script, "alloc-keepalive", 0, ERR_NET);
	test_until(loop, &lost);
	assert_in_range(loop_now(loop) - start, SECONDS(119), SECONDS(121));
	assert_err(why, "keepalive p/0000000000000001: timeout");
}

/* A new one is known to last for a while before the first keepalive is answered. */
static void
test_end_of_the_first_lease(void **state unused_arg)
{
	int64_t start = loop_now(loop);

	op_cancel(&keeping);
	script.latency = SECONDS(3600);
	alloc->lapses = true;
	alloc->granted_until = start + SECONDS(15);
	keeping = keepalive_start(alloc, lost_cb, NULL);
	test_until(loop, &lost);
	assert_in_range(loop_now(loop) - start, SECONDS(14), SECONDS(16));
	err_free(why);
}

static void
test_recovers(void **state unused_arg)
{
	for (unsigned n = 2; n <= 5; n++)
		fake_fail(&script, "alloc-keepalive", n, ERR_UNAVAILABLE);
	advance(loop, SECONDS(600));
	assert_false(lost);
	assert_in_range(calls(), 9, 12);
}

/* The lease is gone: retrying cannot help. */
static void
test_gone(void **state unused_arg)
{
	char *text = xasprintf("keepalive %s: alloc expired", alloc->uri);

	advance(loop, SECONDS(1));
	fake_pool_lose(pool, alloc->uri);
	test_until(loop, &lost);
	assert_int_equal(calls(), 2);
	assert_err(why, text);
	free(text);
}

/* A call that hangs is given up after 10 s, and counts as a failure. */
static void
test_hangs(void **state unused_arg)
{
	int64_t start = loop_now(loop);
	char *text = xasprintf("keepalive %s: timeout", alloc->uri);

	script.latency = SECONDS(1000);
	test_until(loop, &lost);
	assert_int_equal(calls(), 5);
	assert_in_range(loop_now(loop) - start, SECONDS(80), SECONDS(115));
	assert_err(why, text);
	free(text);
}

/* ---- torture: its only end is an error, so the lease is always lost at last ---- */

struct world {
	struct fake   script;
	struct pool  *pool;
	struct alloc *alloc;
	struct op    *op;
};

static void
world_cb(struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct world *)t->world)->op = NULL;
	torture_done(t, err);
}

static void
world_setup(struct torture *t)
{
	struct world *w = xcalloc(1, sizeof *w);
	struct resources r = RESOURCES_INIT;

	fake_init(&w->script, t->loop);
	w->pool = fake_pool_new(&w->script, "p");
	amount(&r, 4, 4, 4);
	fake_pool_add(w->pool, &r, NULL);
	assert_ok(sync_accept(w->pool, "1", &r, &w->alloc));
	resources_release(&r);
	fake_fail(&w->script, "alloc-keepalive", 4, ERR_NOT_EXIST);
	w->script.torture = t;
	t->world = w;
}

static void
world_make(struct torture *t)
{
	struct world *w = t->world;

	w->op = keepalive_start(w->alloc, world_cb, t);
}

static void
world_cancel(struct torture *t)
{
	op_cancel(&((struct world *)t->world)->op);
}

static void
world_teardown(struct torture *t)
{
	struct world *w = t->world;

	alloc_drop(w->alloc);
	pool_free(w->pool);
	free(w);
}

static void
test_torture(void **state unused_arg)
{
	torture(&(struct torture_spec){
	    .name = "keepalive",
	    .setup = world_setup,
	    .make = world_make,
	    .cancel = world_cancel,
	    .teardown = world_teardown,
	});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rhythm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_grants, setup, teardown),
		cmocka_unit_test_setup_teardown(test_patience, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_the_lease, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_the_first_lease, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recovers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
