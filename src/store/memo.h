/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_MEMO_H
#define WEIR_STORE_MEMO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/err.h"

/*
 * The memo of hashed local files: (device, inode) to size, times and digest, so that an unchanged
 * file is hashed once. Without a loop, for the hashing helpers of the keeper.
 *
 * It is racy-safe as the index of git is: a file that was written at about the moment it was hashed
 * might be written again within one tick of its clock, and look the same. So an entry counts only
 * if both times of the file lie before the hashing by MEMO_MARGIN; younger files are hashed again.
 */
#define MEMO_MARGIN  ((int64_t)2000000000)	/* ns: the coarsest clock of a file system in use is FAT's */
#define MEMO_KEY     16
#define MEMO_VALUE   72

struct memo_entry {		/* one put to DB_MEMO, see db_client.h */
	uint8_t key[MEMO_KEY];
	uint8_t value[MEMO_VALUE];
};

struct memo;
struct memo *memo_open(const char *db_dir);	/* a database that is not there reads as empty */
void memo_close(struct memo *);			/* NULL is fine */
/* What st was hashed to, if that can be trusted. Never fails: trouble with the database is a miss. */
bool memo_lookup(struct memo *, const struct stat *st, struct digest *);
/* st: as it was before the hashing; hashed: wall clock before the hashing, ns. */
void memo_entry_make(struct memo_entry *, const struct stat *st, int64_t hashed, const struct digest *);

/*
 * The digest of the regular file open as fd: from the memo (which may be NULL) or by reading it, then
 * fresh is set and entry is worth a put. TEMPORARY when it changed while it was read: names it. Blocks.
 */
must_check struct err *memo_digest_fd(
    struct memo *, int fd, const char *name, struct digest *, uint64_t *size, bool *fresh, struct memo_entry *entry);

#endif
