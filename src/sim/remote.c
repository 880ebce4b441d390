/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/remote.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "iface/later.h"
#include "pool/pool_local.h"

/* The pool of one host, and its allocs. */
struct remote_alloc {
	struct alloc   alloc;
	struct remote *remote;
	char	      *id;	/* owned */
	struct executor *executor;	/* owned */
};
struct remote_call {		/* what an answer becomes */
	struct remote	 *remote;
	char		 *uri;	/* owned; or NULL */
	struct resources  want;	/* ACCEPT */
	int64_t		  asked, interval;
	void (*cb)(void);	/* of the type that its reader knows */
	void		 *arg;
};

static struct remote *
remote_of(struct pool *p)
{
	return container_of(p, struct remote, pool);
}

static struct remote_alloc *
alloc_of(struct alloc *a)
{
	return container_of(a, struct remote_alloc, alloc);
}

static void
call_drop(void *data)
{
	struct remote_call *c = data;

	free(c->uri);
	resources_release(&c->want);
	free(c);
}

static struct remote_call *
call_new(struct remote *r, void (*cb)(void), void *arg)
{
	struct remote_call *c = xcalloc(1, sizeof *c);

	c->remote = r;
	c->asked = loop_now(r->proc->loop);
	c->cb = cb;
	c->arg = arg;
	return c;
}

/* ---- allocs ---- */

static struct op *remote_keepalive(struct alloc *, int64_t, alloc_keepalive_cb *, void *);
static struct op *remote_inspect(struct alloc *, alloc_inspect_cb *, void *);
static struct op *remote_free_alloc(struct alloc *, alloc_done_cb *, void *);

static struct executor *
remote_executor(struct alloc *a)
{
	return alloc_of(a)->executor;
}

static void
remote_drop(struct alloc *a)
{
	struct remote_alloc *ra = alloc_of(a);

	executor_free(ra->executor);
	resources_release(&a->resources);
	free(a->uri);
	free(ra->id);
	free(ra);
}

static const struct alloc_ops remote_alloc_ops = {
	.keepalive = remote_keepalive,
	.inspect = remote_inspect,
	.free_alloc = remote_free_alloc,
	.executor = remote_executor,
	.drop = remote_drop,
};

static struct alloc *
remote_alloc_new(struct remote *r, const struct alloc_inspect *i)
{
	struct remote_alloc *a = xcalloc(1, sizeof *a);

	a->remote = r;
	a->id = xstrdup(strchr(i->id, '/') + 1);
	a->alloc.ops = &remote_alloc_ops;
	a->alloc.loop = r->proc->loop;
	a->alloc.uri = xstrdup(i->id);
	a->alloc.lapses = true;
	resources_copy(&a->alloc.resources, &i->resources);
	a->executor = remote_executor_new(r, a->id, &a->alloc);
	return &a->alloc;
}

/* ---- documents ---- */

/* Of an alloc of this host. */
static struct err *
read_inspect(struct remote *r, const msgpack_object *o, struct alloc_inspect *out)
{
	size_t n = strlen(r->host->name);
	struct err *err = alloc_inspect_from_mpk(o, out);

	if (!err && (!out->id || strncmp(out->id, r->host->name, n) != 0 || out->id[n] != '/' || !out->id[n + 1])) {
		alloc_inspect_release(out);
		err = err_msg(ERR_INVALID, "an alloc of another name");
	}
	if (!err)
		return NULL;
	err_free(err);
	return rpc_nonsense(r->session, "no alloc");
}

static struct err *
parse(struct remote *r, const struct buf *b, struct mpk_doc *doc)
{
	struct err *err = mpk_parse(doc, b->p, b->len);

	if (!err)
		return NULL;
	err_free(err);
	return rpc_nonsense(r->session, "no document");
}

static struct err *
read_alloc(struct remote *r, const struct buf *b, struct alloc_inspect *out)
{
	struct mpk_doc doc;
	struct err *err = parse(r, b, &doc);

	if (err)
		return err;
	err = read_inspect(r, mpk_root(&doc), out);
	mpk_doc_release(&doc);
	return err;
}

static struct err *
read_offers(struct remote *r, const struct buf *b, struct offers *out)
{
	const msgpack_object *o;
	struct mpk_doc doc;
	struct err *err = parse(r, b, &doc);

	if (err)
		return err;
	o = mpk_root(&doc);
	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > 16)
		err = rpc_nonsense(r->session, "no list of offers");
	for (uint32_t i = 0; !err && i < o->via.array.size; i++) {
		struct offer f = { mpk_get_strdup(&o->via.array.ptr[i], "ID"), &r->pool, RESOURCES_INIT };

		if (f.id)
			resources_from_mpk(&f.available, mpk_get(&o->via.array.ptr[i], "Available"));
		else
			err = rpc_nonsense(r->session, "an offer without a name");
		if (f.id) {
			out->v = xreallocarray(out->v, out->n + 1, sizeof *out->v);
			out->v[out->n++] = f;
		}
	}
	mpk_doc_release(&doc);
	if (err)
		offers_release(out);
	return err;
}

/* ---- answers ---- */

static void
offers_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct remote_call *c = arg;
	pool_offers_cb *cb = (pool_offers_cb *)c->cb;
	struct offers offers = { NULL, 0 };
	void *cbarg = c->arg;

	if (!err) {
		err = read_offers(c->remote, &a->body, &offers);
		rpc_answer_release(a);
	}
	call_drop(c);
	cb(err ? NULL : &offers, err, cbarg);
}

static void
alloc_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct remote_call *c = arg;
	pool_alloc_cb *cb = (pool_alloc_cb *)c->cb;
	struct alloc_inspect i = { .id = NULL };
	struct alloc *alloc = NULL;
	void *cbarg = c->arg;

	if (!err) {
		err = read_alloc(c->remote, &a->body, &i);
		rpc_answer_release(a);
	}
	if (!err) {
		if ((c->uri && strcmp(c->uri, i.id) != 0) || (!c->uri && !resources_equal(&c->want, &i.resources)))
			err = rpc_nonsense(c->remote->session, "another alloc than was asked for");
		else
			alloc = remote_alloc_new(c->remote, &i);
		if (alloc && !c->uri)	/* a new one */
			alloc->granted_until = c->asked + LEASE_FIRST;
		alloc_inspect_release(&i);
	}
	call_drop(c);
	cb(alloc, err, cbarg);
}

static void
allocs_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct remote_call *c = arg;
	pool_allocs_cb *cb = (pool_allocs_cb *)c->cb;
	struct alloc **v = NULL;
	void *cbarg = c->arg;
	struct mpk_doc doc;
	size_t n = 0;

	if (!err) {
		err = parse(c->remote, &a->body, &doc);
		rpc_answer_release(a);
	}
	if (!err) {
		const msgpack_object *o = mpk_root(&doc);
		size_t all = o->type == MSGPACK_OBJECT_ARRAY ? o->via.array.size : 0;

		v = xcalloc(all + 1, sizeof(struct alloc *));
		for (size_t k = 0; !err && k < all; k++) {
			struct alloc_inspect i = { .id = NULL };

			err = read_inspect(c->remote, &o->via.array.ptr[k], &i);
			if (!err)
				v[n++] = remote_alloc_new(c->remote, &i);
			if (!err)
				alloc_inspect_release(&i);
		}
		mpk_doc_release(&doc);
	}
	for (; err && n > 0; n--)
		alloc_drop(v[n - 1]);
	if (n == 0 && err) {
		free(v);
		v = NULL;
	}
	call_drop(c);
	cb(v, n, err, cbarg);
}

static void
keepalive_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct remote_call *c = arg;
	alloc_keepalive_cb *cb = (alloc_keepalive_cb *)c->cb;
	int64_t granted = 0;
	void *cbarg = c->arg;

	if (!err) {
		granted = a->granted;
		rpc_answer_release(a);
		if (granted < 0 || granted > c->interval)
			err = rpc_nonsense(c->remote->session, "a longer lease than was asked for");
	}
	call_drop(c);
	cb(err ? 0 : granted, err, cbarg);
}

static void
inspect_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct remote_call *c = arg;
	alloc_inspect_cb *cb = (alloc_inspect_cb *)c->cb;
	struct alloc_inspect i = { .id = NULL };
	void *cbarg = c->arg;

	if (!err) {
		err = read_alloc(c->remote, &a->body, &i);
		rpc_answer_release(a);
	}
	if (!err && strcmp(i.id, c->uri) != 0) {
		alloc_inspect_release(&i);
		err = rpc_nonsense(c->remote->session, "another alloc than was asked for");
	}
	call_drop(c);
	cb(err ? NULL : &i, err, cbarg);
}

static void
done_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct remote_call *c = arg;
	alloc_done_cb *cb = (alloc_done_cb *)c->cb;
	void *cbarg = c->arg;

	if (!err)
		rpc_answer_release(a);
	call_drop(c);
	cb(err, cbarg);
}

/* ---- calls ---- */

static struct op *
ask(struct remote_call *c, enum rpc_method m, const char *alloc, int64_t interval, const struct buf *body, rpc_cb *heard)
{
	struct rpc spec = { .method = m, .alloc = alloc, .interval = interval, .body = body, .patience = REMOTE_PATIENCE,
		.tries = 3 };

	return rpc_start(c->remote->session, &spec, heard, call_drop, c);
}

static struct op *
remote_keepalive(struct alloc *a, int64_t interval, alloc_keepalive_cb *cb, void *arg)
{
	struct remote_alloc *ra = alloc_of(a);
	struct remote_call *c = call_new(ra->remote, (void (*)(void))cb, arg);

	c->interval = interval;
	return ask(c, RPC_KEEPALIVE, ra->id, interval, NULL, keepalive_heard);
}

static struct op *
remote_inspect(struct alloc *a, alloc_inspect_cb *cb, void *arg)
{
	struct remote_alloc *ra = alloc_of(a);
	struct remote_call *c = call_new(ra->remote, (void (*)(void))cb, arg);

	c->uri = xstrdup(a->uri);
	return ask(c, RPC_INSPECT, ra->id, 0, NULL, inspect_heard);
}

static struct op *
remote_free_alloc(struct alloc *a, alloc_done_cb *cb, void *arg)
{
	struct remote_alloc *ra = alloc_of(a);

	return ask(call_new(ra->remote, (void (*)(void))cb, arg), RPC_FREE, ra->id, 0, NULL, done_heard);
}

static struct op *
remote_offers(struct pool *p, pool_offers_cb *cb, void *arg)
{
	return ask(call_new(remote_of(p), (void (*)(void))cb, arg), RPC_OFFERS, NULL, 0, NULL, offers_heard);
}

static struct op *
remote_accept(struct pool *p, const char *offer, const struct alloc_meta *meta, pool_alloc_cb *cb, void *arg)
{
	struct remote_call *c = call_new(remote_of(p), (void (*)(void))cb, arg);
	struct alloc_inspect i = { .id = (char[]){ "new" }, .meta = *meta };
	struct buf body = BUF_INIT;
	struct mpk_w w;
	struct op *op;

	resources_copy(&c->want, &meta->want);
	mpk_w_init(&w, &body);
	alloc_inspect_mpk(&i, &w);
	op = ask(c, RPC_ACCEPT, offer, 0, &body, alloc_heard);
	buf_release(&body);
	return op;
}

static struct op *
remote_alloc(struct pool *p, const char *id, pool_alloc_cb *cb, void *arg)
{
	struct remote_call *c = call_new(remote_of(p), (void (*)(void))cb, arg);

	c->uri = xasprintf("%s/%s", c->remote->host->name, id);
	return ask(c, RPC_ALLOC, id, 0, NULL, alloc_heard);
}

static struct op *
remote_allocs(struct pool *p, pool_allocs_cb *cb, void *arg)
{
	return ask(call_new(remote_of(p), (void (*)(void))cb, arg), RPC_ALLOCS, NULL, 0, NULL, allocs_heard);
}

static bool
remote_could_ever(struct pool *p, const struct resources *want)
{
	return resources_available(&remote_of(p)->host->total, want);
}

static const char *
remote_id(struct pool *p)
{
	return remote_of(p)->host->name;
}

static void
remote_free(struct pool *p)
{
	struct remote *r = remote_of(p);

	session_gone(r->session);
	if (r->own)
		repo_free(r->repo);
	free(r);
}

static const struct pool_ops remote_ops = {
	.offers = remote_offers,
	.accept = remote_accept,
	.alloc = remote_alloc,
	.allocs = remote_allocs,
	.could_ever = remote_could_ever,
	.id = remote_id,
	.free = remote_free,
};

struct pool *
remote_pool_new(struct proc *proc, struct ctl *ctl, struct host *h, struct repo *shared)
{
	struct remote *r = xcalloc(1, sizeof *r);

	r->pool = (struct pool){ &remote_ops, proc->loop };
	r->proc = proc;
	r->ctl = ctl;
	r->host = h;
	r->session = session_new(proc, h);
	r->own = shared == NULL;
	r->repo = shared ? shared : remote_repo_new(r);
	return &r->pool;
}
