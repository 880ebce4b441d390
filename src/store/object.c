/* SPDX-License-Identifier: Apache-2.0 */
#include "store/object.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/xalloc.h"
#include "store/root.h"

/*
 * Objects on disk. What a reader would get wrong: installing renames over an object that is there,
 * on purpose. The bytes are the same unless the old ones were damaged, and then this mends them;
 * who has the old file open or linked keeps it.
 */

#define BLOCK (256u << 10)

static struct err *
object_error(enum err_kind kind, const char *objects, const struct digest *d, const char *what)
{
	char name[DIGEST_STR + 1], path[PATH_MAX];
	struct err *err;

	digest_str(d, name);
	object_path(objects, d, path, sizeof path);
	err = err_new(kind, "object", "%s", name);
	err->msg = xasprintf("%s (at %s)", what, path);
	return err;
}

struct err *
object_damaged(const char *objects, const struct digest *d)
{
	return object_error(ERR_INTEGRITY, objects, d, "damaged");
}

static struct err *
object_errno(int eno, const char *objects, const struct digest *d)
{
	char name[DIGEST_STR + 1];

	if (eno == ENOENT)
		return object_error(ERR_NOT_EXIST, objects, d, "missing");
	digest_str(d, name);
	return err_errno(eno, "object", "%s", name);
}

struct err *
object_open(const char *objects, const struct digest *d, int *out, uint64_t *size)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	object_path(objects, d, path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return object_errno(errno, objects, d);
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return object_damaged(objects, d);
	}
	if (size)
		*size = (uint64_t)st.st_size;
	*out = fd;
	return NULL;
}

bool
object_sealed(const struct stat *st)
{
	return st->st_mtim.tv_sec == OBJECT_MTIME && st->st_mtim.tv_nsec == 0;
}

bool
object_peek(int objects, const struct digest *d, uint64_t *size)
{
	char hex[DIGEST_HEX + 1], name[DIGEST_HEX + 2];
	struct stat st;

	digest_hex(d, hex);
	memcpy(name, hex, 2);
	name[2] = '/';
	memcpy(name + 3, hex + 2, sizeof hex - 2);
	if (fstatat(objects, name, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode) || !object_sealed(&st))
		return false;
	*size = (uint64_t)st.st_size;
	return true;
}

static const struct timespec seal[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = OBJECT_MTIME } };

struct err *
object_seal(int fd, const char *name)
{
	return futimens(fd, seal) == -1 ? err_errno(errno, "seal", "%s", name) : NULL;
}

struct err *
object_stat(const char *objects, const struct digest *d, uint64_t *size, bool *sealed)
{
	char path[PATH_MAX];
	struct stat st;

	object_path(objects, d, path, sizeof path);
	if (lstat(path, &st) == -1)
		return object_errno(errno, objects, d);
	if (!S_ISREG(st.st_mode))
		return object_damaged(objects, d);
	*size = (uint64_t)st.st_size;
	if (sealed)
		*sealed = object_sealed(&st);
	return NULL;
}

static struct err *
write_all(int fd, const char *name, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1)
			return err_errno(errno, "write", "%s", name);
		p += w;
		n -= (size_t)w;
	}
	return NULL;
}

/* Copies and hashes in one pass. */
static struct err *
copy_hashed(int in, const char *in_name, int out, const char *out_name, struct digest *d, uint64_t *size)
{
	char *block = xmalloc(BLOCK);
	struct err *err = NULL;
	struct sha256 sha;
	uint64_t total = 0;
	ssize_t n;

	sha256_init(&sha);
	while (!err && (n = read(in, block, BLOCK)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			err = err_errno(errno, "read", "%s", in_name);
			break;
		}
		sha256_add(&sha, block, (size_t)n);
		total += (uint64_t)n;
		err = write_all(out, out_name, block, (size_t)n);
	}
	free(block);
	if (err)
		return err;
	sha256_final(&sha, d);
	if (size)
		*size = total;
	return NULL;
}

static struct err *
verify_fd(const char *objects, const struct digest *d, int fd)
{
	char path[PATH_MAX];
	struct digest got;
	struct err *err;

	object_path(objects, d, path, sizeof path);
	err = sha256_fd(fd, path, &got, NULL);
	if (!err && !digest_equal(d, &got))
		err = object_damaged(objects, d);
	return err;
}

struct err *
object_verify(const char *objects, const struct digest *d)
{
	struct err *err;
	int fd;

	err = object_open(objects, d, &fd, NULL);
	if (err)
		return err;
	err = verify_fd(objects, d, fd);
	close(fd);
	return err;
}

struct err *
object_copy_fd(const char *objects, const struct digest *d, int out, const char *name)
{
	char path[PATH_MAX];
	struct digest got;
	struct err *err;
	int fd;

	err = object_open(objects, d, &fd, NULL);
	if (err)
		return err;
	err = verify_fd(objects, d, fd);
	if (!err && lseek(fd, 0, SEEK_SET) == -1)
		err = err_errno(errno, "read", "%s", name);
	object_path(objects, d, path, sizeof path);
	if (!err)
		err = copy_hashed(fd, path, out, name, &got, NULL);
	if (!err && !digest_equal(d, &got))	/* it changed between the two passes */
		err = object_damaged(objects, d);
	close(fd);
	return err;
}

struct err *
object_copy_open(const char *objects, const struct digest *d, int in, int out, const char *name)
{
	char path[PATH_MAX];
	struct digest got;
	struct err *err;

	object_path(objects, d, path, sizeof path);
	if (ioctl(out, FICLONE, in) == 0)
		err = sha256_fd(out, name, &got, NULL);
	else
		err = copy_hashed(in, path, out, name, &got, NULL);
	if (!err && !digest_equal(d, &got))
		err = object_damaged(objects, d);
	return err;
}

static char *
tmp_name(const char *dir, const char *prefix)
{
	uint64_t r[2] = { 0 };

	if (getrandom(r, sizeof r, 0) != sizeof r)
		r[0] = (uint64_t)getpid();
	return xasprintf("%s/%s%016llx%016llx", dir, prefix, (unsigned long long)r[0], (unsigned long long)r[1]);
}

static char *
dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

struct err *
object_copy_path(const char *objects, const struct digest *d, const char *path, mode_t mode)
{
	char *dir = dir_of(path), *tmp = tmp_name(dir, ".weir-");
	struct err *err;
	int in = -1, out = -1;

	err = object_open(objects, d, &in, NULL);
	if (err)
		goto out;
	out = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (out == -1) {
		err = err_errno(errno, "create", "%s", path);
		goto out;
	}
	err = object_copy_open(objects, d, in, out, path);
	crash_point("store-before-copy-rename");
	if (!err && rename(tmp, path) == -1)
		err = err_errno(errno, "create", "%s", path);
	if (err)
		unlink(tmp);
out:
	if (in != -1)
		close(in);
	if (out != -1)
		close(out);
	free(tmp);
	free(dir);
	return err;
}

struct err *
object_tmp(const char *objects, int *out, char **path)
{
	char *dir = xasprintf("%s/tmp", objects), *name = tmp_name(dir, "");
	struct err *err = NULL;
	int fd;

	fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 && errno == ENOENT && mkdir(dir, 0700) == 0)
		fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1) {
		err = err_errno(errno, "create", "%s", name);
		free(name);
	} else {
		*out = fd;
		*path = name;
	}
	free(dir);
	return err;
}

void
object_tmp_sweep(const char *objects, time_t before)
{
	char *path = xasprintf("%s/tmp", objects);
	DIR *d = opendir(path);
	struct dirent *de;
	struct stat st;

	while (d && (de = readdir(d)))
		if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    st.st_ctime < before)	/* not the mtime: a seal sets it, just before the rename */
			unlinkat(dirfd(d), de->d_name, 0);
	if (d)
		closedir(d);
	free(path);
}

static int
rename_into(int dirfd, const char *path, const char *dest)
{
	char *dir;

	if (renameat(dirfd, path, AT_FDCWD, dest) == 0)
		return 0;
	if (errno != ENOENT)
		return errno;
	dir = dir_of(dest);
	if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
		int eno = errno;

		free(dir);
		return eno;
	}
	free(dir);
	return renameat(dirfd, path, AT_FDCWD, dest) == 0 ? 0 : errno;
}

int
object_rename(const char *objects, int dir, const char *path, const struct digest *d)
{
	char dest[PATH_MAX];
	int eno;

	object_path(objects, d, dest, sizeof dest);
	eno = rename_into(dir, path, dest);
	crash_point("store-object-renamed");
	return eno;
}

struct err *
object_install(const char *objects, const char *path, const struct digest *d)
{
	char dest[PATH_MAX];
	int eno;

	object_path(objects, d, dest, sizeof dest);
	if (chmod(path, 0444) == -1)
		return err_errno(errno, "chmod", "%s", path);
	if (utimensat(AT_FDCWD, path, seal, AT_SYMLINK_NOFOLLOW) == -1)
		return err_errno(errno, "seal", "%s", path);
	crash_point("store-before-object-rename");
	eno = rename_into(AT_FDCWD, path, dest);
	return eno ? err_errno(eno, "install", "%s", dest) : NULL;
}

/* The folder too: a name that is not on the disk is a lost object. */
static struct err *
sync_object(const char *objects, const struct digest *d)
{
	char path[PATH_MAX], *dir;
	struct err *err = NULL;
	int fd;

	object_path(objects, d, path, sizeof path);
	dir = dir_of(path);
	for (const char *p = dir; p && !err; p = p == dir ? objects : NULL) {
		fd = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		crash_point("store-before-folder-sync");
		if (fd == -1 || fsync(fd) == -1)
			err = err_errno(errno, "sync", "%s", p);
		if (fd != -1)
			close(fd);
	}
	free(dir);
	return err;
}

/* Syncs the object if it is there and whole; false if it must be made, or made again. */
static bool
object_sync_same(const char *objects, size_t n, const struct digest *d)
{
	struct digest got;
	struct err *err;
	uint64_t size;
	bool same;
	int fd;

	err = object_open(objects, d, &fd, &size);
	if (err) {
		err_free(err);
		return false;
	}
	err = size == n ? sha256_fd(fd, "object", &got, NULL) : object_damaged(objects, d);
	crash_point("store-before-object-sync");
	same = !err && digest_equal(&got, d) && fsync(fd) == 0;
	err_free(err);
	close(fd);
	return same;
}

struct err *
object_put_bytes(const char *objects, const void *p, size_t n, bool sync, struct digest *out)
{
	struct digest d;
	struct err *err;
	char *tmp;
	int fd;

	sha256_of(p, n, &d);
	*out = d;
	/* Nothing new on the disk, nothing to wait for: syncing what is durable already costs little. */
	if (sync && object_sync_same(objects, n, &d))
		return sync_object(objects, &d);
	err = object_tmp(objects, &fd, &tmp);
	if (err)
		return err;
	err = write_all(fd, objects, p, n);
	crash_point("store-before-object-sync");
	if (!err && sync && fsync(fd) == -1)
		err = err_errno(errno, "sync", "%s", objects);
	close(fd);
	if (!err)
		err = object_install(objects, tmp, &d);
	if (err)
		unlink(tmp);
	else if (sync)
		err = sync_object(objects, &d);
	free(tmp);
	return err;
}

struct err *
object_put_fd(
    const char *objects, int in, const char *name, const struct digest *want, struct digest *out, uint64_t *size)
{
	char hex[DIGEST_STR + 1];
	struct digest d;
	struct err *err;
	char *tmp;
	int fd;

	err = object_tmp(objects, &fd, &tmp);
	if (err)
		return err;
	if (lseek(in, 0, SEEK_CUR) == 0 && ioctl(fd, FICLONE, in) == 0)
		err = sha256_fd(fd, name, &d, size);
	else
		err = copy_hashed(in, name, fd, objects, &d, size);
	close(fd);
	if (!err && want && !digest_equal(want, &d)) {
		digest_str(want, hex);
		err = err_msg(ERR_INTEGRITY, "%s does not have the digest %s", name, hex);
	}
	if (!err)
		err = object_install(objects, tmp, &d);
	if (err)
		unlink(tmp);
	else
		*out = d;
	free(tmp);
	return err;
}

struct err *
object_quarantine(const char *objects, const struct digest *d)
{
	char path[PATH_MAX], hex[DIGEST_HEX + 1];
	struct err *err = NULL;
	char *dest;
	int eno;

	object_path(objects, d, path, sizeof path);
	digest_hex(d, hex);
	dest = xasprintf("%s/damaged/%s", objects, hex);
	eno = rename_into(AT_FDCWD, path, dest);
	if (eno)
		err = object_errno(eno, objects, d);
	free(dest);
	return err;
}
