/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/host_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/watch.h"

/*
 * keeper_client.h over messages. The struct stays until the world ends, since messages of a controller
 * that is gone may still be on their way to the host; its calls belong to the controller. When the keeper
 * dies, whatever is outstanding is asked for again, as the real client does.
 */
#define BOOT_DELAY MILLIS(30)

struct keeper_call {
	TAILQ_ENTRY(keeper_call) link;
	struct keeper_client *client;
	uint64_t id;
	bool	 over, detached, abandoned, taken;
	enum order_kind { ORDER_PUT, ORDER_INTERN, ORDER_SUBSCRIBE, ORDER_DETACH, ORDER_FORGET, ORDER_BOOT } kind;
	struct digest key;
	struct buf request;	/* of a put or an intern */
	struct resources resources;
	keeper_call_cb *cb;
	void	*arg;
};
struct keeper_client {
	TAILQ_ENTRY(keeper_client) link;
	struct host *host;
	struct proc *proc;
	struct ctl  *ctl;	/* whose it is, or NULL: an agent's */
	bool	     connected, gone;
	unsigned     deaths;	/* of keepers, as far as it has heard */
	uint64_t     last_id, nmessages;
	struct post  to, from;
	TAILQ_HEAD(, keeper_call) calls;
};

bool
client_gone(const struct keeper_client *c)
{
	return c->gone || c->proc->dead;
}

struct ctl *
client_ctl(const struct keeper_client *c)
{
	return c->ctl;
}

static int64_t
message_delay(struct keeper_client *c, const char *way)
{
	return world_delay(c->host->world, &c->host->world->network, way, c->host->number * 1000 + c->proc->number,
	    ++c->nmessages);
}

/* To the host. */

struct order {
	struct keeper_client *client;
	enum order_kind kind;
	unsigned deaths;	/* of keepers, when it was sent */
	uint64_t id;		/* FORGET: the attempt's number */
	struct buf request;
	struct digest run, key;	/* FORGET; SUBSCRIBE: the key */
};

static void
order_free(void *data)
{
	struct order *o = data;

	buf_release(&o->request);
	free(o);
}

static void intern_run(struct keeper_client *, uint64_t id, struct request *);

static void
order_run(void *data)
{
	struct order *o = data;
	struct request r;
	struct err *err;

	if (o->deaths != o->client->host->deaths) {	/* it went to a socket that nobody reads any more */
		order_free(o);
		return;
	}
	switch (o->kind) {
	case ORDER_PUT:
	case ORDER_INTERN:
		err = request_decode(o->request.p, o->request.len, &r);
		if (err)
			host_refuse(&(struct sub){ .client = o->client, .id = o->id }, err);
		else if (o->kind == ORDER_PUT)
			host_put(o->client->host, o->client, o->id, &r);
		else
			intern_run(o->client, o->id, &r);
		break;
	case ORDER_SUBSCRIBE:
		host_subscribe(o->client->host, o->client, o->id, &o->key);
		break;
	case ORDER_DETACH:
		host_detach(o->client->host, o->client, o->id);
		break;
	case ORDER_FORGET:
		host_forget(o->client->host, &o->run, &o->key, (uint32_t)o->id);
		break;
	case ORDER_BOOT:
		host_boot(o->client->host);
		break;
	}
	order_free(o);
}

static void
order_post(struct keeper_client *c, struct order *o)
{
	o->deaths = c->deaths;
	if (client_gone(c))
		order_free(o);
	else
		post_send(&c->to, o->kind == ORDER_BOOT ? BOOT_DELAY : message_delay(c, "to keeper"), order_run, order_free, o);
}

static void
order_send(struct keeper_client *c, enum order_kind kind, uint64_t id)
{
	struct order *o = xcalloc(1, sizeof *o);

	o->client = c;
	o->kind = kind;
	o->id = id;
	order_post(c, o);
}

/* What a call asks for, and asks again of another keeper. */
static void
order_call(struct keeper_call *call)
{
	struct order *o = xcalloc(1, sizeof *o);

	o->client = call->client;
	o->kind = call->kind;
	o->id = call->id;
	o->key = call->key;
	buf_add(&o->request, call->request.p, call->request.len);
	order_post(call->client, o);
}

/* From the host, on the controller's loop. */

struct answer {
	struct keeper_client *client;
	bool down;
	unsigned deaths;	/* down: of keepers by then */
	struct report report;
};

static void
answer_free(void *data)
{
	struct answer *a = data;

	report_release(&a->report);
	free(a);
}

static struct keeper_call *
call_find(struct keeper_client *c, uint64_t id)
{
	struct keeper_call *call;

	TAILQ_FOREACH(call, &c->calls, link)
		if (call->id == id)
			return call;
	return NULL;
}

static void
call_release(struct keeper_call *call)
{
	TAILQ_REMOVE(&call->client->calls, call, link);
	buf_release(&call->request);
	resources_release(&call->resources);
	free(call);
}

static void
call_report(struct keeper_call *call, struct report *r)
{
	if (call->over)
		return;
	if (r->kind == REPORT_DONE || r->kind == REPORT_REFUSED)
		call->over = true;
	if (!call->taken && !call->over) {
		call->taken = true;
		if (call->detached)
			order_send(call->client, ORDER_DETACH, call->id);
	}
	if (call->abandoned && call->over)
		call_release(call);
	else if (!call->abandoned)
		call->cb(r, NULL, call->arg);
}

static void client_connect(struct keeper_client *);

static void
client_down(struct keeper_client *c, unsigned deaths)
{
	struct keeper_call *call, *next;
	uint64_t upto = c->last_id;

	c->connected = false;
	c->deaths = deaths;
	client_connect(c);
	for (call = TAILQ_FIRST(&c->calls); call; call = next) {
		next = TAILQ_NEXT(call, link);
		if (call->over || call->id > upto)
			continue;
		call->taken = false;
		if (call->detached) {
			struct report r = { .kind = REPORT_REFUSED, .id = call->id, .err = err_msg(ERR_CANCELED, "killed") };

			call_report(call, &r);
			report_release(&r);
		} else {
			order_call(call);
		}
	}
}

static void
answer_run(void *data)
{
	struct answer *a = data;
	struct keeper_client *c = a->client;
	struct keeper_call *call;

	if (!c->proc->dead) {
		if (a->down)
			client_down(c, a->deaths);
		else if ((call = call_find(c, a->report.id)) != NULL)
			call_report(call, &a->report);
	}
	answer_free(a);
}

static struct answer *
answer_new(struct keeper_client *c, enum report_kind kind, uint64_t id)
{
	struct answer *a = xcalloc(1, sizeof *a);

	a->client = c;
	a->report.kind = kind;
	a->report.id = id;
	return a;
}

static void
answer_send(struct answer *a)
{
	struct keeper_client *c = a->client;

	if (client_gone(c))
		answer_free(a);
	else
		post_send(&c->from, message_delay(c, "from keeper"), answer_run, answer_free, a);
}

void
host_report(const struct sub *s, enum report_kind kind, const struct attempt *at, enum attempt_state state, bool attached)
{
	struct answer *a = answer_new(s->client, kind, s->id);

	a->report.key = at->key;
	a->report.attempt = at->number;
	a->report.state = state;
	a->report.attached = attached;
	if (kind == REPORT_DONE) {
		exec_result_copy(&a->report.result, &at->result);
		a->report.result.attached = attached;
		a->report.has_result = true;
	}
	answer_send(a);
}

void
host_detached(const struct sub *s, const struct attempt *at)
{
	struct answer *a = answer_new(s->client, REPORT_DONE, s->id);

	a->report.key = at->key;
	a->report.attempt = at->number;
	a->report.state = ATTEMPT_LOST;
	a->report.result = (struct exec_result){ .state = ATTEMPT_LOST, .attempt = at->number, .status = -1, .attached = true,
		.err = err_msg(ERR_CANCELED, "killed") };
	a->report.has_result = true;
	answer_send(a);
}

void
host_refuse(const struct sub *s, struct err *err)
{
	struct answer *a = answer_new(s->client, REPORT_REFUSED, s->id);

	a->report.err = err;
	answer_send(a);
}

void
host_tell_down(struct host *h)
{
	struct keeper_client *c;

	TAILQ_FOREACH(c, &h->clients, link) {
		struct answer *a;

		if (client_gone(c))
			continue;
		a = answer_new(c, REPORT_TAKEN, 0);
		a->down = true;
		a->deaths = h->deaths;
		answer_send(a);
	}
}

/* Interns: identified at once, told after a while. */

static void
intern_run(struct keeper_client *c, uint64_t id, struct request *r)
{
	struct world *w = c->host->world;
	const char *path = strncmp(r->config.url, "file://", 7) == 0 ? r->config.url + 7 : r->config.url;
	struct answer *a = answer_new(c, REPORT_DONE, id);
	struct exec_result *res = &a->report.result;
	struct file f;

	if (!c->host->up) {
		answer_free(a);
		request_release(r);
		return;
	}
	*res = (struct exec_result){ .state = ATTEMPT_OK, .status = -1, .owner = r->config.claim.run };
	a->report.key = r->config.key;
	a->report.has_result = true;
	res->usage.queued = res->usage.started = res->usage.ended = host_wall(c->host);
	if (r->config.dir)
		res->fileset = files_dir(w->files, path);
	else if (files_read(w->files, path, &f))
		res->fileset = fileset_file(&f);
	if (!res->fileset) {
		res->state = ATTEMPT_FAILED;
		res->err = err_new(ERR_NOT_EXIST, "open", "%s", path);
	} else if (r->config.install) {
		objects_add_all(c->host->objects, res->fileset);
	}
	a->report.state = res->state;
	world_step(w, STEP_INTERNED, &r->config.claim.run, 0);
	request_release(r);
	if (c->host->up)
		answer_send(a);
	else	/* killed at that very step */
		answer_free(a);
}

/* keeper_client.h, as far as controllers use it. */

static void
client_connect(struct keeper_client *c)
{
	if (c->connected)
		return;
	c->connected = true;
	order_send(c, ORDER_BOOT, 0);
}

struct keeper_client *
host_connect(struct host *h, struct proc *proc, struct ctl *ctl)
{
	struct keeper_client *c = xcalloc(1, sizeof *c);

	c->host = h;
	c->proc = proc;
	c->ctl = ctl;
	c->deaths = h->deaths;
	post_init(&c->to, h->world->loop, "to_keeper");
	post_init(&c->from, proc->loop, "from_keeper");
	TAILQ_INIT(&c->calls);
	TAILQ_INSERT_TAIL(&h->clients, c, link);
	return c;
}

size_t
host_client_load(const struct keeper_client *c, struct resources *out)
{
	const struct keeper_call *call;
	size_t n = 0;

	TAILQ_FOREACH(call, &c->calls, link) {
		if (call->over || call->kind != ORDER_PUT || call->abandoned)
			continue;
		resources_add(out, &call->resources);
		n++;
	}
	return n;
}

void
host_controller_gone(struct keeper_client *c)
{
	c->gone = true;
	post_close(&c->from);
	host_client_gone(c->host, c);
}

void
host_free_clients(struct host *h)
{
	struct keeper_client *c;

	while ((c = TAILQ_FIRST(&h->clients))) {
		post_close(&c->to);
		TAILQ_REMOVE(&h->clients, c, link);
		free(c);
	}
}

struct keeper_client *
keeper_client_new(struct loop *loop unused_arg, const struct root *root unused_arg, const struct keeper_options *o unused_arg)
{
	abort();
}

void
keeper_client_free(struct keeper_client *c)
{
	if (!c)
		return;
	for (struct keeper_call *call = TAILQ_FIRST(&c->calls), *next; call; call = next) {
		next = TAILQ_NEXT(call, link);
		assert(call->abandoned);
		call_release(call);
	}
}

void
keeper_client_wake(struct keeper_client *c)
{
	client_connect(c);
}

const struct root *
keeper_client_root(const struct keeper_client *c)
{
	return &c->host->world->root;
}

struct loop *
keeper_client_loop(const struct keeper_client *c)
{
	return c->proc->loop;
}

pid_t
keeper_client_pid(const struct keeper_client *c unused_arg)
{
	return 0;
}

static void
client_watch(struct keeper_client *c, const struct exec_config *config)
{
	const struct resources **out;
	struct keeper_call *call;
	size_t n = 0;

	TAILQ_FOREACH(call, &c->calls, link)
		n++;
	out = xcalloc(n, sizeof *out);
	n = 0;
	TAILQ_FOREACH(call, &c->calls, link)
		if (!call->over && call->kind == ORDER_PUT && !call->detached)
			out[n++] = &call->resources;
	watch_put(c->host->world->watch, c->ctl, config, out, n, &c->host->total);
	free(out);
}

static struct keeper_call *
call_new(struct keeper_client *c, enum order_kind kind, const struct digest *key, keeper_call_cb *cb, void *arg)
{
	struct keeper_call *call = xcalloc(1, sizeof *call);

	call->client = c;
	call->id = ++c->last_id;
	call->kind = kind;
	call->key = *key;
	call->cb = cb;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	return call;
}

struct keeper_call *
keeper_call_put(struct keeper_client *c, const struct exec_config *config, keeper_call_cb *cb, void *arg)
{
	struct keeper_call *call = call_new(c, config->type == EXEC_INTERN ? ORDER_INTERN : ORDER_PUT, &config->key, cb, arg);
	struct ledger_sub from = { .name = "c-sim", .id = call->id };

	resources_copy(&call->resources, &config->resources);
	request_encode(config, &from, &call->request);
	if (!client_gone(c) && c->ctl)
		client_watch(c, config);
	client_connect(c);
	order_call(call);
	return call;
}

struct keeper_call *
keeper_call_subscribe(struct keeper_client *c, const struct digest *key, keeper_call_cb *cb, void *arg)
{
	struct keeper_call *call = call_new(c, ORDER_SUBSCRIBE, key, cb, arg);

	client_connect(c);
	order_call(call);
	return call;
}

void
keeper_call_detach(struct keeper_call *call)
{
	if (call->over || call->detached)
		return;
	call->detached = true;
	if (call->taken)
		order_send(call->client, ORDER_DETACH, call->id);
}

void
keeper_call_free(struct keeper_call *call)
{
	if (call)
		call_release(call);
}

void
keeper_call_abandon(struct keeper_call *call)
{
	if (call->over) {
		call_release(call);
		return;
	}
	call->abandoned = true;
	keeper_call_detach(call);
}

void
keeper_client_forget(struct keeper_client *c, const struct digest *run, const struct digest *key, unsigned attempt)
{
	struct order *o = xcalloc(1, sizeof *o);

	o->client = c;
	o->kind = ORDER_FORGET;
	o->id = attempt;
	o->run = *run;
	o->key = *key;
	order_post(c, o);
}

void
keeper_client_kill_run(struct keeper_client *c unused_arg, const struct digest *run unused_arg)
{
}

void
keeper_attempts_release(struct keeper_attempts *a)
{
	free(a->a);
}

struct op *
keeper_ask(struct keeper_client *c unused_arg, const struct digest *key unused_arg, keeper_ask_cb *cb unused_arg,
    void *arg unused_arg)
{
	abort();
}
