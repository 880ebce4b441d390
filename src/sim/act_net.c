/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/agent.h"
#include "sim/command.h"
#include "sim/disk.h"
#include "sim/play_priv.h"
#include "sim/watch.h"

/* What a scenario can do to the network, and to the hosts of a cluster. */

/* `home`, or a host's number. */
static bool
machine_named(struct play *p, const char *s, unsigned *out)
{
	*out = strcmp(s, "home") == 0 ? NET_HOME : (unsigned)atoi(s);
	if (strcmp(s, "home") == 0 || host_find(p->world, *out))
		return true;
	play_bad(p, "%s is no machine: home, or the number of a host", s);
	return false;
}

static struct host *
served_host(struct play *p, const char *s)
{
	struct host *h = host_find(p->world, (unsigned)atoi(s));

	if (!h || !h->served)
		play_bad(p, "there is no agent %s", s);
	return h && h->served ? h : NULL;
}

/* The last two words say for how long: what undoes it is done then. */
static size_t
without_duration(struct play *p, const struct words *w, const char *undo)
{
	struct words back = { .n = 0 };
	int64_t ns;

	if (w->n < 4 || strcmp(w->v[w->n - 2], "for") != 0 || !duration_parse(w->v[w->n - 1], &ns))
		return w->n;
	back.n = w->n - 2;
	memcpy(back.v, w->v, back.n * sizeof *back.v);
	back.v[0] = (char *)(uintptr_t)undo;
	trigger_later(p, ns, &back);
	return w->n - 2;
}

/* cut|mend A B, or A to B: one way. */
static void
do_cut(struct play *p, const struct words *w)
{
	bool cut = strcmp(w->v[0], "cut") == 0;
	size_t n = without_duration(p, w, "mend");
	bool one_way = n == 4 && strcmp(w->v[2], "to") == 0;
	unsigned a, b;

	if (n != 3 && !one_way) {
		play_bad(p, "%s MACHINE [to] MACHINE", w->v[0]);
		return;
	}
	if (!machine_named(p, w->v[1], &a) || !machine_named(p, w->v[n - 1], &b))
		return;
	world_say(p->world, "the way from %s to %s is %s%s", w->v[1], w->v[n - 1], cut ? "cut" : "whole again",
	    one_way ? "" : ", and back");
	net_cut(p->world->net, a, b, cut);
	if (!one_way)
		net_cut(p->world->net, b, a, cut);
}

/* slow A B SHORTEST..LONGEST [for DURATION]; hasten A B */
static void
do_slow(struct play *p, const struct words *w)
{
	bool slow = strcmp(w->v[0], "slow") == 0;
	size_t n = without_duration(p, w, "hasten");
	struct range r = { 0, 0 };
	unsigned a, b;

	if (n < 3 || (slow && (n != 4 || !range_parse(w->v[3], &r)))) {
		play_bad(p, "slow MACHINE MACHINE SHORTEST..LONGEST");
		return;
	}
	if (!machine_named(p, w->v[1], &a) || !machine_named(p, w->v[2], &b))
		return;
	net_slow(p->world->net, a, b, slow ? &r : NULL);
	net_slow(p->world->net, b, a, slow ? &r : NULL);
}

/* network loses N%, network repeats N% */
static void
do_network(struct play *p, const struct words *w)
{
	double part = w->n == 3 ? strtod(w->v[2], NULL) / 100 : -1;

	if (part >= 0 && part <= 1 && strcmp(w->v[1], "loses") == 0)
		net_lose(p->world->net, part);
	else if (part >= 0 && part <= 1 && strcmp(w->v[1], "repeats") == 0)
		net_repeat(p->world->net, part);
	else
		play_bad(p, "network loses N%%, network repeats N%%");
}

/* The machine goes: agent, keeper and all. What lies on its disk stays. */
static void
host_down(struct play *p, struct host *h)
{
	world_say(p->world, "%s goes down", h->name);
	agent_kill(h, INT64_MAX);
	host_kill_keeper(h);
	timer_clear(&h->restart);
	h->gone = true;
}

/* kill agent N, kill host N [for DURATION] */
bool
action_kill_host(struct play *p, const struct words *w)
{
	bool machine = strcmp(w->v[1], "host") == 0;
	struct host *h;

	if (w->n < 3 || (!machine && strcmp(w->v[1], "agent") != 0))
		return false;
	h = served_host(p, w->v[2]);
	if (!h)
		return true;
	if (machine) {
		(void)without_duration(p, w, "start");
		host_down(p, h);
	} else {
		agent_kill(h, AGENT_BACK);
	}
	return true;
}

static void
do_start(struct play *p, const struct words *w)
{
	struct host *h = w->n == 3 && strcmp(w->v[1], "host") == 0 ? served_host(p, w->v[2]) : NULL;

	if (!h) {
		play_bad(p, "start host N");
		return;
	}
	h->gone = false;
	if (!h->agent)
		agent_start(h);
}

/* wipe host N: its own repository is empty */
static void
do_wipe(struct play *p, const struct words *w)
{
	struct host *h = w->n == 3 ? served_host(p, w->v[2]) : NULL;

	if (!h || h->objects == p->world->objects)
		return;
	p->objects_lost = true;
	world_say(p->world, "%s: %u objects are wiped", h->name, objects_lose(p->world, h->objects, 100));
	watch_objects_lost(p->world->watch);
}

/* agent N lies WHAT [for DURATION] */
static void
do_agent(struct play *p, const struct words *w)
{
	struct host *h = w->n >= 4 ? served_host(p, w->v[1]) : NULL;
	struct words honest = { .v = { (char[]){ "agent" }, NULL, (char[]){ "lies" }, (char[]){ "nothing" } }, .n = 4 };
	enum lie what;
	int64_t ns;

	if (!h || strcmp(w->v[2], "lies") != 0 || !lie_from_name(w->v[3], &what)) {
		play_bad(p, "agent N lies garbage|results|offers|objects|forgets|grants|nothing");
		return;
	}
	honest.v[1] = w->v[1];
	if (w->n == 6 && strcmp(w->v[4], "for") == 0 && duration_parse(w->v[5], &ns))
		trigger_later(p, ns, &honest);
	agent_lie(h, what);
}

bool
action_net(struct play *p, const struct words *w)
{
	const char *verb = w->v[0];

	if ((strcmp(verb, "cut") == 0 && w->n > 2) || strcmp(verb, "mend") == 0)
		do_cut(p, w);
	else if (strcmp(verb, "slow") == 0 || strcmp(verb, "hasten") == 0)
		do_slow(p, w);
	else if (strcmp(verb, "network") == 0 && w->n == 3)
		do_network(p, w);
	else if (strcmp(verb, "start") == 0)
		do_start(p, w);
	else if (strcmp(verb, "wipe") == 0)
		do_wipe(p, w);
	else if (strcmp(verb, "agent") == 0)
		do_agent(p, w);
	else
		return false;
	return true;
}
