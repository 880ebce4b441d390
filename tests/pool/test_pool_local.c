/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/pool_local.h"
#include "tests/iface/conform_executor.h"
#include "tests/iface/conform_pool.h"
#include "tests/iface/fake_executor.h"
#include "tests/iface/fake_repo.h"

/* The pool of this host: the suite of all pools, restoring, collecting, the end of tasks, exact texts. */

static struct fake script;
static struct repo *repo;
static struct executor *executor;
static struct clock *clock_;
static struct loop *loop;
static struct pool *pool;

static struct pool *
make_pool(struct loop *l, void *arg unused_arg)
{
	struct resources total = RESOURCES_INIT;
	struct pool *p;

	fake_init(&script, l);
	repo = fake_repo_new(&script, "repo");
	executor = fake_executor_new(&script, repo);
	amount(&total, 4, 8, 100);
	p = pool_local_new(l, executor, &total);
	resources_release(&total);
	return p;
}

static void
end_pool(void *arg unused_arg)
{
	executor_free(executor);
	repo_free(repo);
}

static void
test_conform(void **state unused_arg)
{
	conform_pool(&(struct conform_pool){ .make = make_pool, .end = end_pool });
}

static struct pool *
make_strict_pool(struct loop *l, void *arg)
{
	struct pool *p = make_pool(l, arg);

	pool_local_end_lapsed(p);
	return p;
}

/* As an agent serves it. */
static void
test_conforms_where_lapsed_leases_end(void **state unused_arg)
{
	conform_pool(&(struct conform_pool){ .make = make_strict_pool, .end = end_pool, .ends_lapsed = true });
}

static int
setup(void **state unused_arg)
{
	clock_ = clock_virtual_new(SECONDS(1700000000));
	loop = loop_new(clock_);
	loop_seed(loop, 3);
	pool = make_pool(loop, NULL);
	return 0;
}

static int
teardown(void **state unused_arg)
{
	pool_free(pool);
	end_pool(NULL);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock_);
	return 0;
}

static struct alloc *
take(double cpu)
{
	struct resources want = RESOURCES_INIT;
	struct alloc *a;

	amount(&want, cpu, 1, 1);
	assert_ok(sync_accept(pool, "1", &want, &a));
	resources_release(&want);
	return a;
}

static void
test_texts(void **state unused_arg)
{
	struct resources want = RESOURCES_INIT;
	struct alloc *a = take(4), *b;
	int64_t granted;
	char *text;

	amount(&want, 1, 1, 1);
	assert_err(sync_accept(pool, "1", &want, &b), "alloc: offer expired");
	assert_err(sync_accept(pool, "2", &want, &b), "alloc: offer expired");
	assert_err(sync_alloc(pool, "nobody", &b), "alloc local/nobody: resource does not exist");
	assert_ok(sync_free(a));
	text = xasprintf("keepalive %s: alloc expired", a->uri);
	assert_err(sync_keepalive(a, SECONDS(1), &granted), text);
	free(text);
	alloc_drop(a);
	resources_release(&want);
}

/* Nothing is offered when any of cpu, mem and disk is used up, even if the others are not. */
static void
test_no_offer(void **state unused_arg)
{
	struct resources want = RESOURCES_INIT;
	struct offers o = { NULL, 0 };
	struct alloc *a;

	amount(&want, 1, 8, 1);
	assert_ok(sync_accept(pool, "1", &want, &a));
	assert_ok(sync_offers(pool, &o));
	assert_int_equal(o.n, 0);
	offers_release(&o);
	alloc_drop(a);
	resources_release(&want);
}

static bool
alive(struct alloc *a)
{
	int64_t granted;
	struct err *err = sync_keepalive(a, SECONDS(1), &granted);
	bool yes = !err;

	err_free(err);
	return yes;
}

/* Lapsed leases go in the order in which they lapsed, and no more of them than it takes. */
static void
test_collect_order(void **state unused_arg)
{
	struct alloc *first = take(2), *second, *third, *fourth;

	advance(loop, SECONDS(10));
	second = take(1);
	advance(loop, SECONDS(10));
	third = take(1);
	advance(loop, SECONDS(61));
	fourth = take(2);
	assert_false(alive(first));
	assert_true(alive(second));
	assert_true(alive(third));
	alloc_drop(first);
	alloc_drop(second);
	alloc_drop(third);
	alloc_drop(fourth);
}

/* If all lapsed ones together would not do, none is collected. */
static void
test_collect_in_vain(void **state unused_arg)
{
	struct resources want = RESOURCES_INIT;
	struct alloc *lapsed = take(1), *kept = take(2), *b;
	int64_t granted;

	assert_ok(sync_keepalive(kept, SECONDS(3600), &granted));
	advance(loop, SECONDS(61));
	amount(&want, 3, 1, 1);
	assert_err(sync_accept(pool, "1", &want, &b), "alloc: offer expired");
	assert_true(alive(lapsed));
	alloc_drop(lapsed);
	alloc_drop(kept);
	resources_release(&want);
}

/* A new controller makes the alloc of a snapshot again: same id, at once, a new lease. */
static void
test_restore(void **state unused_arg)
{
	struct alloc_inspect i, back;
	struct alloc *a = take(2), *b, *c;
	char *uri = xstrdup(a->uri);

	assert_ok(sync_inspect(a, &i));
	advance(loop, SECONDS(5));
	assert_ok(pool_local_restore(pool, &i, &b));	/* it is still there */
	assert_string_equal(b->uri, uri);
	alloc_drop(a);
	alloc_drop(b);
	assert_int_equal(teardown(NULL) | setup(NULL), 0);
	assert_ok(pool_local_restore(pool, &i, &b));
	assert_string_equal(b->uri, uri);
	assert_true(resources_equal(&b->resources, &i.resources));
	assert_ok(sync_alloc(pool, uri + strlen("local/"), &c));
	assert_ok(sync_inspect(c, &back));
	assert_true(back.created == i.created);
	assert_string_equal(back.meta.owner, i.meta.owner);
	assert_true(alive(c));
	alloc_inspect_release(&back);
	alloc_drop(b);
	alloc_drop(c);
	alloc_inspect_release(&i);
	free(uri);
}

static void
test_restore_elsewhere(void **state unused_arg)
{
	struct alloc_inspect i = { .id = xstrdup("node7:9000/0011223344556677") };
	struct alloc *a;

	assert_err(pool_local_restore(pool, &i, &a), "alloc node7:9000/0011223344556677 is not of pool local");
	free(i.id);
	i.id = xstrdup("local/aaaabbbbccccdddd");	/* from a bigger machine: what this one has */
	amount(&i.resources, 64, 512, 1000);
	assert_ok(pool_local_restore(pool, &i, &a));
	assert_true(a->resources.cpu == 4 && a->resources.mem == 8 * GIB);
	alloc_drop(a);
	alloc_inspect_release(&i);
}

static void
configure(struct exec_config *c, const char *key)
{
	*c = (struct exec_config){ .type = EXEC_COMMAND, .ident = key, .image = "host", .cmd = "true" };
	sha256_of(key, strlen(key), &c->key);
	sha256_of("run", 3, &c->claim.run);
}

static void
state_cb(enum attempt_state state, void *arg)
{
	*(enum attempt_state *)arg = state;
}

/* The end of an alloc ends what runs through it, and nothing else; afterwards it takes no more. */
static void
test_ends_tasks(void **state unused_arg)
{
	struct alloc *a = take(1), *b = take(1);
	enum attempt_state seen = ATTEMPT_QUEUED;
	struct exec *one, *two, *none;
	struct exec_config c;
	struct exec_result r;

	fake_executor_duration(executor, SECONDS(30));
	configure(&c, "one");
	assert_ok(sync_exec_put(alloc_executor(a), &c, &one));
	one->on_state = state_cb;
	one->on_state_arg = &seen;
	configure(&c, "two");
	assert_ok(sync_exec_put(alloc_executor(b), &c, &two));
	advance(loop, SECONDS(1));
	assert_int_equal(seen, ATTEMPT_RUNNING);
	assert_ok(sync_free(a));
	assert_ok(sync_exec_wait(one, loop, &r));
	assert_int_equal(r.state, ATTEMPT_LOST);
	assert_int_equal(seen, ATTEMPT_LOST);
	exec_result_release(&r);
	configure(&c, "three");
	assert_err(sync_exec_put(alloc_executor(a), &c, &none), "put: alloc expired");
	assert_ok(sync_exec_wait(two, loop, &r));
	assert_int_equal(r.state, ATTEMPT_OK);
	exec_result_release(&r);
	alloc_drop(a);
	alloc_drop(b);
	exec_free(one);		/* later than its alloc */
	exec_free(two);
	assert_int_equal(fake_executor_stats(executor).killed, 1);
}

static void
count_cb(void *arg)
{
	++*(int *)arg;
}

static void
test_room(void **state unused_arg)
{
	struct alloc *a = take(1), *b = take(1);
	int64_t granted;
	int rooms = 0;

	pool_local_on_room(pool, count_cb, &rooms);
	assert_true(pool_local_next_expiry(pool) > loop_now(loop));
	assert_ok(sync_keepalive(a, SECONDS(20), &granted));
	assert_int_equal(rooms, 0);
	assert_true(pool_local_next_expiry(pool) <= loop_now(loop) + SECONDS(20));
	assert_ok(sync_keepalive(a, 0, &granted));
	assert_int_equal(rooms, 1);
	assert_ok(sync_free(b));
	assert_int_equal(rooms, 2);
	assert_ok(sync_free(b));
	assert_int_equal(rooms, 2);
	assert_true(pool_local_next_expiry(pool) == 0);
	alloc_drop(a);
	alloc_drop(b);
}

/* The pool may go before the handles. */
static void
test_pool_goes_first(void **state unused_arg)
{
	struct alloc *a = take(1);
	int64_t granted;
	char *text = xasprintf("keepalive %s: alloc expired", a->uri);

	pool_free(pool);
	assert_err(sync_keepalive(a, SECONDS(1), &granted), text);
	alloc_drop(a);
	free(text);
	end_pool(NULL);
	pool = make_pool(loop, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conforms_where_lapsed_leases_end),
		cmocka_unit_test(test_conform),
		cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_offer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collect_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collect_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restore_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_tasks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pool_goes_first, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
