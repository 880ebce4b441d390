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
	uint64_t execs_started, execs_ended, execs_failed, hits;
	struct run_record *records;	/* in (epoch, seq) order, when the rundb was opened with them */
	size_t	 nrecords;
};
struct rundb;
enum rundb_what { RUNDB_STATES, RUNDB_RECORDS };
/* only: read only this run (NULL: all). Damage is reported through damage (may be NULL) and passed over. */
must_check struct err *rundb_open(const struct root *, enum rundb_what, const struct digest *only, wal_damage_cb *damage,
    void *arg, struct rundb **);
void rundb_free(struct rundb *);
struct run_entry *rundb_runs(struct rundb *, size_t *n);	/* borrowed, oldest first */

/* An id as people type it: kinds run, exec, obj, and `last`. */
enum id_kind { ID_RUN, ID_EXEC, ID_OBJ };
struct id {
	enum id_kind  kind;
	struct digest digest;
	struct digest run;		/* exec: a run that it belongs to (the newest) */
};
/*
 * Resolves `run:1a2b`, `exec:…`, `obj:…`, `sha256:…`, a bare prefix that is unique over all kinds, or `last`.
 * NOT_EXIST: unknown; INVALID: ambiguous, naming the candidates, or not an id at all.
 */
must_check struct err *id_resolve(struct rundb *, const struct root *, const char *text, struct id *);

/* What a run knows of its execs: by physical key, the newest of each; and its resolved inputs by URL. */
struct run_knowledge;
struct run_knowledge *run_knowledge_new(const struct digest *run, const struct run_record *, size_t n);	/* copies; records may be NULL */
void run_knowledge_learn(struct run_knowledge *, const struct eval_event *);	/* what happens now, as if it were read back */
void run_knowledge_free(struct run_knowledge *);
const struct exec_result *run_knowledge_exec(const struct run_knowledge *, const struct digest *pkey);	/* ended (ok, or failed in this try) */
const struct exec_result *run_knowledge_intern(const struct run_knowledge *, const char *url);
void run_knowledge_total(const struct run_knowledge *, struct resources *);	/* resources x minutes of its ended attempts */
bool run_knowledge_has_components(const struct run_knowledge *, const struct digest *pkey);

#endif
