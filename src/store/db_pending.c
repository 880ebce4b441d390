/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db_pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/xalloc.h"

/*
 * The undecided requests of one client. Numbers only grow, also over connections, so that a late
 * reply can never decide what came after it.
 */

void
db_pending_init(struct db_pending *p)
{
	memset(p, 0, sizeof *p);
	TAILQ_INIT(&p->q);
}

static void
entry_free(struct db_pending *p, struct db_entry *e)
{
	TAILQ_REMOVE(&p->q, e, entry);
	p->n--;
	free(e->bytes);
	free(e);
}

void
db_pending_release(struct db_pending *p)
{
	while (!TAILQ_EMPTY(&p->q))
		entry_free(p, TAILQ_FIRST(&p->q));
	p->unsent = NULL;
}

struct db_entry *
db_pending_add(struct db_pending *p, enum db_op op, enum db_sub sub, const void *key, size_t klen, const void *value,
    size_t vlen, void *owner)
{
	struct db_entry *e = xcalloc(1, sizeof *e);

	e->bytes = xmalloc(klen + vlen);
	memcpy(e->bytes, key, klen);
	if (vlen > 0)
		memcpy(e->bytes + klen, value, vlen);
	e->req = (struct db_req){ op, sub, ++p->number, e->bytes, e->bytes + klen, klen, vlen };
	e->owner = owner;
	TAILQ_INSERT_TAIL(&p->q, e, entry);
	p->n++;
	if (!p->unsent)
		p->unsent = e;
	return e;
}

bool
db_pending_empty(const struct db_pending *p)
{
	return TAILQ_EMPTY(&p->q);
}

bool
db_pending_unsent(const struct db_pending *p)
{
	return p->unsent != NULL;
}

void
db_pending_rewind(struct db_pending *p)
{
	p->unsent = TAILQ_FIRST(&p->q);
}

int
db_pending_send(struct db_pending *p, int fd)
{
	while (p->unsent) {
		int eno = db_req_send(fd, &p->unsent->req, MSG_DONTWAIT);

		if (eno)
			return eno;
		p->unsent = TAILQ_NEXT(p->unsent, entry);
	}
	return 0;
}

static void
decide(struct db_pending *p, uint64_t upto, const struct err *err, db_decided_cb *cb, void *arg)
{
	struct db_entry *e;

	while ((e = TAILQ_FIRST(&p->q)) && e != p->unsent && e->req.number <= upto) {
		cb(e->owner, err, arg);
		entry_free(p, e);
	}
}

int
db_pending_recv(struct db_pending *p, int fd, db_decided_cb *cb, void *arg)
{
	char packet[DB_REPLY_MAX + 1];
	struct db_reply r;
	struct err *err;
	ssize_t n;

	for (;;) {
		n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? ECONNRESET : errno;
		err = db_reply_decode(packet, (size_t)n, &r);
		if (err) {
			err_free(err);
			return EPROTO;
		}
		decide(p, r.number, r.err, cb, arg);
		err_free(r.err);
	}
}

void
db_pending_fail(struct db_pending *p, const struct err *err, db_decided_cb *cb, void *arg)
{
	p->unsent = NULL;
	decide(p, UINT64_MAX, err, cb, arg);
}
