/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/verified.h"
#include "base/crash.h"
#include "store/object.h"
#include "store/root.h"

/*
 * objects: a file becomes an object by one rename or link, after it was hashed, made read-only and sealed, so
 * a name in the repository never shows a part of its bytes.
 */
/* As an object is: nobody may write to it, and its time says that nobody did. */
static struct err *
object_finish(int fd, const char *name)
{
	if (fchmod(fd, 0444) != 0)
		return err_errno(errno, "chmod", "%s", name);
	return object_seal(fd, name);
}

/* What has its name now was hashed a moment ago. */
static void
object_learn(const char *objects, const struct file *f)
{
	char path[PATH_MAX];
	struct stat st;

	object_path(objects, &f->id, path, sizeof path);
	if (lstat(path, &st) == 0)
		verified_learn(&f->id, &st);
}

/*
 * Gives dir/path the object's name as a second one. One that is there is replaced, unread, as by every installation.
 * Gives an errno.
 */
static int
object_link(const char *objects, int dir, const char *path, const struct file *f)
{
	static unsigned temporaries;	/* of this process */
	char to[PATH_MAX], tmp[PATH_MAX];
	int eno;

	object_path(objects, &f->id, to, sizeof to);
	crash_point("keeper-before-object-link");
	if (linkat(dir, path, AT_FDCWD, to, 0) == 0)
		return 0;
	if (errno != EEXIST && errno != ENOENT)
		return errno;
	snprintf(tmp, sizeof tmp, "%s/tmp/%d-%u", objects, getpid(), temporaries++);
	if (linkat(dir, path, AT_FDCWD, tmp, 0) != 0)
		return errno;
	eno = object_rename(objects, AT_FDCWD, tmp, &f->id);
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
	eno = object_rename(objects, dir, path, &f.id);
	if (eno == EXDEV)
		return objects_import(objects, fd, path, &f.id, out);
	if (eno != 0)
		return err_errno(eno, "rename", "%s", path);
	object_learn(objects, &f);
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
	object_learn(objects, &f);
	*out = f;
	return NULL;
}

struct err *
objects_import(const char *objects, int fd, const char *name, const struct digest *want, struct file *out)
{
	struct file f;
	struct err *err;

	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "seek", "%s", name);
	err = object_put_fd(objects, fd, name, want, &f.id, &f.size);
	if (err != NULL)
		return err;
	object_learn(objects, &f);
	*out = f;
	return NULL;
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
	struct err *err = object_quarantine(objects, id);
	char path[PATH_MAX];

	object_path(objects, id, path, sizeof path);
	if (err != NULL)
		unlink(path);
	err_free(err);
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
file_whole(const struct file *f, int dir, const char *path, const struct stat *st)
{
	bool size = S_ISREG(st->st_mode) && (uint64_t)st->st_size == f->size;

	return size && (verified_knows(&f->id, st) || object_read_whole(dir, path, &f->id));
}

bool
objects_whole(const char *objects, const struct file *f, int dir, const char *path, const struct stat *st)
{
	if (file_whole(f, dir, path, st))
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
objects_copy_out(const char *objects, const struct digest *want, int fd, int dir, const char *path)
{
	int to = openat(dir, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct err *err;

	if (to < 0)
		return err_errno(errno, "create", "%s", path);
	err = object_copy_open(objects, want, fd, to, path);
	if (err == NULL)
		err = object_finish(to, path);
	close(to);
	if (err != NULL)
		unlinkat(dir, path, 0);
	return err;
}

struct err *
objects_not_copied(const char *objects, const struct digest *id, struct err *err)
{
	struct err *again;

	if (err == NULL || !err_is(err, ERR_INTEGRITY))
		return err;
	again = object_verify(objects, id);
	if (again == NULL)		/* it was the copy: a disk or memory that errs, or the hand of somebody */
		return err_wrap_kind(err, ERR_TEMPORARY, NULL, NULL);
	err_free(again);
	err_free(err);
	objects_quarantine(objects, id);
	return NULL;
}
