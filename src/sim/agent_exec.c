/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "executor/proto.h"
#include "sim/agent_priv.h"
#include "sim/disk.h"
#include "sim/watch.h"

/*
 * Execs and objects, served. A put is known by the id that its client gave it, so that one that comes twice starts one
 * exec; one that was killed is remembered too, for its put may come after its kill. An end is told as a manifest, with the
 * key that it is of.
 */
#define POLL SECONDS(20)	/* a wait is answered by then, whatever it has to say */

struct waiter {			/* a wait that is not answered yet */
	TAILQ_ENTRY(waiter) link;
	struct put  *put;
	struct call  call;
	struct timer poll;
};
struct put {
	TAILQ_ENTRY(put) link;
	struct held *held;
	struct session *session;	/* with id: its name */
	uint64_t     id;
	struct call  asked;	/* the newest put of it that is not answered */
	bool	     asking, killed, over;
	struct digest key;
	struct manifest manifest;	/* its key, claim and, when it is over, result */
	struct err  *err;	/* over, and there is no result */
	struct exec *exec;	/* owned */
	struct op   *op;	/* the put, then the wait */
	TAILQ_HEAD(, waiter) waiters;
};

static struct put *
put_find(struct held *h, const struct session *s, uint64_t id)
{
	struct put *p;

	TAILQ_FOREACH(p, &h->puts, link)
		if (p->session == s && p->id == id)
			return p;
	return NULL;
}

static struct put *
put_new(struct held *h, struct session *s, uint64_t id)
{
	struct put *p = xcalloc(1, sizeof *p);

	p->held = h;
	p->session = s;
	p->id = id;
	TAILQ_INIT(&p->waiters);
	TAILQ_INSERT_TAIL(&h->puts, p, link);
	return p;
}

static void
waiter_free(struct waiter *w)
{
	TAILQ_REMOVE(&w->put->waiters, w, link);
	timer_clear(&w->poll);
	free(w);
}

static void
put_free(struct put *p)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&p->waiters)))
		waiter_free(w);
	TAILQ_REMOVE(&p->held->puts, p, link);
	op_cancel(&p->op);
	exec_free(p->exec);
	manifest_release(&p->manifest);
	err_free(p->err);
	free(p);
}

void
held_drop_puts(struct held *h)
{
	struct put *p;

	while ((p = TAILQ_FIRST(&h->puts)))
		put_free(p);
}

bool
agent_vouches(const struct agent *a, const struct digest *key, int64_t since)
{
	const struct held *h;
	const struct put *p;

	TAILQ_FOREACH(h, &a->helds, link)
		TAILQ_FOREACH(p, &h->puts, link)
			if (!p->over && h->deadline >= since && digest_equal(&p->key, key))
				return true;
	return false;
}

/* ---- answers ---- */

static void
answer_result(struct agent *a, const struct call *c, struct put *p)
{
	struct rpc_answer ans = { .err = NULL };
	struct digest key = p->manifest.key;

	if (p->err) {
		agent_refuse(a, c, err_copy(p->err));
		return;
	}
	if (agent_lies(a, LIE_RESULTS))
		p->manifest.key.b[0] ^= 1;
	manifest_encode(&p->manifest, &ans.body);
	ans.attached = p->manifest.result.attached;
	p->manifest.key = key;
	agent_answer(a, c, &ans);
}

static void
put_over(struct put *p)
{
	struct waiter *w;

	p->over = true;
	while ((w = TAILQ_FIRST(&p->waiters))) {
		answer_result(p->held->agent, &w->call, p);
		waiter_free(w);
	}
}

static void
wait_cb(struct exec_result *result, struct err *err, void *arg)
{
	struct put *p = arg;

	p->op = NULL;
	p->err = err;
	if (!err)
		p->manifest.result = *result;
	put_over(p);
}

static void
answer_put(struct agent *a, struct put *p)
{
	struct rpc_answer ans = { .err = NULL };
	struct mpk_w w;

	p->asking = false;
	mpk_w_init(&w, &ans.body);
	mpk_digest(&w, &p->key);
	agent_answer(a, &p->asked, &ans);
}

/* Refused: nothing came of it, and another put may. */
static void
put_cb(struct exec *exec, struct err *err, void *arg)
{
	struct put *p = arg;
	struct agent *a = p->held->agent;

	p->op = NULL;
	if (err) {
		agent_refuse(a, &p->asked, err);
		put_free(p);
		return;
	}
	p->exec = exec;
	answer_put(a, p);
	p->op = exec_wait(exec, wait_cb, p);
	if (p->killed)
		exec_kill(exec);
}

/* ---- requests ---- */

static void
start(struct put *p, struct rpc_request *r)
{
	struct agent *a = p->held->agent;
	struct request q;
	struct err *err = request_decode(r->body.p, r->body.len, &q);

	if (err) {
		agent_refuse(a, &p->asked, err);
		put_free(p);
		return;
	}
	p->key = p->manifest.key = q.config.key;
	p->manifest.claim = q.config.claim;
	p->manifest.ident = q.config.ident ? xstrdup(q.config.ident) : NULL;
	if (q.config.claim.retain_ns > (uint64_t)a->host->lease)
		q.config.claim.retain_ns = (uint64_t)a->host->lease;
	p->op = executor_put(alloc_executor(p->held->alloc), &q.config, put_cb, p);
	request_release(&q);
}

/* What is known by a key already: from here on as if it had been put. */
static void
start_get(struct put *p, const struct rpc_request *r)
{
	struct agent *a = p->held->agent;

	if (r->body.len != sizeof p->key) {
		agent_refuse(a, &p->asked, err_msg(ERR_INVALID, "no key"));
		put_free(p);
		return;
	}
	memcpy(&p->key, r->body.p, sizeof p->key);
	p->manifest.key = p->key;
	p->op = executor_get(alloc_executor(p->held->alloc), &p->key, put_cb, p);
}

static void
serve_put(struct agent *a, struct held *h, const struct call *c, struct rpc_request *r)
{
	struct put *p = put_find(h, c->session, r->id);

	if (p && p->killed) {
		agent_refuse(a, c, err_msg(ERR_CANCELED, "it was killed before it came"));
		return;
	}
	if (p) {
		p->asked = *c;
		if (!p->asking)		/* it comes again: the answer was lost */
			answer_put(a, p);
		return;
	}
	if (r->method == RPC_PUT && agent_lies(a, LIE_FORGETS)) {
		struct rpc_answer ans = { .err = NULL };
		struct mpk_w w;
		struct request q;
		struct err *err = request_decode(r->body.p, r->body.len, &q);

		if (!err) {
			mpk_w_init(&w, &ans.body);
			mpk_digest(&w, &q.config.key);
			request_release(&q);
		}
		ans.err = err;
		agent_answer(a, c, &ans);
		return;
	}
	p = put_new(h, c->session, r->id);
	p->asked = *c;
	p->asking = true;
	if (r->method == RPC_GET)
		start_get(p, r);
	else
		start(p, r);
}

static void
poll_cb(void *arg)
{
	struct waiter *w = arg;
	struct rpc_answer ans = { .later = true };

	agent_answer(w->put->held->agent, &w->call, &ans);
	waiter_free(w);
}

static void
put_kill(struct put *p)
{
	p->killed = true;
	if (p->exec)
		exec_kill(p->exec);
}

static void
serve_wait(struct agent *a, struct held *h, const struct call *c, struct rpc_request *r)
{
	struct put *p = put_find(h, c->session, r->id);
	struct waiter *w;

	if (!p || (!p->over && !p->exec && !p->op)) {	/* or killed before it came */
		agent_refuse(a, c, err_msg(ERR_NOT_EXIST, "no such exec"));
		return;
	}
	if (r->kill)
		put_kill(p);
	if (p->over) {
		answer_result(a, c, p);
		return;
	}
	w = xcalloc(1, sizeof *w);
	w->put = p;
	w->call = *c;
	timer_init(&w->poll, a->proc.loop, "agent_poll", poll_cb, w);
	timer_set(&w->poll, POLL);
	TAILQ_INSERT_TAIL(&p->waiters, w, link);
}

static void
serve_kill(struct held *h, const struct call *c, struct rpc_request *r)
{
	struct put *p = put_find(h, c->session, r->id);

	put_kill(p ? p : put_new(h, c->session, r->id));
}

void
agent_serve_exec(struct agent *a, const struct call *c, struct rpc_request *r)
{
	struct held *h = agent_held(a, r->alloc);

	if (!h)
		agent_refuse(a, c, err_msg(ERR_NOT_EXIST, "alloc %s: alloc expired", r->alloc ? r->alloc : ""));
	else if (r->method == RPC_PUT || r->method == RPC_GET)
		serve_put(a, h, c, r);
	else if (r->method == RPC_WAIT)
		serve_wait(a, h, c, r);
	else
		serve_kill(h, c, r);
}

/* ---- objects ---- */

static bool
read_file(const struct rpc_request *r, struct file *out)
{
	if (r->body.len < sizeof *out)
		return false;
	memcpy(out, r->body.p, sizeof *out);
	return true;
}

/* A file, as its digest and size; its bytes, where anybody asks for them, come behind. */
void
agent_serve_repo(struct agent *a, const struct call *c, struct rpc_request *r)
{
	struct sim_objects *objects = a->host->objects;
	struct rpc_answer ans = { .err = NULL };
	struct file f = { .size = 0 };
	struct err *err;

	if (!read_file(r, &f)) {
		agent_refuse(a, c, err_msg(ERR_INVALID, "no digest"));
		return;
	}
	if (r->method == RPC_STORE) {
		if (a->host->full) {
			agent_refuse(a, c, err_msg(ERR_TEMPORARY, "%s: no space left on device", a->host->name));
			return;
		}
		objects_add(objects, &f);
		objects_set_bytes(objects, &f.id, r->body.p + sizeof f, r->body.len - sizeof f);
	} else if ((err = objects_stat(objects, &f.id, &f)) != NULL) {
		if (!agent_lies(a, LIE_OBJECTS)) {
			agent_refuse(a, c, err);
			return;
		}
		err_free(err);
	}
	if (agent_lies(a, LIE_OBJECTS))
		f.id.b[0] ^= 1;
	buf_add(&ans.body, (const char *)&f, sizeof f);
	if (r->method == RPC_READ)
		objects_get_bytes(objects, &f.id, &ans.body);
	agent_answer(a, c, &ans);
}
