/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/buf.h"
#include "base/xalloc.h"

/*
 * Each mark is a small file, replaced by rename and synced with its folder: a mark that a power cut
 * could lose would be worth nothing. An unreadable `dirty` counts as one of another boot.
 */

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MARK_MAX 4096

static struct err *
boot_id(struct buf *out)
{
	return buf_read_file(out, BOOT_ID, MARK_MAX);
}

bool
db_mark_is_stale(const char *dir)
{
	struct buf now = BUF_INIT, mark = BUF_INIT;
	char *path = xasprintf("%s/%s", dir, DB_DIRTY);
	struct err *err;
	bool stale = false;

	err = buf_read_file(&mark, path, MARK_MAX);
	if (err) {
		stale = !err_is(err, ERR_NOT_EXIST);
		goto out;
	}
	err = boot_id(&now);
	stale = err || now.len != mark.len || memcmp(now.p, mark.p, now.len) != 0;
out:
	err_free(err);
	buf_release(&now);
	buf_release(&mark);
	free(path);
	return stale;
}

static struct err *
sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err *err = NULL;

	crash_point("store-before-mark-folder-sync");
	if (fd == -1 || fsync(fd) == -1)
		err = err_errno(errno, "sync", "%s", dir);
	if (fd != -1)
		close(fd);
	return err;
}

static struct err *
write_synced(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct err *err = NULL;
	ssize_t w;

	if (fd == -1)
		return err_errno(errno, "create", "%s", path);
	w = write(fd, text, n);
	crash_point("store-before-mark-sync");
	if (w != (ssize_t)n)
		err = err_errno(w == -1 ? errno : ENOSPC, "write", "%s", path);
	else if (fsync(fd) == -1)
		err = err_errno(errno, "sync", "%s", path);
	close(fd);
	return err;
}

static struct err *
mark_set(const char *dir, const char *name, const char *text, size_t n)
{
	char *path = xasprintf("%s/%s", dir, name), *tmp = xasprintf("%s/%s.tmp", dir, name);
	struct err *err;

	err = write_synced(tmp, text, n);
	crash_point("store-before-mark-rename");
	if (!err && rename(tmp, path) == -1)
		err = err_errno(errno, "rename", "%s", path);
	if (err)
		unlink(tmp);
	else
		err = sync_dir(dir);
	free(tmp);
	free(path);
	return err;
}

static bool
mark_exists(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	bool yes = access(path, F_OK) == 0;

	free(path);
	return yes;
}

static struct err *
mark_clear(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct err *err = NULL;

	crash_point("store-before-mark-clear");
	if (unlink(path) == -1 && errno != ENOENT)
		err = err_errno(errno, "remove", "%s", path);
	free(path);
	return err ? err : sync_dir(dir);
}

struct err *
db_mark_set_dirty(const char *dir)
{
	struct buf id = BUF_INIT;
	struct err *err = boot_id(&id);

	if (!err)
		err = mark_set(dir, DB_DIRTY, buf_str(&id), id.len);
	buf_release(&id);
	return err;
}

struct err *
db_mark_clear_dirty(const char *dir)
{
	return mark_clear(dir, DB_DIRTY);
}

struct err *
db_mark_drop(const char *dir, const char *why)
{
	struct err *err;

	/* The mark first: a crash between the two must not leave an empty database that passes for whole. */
	err = mark_set(dir, DB_REBUILD, why, strlen(why));
	if (!err)
		err = mark_clear(dir, "data.mdb");
	if (!err)
		err = mark_clear(dir, "lock.mdb");
	if (!err)
		err = mark_clear(dir, DB_DIRTY);
	return err;
}

bool
db_mark_is_dirty(const char *dir)
{
	return mark_exists(dir, DB_DIRTY);
}

bool
db_mark_wants_rebuild(const char *dir)
{
	return mark_exists(dir, DB_REBUILD);
}

struct err *
db_mark_rebuilt(const char *dir)
{
	return mark_clear(dir, DB_REBUILD);
}
