/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "pool/pool_local.h"
#include "sim/agent_priv.h"
#include "sim/watch.h"

/*
 * Allocs, served: each request is a call of the real pool, and its answer a document. What a reader would get wrong: the
 * pool calls itself `local`; out there its allocs are named by the host.
 */
struct pool_op {		/* a call under way */
	TAILQ_ENTRY(pool_op) link;
	struct agent *agent;
	struct call   call;
	enum rpc_method method;
	char	     *id;	/* owned: of the alloc, or NULL */
	struct op    *op;
};

static struct pool_op *
pool_op_new(struct agent *a, const struct call *c, const struct rpc_request *r)
{
	struct pool_op *o = xcalloc(1, sizeof *o);

	o->agent = a;
	o->call = *c;
	o->method = r->method;
	o->id = r->alloc ? xstrdup(r->alloc) : NULL;
	TAILQ_INSERT_TAIL(&a->pool_ops, o, link);
	return o;
}

static void
pool_op_free(struct pool_op *o)
{
	op_cancel(&o->op);
	TAILQ_REMOVE(&o->agent->pool_ops, o, link);
	free(o->id);
	free(o);
}

/* ---- what is held ---- */

struct held *
agent_held(struct agent *a, const char *id)
{
	struct held *h;

	TAILQ_FOREACH(h, &a->helds, link)
		if (id && strcmp(h->id, id) == 0)
			return h;
	return NULL;
}

static void
held_free(struct held *h)
{
	TAILQ_REMOVE(&h->agent->helds, h, link);
	held_drop_puts(h);
	alloc_drop(h->alloc);
	free(h->id);
	free(h);
}

void
agent_release_helds(struct agent *a)
{
	struct pool_op *o;
	struct held *h;

	while ((o = TAILQ_FIRST(&a->pool_ops)))
		pool_op_free(o);
	while ((h = TAILQ_FIRST(&a->helds)))
		held_free(h);
}

static const char *
id_of(const struct alloc *alloc)
{
	return strchr(alloc->uri, '/') + 1;
}

/* Those that are long gone, and answer nobody any more. */
static void
sweep(struct agent *a)
{
	int64_t now = loop_now(a->proc.loop);
	struct held *h, *next;

	for (h = TAILQ_FIRST(&a->helds); h; h = next) {
		next = TAILQ_NEXT(h, link);
		if (h->deadline + SECONDS(600) < now)
			held_free(h);
	}
}

static struct held *
held_add(struct agent *a, struct alloc *alloc, const struct call *by)
{
	struct held *h = xcalloc(1, sizeof *h);

	sweep(a);
	h->agent = a;
	h->id = xstrdup(id_of(alloc));
	h->alloc = alloc;
	h->accepted = *by;
	h->deadline = loop_now(a->proc.loop) + LEASE_FIRST;
	TAILQ_INIT(&h->puts);
	TAILQ_INSERT_TAIL(&a->helds, h, link);
	return h;
}

/* ---- answers ---- */

static void
put_inspect(struct agent *a, const struct alloc_inspect *i, struct mpk_w *w)
{
	struct alloc_inspect out = *i;
	char *uri = xasprintf("%s/%s", a->host->name, strchr(i->id, '/') + 1);

	out.id = uri;
	alloc_inspect_mpk(&out, w);
	free(uri);
}

static void
put_alloc(struct agent *a, const struct alloc *alloc, struct mpk_w *w)
{
	struct alloc_inspect i = { .id = alloc->uri };

	i.resources = alloc->resources;
	put_inspect(a, &i, w);
}

static void
answer_alloc(struct agent *a, const struct call *c, const struct alloc *alloc)
{
	struct rpc_answer ans = { .err = NULL };
	struct mpk_w w;

	mpk_w_init(&w, &ans.body);
	put_alloc(a, alloc, &w);
	agent_answer(a, c, &ans);
}

static void
offers_cb(struct offers *offers, struct err *err, void *arg)
{
	struct pool_op *o = arg;
	struct rpc_answer ans = { .err = err };
	struct mpk_w w;

	o->op = NULL;
	mpk_w_init(&w, &ans.body);
	mpk_array(&w, err ? 0 : offers->n);
	for (size_t i = 0; !err && i < offers->n; i++) {
		mpk_map(&w, 2);
		mpk_key(&w, "ID");
		mpk_str(&w, offers->v[i].id);
		mpk_key(&w, "Available");
		resources_mpk(&offers->v[i].available, &w);
	}
	if (!err)
		offers_release(offers);
	agent_answer(o->agent, &o->call, &ans);
	pool_op_free(o);
}

static void
accept_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct pool_op *o = arg;
	struct agent *a = o->agent;

	o->op = NULL;
	if (err) {
		agent_refuse(a, &o->call, err);
	} else {
		answer_alloc(a, &o->call, held_add(a, alloc, &o->call)->alloc);
		watch_granted(a->proc.world->watch, a->host, a->pool);
	}
	pool_op_free(o);
}

static void
alloc_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct pool_op *o = arg;

	o->op = NULL;
	if (err)
		agent_refuse(o->agent, &o->call, err);
	else
		answer_alloc(o->agent, &o->call, alloc);
	alloc_drop(alloc);
	pool_op_free(o);
}

static void
allocs_cb(struct alloc **v, size_t n, struct err *err, void *arg)
{
	struct pool_op *o = arg;
	struct rpc_answer ans = { .err = err };
	struct mpk_w w;

	o->op = NULL;
	mpk_w_init(&w, &ans.body);
	mpk_array(&w, n);
	for (size_t i = 0; i < n; i++) {
		put_alloc(o->agent, v[i], &w);
		alloc_drop(v[i]);
	}
	free(v);
	agent_answer(o->agent, &o->call, &ans);
	pool_op_free(o);
}

static void
keepalive_cb(int64_t granted, struct err *err, void *arg)
{
	struct pool_op *o = arg;
	struct agent *a = o->agent;
	struct held *h = agent_held(a, o->id);
	struct rpc_answer ans = { .err = err, .granted = granted };

	o->op = NULL;
	if (!err && h) {
		watch_lease(a->proc.world->watch, a->host, h->id, h->deadline, "keeps alive");
		h->deadline = loop_now(a->proc.loop) + granted;
	}
	if (!err && agent_lies(a, LIE_GRANTS))
		ans.granted *= 4;
	agent_answer(a, &o->call, &ans);
	pool_op_free(o);
}

static void
inspect_cb(struct alloc_inspect *i, struct err *err, void *arg)
{
	struct pool_op *o = arg;
	struct rpc_answer ans = { .err = err };
	struct mpk_w w;

	o->op = NULL;
	mpk_w_init(&w, &ans.body);
	if (!err) {
		put_inspect(o->agent, i, &w);
		alloc_inspect_release(i);
	}
	agent_answer(o->agent, &o->call, &ans);
	pool_op_free(o);
}

static void
freed_cb(struct err *err, void *arg)
{
	struct pool_op *o = arg;
	struct held *h = agent_held(o->agent, o->id);

	o->op = NULL;
	if (h)
		h->deadline = loop_now(o->agent->proc.loop);
	agent_refuse(o->agent, &o->call, err);	/* or no error: done */
	pool_op_free(o);
}

/* ---- requests ---- */

static struct err *
gone(const char *id)
{
	return err_msg(ERR_NOT_EXIST, "alloc %s: alloc expired", id ? id : "");
}

/* One that comes again is told what the first was told. */
static struct held *
accepted(struct agent *a, const struct call *c)
{
	struct held *h;

	TAILQ_FOREACH(h, &a->helds, link)
		if (h->accepted.session == c->session && h->accepted.number == c->number)
			return h;
	return NULL;
}

static void
serve_accept(struct agent *a, const struct call *c, struct rpc_request *r)
{
	struct alloc_inspect i = { .id = NULL };
	struct mpk_doc doc;
	struct held *h = accepted(a, c);
	struct pool_op *o;
	struct err *err;

	if (h) {
		answer_alloc(a, c, h->alloc);
		return;
	}
	if (agent_lies(a, LIE_OFFERS)) {
		agent_refuse(a, c, err_msg(ERR_NOT_EXIST, "offer expired"));
		return;
	}
	err = mpk_parse(&doc, r->body.p, r->body.len);
	if (!err) {
		err = alloc_inspect_from_mpk(mpk_root(&doc), &i);
		mpk_doc_release(&doc);
	}
	if (err) {
		agent_refuse(a, c, err);
		return;
	}
	o = pool_op_new(a, c, r);
	o->op = pool_accept(a->pool, r->alloc ? r->alloc : "", &i.meta, accept_cb, o);
	alloc_inspect_release(&i);
}

/* On an alloc that it has granted. */
static void
serve_held(struct agent *a, const struct call *c, struct rpc_request *r)
{
	struct held *h = agent_held(a, r->alloc);
	int64_t most = a->host->lease;
	struct pool_op *o;

	if (!h) {
		agent_refuse(a, c, r->method == RPC_FREE ? NULL : gone(r->alloc));
		return;
	}
	o = pool_op_new(a, c, r);
	if (r->method == RPC_KEEPALIVE)
		o->op = alloc_keepalive(h->alloc, r->interval < most ? r->interval : most, keepalive_cb, o);
	else if (r->method == RPC_INSPECT)
		o->op = alloc_inspect_start(h->alloc, inspect_cb, o);
	else
		o->op = alloc_free_start(h->alloc, freed_cb, o);
}

void
agent_serve_pool(struct agent *a, const struct call *c, struct rpc_request *r)
{
	struct pool_op *o;

	switch (r->method) {
	case RPC_OFFERS:
		o = pool_op_new(a, c, r);
		o->op = pool_offers(a->pool, offers_cb, o);
		break;
	case RPC_ACCEPT:
		serve_accept(a, c, r);
		break;
	case RPC_ALLOC:
		o = pool_op_new(a, c, r);
		o->op = pool_alloc(a->pool, r->alloc ? r->alloc : "", alloc_cb, o);
		break;
	case RPC_ALLOCS:
		o = pool_op_new(a, c, r);
		o->op = pool_allocs(a->pool, allocs_cb, o);
		break;
	default:
		serve_held(a, c, r);
		break;
	}
}

static void
ended_cb(struct err *err, void *arg)
{
	struct pool_op *o = arg;

	o->op = NULL;
	err_free(err);
	pool_op_free(o);
}

void
agent_end_alloc(struct host *host, const char *id)
{
	struct rpc_request r = { .method = RPC_FREE, .alloc = (char *)(uintptr_t)id };
	struct agent *a = host->agent;
	struct held *h = a && !a->proc.dead ? agent_held(a, id) : NULL;
	struct pool_op *o;

	if (!h)
		return;
	h->deadline = loop_now(a->proc.loop);
	o = pool_op_new(a, &(struct call){ NULL, 0 }, &r);
	o->op = alloc_free_start(h->alloc, ended_cb, o);
}
