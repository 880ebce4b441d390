/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_DB_PROTO_H
#define WEIR_STORE_DB_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * The wire between those who write to the databases and their one writer: packets on a unix
 * SEQPACKET socket (keeper/db), all integers little endian, both ends on one host.
 *
 *	request: magic u32, op u8, sub u8, key length u16, value length u32, flags u32, number u64,
 *		 key, value (with DB_BY_FD the value is the passed memfd instead)
 *	reply:	 magic u32, reserved u32, number u64 and, on an error, name of its kind, NUL, text
 *
 * A client numbers its requests upwards. A reply decides everything of that client since the reply
 * before, up to its number: committed, or refused with the error that it carries. What no reply decided
 * before the connection broke is sent again, in order; both requests are idempotent.
 */
enum db_sub {		/* never renumber: names on disk depend on it */
	DB_ASSOC = 0,	/* kind byte and key -> value; its objects are synced first */
	DB_MEMO = 1,	/* device, inode -> digest of a file; see memo.h */
	DB_META = 2,	/* small facts of the rooms above, by name */
	DB_NSUBS
};
enum db_op { DB_PUT = 1, DB_DELETE = 2 };

#define DB_SOCKET     "db"		/* in the keeper's folder */
#define DB_HEAD	      24u
#define DB_REPLY      16u
#define DB_REPLY_MAX  4096u
#define DB_KEY_MAX    511u		/* LMDB's */
#define DB_INLINE_MAX (64u << 10)	/* longer values travel as a memfd */
#define DB_VALUE_MAX  (256u << 20)
#define DB_PACKET_MAX (DB_HEAD + DB_KEY_MAX + DB_INLINE_MAX)
#define DB_BY_FD      1u

struct db_req {
	enum db_op  op;
	enum db_sub sub;
	uint64_t    number;
	const void *key, *value;	/* borrowed; value is NULL when it travels by descriptor */
	size_t	    klen, vlen;
};
struct db_reply {
	uint64_t    number;
	struct err *err;		/* NULL: committed */
};

const char *db_sub_name(enum db_sub);
bool db_req_by_fd(const struct db_req *);
/* Appends the packet, without a value that goes by descriptor. */
void db_req_encode(const struct db_req *, struct buf *);
/* The packet must be one whole request; borrows from it. Else INVALID. */
must_check struct err *db_req_decode(const void *, size_t, struct db_req *);
void db_reply_encode(const struct db_reply *, struct buf *);
must_check struct err *db_reply_decode(const void *, size_t, struct db_reply *);	/* gives the error in it */

/* Sends one request. Returns 0 or errno (EAGAIN: nothing was sent). */
int db_req_send(int fd, const struct db_req *, int flags);

#endif
