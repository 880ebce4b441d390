/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/object.h"

/*
 * From paths to files. Folders are entered one by one, each by its descriptor and never through a link, so
 * that whatever lies below the folder already, nothing is written outside of it.
 */
#define COPY_STEP (128u << 10)

/* Order in which a folder's files come right after a file of its name: `a`, `a/b`, `a.b`. */
static int
cmp_path(const void *a, const void *b)
{
	const unsigned char *x = (const unsigned char *)((const struct planned *)a)->path;
	const unsigned char *y = (const unsigned char *)((const struct planned *)b)->path;

	while (*x != '\0' && *x == *y) {
		x++;
		y++;
	}
	if (*x == '/' && *y != '\0')
		return -1;
	if (*y == '/' && *x != '\0')
		return 1;
	return *x < *y ? -1 : *x > *y;
}

static struct err *
check_distinct(const struct file_plan *p)
{
	for (size_t i = 1; i < p->n; i++) {
		const char *a = p->v[i - 1].path, *b = p->v[i].path;
		size_t n = strlen(a);

		if (strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '/'))
			return err_msg(ERR_INVALID, "%s and %s cannot both be written: refused", a, b);
	}
	return NULL;
}

static struct err *
open_failed(const char *dir, const char *path)
{
	if (errno == ELOOP || errno == ENOTDIR)
		return err_msg(ERR_NOT_ALLOWED, "%s/%s: a link or a file stands where a folder must be", dir, path);
	return err_errno(errno, "open", "%s/%s", dir, path);
}

/*
 * The folder of a path, and the last component. fd -1: it does not exist (create not set). The names
 * that come before the last slash are entered; the path's own text is not changed.
 */
static struct err *
enter(int top, const char *dir, const char *path, bool create, int *out, const char **last)
{
	int fd = fcntl(top, F_DUPFD_CLOEXEC, 3), next;
	const char *slash;

	while (fd >= 0 && (slash = strchr(path, '/')) != NULL) {
		char *name = xstrndup(path, (size_t)(slash - path));

		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && errno == ENOENT && create && (mkdirat(fd, name, 0777) == 0 || errno == EEXIST))
			next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		free(name);
		close(fd);
		fd = next;
		if (fd < 0 && errno == ENOENT && !create)
			break;
		if (fd < 0)
			return open_failed(dir, path);
		path = slash + 1;
	}
	*out = fd;
	*last = path;
	return NULL;
}

static struct err *
has_content(int dirfd, const char *name, const struct stat *st, const struct file *f, bool *same)
{
	struct digest have;
	struct err *err;
	int fd;

	*same = false;
	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != f->size)
		return NULL;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(errno, "open", "%s", name);
	err = sha256_fd(fd, name, &have, NULL);
	close(fd);
	*same = err == NULL && digest_equal(&have, &f->id);
	return err;
}

static struct err *
check_one(int top, const char *dir, struct planned *p, bool force)
{
	struct stat st;
	const char *name;
	struct err *err;
	int fd;

	err = enter(top, dir, p->path, false, &fd, &name);
	if (err != NULL || fd < 0)
		return err;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			err = err_errno(errno, "look at", "%s/%s", dir, p->path);
	} else if (p->folder) {
		if (!S_ISDIR(st.st_mode))
			err = err_msg(ERR_PRECONDITION, "%s/%s exists and is no folder", dir, p->path);
	} else {
		err = has_content(fd, name, &st, &p->file, &p->same);
		if (err == NULL && !p->same && (S_ISDIR(st.st_mode) || !force))
			err = err_msg(ERR_PRECONDITION, "%s/%s exists %s", dir, p->path,
			    S_ISDIR(st.st_mode) ? "and is a folder" : "with other content; --force replaces it");
	}
	close(fd);
	return err;
}

static struct err *
copy_hashed(int from, int to, const char *name, struct digest *d)
{
	char *step = xmalloc(COPY_STEP);
	struct err *err = NULL;
	struct sha256 sha;
	ssize_t n, k;

	sha256_init(&sha);
	while (err == NULL && (n = read(from, step, COPY_STEP)) != 0) {
		if (n < 0) {
			if (errno != EINTR)
				err = err_errno(errno, "read", "object for %s", name);
			continue;
		}
		sha256_add(&sha, step, (size_t)n);
		for (ssize_t done = 0; err == NULL && done < n; done += k > 0 ? k : 0) {
			k = write(to, step + done, (size_t)(n - done));
			if (k < 0 && errno != EINTR)
				err = err_errno(errno, "write", "%s", name);
		}
	}
	sha256_final(&sha, d);
	free(step);
	return err;
}

/* The object's bytes in a new file that has its place but not yet its name. */
static struct err *
write_tmp(int dirfd, const char *tmp, const char *objects, const struct planned *p)
{
	struct digest have;
	int from, to;
	struct err *err = object_open(objects, &p->file.id, &from, NULL);

	if (err != NULL)
		return err;
	to = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (to < 0) {
		err = err_errno(errno, "make", "%s", p->path);
	} else {
		err = copy_hashed(from, to, p->path, &have);
		if (close(to) != 0 && err == NULL)
			err = err_errno(errno, "write", "%s", p->path);
		if (err == NULL && !digest_equal(&have, &p->file.id))
			err = object_damaged(objects, &p->file.id);
		if (err != NULL)
			(void)unlinkat(dirfd, tmp, 0);
	}
	close(from);
	return err;
}

static struct err *
name_tmp(int dirfd, const char *tmp, const char *name, const char *dir, const char *path, bool force)
{
	struct err *err = NULL;
	int rc = renameat2(dirfd, tmp, dirfd, name, force ? 0 : RENAME_NOREPLACE);

	if (rc != 0 && errno == EINVAL && !force)	/* a file system that cannot do it; checked before */
		rc = renameat(dirfd, tmp, dirfd, name);
	if (rc != 0 && errno == EEXIST)
		err = err_msg(ERR_PRECONDITION, "%s/%s has appeared meanwhile; --force replaces it", dir, path);
	else if (rc != 0)
		err = err_errno(errno, "rename to", "%s/%s", dir, path);
	if (err != NULL)
		(void)unlinkat(dirfd, tmp, 0);
	return err;
}

static struct err *
write_one(int top, const char *dir, const char *objects, const struct planned *p, bool force)
{
	char tmp[48];
	const char *name;
	struct err *err;
	int fd;

	err = enter(top, dir, p->path, true, &fd, &name);
	if (err != NULL)
		return err;
	if (fd < 0)
		return err_errno(errno, "open", "%s", dir);
	if (p->folder) {
		if (mkdirat(fd, name, 0777) != 0 && errno != EEXIST)
			err = err_errno(errno, "make", "%s/%s", dir, p->path);
	} else {
		snprintf(tmp, sizeof tmp, ".weir-get.%ld", (long)getpid());
		err = write_tmp(fd, tmp, objects, p);
		if (err == NULL)
			err = name_tmp(fd, tmp, name, dir, p->path, force);
	}
	close(fd);
	return err;
}

/* DIR itself is the user's word: it may be a link, and its parents are made. */
static struct err *
open_top(const char *dir, int *fd)
{
	char *path = xstrdup(dir);

	for (char *p = path + 1; *path != '\0' && *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(path, 0777);
		*p = '/';
	}
	(void)mkdir(path, 0777);
	free(path);
	*fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? err_errno(errno, "open", "%s", dir) : NULL;
}

struct err *
plan_write(struct file_plan *p, const char *objects, const char *dir, bool force, size_t *written, size_t *same)
{
	struct err *err;
	int top;

	*written = *same = 0;
	if (p->n > 0)
		qsort(p->v, p->n, sizeof *p->v, cmp_path);
	err = check_distinct(p);
	if (err == NULL)
		err = open_top(dir, &top);
	if (err != NULL)
		return err;
	for (size_t i = 0; err == NULL && i < p->n; i++)
		err = check_one(top, dir, &p->v[i], force);
	for (size_t i = 0; err == NULL && i < p->n; i++) {
		if (p->v[i].same) {
			++*same;
			continue;
		}
		err = write_one(top, dir, objects, &p->v[i], force);
		if (err == NULL && !p->v[i].folder)
			++*written;
	}
	close(top);
	return err;
}
