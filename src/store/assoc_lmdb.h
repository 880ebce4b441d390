/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_ASSOC_LMDB_H
#define WEIR_STORE_ASSOC_LMDB_H

#include "iface/assoc.h"
#include "store/root.h"

/*
 * The assoc of a root: read from LMDB on the loop, written through the writer that the root's keeper
 * runs (see db_writer.h). The writer may come, die and come again: what it did not acknowledge is
 * sent to the next one. What is put is seen by a get once its callback has run.
 */
struct assoc *assoc_lmdb_new(struct loop *, const struct root *);	/* copies what it needs of the root */

/*
 * While there is no writer to talk to, down is called about once a second, from the loop, so that the owner
 * can start a keeper; it must not free the assoc. After ASSOC_LMDB_PATIENCE without one the puts that
 * wait fail with UNAVAILABLE. NULL: nobody.
 */
typedef void assoc_lmdb_down_cb(void *arg);
void assoc_lmdb_on_down(struct assoc *, assoc_lmdb_down_cb *, void *arg);
#define ASSOC_LMDB_PATIENCE SECONDS(60)

/* Completes when every put so far is decided, with the first refusal since the last flush, or NULL. */
struct op *assoc_lmdb_flush_start(struct assoc *, assoc_done_cb *, void *arg);
size_t assoc_lmdb_npending(const struct assoc *);	/* puts that are not decided yet */

/*
 * The same connection carries small facts of the rooms above (the sub-database `meta`), under keys of at most 511
 * bytes. Reading them: db_read.h, over assoc_lmdb_reader.
 */
struct op *assoc_lmdb_meta_put(
    struct assoc *, const void *key, size_t klen, const void *value, size_t len, assoc_done_cb *, void *arg);
struct db_read;
struct db_read *assoc_lmdb_reader(struct assoc *);	/* borrowed */

#endif
