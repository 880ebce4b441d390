/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_RUN_CRAFTED_H
#define WEIR_TESTS_RUN_CRAFTED_H

#include "run/compact.h"
#include "run/id.h"

/*
 * A root whose journals are made by chance from a seed: controllers with a few runs each, some taken over from
 * others, with records that were sent twice and torn ends.
 */
#define NRUNS 12
#define CRAFTED_NAME 32
struct maker {
	struct buf out;
	uint64_t   seq, last;	/* last: where the newest record begins in out */
};
struct run {
	uint64_t number, epoch, n;
};
extern struct root root;
extern const struct compact_due compact_any;
void begin(uint64_t seed);
void end(void);
uint64_t roll(uint64_t below);
struct digest digest_of(uint64_t kind, uint64_t i);	/* kind 1: a run, 2: a key */

void make_runs(void);				/* forgets those before */
void make_controller(unsigned nrecords);
/* The parts of that. */
void name_controller(char name[CRAFTED_NAME]);	/* of a new one */
void add_header(struct maker *, const char *controller);
void add_exec(struct maker *, struct run *, const char *event, uint64_t key, const char *state);	/* key % 7 == 6: without */
void add_some(struct maker *, struct run *);
void write_segment(const char *controller, unsigned number, const struct buf *);

struct compact_result compact_all(void);
char *only_file(const char *suffix);		/* gives: the one of the journals that ends so */
void say_records(struct buf *, const struct run_entry *);
void no_damage(const struct wal_pos *, enum frame_state, uint64_t skipped, void *arg);		/* fails */
void note_damage(const struct wal_pos *, enum frame_state, uint64_t skipped, void *arg);	/* counts in an int */

#endif
