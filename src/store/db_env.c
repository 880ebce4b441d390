/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db_env.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "store/db_mark.h"

/*
 * LMDB without syncs and without a writable map: a stray pointer cannot reach the data, and a kill -9
 * costs nothing that was committed. What a reader would get wrong: any error of a commit may leave
 * the environment in its fatal state, so it is closed and opened anew for the next batch.
 */

#define MAP_DEFAULT ((size_t)64 << 30)
#define MAP_LEAST   ((size_t)64 << 20)	/* below this an address space limit is an error */
#define MAP_MOST    ((size_t)4 << 40)
#define READERS_MAX 1022		/* one a controller and one a hashing helper */

struct db_env {
	const char *dir;
	size_t	    map_size;
	MDB_env	   *env;	/* owned; NULL: closed */
	MDB_dbi	    dbi[DB_NSUBS];
	bool	    dirty;	/* the mark is set */
};

struct err *
db_err(int rc, const char *op, const char *dir)
{
	struct err *err;

	if (rc > 0)
		return err_errno(rc, op, "%s", dir);
	err = err_new(ERR_INTEGRITY, op, "%s", dir);
	err->msg = xstrdup(mdb_strerror(rc));
	return err;
}

struct db_env *
db_env_new(const char *dir, size_t map_size)
{
	struct db_env *e = xcalloc(1, sizeof *e);

	e->dir = dir;
	e->map_size = map_size ? map_size : MAP_DEFAULT;
	return e;
}

static void
env_close(struct db_env *e)
{
	if (e->env)
		mdb_env_close(e->env);
	e->env = NULL;
}

void
db_env_free(struct db_env *e)
{
	if (!e)
		return;
	env_close(e);
	free(e);
}

int
db_extent(struct MDB_env *env, struct db_extent *out)
{
	MDB_envinfo info;
	struct stat st;
	MDB_stat page;
	int fd;

	/* The meta pages alone; the length after them, because a commit lengthens the file first. */
	if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &page) != 0 || mdb_env_get_fd(env, &fd) != 0)
		return EINVAL;
	if (fstat(fd, &st) == -1)
		return errno;
	out->needed = (int64_t)(info.me_last_pgno + 1) * page.ms_psize;
	out->there = st.st_size;
	return 0;
}

/* What is short when it is opened has lost something. */
static int
check_extent(MDB_env *env)
{
	struct db_extent x;
	int rc = db_extent(env, &x);

	return rc == 0 && x.there < x.needed ? MDB_CORRUPTED : rc;
}

/* A last page that was taken and given back within one transaction is not written by LMDB. */
static int
fill_extent(MDB_env *env)
{
	struct db_extent x;
	int rc = db_extent(env, &x), fd;

	if (rc || x.there >= x.needed)
		return rc;
	mdb_env_get_fd(env, &fd);
	return ftruncate(fd, x.needed) == -1 ? errno : 0;
}

/* One attempt; where the address space is limited the map is halved until it fits. */
static int
env_open_map(struct db_env *e)
{
	int rc;

	for (;;) {
		rc = mdb_env_create(&e->env);
		if (rc)
			return rc;
		mdb_env_set_mapsize(e->env, e->map_size);
		mdb_env_set_maxdbs(e->env, DB_NSUBS);
		mdb_env_set_maxreaders(e->env, READERS_MAX);
		rc = mdb_env_open(e->env, e->dir, MDB_NOSYNC, 0600);
		if (rc == 0)
			rc = check_extent(e->env);
		if (rc == 0)
			return 0;
		env_close(e);
		if (rc != ENOMEM || e->map_size / 2 < MAP_LEAST)
			return rc;
		e->map_size /= 2;
	}
}

/* Without MDB_CREATE first: opening what is there shall not make the file dirty. */
static int
env_open_subs(struct db_env *e, unsigned flags)
{
	MDB_txn *txn;
	int rc;

	rc = mdb_txn_begin(e->env, NULL, flags ? 0 : MDB_RDONLY, &txn);
	if (rc)
		return rc;
	for (int i = 0; i < DB_NSUBS && rc == 0; i++)
		rc = mdb_dbi_open(txn, db_sub_name(i), flags, &e->dbi[i]);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

static struct err *
set_dirty(struct db_env *e)
{
	struct err *err = e->dirty ? NULL : db_mark_set_dirty(e->dir);

	if (!err)
		e->dirty = true;
	return err;
}

static struct err *
env_open(struct db_env *e, int *rc)
{
	struct err *err;

	*rc = env_open_map(e);
	if (*rc)
		return db_err(*rc, "open", e->dir);
	mdb_reader_check(e->env, NULL);
	*rc = env_open_subs(e, 0);
	if (*rc == MDB_NOTFOUND) {
		err = set_dirty(e);
		if (err) {
			env_close(e);
			return err;
		}
		*rc = env_open_subs(e, MDB_CREATE);
	}
	if (*rc) {
		env_close(e);
		return db_err(*rc, "open", e->dir);
	}
	return NULL;
}

static bool
is_damage(int rc)
{
	return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH ||
	    rc == MDB_PANIC || rc == MDB_BAD_TXN || rc == MDB_INCOMPATIBLE;
}

/* What is dropped can be made again from the journals; serving or extending it would not be safe. */
static struct err *
drop(struct db_env *e, const char *why)
{
	struct err *err;

	log_error("%s: %s: dropped, to be rebuilt from the journals", e->dir, why);
	env_close(e);
	err = db_mark_drop(e->dir, why);
	if (!err)
		e->dirty = false;
	return err;
}

struct err *
db_env_open(struct db_env *e)
{
	struct err *err = NULL;
	int rc = 0;

	if (e->env)
		return NULL;
	if (db_mark_is_stale(e->dir))
		err = drop(e, "power was lost while it was written");
	if (err)
		return err;
	e->dirty = db_mark_is_dirty(e->dir);
	err = env_open(e, &rc);
	if (!err || !is_damage(rc))
		return err;
	err_free(err);
	err = drop(e, mdb_strerror(rc));
	return err ? err : env_open(e, &rc);
}

static int
apply(struct db_env *e, MDB_txn *txn, const struct db_req *r)
{
	MDB_val key = { r->klen, (void *)r->key }, value = { r->vlen, (void *)r->value };
	int rc;

	if (r->op == DB_PUT)
		return mdb_put(txn, e->dbi[r->sub], &key, &value, 0);
	rc = mdb_del(txn, e->dbi[r->sub], &key, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
commit_once(struct db_env *e, const struct db_req *const *reqs, size_t n)
{
	MDB_txn *txn;
	int rc;

	rc = mdb_txn_begin(e->env, NULL, 0, &txn);
	if (rc)
		return rc;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = apply(e, txn, reqs[i]);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	crash_point("store-before-db-commit");
	rc = mdb_txn_commit(txn);
	if (rc == 0)
		rc = fill_extent(e->env);
	crash_point("store-after-db-commit");
	return rc;
}

/* The map is address space, not disk: growing it is free. Readers follow when they meet MDB_MAP_RESIZED. */
static int
grow(struct db_env *e)
{
	if (e->map_size >= MAP_MOST)
		return ENOSPC;
	e->map_size *= 2;
	return mdb_env_set_mapsize(e->env, e->map_size);
}

/* LMDB calls a write that fell short an I/O error; mostly the disk is full, and that is worth saying. */
static int
why_eio(const struct db_env *e)
{
	static const char block[64 << 10];
	char *path = xasprintf("%s/probe", e->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), eno = EIO;
	ssize_t n = fd == -1 ? -1 : write(fd, block, sizeof block);

	if (n == -1 && (errno == ENOSPC || errno == EDQUOT))
		eno = errno;
	else if (n >= 0 && n < (ssize_t)sizeof block)
		eno = ENOSPC;
	if (fd != -1)
		close(fd);
	unlink(path);
	free(path);
	return eno;
}

struct err *
db_env_commit(struct db_env *e, const struct db_req *const *reqs, size_t n)
{
	struct err *err;
	bool dropped = false;
	int rc;

again:
	err = db_env_open(e);
	if (!err)
		err = set_dirty(e);
	if (err)
		return err;
	while ((rc = commit_once(e, reqs, n)) == MDB_MAP_FULL) {
		rc = grow(e);
		if (rc)
			break;
	}
	if (rc == 0)
		return NULL;
	env_close(e);
	if (!is_damage(rc) || dropped)
		return db_err(rc == EIO ? why_eio(e) : rc, "write", e->dir);
	err = drop(e, mdb_strerror(rc));
	if (err)
		return err;
	dropped = true;
	goto again;
}

struct err *
db_env_sync(struct db_env *e)
{
	struct err *err;
	int rc;

	if (!e->dirty)
		return NULL;
	err = db_env_open(e);
	if (err)
		return err;
	rc = mdb_env_sync(e->env, 1);
	if (rc)
		return db_err(rc, "sync", e->dir);
	crash_point("store-before-db-clean");
	err = db_mark_clear_dirty(e->dir);
	if (!err)
		e->dirty = false;
	return err;
}

bool
db_env_is_dirty(const struct db_env *e)
{
	return e->dirty;
}
