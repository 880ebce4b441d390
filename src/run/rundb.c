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

/* Ids. */

struct candidates {
	struct id  first;
	size_t	   n;
	struct buf text;	/* the first few, for the message */
};
#define CANDIDATES_SHOWN 5

static void
add_candidate(struct candidates *c, enum id_kind kind, const struct digest *d, const struct digest *run)
{
	static const char *const prefix[] = { "run", "exec", "obj" };
	char hex[DIGEST_HEX + 1];

	if (c->n == 0) {
		c->first.kind = kind;
		c->first.digest = *d;
		c->first.run = run != NULL ? *run : (struct digest){ { 0 } };
	}
	if (c->n++ >= CANDIDATES_SHOWN)
		return;
	digest_hex(d, hex);
	buf_addf(&c->text, "%s%s:%.16s", c->text.len > 0 ? ", " : "", prefix[kind], hex);
}

static bool
has_prefix(const struct digest *d, const char *hex, size_t n)
{
	char full[DIGEST_HEX + 1];

	digest_hex(d, full);
	return strncmp(full, hex, n) == 0;
}

static void
find_objects(const struct root *root, const char *hex, size_t n, struct candidates *c)
{
	for (int i = 0; i < 256; i++) {
		char hh[3], text[DIGEST_HEX + 1], *dir;
		struct dirent *e;
		struct digest d;
		DIR *dp;

		snprintf(hh, sizeof hh, "%02x", (unsigned)i);
		if (strncmp(hh, hex, n < 2 ? n : 2) != 0)
			continue;
		dir = xasprintf("%s/%s", root->objects, hh);
		dp = opendir(dir);
		free(dir);
		while (dp != NULL && (e = readdir(dp)) != NULL) {
			if (strlen(e->d_name) != DIGEST_HEX - 2 || (n > 2 && strncmp(e->d_name, hex + 2, n - 2) != 0))
				continue;
			snprintf(text, sizeof text, "%s%.62s", hh, e->d_name);
			struct err *err = digest_parse(text, DIGEST_HEX, &d);
			if (err == NULL)
				add_candidate(c, ID_OBJ, &d, NULL);
			err_free(err);
		}
		if (dp != NULL)
			closedir(dp);
	}
}

static struct err *
resolve_last(struct rundb *db, struct id *out)
{
	if (db->nsorted == 0)
		return err_msg(ERR_NOT_EXIST, "last: there is no run in this root yet; start one with `weir run PROGRAM.rf`");
	out->kind = ID_RUN;
	out->digest = out->run = db->sorted[db->nsorted - 1].state.ID;
	return NULL;
}

/* Which kinds a prefix such as `run:` admits, as a bit set; moves text past it. */
static unsigned
id_kinds(const char **text)
{
	static const struct { const char *prefix; unsigned kinds; } table[] = {
		{ "run:", 1u << ID_RUN }, { "exec:", 1u << ID_EXEC }, { "obj:", 1u << ID_OBJ }, { "sha256:", 7 },
	};

	for (size_t i = 0; i < nitems(table); i++) {
		size_t n = strlen(table[i].prefix);

		if (strncmp(*text, table[i].prefix, n) == 0) {
			*text += n;
			return table[i].kinds;
		}
	}
	return 7;
}

struct err *
id_resolve(struct rundb *db, const struct root *root, const char *text, struct id *out)
{
	struct candidates c = { .n = 0 };
	const char *hex = text;
	struct err *err = NULL;
	unsigned kinds;
	size_t n;

	if (strcmp(text, "last") == 0)
		return resolve_last(db, out);
	kinds = id_kinds(&hex);
	n = strlen(hex);
	if (n == 0 || n > DIGEST_HEX || strspn(hex, "0123456789abcdef") != n)
		return err_msg(ERR_INVALID, "%s: not an id: write run:HEX, exec:HEX, obj:HEX, the first digits of one, or last", text);
	for (size_t i = 0; (kinds & 1u << ID_RUN) && i < db->nsorted; i++) {
		if (has_prefix(&db->sorted[i].state.ID, hex, n))
			add_candidate(&c, ID_RUN, &db->sorted[i].state.ID, &db->sorted[i].state.ID);
	}
	if (kinds & 1u << ID_EXEC) {
		for (struct exec_slot *x = db->execs; x != NULL; x = x->hh.next) {
			if (has_prefix(&x->pkey, hex, n))
				add_candidate(&c, ID_EXEC, &x->pkey, &x->run);
		}
	}
	if (kinds & 1u << ID_OBJ)
		find_objects(root, hex, n, &c);
	if (c.n == 0)
		err = err_msg(ERR_NOT_EXIST, "%s: no run, exec or object has this id; `weir ps -a` lists the runs", text);
	else if (c.n > 1)
		err = err_msg(ERR_INVALID, "%s: ambiguous, could be %s%s; give more digits", text, buf_str(&c.text),
		    c.n > CANDIDATES_SHOWN ? ", …" : "");
	else
		*out = c.first;
	buf_release(&c.text);
	return err;
}

/* What a run knows. */

struct known_exec {
	struct digest	   pkey;
	struct exec_result result;
	bool		   has_result;
	bool		   components;
	UT_hash_handle	   hh;
};
struct known_intern {
	char		  *url;
	struct exec_result result;
	UT_hash_handle	   hh;
};
struct run_knowledge {
	struct digest	     run;
	struct known_exec   *execs;
	struct known_intern *interns;
	struct resources     total;
};

static struct known_exec *
known_exec_of(struct run_knowledge *k, const struct digest *pkey)
{
	struct known_exec *x;

	HASH_FIND(hh, k->execs, pkey, sizeof *pkey, x);
	if (x == NULL) {
		x = xcalloc(1, sizeof *x);
		x->pkey = *pkey;
		HASH_ADD(hh, k->execs, pkey, sizeof *pkey, x);
	}
	return x;
}

/* An attempt is charged once, to the run that started it. */
static void
charge(struct run_knowledge *k, const struct exec_result *r)
{
	struct resources part = RESOURCES_INIT;

	if (!digest_equal(&r->owner, &k->run))
		return;
	resources_copy(&part, &r->usage.admitted);
	resources_scale(&part, (double)r->usage.wall_ns / 60e9);
	resources_add(&k->total, &part);
	resources_release(&part);
}

static void
learn_intern(struct run_knowledge *k, const char *url, size_t n, const struct exec_result *r)
{
	struct known_intern *x;

	if (r->state != ATTEMPT_OK)
		return;
	HASH_FIND(hh, k->interns, url, n, x);
	if (x == NULL) {
		x = xcalloc(1, sizeof *x);
		x->url = xstrndup(url, n);
		HASH_ADD_KEYPTR(hh, k->interns, x->url, n, x);
	} else {
		exec_result_release(&x->result);
	}
	exec_result_copy(&x->result, r);
}

static void
learn_ended(struct run_knowledge *k, const struct digest *pkey, const struct exec_result *r)
{
	struct known_exec *x = known_exec_of(k, pkey);

	if (!x->has_result || x->result.attempt != r->attempt)
		charge(k, r);
	if (x->has_result)
		exec_result_release(&x->result);
	exec_result_copy(&x->result, r);
	x->has_result = true;
}

void
run_knowledge_learn(struct run_knowledge *k, const struct eval_event *ev)
{
	if (ev->kind == EV_INTERN)
		learn_intern(k, ev->node->u.intern.url, strlen(ev->node->u.intern.url), ev->result);
	else if (ev->kind == EV_ENDED && ev->node->has_pkey)
		learn_ended(k, &ev->node->pkey, ev->result);
	else if (ev->kind == EV_STARTED && ev->components != NULL)
		known_exec_of(k, &ev->node->pkey)->components = true;
}

static void
learn_record(struct run_knowledge *k, const struct exec_record *r)
{
	if (r->event == XEV_INTERN && r->url != NULL && r->has_result)
		learn_intern(k, r->url, r->url_len, &r->result);
	else if (r->event == XEV_ENDED && r->has_result && !digest_is_zero(&r->pkey))
		learn_ended(k, &r->pkey, &r->result);
	else if (r->event == XEV_STARTED && r->components.n > 0)
		known_exec_of(k, &r->pkey)->components = true;
}

static void
forget_interns(struct run_knowledge *k)
{
	struct known_intern *i, *it;

	HASH_ITER(hh, k->interns, i, it) {
		HASH_DEL(k->interns, i);
		exec_result_release(&i->result);
		free(i->url);
		free(i);
	}
}

static struct err *
read_record(struct run_knowledge *k, const struct run_record *rec, uint32_t *resets)
{
	struct mpk_doc doc;
	struct exec_record r;
	struct run_state s;
	struct err *err = mpk_parse(&doc, rec->payload, rec->len);

	if (err != NULL)
		return err;
	if (rec->head.kind == REC_EXEC) {
		err = record_as_exec(mpk_root(&doc), &r);
		if (err == NULL) {
			learn_record(k, &r);
			exec_record_release(&r);
		}
	} else if (rec->head.kind == REC_SNAPSHOT) {
		err = record_as_state(mpk_root(&doc), &s);
		if (err == NULL) {
			if (s.Resets > *resets)		/* a reset run looks at its inputs again */
				forget_interns(k);
			*resets = s.Resets;
			state_release(&s);
		}
	}
	mpk_doc_release(&doc);
	return err;
}

struct run_knowledge *
run_knowledge_new(const struct digest *run, const struct run_record *records, size_t n)
{
	struct run_knowledge *k = xcalloc(1, sizeof *k);
	uint32_t resets = 0;

	k->run = *run;
	for (size_t i = 0; i < n; i++)
		err_free(read_record(k, &records[i], &resets));	/* of a newer schema: not understood, so not known */
	return k;
}

void
run_knowledge_free(struct run_knowledge *k)
{
	struct known_exec *x, *xt;

	if (k == NULL)
		return;
	HASH_ITER(hh, k->execs, x, xt) {
		HASH_DEL(k->execs, x);
		if (x->has_result)
			exec_result_release(&x->result);
		free(x);
	}
	forget_interns(k);
	resources_release(&k->total);
	free(k);
}

/*
 * Only successes are known for good. A failure belongs to its try: the executor's claim rules decide,
 * so a failed exec is put again and attaches, or runs anew in a later try.
 */
const struct exec_result *
run_knowledge_exec(const struct run_knowledge *k, const struct digest *pkey)
{
	struct known_exec *x;

	HASH_FIND(hh, k->execs, pkey, sizeof *pkey, x);
	return x != NULL && x->has_result && x->result.state == ATTEMPT_OK ? &x->result : NULL;
}

const struct exec_result *
run_knowledge_intern(const struct run_knowledge *k, const char *url)
{
	struct known_intern *x;

	HASH_FIND(hh, k->interns, url, strlen(url), x);
	return x != NULL ? &x->result : NULL;
}

void
run_knowledge_total(const struct run_knowledge *k, struct resources *out)
{
	resources_copy(out, &k->total);
}

bool
run_knowledge_has_components(const struct run_knowledge *k, const struct digest *pkey)
{
	struct known_exec *x;

	HASH_FIND(hh, k->execs, pkey, sizeof *pkey, x);
	return x != NULL && x->components;
}
