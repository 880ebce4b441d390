/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_COMPACT_H
#define WEIR_RUN_COMPACT_H

#include "store/root.h"

/*
 * Compaction: the journals of controllers that are gone go into packs (run/pack.h), small packs into larger
 * ones. No record is lost by it, and a reader sees each once at every moment; see weir-snapshot(5).
 *
 * Crash points: compact-packed, compact-synced, pack-index-written, compact-indexed, compact-published,
 * compact-folder-hidden, compact-folder-emptied, compact-pack-removed.
 */
struct compact_result {
	bool	 busy;			/* another process is at it: nothing was done */
	size_t	 journals, packs;	/* that went into new packs */
	uint64_t before, after;		/* bytes of these, and of the packs that were made of them */
};
/* What is worth it: so many journals of controllers that are gone, or so many bytes of them. Zeroed: nothing ever is. */
struct compact_due {
	uint64_t journals, bytes;
};
#define COMPACT_AUTO ((struct compact_due){ 16, 16u << 20 })
/* Blocking. Only root.journal is used. */
must_check struct err *compact(const struct root *, const struct compact_due *, struct compact_result *);
/* Starts weir-compact in the background if there seems to be enough for it. Nobody waits for it. */
void compact_start(const struct root *, const struct compact_due *);

#endif
