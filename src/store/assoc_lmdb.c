/* SPDX-License-Identifier: Apache-2.0 */
#include "store/assoc_lmdb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "iface/later.h"
#include "loop/loop.h"
#include "store/db_pending.h"
#include "store/db_read.h"
#include "store/sock.h"

/*
 * The assoc over LMDB. One connection carries the puts; each waits in the list of the undecided until
 * a reply covers it. Cancelling a put only forgets who waits: the request may be on its way, and is
 * sent again all the same. The operations of puts and flushes never fail by the death of a writer.
 */

/*
 * Puts that follow each other are sent together, this long after those before them: what a batch costs the writer and
 * its disk hardly depends on how many are in it. The first after a pause goes at once.
 */
#define LINGER	    MILLIS(20)
#define LINGER_MOST 512		/* entries */
#define RETRY_FIRST MILLIS(20)
#define RETRY_MOST  SECONDS(1)

struct assoc_lmdb {
	struct assoc	    assoc;
	char		   *db, *keeper;	/* owned */
	struct db_read	   *reader;		/* owned: our share */
	struct db_pending   pending;
	int		    fd;			/* owned; -1: not connected */
	struct io	    io;
	unsigned	    held;		/* put since then, about */
	bool		    due;		/* what is unsent is to be sent */
	int64_t		    sent_at;		/* monotonic */
	struct timer	    linger, reconnect;
	int64_t		    retry;		/* pause before the next attempt */
	int64_t		    down_since;		/* monotonic; 0: connected, or nothing waits */
	int64_t		    down_told;		/* when the owner was told last */
	assoc_lmdb_down_cb *down;
	void		   *down_arg;
	struct op	   *turn;		/* owned: ends what a peek holds, or NULL */
	struct err	   *refusal;		/* the first one since the last flush; owned */
	TAILQ_HEAD(, flush) flushes;
};

/* A put that somebody waits for. */
struct put {
	struct op	   op;
	struct assoc_lmdb *a;		/* kept */
	struct db_entry	  *entry;	/* borrowed from the list; NULL once decided */
	struct err	  *err;		/* result, ours until cb takes it */
	assoc_done_cb	  *cb;
	void		  *arg;
};

struct flush {
	struct op	   op;
	TAILQ_ENTRY(flush) entry;
	struct assoc_lmdb *a;		/* kept */
	uint64_t	   upto;	/* the newest put when it began */
	assoc_done_cb	  *cb;
	void		  *arg;
};

static struct assoc_lmdb *
lmdb_of(const struct assoc *a)
{
	return container_of((struct assoc *)(uintptr_t)a, struct assoc_lmdb, assoc);
}

/* ---- the connection ---- */

static void
wake_flushes(struct assoc_lmdb *a)
{
	struct flush *f;

	TAILQ_FOREACH(f, &a->flushes, entry)
		op_wake(&f->op);
}

static void
let_go(struct assoc_lmdb *a)
{
	db_read_let_go(a->reader);
	op_cancel(&a->turn);
}

static void
decided_cb(void *owner, const struct err *err, void *arg)
{
	struct assoc_lmdb *a = arg;
	struct put *p = owner;

	if (err && !a->refusal)
		a->refusal = err_copy(err);
	if (!p)
		return;
	p->entry = NULL;
	p->err = err_copy(err);
	op_wake(&p->op);
}

/*
 * With nothing undecided the socket is not watched: an idle assoc does not keep the loop going, and a
 * writer that went away meanwhile is noticed by the next put.
 */
static void
idle_or_wait(struct assoc_lmdb *a)
{
	bool waits = !db_pending_empty(&a->pending);

	if (a->fd != -1)
		io_want(&a->io, waits ? IO_READ | (a->due ? IO_WRITE : 0) : 0);
	else if (waits && !timer_is_set(&a->reconnect))
		timer_set(&a->reconnect, a->retry);
}

static void
disconnect(struct assoc_lmdb *a, int eno)
{
	log_debug("assoc: the writer is gone (%s), %zu puts undecided", strerror(eno), a->pending.n);
	io_clear(&a->io);
	close(a->fd);
	a->fd = -1;
	a->retry = RETRY_FIRST;
	db_pending_rewind(&a->pending);
}

static void
pump(struct assoc_lmdb *a)
{
	int eno = a->due ? db_pending_send(&a->pending, a->fd) : 0;

	if (!eno && a->due) {
		a->due = false;
		a->sent_at = loop_now(a->assoc.loop);
	}
	let_go(a);	/* what is decided now must be seen by whoever is told so */
	if (!eno || eno == EAGAIN)
		eno = db_pending_recv(&a->pending, a->fd, decided_cb, a);
	wake_flushes(a);
	if (eno && eno != EAGAIN)
		disconnect(a, eno);
	idle_or_wait(a);
}

static void
io_cb(int what unused_arg, void *arg)
{
	pump(arg);
}

static void
give_up(struct assoc_lmdb *a)
{
	struct err *err = err_new(ERR_UNAVAILABLE, "assoc", "%s", a->db);

	err->msg = xasprintf("its writer (%s/%s) does not answer", a->keeper, DB_SOCKET);
	db_pending_fail(&a->pending, err, decided_cb, a);
	err_free(err);
	a->down_since = 0;
	wake_flushes(a);
}

/* Nobody listens (yet): tell the owner now and then, and lose patience at last. */
static void
still_down(struct assoc_lmdb *a, struct err *err)
{
	int64_t now = loop_now(a->assoc.loop);
	char *text = err_str(err);

	log_debug("assoc: %s", text);
	free(text);
	err_free(err);
	if (!a->down_since)
		a->down_since = now;
	if (now - a->down_since >= ASSOC_LMDB_PATIENCE)
		give_up(a);
	if (a->down && (!a->down_told || now - a->down_told >= RETRY_MOST)) {
		a->down_told = now;
		a->down(a->down_arg);
	}
	a->retry = a->retry * 2 < RETRY_MOST ? a->retry * 2 : RETRY_MOST;
}

static void
connect_now(struct assoc_lmdb *a)
{
	struct err *err = unix_connect(a->keeper, DB_SOCKET, SOCK_SEQPACKET, true, &a->fd);

	if (err) {
		a->fd = -1;
		still_down(a, err);
		idle_or_wait(a);
		return;
	}
	a->down_since = a->down_told = 0;
	a->retry = RETRY_FIRST;
	db_read_refresh(a->reader);	/* another writer may have dropped the database */
	io_init(&a->io, a->assoc.loop, a->fd, "assoc-writer", io_cb, a);
	a->due = true;
	pump(a);
}

static void
reconnect_cb(void *arg)
{
	connect_now(arg);
}

/* ---- put ---- */

static void
send_now(struct assoc_lmdb *a)
{
	timer_clear(&a->linger);
	a->due = db_pending_unsent(&a->pending);
	if (a->fd != -1)
		idle_or_wait(a);
	else if (!timer_is_set(&a->reconnect))
		timer_set(&a->reconnect, 0);
}

static void
linger_cb(void *arg)
{
	send_now(arg);
}

static void
send_soon(struct assoc_lmdb *a)
{
	int64_t left = a->sent_at + LINGER - loop_now(a->assoc.loop);

	if (a->fd == -1 || left <= 0 || ++a->held >= LINGER_MOST) {
		a->held = 0;
		send_now(a);
	} else if (!a->due && !timer_is_set(&a->linger)) {
		timer_set(&a->linger, left);
	}
}

static void
put_advance(struct op *op)
{
	struct put *p = op_owner(op, struct put, op);
	assoc_done_cb *cb = p->cb;
	void *arg = p->arg;
	struct err *err = p->err;

	if (p->entry)
		return;		/* spurious: the writer has not decided */
	p->err = NULL;
	op_release(op);
	cb(err, arg);
}

static void
put_release(struct op *op)
{
	struct put *p = op_owner(op, struct put, op);

	if (p->entry)
		p->entry->owner = NULL;	/* the request itself stays: it may be on its way */
	err_free(p->err);
	free(p);
}

static const struct op_type put_type = { "assoc-lmdb-put", put_advance, put_release };

static struct op *
put_start(struct assoc_lmdb *a, enum db_sub sub, const void *key, size_t klen, const void *value, size_t len,
    assoc_done_cb *cb, void *arg)
{
	struct put *p = xcalloc(1, sizeof *p);

	p->a = a;
	p->cb = cb;
	p->arg = arg;
	op_init(&p->op, a->assoc.loop, &put_type);
	if (len > DB_VALUE_MAX) {
		p->err = err_msg(ERR_INVALID, "assoc: a value of %zu bytes is too long", len);
		op_wake(&p->op);
		return &p->op;
	}
	p->entry = db_pending_add(&a->pending, len ? DB_PUT : DB_DELETE, sub, key, klen, value, len, p);
	send_soon(a);
	return &p->op;
}

#define ASSOC_KEY (1 + DIGEST_LEN)

static void
assoc_key(enum assoc_kind kind, const struct digest *d, uint8_t out[ASSOC_KEY])
{
	out[0] = (uint8_t)kind;
	memcpy(out + 1, d->b, DIGEST_LEN);
}

static struct op *
assoc_lmdb_put(struct assoc *assoc, enum assoc_kind kind, const struct digest *key, const void *value, size_t len,
    assoc_done_cb *cb, void *arg)
{
	uint8_t k[ASSOC_KEY];

	assoc_key(kind, key, k);
	return put_start(lmdb_of(assoc), DB_ASSOC, k, sizeof k, value, len, cb, arg);
}

struct op *
assoc_lmdb_meta_put(
    struct assoc *assoc, const void *key, size_t klen, const void *value, size_t len, assoc_done_cb *cb, void *arg)
{
	assert(klen > 0 && klen <= DB_KEY_MAX);
	return put_start(lmdb_of(assoc), DB_META, key, klen, value, len, cb, arg);
}

/* ---- flush ---- */

static void
assoc_lmdb_hurry(struct assoc *assoc)
{
	struct assoc_lmdb *a = lmdb_of(assoc);

	if (timer_is_set(&a->linger))
		send_now(a);
}

static bool
flush_over(const struct flush *f)
{
	const struct db_entry *first = TAILQ_FIRST(&f->a->pending.q);

	return !first || first->req.number > f->upto;
}

static void
flush_advance(struct op *op)
{
	struct flush *f = op_owner(op, struct flush, op);
	assoc_done_cb *cb = f->cb;
	void *arg = f->arg;
	struct err *err;

	if (!flush_over(f))
		return;
	err = f->a->refusal;
	f->a->refusal = NULL;
	op_release(op);
	cb(err, arg);
}

static void
flush_release(struct op *op)
{
	struct flush *f = op_owner(op, struct flush, op);

	TAILQ_REMOVE(&f->a->flushes, f, entry);
	free(f);
}

static const struct op_type flush_type = { "assoc-lmdb-flush", flush_advance, flush_release };

struct op *
assoc_lmdb_flush_start(struct assoc *assoc, assoc_done_cb *cb, void *arg)
{
	struct assoc_lmdb *a = lmdb_of(assoc);
	struct flush *f = xcalloc(1, sizeof *f);

	f->a = a;
	f->upto = a->pending.number;
	f->cb = cb;
	f->arg = arg;
	op_init(&f->op, a->assoc.loop, &flush_type);
	TAILQ_INSERT_TAIL(&a->flushes, f, entry);
	op_wake(&f->op);
	assoc_lmdb_hurry(assoc);
	return &f->op;
}

/* ---- get ---- */

static void
turn_over(void *arg)
{
	struct assoc_lmdb *a = arg;

	a->turn = NULL;
	let_go(a);
}

static void
turn_dropped(unused_arg void *arg)
{
}

/* Many are asked for in one turn: they share a transaction, which is the greater part of what each costs. */
static bool
assoc_lmdb_peek(struct assoc *assoc, enum assoc_kind kind, const struct digest *key, const void **value, size_t *len)
{
	struct assoc_lmdb *a = lmdb_of(assoc);
	uint8_t k[ASSOC_KEY];
	struct err *err;

	assoc_key(kind, key, k);
	err = db_read_hold(a->reader, DB_ASSOC, k, sizeof k, value, len);
	if (!a->turn)
		a->turn = later_start(assoc->loop, "assoc-lmdb-turn", turn_over, turn_dropped, a);
	if (!err)
		return true;
	err_free(err);	/* get says it */
	return false;
}

struct get_call {
	struct assoc_lmdb *a;	/* kept */
	uint8_t		   key[ASSOC_KEY];
	struct digest	   digest;
	assoc_get_cb	  *cb;
	void		  *arg;
};

static void
get_run(void *data)
{
	struct get_call c = *(struct get_call *)data;
	struct buf value = BUF_INIT;
	char name[DIGEST_STR + 1];
	struct err *err;
	bool found = false;

	free(data);
	err = db_read_get(c.a->reader, DB_ASSOC, c.key, sizeof c.key, &value, &found);
	if (!err && !found) {
		digest_str(&c.digest, name);
		err = err_new(ERR_NOT_EXIST, "assoc", "%s", name);
	}
	c.cb(err ? NULL : buf_str(&value), value.len, err, c.arg);
	buf_release(&value);
}

static struct op *
assoc_lmdb_get(struct assoc *assoc, enum assoc_kind kind, const struct digest *key, assoc_get_cb *cb, void *arg)
{
	struct get_call *c = xmalloc(sizeof *c);

	c->a = lmdb_of(assoc);
	assoc_key(kind, key, c->key);
	c->digest = *key;
	c->cb = cb;
	c->arg = arg;
	return later_start(assoc->loop, "assoc-lmdb-get", get_run, free, c);
}

/* ---- the assoc ---- */

static void
assoc_lmdb_free(struct assoc *assoc)
{
	struct assoc_lmdb *a = lmdb_of(assoc);
	struct db_entry *e;

	assert(TAILQ_EMPTY(&a->flushes));
	TAILQ_FOREACH(e, &a->pending.q, entry)
		assert(!e->owner);	/* whoever put it has cancelled, or waits for nothing */
	timer_clear(&a->linger);
	let_go(a);
	timer_clear(&a->reconnect);
	io_clear(&a->io);
	if (a->fd != -1)
		close(a->fd);
	db_pending_release(&a->pending);
	db_read_close(a->reader);
	err_free(a->refusal);
	free(a->db);
	free(a->keeper);
	free(a);
}

static const struct assoc_ops assoc_lmdb_ops = {
	.peek = assoc_lmdb_peek,
	.get = assoc_lmdb_get,
	.put = assoc_lmdb_put,
	.hurry = assoc_lmdb_hurry,
	.free = assoc_lmdb_free,
};

struct assoc *
assoc_lmdb_new(struct loop *loop, const struct root *root)
{
	struct assoc_lmdb *a = xcalloc(1, sizeof *a);

	a->assoc = (struct assoc){ &assoc_lmdb_ops, loop };
	a->db = xstrdup(root->db);
	a->keeper = xstrdup(root->keeper);
	a->reader = db_read_open(root->db);
	a->fd = -1;
	a->retry = RETRY_FIRST;
	db_pending_init(&a->pending);
	TAILQ_INIT(&a->flushes);
	timer_init(&a->linger, loop, "assoc-linger", linger_cb, a);
	timer_init(&a->reconnect, loop, "assoc-reconnect", reconnect_cb, a);
	return &a->assoc;
}

void
assoc_lmdb_on_down(struct assoc *assoc, assoc_lmdb_down_cb *down, void *arg)
{
	struct assoc_lmdb *a = lmdb_of(assoc);

	a->down = down;
	a->down_arg = arg;
}

size_t
assoc_lmdb_npending(const struct assoc *assoc)
{
	return lmdb_of(assoc)->pending.n;
}

struct db_read *
assoc_lmdb_reader(struct assoc *assoc)
{
	return lmdb_of(assoc)->reader;
}
