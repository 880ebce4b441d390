/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/alloc_req.h"
#include "tests/iface/conform_pool.h"
#include "tests/iface/fake_pool.h"
#include "tests/loop/torture.h"

/* Requests for allocs: which offer is picked, how much of it is taken, lost races, torture. */

static struct clock *clock_;
static struct loop *loop;
static struct fake script;
static struct pool *pool;

struct got {
	bool	      done;
	struct alloc *alloc;
	struct err   *err;
};

static int
setup(void **state unused_arg)
{
	clock_ = clock_virtual_new(SECONDS(1700000000));
	loop = loop_new(clock_);
	fake_init(&script, loop);
	pool = fake_pool_new(&script, "p");
	return 0;
}

static int
teardown(void **state unused_arg)
{
	pool_free(pool);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock_);
	return 0;
}

static void
machine(double cpu, double mem, double disk)
{
	struct resources r = RESOURCES_INIT;

	amount(&r, cpu, mem, disk);
	fake_pool_add(pool, &r, NULL);
	resources_release(&r);
}

static void
alloc_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct got *g = arg;

	assert_true((alloc == NULL) == (err != NULL));
	g->alloc = alloc;
	g->err = err;
	g->done = true;
}

static struct err *
request(double cpu, double mem, double disk, int width, bool whole, struct alloc **out)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct labels labels = { NULL, 0 };
	struct got g = { false };

	amount(&req.min, cpu, mem, disk);
	req.width = width;
	labels_set(&labels, "run", "r");
	alloc_req_start(pool, &req, &labels, whole, alloc_cb, &g);
	requirements_release(&req);
	labels_release(&labels);
	test_until(loop, &g.done);
	*out = g.alloc;
	return g.err;
}

static void
assert_holds(struct alloc *a, double cpu, double mem, double disk)
{
	struct resources want = RESOURCES_INIT;

	amount(&want, cpu, mem, disk);
	assert_true(resources_equal(&a->resources, &want));
	resources_release(&want);
	alloc_drop(a);
}

/* Of offers with 28, 18 and 19 GiB, a need of 10 to 20 GiB takes the one of 19. */
static void
test_pick(void **state unused_arg)
{
	struct offer v[3] = { { .id = (char *)"a" }, { .id = (char *)"b" }, { .id = (char *)"c" } };
	struct offers o = { v, 3 };
	struct resources min = RESOURCES_INIT, max = RESOURCES_INIT;

	amount(&v[0].available, 4, 28, 1);
	amount(&v[1].available, 4, 18, 1);
	amount(&v[2].available, 4, 19, 1);
	amount(&min, 4, 10, 1);
	amount(&max, 4, 20, 1);
	assert_string_equal(offers_pick(&o, &min, &max)->id, "c");
	resources_set(&v[2].available, "mem", 18 * GIB);
	assert_string_equal(offers_pick(&o, &min, &max)->id, "b");	/* the first of equals */
	resources_set(&min, "mem", 27 * GIB);
	assert_string_equal(offers_pick(&o, &min, &max)->id, "a");
	resources_set(&min, "intel_avx", 1);
	assert_null(offers_pick(&o, &min, &max));
	for (int i = 0; i < 3; i++)
		resources_release(&v[i].available);
	resources_release(&min);
	resources_release(&max);
}

static void
test_amounts(void **state unused_arg)
{
	struct alloc *a;

	machine(8, 64, 1000);
	assert_ok(request(2, 4, 10, 0, false, &a));	/* exact: the minimum, and the rest is of use to others */
	assert_holds(a, 2, 4, 10);
	assert_ok(request(6, 4, 10, 0, false, &a));	/* no cpu would be left: all of it */
	assert_holds(a, 6, 60, 990);
	advance(loop, SECONDS(61));
	assert_ok(request(1, 1, 1, 2, false, &a));	/* wide: all of it */
	assert_holds(a, 8, 64, 1000);
	advance(loop, SECONDS(61));
	assert_ok(request(1, 1, 1, 0, true, &a));	/* asked for the whole */
	assert_holds(a, 8, 64, 1000);
}

static void
test_meta(void **state unused_arg)
{
	struct alloc_inspect i;
	struct alloc *a;
	char *owner = alloc_owner();

	machine(8, 64, 1000);
	assert_ok(request(2, 4, 10, 0, false, &a));
	assert_ok(sync_inspect(a, &i));
	assert_string_equal(i.meta.owner, owner);
	assert_non_null(strchr(owner, '<'));
	assert_string_equal(labels_get(&i.meta.labels, "run"), "r");
	alloc_inspect_release(&i);
	alloc_drop(a);
	free(owner);
}

static void
test_none(void **state unused_arg)
{
	struct alloc *a;

	assert_err(request(1, 1, 1, 0, false, &a), "allocate: no allocs available in pool");
	machine(2, 2, 2);
	assert_err(request(3, 1, 1, 0, false, &a), "allocate: no allocs available in pool");
	assert_ok(request(2, 2, 2, 0, false, &a));
	alloc_drop(a);
	fake_fail(&script, "pool-offers", 0, ERR_NET);
	assert_err(request(1, 1, 1, 0, false, &a), "allocate: network error: pool-offers injected");
}

/* Lost races: the offers are fetched anew, six times at most. */
static void
test_races(void **state unused_arg)
{
	struct alloc *a;

	machine(8, 8, 8);
	for (unsigned n = 1; n <= 5; n++)
		fake_fail(&script, "pool-accept", n, ERR_NOT_EXIST);
	assert_ok(request(1, 1, 1, 0, false, &a));
	assert_int_equal(fake_calls(&script, "pool-offers"), 6);
	alloc_drop(a);
	fake_fail(&script, "pool-accept", 0, ERR_NOT_EXIST);
	assert_err(request(1, 1, 1, 0, false, &a), "allocate: too many tries");
	assert_int_equal(fake_calls(&script, "pool-offers"), 12);
	fake_fail(&script, "pool-accept", 0, ERR_TIMEOUT);
	assert_err(request(1, 1, 1, 0, false, &a), "accept: timeout: pool-accept injected");
	assert_int_equal(fake_calls(&script, "pool-offers"), 13);
}

/* ---- torture ---- */

struct world {
	struct fake  script;
	struct pool *pool;
	struct op   *req;
};

static void
torture_setup(struct torture *t)
{
	struct world *w = xcalloc(1, sizeof *w);
	struct resources r = RESOURCES_INIT;

	fake_init(&w->script, t->loop);
	w->script.torture = t;
	w->pool = fake_pool_new(&w->script, "p");
	amount(&r, 4, 4, 4);
	fake_pool_add(w->pool, &r, NULL);
	resources_release(&r);
	t->world = w;
}

static void
torture_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct world *)t->world)->req = NULL;
	alloc_drop(alloc);
	torture_done(t, err);
}

static void
torture_make(struct torture *t)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct world *w = t->world;

	amount(&req.min, 1, 1, 1);
	w->req = alloc_req_start(w->pool, &req, NULL, false, torture_cb, t);
	requirements_release(&req);
}

static void
torture_cancel_req(struct torture *t)
{
	op_cancel(&((struct world *)t->world)->req);
}

static void
torture_check(struct torture *t)
{
	bool lost_race = t->fault_at == 1 && t->fault_kind == ERR_NOT_EXIST;

	if (t->fault_at < 0 || lost_race)
		assert_null(t->err);
	else
		assert_true(err_is(t->err, t->fault_kind) || t->fault_kind == ERR_OTHER);
}

static void
torture_teardown(struct torture *t)
{
	struct world *w = t->world;

	pool_free(w->pool);
	free(w);
}

static void
test_torture(void **state unused_arg)
{
	torture(&(struct torture_spec){
		.name = "alloc-req", .setup = torture_setup, .make = torture_make, .cancel = torture_cancel_req,
		.check = torture_check, .teardown = torture_teardown,
	});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pick),
		cmocka_unit_test_setup_teardown(test_amounts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meta, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_races, setup, teardown),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
