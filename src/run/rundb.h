/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_RUNDB_H
#define WEIR_RUN_RUNDB_H

#include "base/wal.h"
#include "run/journals.h"
#include "run/record.h"
#include "store/root.h"

/*
 * What the journals of a root say, read without a loop and without locks: runs with their newest
 * State, and every record of one run in order. What is in packs is taken from their indexes, as far as that goes.
 */
struct run_record {			/* one record of one run */
	struct record_head head;
	char	*payload;		/* owned */
	size_t	 len;
	const char *controller;		/* kept by the rundb */
};
struct run_entry {
	struct run_state state;		/* newest snapshot */
	uint64_t epoch, n;		/* newest seen */
	char	*controller;		/* of the newest epoch; owned */
	bool	 live;			/* that controller still holds its journal */
	bool	 interrupted;		/* the last record is a note of an interrupt */
	int64_t	 last_time;		/* of the newest record */
	uint64_t execs_started, execs_ended, execs_failed, hits;	/* records */
	uint64_t execs;			/* see rundb_count_execs */
	uint64_t execs_read, packed_execs;	/* for that: starts that were read; keys as the rows of packs count them, */
	uint32_t packed_rows;			/* and how many rows did */
	struct run_record *records;	/* in (epoch, seq) order, when the rundb was opened with them */
	size_t	 nrecords;
};
struct rundb;
enum rundb_what { RUNDB_STATES, RUNDB_RECORDS };
/* only: read only this run (NULL: all). Damage is reported through damage (may be NULL) and passed over. */
must_check struct err *rundb_open(const struct root *, enum rundb_what, const struct digest *only,
    wal_damage_cb *damage, void *arg, struct rundb **);

/*
 * The same of one run in pieces, for who must not be away for long; each record is handed out as it is read and
 * not kept. record gets them in the order of the journals' names; disordered says afterwards that this was not
 * their own order, so that whoever needs that has to open the run with its records.
 */
typedef void rundb_record_cb(const struct journal_item *, void *arg);
struct rundb_reading;
struct rundb_reading *rundb_begin(const struct root *, const struct digest *run, rundb_record_cb *, void *arg);
/* About so many bytes of records. more: there is more to read. */
must_check struct err *rundb_read_some(struct rundb_reading *, size_t bytes, bool *more);
/* Gives what was read, when there is no more. */
struct rundb *rundb_end(struct rundb_reading *, bool *disordered);	/* takes */
void rundb_abandon(struct rundb_reading *);	/* NULL is fine */

/* The records of one run in one journal, without all the others. */
must_check struct err *rundb_open_one(const struct root *, const char *controller, const struct digest *run,
    struct rundb **);
/*
 * The records that name one exec, of one run of an open database: from packs, only the blocks in which the index has
 * some. Their damage is reported; that of journals was when the database was opened.
 */
must_check struct err *rundb_open_exec(const struct rundb *, const struct digest *run, const struct digest *key,
    wal_damage_cb *damage, void *arg, struct rundb **);
void rundb_free(struct rundb *);
struct run_entry *rundb_runs(struct rundb *, size_t *n);	/* borrowed, oldest first */

struct run_entry *rundb_run(struct rundb *, const struct digest *run);	/* borrowed, or NULL */

/* Once: fills in execs of all runs: what was started, each key once, however often a resume or more memory started it again. */
void rundb_count_execs(struct rundb *);
/* Each exec that a record names and whose key lies between two, with the newest run that has it. */
typedef void rundb_exec_cb(const struct digest *pkey, const struct digest *run, void *arg);
void rundb_each_exec(struct rundb *, const struct digest *from, const struct digest *to, rundb_exec_cb *, void *arg);

#endif
