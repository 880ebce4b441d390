/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_LOOP_JOURNALTEST_H
#define WEIR_TESTS_LOOP_JOURNALTEST_H

#include "loop/journal.h"
#include "tests/loop/looptest.h"

/* What the tests of the journal share: records that say their own seq, and a reader that checks them. */

/* A world: one folder, one loop, one journal. */
struct world {
	char	       *tmp, *dir;
	const char     *program;
	struct loop    *loop;
	struct journal *journal;
	struct journal_wait *wait;
	bool		done;
	struct err     *err;
};

/* For cmocka: a world without a journal; the end of one with whatever is open in it. */
int world_setup(void **state);
int world_teardown(void **state);
struct err *world_open(struct world *);		/* gives; opens w->journal */
void world_close(struct world *);

uint64_t append(struct journal *, size_t padding);	/* the next record; returns its seq */
struct err *wait_for(struct world *, uint64_t seq);	/* gives the wait's error */
void wait_cb(struct err *, void *world);		/* sets w->done and w->err */

const char *journal_program(void);
void copy_program(const char *from, const char *to);
/* Takes dir's place below w->tmp for one open, which must fail with this text. */
void assert_open_error(struct world *, const char *dir, const char *text);

/* What a reader finds: it drops a seq that it has seen, and fails the test where one is missing. */
struct reading {
	uint64_t    last;	/* seqs 1..last were read, without a gap */
	uint64_t    repeated;
	int	    headers, segments, damages;
	char	    path[512];
};
struct reading read_all(const char *dir);

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

#endif
