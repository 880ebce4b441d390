/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster_local.h"
#include "pool/pool_local.h"
#include "tests/iface/conform_pool.h"
#include "tests/iface/fake_executor.h"
#include "tests/iface/fake_repo.h"
#include "tests/loop/torture.h"

/* The local cluster: the whole offer, waiting in words, refusing at once, allocs by name. */

struct world {
	struct fake	 script;
	struct repo	*repo;
	struct executor *executor;
	struct pool	*pool;
	struct cluster	*cluster;
	struct alloc	*held;		/* torture: what is in the way */
	struct op	*op, *op2;
};
static struct clock *clock_;
static struct loop *loop;
static struct world *w;

struct got {
	bool	      done;
	struct alloc *alloc;
	struct err   *err;
	int	      waits;
	char	     *what;	/* the last word of it */
};

static struct world *
world_new(struct loop *l)
{
	struct resources total = RESOURCES_INIT;
	struct world *n = xcalloc(1, sizeof *n);

	fake_init(&n->script, l);
	n->repo = fake_repo_new(&n->script, "repo");
	n->executor = fake_executor_new(&n->script, n->repo);
	amount(&total, 4, 8, 100);
	n->pool = pool_local_new(l, n->executor, &total);
	n->cluster = cluster_local_new(l, n->pool);
	resources_release(&total);
	return n;
}

static void
world_free(struct world *n)
{
	cluster_free(n->cluster);
	pool_free(n->pool);
	executor_free(n->executor);
	repo_free(n->repo);
	free(n);
}

static int
setup(void **state unused_arg)
{
	clock_ = clock_virtual_new(SECONDS(1700000000));
	loop = loop_new(clock_);
	loop_seed(loop, 5);
	w = world_new(loop);
	return 0;
}

static int
teardown(void **state unused_arg)
{
	world_free(w);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock_);
	return 0;
}

static void
alloc_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct got *g = arg;

	g->alloc = alloc;
	g->err = err;
	g->done = true;
}

static void
waiting_cb(const char *what, void *arg)
{
	struct got *g = arg;

	free(g->what);
	g->what = xstrdup(what);
	g->waits++;
}

static struct op *
start(struct got *g, double cpu, double mem)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct op *op;

	resources_set(&req.min, "cpu", cpu);
	resources_set(&req.min, "mem", mem * GIB);
	op = cluster_allocate(w->cluster, &req, NULL, waiting_cb, alloc_cb, g);
	requirements_release(&req);
	return op;
}

static struct alloc *
allocate(double cpu, double mem)
{
	struct got g = { false };

	start(&g, cpu, mem);
	test_until(loop, &g.done);
	assert_ok(g.err);
	assert_int_equal(g.waits, 0);
	return g.alloc;
}

static void
test_whole_offer(void **state unused_arg)
{
	struct alloc *a = allocate(1, 1);

	assert_true(a->resources.cpu == 4 && a->resources.mem == 8 * GIB && a->resources.disk == 100 * GIB);
	assert_string_equal(cluster_name(w->cluster), "local");
	assert_ptr_equal(cluster_pool(w->cluster), w->pool);
	alloc_drop(a);
}

static void
test_exhausted(void **state unused_arg)
{
	struct got g = { false };

	start(&g, 64, 4);
	test_until(loop, &g.done);
	assert_true(err_is(g.err, ERR_RESOURCES_EXHAUSTED));
	assert_err(g.err, "allocate cpu:64 mem:4.0GiB: this host has only 4 cpu: ask for less, or use a cluster");
	g = (struct got){ false };
	start(&g, 4.5, 16);
	test_until(loop, &g.done);
	assert_err(g.err,
	    "allocate cpu:4.5 mem:16.0GiB: this host has only 4 cpu, 8.0GiB mem: ask for less, or use a cluster");
}

/* Room is made by another alloc of this controller: told in words what it waits for, then granted at once. */
static void
test_waits_for_free(void **state unused_arg)
{
	struct resources part = RESOURCES_INIT;
	struct got g = { false };
	struct alloc *a;
	int64_t before;

	amount(&part, 2, 1, 1);
	assert_ok(sync_accept(w->pool, "1", &part, &a));
	start(&g, 4, 7);
	advance(loop, SECONDS(5));
	assert_false(g.done);
	assert_int_equal(g.waits, 1);
	assert_string_equal(g.what, "waiting for cpu:4 mem:7.0GiB: 2 cpu free on local");
	before = loop_now(loop);
	assert_ok(sync_free(a));
	test_until(loop, &g.done);
	assert_ok(g.err);
	assert_true(loop_now(loop) - before < SECONDS(1));
	alloc_drop(a);
	alloc_drop(g.alloc);
	free(g.what);
	resources_release(&part);
}

/* Room that is made while the pool is being asked is not overlooked, at whichever turn. */
static void
test_room_meanwhile(void **state unused_arg)
{
	for (int turns = 0; turns < 8; turns++) {
		struct got g = { false };
		struct alloc *a = allocate(1, 1);
		int64_t before = loop_now(loop);

		start(&g, 1, 1);
		test_turns(loop, turns);
		assert_ok(sync_free(a));
		test_until(loop, &g.done);
		assert_ok(g.err);
		assert_true(loop_now(loop) - before < MILLIS(500));
		assert_ok(sync_free(g.alloc));
		alloc_drop(a);
		alloc_drop(g.alloc);
		free(g.what);
	}
}

static void
test_waits_for_lapse(void **state unused_arg)
{
	struct got g = { false };
	struct alloc *a = allocate(1, 1);
	int64_t before = loop_now(loop);

	start(&g, 1, 1);
	test_until(loop, &g.done);
	assert_ok(g.err);
	assert_in_range(loop_now(loop) - before, SECONDS(59), SECONDS(61));
	assert_string_equal(g.what, "waiting for cpu:1 mem:1.0GiB: 0 cpu, 0B mem free on local");
	alloc_drop(a);
	alloc_drop(g.alloc);
	free(g.what);
}

/* Two wait; the first to get it gives it back, and then the second has it. */
static void
test_two_wait(void **state unused_arg)
{
	struct got one = { false }, two = { false };
	struct alloc *a = allocate(1, 1);

	start(&one, 1, 1);
	start(&two, 1, 1);
	advance(loop, SECONDS(1));
	assert_ok(sync_free(a));
	test_until(loop, &one.done);
	assert_ok(one.err);
	assert_false(two.done);
	assert_ok(sync_free(one.alloc));
	test_until(loop, &two.done);
	assert_ok(two.err);
	alloc_drop(a);
	alloc_drop(one.alloc);
	alloc_drop(two.alloc);
	free(one.what);
	free(two.what);
}

static struct err *
by_name(const char *uri, const struct alloc_inspect *i, struct alloc **out)
{
	struct got g = { false };

	cluster_alloc(w->cluster, uri, i, alloc_cb, &g);
	assert_false(g.done);
	test_until(loop, &g.done);
	*out = g.alloc;
	return g.err;
}

static void
test_by_name(void **state unused_arg)
{
	struct alloc_inspect i;
	struct alloc *a = allocate(1, 1), *b;
	char *uri = xstrdup(a->uri), *text;

	assert_ok(by_name(uri, NULL, &b));
	assert_string_equal(b->uri, uri);
	alloc_drop(b);
	assert_ok(sync_inspect(a, &i));
	assert_ok(sync_free(a));
	alloc_drop(a);
	text = xasprintf("alloc %s: resource does not exist", uri);
	assert_err(by_name(uri, NULL, &b), text);
	free(text);
	assert_ok(by_name(uri, &i, &b));	/* as a new controller: from what the snapshot said */
	assert_string_equal(b->uri, uri);
	alloc_drop(b);
	assert_err(by_name("no-slash", NULL, &b), "alloc no-slash: not POOL/ID");
	assert_err(by_name("node7:9000/0011", NULL, &b), "alloc node7:9000/0011: no such pool on cluster local");
	alloc_inspect_release(&i);
	free(uri);
}

/* ---- torture: an allocation that waits for another alloc to be freed ---- */

static void
torture_setup(struct torture *t)
{
	struct resources part = RESOURCES_INIT;
	struct world *n = world_new(t->loop);

	amount(&part, 3, 1, 1);
	assert_ok(sync_accept(n->pool, "1", &part, &n->held));
	resources_release(&part);
	t->world = n;
}

static void
torture_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct world *)t->world)->op = NULL;
	alloc_drop(alloc);
	torture_done(t, err);
}

/* Cancelling from inside the waiting callback is allowed; freeing what is in the way goes on meanwhile. */
static void
freed_cb(struct err *err, void *arg)
{
	((struct world *)arg)->op2 = NULL;
	assert_ok(err);
}

static void
torture_waiting(const char *what unused_arg, void *arg)
{
	struct torture *t = arg;
	struct world *n = t->world;

	op_cancel(&n->op2);
	n->op2 = alloc_free_start(n->held, freed_cb, n);
}

static void
torture_make(struct torture *t)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct world *n = t->world;

	amount(&req.min, 2, 1, 1);
	n->op = cluster_allocate(n->cluster, &req, NULL, torture_waiting, torture_cb, t);
	requirements_release(&req);
}

static void
torture_cancel_op(struct torture *t)
{
	struct world *n = t->world;

	op_cancel(&n->op);
	op_cancel(&n->op2);
}

static void
torture_check(struct torture *t)
{
	assert_null(t->err);
}

static void
torture_teardown(struct torture *t)
{
	struct world *n = t->world;

	op_cancel(&n->op2);
	alloc_drop(n->held);
	world_free(n);
}

static void
test_torture(void **state unused_arg)
{
	torture(&(struct torture_spec){
	    .name = "cluster-local-allocate",
	    .setup = torture_setup,
	    .make = torture_make,
	    .cancel = torture_cancel_op,
	    .check = torture_check,
	    .teardown = torture_teardown,
	});
}

static void
cancel_cb(const char *what unused_arg, void *arg)
{
	op_cancel(arg);
}

static void
never_cb(struct alloc *alloc unused_arg, struct err *err unused_arg, void *arg unused_arg)
{
	fail_msg("called after cancel");
}

static void
test_cancel_when_told(void **state unused_arg)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct alloc *a = allocate(1, 1);
	struct op *op;

	amount(&req.min, 1, 1, 1);
	op = cluster_allocate(w->cluster, &req, NULL, cancel_cb, never_cb, &op);
	advance(loop, SECONDS(90));
	assert_null(op);
	alloc_drop(a);
	requirements_release(&req);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_offer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exhausted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_free, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_for_lapse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_when_told, setup, teardown),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
