/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/attempt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "executor/numbers.h"
#include "executor/objects.h"
#include "executor/tree.h"
#include "iface/assoc.h"
#include "store/db_read.h"

/*
 * attempt: the claim rules and the directories behind them. An attempt lives if the ledger has its
 * row; it is over if it has a manifest; one with neither was lost with its worker and counts as nothing.
 */
#define MANIFEST_MAX (256u << 20)

void
attempt_key_dir(const struct digest *key, char out[ATTEMPT_PATH])
{
	memcpy(out, "execs/", 6);
	digest_hex(key, out + 6);
}

void
attempt_dir(const struct digest *key, unsigned n, char out[ATTEMPT_PATH])
{
	attempt_key_dir(key, out);
	snprintf(out + 6 + DIGEST_HEX, ATTEMPT_PATH - 6 - DIGEST_HEX, "/%u", n);
}

struct err *
attempt_key_lock(const struct digest *key, bool create, int *out, bool *fresh)
{
	char path[ATTEMPT_PATH];
	struct stat st;
	int fd;

	attempt_key_dir(key, path);
	for (;;) {
		*fresh = create && mkdir(path, 0700) == 0;
		if (create && !*fresh && errno != EEXIST)
			return err_errno(errno, "mkdir", "%s", path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && (errno != ENOENT || !create))
			return err_errno(errno, "open", "%s", path);
		if (fd < 0)
			continue;
		while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
			;
		/* It may have been removed between open and lock. */
		if (fstat(fd, &st) == 0 && st.st_nlink > 0) {
			/* Whoever came between mkdir and lock has left a folder in it; where links are not counted, look. */
			*fresh = *fresh && st.st_nlink == 2;
			*out = fd;
			return NULL;
		}
		close(fd);
		if (!create)
			return err_new(ERR_NOT_EXIST, "open", "%s", path);
	}
}

void
attempt_key_unlock(int fd)
{
	flock(fd, LOCK_UN);
}

void
attempt_key_relock(int fd)
{
	while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
		;
}

static unsigned
attempt_number(const char *name)
{
	char *end;
	unsigned long n = strtoul(name, &end, 10);

	return name[0] >= '1' && name[0] <= '9' && *end == '\0' && n < UINT32_MAX ? (unsigned)n : 0;
}

struct err *
attempt_read_manifest(int key_fd, unsigned n, struct manifest *m)
{
	char path[32];
	struct buf b = BUF_INIT;
	struct err *err;
	int fd;

	snprintf(path, sizeof path, "%u/manifest", n);
	fd = openat(key_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "open", "%s", path);
	err = buf_read_fd(&b, fd, path, MANIFEST_MAX);
	close(fd);
	if (err == NULL)
		err = manifest_decode(b.p, b.len, m);
	buf_release(&b);
	return err;
}

/* How well an attempt answers a claim; 0: not at all. One that is over answers at once, so it comes first. */
static int
attempt_rank(const struct exec_claim *c, const struct digest *run, uint32_t try_, uint32_t retry,
    enum attempt_state state)
{
	bool own = digest_equal(&c->run, run);

	if (state == ATTEMPT_LOST)
		return 0;
	if (state == ATTEMPT_FAILED)
		return own && c->try_ == try_ && c->retry == retry ? 4 : 0;
	if (state == ATTEMPT_OK)
		return own ? 6 : c->join ? 3 : 0;
	return own ? 5 : c->join ? 2 : 0;
}

struct object_check {
	const char *objects;
	bool	    whole;
};

static void
object_check_cb(const char *path unused_arg, const struct file *f, void *arg)
{
	struct object_check *c = arg;

	c->whole = c->whole && objects_have(c->objects, f);
}

/* A success whose objects are gone must be computed again, not collected again. */
static bool
manifest_whole(const char *objects, const struct manifest *m)
{
	struct object_check c = { objects, true };

	if (m->result.state == ATTEMPT_OK)
		fileset_each(m->result.fileset, object_check_cb, &c);
	return c.whole;
}

struct choosing {
	const struct exec_config *config;
	const char *objects;
	int	    key_fd, rank;
	unsigned    best, last;
};

void
attempt_found_release(struct attempt_found *f)
{
	if (f->choice == ATTEMPT_COLLECT)
		manifest_release(&f->manifest);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->choice = ATTEMPT_NEW;
}

static void
choose_over(struct choosing *ch, unsigned n, struct attempt_found *f)
{
	struct manifest m;
	struct err *err = attempt_read_manifest(ch->key_fd, n, &m);
	int rank;

	if (err != NULL) {
		err_free(err);
		return;
	}
	rank = attempt_rank(&ch->config->claim, &m.claim.run, m.claim.try_, m.claim.retry, m.result.state);
	if (rank == 0 || rank < ch->rank || (rank == ch->rank && n < ch->best) || !manifest_whole(ch->objects, &m)) {
		manifest_release(&m);
		return;
	}
	attempt_found_release(f);
	ch->rank = rank;
	ch->best = n;
	f->choice = ATTEMPT_COLLECT;
	f->manifest = m;
}

static void
choose_living(struct choosing *ch, unsigned n, int slot, const struct ledger_row *row, struct attempt_found *f)
{
	int rank = attempt_rank(&ch->config->claim, &row->run, row->try_, row->retry, ATTEMPT_RUNNING);

	/* One that is being ended is no answer any more. */
	if (rank == 0 || rank < ch->rank || row->kill != LEDGER_LIVE)
		return;
	attempt_found_release(f);
	ch->rank = rank;
	ch->best = n;
	f->choice = ATTEMPT_ATTACH;
	f->slot = slot;
}

void
attempt_choose(struct ledger *l, const char *objects, int key_fd, const struct exec_config *c, bool fresh,
    struct attempt_found *f)
{
	struct choosing ch = { .config = c, .objects = objects, .key_fd = key_fd };
	struct ledger_row row;
	struct dirent *e;
	char path[32];
	DIR *d;
	int slot, fd;

	memset(f, 0, sizeof *f);
	f->choice = ATTEMPT_NEW;
	f->fd = -1;
	f->n = numbers_last(&c->key) + 1;
	if (fresh)
		return;
	fd = openat(key_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	while (d != NULL && (e = readdir(d)) != NULL) {
		unsigned n = attempt_number(e->d_name);

		if (n == 0)
			continue;
		ch.last = n > ch.last ? n : ch.last;
		slot = ledger_find(l, &c->key, n, &row);
		if (slot >= 0)
			choose_living(&ch, n, slot, &row, f);
		else
			choose_over(&ch, n, f);
	}
	if (d != NULL)
		closedir(d);
	if (f->choice != ATTEMPT_NEW)
		f->n = ch.best;
	else if (ch.last >= f->n)
		f->n = ch.last + 1;
	if (f->choice == ATTEMPT_COLLECT) {
		snprintf(path, sizeof path, "%u/manifest", f->n);
		f->fd = openat(key_fd, path, O_RDONLY | O_CLOEXEC);
	}
}

void
attempt_recall(struct db_read *db, const char *objects, const struct exec_config *c, struct attempt_found *f)
{
	uint8_t key[1 + DIGEST_LEN] = { ASSOC_FILESET };
	struct manifest m = { .key = c->key };
	char path[ATTEMPT_PATH];
	const void *value;
	struct err *err;
	size_t len;

	if (!c->claim.join)
		return;
	memcpy(key + 1, c->key.b, DIGEST_LEN);
	db_read_refresh(db);
	err = db_read_hold(db, DB_ASSOC, key, sizeof key, &value, &len);
	if (err == NULL && value != NULL && exec_result_scan(value, len, &m.result)) {
		if (m.result.state == ATTEMPT_OK && manifest_whole(objects, &m)) {
			f->choice = ATTEMPT_COLLECT;
			f->n = m.result.attempt;
			f->manifest = m;
			attempt_key_dir(&c->key, path);
			rmdir(path);	/* made for the lock; fails while other attempts are there */
		} else {
			manifest_release(&m);
		}
	}
	db_read_let_go(db);
	err_free(err);	/* without the databases it is run, as if they did not know */
}

static struct err *
file_write(int dir, const char *name, const void *p, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;
	ssize_t k;
	int eno = errno;

	while (fd >= 0 && done < n) {
		k = write(fd, (const char *)p + done, n - done);
		eno = errno;
		if (k < 0 && eno != EINTR)
			break;
		done += k > 0 ? (size_t)k : 0;
	}
	if (fd >= 0)
		close(fd);
	return fd >= 0 && done == n ? NULL : err_errno(eno, "write", "%s", name);
}

struct err *
attempt_create(int key_fd, unsigned n, const void *request, size_t len, int *out)
{
	char name[16];
	struct err *err;
	int dir;

	snprintf(name, sizeof name, "%u", n);
	if (mkdirat(key_fd, name, 0700) != 0 && errno != EEXIST)
		return err_errno(errno, "mkdir", "%s", name);
	dir = openat(key_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(errno, "open", "%s", name);
	if (flock(dir, LOCK_EX | LOCK_NB) != 0) {
		err = err_errno(errno, "lock", "%s", name);
		close(dir);
		return err;
	}
	err = file_write(dir, "request", request, len);
	if (err != NULL) {
		close(dir);
		return err;
	}
	crash_point("keeper-attempt-created");
	*out = dir;
	return NULL;
}

struct err *
attempt_write_manifest(int dir, const struct manifest *m, size_t *len)
{
	struct buf b = BUF_INIT;
	struct err *err;

	manifest_encode(m, &b);
	*len = b.len;
	err = file_write(dir, "manifest.tmp", b.p, b.len);
	buf_release(&b);
	crash_point("keeper-before-manifest");
	if (err == NULL && renameat(dir, "manifest.tmp", dir, "manifest") != 0)
		err = err_errno(errno, "rename", "manifest");
	crash_point("keeper-after-manifest");
	return err;
}

void
attempt_forget(struct ledger *l, const struct digest *run, const struct digest *key, unsigned n)
{
	struct manifest m;
	char name[16], path[ATTEMPT_PATH];
	struct err *err;
	bool fresh, own;
	int fd;

	err = attempt_key_lock(key, false, &fd, &fresh);
	if (err != NULL) {
		err_free(err);
		return;
	}
	err = attempt_read_manifest(fd, n, &m);
	own = err == NULL && digest_equal(&m.claim.run, run) && ledger_find(l, key, n, NULL) < 0;
	if (err == NULL)
		manifest_release(&m);
	err_free(err);
	if (own) {
		snprintf(name, sizeof name, "%u", n);
		numbers_keep(key, n);
		tree_remove(fd, name);
		attempt_key_dir(key, path);
		rmdir(path);	/* fails while other attempts are there */
	}
	close(fd);
}

/* One request after the other is of the same run: its file stays open, and one that names the newest epoch costs one look. */
static struct {
	struct digest run;
	int	      fd;
} newest = { .fd = -1 };

static struct err *
epoch_open(const struct digest *run, const char *path)
{
	if (newest.fd >= 0 && digest_equal(&newest.run, run))
		return NULL;
	if (newest.fd >= 0)
		close(newest.fd);
	newest.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	newest.run = *run;
	return newest.fd < 0 ? err_errno(errno, "open", "%s", path) : NULL;
}

struct err *
epoch_admit(const struct digest *run, uint64_t epoch)
{
	char path[80] = "runs/";
	uint64_t seen = 0;
	struct err *err;
	int fd;

	if (digest_is_zero(run))
		return NULL;
	digest_hex(run, path + 5);
	err = epoch_open(run, path);
	if (err != NULL)
		return err;
	fd = newest.fd;
	if (pread(fd, &seen, sizeof seen, 0) == sizeof seen && epoch == seen)
		return NULL;
	while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
		;
	if (pread(fd, &seen, sizeof seen, 0) != sizeof seen)
		seen = 0;
	if (epoch < seen)
		err = err_msg(ERR_PRECONDITION, "run:%.8s was taken over: epoch %llu is older than %llu", path + 5,
		    (unsigned long long)epoch, (unsigned long long)seen);
	crash_point("keeper-before-epoch");
	if (err == NULL && epoch > seen && pwrite(fd, &epoch, sizeof epoch, 0) != sizeof epoch)
		err = err_errno(errno, "write", "%s", path);
	flock(fd, LOCK_UN);
	return err;
}
