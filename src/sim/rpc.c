/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rpc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/agent.h"
#include "sim/host.h"

/*
 * Requests on their way. A session stays until the world ends, since messages of a controller that is gone may still be
 * under way; its calls belong to the controller.
 */
struct rpc_call {
	struct op	op;
	TAILQ_ENTRY(rpc_call) link;
	struct session *session;
	struct rpc_request *request;	/* shared with those under way */
	int64_t		patience;
	unsigned	tries;		/* left; 0: no limit */
	struct timer	impatient;
	bool		over;
	struct rpc_answer answer;
	struct err     *err;
	rpc_cb	       *cb;
	void (*drop)(void *);	/* or NULL, and once cb is due */
	void	       *arg;
};
struct session {
	TAILQ_ENTRY(session) link;	/* of the host */
	struct host  *host;
	struct proc  *client;
	bool	      gone;
	unsigned      agent;	/* of the host, that it is connected to; 0: none yet */
	struct mail   to, from;
	uint64_t      last_call, last_id;
	TAILQ_HEAD(, rpc_call) calls;
};

void
rpc_request_unref(struct rpc_request *r)
{
	if (--r->refs > 0)
		return;
	free(r->alloc);
	buf_release(&r->body);
	free(r);
}

void
rpc_answer_release(struct rpc_answer *a)
{
	err_free(a->err);
	a->err = NULL;
	buf_release(&a->body);
}

struct err *
rpc_nonsense(const struct session *s, const char *what)
{
	return err_msg(ERR_NET, "%s answers what cannot be: %s", s->host->name, what);
}

/* Sessions. */

struct session *
session_new(struct proc *client, struct host *h)
{
	struct session *s = xcalloc(1, sizeof *s);

	s->host = h;
	s->client = client;
	mail_init(&s->to, h->world->net, NET_HOME, h->number, h->world->loop, "to_agent");
	mail_init(&s->from, h->world->net, h->number, NET_HOME, client->loop, "from_agent");
	TAILQ_INIT(&s->calls);
	TAILQ_INSERT_TAIL(&h->sessions, s, link);
	return s;
}

bool
session_knows(struct session *s, unsigned agent)
{
	bool known = s->agent == agent || s->agent == 0;

	s->agent = agent;
	return known;
}

void
session_gone(struct session *s)
{
	s->gone = true;
	mail_close(&s->from);
}

uint64_t
session_next_id(struct session *s)
{
	return ++s->last_id;
}

void
sessions_free(struct host *h)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&h->sessions))) {
		TAILQ_REMOVE(&h->sessions, s, link);
		mail_close(&s->to);
		mail_close(&s->from);
		assert(TAILQ_EMPTY(&s->calls));
		free(s);
	}
}

/* Calls. */

static void
request_arrive(void *data)
{
	struct rpc_request *r = data;

	agent_receive(r->session->host, r);
}

static void
request_drop(void *data)
{
	rpc_request_unref(data);
}

static void *
request_again(void *data)
{
	struct rpc_request *r = data;

	r->refs++;
	return r;
}

static void
request_send(struct rpc_request *r)
{
	struct session *s = r->session;

	if (s->gone || s->client->dead)
		return;
	r->refs++;
	mail_send(&s->to, request_arrive, request_drop, request_again, r);
}

static struct rpc_request *
request_new(struct session *s, const struct rpc *spec)
{
	struct rpc_request *r = xcalloc(1, sizeof *r);

	r->refs = 1;
	r->session = s;
	r->method = spec->method;
	r->call = ++s->last_call;
	r->alloc = spec->alloc ? xstrdup(spec->alloc) : NULL;
	r->id = spec->id;
	r->interval = spec->interval;
	r->kill = spec->kill;
	if (spec->body)
		buf_add(&r->body, spec->body->p, spec->body->len);
	return r;
}

static void
call_over(struct rpc_call *c, struct err *err)
{
	timer_clear(&c->impatient);
	c->over = true;
	c->err = err;
	op_wake(&c->op);
}

static void
call_impatient(void *arg)
{
	struct rpc_call *c = arg;

	if (c->tries == 1) {
		call_over(c, err_msg(ERR_NET, "%s does not answer", c->session->host->name));
		return;
	}
	if (c->tries > 1)
		c->tries--;
	timer_set(&c->impatient, c->patience);
	request_send(c->request);
}

static void
call_advance(struct op *op)
{
	struct rpc_call *c = op_owner(op, struct rpc_call, op);
	struct rpc_answer a = c->answer;
	struct err *err = c->err;
	rpc_cb *cb = c->cb;
	void *arg = c->arg;

	if (!c->over)
		return;
	memset(&c->answer, 0, sizeof c->answer);
	c->err = NULL;
	c->drop = NULL;
	op_release(op);
	if (!err) {
		err = a.err;
		a.err = NULL;
	}
	if (err)
		rpc_answer_release(&a);
	cb(err ? NULL : &a, err, arg);
}

static void
call_release(struct op *op)
{
	struct rpc_call *c = op_owner(op, struct rpc_call, op);

	TAILQ_REMOVE(&c->session->calls, c, link);
	timer_clear(&c->impatient);
	rpc_request_unref(c->request);
	rpc_answer_release(&c->answer);
	err_free(c->err);
	if (c->drop)
		c->drop(c->arg);
	free(c);
}

static const struct op_type call_type = { "rpc", call_advance, call_release };

struct op *
rpc_start(struct session *s, const struct rpc *spec, rpc_cb *cb, void (*drop)(void *), void *arg)
{
	struct rpc_call *c = xcalloc(1, sizeof *c);

	op_init(&c->op, s->client->loop, &call_type);
	c->session = s;
	c->request = request_new(s, spec);
	c->patience = spec->patience;
	c->tries = spec->tries;
	c->cb = cb;
	c->drop = drop;
	c->arg = arg;
	timer_init(&c->impatient, s->client->loop, "rpc_impatient", call_impatient, c);
	timer_set(&c->impatient, spec->patience);
	TAILQ_INSERT_TAIL(&s->calls, c, link);
	request_send(c->request);
	return &c->op;
}

void
rpc_tell(struct session *s, const struct rpc *spec)
{
	struct rpc_request *r = request_new(s, spec);

	request_send(r);
	rpc_request_unref(r);
}

/* Answers. */

struct reply {
	struct session *session;
	uint64_t call;
	struct rpc_answer answer;
};

static void
reply_drop(void *data)
{
	struct reply *r = data;

	rpc_answer_release(&r->answer);
	free(r);
}

static void
reply_arrive(void *data)
{
	struct reply *r = data;
	struct rpc_call *c;

	TAILQ_FOREACH(c, &r->session->calls, link)
		if (c->request->call == r->call && !c->over)
			break;
	if (c && !r->session->client->dead) {
		c->answer = r->answer;
		memset(&r->answer, 0, sizeof r->answer);
		call_over(c, NULL);
	}
	reply_drop(r);
}

void
rpc_reply(struct session *s, uint64_t call, struct rpc_answer *a)
{
	struct reply *r;

	if (s->gone || s->client->dead) {
		rpc_answer_release(a);
		return;
	}
	r = xcalloc(1, sizeof *r);
	r->session = s;
	r->call = call;
	r->answer = *a;
	mail_send(&s->from, reply_arrive, reply_drop, NULL, r);
}
