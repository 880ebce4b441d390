/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/db_pending.h"
#include "store/sock.h"

/*
 * The blocking client: sends while the socket takes, reads answers while it waits. A broken connection
 * costs nothing but the time until the next writer listens: the undecided requests are sent again.
 */

#define RECONNECT_MS 50

struct db_client {
	char		 *dir;	/* owned: the keeper's folder */
	int		  fd;	/* -1: not connected */
	struct db_pending pending;
	struct err	 *err;	/* the first refusal since the last flush; owned */
};

struct db_client *
db_client_new(const char *dir)
{
	struct db_client *c = xcalloc(1, sizeof *c);

	c->dir = xstrdup(dir);
	c->fd = -1;
	db_pending_init(&c->pending);
	return c;
}

static void
disconnect(struct db_client *c)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	db_pending_rewind(&c->pending);
}

void
db_client_free(struct db_client *c)
{
	if (!c)
		return;
	disconnect(c);
	db_pending_release(&c->pending);
	err_free(c->err);
	free(c->dir);
	free(c);
}

static void
decided_cb(void *owner unused_arg, const struct err *err, void *arg)
{
	struct db_client *c = arg;

	if (err && !c->err)
		c->err = err_copy(err);
}

/* Sends and receives what goes without waiting. */
static void
pump(struct db_client *c)
{
	int eno;

	if (c->fd == -1) {
		struct err *err = unix_connect(c->dir, DB_SOCKET, SOCK_SEQPACKET, true, &c->fd);

		err_free(err);	/* no writer at the moment: the caller waits for one */
		if (c->fd == -1)
			return;
	}
	eno = db_pending_send(&c->pending, c->fd);
	if (!eno || eno == EAGAIN)
		eno = db_pending_recv(&c->pending, c->fd, decided_cb, c);
	if (eno && eno != EAGAIN)
		disconnect(c);
}

void
db_client_put(struct db_client *c, enum db_sub sub, const void *key, size_t klen, const void *value, size_t vlen)
{
	db_pending_add(&c->pending, DB_PUT, sub, key, klen, value, vlen, NULL);
	pump(c);
}

void
db_client_delete(struct db_client *c, enum db_sub sub, const void *key, size_t klen)
{
	db_pending_add(&c->pending, DB_DELETE, sub, key, klen, NULL, 0, NULL);
	pump(c);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
least(int64_t a, int64_t b)
{
	return (int)(a < b ? a : b);
}

struct err *
db_client_flush(struct db_client *c, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms, left;
	struct err *err;

	for (pump(c); !db_pending_empty(&c->pending); pump(c)) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN | (db_pending_unsent(&c->pending) ? POLLOUT : 0) };

		left = end - now_ms();
		if (left <= 0) {
			err = err_new(ERR_UNAVAILABLE, "write", "%s/%s", c->dir, DB_SOCKET);
			err->msg = xstrdup("no writer answers");
			return err;
		}
		poll(&p, 1, c->fd == -1 ? least(left, RECONNECT_MS) : least(left, 60000));
	}
	err = c->err;
	c->err = NULL;
	return err;
}
