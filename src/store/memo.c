/* SPDX-License-Identifier: Apache-2.0 */
#include "store/memo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/db_read.h"

/*
 * An entry, integers little endian: key = device u64, inode u64; value = version u64, size u64, mtime
 * i64, ctime i64, hashed i64 (ns since 1970), digest. ctime is in it because mtime can be set back.
 */

#define MEMO_VERSION 1

struct memo {
	struct db_read *db;	/* shared */
};

struct memo *
memo_open(const char *dir)
{
	struct memo *m = xcalloc(1, sizeof *m);

	m->db = db_read_open(dir);
	return m;
}

void
memo_close(struct memo *m)
{
	if (!m)
		return;
	db_read_close(m->db);
	free(m);
}

static void
put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static int64_t
ns_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

void
memo_entry_make(struct memo_entry *e, const struct stat *st, int64_t hashed, const struct digest *d)
{
	put64(e->key, (uint64_t)st->st_dev);
	put64(e->key + 8, (uint64_t)st->st_ino);
	put64(e->value, MEMO_VERSION);
	put64(e->value + 8, (uint64_t)st->st_size);
	put64(e->value + 16, (uint64_t)ns_of(&st->st_mtim));
	put64(e->value + 24, (uint64_t)ns_of(&st->st_ctim));
	put64(e->value + 32, (uint64_t)hashed);
	memcpy(e->value + 40, d->b, DIGEST_LEN);
}

static bool
entry_trusted(const uint8_t *v, const struct stat *st)
{
	int64_t mtime = ns_of(&st->st_mtim), ctime_ = ns_of(&st->st_ctim), safe = (int64_t)get64(v + 32) - MEMO_MARGIN;

	return get64(v) == MEMO_VERSION && get64(v + 8) == (uint64_t)st->st_size && (int64_t)get64(v + 16) == mtime &&
	    (int64_t)get64(v + 24) == ctime_ && mtime < safe && ctime_ < safe;
}

bool
memo_lookup(struct memo *m, const struct stat *st, struct digest *out)
{
	struct memo_entry want;
	struct buf value = BUF_INIT;
	struct err *err;
	bool found = false;

	memo_entry_make(&want, st, 0, &(struct digest){ { 0 } });
	err = db_read_get(m->db, DB_MEMO, want.key, sizeof want.key, &value, &found);
	found = !err && found && value.len == MEMO_VALUE && entry_trusted((const uint8_t *)value.p, st);
	if (found)
		memcpy(out->b, value.p + 40, DIGEST_LEN);
	err_free(err);
	buf_release(&value);
	return found;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    ns_of(&a->st_mtim) == ns_of(&b->st_mtim) && ns_of(&a->st_ctim) == ns_of(&b->st_ctim);
}

static int64_t
wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ns_of(&ts);
}

struct err *
memo_digest_fd(
    struct memo *m, int fd, const char *name, struct digest *out, uint64_t *size, bool *fresh, struct memo_entry *entry)
{
	struct stat before, after;
	struct digest d;
	struct err *err;
	uint64_t n;
	int64_t hashed;

	if (fstat(fd, &before) == -1)
		return err_errno(errno, "stat", "%s", name);
	*fresh = !m || !memo_lookup(m, &before, out);
	if (!*fresh) {
		*size = (uint64_t)before.st_size;
		return NULL;
	}
	hashed = wall_ns();
	err = sha256_fd(fd, name, &d, &n);
	if (err)
		return err;
	if (fstat(fd, &after) == -1)
		return err_errno(errno, "stat", "%s", name);
	if (!same_file(&before, &after) || n != (uint64_t)before.st_size)
		return err_msg(ERR_TEMPORARY, "%s changed while it was read", name);
	memo_entry_make(entry, &before, hashed, &d);
	*out = d;
	*size = n;
	return NULL;
}
