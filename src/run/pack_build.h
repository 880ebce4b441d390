/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_PACK_BUILD_H
#define WEIR_RUN_PACK_BUILD_H

#include "run/pack_index.h"

/* The tables of a pack's index, gathered by reading the pack. Private to pack_index.c. */
struct pack_build {
	struct pack_section *sections;
	struct pack_row	    *rows;
	uint64_t	    *blocks;	/* without the end behind the last */
	struct pack_exec    *execs;
	struct pack_ident   *idents;
	uint32_t	    *by_ident;	/* one for each of execs */
	struct buf	     text;
	uint32_t	     nsections, nrows, nblocks, nexecs, nidents;
};
/* What is damaged is left out. Release it also on failure. */
must_check struct err *pack_build(int fd, const char *path, uint64_t size, struct pack_build *);
void pack_build_release(struct pack_build *);

#endif
