/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_RUNDB_H
#define WEIR_RUN_RUNDB_H

#include "base/wal.h"
#include "run/record.h"
#include "store/root.h"

/*
 * What the journals of a root say, read without a loop and without locks: runs with their newest
 * State, and every record of one run in order. Nothing is written; indexes can come later.
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
	struct run_record *records;	/* in (epoch, seq) order, when the rundb was opened with them */
	size_t	 nrecords;
};
struct rundb;
enum rundb_what { RUNDB_STATES, RUNDB_RECORDS };
/* only: read only this run (NULL: all). Damage is reported through damage (may be NULL) and passed over. */
must_check struct err *rundb_open(const struct root *, enum rundb_what, const struct digest *only,
    wal_damage_cb *damage, void *arg, struct rundb **);
/* The records of one run in one journal, without all the others. */
must_check struct err *rundb_open_one(const struct root *, const char *controller, const struct digest *run,
    struct rundb **);
void rundb_free(struct rundb *);
struct run_entry *rundb_runs(struct rundb *, size_t *n);	/* borrowed, oldest first */

/* Fills in execs of all runs: what was started, each key once, however often a resume or more memory started it again. */
void rundb_count_execs(struct rundb *);
/* Each exec that a record names, with the newest run that has it. */
typedef void rundb_exec_cb(const struct digest *pkey, const struct digest *run, void *arg);
void rundb_each_exec(struct rundb *, rundb_exec_cb *, void *arg);

#endif
