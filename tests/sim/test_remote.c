/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/pool_local.h"
#include "sim/agent.h"
#include "sim/remote.h"
#include "tests/iface/conform_pool.h"

/* A pool over the simulated network, and the real one that an agent serves: both keep what a pool promises. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_remote_pool) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
