/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>

#include "base/log.h"
#include "base/helper.h"
#include "base/xalloc.h"
#include "executor/sock.h"
#include "loop/child.h"

/*
 * keeper_client: one connection, one socket for reports, two for requests. A request that was sent is
 * not a request that was taken: never more of those are out than the keeper has slots, plus two, so
 * that a controller cannot fill the shared queue. A call is alone responsible for its own fate: when
 * the keeper dies it goes back into the queue, and is sent again under the same number.
 */
#define STARTS_MAX  5		/* that fail in a row, before calls fail */
#define CTL_RETRY   MILLIS(200)
#define REPORTS_MAX 64		/* read in one turn */
#define MANIFEST_MAX (256u << 20)

struct channel {		/* of requests, to one kind of workers */
	const char *name;
	int	    fd;		/* connected; -1 */
	struct io   io;
	unsigned    window, untaken;
	TAILQ_HEAD(, keeper_call) queue;
};
struct keeper_call {
	struct keeper_client *client;
	uint64_t	id;
	struct channel *channel;	/* NULL: subscribe */
	struct buf	request;
	enum {
		CALL_QUEUED,	/* in its channel's queue, or waits for a connection */
		CALL_SENT,	/* waits for TAKEN */
		CALL_TAKEN,	/* waits for DONE */
	} state;
	bool		detached;
	bool		abandoned;	/* nobody hears it: frees itself at its end */
	struct digest	key;
	unsigned	attempt;
	keeper_call_cb *cb;
	void	       *arg;
	UT_hash_handle	hh;
	TAILQ_ENTRY(keeper_call) queue;
};
struct message {
	STAILQ_ENTRY(message) link;
	struct buf data;
};
struct keeper_client {
	struct loop	   *loop;
	const struct root  *root;
	struct keeper_options options;
	char		   *program;	/* owned */
	enum {
		KEEPER_OUT,		/* no connection, none wanted */
		KEEPER_STARTING,	/* waits for client_started_cb */
		KEEPER_PAUSED,		/* waits for the timer: client_retry_cb */
		KEEPER_GREETING,	/* connected, waits for welcome */
		KEEPER_IN,		/* welcome came */
	} state;
	unsigned	    failures;	/* starts in a row without a welcome */
	bool		    wanted;	/* to be had even when nothing is asked of it */
	struct child	   *child;
	struct timer	    retry, unheard;
	int		    ctl, reports;
	struct io	    ctl_io, reports_io;
	char		    name[LEDGER_NAME];
	pid_t		    pid;
	struct channel	    commands, interns;
	struct keeper_call *calls;	/* by id */
	uint64_t	    next_id;
	STAILQ_HEAD(, message) out;	/* for ctl */
	TAILQ_HEAD(, ask)   asks;
	struct buf	    message;
};

struct ask {
	struct op op;
	TAILQ_ENTRY(ask) link;
	struct keeper_client *client;
	uint64_t id;
	struct digest key;		/* zero: all */
	bool	 over;
	struct keeper_attempts got;
	struct err *err;
	keeper_ask_cb *cb;
	void	*arg;
};

static void client_connect(struct keeper_client *);
static void client_need(struct keeper_client *);
static void channel_flush(struct keeper_client *, struct channel *);

static struct keeper_call *
call_find(struct keeper_client *c, uint64_t id)
{
	struct keeper_call *call;

	HASH_FIND(hh, c->calls, &id, sizeof id, call);
	return call;
}

/* The last word to a call: takes it out of the tables, then tells. The report's parts stay the caller's. */
static void
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

static void
out_add(struct keeper_client *c, struct buf *b)
{
	struct message *m = xcalloc(1, sizeof *m);

	m->data = *b;
	*b = (struct buf)BUF_INIT;
	STAILQ_INSERT_TAIL(&c->out, m, link);
}

static void
out_drop(struct keeper_client *c)
{
	struct message *m = STAILQ_FIRST(&c->out);

	STAILQ_REMOVE_HEAD(&c->out, link);
	buf_release(&m->data);
	free(m);
}

static void
out_flush(struct keeper_client *c)
{
	if (c->state != KEEPER_IN)
		return;
	while (!STAILQ_EMPTY(&c->out)) {
		struct message *m = STAILQ_FIRST(&c->out);

		if (sock_send(c->ctl, NULL, m->data.p, m->data.len, -1) != SOCK_SENT)
			break;	/* full: when it is writable. Gone: the read side says so */
		out_drop(c);
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
	out_add(call->client, &b);
	out_flush(call->client);
}

static void
say_subscribe(struct keeper_call *call)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "m"), mpk_str(&w, "subscribe");
	mpk_key(&w, "id"), mpk_u64(&w, call->id);
	mpk_key(&w, "key"), mpk_digest(&w, &call->key);
	call->state = CALL_SENT;
	out_add(call->client, &b);
	out_flush(call->client);
}

static void
say_ask(struct ask *a)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "m"), mpk_str(&w, "ask");
	mpk_key(&w, "id"), mpk_u64(&w, a->id);
	mpk_key(&w, "key"), mpk_digest(&w, &a->key);
	out_add(a->client, &b);
	out_flush(a->client);
}

static void
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

static void
commands_writable_cb(int what unused_arg, void *arg)
{
	struct keeper_client *c = arg;

	channel_flush(c, &c->commands);
}

static void
interns_writable_cb(int what unused_arg, void *arg)
{
	struct keeper_client *c = arg;

	channel_flush(c, &c->interns);
}

static void
channel_close(struct channel *ch)
{
	io_clear(&ch->io);
	if (ch->fd >= 0)
		close(ch->fd);
	ch->fd = -1;
	ch->untaken = 0;
}

static void
client_close(struct keeper_client *c)
{
	io_clear(&c->ctl_io);
	io_clear(&c->reports_io);
	if (c->ctl >= 0)
		close(c->ctl);
	if (c->reports >= 0)
		close(c->reports);
	c->ctl = c->reports = -1;
	channel_close(&c->commands);
	channel_close(&c->interns);
	c->pid = 0;
	c->state = KEEPER_OUT;
}

static void
ask_end(struct ask *a, struct err *err)
{
	a->err = err;
	a->over = true;
	TAILQ_REMOVE(&a->client->asks, a, link);
	a->client = NULL;
	op_wake(&a->op);
}

/* A call that was to end, and was not queued: it has ended with its keeper. A callback may change the table, so one at a time. */
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

static void
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

static void
client_lost(struct keeper_client *c)
{
	client_close(c);
	while (!STAILQ_EMPTY(&c->out))
		out_drop(c);
	while (!TAILQ_EMPTY(&c->asks))
		ask_end(TAILQ_FIRST(&c->asks), NULL);
	calls_requeue(c);
	client_need(c);
}

static void
client_fail(struct keeper_client *c, struct err *err)
{
	uint64_t before = c->next_id;

	client_close(c);
	/* What a callback asks for anew is for the next try. */
	while (c->calls != NULL && c->calls->id < before)
		call_end(c->calls, NULL, err_copy(err));
	while (!TAILQ_EMPTY(&c->asks))
		ask_end(TAILQ_FIRST(&c->asks), err_copy(err));
	err_free(err);
}

static struct err *
manifest_take(int fd, struct report *r)
{
	struct buf b = BUF_INIT;
	struct manifest m;
	struct err *err;

	err = buf_read_fd(&b, fd, "manifest", MANIFEST_MAX);
	if (err == NULL)
		err = manifest_decode(b.p, b.len, &m);
	buf_release(&b);
	if (err != NULL)
		return err;
	r->result = m.result;
	r->has_result = true;
	memset(&m.result, 0, sizeof m.result);
	manifest_release(&m);
	return NULL;
}

static void
client_report(struct keeper_client *c, struct report *r)
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

static void
ask_add(struct ask *a, const msgpack_object *o)
{
	struct keeper_attempt t = { .state = ATTEMPT_QUEUED };
	const char *state;
	uint64_t n = 0;
	size_t len;

	mpk_get_digest(o, "key", &t.key);
	mpk_get_digest(o, "run", &t.run);
	mpk_get_u64(o, "attempt", &n);
	t.attempt = (unsigned)n;
	if (mpk_get_str(o, "state", &state, &len))
		attempt_state_from_name(state, len, &t.state);
	t.ident = mpk_get_strdup(o, "ident");
	t.cmd = mpk_get_strdup(o, "cmd");
	mpk_get_time(o, "queued", &t.queued);
	mpk_get_time(o, "started", &t.started);
	a->got.a = xreallocarray(a->got.a, a->got.n + 1, sizeof *a->got.a);
	a->got.a[a->got.n++] = t;
}

static void
client_answer(struct keeper_client *c, const msgpack_object *o, bool end)
{
	struct ask *a;
	uint64_t id = 0;

	mpk_get_u64(o, "id", &id);
	TAILQ_FOREACH(a, &c->asks, link) {
		if (a->id != id)
			continue;
		if (end)
			ask_end(a, NULL);
		else
			ask_add(a, o);
		return;
	}
}

/*
 * A worker died with, perhaps, a request in its hand that it had not answered. Sent twice is harmless: the
 * second finds the attempt of the first. An intern has no attempt, so also one that was taken may be lost.
 */
static void
client_again(struct keeper_client *c, const msgpack_object *o)
{
	struct channel *ch;
	struct keeper_call *call, *next;
	bool interns = false;

	mpk_get_bool(o, "interns", &interns);
	ch = interns ? &c->interns : &c->commands;
	HASH_ITER(hh, c->calls, call, next) {
		if (call->channel != ch || !(call->state == CALL_SENT || (interns && call->state == CALL_TAKEN)))
			continue;
		ch->untaken -= call->state == CALL_SENT;
		call->state = CALL_QUEUED;
		TAILQ_INSERT_TAIL(&ch->queue, call, queue);
	}
	channel_flush(c, ch);
}

static struct err *
channel_open(struct keeper_client *c, struct channel *ch, void (*writable)(int, void *))
{
	struct err *err;

	err = unix_connect(c->root->keeper, ch->name, SOCK_DGRAM, true, &ch->fd);
	if (err == NULL)
		io_init(&ch->io, c->loop, ch->fd, "keeper_request", writable, c);
	return err;
}

static void
client_welcome(struct keeper_client *c, const msgpack_object *o)
{
	struct keeper_call *call, *next;
	struct err *err = NULL;
	uint64_t v = 0, pid = 0, slots = 2, interns = 1;
	struct ask *a;

	mpk_get_u64(o, "v", &v);
	mpk_get_u64(o, "pid", &pid);
	mpk_get_u64(o, "slots", &slots);
	mpk_get_u64(o, "interns", &interns);
	if (v != PROTO_VERSION) {
		client_fail(c, err_msg(ERR_UNAVAILABLE, "the keeper of %s is of another version: let its execs end", c->root->path));
		return;
	}
	c->pid = (pid_t)pid;
	c->commands.window = (unsigned)slots + 2;
	c->interns.window = (unsigned)interns + 2;
	err = channel_open(c, &c->commands, commands_writable_cb);
	if (err == NULL)
		err = channel_open(c, &c->interns, interns_writable_cb);
	if (err != NULL) {	/* it is dying: its connection will break, or has */
		err_free(err);
		channel_close(&c->commands);
		client_lost(c);
		return;
	}
	c->state = KEEPER_IN;
	c->failures = 0;
	out_flush(c);
	HASH_ITER(hh, c->calls, call, next) {
		if (call->channel == NULL && call->state == CALL_QUEUED)
			say_subscribe(call);
	}
	TAILQ_FOREACH(a, &c->asks, link)
		say_ask(a);
	channel_flush(c, &c->commands);
	channel_flush(c, &c->interns);
}

static void
client_message(struct keeper_client *c, int passed)
{
	struct report r = { .kind = REPORT_STATE };
	const msgpack_object *o;
	struct mpk_doc doc;
	struct err *err;
	char kind[16];
	bool reported = false;

	err = mpk_parse(&doc, c->message.p, c->message.len);
	if (err != NULL) {
		log_error("a message of the keeper cannot be read");
		err_free(err);
		return;
	}
	o = mpk_root(&doc);
	if (!proto_get_name(o, "r", kind, sizeof kind))
		kind[0] = '\0';
	if (strcmp(kind, "welcome") == 0)
		client_welcome(c, o);
	else if (strcmp(kind, "attempt") == 0 || strcmp(kind, "end") == 0)
		client_answer(c, o, kind[0] == 'e');
	else if (strcmp(kind, "again") == 0)
		client_again(c, o);
	else
		reported = (err = report_decode(o, &r)) == NULL;
	mpk_doc_release(&doc);
	if (reported && passed >= 0)
		err = manifest_take(passed, &r);
	if (err != NULL) {
		char *text = err_str(err);

		log_error("a report of the keeper cannot be read: %s", text);
		free(text);
		/* Its call must end nevertheless. */
		if (reported)
			r = (struct report){ .kind = REPORT_REFUSED, .id = r.id, .err = err };
		else
			err_free(err);
	}
	if (reported) {
		client_report(c, &r);
		report_release(&r);
	}
}

static void
reports_readable_cb(int what unused_arg, void *arg)
{
	struct keeper_client *c = arg;
	int passed;

	for (unsigned i = 0; i < REPORTS_MAX && c->reports >= 0; i++) {
		if (sock_recv(c->reports, &c->message, &passed) != SOCK_MESSAGE)
			return;
		client_message(c, passed);
		if (passed >= 0)
			close(passed);
	}
}

static void
ctl_ready_cb(int what, void *arg)
{
	struct keeper_client *c = arg;
	int passed;

	if ((what & IO_WRITE) != 0)
		out_flush(c);
	for (unsigned i = 0; i < REPORTS_MAX && c->ctl >= 0; i++) {
		switch (sock_recv(c->ctl, &c->message, &passed)) {
		case SOCK_AGAIN:
			return;
		case SOCK_CLOSED:
			client_lost(c);
			return;
		case SOCK_MESSAGE:
			client_message(c, passed);
			if (passed >= 0)
				close(passed);
		}
	}
}

static void
client_unheard_cb(void *arg)
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

static struct err *
client_hello(struct keeper_client *c)
{
	struct buf b = BUF_INIT;
	struct err *err = NULL;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "m"), mpk_str(&w, "hello");
	mpk_key(&w, "v"), mpk_u64(&w, PROTO_VERSION);
	mpk_key(&w, "name"), mpk_str(&w, c->name);
	if (sock_send(c->ctl, NULL, b.p, b.len, -1) != SOCK_SENT)
		err = err_msg(ERR_UNAVAILABLE, "the keeper hung up");
	buf_release(&b);
	return err;
}

static void
client_retry_cb(void *arg)
{
	struct keeper_client *c = arg;

	c->state = KEEPER_OUT;
	client_connect(c);
}

/* The starter has ended: the keeper listens (status 0), or nothing came of it. */
static void
client_started_cb(int status, struct err *err, void *arg)
{
	struct keeper_client *c = arg;

	c->child = NULL;
	c->state = KEEPER_OUT;
	c->failures++;
	if (err == NULL && status != 0 && c->failures >= STARTS_MAX)
		err = err_msg(ERR_UNAVAILABLE, "cannot start %s: see %s/log", c->program, c->root->keeper);
	if (err != NULL || c->failures >= 2 * STARTS_MAX) {
		c->failures = 0;
		client_fail(c, err != NULL ? err : err_msg(ERR_UNAVAILABLE, "the keeper ends again and again: see %s/log",
		    c->root->keeper));
		return;
	}
	if (status == 0) {
		client_connect(c);
		return;
	}
	c->state = KEEPER_PAUSED;
	timer_set(&c->retry, CTL_RETRY);
}

static void
client_start(struct keeper_client *c)
{
	struct child_spec spec = { .path = c->program, .fds = { -1, -1, 2 }, .pass_fd = -1 };
	char *resources = NULL, *slots = xasprintf("%u", c->options.slots), *idle = xasprintf("%g", c->options.idle);
	const char *argv[16];
	size_t n = 0;

	argv[n++] = "weir-keeper";
	argv[n++] = "--root";
	argv[n++] = c->root->path;
	if (c->options.scratch != NULL) {
		argv[n++] = "--scratch";
		argv[n++] = c->options.scratch;
	}
	if (c->options.resources.present != 0) {
		const struct resources *r = &c->options.resources;

		resources = xasprintf("%s%.0f,%s%g", "mem=", r->mem, "cpu=", r->cpu);
		argv[n++] = "--resources";
		argv[n++] = resources;
	}
	if (c->options.slots != 0) {
		argv[n++] = "--slots";
		argv[n++] = slots;
	}
	if (c->options.idle > 0) {
		argv[n++] = "--idle";
		argv[n++] = idle;
	}
	if (c->options.no_isolation)
		argv[n++] = "--no-isolation";
	if (c->options.no_cgroup)
		argv[n++] = "--no-cgroup";
	argv[n] = NULL;
	spec.argv = (char *const *)(uintptr_t)argv;
	c->state = KEEPER_STARTING;
	c->child = child_start(c->loop, &spec, client_started_cb, c);
	free(resources);
	free(slots);
	free(idle);
}

static void
client_connect(struct keeper_client *c)
{
	struct err *err;

	err = unix_connect(c->root->keeper, "ctl", SOCK_SEQPACKET, true, &c->ctl);
	if (err != NULL) {
		err_free(err);
		c->ctl = -1;
		/* Nothing to wait for but questions: then nothing lives, and nobody has to be started. */
		if (c->calls == NULL && !c->wanted) {
			while (!TAILQ_EMPTY(&c->asks))
				ask_end(TAILQ_FIRST(&c->asks), NULL);
			return;
		}
		client_start(c);
		return;
	}
	err = unix_bind(c->root->keeper, c->name, SOCK_DGRAM, &c->reports);
	if (err == NULL)
		err = client_hello(c);
	if (err != NULL) {
		client_fail(c, err);
		return;
	}
	fcntl(c->reports, F_SETFL, O_NONBLOCK);
	io_init(&c->ctl_io, c->loop, c->ctl, "keeper_ctl", ctl_ready_cb, c);
	io_want(&c->ctl_io, IO_READ);
	io_init(&c->reports_io, c->loop, c->reports, "keeper_report", reports_readable_cb, c);
	io_want(&c->reports_io, IO_READ);
	c->state = KEEPER_GREETING;
	c->wanted = false;
}

/* Somebody waits: have a connection, or be on the way to one. From the loop, never from inside a start. */
static void
client_need(struct keeper_client *c)
{
	if (c->state != KEEPER_OUT ||
	    (c->calls == NULL && TAILQ_EMPTY(&c->asks) && STAILQ_EMPTY(&c->out) && !c->wanted))
		return;
	c->state = KEEPER_PAUSED;
	timer_set(&c->retry, 1);
}

struct keeper_client *
keeper_client_new(struct loop *loop, const struct root *root, const struct keeper_options *o)
{
	struct keeper_client *c = xcalloc(1, sizeof *c);
	uint64_t random;

	c->loop = loop;
	c->root = root;
	c->ctl = c->reports = -1;
	c->next_id = 1;
	if (o != NULL) {
		c->options = *o;
		c->options.resources = (struct resources)RESOURCES_INIT;
		resources_copy(&c->options.resources, &o->resources);
		c->options.scratch = o->scratch != NULL ? xstrdup(o->scratch) : NULL;
	}
	c->program = o != NULL && o->program != NULL ? xstrdup(o->program) : helper_path("weir-keeper");
	/* Not from the loop: two simulations with one seed must not share a socket's name. */
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		loop_random(loop, &random, sizeof random);
	snprintf(c->name, sizeof c->name, "c-%016llx", (unsigned long long)random);
	timer_init(&c->retry, loop, "keeper_retry", client_retry_cb, c);
	timer_init(&c->unheard, loop, "keeper_unheard", client_unheard_cb, c);
	c->commands.name = "req";
	c->interns.name = "aux";
	c->commands.fd = c->interns.fd = -1;
	TAILQ_INIT(&c->commands.queue);
	TAILQ_INIT(&c->interns.queue);
	TAILQ_INIT(&c->asks);
	STAILQ_INIT(&c->out);
	return c;
}

void
keeper_client_free(struct keeper_client *c)
{
	struct keeper_call *call, *next;
	char *path;

	if (c == NULL)
		return;
	if (c->reports >= 0) {
		path = xasprintf("%s/%s", c->root->keeper, c->name);
		unlink(path);
		free(path);
	}
	HASH_ITER(hh, c->calls, call, next) {
		assert(call->abandoned);
		keeper_call_free(call);
	}
	timer_clear(&c->retry);
	timer_clear(&c->unheard);
	child_cancel(&c->child);
	client_close(c);
	while (!STAILQ_EMPTY(&c->out))
		out_drop(c);
	resources_release(&c->options.resources);
	free((char *)(uintptr_t)c->options.scratch);
	buf_release(&c->message);
	free(c->program);
	free(c);
}

const struct root *
keeper_client_root(const struct keeper_client *c)
{
	return c->root;
}

struct loop *
keeper_client_loop(const struct keeper_client *c)
{
	return c->loop;
}

void
keeper_client_wake(struct keeper_client *c)
{
	c->wanted = true;
	client_need(c);
}

pid_t
keeper_client_pid(const struct keeper_client *c)
{
	return c->pid;
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
		say_subscribe(call);
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

void
keeper_client_forget(struct keeper_client *c, const struct digest *run, const struct digest *key, unsigned attempt)
{
	struct buf b = BUF_INIT;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 4);
	mpk_key(&w, "m"), mpk_str(&w, "forget");
	mpk_key(&w, "run"), mpk_digest(&w, run);
	mpk_key(&w, "key"), mpk_digest(&w, key);
	mpk_key(&w, "attempt"), mpk_u64(&w, attempt);
	out_add(c, &b);
	out_flush(c);
	client_need(c);
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
	out_add(c, &b);
	out_flush(c);
	client_need(c);
}

void
keeper_attempts_release(struct keeper_attempts *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->a[i].ident);
		free(s->a[i].cmd);
	}
	free(s->a);
	*s = (struct keeper_attempts){ NULL, 0 };
}

static void
ask_advance(struct op *op)
{
	struct ask *a = op_owner(op, struct ask, op);
	struct keeper_attempts got = a->got;
	struct err *err = a->err;
	keeper_ask_cb *cb = a->cb;
	void *arg = a->arg;

	if (!a->over)
		return;
	a->got = (struct keeper_attempts){ NULL, 0 };
	a->err = NULL;
	op_release(&a->op);
	cb(&got, err, arg);
}

static void
ask_release(struct op *op)
{
	struct ask *a = op_owner(op, struct ask, op);

	if (a->client != NULL)
		TAILQ_REMOVE(&a->client->asks, a, link);
	keeper_attempts_release(&a->got);
	err_free(a->err);
	free(a);
}

static const struct op_type ask_type = { "keeper_ask", ask_advance, ask_release };

struct op *
keeper_ask(struct keeper_client *c, const struct digest *key, keeper_ask_cb *cb, void *arg)
{
	struct ask *a = xcalloc(1, sizeof *a);

	op_init(&a->op, c->loop, &ask_type);
	a->client = c;
	a->id = c->next_id++;
	if (key != NULL)
		a->key = *key;
	a->cb = cb;
	a->arg = arg;
	TAILQ_INSERT_TAIL(&c->asks, a, link);
	if (c->state == KEEPER_IN)
		say_ask(a);
	else
		client_need(c);
	return &a->op;
}
