/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/watch.h"

/*
 * The cache. An entry on its way is in the hands of its assoc until it is acknowledged; the writer knows
 * only a copy. Each front has a number for what it sent, so that an answer that comes twice is harmless.
 */
#define RESTART_DELAY MILLIS(50)

struct db_key {
	uint32_t      kind;
	struct digest digest;
};
struct db_row {
	struct db_key  key;
	char	      *p;
	size_t	       n;
	UT_hash_handle hh;
};
struct db_write {		/* sent, not committed */
	TAILQ_ENTRY(db_write) entry;
	struct sim_assoc *from;
	uint64_t      number;
	struct db_key key;
	char	     *p;
	size_t	      n;
	bool	      batch;	/* in the one that is being committed */
};
struct sim_db {
	struct world  *world;
	struct db_row *rows;
	bool	       up, refuse, refused;
	struct timer   commit, restart;
	uint64_t       ncommits;
	TAILQ_HEAD(, db_write) writes;
	TAILQ_HEAD(, sim_assoc) fronts;
};
struct pending {
	struct op     op;
	TAILQ_ENTRY(pending) entry;
	struct sim_assoc *front;
	uint64_t      number;
	struct db_key key;
	char	     *p;
	size_t	      n;
	bool	      decided;
	struct err   *err;
	assoc_done_cb *cb;
	void	     *arg;
};
struct sim_assoc {
	struct assoc assoc;
	TAILQ_ENTRY(sim_assoc) link;
	struct sim_db *db;
	struct ctl    *ctl;
	unsigned       refs;	/* its own, and one for each write that is under way */
	bool	       gone;
	uint64_t       last, nmessages;
	struct post    to, from;
	TAILQ_HEAD(, pending) pending;
};

/* The writer. */

static void
write_free(struct sim_db *db, struct db_write *w)
{
	TAILQ_REMOVE(&db->writes, w, entry);
	if (--w->from->refs == 0)
		free(w->from);
	free(w->p);
	free(w);
}

static void
row_set(struct sim_db *db, struct db_write *w)
{
	struct db_row *r;

	HASH_FIND(hh, db->rows, &w->key, sizeof w->key, r);
	if (!r) {
		r = xcalloc(1, sizeof *r);
		r->key = w->key;
		HASH_ADD(hh, db->rows, key, sizeof r->key, r);
	}
	free(r->p);
	r->p = w->p;
	r->n = w->n;
	w->p = NULL;
}

struct ack {
	struct sim_assoc *front;
	uint64_t number;
	bool	 refused;
};

static void
ack_run(void *data)
{
	struct ack a = *(struct ack *)data;
	struct pending *p;

	free(data);
	if (ctl_is_dead(a.front->ctl))
		return;
	TAILQ_FOREACH(p, &a.front->pending, entry) {
		if (p->number != a.number || p->decided)
			continue;
		p->decided = true;
		if (a.refused)
			p->err = err_errno(ENOSPC, "write", "cache");
		op_wake(&p->op);
		return;
	}
}

static int64_t
front_delay(struct sim_assoc *f, const char *what)
{
	return world_delay(f->db->world, &f->db->world->network, what, ctl_number(f->ctl), ++f->nmessages);
}

static void
acknowledge(struct sim_db *db, struct db_write *w)
{
	struct ack *a;

	if (w->from->gone || ctl_is_dead(w->from->ctl))
		return;
	a = xmalloc(sizeof *a);
	*a = (struct ack){ w->from, w->number, db->refuse };
	post_send(&w->from->from, front_delay(w->from, "from writer"), ack_run, free, a);
}

static void
db_start_commit(struct sim_db *db)
{
	struct db_write *w;

	if (!db->up || timer_is_set(&db->commit) || TAILQ_EMPTY(&db->writes))
		return;
	TAILQ_FOREACH(w, &db->writes, entry)
		w->batch = true;
	timer_set(&db->commit, world_delay(db->world, &db->world->commit, "commit", 0, ++db->ncommits));
}

static void
db_commit_cb(void *arg)
{
	struct sim_db *db = arg;
	struct db_write *w, *next;

	if (!db->refuse)	/* what entries name must not be on the disk after them */
		world_sync(db->world);
	TAILQ_FOREACH(w, &db->writes, entry)
		if (w->batch && !db->refuse)
			row_set(db, w);
	if (!db->refuse)
		world_step(db->world, STEP_COMMITTED, NULL, 0);
	if (!db->up)
		return;
	for (w = TAILQ_FIRST(&db->writes); w; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (!w->batch)
			continue;
		acknowledge(db, w);
		write_free(db, w);
	}
	db_start_commit(db);
}

static void front_send(struct sim_assoc *, const struct pending *);

static void
db_restart_cb(void *arg)
{
	struct sim_db *db = arg;
	struct sim_assoc *f;
	struct pending *p;

	db->up = true;
	TAILQ_FOREACH(f, &db->fronts, link)
		TAILQ_FOREACH(p, &f->pending, entry)
			if (!p->decided)
				front_send(f, p);
}

struct sim_db *
db_new(struct world *w)
{
	struct sim_db *db = xcalloc(1, sizeof *db);

	db->world = w;
	db->up = true;
	timer_init(&db->commit, w->loop, "commit", db_commit_cb, db);
	timer_init(&db->restart, w->loop, "writer_restart", db_restart_cb, db);
	TAILQ_INIT(&db->writes);
	TAILQ_INIT(&db->fronts);
	return db;
}

static void
drop_writes(struct sim_db *db)
{
	struct db_write *w;

	while ((w = TAILQ_FIRST(&db->writes)))
		write_free(db, w);
}

void
db_kill_writer(struct sim_db *db)
{
	if (!db->up)
		return;
	world_say(db->world, "the writer of the databases is killed");
	db->up = false;
	timer_clear(&db->commit);
	drop_writes(db);
	timer_set(&db->restart, RESTART_DELAY);
}

/* Databases that were being written are of no use after a power cut, and are begun anew. */
void
db_cut(struct sim_db *db)
{
	struct db_row *r, *tmp;

	db_kill_writer(db);
	if (world_chance(db->world, 0.5, "databases", db->ncommits, 0))
		return;
	HASH_ITER(hh, db->rows, r, tmp) {
		HASH_DEL(db->rows, r);
		free(r->p);
		free(r);
	}
}

void
db_refuse(struct sim_db *db, bool refuse)
{
	db->refuse = refuse;
	db->refused = db->refused || refuse;
}

bool
db_has(const struct sim_db *db, const struct digest *key)
{
	struct db_key k = { .kind = ASSOC_FILESET, .digest = *key };
	const struct db_row *r;

	HASH_FIND(hh, db->rows, &k, sizeof k, r);
	return r != NULL || db->refused;
}

void
db_free(struct sim_db *db)
{
	struct db_row *r, *tmp;

	timer_clear(&db->commit);
	timer_clear(&db->restart);
	drop_writes(db);
	HASH_ITER(hh, db->rows, r, tmp) {
		HASH_DEL(db->rows, r);
		free(r->p);
		free(r);
	}
	free(db);
}

/* The controller's side. */

static struct sim_assoc *
front_of(struct assoc *a)
{
	return container_of(a, struct sim_assoc, assoc);
}

static void
arrive_run(void *data)
{
	struct db_write *w = data;
	struct sim_db *db = w->from->db;

	if (!db->up) {		/* its socket is gone */
		TAILQ_INSERT_TAIL(&db->writes, w, entry);
		write_free(db, w);
		return;
	}
	TAILQ_INSERT_TAIL(&db->writes, w, entry);
	db_start_commit(db);
}

static void
arrive_drop(void *data)
{
	struct db_write *w = data;

	TAILQ_INSERT_TAIL(&w->from->db->writes, w, entry);
	write_free(w->from->db, w);
}

static void
front_send(struct sim_assoc *f, const struct pending *p)
{
	struct db_write *w;

	if (f->gone || ctl_is_dead(f->ctl))
		return;
	w = xcalloc(1, sizeof *w);
	w->from = f;
	w->number = p->number;
	w->key = p->key;
	w->p = xmemdup(p->p, p->n);
	w->n = p->n;
	f->refs++;
	post_send(&f->to, front_delay(f, "to writer"), arrive_run, arrive_drop, w);
}

static void
pending_advance(struct op *op)
{
	struct pending *p = op_owner(op, struct pending, op);
	assoc_done_cb *cb = p->cb;
	struct err *err = p->err;
	void *arg = p->arg;

	p->err = NULL;
	op_release(op);
	cb(err, arg);
}

/* A put that is given up is written all the same: it was sent. */
static void
pending_release(struct op *op)
{
	struct pending *p = op_owner(op, struct pending, op);

	TAILQ_REMOVE(&p->front->pending, p, entry);
	err_free(p->err);
	free(p->p);
	free(p);
}

static const struct op_type pending_type = { "sim_assoc_put", pending_advance, pending_release };

static struct op *
front_put(struct assoc *a, enum assoc_kind kind, const struct digest *key, const void *value, size_t len, assoc_done_cb *cb, void *arg)
{
	struct sim_assoc *f = front_of(a);
	struct pending *p = xcalloc(1, sizeof *p);

	op_init(&p->op, a->loop, &pending_type);
	p->front = f;
	p->number = ++f->last;
	p->key.kind = kind;
	p->key.digest = *key;
	p->p = xmemdup(value, len);
	p->n = len;
	p->cb = cb;
	p->arg = arg;
	TAILQ_INSERT_TAIL(&f->pending, p, entry);
	front_send(f, p);
	return &p->op;
}

struct look {
	struct sim_assoc *front;
	struct db_key key;
	assoc_get_cb *cb;
	void	     *arg;
};

static void
look_run(void *data)
{
	struct look l = *(struct look *)data;
	struct db_row *r;

	free(data);
	HASH_FIND(hh, l.front->db->rows, &l.key, sizeof l.key, r);
	if (r && r->n > 0)
		l.cb(r->p, r->n, NULL, l.arg);
	else
		l.cb(NULL, 0, err_new(ERR_NOT_EXIST, "get", "cache entry"), l.arg);
}

static struct op *
front_get(struct assoc *a, enum assoc_kind kind, const struct digest *key, assoc_get_cb *cb, void *arg)
{
	struct sim_assoc *f = front_of(a);
	struct look *l = xcalloc(1, sizeof *l);

	l->front = f;
	l->key.kind = kind;
	l->key.digest = *key;
	l->cb = cb;
	l->arg = arg;
	return delayed_start(a->loop, "sim_assoc_get", 1, look_run, free, l);
}

static void
front_free(struct assoc *a)
{
	struct sim_assoc *f = front_of(a);

	sim_assoc_gone(a);
	TAILQ_REMOVE(&f->db->fronts, f, link);
	if (--f->refs == 0)
		free(f);
}

static const struct assoc_ops front_ops = { .get = front_get, .put = front_put, .free = front_free };

struct assoc *
sim_assoc_new(struct ctl *ctl)
{
	struct sim_assoc *f = xcalloc(1, sizeof *f);

	f->assoc = (struct assoc){ &front_ops, ctl->proc.loop };
	f->ctl = ctl;
	f->db = ctl_world(ctl)->db;
	f->refs = 1;
	post_init(&f->to, ctl_world(ctl)->loop, "to_writer");
	post_init(&f->from, ctl->proc.loop, "from_writer");
	TAILQ_INIT(&f->pending);
	TAILQ_INSERT_TAIL(&f->db->fronts, f, link);
	return &f->assoc;
}

size_t
sim_assoc_npending(const struct assoc *a)
{
	const struct sim_assoc *f = container_of(a, const struct sim_assoc, assoc);
	const struct pending *p;
	size_t n = 0;

	TAILQ_FOREACH(p, &f->pending, entry)
		n++;
	return n;
}

void
sim_assoc_gone(struct assoc *a)
{
	struct sim_assoc *f = front_of(a);

	if (f->gone)
		return;
	f->gone = true;
	post_close(&f->to);
	post_close(&f->from);
}

/* The repository: only what is put by controllers themselves. */

struct stat_call {
	struct sim_objects *objects;
	struct digest want;
	repo_stat_cb *cb;
	void	     *arg;
};
struct sim_repo {
	struct repo repo;
	struct proc *proc;
	struct sim_objects *objects;
};

static void
stat_run(void *data)
{
	struct stat_call c = *(struct stat_call *)data;
	struct file f;
	struct err *err = objects_stat(c.objects, &c.want, &f);

	free(data);
	c.cb(err ? NULL : &f, err, c.arg);
}

static struct op *
repo_stat_op(struct repo *r, const struct digest *d, repo_stat_cb *cb, void *arg)
{
	struct stat_call *c = xcalloc(1, sizeof *c);

	c->objects = container_of(r, struct sim_repo, repo)->objects;
	c->want = *d;
	c->cb = cb;
	c->arg = arg;
	return delayed_start(r->loop, "sim_repo_stat", 1, stat_run, free, c);
}

/* A put reads its source as any repository would. */
struct repo_put_op {
	struct op      op;
	struct sim_repo *repo;
	struct source *source;
	struct op     *read;
	struct sha256  sha;
	struct file    file;
	struct digest  want;
	bool	       has_want, over;
	struct err    *err;
	repo_put_cb   *cb;
	void	      *arg;
};

static void
put_read_cb(const void *p, size_t n, struct err *err, void *arg)
{
	struct repo_put_op *o = arg;

	o->read = NULL;
	sha256_add(&o->sha, p ? p : "", n);
	o->file.size += n;
	o->err = err;
	o->over = err || n == 0;
	op_wake(&o->op);
}

static void
put_advance(struct op *op)
{
	struct repo_put_op *o = op_owner(op, struct repo_put_op, op);
	repo_put_cb *cb = o->cb;
	struct file f;
	struct err *err;
	void *arg = o->arg;

	if (o->read)
		return;
	if (!o->over) {
		o->read = source_read(o->source, put_read_cb, o);
		return;
	}
	sha256_final(&o->sha, &o->file.id);
	if (!o->err && o->has_want && !digest_equal(&o->want, &o->file.id))
		o->err = err_new(ERR_INTEGRITY, "put", "object");
	if (!o->err && !o->repo->proc->dead) {
		objects_add(o->repo->objects, &o->file);
		watch_data(o->repo->proc->world->watch, &o->file.id);
		world_step(o->repo->proc->world, STEP_PUT, NULL, 0);
	}
	f = o->file;
	err = o->err;
	o->err = NULL;
	op_release(op);
	cb(err ? NULL : &f, err, arg);
}

static void
put_release(struct op *op)
{
	struct repo_put_op *o = op_owner(op, struct repo_put_op, op);

	op_cancel(&o->read);
	source_close(o->source);
	err_free(o->err);
	free(o);
}

static const struct op_type put_type = { "sim_repo_put", put_advance, put_release };

static struct op *
repo_put_op(struct repo *r, struct source *s, const struct digest *want, repo_put_cb *cb, void *arg)
{
	struct repo_put_op *o = xcalloc(1, sizeof *o);

	op_init(&o->op, r->loop, &put_type);
	o->repo = container_of(r, struct sim_repo, repo);
	o->source = s;
	sha256_init(&o->sha);
	o->has_want = want != NULL;
	if (want)
		o->want = *want;
	o->cb = cb;
	o->arg = arg;
	op_wake(&o->op);
	return &o->op;
}

static void
repo_free_op(struct repo *r)
{
	free(container_of(r, struct sim_repo, repo));
}

static const struct repo_ops repo_ops = { .stat = repo_stat_op, .put = repo_put_op, .free = repo_free_op };

struct repo *
sim_repo_new(struct proc *proc, struct sim_objects *objects)
{
	struct sim_repo *r = xcalloc(1, sizeof *r);

	r->repo = (struct repo){ &repo_ops, proc->loop, "local" };
	r->proc = proc;
	r->objects = objects;
	return &r->repo;
}
