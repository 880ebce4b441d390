/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/pool_local.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "iface/later.h"
#include "loop/loop.h"
#include "pool/alloc_exec.h"

/*
 * Leases in a table. What a reader would get wrong: expiry is lazy, unless pool_local_end_lapsed was called. A lapsed
 * lease stays in the table and its tasks run on, until it is revived by a keepalive or collected by an accept that needs
 * its room. Handles only refer to leases; the last reference frees one that has left the table.
 */

#define OFFER_ID "1"	/* there is never more than one offer */
#define ID_BYTES 8

struct lease {
	TAILQ_ENTRY(lease) entry;
	unsigned	   refs;	/* handles, and one for the table */
	struct pool_local *pool;	/* NULL once it is gone from the table */
	char		  *id;		/* owned */
	struct resources   resources;
	struct alloc_meta  meta;
	struct executor	  *executor;	/* owned */
	int64_t		   created, kept;	/* wall clock */
	int64_t		   expires;		/* monotonic: a clock that is set does not shorten a lease */
	struct timer	   lapse;		/* set where lapsed leases end */
};
struct pool_local {
	struct pool	 pool;
	struct executor *executor;	/* kept */
	struct resources total;
	TAILQ_HEAD(, lease) leases;
	bool		 end_lapsed;
	void (*room)(void *);
	void		*room_arg;
};
struct handle {
	struct alloc  alloc;
	struct lease *lease;		/* shared */
};

static struct pool_local *
local_of(struct pool *p)
{
	return container_of(p, struct pool_local, pool);
}

static struct lease *
lease_of(struct alloc *a)
{
	return container_of(a, struct handle, alloc)->lease;
}

/* ---- leases ---- */

static void
lease_unref(struct lease *l)
{
	if (--l->refs > 0)
		return;
	executor_free(l->executor);
	resources_release(&l->resources);
	alloc_meta_release(&l->meta);
	free(l->id);
	free(l);
}

static bool
lease_lapsed(const struct lease *l, int64_t now)
{
	return l->expires <= now;
}

/* Ends the lease: out of the table, its tasks are killed. Their room is the ledger's matter until they are gone. */
static void
lease_end(struct lease *l)
{
	struct pool_local *p = l->pool;

	if (!p)
		return;
	log_debug("pool local: alloc %s ends", l->id);
	TAILQ_REMOVE(&p->leases, l, entry);
	l->pool = NULL;
	timer_clear(&l->lapse);
	alloc_exec_shut(l->executor);
	lease_unref(l);
}

/* It is there, and has not lapsed where that is the end of it. */
static bool
lease_holds(const struct lease *l)
{
	return l->pool && !(l->pool->end_lapsed && lease_lapsed(l, loop_now(l->pool->pool.loop)));
}

static struct lease *
lease_find(struct pool_local *p, const char *id)
{
	struct lease *l;

	TAILQ_FOREACH(l, &p->leases, entry)
		if (strcmp(l->id, id) == 0 && lease_holds(l))
			return l;
	return NULL;
}

static void
tell_room(struct pool_local *p)
{
	if (p->room)
		p->room(p->room_arg);
}

static void
lease_lapse_cb(void *arg)
{
	struct lease *l = arg;
	struct pool_local *p = l->pool;

	lease_end(l);
	tell_room(p);
}

static void
lease_extend(struct lease *l, int64_t ns)
{
	l->expires = loop_now(l->pool->pool.loop) + ns;
	if (l->pool->end_lapsed)
		timer_set(&l->lapse, ns);
}

static struct lease *
lease_add(struct pool_local *p, char *id, const struct resources *resources, const struct alloc_meta *meta)
{
	struct lease *l = xcalloc(1, sizeof *l);

	l->refs = 1;
	l->pool = p;
	l->id = id;
	resources_copy(&l->resources, resources);
	alloc_meta_copy(&l->meta, meta);
	l->executor = alloc_exec_new(p->executor);
	l->created = l->kept = loop_wall(p->pool.loop);
	timer_init(&l->lapse, p->pool.loop, "lease_lapse", lease_lapse_cb, l);
	lease_extend(l, LEASE_FIRST);
	TAILQ_INSERT_TAIL(&p->leases, l, entry);
	log_debug("pool local: alloc %s begins", l->id);
	return l;
}

/* ---- allocs ---- */

static struct err *
expired(const struct lease *l, const char *op)
{
	struct err *err = err_new(ERR_NOT_EXIST, op, "%s/%s", POOL_LOCAL_ID, l->id);

	err->msg = xstrdup("alloc expired");
	return err;
}

struct keepalive_call {
	struct lease	   *lease;	/* shared */
	int64_t		    interval;
	alloc_keepalive_cb *cb;
	void		   *arg;
};

static void
keepalive_drop(void *data)
{
	lease_unref(((struct keepalive_call *)data)->lease);
	free(data);
}

static void
keepalive_run(void *data)
{
	struct keepalive_call c = *(struct keepalive_call *)data;
	struct pool_local *p = c.lease->pool;
	struct err *err = NULL;

	if (lease_holds(c.lease)) {
		c.lease->kept = loop_wall(p->pool.loop);
		lease_extend(c.lease, c.interval);
		if (c.interval == 0)
			tell_room(p);
	} else {
		err = expired(c.lease, "keepalive");
	}
	keepalive_drop(data);
	c.cb(err ? 0 : c.interval, err, c.arg);
}

static struct op *
local_keepalive(struct alloc *a, int64_t interval, alloc_keepalive_cb *cb, void *arg)
{
	struct keepalive_call *c = xmalloc(sizeof *c);

	*c = (struct keepalive_call){ lease_of(a), interval < LEASE_MOST ? interval : LEASE_MOST, cb, arg };
	c->lease->refs++;
	return later_start(a->loop, "pool-local-keepalive", keepalive_run, keepalive_drop, c);
}

struct inspect_call {
	struct lease	 *lease;	/* shared */
	struct loop	 *loop;		/* kept */
	alloc_inspect_cb *cb;
	void		 *arg;
};

static void
inspect_drop(void *data)
{
	lease_unref(((struct inspect_call *)data)->lease);
	free(data);
}

static void
inspect_run(void *data)
{
	struct inspect_call c = *(struct inspect_call *)data;
	struct alloc_inspect i = { .id = NULL };
	struct lease *l = c.lease;
	struct err *err = NULL;

	if (lease_holds(l)) {
		i.id = xasprintf("%s/%s", POOL_LOCAL_ID, l->id);
		resources_copy(&i.resources, &l->resources);
		alloc_meta_copy(&i.meta, &l->meta);
		i.created = l->created;
		i.last_keepalive = l->kept;
		i.expires = loop_wall(c.loop) + (l->expires - loop_now(c.loop));
	} else {
		err = expired(l, "inspect");
	}
	inspect_drop(data);
	c.cb(err ? NULL : &i, err, c.arg);
}

static struct op *
local_inspect(struct alloc *a, alloc_inspect_cb *cb, void *arg)
{
	struct inspect_call *c = xmalloc(sizeof *c);

	*c = (struct inspect_call){ lease_of(a), a->loop, cb, arg };
	c->lease->refs++;
	return later_start(a->loop, "pool-local-inspect", inspect_run, inspect_drop, c);
}

static struct op *
local_free_alloc(struct alloc *a, alloc_done_cb *cb, void *arg)
{
	struct lease *l = lease_of(a);
	struct pool_local *p = l->pool;

	lease_end(l);
	if (p)
		tell_room(p);
	return later_done(a->loop, "pool-local-free", NULL, cb, arg);
}

static struct executor *
local_executor(struct alloc *a)
{
	return lease_of(a)->executor;
}

static void
local_drop(struct alloc *a)
{
	struct handle *h = container_of(a, struct handle, alloc);

	lease_unref(h->lease);
	resources_release(&a->resources);
	free(a->uri);
	free(h);
}

static const struct alloc_ops alloc_local_ops = {
	.keepalive = local_keepalive,
	.inspect = local_inspect,
	.free_alloc = local_free_alloc,
	.executor = local_executor,
	.drop = local_drop,
};

static struct alloc *
handle_new(struct lease *l)
{
	struct handle *h = xcalloc(1, sizeof *h);

	h->lease = l;
	l->refs++;
	h->alloc.ops = &alloc_local_ops;
	h->alloc.loop = l->pool->pool.loop;
	h->alloc.uri = xasprintf("%s/%s", POOL_LOCAL_ID, l->id);
	resources_copy(&h->alloc.resources, &l->resources);
	return &h->alloc;
}

/* ---- offers ---- */

void
pool_local_available(struct pool *pool, struct resources *out)
{
	struct pool_local *p = local_of(pool);
	int64_t now = loop_now(pool->loop);
	struct lease *l;

	resources_copy(out, &p->total);
	TAILQ_FOREACH(l, &p->leases, entry)
		if (!lease_lapsed(l, now))
			resources_sub(out, &l->resources);
}

struct pool_call {
	struct pool_local *p;	/* kept */
	char		  *id;	/* owned: of the offer or the alloc, or NULL */
	struct alloc_meta  meta;
	void (*cb)(void);	/* of the type that run knows */
	void		  *arg;
};

static void
call_drop(void *data)
{
	struct pool_call *c = data;

	free(c->id);
	alloc_meta_release(&c->meta);
	free(c);
}

static struct op *
call_later(struct pool *pool, const char *name, const char *id, const struct alloc_meta *meta, void (*run)(void *),
    void (*cb)(void), void *arg)
{
	struct pool_call *c = xcalloc(1, sizeof *c);

	c->p = local_of(pool);
	c->id = id ? xstrdup(id) : NULL;
	if (meta)
		alloc_meta_copy(&c->meta, meta);
	c->cb = cb;
	c->arg = arg;
	return later_start(pool->loop, name, run, call_drop, c);
}

static void
offers_run(void *data)
{
	struct pool_call *c = data;
	pool_offers_cb *cb = (pool_offers_cb *)c->cb;
	struct resources free_ = RESOURCES_INIT;
	struct offers offers = { NULL, 0 };
	void *arg = c->arg;

	pool_local_available(&c->p->pool, &free_);
	if (free_.cpu > 0 && free_.mem > 0 && free_.disk > 0) {
		offers.v = xcalloc(1, sizeof *offers.v);
		offers.v[0] = (struct offer){ xstrdup(OFFER_ID), &c->p->pool, free_ };
		offers.n = 1;
	} else {
		resources_release(&free_);
	}
	call_drop(c);
	cb(&offers, NULL, arg);
}

static struct op *
local_offers(struct pool *pool, pool_offers_cb *cb, void *arg)
{
	return call_later(pool, "pool-local-offers", NULL, NULL, offers_run, (void (*)(void))cb, arg);
}

/* Marks the one that lapsed longest ago and is not among the marked ones (those before `before`). */
static struct lease *
longest_lapsed(struct pool_local *p, int64_t after, int64_t now)
{
	struct lease *l, *oldest = NULL;

	TAILQ_FOREACH(l, &p->leases, entry)
		if (lease_lapsed(l, now) && l->expires > after && (!oldest || l->expires < oldest->expires))
			oldest = l;
	return oldest;
}

/*
 * Makes room by ending lapsed leases, the one lapsed longest first, and no more of them than it takes.
 * If all of them would not do, none is ended. Leases that lapsed at the same moment go together.
 */
static bool
make_room(struct pool_local *p, const struct resources *want)
{
	struct resources free_ = RESOURCES_INIT;
	int64_t now = loop_now(p->pool.loop), upto = INT64_MIN;
	struct lease *l, *next;
	bool fits;

	resources_copy(&free_, &p->total);
	TAILQ_FOREACH(l, &p->leases, entry)
		resources_sub(&free_, &l->resources);
	while (!(fits = resources_available(&free_, want)) && (l = longest_lapsed(p, upto, now))) {
		upto = l->expires;
		for (; l; l = TAILQ_NEXT(l, entry))
			if (l->expires == upto)
				resources_add(&free_, &l->resources);
	}
	resources_release(&free_);
	if (!fits)
		return false;
	for (l = TAILQ_FIRST(&p->leases); l; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (l->expires <= upto)
			lease_end(l);
	}
	return true;
}

static char *
random_id(struct loop *loop)
{
	struct buf hex = BUF_INIT;
	uint8_t r[ID_BYTES];

	loop_random(loop, r, sizeof r);
	buf_add_hex(&hex, r, sizeof r);
	return buf_take(&hex, NULL);
}

static void
accept_run(void *data)
{
	struct pool_call *c = data;
	pool_alloc_cb *cb = (pool_alloc_cb *)c->cb;
	struct alloc *alloc = NULL;
	struct err *err = NULL;
	void *arg = c->arg;

	if (strcmp(c->id, OFFER_ID) != 0 || !make_room(c->p, &c->meta.want)) {
		err = err_new(ERR_NOT_EXIST, "alloc", NULL);
		err->msg = xstrdup("offer expired");
	} else {
		alloc = handle_new(lease_add(c->p, random_id(c->p->pool.loop), &c->meta.want, &c->meta));
	}
	call_drop(c);
	cb(alloc, err, arg);
}

static struct op *
local_accept(struct pool *pool, const char *offer, const struct alloc_meta *meta, pool_alloc_cb *cb, void *arg)
{
	return call_later(pool, "pool-local-accept", offer, meta, accept_run, (void (*)(void))cb, arg);
}

static void
alloc_run(void *data)
{
	struct pool_call *c = data;
	pool_alloc_cb *cb = (pool_alloc_cb *)c->cb;
	struct lease *l = lease_find(c->p, c->id);
	struct err *err = l ? NULL : err_new(ERR_NOT_EXIST, "alloc", "%s/%s", POOL_LOCAL_ID, c->id);
	struct alloc *alloc = l ? handle_new(l) : NULL;
	void *arg = c->arg;

	call_drop(c);
	cb(alloc, err, arg);
}

static struct op *
local_alloc(struct pool *pool, const char *id, pool_alloc_cb *cb, void *arg)
{
	return call_later(pool, "pool-local-alloc", id, NULL, alloc_run, (void (*)(void))cb, arg);
}

static void
allocs_run(void *data)
{
	struct pool_call *c = data;
	pool_allocs_cb *cb = (pool_allocs_cb *)c->cb;
	struct alloc **allocs = NULL;
	struct lease *l;
	void *arg = c->arg;
	size_t n = 0;

	TAILQ_FOREACH(l, &c->p->leases, entry) {
		allocs = xreallocarray(allocs, n + 1, sizeof(struct alloc *));
		allocs[n++] = handle_new(l);
	}
	call_drop(c);
	cb(allocs, n, NULL, arg);
}

static struct op *
local_allocs(struct pool *pool, pool_allocs_cb *cb, void *arg)
{
	return call_later(pool, "pool-local-allocs", NULL, NULL, allocs_run, (void (*)(void))cb, arg);
}

/* ---- the pool ---- */

static bool
local_could_ever(struct pool *pool, const struct resources *r)
{
	return resources_available(&local_of(pool)->total, r);
}

static const char *
local_id(struct pool *pool unused_arg)
{
	return POOL_LOCAL_ID;
}

/* The controller ends: leases do not outlive it, attempts may (see retain). */
static void
local_free(struct pool *pool)
{
	struct pool_local *p = local_of(pool);
	struct lease *l;

	while ((l = TAILQ_FIRST(&p->leases))) {
		TAILQ_REMOVE(&p->leases, l, entry);
		l->pool = NULL;
		timer_clear(&l->lapse);
		lease_unref(l);
	}
	resources_release(&p->total);
	free(p);
}

static const struct pool_ops pool_local_ops = {
	.offers = local_offers,
	.accept = local_accept,
	.alloc = local_alloc,
	.allocs = local_allocs,
	.could_ever = local_could_ever,
	.id = local_id,
	.free = local_free,
};

struct pool *
pool_local_new(struct loop *loop, struct executor *executor, const struct resources *total)
{
	struct pool_local *p = xcalloc(1, sizeof *p);

	p->pool = (struct pool){ &pool_local_ops, loop };
	p->executor = executor;
	resources_copy(&p->total, total);
	TAILQ_INIT(&p->leases);
	return &p->pool;
}

struct err *
pool_local_restore(struct pool *pool, const struct alloc_inspect *i, struct alloc **out)
{
	struct pool_local *p = local_of(pool);
	static const char prefix[] = POOL_LOCAL_ID "/";
	struct resources have = RESOURCES_INIT;
	struct lease *l;
	const char *id;

	if (!i->id || strncmp(i->id, prefix, sizeof prefix - 1) != 0 || i->id[sizeof prefix - 1] == '\0')
		return err_msg(ERR_INVALID, "alloc %s is not of pool %s", i->id ? i->id : "(none)", POOL_LOCAL_ID);
	id = i->id + sizeof prefix - 1;
	l = lease_find(p, id);
	if (!l) {
		resources_copy(&have, &i->resources);
		resources_min(&have, &p->total);
		l = lease_add(p, xstrdup(id), &have, &i->meta);
		if (i->created)
			l->created = i->created;
		resources_release(&have);
	}
	*out = handle_new(l);
	return NULL;
}

void
pool_local_on_room(struct pool *pool, void (*room)(void *), void *arg)
{
	struct pool_local *p = local_of(pool);

	p->room = room;
	p->room_arg = arg;
}

void
pool_local_end_lapsed(struct pool *pool)
{
	struct pool_local *p = local_of(pool);
	int64_t now = loop_now(pool->loop);
	struct lease *l;

	p->end_lapsed = true;
	TAILQ_FOREACH(l, &p->leases, entry)
		timer_set(&l->lapse, l->expires > now ? l->expires - now : 0);
}

int64_t
pool_local_next_expiry(struct pool *pool)
{
	struct pool_local *p = local_of(pool);
	int64_t now = loop_now(pool->loop), next = 0;
	struct lease *l;

	TAILQ_FOREACH(l, &p->leases, entry)
		if (!lease_lapsed(l, now) && (!next || l->expires < next))
			next = l->expires;
	return next;
}

const struct resources *
pool_local_total(struct pool *pool)
{
	return &local_of(pool)->total;
}
