/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/net.h"

#include <assert.h>
#include <stdlib.h>

#include "base/xalloc.h"

/* Links. A message meets a cut when it is sent, and when it should arrive. */
struct link {
	unsigned     cuts;
	bool	     slow;
	struct range delay;	/* when slow */
};
struct net {
	struct world *world;
	struct link   links[NET_NODES][NET_NODES];
	double	      loses, repeats;
	uint64_t      nmessages;
};

static const struct range late_by = { MILLIS(500), SECONDS(60) };

struct net *
net_new(struct world *w)
{
	struct net *n = xcalloc(1, sizeof *n);

	n->world = w;
	return n;
}

void
net_free(struct net *n)
{
	free(n);
}

static struct link *
link_of(struct net *n, unsigned from, unsigned to)
{
	assert(from < NET_NODES && to < NET_NODES);
	return &n->links[from][to];
}

void
net_cut(struct net *n, unsigned from, unsigned to, bool cut)
{
	struct link *l = link_of(n, from, to);

	if (cut)
		l->cuts++;
	else if (l->cuts > 0)
		l->cuts--;
}

void
net_slow(struct net *n, unsigned from, unsigned to, const struct range *delay)
{
	struct link *l = link_of(n, from, to);

	l->slow = delay != NULL;
	if (delay)
		l->delay = *delay;
}

void
net_lose(struct net *n, double part)
{
	n->loses = part;
}

void
net_repeat(struct net *n, double part)
{
	n->repeats = part;
}

struct parcel {
	struct link *link;	/* kept */
	void (*run)(void *);
	void (*drop)(void *);
	void *data;
};

static void
parcel_drop(void *data)
{
	struct parcel p = *(struct parcel *)data;

	free(data);
	p.drop(p.data);
}

static void
parcel_arrive(void *data)
{
	struct parcel p = *(struct parcel *)data;

	free(data);
	if (p.link->cuts > 0)
		p.drop(p.data);
	else
		p.run(p.data);
}

static void
parcel_send(struct post *post, int64_t delay, const struct parcel *p)
{
	struct parcel *copy = xmalloc(sizeof *copy);

	*copy = *p;
	post_send(post, delay, parcel_arrive, parcel_drop, copy);
}

void
mail_init(struct mail *m, struct net *n, unsigned from, unsigned to, struct loop *loop, const char *name)
{
	m->net = n;
	m->from = from;
	m->to = to;
	post_init(&m->post, loop, name);
	post_init(&m->late, loop, name);
}

void
mail_send(struct mail *m, void (*run)(void *), void (*drop)(void *), void *(*again)(void *), void *data)
{
	struct net *n = m->net;
	struct link *l = link_of(n, m->from, m->to);
	struct parcel p = { l, run, drop, data }, q = p;
	uint64_t number = ++n->nmessages, way = m->from * NET_NODES + m->to;

	if (again && n->repeats > 0 && world_chance(n->world, n->repeats, "repeat", way, number)) {
		q.data = again(data);
		parcel_send(&m->late, world_delay(n->world, &late_by, "late", way, number), &q);
	}
	if (l->cuts > 0 || (n->loses > 0 && world_chance(n->world, n->loses, "lose", way, number)))
		drop(data);
	else
		parcel_send(&m->post, world_delay(n->world, l->slow ? &l->delay : &n->world->network, "net", way, number), &p);
}

void
mail_close(struct mail *m)
{
	post_close(&m->post);
	post_close(&m->late);
}
