/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_PACK_H
#define WEIR_RUN_PACK_H

#include "base/buf.h"
#include "base/wal.h"

/*
 * A pack holds the journals of controllers that are gone, each as a row of compressed blocks: see
 * weir-snapshot(5). It is made under a hidden name, renamed when it is durable, and never changed.
 */
#define PACK_SUFFIX ".pack"
#define PACK_BLOCK  (256u << 10)	/* of records, before compression */
#define PACK_NAME   64			/* longest name of a controller, with its NUL */
#define PACK_RECORD (32u << 20)		/* a journal with a longer record is left as it is */

/* Its blocks, or those from one offset to another, and the records in them. Blocking, without memory beyond one block. */
struct pack_reader {
	int	    fd;			/* kept */
	const char *path;		/* kept; for messages */
	uint64_t    at, end;		/* of the block after this one */
	uint64_t    block;		/* offset of this one */
	char	    controller[PACK_NAME];	/* whose it is; empty: none was read yet */
	struct buf  frame, raw;
	size_t	    off;		/* in raw */
	wal_damage_cb *damage;
	void	   *arg;
};
void pack_reader_init(struct pack_reader *, int fd, const char *path, uint64_t from, uint64_t to, wal_damage_cb *,
    void *arg);
/* The next record, borrowed until the next call; payload NULL: the end. A damaged block is reported and passed over. */
must_check struct err *pack_reader_next(struct pack_reader *, const char **payload, size_t *);
void pack_reader_release(struct pack_reader *);

/* Errors are kept until the end, so that callers need not look at each step. */
struct pack_writer {
	int	   fd;			/* kept */
	const char *path;		/* kept */
	char	   controller[PACK_NAME];
	uint64_t   written;
	struct buf raw;
	struct err *err;
};
void pack_writer_init(struct pack_writer *, int fd, const char *path);
void pack_writer_begin(struct pack_writer *, const char *controller);	/* what is added from now on is its */
void pack_writer_add(struct pack_writer *, const void *payload, size_t);
void pack_writer_copy(struct pack_writer *, int fd, const char *path, uint64_t from, uint64_t to);	/* whole blocks */
/* What was added since begin goes away again. */
void pack_writer_undo(struct pack_writer *, uint64_t written);
must_check struct err *pack_writer_end(struct pack_writer *);	/* releases; nothing is synced */
void pack_writer_flush(struct pack_writer *);	/* ends a block */

#endif
