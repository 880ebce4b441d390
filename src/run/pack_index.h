/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_PACK_INDEX_H
#define WEIR_RUN_PACK_INDEX_H

#include "run/pack.h"
#include "run/record.h"

/*
 * A pack with its index: which controllers, runs and execs it holds, and where. The index lies beside the
 * pack as NAME.idx and is derived from it: whenever it is missing, older, damaged, of another pack or of
 * another version, it is made anew by reading the pack, and saved if this folder may be written.
 *
 * The tables below are the file's own layout, in the order of bytes of the machine that made it.
 */
struct pack_section {			/* the journal of one controller */
	char	 controller[PACK_NAME];
	uint64_t from, to;		/* its blocks */
	uint32_t row, nrows;
};
enum { PACK_ROW_INTERRUPTED = 1, PACK_ROW_SNAPSHOT = 2 };
struct pack_row {			/* what one controller recorded of one run under one epoch */
	struct digest run;
	uint32_t section, flags;
	uint64_t epoch, n;
	int64_t	 last_time;
	uint64_t started, ended, failed, hits;	/* records */
	uint64_t execs;				/* keys that were started */
	uint64_t snapshot, snapshot_len;	/* payload of the newest that can be read, in text */
};
enum { PACK_EXEC_STARTED = 1 };
struct pack_exec {			/* by key, row and order of the records: this block has records of that key */
	struct digest key;
	uint32_t row, block;
	uint32_t ident;			/* UINT32_MAX: none */
	uint32_t flags;
	uint32_t order;			/* of its newest record among all of the pack */
};
struct pack_ident {			/* by name: an identifier of the program, and its execs */
	uint64_t text;
	uint32_t len;
	uint32_t first, n;		/* in by_ident */
};
struct pack {
	char	*path;
	int	 fd;
	uint64_t size;
	const struct pack_section *sections;
	const struct pack_row	  *rows;
	const uint64_t		  *blocks;	/* offsets, and the size of the pack behind the last */
	const struct pack_exec	  *execs;
	const struct pack_ident	  *idents;
	const uint32_t		  *by_ident;	/* places in execs: of each identifier in the order of the records */
	const char		  *text;
	uint32_t nsections, nrows, nblocks, nexecs, nidents;
	void	*map;			/* the index: mapped, or on the heap */
	size_t	 map_size;
	bool	 mapped;
};
must_check struct err *pack_open(const char *path, struct pack **);
void pack_close(struct pack *);		/* NULL is fine */
/* The first exec whose key is not less; nexecs if there is none. */
uint32_t pack_exec_at(const struct pack *, const struct digest *key);
/* Makes the index of a pack and saves it as its file. For who makes packs; all others get it with the pack. */
must_check struct err *pack_index_write(const char *pack_path, const char *index_path);
char *pack_index_path(const char *pack_path);	/* gives */

#endif
