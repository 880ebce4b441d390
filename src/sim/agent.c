/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/agent.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "executor/executor_local.h"
#include "pool/pool_local.h"
#include "sim/agent_priv.h"
#include "sim/host_priv.h"
#include "sim/store.h"
#include "sim/watch.h"

/*
 * The process: its loop, its pool, and the requests that wait for it to be scheduled. What it does with a request is in
 * agent_pool.c and agent_exec.c.
 */
#define BURIAL_TURNS 200

static const char *const lie_names[] = { "nothing", "garbage", "results", "offers", "objects", "forgets", "grants" };

const char *
lie_name(enum lie l)
{
	return lie_names[l];
}

bool
lie_from_name(const char *s, enum lie *out)
{
	for (unsigned i = 0; i < LIE_NKINDS; i++) {
		if (strcmp(s, lie_names[i]) == 0) {
			*out = (enum lie)i;
			return true;
		}
	}
	return false;
}

/* Answers. */

static bool
lies_now(struct agent *a, enum lie what)
{
	/* Who never grants is never told from who has nothing: that lie is told each time. */
	if (what == LIE_OFFERS)
		return a->host->lies == what;
	return a->host->lies == what && world_chance(a->proc.world, 0.5, "lie", a->host->number, ++a->host->ndice);
}

/* A body that is no good: half of it, or noise of its length. */
static void
spoil(struct agent *a, struct buf *b)
{
	uint64_t dice = world_dice(a->proc.world, "spoil", a->host->number, ++a->host->ndice);

	if (dice % 2 && b->len > 0) {
		b->len /= 2;
	} else {
		for (size_t i = 0; i < b->len; i++)
			b->p[i] = (char)world_dice(a->proc.world, "noise", dice, i);
	}
}

/* Takes the parts of ans. */
void
agent_answer(struct agent *a, const struct call *c, struct rpc_answer *ans)
{
	if (!ans->err && lies_now(a, LIE_GARBAGE))
		spoil(a, &ans->body);
	rpc_reply(c->session, c->number, ans);
}

void
agent_refuse(struct agent *a, const struct call *c, struct err *err)
{
	struct rpc_answer ans = { .err = err };

	agent_answer(a, c, &ans);
}

bool
agent_lies(struct agent *a, enum lie what)
{
	return lies_now(a, what);
}

/* Requests. */

static void
serve(struct agent *a, struct rpc_request *r)
{
	struct call c = { r->session, r->call };

	switch (r->method) {
	case RPC_OFFERS:
	case RPC_ACCEPT:
	case RPC_ALLOC:
	case RPC_ALLOCS:
	case RPC_KEEPALIVE:
	case RPC_INSPECT:
	case RPC_FREE:
		agent_serve_pool(a, &c, r);
		break;
	case RPC_PUT:
	case RPC_GET:
	case RPC_WAIT:
	case RPC_KILL:
		agent_serve_exec(a, &c, r);
		break;
	case RPC_STAT:
	case RPC_STORE:
	case RPC_READ:
		agent_serve_repo(a, &c, r);
		break;
	}
}

struct letter {
	TAILQ_ENTRY(letter) link;
	struct rpc_request *request;
};

static void
agent_read_cb(void *arg)
{
	struct agent *a = arg;
	struct letter *l;

	while (!a->proc.dead && (l = TAILQ_FIRST(&a->inbox)) != NULL) {
		TAILQ_REMOVE(&a->inbox, l, link);
		serve(a, l->request);
		rpc_request_unref(l->request);
		free(l);
	}
}

static void
turn_away(struct host *h, struct rpc_request *r, const char *why)
{
	struct rpc_answer refused = { .err = err_msg(ERR_NET, "%s: connection %s", h->name, why) };

	rpc_reply(r->session, r->call, &refused);
	rpc_request_unref(r);
}

/*
 * A port that nobody listens on says so; a machine that is gone says nothing. Nobody tells a client that an agent has gone:
 * it learns that from the next one, which has never heard of its connection.
 */
void
agent_receive(struct host *h, struct rpc_request *r)
{
	struct agent *a = h->agent;
	struct letter *l;

	if (h->gone) {
		rpc_request_unref(r);
		return;
	}
	if (!a || a->proc.dead) {
		turn_away(h, r, "refused");
		return;
	}
	if (!session_knows(r->session, a->proc.number)) {
		turn_away(h, r, "reset by peer");
		return;
	}
	l = xcalloc(1, sizeof *l);
	l->request = r;
	TAILQ_INSERT_TAIL(&a->inbox, l, link);
	if (!timer_is_set(&a->read))
		timer_set(&a->read, 1);
}

/* Birth and death. */

void
agent_start(struct host *h)
{
	struct world *w = h->world;
	struct agent *a;

	timer_clear(&h->restart);
	if (h->agent || h->gone)
		return;
	a = xcalloc(1, sizeof *a);
	a->host = h;
	a->proc.world = w;
	a->proc.number = ++h->nagents;
	a->proc.loop = w->one_loop ? w->loop : loop_new(&h->clock.clock);
	if (!w->one_loop) {
		a->proc.clock = &h->clock;
		loop_seed(a->proc.loop, world_dice(w, "agent", h->number, a->proc.number));
	}
	TAILQ_INIT(&a->inbox);
	TAILQ_INIT(&a->helds);
	TAILQ_INIT(&a->pool_ops);
	timer_init(&a->read, a->proc.loop, "agent_reads", agent_read_cb, a);
	host_end_orphans(h);
	a->keeper = host_connect(h, &a->proc, NULL);
	a->repo = sim_repo_new(&a->proc, h->objects);
	a->executor = executor_local_new(a->keeper, a->repo);
	a->pool = pool_local_new(a->proc.loop, a->executor, &h->total);
	pool_local_end_lapsed(a->pool);
	h->agent = a;
	world_say(w, "%s: its agent starts", h->name);
}

static void
agent_restart_cb(void *arg)
{
	agent_start(arg);
}

void
agent_new(struct host *h)
{
	timer_init(&h->restart, h->world->loop, "agent_restart", agent_restart_cb, h);
	agent_start(h);
}

void
agent_kill(struct host *h, int64_t back_after)
{
	if (!h->agent || h->agent->proc.dead)
		return;
	world_say(h->world, "%s: its agent is killed", h->name);
	h->agent->proc.dead = true;
	if (back_after != INT64_MAX)
		timer_set(&h->restart, back_after);
}

static void
close_agent(struct agent *a)
{
	struct letter *l;

	while ((l = TAILQ_FIRST(&a->inbox))) {
		TAILQ_REMOVE(&a->inbox, l, link);
		rpc_request_unref(l->request);
		free(l);
	}
	timer_clear(&a->read);
	host_controller_gone(a->keeper);
	agent_release_helds(a);
	for (int i = 0; i < BURIAL_TURNS && !a->proc.world->one_loop && loop_nlive(a->proc.loop) > 0; i++) {
		world_advance_to(a->proc.world, a->proc.world->clock.mono + 1);
		loop_turn(a->proc.loop, false);
	}
	pool_free(a->pool);
	executor_free(a->executor);
	repo_free(a->repo);
	keeper_client_free(a->keeper);
	if (a->proc.world->one_loop)
		return;
	if (loop_nlive(a->proc.loop) > 0) {
		loop_report_live(a->proc.loop);
		world_fail(a->proc.world, "the loop of the agent of %s does not end empty: %zu left", a->host->name,
		    loop_nlive(a->proc.loop));
		exit(1);
	}
	loop_free(a->proc.loop);
}

void
agent_bury(struct host *h)
{
	struct agent *a = h->agent;

	if (!a || !a->proc.dead)
		return;
	close_agent(a);
	h->agent = NULL;
	free(a);
}

void
agent_free(struct host *h)
{
	timer_clear(&h->restart);
	agent_kill(h, INT64_MAX);
	agent_bury(h);
}

void
agent_stall(struct host *h, int64_t ns)
{
	if (!h->agent || h->agent->proc.dead)
		return;
	world_say(h->world, "%s: its agent stands still for %.3f s", h->name, (double)ns / 1e9);
	h->agent->proc.stalled = loop_now(h->world->loop) + ns;
}

void
agent_lie(struct host *h, enum lie what)
{
	world_say(h->world, "%s lies: %s", h->name, lie_name(what));
	h->lies = what;
}

struct proc *
agent_proc(struct host *h)
{
	return h->agent && !h->agent->proc.dead ? &h->agent->proc : NULL;
}
