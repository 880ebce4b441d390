/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_REBUILD_H
#define WEIR_RUN_REBUILD_H

#include "iface/assoc.h"
#include "run/sizes.h"
#include "store/root.h"

/*
 * The databases hold nothing that the journals do not have. Where one was dropped (power was lost while
 * it was written, it was damaged, or somebody removed it), what the runs' execs gave is put back.
 */

/* Is there anything to be done? own: our own journal, in which there is nothing yet. Costs a few looks at files. */
bool rebuild_wanted(const struct root *, const char *own);
/*
 * Reads all journals and puts each result into the assoc (one of assoc_lmdb), under both keys, for runs that may write
 * the cache; and what memory execs turned out to need. A step of the start: turns the loop until everything is committed, or the writer does not answer. On
 * success the mark is gone; results counts the entries. Afterwards it is simply done again the next time.
 */
must_check struct err *rebuild(struct loop *, const struct root *, const char *own, struct assoc *, struct sizes *,
    size_t *results);

#endif
