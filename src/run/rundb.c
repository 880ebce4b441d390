/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rundb.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/xalloc.h"
#include "run/journals.h"

/*
 * Sorts the records of all journals into tables. There may be very many, so each is only peeked at; of
 * a run's snapshots the newest alone is decoded, at the end. What a reader would get wrong: a row of a pack's index
 * stands for the records of one run, controller and epoch, because which of two records is newer is asked of the
 * epoch first; so rows are added like records, in their order, and nothing need know which it was.
 */
struct run_slot {
	struct run_entry e;
	struct buf	 snapshot;	/* payload of the newest that can be read */
	UT_hash_handle	 hh;
};
struct exec_ref {
	struct digest pkey, run;
	uint64_t      order;		/* of reading, the place of its journal first: the newest has the highest */
	bool	      started;
};
struct rundb {
	struct journals	  journals;	/* of which the packs still answer questions */
	size_t		  place;	/* that is being read */
	bool		  by_rows;	/* an index will do */
	bool		  keeps;	/* records */
	const struct digest *only;	/* NULL, or run */
	struct digest	  run;
	const struct digest *exec;	/* while it is read; NULL: all */
	struct run_slot	 *runs;
	struct run_entry *sorted;	/* array, made at the end: owns the entries from then on */
	size_t		  nsorted;
	struct run_entry **by_id;	/* the same by id; made when it is first asked for */
	struct exec_ref	 *execs;	/* of what was read, not of what is in indexes */
	size_t		  nexecs;
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
	free(db->by_id);
	free(db->execs);
	for (size_t i = 0; i < db->ncontrollers; i++)
		free(db->controllers[i]);
	free(db->controllers);
	journals_close(&db->journals);
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

#define ORDER_BITS 36	/* of the order within a journal */

static void
add_exec(struct rundb *db, const struct digest *pkey, const struct digest *run, uint64_t order, bool started)
{
	db->execs = grow(db->execs, db->nexecs, sizeof *db->execs);
	db->execs[db->nexecs++] = (struct exec_ref){ *pkey, *run, (uint64_t)db->place << ORDER_BITS | order, started };
}

static void
count_exec(struct rundb *db, struct run_entry *e, const struct record_peek *p)
{
	if (!digest_is_zero(&p->pkey))
		add_exec(db, &p->pkey, &e->state.ID, db->nexecs, p->event == XEV_STARTED);
	if (p->event == XEV_STARTED) {
		e->execs_started++;
		e->execs_read++;
	} else if (p->event == XEV_HIT)
		e->hits++;
	else if (p->event == XEV_ENDED)
		e->execs_ended++;
	if (p->failed)
		e->execs_failed++;
}

/* The newest epoch decides whose the run is, and what it is. snapshot NULL: it has none. */
static void
take_newest(struct run_slot *r, const char *controller, uint64_t epoch, const char *snapshot, size_t len)
{
	struct run_entry *e = &r->e;

	e->epoch = epoch;
	if (e->controller == NULL || strcmp(e->controller, controller) != 0) {
		free(e->controller);
		e->controller = xstrdup(controller);
	}
	if (snapshot != NULL) {
		buf_clear(&r->snapshot);
		buf_add(&r->snapshot, snapshot, len);
	}
}

static void
take_times(struct run_entry *e, uint64_t n, int64_t time)
{
	if (n > e->n)
		e->n = n;
	if (time > e->last_time)
		e->last_time = time;
}

/* What one journal in a pack has of one run. */
static void
rundb_row(struct rundb *db, const struct pack *p, const struct pack_row *row)
{
	struct run_slot *r = slot_of(db, &row->run);
	struct run_entry *e = &r->e;

	if (row->epoch >= e->epoch) {
		take_newest(r, p->sections[row->section].controller, row->epoch,
		    row->flags & PACK_ROW_SNAPSHOT ? p->text + row->snapshot : NULL, row->snapshot_len);
		e->live = false;
		e->interrupted = row->flags & PACK_ROW_INTERRUPTED;
	}
	take_times(e, row->n, row->last_time);
	e->execs_started += row->started;
	e->execs_ended += row->ended;
	e->execs_failed += row->failed;
	e->hits += row->hits;
	e->packed_execs += row->execs;
	e->packed_rows += row->execs > 0;
}

static void
rundb_item(const struct journal_item *item, void *arg)
{
	const struct record_head *h = &item->peek->head;
	struct rundb *db = arg;
	struct run_slot *r;

	if (digest_is_zero(&h->run) || (db->only != NULL && !digest_equal(&h->run, db->only)))
		return;
	if (db->exec != NULL && !(item->peek->is_exec && digest_equal(&item->peek->pkey, db->exec)))
		return;
	r = slot_of(db, &h->run);
	if (h->epoch >= r->e.epoch) {
		take_newest(r, item->controller, h->epoch, item->peek->is_state ? item->payload : NULL, item->len);
		r->e.live = item->live;
		r->e.interrupted = h->kind == REC_NOTE;
	}
	take_times(&r->e, h->n, h->time);
	if (item->peek->is_exec)
		count_exec(db, &r->e, item->peek);
	if (db->keeps)
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

	db->by_rows = what == RUNDB_STATES;
	db->keeps = what == RUNDB_RECORDS;
	if (only != NULL) {
		db->run = *only;
		db->only = &db->run;
	}
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

static bool
has_run(const struct pack *p, const struct pack_section *s, const struct digest *run)
{
	for (uint32_t i = s->row; i < s->row + s->nrows; i++)
		if (digest_equal(&p->rows[i].run, run))
			return true;
	return false;
}

/* From the index alone, when that will do. */
static bool
read_index(struct rundb *db, const struct journal_place *place)
{
	const struct pack *p = place->pack;
	const struct pack_section *s;

	if (p == NULL)
		return false;
	s = &p->sections[place->section];
	if (db->only != NULL && !has_run(p, s, db->only))
		return true;
	if (!db->by_rows)
		return false;
	for (uint32_t i = s->row; i < s->row + s->nrows; i++)
		if (db->only == NULL || digest_equal(&p->rows[i].run, db->only))
			rundb_row(db, p, &p->rows[i]);
	return true;
}

/* Opens the next journal that has to be read; reader NULL: there is none. */
static struct err *
next_journal(struct rundb *db, size_t *next, wal_damage_cb *damage, void *arg, struct journal_reader **reader)
{
	*reader = NULL;
	while (*next < db->journals.n) {
		db->place = (*next)++;
		if (!read_index(db, &db->journals.places[db->place]))
			return journal_reader_open(&db->journals, &db->journals.places[db->place], damage, arg, reader);
	}
	return NULL;
}

static struct err *
read_journal(struct rundb *db, struct journal_reader *r)	/* takes r */
{
	const struct journal_item *item;
	struct err *err;

	while ((err = journal_reader_next(r, &item)) == NULL && item != NULL)
		rundb_item(item, db);
	journal_reader_close(r);
	return err;
}

static struct err *
read_all(struct rundb *db, wal_damage_cb *damage, void *arg)
{
	struct journal_reader *r;
	size_t next = 0;
	struct err *err;

	while ((err = next_journal(db, &next, damage, arg, &r)) == NULL && r != NULL) {
		err = read_journal(db, r);
		if (err != NULL)
			break;
	}
	return err;
}

struct err *
rundb_open(const struct root *root, enum rundb_what what, const struct digest *only, wal_damage_cb *damage, void *arg,
    struct rundb **out)
{
	struct rundb *db = rundb_new(what, only);
	struct err *err = journals_open(root, &db->journals);

	if (err == NULL)
		err = read_all(db, damage, arg);
	return rundb_read(db, err, out);
}

struct err *
rundb_open_one(const struct root *root, const char *controller, const struct digest *run, struct rundb **out)
{
	struct rundb *db = rundb_new(RUNDB_RECORDS, run);

	return rundb_read(db, journals_one(root, controller, rundb_item, db), out);
}

/* One exec. */

static int
cmp_block(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Where a section has records of the exec: entries of its rows, which may share blocks. Moves k past them. */
static size_t
blocks_of(const struct rundb *db, const struct pack *p, uint32_t *k, uint32_t *blocks)
{
	uint32_t section = p->rows[p->execs[*k].row].section;
	size_t n = 0, once = 0;

	for (; *k < p->nexecs && digest_equal(&p->execs[*k].key, db->exec); ++*k) {
		const struct pack_row *row = &p->rows[p->execs[*k].row];

		if (row->section != section)
			break;
		if (digest_equal(&row->run, db->only))
			blocks[n++] = p->execs[*k].block;
	}
	if (n > 0)
		qsort(blocks, n, sizeof *blocks, cmp_block);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || blocks[i] != blocks[once - 1])
			blocks[once++] = blocks[i];
	return once;
}

static struct err *
read_packed_exec(struct rundb *db, const struct pack *p, const size_t *place_of, wal_damage_cb *damage, void *arg)
{
	uint32_t k = pack_exec_at(p, db->exec), n = k, *blocks;
	struct err *err = NULL;

	while (n < p->nexecs && digest_equal(&p->execs[n].key, db->exec))
		n++;
	blocks = xcalloc(n - k + 1, sizeof *blocks);
	while (err == NULL && k < n) {
		uint32_t section = p->rows[p->execs[k].row].section;
		size_t nblocks = blocks_of(db, p, &k, blocks);

		if (nblocks > 0 && place_of[section] != SIZE_MAX)
			err = read_journal(db, journal_reader_blocks(p, blocks, nblocks, damage, arg));
	}
	free(blocks);
	return err;
}

/* A journal that goes into a pack meanwhile is followed there by its reader. */
static struct err *
read_plain(struct rundb *db, const struct journals *j)
{
	struct journal_reader *r;
	struct err *err = NULL;

	for (size_t i = 0; err == NULL && i < j->n; i++) {
		if (j->places[i].pack != NULL)
			continue;
		err = journal_reader_open(j, &j->places[i], NULL, NULL, &r);
		if (err == NULL)
			err = read_journal(db, r);
	}
	return err;
}

struct err *
rundb_open_exec(const struct rundb *from, const struct digest *run, const struct digest *key, wal_damage_cb *damage,
    void *arg, struct rundb **out)
{
	struct rundb *db = rundb_new(RUNDB_RECORDS, run);
	const struct journals *j = &from->journals;
	struct err *err;

	db->exec = key;
	err = read_plain(db, j);
	for (size_t i = 0; err == NULL && i < j->npacks; i++)
		err = read_packed_exec(db, j->packs[i], j->of_section[i], damage, arg);
	db->exec = NULL;
	return rundb_read(db, err, out);
}

/* In pieces. */

struct rundb_reading {
	struct rundb	  *db;
	struct digest	   run;
	const struct root *root;	/* until the journals are opened, then NULL */
	struct journal_reader *r;
	size_t		   next;
	uint64_t	   epoch, seq;	/* of the newest record handed out */
	bool		   disordered;
	rundb_record_cb	  *record;
	void		  *arg;
};

struct rundb_reading *
rundb_begin(const struct root *root, const struct digest *run, rundb_record_cb *record, void *arg)
{
	struct rundb_reading *g = xcalloc(1, sizeof *g);

	g->run = *run;
	g->root = root;
	g->db = rundb_new(RUNDB_STATES, run);
	g->db->by_rows = false;
	g->record = record;
	g->arg = arg;
	return g;
}

static void
hand_out(struct rundb_reading *g, const struct journal_item *item)
{
	const struct record_head *h = &item->peek->head;

	rundb_item(item, g->db);
	if (!digest_equal(&h->run, &g->run))
		return;
	if (h->epoch < g->epoch || (h->epoch == g->epoch && h->seq < g->seq))
		g->disordered = true;
	g->epoch = h->epoch;
	g->seq = h->seq;
	g->record(item, g->arg);
}

struct err *
rundb_read_some(struct rundb_reading *g, size_t bytes, bool *more)
{
	const struct journal_item *item;
	struct err *err = NULL;
	size_t done = 0;

	if (g->root != NULL) {
		err = journals_open(g->root, &g->db->journals);
		g->root = NULL;
	}
	while (err == NULL && done < bytes) {
		if (g->r == NULL)
			err = next_journal(g->db, &g->next, NULL, NULL, &g->r);
		if (err != NULL || g->r == NULL)
			break;
		err = journal_reader_next(g->r, &item);
		if (err == NULL && item != NULL) {
			done += item->len;
			hand_out(g, item);
			continue;
		}
		journal_reader_close(g->r);
		g->r = NULL;
	}
	*more = err == NULL && done >= bytes;
	return err;
}

struct rundb *
rundb_end(struct rundb_reading *g, bool *disordered)
{
	struct rundb *db = g->db;

	*disordered = g->disordered;
	sort_runs(db);
	free(g);
	return db;
}

void
rundb_abandon(struct rundb_reading *g)
{
	if (g == NULL)
		return;
	journal_reader_close(g->r);
	rundb_free(g->db);
	free(g);
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

static int
cmp_id(const void *a, const void *b)
{
	return digest_cmp(&(*(struct run_entry *const *)a)->state.ID, &(*(struct run_entry *const *)b)->state.ID);
}

static struct run_entry *
entry_of(struct rundb *db, const struct digest *run)
{
	struct run_entry key = { .state.ID = *run }, *wanted = &key, **found;

	if (db->nsorted == 0)
		return NULL;
	if (db->by_id == NULL) {
		db->by_id = xcalloc(db->nsorted, sizeof *db->by_id);
		for (size_t i = 0; i < db->nsorted; i++)
			db->by_id[i] = &db->sorted[i];
		qsort(db->by_id, db->nsorted, sizeof *db->by_id, cmp_id);
	}
	found = bsearch(&wanted, db->by_id, db->nsorted, sizeof *db->by_id, cmp_id);
	return found == NULL ? NULL : *found;
}

struct run_entry *
rundb_run(struct rundb *db, const struct digest *run)
{
	return entry_of(db, run);
}

/* In how many places a run has started execs decides who counts: the one row itself, or the keys of all. */
static bool
counted_by_row(const struct run_entry *e)
{
	return e->packed_rows == 1 && e->packed_execs > 0 && e->execs_read == 0;
}

/* The keys that packs have of runs that lie in several places. */
static void
add_packed(struct rundb *db)
{
	for (size_t i = 0; i < db->journals.npacks; i++) {
		const struct pack *p = db->journals.packs[i];
		bool *wanted = xcalloc(p->nrows + 1, sizeof *wanted), any = false;

		for (uint32_t k = 0; k < p->nrows; k++) {
			const struct run_entry *e = p->rows[k].execs == 0 ||
			    db->journals.of_section[i][p->rows[k].section] == SIZE_MAX ? NULL :
			    entry_of(db, &p->rows[k].run);

			wanted[k] = e != NULL && !counted_by_row(e);
			any = any || wanted[k];
		}
		for (uint32_t k = 0; any && k < p->nexecs; k++) {
			const struct pack_row *row = &p->rows[p->execs[k].row];

			if (!wanted[p->execs[k].row] || !(p->execs[k].flags & PACK_EXEC_STARTED))
				continue;
			db->place = db->journals.of_section[i][row->section];
			add_exec(db, &p->execs[k].key, &row->run, p->execs[k].order, true);
		}
		free(wanted);
	}
}

void
rundb_count_execs(struct rundb *db)
{
	struct run_entry *e = NULL;

	if (db->by_rows)
		add_packed(db);
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
	for (size_t i = 0; i < db->nsorted; i++)
		if (counted_by_row(&db->sorted[i]))
			db->sorted[i].execs = db->sorted[i].packed_execs;
}

static bool
between(const struct digest *key, const struct digest *from, const struct digest *to)
{
	return digest_cmp(key, from) >= 0 && digest_cmp(key, to) <= 0;
}

static void
find_packed(const struct rundb *db, const struct digest *from, const struct digest *to, struct rundb *found)
{
	for (size_t i = 0; i < db->journals.npacks; i++) {
		const struct pack *p = db->journals.packs[i];

		for (uint32_t k = pack_exec_at(p, from); k < p->nexecs && digest_cmp(&p->execs[k].key, to) <= 0; k++) {
			const struct pack_row *row = &p->rows[p->execs[k].row];

			found->place = db->journals.of_section[i][row->section];
			if (found->place != SIZE_MAX && (db->only == NULL || digest_equal(&row->run, db->only)))
				add_exec(found, &p->execs[k].key, &row->run, p->execs[k].order, false);
		}
	}
}

/* Each key once, with the newest run. */
void
rundb_each_exec(struct rundb *db, const struct digest *from, const struct digest *to, rundb_exec_cb *cb, void *arg)
{
	struct rundb found = { .place = 0 };	/* for its table of execs */

	if (db->by_rows)
		find_packed(db, from, to, &found);
	for (size_t i = 0; i < db->nexecs; i++) {
		if (!between(&db->execs[i].pkey, from, to))
			continue;
		found.execs = grow(found.execs, found.nexecs, sizeof *found.execs);
		found.execs[found.nexecs++] = db->execs[i];
	}
	if (found.nexecs > 0)
		qsort(found.execs, found.nexecs, sizeof *found.execs, cmp_exec);
	for (size_t i = 0; i < found.nexecs; i++)
		if (i == 0 || !digest_equal(&found.execs[i - 1].pkey, &found.execs[i].pkey))
			cb(&found.execs[i].pkey, &found.execs[i].run, arg);
	free(found.execs);
}
