/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/fake_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct machine {
	LIST_ENTRY(machine) entry;
	char		    id[8];
	struct resources    total;
	struct executor	   *executor;	/* kept */
};
struct lease {
	TAILQ_ENTRY(lease) entry;
	unsigned	   refs;	/* handles and the table */
	struct fake_pool  *pool;	/* NULL: gone */
	struct machine	  *machine;
	struct executor	  *executor;
	char		  *uri;
	struct alloc_meta  meta;
	int64_t		   created, kept, expires;	/* expires: monotonic */
};
struct fake_pool {
	struct pool  pool;
	struct fake *f;		/* kept */
	const char  *id;	/* kept */
	unsigned     nmachines, nleases;
	int64_t	     grant;
	LIST_HEAD(, machine) machines;
	TAILQ_HEAD(, lease)  leases;
};
struct handle {
	struct alloc  alloc;
	struct fake  *f;
	struct lease *lease;
};

static struct fake_pool *
fake_of(struct pool *p)
{
	return container_of(p, struct fake_pool, pool);
}

static void
lease_unref(struct lease *l)
{
	if (--l->refs > 0)
		return;
	alloc_meta_release(&l->meta);
	free(l->uri);
	free(l);
}

static void
lease_end(struct lease *l)
{
	if (!l->pool)
		return;
	TAILQ_REMOVE(&l->pool->leases, l, entry);
	l->pool = NULL;
	lease_unref(l);
}

static struct err *
expired(const struct lease *l, const char *op)
{
	struct err *err = err_new(ERR_NOT_EXIST, op, "%s", l->uri);

	err->msg = xstrdup("alloc expired");
	return err;
}

/* ---- allocs ---- */

struct alloc_call {
	struct lease *l;	/* shared */
	struct loop  *loop;
	int64_t	      interval;
	void (*cb)(void);
	void	     *arg;
};

static void
alloc_call_drop(void *data)
{
	lease_unref(((struct alloc_call *)data)->l);
	free(data);
}

static struct op *
alloc_call(
    struct alloc *a, const char *name, int64_t interval, void (*run)(struct err *, void *), void (*cb)(void), void *arg)
{
	struct handle *h = container_of(a, struct handle, alloc);
	struct alloc_call *c = xmalloc(sizeof *c);

	*c = (struct alloc_call){ h->lease, a->loop, interval, cb, arg };
	h->lease->refs++;
	return fake_call(h->f, name, run, alloc_call_drop, c);
}

static void
keepalive_run(struct err *err, void *data)
{
	struct alloc_call c = *(struct alloc_call *)data;
	int64_t granted = c.interval;

	if (!err && !c.l->pool)
		err = expired(c.l, "keepalive");
	if (!err) {
		if (granted > c.l->pool->grant)
			granted = c.l->pool->grant;
		c.l->kept = loop_wall(c.loop);
		c.l->expires = loop_now(c.loop) + granted;
	}
	alloc_call_drop(data);
	((alloc_keepalive_cb *)c.cb)(err ? 0 : granted, err, c.arg);
}

static struct op *
fake_keepalive(struct alloc *a, int64_t interval, alloc_keepalive_cb *cb, void *arg)
{
	return alloc_call(a, "alloc-keepalive", interval, keepalive_run, (void (*)(void))cb, arg);
}

static void
inspect_run(struct err *err, void *data)
{
	struct alloc_call c = *(struct alloc_call *)data;
	struct alloc_inspect i = { .id = NULL };

	if (!err && !c.l->pool)
		err = expired(c.l, "inspect");
	if (!err) {
		i.id = xstrdup(c.l->uri);
		resources_copy(&i.resources, &c.l->meta.want);
		alloc_meta_copy(&i.meta, &c.l->meta);
		i.created = c.l->created;
		i.last_keepalive = c.l->kept;
		i.expires = loop_wall(c.loop) + c.l->expires - loop_now(c.loop);
	}
	alloc_call_drop(data);
	((alloc_inspect_cb *)c.cb)(err ? NULL : &i, err, c.arg);
}

static struct op *
fake_inspect(struct alloc *a, alloc_inspect_cb *cb, void *arg)
{
	return alloc_call(a, "alloc-inspect", 0, inspect_run, (void (*)(void))cb, arg);
}

static void
free_run(struct err *err, void *data)
{
	struct alloc_call c = *(struct alloc_call *)data;

	if (!err)
		lease_end(c.l);
	alloc_call_drop(data);
	((alloc_done_cb *)c.cb)(err, c.arg);
}

static struct op *
fake_free_alloc(struct alloc *a, alloc_done_cb *cb, void *arg)
{
	return alloc_call(a, "alloc-free", 0, free_run, (void (*)(void))cb, arg);
}

static struct executor *
fake_alloc_executor(struct alloc *a)
{
	return container_of(a, struct handle, alloc)->lease->executor;
}

static void
fake_drop(struct alloc *a)
{
	lease_unref(container_of(a, struct handle, alloc)->lease);
	resources_release(&a->resources);
	free(a->uri);
	free(container_of(a, struct handle, alloc));
}

static const struct alloc_ops fake_alloc_ops = {
	fake_keepalive, fake_inspect, fake_free_alloc, fake_alloc_executor, fake_drop,
};

static struct alloc *
handle_new(struct lease *l)
{
	struct handle *h = xcalloc(1, sizeof *h);

	h->alloc.ops = &fake_alloc_ops;
	h->alloc.loop = l->pool->pool.loop;
	h->alloc.uri = xstrdup(l->uri);
	resources_copy(&h->alloc.resources, &l->meta.want);
	h->f = l->pool->f;
	h->lease = l;
	l->refs++;
	return &h->alloc;
}

/* ---- the pool ---- */

static void
machine_free_amount(struct fake_pool *p, struct machine *m, struct resources *out)
{
	struct lease *l;

	resources_copy(out, &m->total);
	TAILQ_FOREACH(l, &p->leases, entry)
		if (l->machine == m && l->expires > loop_now(p->pool.loop))
			resources_sub(out, &l->meta.want);
}

struct pool_call {
	struct fake_pool *p;
	char		 *id;
	struct alloc_meta meta;
	void (*cb)(void);
	void		 *arg;
};

static void
pool_call_drop(void *data)
{
	struct pool_call *c = data;

	free(c->id);
	alloc_meta_release(&c->meta);
	free(c);
}

static struct op *
pool_call(struct pool *pool, const char *name, const char *id, const struct alloc_meta *meta,
    void (*run)(struct err *, void *), void (*cb)(void), void *arg)
{
	struct pool_call *c = xcalloc(1, sizeof *c);

	c->p = fake_of(pool);
	c->id = id ? xstrdup(id) : NULL;
	if (meta)
		alloc_meta_copy(&c->meta, meta);
	c->cb = cb;
	c->arg = arg;
	return fake_call(c->p->f, name, run, pool_call_drop, c);
}

static void
offers_run(struct err *err, void *data)
{
	struct pool_call *c = data;
	pool_offers_cb *cb = (pool_offers_cb *)c->cb;
	struct offers offers = { NULL, 0 };
	struct machine *m;
	void *arg = c->arg;

	LIST_FOREACH(m, &c->p->machines, entry) {
		struct resources r = RESOURCES_INIT;

		machine_free_amount(c->p, m, &r);
		if (err || r.cpu <= 0 || r.mem <= 0 || r.disk <= 0) {
			resources_release(&r);
			continue;
		}
		offers.v = xreallocarray(offers.v, offers.n + 1, sizeof *offers.v);
		offers.v[offers.n++] = (struct offer){ xstrdup(m->id), &c->p->pool, r };
	}
	pool_call_drop(c);
	cb(err ? NULL : &offers, err, arg);
}

static struct op *
fake_offers(struct pool *p, pool_offers_cb *cb, void *arg)
{
	return pool_call(p, "pool-offers", NULL, NULL, offers_run, (void (*)(void))cb, arg);
}

/* Every lapsed alloc of the machine goes as soon as the room is wanted: simpler than the real rule. */
static bool
fits(struct fake_pool *p, struct machine *m, const struct resources *want)
{
	struct resources r = RESOURCES_INIT;
	struct lease *l, *next;
	bool yes;

	machine_free_amount(p, m, &r);
	yes = resources_available(&r, want);
	resources_release(&r);
	for (l = yes ? TAILQ_FIRST(&p->leases) : NULL; l; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (l->machine == m && l->expires <= loop_now(p->pool.loop))
			lease_end(l);
	}
	return yes;
}

static struct lease *
lease_new(struct fake_pool *p, struct machine *m, const struct alloc_meta *meta)
{
	struct lease *l = xcalloc(1, sizeof *l);

	l->refs = 1;
	l->pool = p;
	l->machine = m;
	l->executor = m->executor;
	l->uri = xasprintf("%s/%016x", p->id, ++p->nleases);
	alloc_meta_copy(&l->meta, meta);
	l->created = l->kept = loop_wall(p->pool.loop);
	l->expires = loop_now(p->pool.loop) + SECONDS(60);
	TAILQ_INSERT_TAIL(&p->leases, l, entry);
	return l;
}

static void
accept_run(struct err *err, void *data)
{
	struct pool_call *c = data;
	pool_alloc_cb *cb = (pool_alloc_cb *)c->cb;
	struct machine *m = NULL;
	struct alloc *alloc = NULL;
	void *arg = c->arg;

	LIST_FOREACH(m, &c->p->machines, entry)
		if (strcmp(m->id, c->id) == 0)
			break;
	if (!err && m && fits(c->p, m, &c->meta.want)) {
		alloc = handle_new(lease_new(c->p, m, &c->meta));
	} else if (!err) {
		err = err_new(ERR_NOT_EXIST, "alloc", NULL);
		err->msg = xstrdup("offer expired");
	}
	pool_call_drop(c);
	cb(alloc, err, arg);
}

static struct op *
fake_accept(struct pool *p, const char *offer, const struct alloc_meta *meta, pool_alloc_cb *cb, void *arg)
{
	return pool_call(p, "pool-accept", offer, meta, accept_run, (void (*)(void))cb, arg);
}

static struct lease *
find(struct fake_pool *p, const char *id)
{
	struct lease *l;

	TAILQ_FOREACH(l, &p->leases, entry)
		if (strcmp(l->uri + strlen(p->id) + 1, id) == 0)
			return l;
	return NULL;
}

static void
alloc_run(struct err *err, void *data)
{
	struct pool_call *c = data;
	pool_alloc_cb *cb = (pool_alloc_cb *)c->cb;
	struct lease *l = find(c->p, c->id);
	struct alloc *alloc = NULL;
	void *arg = c->arg;

	if (!err && !l)
		err = err_new(ERR_NOT_EXIST, "alloc", "%s/%s", c->p->id, c->id);
	if (!err)
		alloc = handle_new(l);
	pool_call_drop(c);
	cb(alloc, err, arg);
}

static struct op *
fake_alloc(struct pool *p, const char *id, pool_alloc_cb *cb, void *arg)
{
	return pool_call(p, "pool-alloc", id, NULL, alloc_run, (void (*)(void))cb, arg);
}

static void
allocs_run(struct err *err, void *data)
{
	struct pool_call *c = data;
	pool_allocs_cb *cb = (pool_allocs_cb *)c->cb;
	struct alloc **v = NULL;
	struct lease *l;
	void *arg = c->arg;
	size_t n = 0;

	if (!err) {
		TAILQ_FOREACH(l, &c->p->leases, entry) {
			v = xreallocarray(v, n + 1, sizeof(struct alloc *));
			v[n++] = handle_new(l);
		}
	}
	pool_call_drop(c);
	cb(v, n, err, arg);
}

static struct op *
fake_allocs(struct pool *p, pool_allocs_cb *cb, void *arg)
{
	return pool_call(p, "pool-allocs", NULL, NULL, allocs_run, (void (*)(void))cb, arg);
}

static bool
fake_could_ever(struct pool *p, const struct resources *r)
{
	struct machine *m;

	LIST_FOREACH(m, &fake_of(p)->machines, entry)
		if (resources_available(&m->total, r))
			return true;
	return false;
}

static const char *
fake_id(struct pool *p)
{
	return fake_of(p)->id;
}

static void
fake_free(struct pool *pool)
{
	struct fake_pool *p = fake_of(pool);
	struct machine *m;

	while (!TAILQ_EMPTY(&p->leases))
		lease_end(TAILQ_FIRST(&p->leases));
	while ((m = LIST_FIRST(&p->machines))) {
		LIST_REMOVE(m, entry);
		resources_release(&m->total);
		free(m);
	}
	free(p);
}

static const struct pool_ops fake_pool_ops = {
	fake_offers, fake_accept, fake_alloc, fake_allocs, fake_could_ever, fake_id, fake_free,
};

struct pool *
fake_pool_new(struct fake *f, const char *id)
{
	struct fake_pool *p = xcalloc(1, sizeof *p);

	p->pool = (struct pool){ &fake_pool_ops, f->loop };
	p->f = f;
	p->id = id;
	p->grant = SECONDS(7200);
	LIST_INIT(&p->machines);
	TAILQ_INIT(&p->leases);
	return &p->pool;
}

void
fake_pool_add(struct pool *pool, const struct resources *total, struct executor *executor)
{
	struct fake_pool *p = fake_of(pool);
	struct machine *m = xcalloc(1, sizeof *m), *last;

	snprintf(m->id, sizeof m->id, "%u", ++p->nmachines % 1000);
	resources_copy(&m->total, total);
	m->executor = executor;
	last = LIST_FIRST(&p->machines);
	while (last && LIST_NEXT(last, entry))
		last = LIST_NEXT(last, entry);
	if (last)
		LIST_INSERT_AFTER(last, m, entry);
	else
		LIST_INSERT_HEAD(&p->machines, m, entry);
}

void
fake_pool_grant(struct pool *p, int64_t most)
{
	fake_of(p)->grant = most;
}

void
fake_pool_lose(struct pool *p, const char *uri)
{
	struct lease *l = find(fake_of(p), uri + strlen(fake_of(p)->id) + 1);

	assert_non_null(l);
	lease_end(l);
}

void
fake_pool_take(struct pool *p, const struct alloc_meta *meta)
{
	(void)lease_new(fake_of(p), LIST_FIRST(&fake_of(p)->machines), meta);
}

size_t
fake_pool_nallocs(struct pool *p)
{
	struct lease *l;
	size_t n = 0;

	TAILQ_FOREACH(l, &fake_of(p)->leases, entry)
		n++;
	return n;
}
