/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_DB_PENDING_H
#define WEIR_STORE_DB_PENDING_H

#include <sys/queue.h>

#include "store/db_proto.h"

/*
 * What a client of the writer has asked and not yet been told: in the order of numbers, first the
 * sent ones, then the rest. Shared by the blocking client and by the one on the loop.
 */
struct db_entry {
	TAILQ_ENTRY(db_entry) entry;
	struct db_req	      req;	/* key and value point into bytes */
	char		     *bytes;	/* owned */
	void		     *owner;	/* who waits for it; NULL: nobody (any more) */
};
struct db_pending {
	TAILQ_HEAD(, db_entry) q;
	struct db_entry	      *unsent;	/* the first that was not sent on this connection, or NULL */
	uint64_t	       number;	/* of the newest */
	size_t		       n;
};
void db_pending_init(struct db_pending *);
void db_pending_release(struct db_pending *);
/* Copies; borrows the owner. The entry is valid until it is decided. */
struct db_entry *db_pending_add(struct db_pending *, enum db_op, enum db_sub, const void *key, size_t klen,
    const void *value, size_t vlen, void *owner);
bool db_pending_empty(const struct db_pending *);
bool db_pending_unsent(const struct db_pending *);
void db_pending_rewind(struct db_pending *);	/* the connection is lost: all of it is unsent again */
int  db_pending_send(struct db_pending *, int fd);	/* until done (0), EAGAIN or another errno */

/* One entry was decided; err is borrowed. It is out of the list and freed after the call. */
typedef void db_decided_cb(void *owner, const struct err *err, void *arg);
/* Takes replies until EAGAIN, or ECONNRESET, or EPROTO for a reply that makes no sense. */
int  db_pending_recv(struct db_pending *, int fd, db_decided_cb *, void *arg);
/* Decides all of them with this error; it is borrowed. */
void db_pending_fail(struct db_pending *, const struct err *, db_decided_cb *, void *arg);

#endif
