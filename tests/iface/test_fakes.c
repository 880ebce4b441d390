/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/conform_assoc.h"
#include "tests/iface/conform_executor.h"
#include "tests/iface/conform_pool.h"
#include "tests/iface/conform_repo.h"
#include "tests/iface/fake_assoc.h"
#include "tests/iface/fake_cluster.h"
#include "tests/iface/fake_executor.h"
#include "tests/iface/fake_pool.h"
#include "tests/iface/fake_repo.h"

/* The fakes keep the contracts that the real ones keep, and fail when they are told to. */

static struct fake script;

static struct repo *
make_repo(struct loop *loop, void *arg unused_arg)
{
	fake_init(&script, loop);
	return fake_repo_new(&script, "fake");
}

static void
damage(struct repo *r, const struct digest *d, void *arg unused_arg)
{
	fake_repo_damage(r, d);
}

static void
test_repo(void **state unused_arg)
{
	conform_repo(&(struct conform_repo){ make_repo, damage, NULL, NULL });
}

static struct assoc *
make_assoc(struct loop *loop, void *arg unused_arg)
{
	fake_init(&script, loop);
	return fake_assoc_new(&script);
}

static void
test_assoc(void **state unused_arg)
{
	conform_assoc(&(struct conform_assoc){ make_assoc, NULL, false, NULL });
}

static struct repo *repo;
static struct executor *executor;

/* As the suite of executors wants it: the ident decides. */
static bool
by_ident(const struct exec_config *c, struct exec_result *out, void *arg unused_arg)
{
	struct file file = { .size = 4 };
	struct fileset *elem;

	if (strcmp(c->ident, "bad") == 0) {
		out->state = ATTEMPT_FAILED;
		out->status = 1 << 8;
		out->err = err_msg(ERR_EXEC, "exit status 1");
		return true;
	}
	if (strcmp(c->ident, "long") == 0)
		out->usage.wall_ns = SECONDS(3600);
	fake_repo_add(repo, "out\n", 4, &file.id);
	elem = fileset_file(&file);
	out->fileset = fileset_list(&elem, 1);
	fileset_unref(elem);
	return true;
}

static struct executor *
make_executor(struct loop *loop, void *arg unused_arg)
{
	repo = make_repo(loop, NULL);
	executor = fake_executor_new(&script, repo);
	fake_executor_set_plan(executor, by_ident, NULL);
	return executor;
}

static void
end_executor(void *arg unused_arg)
{
	repo_free(repo);
}

static void
test_executor(void **state unused_arg)
{
	conform_executor(&(struct conform_executor){ make_executor, end_executor, false, NULL });
}

static struct pool *
make_pool(struct loop *loop, void *arg unused_arg)
{
	struct resources r = RESOURCES_INIT;
	struct pool *p;

	make_executor(loop, NULL);
	p = fake_pool_new(&script, "fake");
	amount(&r, 4, 8, 100);
	fake_pool_add(p, &r, executor);
	resources_release(&r);
	return p;
}

static void
end_pool(void *arg unused_arg)
{
	executor_free(executor);
	repo_free(repo);
}

static void
test_pool(void **state unused_arg)
{
	conform_pool(&(struct conform_pool){ .make = make_pool, .end = end_pool });
}

struct got {
	bool	      done;
	struct alloc *alloc;
	struct err   *err;
	int	      waits;
};

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
	assert_string_equal(what, "waiting");
	((struct got *)arg)->waits++;
}

static void
test_cluster(void **state unused_arg)
{
	struct clock *clock = clock_virtual_new(0);
	struct loop *loop = loop_new(clock);
	struct pool *p = make_pool(loop, NULL);
	struct cluster *c = fake_cluster_new(&script, p);
	struct requirements req = REQUIREMENTS_INIT;
	struct got first = { false }, second = { false }, never = { false };

	amount(&req.min, 1, 1, 1);
	cluster_allocate(c, &req, NULL, waiting_cb, alloc_cb, &first);
	test_until(loop, &first.done);
	assert_ok(first.err);
	assert_true(first.alloc->resources.cpu == 4);
	cluster_allocate(c, &req, NULL, waiting_cb, alloc_cb, &second);
	test_until(loop, &second.done);		/* until the lease of the first has lapsed */
	assert_ok(second.err);
	assert_in_range(second.waits, 55, 65);
	alloc_drop(first.alloc);
	alloc_drop(second.alloc);
	resources_set(&req.min, "cpu", 99);
	cluster_allocate(c, &req, NULL, waiting_cb, alloc_cb, &never);
	test_until(loop, &never.done);
	assert_err(never.err, "allocate: resources exhausted");
	requirements_release(&req);
	cluster_free(c);
	pool_free(p);
	end_pool(NULL);
	loop_free(loop);
	clock_virtual_free(clock);
}

/* The nth call fails, and calls take their time on the virtual clock. */
static void
test_script(void **state unused_arg)
{
	struct clock *clock = clock_virtual_new(0);
	struct loop *loop = loop_new(clock);
	struct assoc *a = make_assoc(loop, NULL);
	struct buf out = BUF_INIT;
	struct digest k;
	int64_t start;

	sha256_of("k", 1, &k);
	script.latency = SECONDS(5);
	fake_fail(&script, "assoc-get", 2, ERR_NET);
	fake_fail(&script, "assoc-put", 0, ERR_TIMEOUT);
	fake_assoc_set(a, ASSOC_FILESET, &k, "v", 1);
	start = loop_now(loop);
	assert_ok(sync_assoc_get(a, ASSOC_FILESET, &k, &out));
	assert_true(loop_now(loop) - start >= SECONDS(5));
	assert_err(sync_assoc_get(a, ASSOC_FILESET, &k, &out), "assoc-get injected: network error");
	assert_ok(sync_assoc_get(a, ASSOC_FILESET, &k, &out));
	assert_err(sync_assoc_put(a, ASSOC_FILESET, &k, "w", 1), "assoc-put injected: timeout");
	assert_int_equal(fake_calls(&script, "assoc-get"), 3);
	assert_int_equal(fake_calls(&script, "assoc-put"), 1);
	buf_release(&out);
	assoc_free(a);
	loop_free(loop);
	clock_virtual_free(clock);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repo),
		cmocka_unit_test(test_assoc),
		cmocka_unit_test(test_executor),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_cluster),
		cmocka_unit_test(test_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
