/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pool/pool_local.h"
#include "sim/agent.h"
#include "sim/disk.h"
#include "sim/remote.h"
#include "tests/iface/conform_executor.h"
#include "tests/iface/conform_pool.h"
#include "tests/iface/conform_repo.h"

/*
 * Pool, executor and repository over the simulated network, and the real pool and executor that an agent serves: they keep
 * what each promises.
 */
static struct world *world;
static struct proc proc;

static struct host *
make_host(struct loop *loop)
{
	struct resources total = RESOURCES_INIT;
	struct host *h;

	world = world_new_on(loop, 7);
	world->cluster = true;
	amount(&total, 4, 8, 100);
	h = host_new(world, &total, 4);
	h->served = true;
	h->lease = LEASE_MOST;
	agent_new(h);
	resources_release(&total);
	return h;
}

static struct pool *
make_remote(struct loop *loop, void *arg unused_arg)
{
	struct host *h = make_host(loop);

	proc = (struct proc){ .world = world, .number = 1, .loop = loop };
	return remote_pool_new(&proc, NULL, h, NULL);
}

static void
end(void *arg unused_arg)
{
	world_free(world);
}

static void
test_remote_pool(void **state unused_arg)
{
	conform_pool(&(struct conform_pool){ .make = make_remote, .end = end, .ends_lapsed = true });
}

/* The repository of a host. It is the pool's, which goes last. */
static struct pool *pool;
static struct alloc *alloc;

static struct repo *
make_repo(struct loop *loop, void *arg unused_arg)
{
	pool = make_remote(loop, NULL);
	return remote_repo_new(container_of(pool, struct remote, pool));
}

static void
damage(struct repo *r unused_arg, const struct digest *d, void *arg unused_arg)
{
	objects_damage_one(TAILQ_FIRST(&world->hosts)->objects, d);
}

static void
end_pool(void *arg unused_arg)
{
	alloc_drop(alloc);
	alloc = NULL;
	pool_free(pool);
	end(NULL);
}

static void
test_remote_repo(void **state unused_arg)
{
	conform_repo(&(struct conform_repo){ make_repo, damage, end_pool, NULL });
}

/* A second executor of an alloc, since an alloc keeps its own. */
static struct executor *
make_executor(struct loop *loop, void *arg unused_arg)
{
	struct offers offers;

	pool = make_remote(loop, NULL);
	world->exec = (struct range){ MILLIS(10), MILLIS(100) };
	assert_ok(sync_offers(pool, &offers));
	assert_int_equal(offers.n, 1);
	assert_ok(sync_accept(pool, offers.v[0].id, &offers.v[0].available, &alloc));
	offers_release(&offers);
	return remote_executor_new(container_of(pool, struct remote, pool), strchr(alloc->uri, '/') + 1, alloc);
}

static void
test_remote_executor(void **state unused_arg)
{
	conform_executor(&(struct conform_executor){ make_executor, end_pool, false, NULL, .names_only = true });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remote_pool),
		cmocka_unit_test(test_remote_repo),
		cmocka_unit_test(test_remote_executor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
