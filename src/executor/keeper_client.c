/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_client_priv.h"

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

#include "base/log.h"
#include "base/helper.h"
#include "base/xalloc.h"

/*
 * keeper_client: one connection, one socket for reports, two for requests; and a keeper at the other
 * end, started when there is none. Its loss is seen by the connection alone: reports and requests travel
 * over sockets that have no end.
 */
#define STARTS_MAX  5		/* that fail in a row, before calls fail */
#define CTL_RETRY   MILLIS(200)
#define REPORTS_MAX 64		/* read in one turn */
/*
 * Where commands are short and the slots have more to do than they can, the next report may wait for those that come with
 * it: one wake-up for all. Only as long as the socket holds whatever can come meanwhile.
 */
#define LISTEN_AFTER (MILLIS(3) / 2)
#define LISTEN_AHEAD 3		/* requests that the keeper has and nobody has begun, or only just */
#define LISTEN_CALLS 8
#define MANIFEST_MAX (256u << 20)

static void client_connect(struct keeper_client *);

static void
client_close(struct keeper_client *c)
{
	timer_clear(&c->listen);
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
client_lost(struct keeper_client *c)
{
	client_close(c);
	while (!STAILQ_EMPTY(&c->out))
		client_out_drop(c);
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
		client_fail(c, err_msg(ERR_UNAVAILABLE, "the keeper of %s is of another version: let its execs end",
		    c->root->path));
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
	client_out_flush(c);
	HASH_ITER(hh, c->calls, call, next) {
		if (call->channel == NULL && call->state == CALL_QUEUED)
			call_say_subscribe(call);
	}
	TAILQ_FOREACH(a, &c->asks, link)
		ask_say(a);
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
		asks_answer(c, o, kind[0] == 'e');
	else if (strcmp(kind, "again") == 0)
		calls_again(c, o);
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
		calls_report(c, &r);
		report_release(&r);
	}
}

static void
reports_read(struct keeper_client *c)
{
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
reports_readable_cb(int what unused_arg, void *arg)
{
	struct keeper_client *c = arg;

	reports_read(c);
	if (c->state != KEEPER_IN || c->commands.untaken < LISTEN_AHEAD || HASH_COUNT(c->calls) > LISTEN_CALLS)
		return;
	io_want(&c->reports_io, 0);
	timer_set(&c->listen, LISTEN_AFTER);
}

static void
reports_listen_cb(void *arg)
{
	struct keeper_client *c = arg;

	io_want(&c->reports_io, IO_READ);
}

static void
ctl_ready_cb(int what, void *arg)
{
	struct keeper_client *c = arg;
	int passed;

	if ((what & IO_WRITE) != 0)
		client_out_flush(c);
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
	if (err != NULL) {	/* it was there when the run began */
		char *why = err_str(err);

		err_free(err);
		err = err_msg(ERR_UNAVAILABLE, "%s", why);
		free(why);
	} else if (status != 0 && c->failures >= STARTS_MAX)
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

/* What was said of this host, as --resources has it; what was not is the host's own. */
static void
said_resources(const struct resources *r, struct buf *out)
{
	if ((r->present & RES_MEM) != 0)
		buf_addf(out, ",mem=%.0f", r->mem);
	if ((r->present & RES_CPU) != 0)
		buf_addf(out, ",cpu=%g", r->cpu);
	if ((r->present & RES_DISK) != 0)
		buf_addf(out, ",disk=%.0f", r->disk);
	for (unsigned i = 0; i < r->nfeatures; i++)
		buf_addf(out, ",%s=%g", r->features[i].label, r->features[i].amount);
	buf_drop(out, out->len > 0);
}

static void
client_start(struct keeper_client *c)
{
	struct child_spec spec = { .path = c->program, .fds = { -1, -1, 2 }, .pass_fd = -1 };
	struct buf resources = BUF_INIT;
	char *slots = xasprintf("%u", c->options.slots), *idle = xasprintf("%g", c->options.idle);
	const char *argv[16];
	size_t n = 0;

	argv[n++] = "weir-keeper";
	argv[n++] = "--root";
	argv[n++] = c->root->path;
	if (c->options.scratch != NULL) {
		argv[n++] = "--scratch";
		argv[n++] = c->options.scratch;
	}
	said_resources(&c->options.resources, &resources);
	if (resources.len > 0) {
		argv[n++] = "--resources";
		argv[n++] = buf_str(&resources);
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
	buf_release(&resources);
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
void
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
	timer_init(&c->unheard, loop, "keeper_unheard", calls_unheard_cb, c);
	timer_init(&c->listen, loop, "keeper_listen", reports_listen_cb, c);
	timer_init(&c->forget_due, loop, "keeper_forget", forgets_due_cb, c);
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
	if (c->state == KEEPER_IN)
		forgets_flush(c);
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
	timer_clear(&c->forget_due);
	child_cancel(&c->child);
	client_close(c);
	while (!STAILQ_EMPTY(&c->out))
		client_out_drop(c);
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
