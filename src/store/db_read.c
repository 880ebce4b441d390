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
close_env(struct db_read *r)
{
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

/* Begins a transaction; *txn NULL: there is no database yet. */
static struct err *
begin(struct db_read *r, MDB_txn **txn)
{
	struct err *err = open_env(r);
	int rc;

	*txn = NULL;
	if (err || !r->env)
		return err;
	rc = mdb_txn_begin(r->env, NULL, MDB_RDONLY, txn);
	if (rc == MDB_MAP_RESIZED) {	/* the writer has grown it */
		mdb_env_set_mapsize(r->env, 0);
		rc = mdb_txn_begin(r->env, NULL, MDB_RDONLY, txn);
	}
	if (rc == MDB_READERS_FULL) {
		mdb_reader_check(r->env, NULL);
		rc = mdb_txn_begin(r->env, NULL, MDB_RDONLY, txn);
	}
	return rc ? db_err(rc, "read", r->dir) : NULL;
}

struct err *
db_read_get(struct db_read *r, enum db_sub sub, const void *key, size_t klen, struct buf *out, bool *found)
{
	MDB_val k = { klen, (void *)key }, v;
	struct err *err;
	MDB_txn *txn;
	int rc;

	err = begin(r, &txn);
	if (err)
		return err;
	*found = false;
	if (!txn)
		return NULL;
	rc = mdb_get(txn, r->dbi[sub], &k, &v);
	if (rc == 0) {
		buf_add(out, v.mv_data, v.mv_size);
		*found = true;
	}
	mdb_txn_abort(txn);
	return rc && rc != MDB_NOTFOUND ? db_err(rc, "read", r->dir) : NULL;
}

struct err *
db_read_each(struct db_read *r, enum db_sub sub, const void *from, size_t n, db_read_cb *cb, void *arg)
{
	MDB_val k = { n, (void *)from }, v;
	struct err *err;
	MDB_cursor *cur;
	MDB_txn *txn;
	int rc;

	err = begin(r, &txn);
	if (err || !txn)
		return err;
	rc = mdb_cursor_open(txn, r->dbi[sub], &cur);
	if (rc == 0) {
		rc = mdb_cursor_get(cur, &k, &v, n ? MDB_SET_RANGE : MDB_FIRST);
		while (rc == 0 && cb(k.mv_data, k.mv_size, v.mv_data, v.mv_size, arg))
			rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
		mdb_cursor_close(cur);
	}
	mdb_txn_abort(txn);
	return rc && rc != MDB_NOTFOUND ? db_err(rc, "read", r->dir) : NULL;
}
