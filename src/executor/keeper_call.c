/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_client_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * keeper_call: requests on their way, and what comes back. A request that was sent is not a request that
 * was taken: never more of those are out than the keeper has slots, plus two, so that a controller cannot
 * fill the shared queue. A call is alone responsible for its own fate: when the keeper dies it goes back
 * into the queue, and is sent again under the same number.
 */

static struct keeper_call *
call_find(struct keeper_client *c, uint64_t id)
{
	struct keeper_call *call;

	HASH_FIND(hh, c->calls, &id, sizeof id, call);
	return call;
}

/* The last word to a call: takes it out of the tables, then tells. The report's parts stay the caller's. */
void
call_end(struct keeper_call *call, struct report *r, struct err *err)
{
	struct keeper_client *c = call->client;

	if (call->state == CALL_QUEUED && call->channel != NULL)
		TAILQ_REMOVE(&call->channel->queue, call, queue);
	HASH_DEL(c->calls, call);
	call->client = NULL;
	call->cb(r, err, call->arg);
}

static void
call_credit(struct keeper_call *call)
{
	struct keeper_client *c = call->client;

	if (call->state != CALL_SENT)
		return;
	call->state = CALL_TAKEN;
	if (call->channel == NULL)
		return;
	call->channel->untaken--;
	channel_flush(c, call->channel);
}

void
client_out_add(struct keeper_client *c, struct buf *b)
{
	struct message *m = xcalloc(1, sizeof *m);

	m->data = *b;
	*b = (struct buf)BUF_INIT;
	STAILQ_INSERT_TAIL(&c->out, m, link);
}

void
client_out_drop(struct keeper_client *c)
{
	struct message *m = STAILQ_FIRST(&c->out);

	STAILQ_REMOVE_HEAD(&c->out, link);
	buf_release(&m->data);
	free(m);
}

void
client_out_flush(struct keeper_client *c)
{
	if (c->state != KEEPER_IN)
		return;
	while (!STAILQ_EMPTY(&c->out)) {
		struct message *m = STAILQ_FIRST(&c->out);

		if (sock_send(c->ctl, NULL, m->data.p, m->data.len, -1) != SOCK_SENT)
			break;	/* full: when it is writable. Gone: the read side says so */
		client_out_drop(c);
	}
	io_want(&c->ctl_io, IO_READ | (STAILQ_EMPTY(&c->out) ? 0 : IO_WRITE));
}

static void
say_detach(struct keeper_call *call)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 4);
	mpk_key(&w, "m"), mpk_str(&w, "detach");
	mpk_key(&w, "id"), mpk_u64(&w, call->id);
	mpk_key(&w, "key"), mpk_digest(&w, &call->key);
	mpk_key(&w, "attempt"), mpk_u64(&w, call->attempt);
	client_out_add(call->client, &b);
	client_out_flush(call->client);
}

void
call_say_subscribe(struct keeper_call *call)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "m"), mpk_str(&w, "subscribe");
	mpk_key(&w, "id"), mpk_u64(&w, call->id);
	mpk_key(&w, "key"), mpk_digest(&w, &call->key);
	call->state = CALL_SENT;
	client_out_add(call->client, &b);
	client_out_flush(call->client);
}

void
channel_flush(struct keeper_client *c, struct channel *ch)
{
	struct keeper_call *call;
	bool full = false;

	if (c->state != KEEPER_IN || ch->fd < 0)
		return;
	while (!full && ch->untaken < ch->window && (call = TAILQ_FIRST(&ch->queue)) != NULL) {
		switch (sock_send(ch->fd, NULL, call->request.p, call->request.len, -1)) {
		case SOCK_FULL:
			full = true;
			break;
		case SOCK_GONE:
			return;	/* the connection will say so, too */
		case SOCK_SENT:
			TAILQ_REMOVE(&ch->queue, call, queue);
			call->state = CALL_SENT;
			ch->untaken++;
		}
	}
	io_want(&ch->io, full ? IO_WRITE : 0);
}

void
commands_writable_cb(int what unused_arg, void *arg)
{
	struct keeper_client *c = arg;

	channel_flush(c, &c->commands);
}

void
interns_writable_cb(int what unused_arg, void *arg)
{
	struct keeper_client *c = arg;

	channel_flush(c, &c->interns);
}

void
channel_close(struct channel *ch)
{
	io_clear(&ch->io);
	if (ch->fd >= 0)
		close(ch->fd);
	ch->fd = -1;
	ch->untaken = 0;
}

/*
 * A call that was to end, and was not queued: it has ended with its keeper. A callback may change the table, so
 * one at a time.
 */
static struct keeper_call *
call_detached(struct keeper_client *c)
{
	struct keeper_call *call, *next;

	HASH_ITER(hh, c->calls, call, next) {
		if (call->detached)
			return call;
	}
	return NULL;
}

void
calls_requeue(struct keeper_client *c)
{
	struct report killed;
	struct keeper_call *call, *next;

	while ((call = call_detached(c)) != NULL) {
		killed = (struct report){ .kind = REPORT_REFUSED, .id = call->id, .key = call->key,
			.err = err_msg(ERR_CANCELED, "killed") };
		call_end(call, &killed, NULL);
		report_release(&killed);
	}
	/* The table keeps the order of insertion: oldest first. */
	HASH_ITER(hh, c->calls, call, next) {
		if (call->state == CALL_QUEUED)
			continue;
		call->state = CALL_QUEUED;
		if (call->channel != NULL)
			TAILQ_INSERT_TAIL(&call->channel->queue, call, queue);
	}
}

void
calls_report(struct keeper_client *c, struct report *r)
{
	struct keeper_call *call = call_find(c, r->id);

	/* A late word of an earlier life of the call, or of one that was let go. */
	if (call == NULL || call->state == CALL_QUEUED)
		return;
	if (r->kind == REPORT_STATE && call->state == CALL_SENT)
		r->kind = REPORT_TAKEN;	/* it overtook the one that was sent first */
	call_credit(call);
	if (!digest_is_zero(&r->key))
		call->key = r->key;
	if (r->attempt != 0)
		call->attempt = r->attempt;
	if (r->kind == REPORT_DONE || r->kind == REPORT_REFUSED) {
		call_end(call, r, NULL);
		return;
	}
	if (r->kind == REPORT_TAKEN && call->detached)
		say_detach(call);
	if (!call->abandoned)
		call->cb(r, NULL, call->arg);
}

/*
 * A child died with this request in its hand. Only this one: what still waits in the socket must not be sent
 * twice, because the second could come when the first is over, taken in and forgotten.
 */
void
calls_again(struct keeper_client *c, const msgpack_object *o)
{
	struct keeper_call *call;
	uint64_t id = 0;

	mpk_get_u64(o, "id", &id);
	call = call_find(c, id);
	if (call == NULL || call->channel == NULL || call->state == CALL_QUEUED)
		return;
	call->channel->untaken -= call->state == CALL_SENT;
	call->state = CALL_QUEUED;
	TAILQ_INSERT_HEAD(&call->channel->queue, call, queue);
	channel_flush(c, call->channel);
}

struct err *
channel_open(struct keeper_client *c, struct channel *ch, void (*writable)(int, void *))
{
	struct err *err;

	err = unix_connect(c->root->keeper, ch->name, SOCK_DGRAM, true, &ch->fd);
	if (err == NULL)
		io_init(&ch->io, c->loop, ch->fd, "keeper_request", writable, c);
	return err;
}

void
calls_unheard_cb(void *arg)
{
	struct keeper_client *c = arg;
	struct keeper_call *call, *next;
	struct report killed;

	HASH_ITER(hh, c->calls, call, next) {
		if (!call->detached || call->state != CALL_QUEUED)
			continue;
		killed = (struct report){ .kind = REPORT_REFUSED, .id = call->id, .key = call->key,
			.err = err_msg(ERR_CANCELED, "killed") };
		timer_set(&c->unheard, 1);	/* there may be more of them */
		call_end(call, &killed, NULL);
		report_release(&killed);
		return;
	}
}

static struct keeper_call *
call_new(struct keeper_client *c, keeper_call_cb *cb, void *arg)
{
	struct keeper_call *call = xcalloc(1, sizeof *call);

	call->client = c;
	call->id = c->next_id++;
	call->cb = cb;
	call->arg = arg;
	HASH_ADD(hh, c->calls, id, sizeof call->id, call);
	return call;
}

struct keeper_call *
keeper_call_put(struct keeper_client *c, const struct exec_config *config, keeper_call_cb *cb, void *arg)
{
	struct keeper_call *call = call_new(c, cb, arg);
	struct ledger_sub from = { .id = call->id };

	memcpy(from.name, c->name, sizeof from.name);
	call->key = config->key;
	call->channel = config->type == EXEC_COMMAND ? &c->commands : &c->interns;
	request_encode(config, &from, &call->request);
	TAILQ_INSERT_TAIL(&call->channel->queue, call, queue);
	if (c->state == KEEPER_IN)
		channel_flush(c, call->channel);
	else
		client_need(c);
	return call;
}

struct keeper_call *
keeper_call_subscribe(struct keeper_client *c, const struct digest *key, keeper_call_cb *cb, void *arg)
{
	struct keeper_call *call = call_new(c, cb, arg);

	call->key = *key;
	if (c->state == KEEPER_IN)
		call_say_subscribe(call);
	else
		client_need(c);
	return call;
}

void
keeper_call_detach(struct keeper_call *call)
{
	if (call->client == NULL || call->detached)
		return;
	call->detached = true;
	if (call->state == CALL_TAKEN) {
		say_detach(call);
	} else if (call->state == CALL_QUEUED) {	/* nobody has heard of it: ends on the loop's next turn */
		timer_set(&call->client->unheard, 1);
	}
	/* One that was sent says it when it is taken. */
}

void
keeper_call_free(struct keeper_call *call)
{
	struct keeper_client *c;

	if (call == NULL)
		return;
	c = call->client;
	if (c != NULL) {
		if (call->state == CALL_QUEUED && call->channel != NULL)
			TAILQ_REMOVE(&call->channel->queue, call, queue);
		/* Its credit comes back with a report that nobody waits for: not at all, so it is given back here. */
		if (call->state == CALL_SENT && call->channel != NULL)
			call->channel->untaken--;
		HASH_DEL(c->calls, call);
	}
	buf_release(&call->request);
	free(call);
}

static void
call_ignore_cb(struct report *r unused_arg, struct err *err, void *arg)
{
	keeper_call_free(arg);
	err_free(err);
}

void
keeper_call_abandon(struct keeper_call *call)
{
	if (call->client == NULL || call->state == CALL_QUEUED) {
		keeper_call_free(call);
		return;
	}
	/* It may not be taken yet: then it is detached when it is, and lets itself go when it is over. */
	call->abandoned = true;
	call->cb = call_ignore_cb;
	call->arg = call;
	keeper_call_detach(call);
}

/* Many in one message: the keeper wakes once for all of them. */
void
forgets_flush(struct keeper_client *c)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	timer_clear(&c->forget_due);
	if (c->nforgets == 0)
		return;
	mpk_w_init(&w, &b);
	mpk_map(&w, 2);
	mpk_key(&w, "m"), mpk_str(&w, "forget");
	mpk_key(&w, "list"), mpk_array(&w, 3 * c->nforgets);
	for (unsigned i = 0; i < c->nforgets; i++) {
		mpk_digest(&w, &c->forgets[i].run);
		mpk_digest(&w, &c->forgets[i].key);
		mpk_u64(&w, c->forgets[i].attempt);
	}
	c->nforgets = 0;
	client_out_add(c, &b);
	client_out_flush(c);
	client_need(c);
}

void
forgets_due_cb(void *arg)
{
	forgets_flush(arg);
}

void
keeper_client_forget(struct keeper_client *c, const struct digest *run, const struct digest *key, unsigned attempt)
{
	c->forgets[c->nforgets++] = (struct forget){ *run, *key, attempt };
	if (c->nforgets == FORGETS_MAX)
		forgets_flush(c);
	else if (!timer_is_set(&c->forget_due))
		timer_set(&c->forget_due, FORGET_AFTER);
}

void
keeper_client_kill_run(struct keeper_client *c, const struct digest *run)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 2);
	mpk_key(&w, "m"), mpk_str(&w, "kill");
	mpk_key(&w, "run"), mpk_digest(&w, run);
	client_out_add(c, &b);
	client_out_flush(c);
	client_need(c);
}
