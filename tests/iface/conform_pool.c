/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/conform_pool.h"

struct answer {
	bool		     done;
	struct offers	    *offers;
	struct alloc	    *alloc, **allocs;
	struct alloc_inspect *inspect;
	size_t		     n;
	int64_t		     granted;
	struct err	    *err;
};

static void
offers_cb(struct offers *offers, struct err *err, void *arg)
{
	struct answer *a = arg;

	if (!err)
		*a->offers = *offers;
	a->err = err;
	a->done = true;
}

static void
alloc_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct answer *a = arg;

	assert_true((alloc == NULL) == (err != NULL));
	a->alloc = alloc;
	a->err = err;
	a->done = true;
}

static void
allocs_cb(struct alloc **allocs, size_t n, struct err *err, void *arg)
{
	struct answer *a = arg;

	a->allocs = allocs;
	a->n = n;
	a->err = err;
	a->done = true;
}

static void
keepalive_cb(int64_t granted, struct err *err, void *arg)
{
	struct answer *a = arg;

	a->granted = granted;
	a->err = err;
	a->done = true;
}

static void
inspect_cb(struct alloc_inspect *i, struct err *err, void *arg)
{
	struct answer *a = arg;

	if (!err)
		*a->inspect = *i;
	a->err = err;
	a->done = true;
}

static void
done_cb(struct err *err, void *arg)
{
	struct answer *a = arg;

	a->err = err;
	a->done = true;
}

static struct err *
finish(struct loop *loop, struct answer *a)
{
	assert_false(a->done);
	test_until(loop, &a->done);
	return a->err;
}

struct err *
sync_offers(struct pool *p, struct offers *out)
{
	struct answer a = { .offers = out };

	pool_offers(p, offers_cb, &a);
	return finish(p->loop, &a);
}

struct err *
sync_accept(struct pool *p, const char *offer, const struct resources *want, struct alloc **out)
{
	struct alloc_meta meta = { .owner = xstrdup("Test Person <test>") };
	struct answer a = { false };
	struct err *err;

	resources_copy(&meta.want, want);
	labels_set(&meta.labels, "app", "conform");
	pool_accept(p, offer, &meta, alloc_cb, &a);
	alloc_meta_release(&meta);
	err = finish(p->loop, &a);
	*out = a.alloc;
	return err;
}

struct err *
sync_alloc(struct pool *p, const char *id, struct alloc **out)
{
	struct answer a = { false };
	struct err *err;

	pool_alloc(p, id, alloc_cb, &a);
	err = finish(p->loop, &a);
	*out = a.alloc;
	return err;
}

struct err *
sync_allocs(struct pool *p, struct alloc ***out, size_t *n)
{
	struct answer a = { false };
	struct err *err;

	pool_allocs(p, allocs_cb, &a);
	err = finish(p->loop, &a);
	*out = a.allocs;
	*n = a.n;
	return err;
}

struct err *
sync_keepalive(struct alloc *alloc, int64_t interval, int64_t *granted)
{
	struct answer a = { false };
	struct err *err;

	alloc_keepalive(alloc, interval, keepalive_cb, &a);
	err = finish(alloc->loop, &a);
	*granted = a.granted;
	return err;
}

struct err *
sync_inspect(struct alloc *alloc, struct alloc_inspect *out)
{
	struct answer a = { .inspect = out };

	alloc_inspect_start(alloc, inspect_cb, &a);
	return finish(alloc->loop, &a);
}

struct err *
sync_free(struct alloc *alloc)
{
	struct answer a = { false };

	alloc_free_start(alloc, done_cb, &a);
	return finish(alloc->loop, &a);
}

static void
passed(void *arg)
{
	*(bool *)arg = true;
}

void
advance(struct loop *loop, int64_t ns)
{
	struct timer t;
	bool over = false;

	timer_init(&t, loop, "test_advance", passed, &over);
	timer_set(&t, ns);
	test_until(loop, &over);
}

void
amount(struct resources *r, double cpu, double gib_mem, double gib_disk)
{
	resources_set(r, "cpu", cpu);
	resources_set(r, "mem", gib_mem * GIB);
	resources_set(r, "disk", gib_disk * GIB);
}

/* ---- the suite ---- */

static void
assert_offer(struct pool *p, double cpu)
{
	struct offers o = { NULL, 0 };

	assert_ok(sync_offers(p, &o));
	if (cpu <= 0) {
		assert_int_equal(o.n, 0);
	} else {
		assert_int_equal(o.n, 1);
		assert_ptr_equal(o.v[0].pool, p);
		assert_true(o.v[0].available.cpu == cpu);
	}
	offers_release(&o);
}

static struct err *
take(struct pool *p, double cpu, double gib, struct alloc **out)
{
	struct resources want = RESOURCES_INIT;
	struct offers o = { NULL, 0 };
	struct err *err;

	amount(&want, cpu, gib, 1);
	assert_ok(sync_offers(p, &o));
	err = sync_accept(p, o.n ? o.v[0].id : "1", &want, out);
	resources_release(&want);
	offers_release(&o);
	return err;
}

static void
must_expire(struct err *err)
{
	assert_true(err_is(err, ERR_NOT_EXIST));
	err_free(err);
}

static void
drop_all(struct pool *p, size_t expected)
{
	struct alloc **v;
	size_t n;

	assert_ok(sync_allocs(p, &v, &n));
	assert_int_equal(n, expected);
	for (size_t i = 0; i < n; i++) {
		assert_ok(sync_free(v[i]));
		alloc_drop(v[i]);
	}
	free(v);
}

static void
accept_and_free(struct pool *p)
{
	struct alloc *a, *b, *again;
	const char *id;

	assert_offer(p, 4);
	assert_ok(take(p, 3, 2, &a));
	assert_true(a->resources.cpu == 3 && a->resources.mem == 2 * GIB);
	assert_int_equal(strncmp(a->uri, pool_id(p), strlen(pool_id(p))), 0);
	id = a->uri + strlen(pool_id(p)) + 1;
	assert_int_equal(strlen(id), 16);
	assert_non_null(alloc_executor(a));
	assert_offer(p, 1);
	must_expire(take(p, 2, 1, &b));		/* somebody was faster: exactly what was wanted, or nothing */
	assert_offer(p, 1);
	assert_ok(sync_alloc(p, id, &again));
	assert_string_equal(again->uri, a->uri);
	alloc_drop(again);
	must_expire(sync_alloc(p, "0000000000000bad", &again));
	must_expire(sync_accept(p, "no such offer", &a->resources, &b));
	assert_ok(sync_free(a));
	assert_ok(sync_free(a));		/* harmless */
	assert_offer(p, 4);
	must_expire(sync_alloc(p, id, &again));
	alloc_drop(a);
}

static void
inspects(struct pool *p)
{
	struct alloc_inspect i;
	struct alloc *a;
	int64_t now;

	assert_ok(take(p, 1, 1, &a));
	assert_ok(sync_inspect(a, &i));
	now = loop_wall(p->loop);
	assert_string_equal(i.id, a->uri);
	assert_true(resources_equal(&i.resources, &a->resources));
	assert_string_equal(i.meta.owner, "Test Person <test>");
	assert_string_equal(labels_get(&i.meta.labels, "app"), "conform");
	assert_true(i.created <= now && i.last_keepalive == i.created && i.expires > now);
	assert_true(i.expires - i.created >= SECONDS(59) && i.expires - i.created <= SECONDS(61));
	alloc_inspect_release(&i);
	assert_ok(sync_free(a));
	must_expire(sync_inspect(a, &i));
	alloc_drop(a);
}

/* A lapsed lease no longer counts, can be revived, and goes when its room is needed. */
static void
leases(struct pool *p)
{
	struct alloc *a, *b;
	int64_t granted;

	assert_ok(take(p, 4, 4, &a));
	assert_offer(p, 0);
	advance(p->loop, SECONDS(61));
	assert_offer(p, 4);
	assert_ok(sync_keepalive(a, SECONDS(120), &granted));
	assert_true(granted == SECONDS(120));
	assert_offer(p, 0);
	must_expire(take(p, 4, 4, &b));
	assert_ok(sync_keepalive(a, SECONDS(100 * 3600), &granted));
	assert_true(granted == SECONDS(2 * 3600));
	assert_ok(sync_keepalive(a, 0, &granted));
	assert_true(granted == 0);
	assert_ok(take(p, 2, 2, &b));
	must_expire(sync_keepalive(a, SECONDS(60), &granted));
	alloc_drop(a);
	assert_offer(p, 2);
	alloc_drop(b);		/* the handle: the alloc lives on */
	assert_offer(p, 2);
	drop_all(p, 1);
	assert_offer(p, 4);
}

/* A lapsed lease is gone. */
static void
ended_leases(struct pool *p)
{
	struct alloc_inspect i;
	struct alloc *a, *b;
	int64_t granted;

	assert_ok(take(p, 4, 4, &a));
	assert_ok(sync_keepalive(a, SECONDS(90), &granted));
	assert_true(granted == SECONDS(90));
	advance(p->loop, SECONDS(80));
	assert_offer(p, 0);
	assert_ok(sync_keepalive(a, SECONDS(90), &granted));
	advance(p->loop, SECONDS(91));
	assert_offer(p, 4);
	must_expire(sync_keepalive(a, SECONDS(120), &granted));
	must_expire(sync_inspect(a, &i));
	must_expire(sync_alloc(p, a->uri + strlen(pool_id(p)) + 1, &b));
	drop_all(p, 0);
	alloc_drop(a);
	assert_ok(take(p, 2, 2, &b));
	assert_ok(sync_keepalive(b, 0, &granted));
	assert_true(granted == 0);
	advance(p->loop, SECONDS(1));
	must_expire(sync_keepalive(b, SECONDS(60), &granted));
	alloc_drop(b);
	assert_offer(p, 4);
}

static void
cancels(struct pool *p)
{
	struct answer a = { false };
	struct offers o = { NULL, 0 };
	struct alloc *alloc;
	struct op *op;

	a.offers = &o;
	op = pool_offers(p, offers_cb, &a);
	op_cancel(&op);
	op = pool_alloc(p, "x", alloc_cb, &a);
	op_cancel(&op);
	op = pool_allocs(p, allocs_cb, &a);
	op_cancel(&op);
	assert_ok(take(p, 1, 1, &alloc));
	op = alloc_keepalive(alloc, SECONDS(5), keepalive_cb, &a);
	op_cancel(&op);
	op = alloc_inspect_start(alloc, inspect_cb, &a);
	op_cancel(&op);
	op = alloc_free_start(alloc, done_cb, &a);
	op_cancel(&op);
	test_turns(p->loop, 4);
	assert_false(a.done);
	assert_ok(sync_free(alloc));
	alloc_drop(alloc);
}

void
conform_pool(const struct conform_pool *c)
{
	struct clock *clock = clock_virtual_new(SECONDS(1700000000));
	struct loop *loop = loop_new(clock);
	struct resources r = RESOURCES_INIT;
	struct pool *p;

	loop_seed(loop, 7);
	test_limit(60);
	p = c->make(loop, c->arg);
	amount(&r, 4, 8, 100);
	assert_true(pool_could_ever(p, &r));
	resources_set(&r, "cpu", 4.5);
	assert_false(pool_could_ever(p, &r));
	resources_release(&r);
	accept_and_free(p);
	inspects(p);
	if (c->ends_lapsed)
		ended_leases(p);
	else
		leases(p);
	cancels(p);
	pool_free(p);
	if (c->end)
		c->end(c->arg);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock);
	alarm(0);
}
