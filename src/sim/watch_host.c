/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "pool/pool_local.h"
#include "sim/agent_priv.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/watch.h"

/*
 * What must hold on the hosts of a cluster. An agent and its keeper talk, and a kill takes its time: so what is to end at
 * a deadline has ended a little later.
 */
static int64_t
grace(const struct world *w)
{
	return SECONDS(1) + 4 * w->network.hi;
}

struct sim_objects *
watch_run_objects(struct watch *x, const struct run_state *s)
{
	struct world *w = watch_world(x);
	struct host *h = s->AllocID ? host_named(w, s->AllocID) : NULL;

	return h ? h->objects : w->objects;
}

void
watch_granted(struct watch *x, struct host *h, struct pool *pool)
{
	struct resources left = RESOURCES_INIT;
	bool over = false;

	pool_local_available(pool, &left);
	for (unsigned i = 0; i < left.nfeatures; i++)
		over = over || left.features[i].amount < -1e-6;
	if (over || left.cpu < -1e-6 || left.mem < -1e-6 || left.disk < -1e-6)
		world_fail(watch_world(x), "%s has granted more than it has: %g cores are left", h->name, left.cpu);
	resources_release(&left);
}

void
watch_lease(struct watch *x, const struct host *h, const char *alloc, int64_t deadline, const char *what)
{
	struct world *w = watch_world(x);

	if (loop_now(h->agent->proc.loop) > deadline)
		world_fail(w, "%s %s for alloc %s, whose lease has run out", h->name, what, alloc);
}

/* Attempts end with the lease of who wants them; those of an agent that died, in the time of one. */
static void
check_attempt(struct host *h, const struct attempt *a)
{
	struct world *w = h->world;
	int64_t now = loop_now(w->loop);
	struct proc *p = agent_proc(h);
	const char *ident = a->request.config.ident ? a->request.config.ident : "an exec";

	if (!a->live || attempt_dying(a) || a->state >= ATTEMPT_COLLECTING)
		return;
	if (TAILQ_EMPTY(&a->subs) && !timer_is_set(&a->orphan))
		world_fail(w, "%s: nobody waits for %s, and it goes on", h->name, ident);
	if (TAILQ_EMPTY(&a->subs) && a->orphan.due > now + h->lease)
		world_fail(w, "%s: %s outlives its agent by more than a lease", h->name, ident);
	if (!TAILQ_EMPTY(&a->subs) && p && p->stalled + grace(w) < now &&
	    !agent_vouches(h->agent, &a->key, loop_now(p->loop) - grace(w) * h->clock.percent / 100))
		world_fail(w, "%s: %s goes on, and no alloc that is kept alive wants it", h->name, ident);
}

void
agent_check(struct host *h)
{
	const struct attempt *a;

	if (h->served)
		TAILQ_FOREACH(a, &h->attempts, link)
			check_attempt(h, a);
}
