/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_DB_ENV_H
#define WEIR_STORE_DB_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/db_proto.h"

/*
 * The writer's side of the databases: opened on first use, batches applied in one transaction.
 * An environment must not cross a fork, nor be open twice in one process.
 */
struct db_env;
struct db_env *db_env_new(const char *dir, size_t map_size);	/* keeps dir; map_size 0: 64 GiB */
void db_env_free(struct db_env *);				/* NULL is fine; does not sync */
/* Opens, dropping first what another boot left dirty or what is damaged; otherwise done by the first commit. */
must_check struct err *db_env_open(struct db_env *);
/* All or nothing; the requests' values are set. On an error the environment stays usable. */
must_check struct err *db_env_commit(struct db_env *, const struct db_req *const *, size_t n);
/* Brings everything to the disk and lifts the dirty mark. */
must_check struct err *db_env_sync(struct db_env *);
bool db_env_is_dirty(const struct db_env *);

struct MDB_env;
/* The bytes that an open environment must have by its newest meta page, and those that its file has. */
struct db_extent {
	int64_t needed, there;
};
/* Gives 0 or errno. LMDB does not ask: a page that the file lacks kills whoever touches it. */
must_check int db_extent(struct MDB_env *, struct db_extent *);

/* The error of an LMDB call: rc is an errno or one of LMDB's own. */
struct err *db_err(int rc, const char *op, const char *dir);

#endif
