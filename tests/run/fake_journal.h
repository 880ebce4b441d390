/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_RUN_FAKE_JOURNAL_H
#define WEIR_TESTS_RUN_FAKE_JOURNAL_H

#include "loop/journal.h"
#include "tests/loop/torture.h"

/*
 * A journal without a process, for a virtual clock. It takes the place of loop/journal.c at link time: a
 * program that has fake_journal.c among its sources gets these functions and not those of the library.
 * What is appended becomes durable some turns later, all of it at once.
 * With a folder it is written there as a real journal would be, under the folder's lock.
 */
struct journal *fake_journal_new(struct loop *, const char *dir);	/* copies dir; NULL: memory only */
void fake_journal_hold(struct journal *, bool);		/* nothing becomes durable until it is let go */
void fake_journal_fail(struct journal *, enum err_kind);	/* the next sync fails; what was appended stays */
void fake_journal_torture(struct journal *, struct torture *);	/* each sync asks torture_fault */

struct fake_record {
	const char *p;		/* payload */
	size_t	    len;
};
const struct fake_record *fake_journal_records(const struct journal *, size_t *n);	/* appended, durable or not */

#endif
