/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_DB_MARK_H
#define WEIR_STORE_DB_MARK_H

#include <stdbool.h>

#include "base/err.h"

/*
 * The marks beside the databases, in their folder DIR. `dirty` holds the boot id under which
 * something may have been committed that is not on the disk; `rebuild` stands where a database was
 * dropped, until somebody has filled it again from the journals.
 */
#define DB_DIRTY   "dirty"
#define DB_REBUILD "rebuild"

/* Dirty under another boot: power was lost, what lies there must not be read. */
bool db_mark_is_stale(const char *dir);
bool db_mark_is_dirty(const char *dir);				/* of whatever boot */
must_check struct err *db_mark_set_dirty(const char *dir);	/* durable on return */
must_check struct err *db_mark_clear_dirty(const char *dir);	/* the caller has synced the databases before */
/* Removes the databases and leaves `rebuild`, which says why. */
must_check struct err *db_mark_drop(const char *dir, const char *why);
bool db_mark_wants_rebuild(const char *dir);
must_check struct err *db_mark_rebuilt(const char *dir);	/* removes `rebuild` */

#endif
