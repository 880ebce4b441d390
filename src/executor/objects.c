/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "executor/verified.h"
#include "store/object.h"
#include "store/root.h"

/*
 * objects: a file becomes an object by one rename or link, after it was hashed, made read-only and sealed, so
 * a name in the repository never shows a part of its bytes.
 */
#define COPY_SLICE (128u << 10)

static unsigned temporaries;	/* of this process */

static struct err *
temporary_open(const char *objects, char *path, size_t size, int *fd)
{
	snprintf(path, size, "%s/tmp/%d-%u", objects, getpid(), temporaries++);
	*fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (*fd < 0 && errno == ENOENT) {
		char *dir = xasprintf("%s/tmp", objects);

		mkdir(dir, 0700);
		free(dir);
		*fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	return *fd < 0 ? err_errno(errno, "create", "%s", path) : NULL;
}

/* The folder objects/hh of an object's path. */
static void
object_mkdir(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || (size_t)(slash - path) >= sizeof dir)
		return;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	mkdir(dir, 0700);
}

/* As an object is: nobody may write to it, and its time says that nobody did. */
static struct err *
object_finish(int fd, const char *name)
{
	if (fchmod(fd, 0444) != 0)
		return err_errno(errno, "chmod", "%s", name);
	return object_seal(fd, name);
}

/* What has its name now was hashed a moment ago. */
static int
object_learn(const char *path, const struct file *f)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		verified_learn(&f->id, &st);
	return 0;
}

/*
 * Moves dir/path to the object's name. One that is there is replaced, unread: its bytes are the same unless they were
 * damaged, and then this mends them. Gives an errno.
 */
static int
object_move(const char *objects, int dir, const char *path, const struct file *f)
{
	char to[PATH_MAX];

	object_path(objects, &f->id, to, sizeof to);
	if (renameat(dir, path, AT_FDCWD, to) == 0)
		return object_learn(to, f);
	if (errno != ENOENT)
		return errno;
	object_mkdir(to);
	return renameat(dir, path, AT_FDCWD, to) == 0 ? object_learn(to, f) : errno;
}

/* The same for a file that keeps its name: the object's is a second one of it. Gives an errno. */
static int
object_link(const char *objects, int dir, const char *path, const struct file *f)
{
	char to[PATH_MAX], tmp[PATH_MAX];
	int eno;

	object_path(objects, &f->id, to, sizeof to);
	object_mkdir(to);
	if (linkat(dir, path, AT_FDCWD, to, 0) == 0)
		return object_learn(to, f);
	if (errno != EEXIST)
		return errno;
	snprintf(tmp, sizeof tmp, "%s/tmp/%d-%u", objects, getpid(), temporaries++);
	if (linkat(dir, path, AT_FDCWD, tmp, 0) != 0)
		return errno;
	eno = object_move(objects, AT_FDCWD, tmp, f);
	unlink(tmp);	/* two names of one file: renaming one to the other leaves both */
	return eno;
}

static struct err *
file_hash(int fd, const char *name, struct file *f)
{
	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "seek", "%s", name);
	return sha256_fd(fd, name, &f->id, &f->size);
}

struct err *
objects_adopt(const char *objects, int dir, const char *path, int fd, struct file *out)
{
	struct file f;
	struct err *err = file_hash(fd, path, &f);
	int eno;

	if (err == NULL)
		err = object_finish(fd, path);
	if (err != NULL)
		return err;
	eno = object_move(objects, dir, path, &f);
	if (eno == EXDEV)
		return objects_import(objects, fd, path, &f.id, out);
	if (eno != 0)
		return err_errno(eno, "rename", "%s", path);
	*out = f;
	return NULL;
}

struct err *
objects_keep(const char *objects, int dir, const char *path, int fd, struct file *out)
{
	struct file f;
	struct err *err = file_hash(fd, path, &f);

	if (err == NULL)
		err = object_finish(fd, path);
	if (err != NULL)
		return err;
	if (object_link(objects, dir, path, &f) != 0)
		return objects_import(objects, fd, path, &f.id, out);
	*out = f;
	return NULL;
}

static struct err *
write_all(int to, const char *p, size_t n, const char *name)
{
	while (n > 0) {
		ssize_t k = write(to, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(errno, "write", "%s", name);
		p += k;
		n -= (size_t)k;
	}
	return NULL;
}

/* The plain way, for pairs of file systems that can do no better. */
static struct err *
copy_slices(int from, int to, off_t offset, const char *name)
{
	char *slice = xmalloc(COPY_SLICE);
	struct err *err = NULL;
	ssize_t k;

	while (err == NULL && (k = pread(from, slice, COPY_SLICE, offset)) != 0) {
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			err = err_errno(errno, "read", "%s", name);
			break;
		}
		err = write_all(to, slice, (size_t)k, name);
		offset += k;
	}
	free(slice);
	return err;
}

static struct err *
copy_bytes(int from, int to, const char *name)
{
	off_t offset = 0;
	ssize_t k;

	if (ioctl(to, FICLONE, from) == 0)
		return NULL;
	do
		k = copy_file_range(from, &offset, to, NULL, 16u << 20, 0);
	while (k > 0);
	if (k < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
		return err_errno(errno, "copy", "%s", name);
	/* Also after a 0: some file systems answer it for files that are not empty. */
	return copy_slices(from, to, offset, name);
}

struct err *
objects_import(const char *objects, int fd, const char *name, const struct digest *want, struct file *out)
{
	char path[PATH_MAX];
	struct file f;
	struct err *err;
	int to, eno;

	err = temporary_open(objects, path, sizeof path, &to);
	if (err != NULL)
		return err;
	err = copy_bytes(fd, to, name);
	if (err == NULL)
		err = file_hash(to, name, &f);
	if (err == NULL && want != NULL && !digest_equal(want, &f.id))
		err = err_new(ERR_INTEGRITY, "copy", "%s", name);
	if (err == NULL)
		err = object_finish(to, path);
	if (err == NULL && (eno = object_move(objects, AT_FDCWD, path, &f)) != 0)
		err = err_errno(eno, "rename", "%s", path);
	close(to);
	if (err != NULL)
		unlink(path);
	else
		*out = f;
	return err;
}

/* Reads all of it; one that is whole is known for it from now on. */
static bool
object_read_whole(int dir, const char *path, const struct digest *want)
{
	int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct digest got;
	struct err *err;
	struct stat st;
	bool whole;

	if (fd < 0)
		return false;
	err = sha256_fd(fd, path, &got, NULL);
	whole = err == NULL && digest_equal(&got, want);
	if (whole)
		err = object_seal(fd, path);
	if (whole && fstat(fd, &st) == 0)
		verified_learn(want, &st);
	err_free(err);		/* not sealed: it will be read once more */
	close(fd);
	return whole;
}

void
objects_quarantine(const char *objects, const struct digest *id)
{
	char path[PATH_MAX], away[PATH_MAX], hex[DIGEST_HEX + 1];

	digest_hex(id, hex);
	object_path(objects, id, path, sizeof path);
	snprintf(away, sizeof away, "%s/damaged", objects);
	mkdir(away, 0700);
	snprintf(away, sizeof away, "%s/damaged/%s", objects, hex);
	if (rename(path, away) != 0)
		unlink(path);
}

/* Somebody may have put a good one in its place meanwhile: that one stays. */
static void
quarantine_this(const char *objects, const struct digest *id, const struct stat *st)
{
	char object[PATH_MAX];
	struct stat now;

	object_path(objects, id, object, sizeof object);
	if (lstat(object, &now) == 0 && now.st_ino == st->st_ino)
		objects_quarantine(objects, id);
}

bool
objects_whole(const char *objects, const struct file *f, int dir, const char *path, const struct stat *st)
{
	bool size = S_ISREG(st->st_mode) && (uint64_t)st->st_size == f->size;

	if (size && (verified_knows(&f->id, st) || object_read_whole(dir, path, &f->id)))
		return true;
	quarantine_this(objects, &f->id, st);
	return false;
}

bool
objects_have(const char *objects, const struct file *f)
{
	char path[PATH_MAX];
	struct stat st;
	bool size;

	object_path(objects, &f->id, path, sizeof path);
	if (lstat(path, &st) != 0)
		return false;
	size = S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size;
	if (size && (object_sealed(&st) || object_read_whole(AT_FDCWD, path, &f->id)))
		return true;
	quarantine_this(objects, &f->id, &st);
	return false;
}

/* Read anyway, so it is checked as well. */
struct err *
objects_copy_out(int fd, const struct digest *want, int dir, const char *path)
{
	int to = openat(dir, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct err *err;
	struct file f;

	if (to < 0)
		return err_errno(errno, "create", "%s", path);
	err = copy_bytes(fd, to, path);
	if (err == NULL)
		err = file_hash(to, path, &f);
	if (err == NULL && !digest_equal(&f.id, want))
		err = err_new(ERR_INTEGRITY, "copy", "%s", path);
	if (err == NULL)
		err = object_finish(to, path);
	close(to);
	if (err != NULL)
		unlinkat(dir, path, 0);
	return err;
}
