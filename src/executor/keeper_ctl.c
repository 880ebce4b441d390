/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "executor/attempt.h"
#include "executor/host.h"

/*
 * keeper_ctl: the connections of controllers. Each message is a map with `m`: hello, detach, kill, ask,
 * forget, subscribe. A controller that breaks the protocol loses its connection, nothing else.
 */

struct controller *
keeper_controller(struct keeper *k, const char *name)
{
	struct controller *c;

	TAILQ_FOREACH(c, &k->controllers, link) {
		if (strncmp(c->name, name, sizeof c->name) == 0)
			return c;
	}
	/* One that never said hello, or not to this keeper: it is gone since we know of it. */
	c = xcalloc(1, sizeof *c);
	memcpy(c->name, name, strnlen(name, sizeof c->name - 1));
	c->pidfd = -1;
	c->gone = host_mono();
	TAILQ_INSERT_TAIL(&k->controllers, c, link);
	return c;
}

bool
keeper_controller_lives(struct keeper *k, const char *name)
{
	return keeper_controller(k, name)->gone == 0;
}

static void
conn_send(struct conn *c, const struct buf *b, int pass_fd)
{
	packet_add(&c->out, b->p, b->len, pass_fd);
	keeper_conn_write(c);
}

void
keeper_conn_write(struct conn *c)
{
	if (!packets_send(&c->out, c->fd))
		c->closed = true;
}

void
keeper_say_again(struct keeper *k, const struct ledger_sub *sub)
{
	struct buf b = BUF_INIT;
	struct conn *c;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 2);
	mpk_key(&w, "r"), mpk_str(&w, "again");
	mpk_key(&w, "id"), mpk_u64(&w, sub->id);
	TAILQ_FOREACH(c, &k->conns, link) {
		if (c->who != NULL && strncmp(c->who->name, sub->name, sizeof c->who->name) == 0)
			conn_send(c, &b, -1);
	}
	buf_release(&b);
}

void
keeper_accept(struct keeper *k)
{
	struct conn *c;
	int fd;

	while ((fd = accept4(k->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		c = xcalloc(1, sizeof *c);
		c->fd = fd;
		STAILQ_INIT(&c->out);
		TAILQ_INSERT_TAIL(&k->conns, c, link);
	}
}

static void
ctl_hello(struct keeper *k, struct conn *c, const msgpack_object *o)
{
	char name[LEDGER_NAME];
	struct buf b = BUF_INIT;
	struct mpk_w w;
	struct resources totals = RESOURCES_INIT;
	struct ucred cred;
	socklen_t len = sizeof cred;
	uint64_t v = 0;

	if (!proto_get_name(o, "name", name, sizeof name) || !proto_name_ok(name) || !mpk_get_u64(o, "v", &v)) {
		c->closed = true;
		return;
	}
	c->who = keeper_controller(k, name);
	c->who->gone = 0;
	if (c->who->pidfd >= 0)
		close(c->who->pidfd);
	c->who->pidfd = -1;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.pid > 0)
		c->who->pidfd = pidfd_open(cred.pid, 0);
	resources_copy(&totals, &k->totals);
	mpk_w_init(&w, &b);
	mpk_map(&w, 6);
	mpk_key(&w, "r"), mpk_str(&w, "welcome");
	mpk_key(&w, "v"), mpk_u64(&w, PROTO_VERSION);
	mpk_key(&w, "pid"), mpk_u64(&w, (uint64_t)k->env.pid);
	mpk_key(&w, "slots"), mpk_u64(&w, ledger_nslots(k->env.ledger));
	mpk_key(&w, "interns"), mpk_u64(&w, KEEPER_INTERNS);
	mpk_key(&w, "totals"), resources_mpk(&totals, &w);
	conn_send(c, &b, -1);
	resources_release(&totals);
	buf_release(&b);
}

static void
conn_report(struct conn *c, struct report *r, const void *result, size_t len, int pass_fd)
{
	struct buf b = BUF_INIT;

	report_encode(r, result, len, &b);
	conn_send(c, &b, pass_fd);
	buf_release(&b);
	report_release(r);
}

/* Tells one who leaves that for it the attempt is over. */
static void
conn_report_detached(struct conn *c, const struct ledger_row *row, uint64_t id)
{
	struct report r = { .kind = REPORT_DONE, .id = id, .key = row->key, .attempt = row->attempt,
		.state = ATTEMPT_LOST };
	struct exec_result res = { .state = ATTEMPT_LOST, .attempt = row->attempt, .status = -1, .attached = true };
	struct buf b = BUF_INIT;
	struct mpk_w w;

	res.err = err_msg(ERR_CANCELED, "killed");
	mpk_w_init(&w, &b);
	exec_result_mpk(&res, &w);
	conn_report(c, &r, b.p, b.len, -1);
	exec_result_release(&res);
	buf_release(&b);
}

/* Do others wait for it who are there? */
static bool
row_has_others(struct keeper *k, const struct ledger_row *row, const struct ledger_sub *but)
{
	for (uint32_t i = 0; i < row->nsubs; i++) {
		if (strcmp(row->subs[i].name, but->name) == 0 && row->subs[i].id == but->id)
			continue;
		if (keeper_controller_lives(k, row->subs[i].name))
			return true;
	}
	return false;
}

static void
row_unsubscribe(struct keeper *k, unsigned slot, const struct ledger_sub *sub)
{
	struct ledger_row *r = ledger_row(k->env.ledger, slot);

	ledger_lock(k->env.ledger);
	for (uint32_t i = 0; i < r->nsubs; i++) {
		if (strcmp(r->subs[i].name, sub->name) == 0 && r->subs[i].id == sub->id) {
			r->subs[i] = r->subs[--r->nsubs];
			break;
		}
	}
	ledger_unlock(k->env.ledger);
}

static void
ctl_detach(struct keeper *k, struct conn *c, const msgpack_object *o)
{
	struct ledger_sub sub = { .attached = false };
	struct ledger_row row;
	struct digest key;
	uint64_t n;
	int slot;

	if (!mpk_get_digest(o, "key", &key) || !mpk_get_u64(o, "attempt", &n) || !mpk_get_u64(o, "id", &sub.id))
		return;
	memcpy(sub.name, c->who->name, sizeof sub.name);
	slot = ledger_find(k->env.ledger, &key, (unsigned)n, &row);
	if (slot < 0)
		return;		/* it is over: its report is on the way */
	if (row_has_others(k, &row, &sub)) {
		row_unsubscribe(k, (unsigned)slot, &sub);
		conn_report_detached(c, &row, sub.id);
	} else {
		ledger_kill(k->env.ledger, (unsigned)slot, LEDGER_KILLED);
	}
}

static bool
row_copy(struct keeper *k, unsigned slot, struct ledger_row *row)
{
	ledger_lock(k->env.ledger);
	*row = *ledger_row(k->env.ledger, slot);
	ledger_unlock(k->env.ledger);
	return row->used;
}

static void
ctl_kill(struct keeper *k, const msgpack_object *o)
{
	struct ledger_row row;
	struct digest run, key;
	bool by_run = mpk_get_digest(o, "run", &run), by_key = mpk_get_digest(o, "key", &key);

	for (unsigned i = 0; i < ledger_nslots(k->env.ledger); i++) {
		if (!row_copy(k, i, &row) || (!by_run && !by_key))
			continue;
		if ((!by_run || digest_equal(&run, &row.run)) && (!by_key || digest_equal(&key, &row.key)))
			ledger_kill(k->env.ledger, i, LEDGER_KILLED);
	}
}

/* The command of a living attempt, as it was asked for. Gives, or NULL. */
static char *
row_command(const struct ledger_row *row)
{
	char path[ATTEMPT_PATH + 16];
	struct buf b = BUF_INIT, cmd = BUF_INIT;
	struct request req;
	struct err *err;

	attempt_dir(&row->key, row->attempt, path);
	strcat(path, "/request");
	err = buf_read_file(&b, path, PROTO_MAX);
	if (err == NULL) {
		err = request_decode(b.p, b.len, &req);
		if (err == NULL && req.config.cmd != NULL)
			command_fill(&req.config, "", &cmd);
		request_release(&req);
	}
	err_free(err);
	buf_release(&b);
	return buf_take(&cmd, NULL);
}

static void
ctl_ask(struct keeper *k, struct conn *c, const msgpack_object *o)
{
	struct ledger_row row;
	struct buf b = BUF_INIT;
	struct digest key;
	struct mpk_w w;
	uint64_t id = 0;
	bool one = mpk_get_digest(o, "key", &key);
	char *cmd;

	mpk_get_u64(o, "id", &id);
	mpk_w_init(&w, &b);
	for (unsigned i = 0; i < ledger_nslots(k->env.ledger); i++) {
		if (!row_copy(k, i, &row) || (one && !digest_equal(&key, &row.key)))
			continue;
		cmd = one ? row_command(&row) : NULL;
		buf_clear(&b);
		mpk_map(&w, 10);
		mpk_key(&w, "r"), mpk_str(&w, "attempt");
		mpk_key(&w, "id"), mpk_u64(&w, id);
		mpk_key(&w, "key"), mpk_digest(&w, &row.key);
		mpk_key(&w, "attempt"), mpk_u64(&w, row.attempt);
		mpk_key(&w, "state"), mpk_str(&w, attempt_state_name((enum attempt_state)row.state));
		mpk_key(&w, "ident"), mpk_str(&w, row.ident);
		mpk_key(&w, "run"), mpk_digest(&w, &row.run);
		mpk_key(&w, "queued"), mpk_time(&w, row.queued);
		mpk_key(&w, "started"), mpk_time(&w, row.started);
		mpk_key(&w, "cmd"), mpk_str(&w, cmd);
		conn_send(c, &b, -1);
		free(cmd);
	}
	buf_clear(&b);
	mpk_map(&w, 2);
	mpk_key(&w, "r"), mpk_str(&w, "end");
	mpk_key(&w, "id"), mpk_u64(&w, id);
	conn_send(c, &b, -1);
	buf_release(&b);
}

/* A list of run, key and number, one after the other. */
static void
ctl_forget(struct keeper *k, const msgpack_object *o)
{
	const msgpack_object *list = mpk_get(o, "list"), *p;
	struct digest run, key;

	if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY)
		return;
	p = list->via.array.ptr;
	for (uint32_t i = 0; i + 3 <= list->via.array.size; i += 3, p += 3) {
		if (mpk_as_digest(&p[0], &run) && mpk_as_digest(&p[1], &key) && p[2].type == MSGPACK_OBJECT_POSITIVE_INTEGER)
			attempt_forget(k->env.ledger, &run, &key, (unsigned)p[2].via.u64);
	}
}

/* The newest attempt of a key, living or over, for one who knows only the key. */
static void
ctl_subscribe(struct keeper *k, struct conn *c, const msgpack_object *o)
{
	struct report r = { .kind = REPORT_REFUSED };
	struct exec_config config = { .type = EXEC_COMMAND, .claim = { .join = true } };
	struct attempt_found f = { .choice = ATTEMPT_NEW, .fd = -1 };
	struct ledger_sub sub = { .attached = true };
	struct err *err;
	bool fresh;
	int fd = -1;

	if (!mpk_get_digest(o, "key", &config.key) || !mpk_get_u64(o, "id", &sub.id))
		return;
	r.id = sub.id;
	r.key = config.key;
	memcpy(sub.name, c->who->name, sizeof sub.name);
	err = attempt_key_lock(&config.key, false, &fd, &fresh);
	if (err == NULL)
		attempt_choose(k->env.ledger, k->env.objects, fd, &config, false, &f);
	r.attempt = f.n;
	r.attached = true;
	if (err == NULL && f.choice == ATTEMPT_ATTACH &&
	    ledger_subscribe(k->env.ledger, (unsigned)f.slot, &config.key, f.n, &sub)) {
		r.kind = REPORT_TAKEN;
		r.state = ATTEMPT_RUNNING;
	} else if (err == NULL && f.choice == ATTEMPT_COLLECT) {
		f.manifest.result.attempt = f.n;
		keeper_report_over(&k->env, &sub, 1, &config.key, &f.manifest.result, f.fd);
		r.kind = REPORT_TAKEN;
		r.state = ATTEMPT_OK;
	} else if (err == NULL || err_is(err, ERR_NOT_EXIST)) {
		char hex[9];

		err_free(err);
		err = NULL;
		digest_short(&config.key, hex);
		r.err = err_new(ERR_NOT_EXIST, "exec", "%s", hex);
	}
	if (err != NULL)
		r.err = err;
	if (fd >= 0)
		close(fd);
	attempt_found_release(&f);
	conn_report(c, &r, NULL, 0, -1);
}

static void
ctl_message(struct keeper *k, struct conn *c, const msgpack_object *o)
{
	char m[16];

	if (!proto_get_name(o, "m", m, sizeof m)) {
		c->closed = true;
		return;
	}
	if (strcmp(m, "hello") == 0)
		ctl_hello(k, c, o);
	else if (c->who == NULL)
		c->closed = true;
	else if (strcmp(m, "detach") == 0)
		ctl_detach(k, c, o);
	else if (strcmp(m, "kill") == 0)
		ctl_kill(k, o);
	else if (strcmp(m, "ask") == 0)
		ctl_ask(k, c, o);
	else if (strcmp(m, "forget") == 0)
		ctl_forget(k, o);
	else if (strcmp(m, "subscribe") == 0)
		ctl_subscribe(k, c, o);
	else
		log_error("a controller says something unknown: %s", m);
}

void
keeper_conn_read(struct keeper *k, struct conn *c)
{
	struct mpk_doc doc;
	struct err *err;
	int passed;

	for (unsigned i = 0; i < 64 && !c->closed; i++) {	/* then others have their turn */
		switch (sock_recv(c->fd, &k->message, &passed)) {
		case SOCK_AGAIN:
			return;
		case SOCK_CLOSED:
			c->closed = true;
			return;
		case SOCK_MESSAGE:
			break;
		}
		if (passed >= 0)
			close(passed);
		err = mpk_parse(&doc, k->message.p, k->message.len);
		if (err != NULL) {
			err_free(err);
			c->closed = true;
			return;
		}
		ctl_message(k, c, mpk_root(&doc));
		mpk_doc_release(&doc);
	}
}

/*
 * Gone when its process is, or when it has closed its connection. Its socket's name goes with it, if nobody
 * listens there.
 */
static void
controller_gone(struct controller *c)
{
	struct err *err;
	int fd;

	if (c->gone == 0)
		c->gone = host_mono();
	if (c->pidfd >= 0)
		close(c->pidfd);
	c->pidfd = -1;
	err = unix_connect(".", c->name, SOCK_DGRAM, true, &fd);
	if (err != NULL)
		unlink(c->name);
	else
		close(fd);
	err_free(err);
}

void
keeper_conns_purge(struct keeper *k)
{
	struct conn *c, *next, *other;

	for (c = TAILQ_FIRST(&k->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!c->closed)
			continue;
		TAILQ_REMOVE(&k->conns, c, link);
		TAILQ_FOREACH(other, &k->conns, link) {
			if (other->who == c->who)
				break;
		}
		if (c->who != NULL && other == NULL)
			controller_gone(c->who);
		packets_release(&c->out);
		close(c->fd);
		free(c);
	}
}
