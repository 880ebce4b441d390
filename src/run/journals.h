/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_JOURNALS_H
#define WEIR_RUN_JOURNALS_H

#include "base/wal.h"
#include "run/record.h"
#include "store/root.h"

/*
 * The records of all journals of a root, one after the other: journals by name, which is by age, and
 * each in its own order. Read without a loop and without locks.
 */
struct journal_item {			/* borrowed during the call */
	const char *controller;
	bool	    live;		/* that controller still held its journal when we began to read it */
	const struct record_peek *peek;
	const char *payload;
	size_t	    len;
};
typedef void journals_cb(const struct journal_item *, void *arg);
/* Damage is reported through damage (may be NULL) and passed over. skip: a controller to leave out, or NULL. */
must_check struct err *journals_each(const struct root *, const char *skip, wal_damage_cb *damage, void *damage_arg,
    journals_cb *, void *arg);
/* Of one controller; none if there is no such folder. */
must_check struct err *journals_one(const struct root *, const char *controller, journals_cb *, void *arg);
/* Is there any besides this one? */
bool journals_exist(const struct root *, const char *except);

#endif
