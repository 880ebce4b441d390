/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rundb.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/wal.h"
#include "base/xalloc.h"

/*
 * Reads journals into tables. A controller's folder is read in the order of its segments; a seq that
 * was seen is dropped, because a journal process that died had its last records sent again. What a
 * reader would get wrong: a torn tail in a folder whose lock is held is a record being written.
 */
struct run_slot {
	struct run_entry e;
	UT_hash_handle	 hh;
};
struct exec_slot {
	struct digest  pkey, run;	/* run: the newest that has it */
	UT_hash_handle hh;
};
struct rundb {
	enum rundb_what	  what;
	const struct digest *only;
	struct run_slot	 *runs;
	struct exec_slot *execs;
	struct run_entry *sorted;	/* array, made at the end: owns the entries from then on */
	size_t		  nsorted;
	char		**controllers;
	size_t		  ncontrollers;
	/* while one folder is read */
	const char	 *controller;
	bool		  live;
	uint64_t	  last_seq;
	wal_damage_cb	 *damage;
	void		 *damage_arg;
};

static void
entry_release(struct run_entry *e)
{
	state_release(&e->state);
	free(e->controller);
	for (size_t i = 0; i < e->nrecords; i++)
		free(e->records[i].payload);
	free(e->records);
}

void
rundb_free(struct rundb *db)
{
	struct run_slot *r, *rt;
	struct exec_slot *x, *xt;

	if (db == NULL)
		return;
	HASH_ITER(hh, db->runs, r, rt) {
		HASH_DEL(db->runs, r);
		if (db->sorted == NULL)
			entry_release(&r->e);
		free(r);
	}
	HASH_ITER(hh, db->execs, x, xt) {
		HASH_DEL(db->execs, x);
		free(x);
	}
	for (size_t i = 0; i < db->nsorted; i++)
		entry_release(&db->sorted[i]);
	free(db->sorted);
	for (size_t i = 0; i < db->ncontrollers; i++)
		free(db->controllers[i]);
	free(db->controllers);
	free(db);
}

static struct run_entry *
entry_of(struct rundb *db, const struct digest *run)
{
	struct run_slot *r;

	HASH_FIND(hh, db->runs, run, sizeof *run, r);
	if (r == NULL) {
		r = xcalloc(1, sizeof *r);
		state_init(&r->e.state);
		r->e.state.ID = *run;
		HASH_ADD(hh, db->runs, e.state.ID, sizeof *run, r);
	}
	return &r->e;
}

static void
note_exec_key(struct rundb *db, const struct digest *pkey, const struct digest *run)
{
	struct exec_slot *x;

	if (digest_is_zero(pkey))
		return;
	HASH_FIND(hh, db->execs, pkey, sizeof *pkey, x);
	if (x == NULL) {
		x = xcalloc(1, sizeof *x);
		x->pkey = *pkey;
		HASH_ADD(hh, db->execs, pkey, sizeof *pkey, x);
	}
	x->run = *run;
}

static void
keep_record(struct rundb *db, struct run_entry *e, const struct record_head *h, const char *payload, size_t len)
{
	struct run_record *r;

	if ((e->nrecords & (e->nrecords - 1)) == 0)	/* grows at each power of two */
		e->records = xreallocarray(e->records, e->nrecords == 0 ? 1 : e->nrecords * 2, sizeof *e->records);
	r = &e->records[e->nrecords++];
	r->head = *h;
	r->payload = xmemdup(payload, len);
	r->len = len;
	r->controller = db->controller;
}

static void
count_exec(struct rundb *db, struct run_entry *e, const msgpack_object *o)
{
	struct exec_record r;
	struct err *err = record_as_exec(o, &r);

	if (err != NULL) {	/* of a newer schema: kept in the records, not counted */
		err_free(err);
		return;
	}
	note_exec_key(db, &r.pkey, &e->state.ID);
	if (r.event == XEV_STARTED)
		e->execs_started++;
	else if (r.event == XEV_HIT)
		e->hits++;
	else if (r.event == XEV_ENDED)
		e->execs_ended++;
	if (r.event == XEV_ENDED && r.has_result && r.result.state != ATTEMPT_OK)
		e->execs_failed++;
	exec_record_release(&r);
}

static void
take_snapshot(struct run_entry *e, const msgpack_object *o)
{
	struct run_state s;
	struct err *err = record_as_state(o, &s);

	if (err != NULL) {
		err_free(err);
		return;
	}
	state_release(&e->state);
	e->state = s;
}

static struct err *
rundb_record(const struct wal_pos *pos unused_arg, const char *payload, size_t len, void *arg)
{
	struct rundb *db = arg;
	struct mpk_doc doc;
	struct record_head h;
	struct run_entry *e;
	struct err *err;

	err = mpk_parse(&doc, payload, len);
	if (err != NULL) {
		err_free(err);
		return NULL;
	}
	err = record_head(mpk_root(&doc), &h);
	/* A header has the seq of the record after it, and is no part of the sequence. */
	if (err != NULL || h.kind == REC_HEADER || h.seq <= db->last_seq) {
		err_free(err);
		goto out;
	}
	db->last_seq = h.seq;
	if (digest_is_zero(&h.run) || (db->only != NULL && !digest_equal(&h.run, db->only)))
		goto out;
	e = entry_of(db, &h.run);
	if (h.epoch >= e->epoch) {
		e->epoch = h.epoch;
		if (e->controller == NULL || strcmp(e->controller, db->controller) != 0) {
			free(e->controller);
			e->controller = xstrdup(db->controller);
		}
		e->live = db->live;
		if (h.kind == REC_SNAPSHOT)
			take_snapshot(e, mpk_root(&doc));
		e->interrupted = h.kind == REC_NOTE;
	}
	if (h.n > e->n)
		e->n = h.n;
	if (h.time > e->last_time)
		e->last_time = h.time;
	if (h.kind == REC_EXEC)
		count_exec(db, e, mpk_root(&doc));
	if (db->what == RUNDB_RECORDS)
		keep_record(db, e, &h, payload, len);
out:
	mpk_doc_release(&doc);
	return NULL;
}

static void
rundb_damage(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	struct rundb *db = arg;

	if (state == FRAME_TORN && db->live)
		return;
	if (db->damage != NULL)
		db->damage(pos, state, skipped, db->damage_arg);
}

static int
cmp_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct err *
list_controllers(const char *dir, char ***names, size_t *n)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	*names = NULL;
	*n = 0;
	if (d == NULL)
		return errno == ENOENT ? NULL : err_errno(errno, "open", "%s", dir);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		*names = xreallocarray(*names, *n + 1, sizeof **names);
		(*names)[(*n)++] = xstrdup(e->d_name);
	}
	closedir(d);
	if (*n > 0)
		qsort(*names, *n, sizeof **names, cmp_name);
	return NULL;
}

static int
cmp_record(const void *a, const void *b)
{
	const struct record_head *x = &((const struct run_record *)a)->head, *y = &((const struct run_record *)b)->head;

	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int
cmp_entry(const void *a, const void *b)
{
	const struct run_entry *x = a, *y = b;

	if (x->state.Created != y->state.Created)
		return x->state.Created < y->state.Created ? -1 : 1;
	return digest_cmp(&x->state.ID, &y->state.ID);
}

static void
sort_runs(struct rundb *db)
{
	struct run_slot *r, *tmp;

	db->sorted = xcalloc(HASH_COUNT(db->runs) + 1, sizeof *db->sorted);
	HASH_ITER(hh, db->runs, r, tmp) {
		if (r->e.nrecords > 0)
			qsort(r->e.records, r->e.nrecords, sizeof *r->e.records, cmp_record);
		db->sorted[db->nsorted++] = r->e;
	}
	qsort(db->sorted, db->nsorted, sizeof *db->sorted, cmp_entry);
}

struct err *
rundb_open(const struct root *root, enum rundb_what what, const struct digest *only, wal_damage_cb *damage, void *arg,
    struct rundb **out)
{
	struct rundb *db = xcalloc(1, sizeof *db);
	struct err *err;

	db->what = what;
	db->only = only;
	db->damage = damage;
	db->damage_arg = arg;
	err = list_controllers(root->journal, &db->controllers, &db->ncontrollers);
	for (size_t i = 0; err == NULL && i < db->ncontrollers; i++) {
		char *dir = xasprintf("%s/%s", root->journal, db->controllers[i]);

		db->controller = db->controllers[i];
		db->last_seq = 0;
		db->live = wal_is_live(dir);	/* before reading: what it wrote until it ended is then seen */
		err = wal_scan_dir(dir, rundb_record, rundb_damage, db);
		free(dir);
	}
	if (err != NULL) {
		rundb_free(db);
		return err;
	}
	sort_runs(db);
	*out = db;
	return NULL;
}

struct run_entry *
rundb_runs(struct rundb *db, size_t *n)
{
	*n = db->nsorted;
	return db->sorted;
}

void
rundb_each_exec(const struct rundb *db, rundb_exec_cb *cb, void *arg)
{
	for (const struct exec_slot *x = db->execs; x != NULL; x = x->hh.next)
		cb(&x->pkey, &x->run, arg);
}
