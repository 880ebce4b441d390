/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_JOURNALS_H
#define WEIR_RUN_JOURNALS_H

#include "base/wal.h"
#include "run/pack_index.h"
#include "run/record.h"
#include "store/root.h"

/*
 * All journals of a root, by name, which is by age. Each lies in a folder of its own or, when its controller is
 * gone, perhaps in a pack (run/pack_index.h), and may be moved from the one into the other at any time:
 * whoever reads it gets each record once all the same. Read without a loop and without locks.
 */
struct journal_place {
	char	*controller;		/* owned */
	const struct pack *pack;	/* NULL: a folder */
	uint32_t section;		/* in the pack */
};
struct journals {
	const struct root *root;	/* kept */
	struct pack **packs;
	size_t npacks;
	struct journal_place *places;
	size_t n;
	size_t **of_section;		/* of each pack, for each of its sections: its place, or SIZE_MAX: it is elsewhere */
};
must_check struct err *journals_open(const struct root *, struct journals *);
void journals_close(struct journals *);		/* zeroed is fine */

struct journal_item {			/* a record; borrowed until the next */
	const char *controller;
	bool	    live;		/* that controller still held its journal when we began to read it */
	const struct record_peek *peek;
	const char *payload;
	size_t	    len;
};
/* The records of one journal, one by one. Damage is reported through damage (may be NULL) and passed over. */
struct journal_reader;
must_check struct err *journal_reader_open(const struct journals *, const struct journal_place *, wal_damage_cb *,
    void *arg, struct journal_reader **);
/* Likewise, only what lies in some blocks of one section of a pack, in their order; pack and blocks are kept. */
struct journal_reader *journal_reader_blocks(const struct pack *, const uint32_t *blocks, size_t n, wal_damage_cb *,
    void *arg);
/* item NULL: the end. */
must_check struct err *journal_reader_next(struct journal_reader *, const struct journal_item **);
void journal_reader_close(struct journal_reader *);	/* NULL is fine */

typedef void journals_cb(const struct journal_item *, void *arg);
/* All records of all journals. skip: a controller to leave out, or NULL. */
must_check struct err *journals_each(const struct root *, const char *skip, wal_damage_cb *damage, void *damage_arg,
    journals_cb *, void *arg);
/* Of one controller that has a folder; none if it has not. */
must_check struct err *journals_one(const struct root *, const char *controller, journals_cb *, void *arg);
/* Is there any besides this one? */
bool journals_exist(const struct root *, const char *except);

#endif
