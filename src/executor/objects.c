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
#include "store/root.h"

/*
 * objects: a file becomes an object by one rename or link, after it was hashed and made read-only, so
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

static bool
object_whole(const char *path, uint64_t size)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
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

	if (err == NULL && fchmod(fd, 0444) != 0)
		err = err_errno(errno, "chmod", "%s", path);
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

	if (err == NULL && fchmod(fd, 0444) != 0)
		err = err_errno(errno, "chmod", "%s", path);
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
	if (err == NULL && fchmod(to, 0444) != 0)
		err = err_errno(errno, "chmod", "%s", path);
	if (err == NULL && (eno = object_move(objects, AT_FDCWD, path, &f)) != 0)
		err = err_errno(eno, "rename", "%s", path);
	close(to);
	if (err != NULL)
		unlink(path);
	else
		*out = f;
	return err;
}

bool
objects_have(const char *objects, const struct file *f)
{
	char path[PATH_MAX];

	object_path(objects, &f->id, path, sizeof path);
	return object_whole(path, f->size);
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

struct err *
objects_copy_out(int fd, int dir, const char *path)
{
	struct err *err;
	int to = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (to < 0)
		return err_errno(errno, "create", "%s", path);
	err = copy_bytes(fd, to, path);
	if (err == NULL && fchmod(to, 0444) != 0)
		err = err_errno(errno, "chmod", "%s", path);
	close(to);
	return err;
}
