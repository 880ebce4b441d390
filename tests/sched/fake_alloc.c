/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sched/fake.h"

#include "base/xalloc.h"
#include "iface/later.h"

/* Allocs of the fake, and the cluster that gives them. */

struct fake_alloc {
	struct alloc alloc;
	struct fake *fake;
};
struct fake_want {
	struct op	op;
	struct fake    *fake;
	char	       *uri;
	struct resources min;
	cluster_waiting_cb *waiting;
	pool_alloc_cb  *cb;
	void	       *arg;
	TAILQ_ENTRY(fake_want) link;
};

struct granted {
	int64_t ns;
	struct err *err;
	alloc_keepalive_cb *cb;
	void *arg;
};

static void
granted_run(void *data)
{
	struct granted g = *(struct granted *)data;

	free(data);
	g.cb(g.err ? 0 : g.ns, g.err, g.arg);
}

static void
granted_drop(void *data)
{
	struct granted *g = data;

	err_free(g->err);
	free(g);
}

static struct op *
keepalive(struct alloc *a, int64_t ns, alloc_keepalive_cb *cb, void *arg)
{
	struct fake *f = container_of(a, struct fake_alloc, alloc)->fake;
	struct granted *g = xcalloc(1, sizeof *g);

	*g = (struct granted){ ns, NULL, cb, arg };
	f->retained = ns;
	if (f->keepalive_faults)
		g->err = fake_fault(f, "keepalive");
	else if (f->no_lease)
		g->err = err_msg(ERR_NOT_EXIST, "alloc expired");
	return later_start(f->loop, "fake_keepalive", granted_run, granted_drop, g);
}

struct asked {
	struct err *err;
	alloc_inspect_cb *cb;
	void *arg;
};

static void
asked_run(void *data)
{
	struct asked a = *(struct asked *)data;
	struct alloc_inspect i = { .id = NULL };

	free(data);
	a.cb(a.err ? NULL : &i, a.err, a.arg);
}

static void
asked_drop(void *data)
{
	err_free(((struct asked *)data)->err);
	free(data);
}

static struct op *
inspect(struct alloc *a, alloc_inspect_cb *cb, void *arg)
{
	struct fake *f = container_of(a, struct fake_alloc, alloc)->fake;
	struct asked *q = xcalloc(1, sizeof *q);

	*q = (struct asked){ f->no_lease ? err_msg(ERR_NOT_EXIST, "alloc expired") : NULL, cb, arg };
	return later_start(f->loop, "fake_inspect", asked_run, asked_drop, q);
}

static struct executor *
alloc_executor_of(struct alloc *a)
{
	return &container_of(a, struct fake_alloc, alloc)->fake->executor;
}

static void
drop(struct alloc *a)
{
	struct fake_alloc *fa = container_of(a, struct fake_alloc, alloc);
	struct fake_want *w;

	fa->fake->nallocs--;
	if ((w = TAILQ_FIRST(&fa->fake->wants)) != NULL)
		op_wake(&w->op);
	resources_release(&a->resources);
	free(a->uri);
	free(fa);
}

static const struct alloc_ops alloc_ops = { .keepalive = keepalive, .inspect = inspect, .executor = alloc_executor_of, .drop = drop };

static struct alloc *
alloc_new(struct fake *f, const char *uri)
{
	struct fake_alloc *fa = xcalloc(1, sizeof *fa);

	fa->alloc.ops = &alloc_ops;
	fa->alloc.loop = f->loop;
	fa->alloc.uri = uri ? xstrdup(uri) : xasprintf("fake/%u", f->asked);
	resources_copy(&fa->alloc.resources, &f->capacity);
	fa->fake = f;
	f->nallocs++;
	return &fa->alloc;
}

static void
want_advance(struct op *op)
{
	struct fake_want *w = op_owner(op, struct fake_want, op);
	struct fake *f = w->fake;
	pool_alloc_cb *cb = w->cb;
	void *arg = w->arg;
	struct err *err = fake_fault(f, "allocate");
	struct alloc *a = NULL;

	if (!err && !resources_available(&f->capacity, &w->min))
		err = err_msg(ERR_RESOURCES_EXHAUSTED, "no machine is that large");
	if (!err && f->nallocs >= f->max_allocs) {
		if (w->waiting)
			w->waiting("a free machine", arg);
		return;
	}
	if (!err)
		a = alloc_new(f, w->uri);
	op_release(op);
	cb(a, err, arg);
}

static void
want_release(struct op *op)
{
	struct fake_want *w = op_owner(op, struct fake_want, op);

	TAILQ_REMOVE(&w->fake->wants, w, link);
	resources_release(&w->min);
	free(w->uri);
	free(w);
}

static const struct op_type want_type = { "fake_allocate", want_advance, want_release };

static struct fake_want *
want_new(struct cluster *c, pool_alloc_cb *cb, void *arg)
{
	struct fake *f = container_of(c, struct fake, cluster);
	struct fake_want *w = xcalloc(1, sizeof *w);

	op_init(&w->op, f->loop, &want_type);
	w->fake = f;
	w->cb = cb;
	w->arg = arg;
	f->asked++;
	TAILQ_INSERT_TAIL(&f->wants, w, link);
	op_wake(&w->op);
	return w;
}

static struct op *
allocate(struct cluster *c, const struct requirements *req, unused_arg const struct labels *labels,
    cluster_waiting_cb *waiting, pool_alloc_cb *cb, void *arg)
{
	struct fake_want *w = want_new(c, cb, arg);

	resources_copy(&w->min, &req->min);
	w->waiting = waiting;
	return &w->op;
}

static struct op *
alloc_by_uri(struct cluster *c, const char *uri, unused_arg const struct alloc_inspect *inspect, pool_alloc_cb *cb,
    void *arg)
{
	struct fake_want *w = want_new(c, cb, arg);

	w->uri = xstrdup(uri);
	return &w->op;
}

static const char *
name(unused_arg struct cluster *c)
{
	return "fake";
}

static bool
could_ever(struct pool *p, const struct resources *want)
{
	struct fake *f = container_of(p, struct fake, pool);

	return resources_available(f->largest ? f->largest : &f->capacity, want);
}

static const char *
pool_name(unused_arg struct pool *p)
{
	return "fake";
}

static const struct pool_ops pool_ops = { .could_ever = could_ever, .id = pool_name };

static struct pool *
pool(struct cluster *c)
{
	return &container_of(c, struct fake, cluster)->pool;
}

static const struct cluster_ops cluster_ops = { .allocate = allocate, .alloc = alloc_by_uri, .pool = pool, .name = name };

void
fake_cluster_init(struct fake *f)
{
	f->cluster = (struct cluster){ &cluster_ops, f->loop };
	f->pool = (struct pool){ &pool_ops, f->loop };
	f->max_allocs = 1;
	TAILQ_INIT(&f->wants);
}

void
fake_room(struct fake *f)
{
	struct fake_want *w;

	TAILQ_FOREACH(w, &f->wants, link)
		op_wake(&w->op);
}
