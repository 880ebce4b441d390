/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rundb.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/xalloc.h"
#include "run/journals.h"

/*
 * Sorts the records of all journals into tables. There may be very many, so each is only peeked at; of
 * a run's snapshots the newest alone is decoded, at the end.
 */
struct run_slot {
	struct run_entry e;
	struct buf	 snapshot;	/* payload of the newest that can be read */
	UT_hash_handle	 hh;
};
struct exec_ref {
	struct digest pkey, run;
	size_t	      order;		/* of reading: the newest has the highest */
	bool	      started;
};
struct rundb {
	enum rundb_what	  what;
	const struct digest *only;
	struct run_slot	 *runs;
	struct run_entry *sorted;	/* array, made at the end: owns the entries from then on */
	size_t		  nsorted;
	struct exec_ref	 *execs;	/* as they came, then sorted by key, each once */
	size_t		  nexecs;
	bool		  execs_sorted;
	char		**controllers;
	size_t		  ncontrollers;
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

static void
slots_release(struct rundb *db, bool entries)
{
	struct run_slot *r, *rt;

	HASH_ITER(hh, db->runs, r, rt) {
		HASH_DEL(db->runs, r);
		if (entries)
			entry_release(&r->e);
		buf_release(&r->snapshot);
		free(r);
	}
}

void
rundb_free(struct rundb *db)
{
	if (db == NULL)
		return;
	slots_release(db, true);
	for (size_t i = 0; i < db->nsorted; i++)
		entry_release(&db->sorted[i]);
	free(db->sorted);
	free(db->execs);
	for (size_t i = 0; i < db->ncontrollers; i++)
		free(db->controllers[i]);
	free(db->controllers);
	free(db);
}

static struct run_slot *
slot_of(struct rundb *db, const struct digest *run)
{
	struct run_slot *r;

	HASH_FIND(hh, db->runs, run, sizeof *run, r);
	if (r == NULL) {
		r = xcalloc(1, sizeof *r);
		state_init(&r->e.state);
		r->e.state.ID = *run;
		HASH_ADD(hh, db->runs, e.state.ID, sizeof *run, r);
	}
	return r;
}

/* Room for one more in an array that grows at each power of two. */
static void *
grow(void *array, size_t n, size_t size)
{
	return (n & (n - 1)) == 0 ? xreallocarray(array, n == 0 ? 1 : n * 2, size) : array;
}

/* The journals come one after the other, so the name is the last one or a new one. */
static const char *
controller_name(struct rundb *db, const char *name)
{
	if (db->ncontrollers == 0 || strcmp(db->controllers[db->ncontrollers - 1], name) != 0) {
		db->controllers = grow(db->controllers, db->ncontrollers, sizeof *db->controllers);
		db->controllers[db->ncontrollers++] = xstrdup(name);
	}
	return db->controllers[db->ncontrollers - 1];
}

static void
keep_record(struct rundb *db, struct run_entry *e, const struct journal_item *item)
{
	struct run_record *r;

	e->records = grow(e->records, e->nrecords, sizeof *e->records);
	r = &e->records[e->nrecords++];
	r->head = item->peek->head;
	r->payload = xmemdup(item->payload, item->len);
	r->len = item->len;
	r->controller = controller_name(db, item->controller);
}

static void
count_exec(struct rundb *db, struct run_entry *e, const struct record_peek *p)
{
	if (!digest_is_zero(&p->pkey)) {
		db->execs = grow(db->execs, db->nexecs, sizeof *db->execs);
		db->execs[db->nexecs] = (struct exec_ref){ p->pkey, e->state.ID, db->nexecs, p->event == XEV_STARTED };
		db->nexecs++;
	}
	if (p->event == XEV_STARTED)
		e->execs_started++;
	else if (p->event == XEV_HIT)
		e->hits++;
	else if (p->event == XEV_ENDED)
		e->execs_ended++;
	if (p->failed)
		e->execs_failed++;
}

/* The newest epoch decides whose the run is, and what it is. */
static void
take_newest(struct run_slot *r, const struct journal_item *item)
{
	struct run_entry *e = &r->e;

	e->epoch = item->peek->head.epoch;
	if (e->controller == NULL || strcmp(e->controller, item->controller) != 0) {
		free(e->controller);
		e->controller = xstrdup(item->controller);
	}
	e->live = item->live;
	if (item->peek->is_state) {
		buf_clear(&r->snapshot);
		buf_add(&r->snapshot, item->payload, item->len);
	}
	e->interrupted = item->peek->head.kind == REC_NOTE;
}

static void
rundb_item(const struct journal_item *item, void *arg)
{
	const struct record_head *h = &item->peek->head;
	struct rundb *db = arg;
	struct run_slot *r;

	if (digest_is_zero(&h->run) || (db->only != NULL && !digest_equal(&h->run, db->only)))
		return;
	r = slot_of(db, &h->run);
	if (h->epoch >= r->e.epoch)
		take_newest(r, item);
	if (h->n > r->e.n)
		r->e.n = h->n;
	if (h->time > r->e.last_time)
		r->e.last_time = h->time;
	if (item->peek->is_exec)
		count_exec(db, &r->e, item->peek);
	if (db->what == RUNDB_RECORDS)
		keep_record(db, &r->e, item);
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
decode_state(struct run_slot *r)
{
	struct mpk_doc doc;
	struct run_state s;
	struct err *err;

	if (r->snapshot.len == 0)
		return;
	err = mpk_parse(&doc, r->snapshot.p, r->snapshot.len);
	if (err == NULL) {
		err = record_as_state(mpk_root(&doc), &s);
		mpk_doc_release(&doc);
	}
	if (err == NULL) {
		state_release(&r->e.state);
		r->e.state = s;
	}
	err_free(err);	/* of a newer schema: the run is there, and nothing is known of it */
}

static void
sort_runs(struct rundb *db)
{
	struct run_slot *r, *tmp;

	db->sorted = xcalloc(HASH_COUNT(db->runs) + 1, sizeof *db->sorted);
	HASH_ITER(hh, db->runs, r, tmp) {
		decode_state(r);
		if (r->e.nrecords > 0)
			qsort(r->e.records, r->e.nrecords, sizeof *r->e.records, cmp_record);
		db->sorted[db->nsorted++] = r->e;
	}
	slots_release(db, false);
	qsort(db->sorted, db->nsorted, sizeof *db->sorted, cmp_entry);
}

static struct rundb *
rundb_new(enum rundb_what what, const struct digest *only)
{
	struct rundb *db = xcalloc(1, sizeof *db);

	db->what = what;
	db->only = only;
	return db;
}

static struct err *
rundb_read(struct rundb *db, struct err *err, struct rundb **out)	/* takes both */
{
	if (err != NULL) {
		rundb_free(db);
		return err;
	}
	sort_runs(db);
	*out = db;
	return NULL;
}

struct err *
rundb_open(const struct root *root, enum rundb_what what, const struct digest *only, wal_damage_cb *damage, void *arg,
    struct rundb **out)
{
	struct rundb *db = rundb_new(what, only);

	return rundb_read(db, journals_each(root, NULL, damage, arg, rundb_item, db), out);
}

struct err *
rundb_open_one(const struct root *root, const char *controller, const struct digest *run, struct rundb **out)
{
	struct rundb *db = rundb_new(RUNDB_RECORDS, run);

	return rundb_read(db, journals_one(root, controller, rundb_item, db), out);
}

struct run_entry *
rundb_runs(struct rundb *db, size_t *n)
{
	*n = db->nsorted;
	return db->sorted;
}

static int
cmp_exec(const void *a, const void *b)
{
	const struct exec_ref *x = a, *y = b;
	int c = digest_cmp(&x->pkey, &y->pkey);

	return c != 0 ? c : x->order > y->order ? -1 : x->order < y->order;
}

static int
cmp_started(const void *a, const void *b)
{
	const struct exec_ref *x = a, *y = b;
	int c = digest_cmp(&x->run, &y->run);

	if (c == 0)
		c = digest_cmp(&x->pkey, &y->pkey);
	return c != 0 ? c : (int)y->started - (int)x->started;
}

static struct run_entry *
entry_of(struct rundb *db, const struct digest *run)
{
	for (size_t i = 0; i < db->nsorted; i++)
		if (digest_equal(&db->sorted[i].state.ID, run))
			return &db->sorted[i];
	return NULL;
}

void
rundb_count_execs(struct rundb *db)
{
	struct run_entry *e = NULL;

	assert(!db->execs_sorted);
	if (db->nexecs > 0)
		qsort(db->execs, db->nexecs, sizeof *db->execs, cmp_started);
	for (size_t i = 0; i < db->nexecs; i++) {
		const struct exec_ref *x = &db->execs[i], *before = i > 0 ? x - 1 : NULL;

		if (before == NULL || !digest_equal(&before->run, &x->run))
			e = entry_of(db, &x->run);
		else if (digest_equal(&before->pkey, &x->pkey))
			continue;
		if (e != NULL && x->started)
			e->execs++;
	}
}

/* Each key once, with the newest run: most who read the journals never ask. */
static void
sort_execs(struct rundb *db)
{
	size_t n = 0;

	if (db->execs_sorted || db->nexecs == 0)
		return;
	qsort(db->execs, db->nexecs, sizeof *db->execs, cmp_exec);
	for (size_t i = 0; i < db->nexecs; i++) {
		if (n == 0 || !digest_equal(&db->execs[n - 1].pkey, &db->execs[i].pkey))
			db->execs[n++] = db->execs[i];
	}
	db->nexecs = n;
	db->execs_sorted = true;
}

void
rundb_each_exec(struct rundb *db, rundb_exec_cb *cb, void *arg)
{
	sort_execs(db);
	for (size_t i = 0; i < db->nexecs; i++)
		cb(&db->execs[i].pkey, &db->execs[i].run, arg);
}
