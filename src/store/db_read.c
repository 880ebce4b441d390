/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db_read.h"

#include <assert.h>
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/db_env.h"
#include "store/db_mark.h"

/*
 * LMDB forbids opening one environment twice in a process (closing the second would drop the locks
 * of the first), so the open ones are kept in a list of the process and shared by folder.
 */

#define EXTENT_TRIES 5	/* milliseconds */

struct db_read {
	LIST_ENTRY(db_read) entry;
	unsigned  refs;
	pid_t	  owner;	/* an environment does not survive a fork */
	char	 *dir;		/* owned */
	MDB_env	 *env;		/* owned; NULL: not there yet */
	MDB_dbi	  dbi[DB_NSUBS];
	dev_t	  dev;		/* of data.mdb, as opened */
	ino_t	  ino;
	MDB_txn	 *txn;		/* owned, or NULL: of a read that goes on, or held */
	MDB_cursor *near[DB_NSUBS];	/* of txn, where it was read last, or NULL: keys often come in their order */
};
static LIST_HEAD(, db_read) all = LIST_HEAD_INITIALIZER(all);

struct db_read *
db_read_open(const char *dir)
{
	struct db_read *r;

	LIST_FOREACH(r, &all, entry) {
		if (strcmp(r->dir, dir) == 0 && r->owner == getpid()) {
			r->refs++;
			return r;
		}
	}
	r = xcalloc(1, sizeof *r);
	r->refs = 1;
	r->owner = getpid();
	r->dir = xstrdup(dir);
	LIST_INSERT_HEAD(&all, r, entry);
	return r;
}

static void
drop_txn(struct db_read *r)
{
	for (int i = 0; i < DB_NSUBS; i++) {
		if (r->near[i])
			mdb_cursor_close(r->near[i]);
		r->near[i] = NULL;
	}
	if (r->txn)
		mdb_txn_abort(r->txn);
	r->txn = NULL;
}

static void
close_env(struct db_read *r)
{
	drop_txn(r);
	if (r->env)
		mdb_env_close(r->env);
	r->env = NULL;
}

void
db_read_close(struct db_read *r)
{
	if (!r || --r->refs > 0)
		return;
	LIST_REMOVE(r, entry);
	close_env(r);
	free(r->dir);
	free(r);
}

static bool
data_stat(const struct db_read *r, struct stat *st)
{
	char *path = xasprintf("%s/data.mdb", r->dir);
	bool there = stat(path, st) == 0 && st->st_size > 0;

	free(path);
	return there;
}

static int
open_subs(struct db_read *r)
{
	MDB_txn *txn;
	int rc;

	rc = mdb_txn_begin(r->env, NULL, MDB_RDONLY, &txn);
	for (int i = 0; i < DB_NSUBS && rc == 0; i++)
		rc = mdb_dbi_open(txn, db_sub_name(i), 0, &r->dbi[i]);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

/*
 * Short by more than a moment: pages of a commit are there before its meta page says so, but for a last one that LMDB does
 * not write and the writer fills in behind it.
 */
static int
check_extent(MDB_env *env)
{
	struct db_extent x;
	int rc = 0;

	for (int i = 0; i < EXTENT_TRIES && (rc = db_extent(env, &x)) == 0; i++) {
		if (x.there >= x.needed)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return rc ? rc : MDB_CORRUPTED;
}

/* A missing, half-made or stale database is not an error: r->env stays NULL. */
static struct err *
open_env(struct db_read *r)
{
	struct stat st;
	int rc;

	assert(r->owner == getpid());
	if (r->env || !data_stat(r, &st) || db_mark_is_stale(r->dir))
		return NULL;
	rc = mdb_env_create(&r->env);
	if (rc)
		return db_err(rc, "open", r->dir);
	mdb_env_set_maxdbs(r->env, DB_NSUBS);
	rc = mdb_env_open(r->env, r->dir, MDB_RDONLY | MDB_NOTLS, 0600);
	if (rc == 0)
		rc = check_extent(r->env);
	if (rc == 0)
		rc = open_subs(r);
	if (rc) {
		close_env(r);
		return rc == MDB_NOTFOUND || rc == ENOENT ? NULL : db_err(rc, "open", r->dir);
	}
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	return NULL;
}

bool
db_read_damaged(const char *dir)
{
	struct db_read *r = db_read_open(dir);
	struct err *err = open_env(r);
	bool damaged = err && err_is(err, ERR_INTEGRITY);

	err_free(err);
	db_read_close(r);
	return damaged;
}

void
db_read_refresh(struct db_read *r)
{
	struct stat st;

	if (r->env && (!data_stat(r, &st) || st.st_ino != r->ino || st.st_dev != r->dev))
		close_env(r);
}

static int
begin(struct db_read *r)
{
	return mdb_txn_begin(r->env, NULL, MDB_RDONLY, &r->txn);
}

/* The transaction of the next read. False: there is no database yet, or *err. */
static bool
open_txn(struct db_read *r, struct err **err)
{
	int rc;

	if (r->txn)
		return true;
	*err = open_env(r);
	if (*err || !r->env)
		return false;
	rc = begin(r);
	if (rc == MDB_MAP_RESIZED) {	/* the writer has grown it */
		mdb_env_set_mapsize(r->env, 0);
		rc = begin(r);
	}
	if (rc == MDB_READERS_FULL) {
		mdb_reader_check(r->env, NULL);
		rc = begin(r);
	}
	if (rc)
		*err = db_err(rc, "read", r->dir);
	return rc == 0;
}

static struct err *
read_value(struct db_read *r, enum db_sub sub, const void *key, size_t klen, MDB_val *v)
{
	MDB_val k = { klen, (void *)key };
	int rc = r->near[sub] ? 0 : mdb_cursor_open(r->txn, r->dbi[sub], &r->near[sub]);

	if (rc == 0)
		rc = mdb_cursor_get(r->near[sub], &k, v, MDB_SET);
	if (rc)
		*v = (MDB_val){ 0, NULL };
	return rc && rc != MDB_NOTFOUND ? db_err(rc, "read", r->dir) : NULL;
}

struct err *
db_read_get(struct db_read *r, enum db_sub sub, const void *key, size_t klen, struct buf *out, bool *found)
{
	bool held = r->txn != NULL;
	struct err *err = NULL;
	MDB_val v;

	*found = false;
	if (!open_txn(r, &err))
		return err;
	err = read_value(r, sub, key, klen, &v);
	*found = v.mv_data != NULL;
	if (*found)
		buf_add(out, v.mv_data, v.mv_size);
	if (!held)
		drop_txn(r);
	return err;
}

struct err *
db_read_hold(struct db_read *r, enum db_sub sub, const void *key, size_t klen, const void **value, size_t *len)
{
	struct err *err = NULL;
	MDB_val v = { 0, NULL };

	if (open_txn(r, &err))
		err = read_value(r, sub, key, klen, &v);
	*value = v.mv_data;
	*len = v.mv_size;
	return err;
}

void
db_read_let_go(struct db_read *r)
{
	drop_txn(r);
}

struct err *
db_read_each(struct db_read *r, enum db_sub sub, const void *from, size_t n, db_read_cb *cb, void *arg)
{
	MDB_val k = { n, (void *)from }, v;
	bool held = r->txn != NULL;
	struct err *err = NULL;
	MDB_cursor *cur;
	int rc;

	if (!open_txn(r, &err))
		return err;
	rc = mdb_cursor_open(r->txn, r->dbi[sub], &cur);
	if (rc == 0) {
		rc = mdb_cursor_get(cur, &k, &v, n ? MDB_SET_RANGE : MDB_FIRST);
		while (rc == 0 && cb(k.mv_data, k.mv_size, v.mv_data, v.mv_size, arg))
			rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
		mdb_cursor_close(cur);
	}
	if (!held)	/* the callback may have read as well */
		drop_txn(r);
	return rc && rc != MDB_NOTFOUND ? db_err(rc, "read", r->dir) : NULL;
}
