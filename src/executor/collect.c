/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/xalloc.h"
#include "executor/objects.h"
#include "executor/tree.h"

/*
 * collect: first everything is found, then taken: a file that a link names must not have been moved
 * away before the link is looked at. What a link names is kept where it is (it may be an input, or
 * another output), what is an output's own file is moved.
 */
#define COLLECT_DEPTH 128	/* of directories in an output */

struct found {
	char  *path;	/* in the fileset. owned */
	char  *file;	/* relative to keeper/. owned */
	size_t output;
	bool   link;	/* reached by a link: keep */
	struct file object;
};
struct ancestor {
	const struct ancestor *up;
	dev_t dev;
	ino_t ino;
	unsigned depth;
};
struct collect {
	const char *objects, *keeper, *work, *seen;
	const struct exec_config *config;
	size_t	      output;	/* the one being looked at */
	struct found *found;
	size_t	      n, cap;
};

static struct err *
fault(const struct collect *c, const char *path, const char *what)
{
	const char *name = c->config->outputs[c->output].name;

	if (strcmp(path, ".") == 0)
		return err_msg(ERR_EXEC, "output %s %s", name, what);
	return err_msg(ERR_EXEC, "output %s: %s %s", name, path, what);
}

static const char *
what_is(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFIFO:
		return "is a FIFO";
	case S_IFSOCK:
		return "is a socket";
	case S_IFBLK:
	case S_IFCHR:
		return "is a device";
	case S_IFDIR:
		return "is a directory, not a file";
	case S_IFREG:
		return "is a file, not a directory";
	default:
		return "is no file";
	}
}

static void
collect_add(struct collect *c, const char *path, const char *file, bool link)
{
	if (c->n == c->cap) {
		c->cap = c->cap != 0 ? 2 * c->cap : 16;
		c->found = xreallocarray(c->found, c->cap, sizeof *c->found);
	}
	c->found[c->n++] = (struct found){ .path = xstrdup(path), .file = xstrdup(file), .output = c->output,
		.link = link };
}

/* The rest of path behind prefix and a slash, or NULL. */
static const char *
path_below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* Follows a link to its end; gives the path relative to keeper/, or says why not. */
static struct err *
link_resolve(struct collect *c, const char *path, const char *file, char out[PATH_MAX])
{
	char proc[48], end[PATH_MAX], own[PATH_MAX];
	const char *rest;
	ssize_t n;
	int fd = open(file, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return fault(c, path, "is a link to nothing");
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	n = readlink(proc, end, sizeof end - 1);
	close(fd);
	if (n < 0)
		return err_errno(errno, "readlink", "%s", file);
	end[n] = '\0';
	snprintf(own, sizeof own, "%s/%s", c->keeper, c->work);
	rest = path_below(end, c->seen);
	if (rest == NULL)
		rest = path_below(end, own);
	if (rest == NULL)
		return fault(c, path, "is a link that leaves the exec's directory");
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", c->work, rest) >= PATH_MAX)
		return fault(c, path, "is a link to a path that is too long");
	return NULL;
}

static struct err *collect_any(struct collect *, const char *path, const char *file, bool link, bool want_dir,
    const struct ancestor *);

static struct err *
collect_dir(struct collect *c, const char *path, const char *file, bool link, const struct stat *st,
    const struct ancestor *up)
{
	struct ancestor self = { up, st->st_dev, st->st_ino, up != NULL ? up->depth + 1 : 0 };
	char below[PATH_MAX], name[PATH_MAX];
	struct err *err = NULL;
	struct dirent *e;
	DIR *d;

	for (; up != NULL; up = up->up) {
		if (up->dev == self.dev && up->ino == self.ino)
			return fault(c, path, "is a link to a directory that holds it");
	}
	if (self.depth > COLLECT_DEPTH)
		return fault(c, path, "is nested too deeply");
	d = opendir(file);
	if (d == NULL && errno == EACCES && chmod(file, 0700) == 0)
		d = opendir(file);
	if (d == NULL)
		return err_errno(errno, "open", "%s", file);
	while (err == NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if ((size_t)snprintf(below, sizeof below, "%s/%s", file, e->d_name) >= sizeof below)
			err = fault(c, path, "holds a path that is too long");
		else if (!name_is_text(e->d_name))
			err = fault(c, path, "holds a name that is not UTF-8");
		if (strcmp(path, ".") == 0)
			snprintf(name, sizeof name, "%s", e->d_name);
		else
			snprintf(name, sizeof name, "%s/%s", path, e->d_name);
		if (err == NULL)
			err = collect_any(c, name, below, link, false, &self);
	}
	closedir(d);
	return err;
}

/* Looks at one thing. At the top of an output (up NULL) it must be what was declared. */
static struct err *
collect_any(struct collect *c, const char *path, const char *file, bool link, bool want_dir, const struct ancestor *up)
{
	char target[PATH_MAX];
	struct err *err;
	struct stat st;

	if (lstat(file, &st) != 0)
		return errno == ENOENT ? fault(c, path, "was not created") : err_errno(errno, "stat", "%s", file);
	if (S_ISLNK(st.st_mode)) {
		err = link_resolve(c, path, file, target);
		if (err != NULL)
			return err;
		file = target;
		link = true;
		if (lstat(file, &st) != 0)
			return fault(c, path, "is a link to nothing");
	}
	if (S_ISREG(st.st_mode) && !(up == NULL && want_dir)) {
		collect_add(c, path, file, link);
		return NULL;
	}
	if (S_ISDIR(st.st_mode) && (up != NULL || want_dir))
		return collect_dir(c, path, file, link, &st, up);
	return fault(c, path, what_is(st.st_mode));
}

static struct err *
take_one(const struct collect *c, struct found *f)
{
	struct err *err;
	int fd = open(f->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && chmod(f->file, 0400) == 0)
		fd = open(f->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "open", "%s", f->file);
	err = f->link ? objects_keep(c->objects, AT_FDCWD, f->file, fd, &f->object)
		      : objects_adopt(c->objects, AT_FDCWD, f->file, fd, &f->object);
	close(fd);
	return err;
}

static struct err *
take_all(struct collect *c)
{
	struct err *err = NULL;

	for (int links = 1; links >= 0; links--) {
		for (size_t i = 0; i < c->n && err == NULL; i++) {
			if (c->found[i].link == (links == 1))
				err = take_one(c, &c->found[i]);
		}
	}
	return err;
}

static struct fileset *
filesets_of(const struct collect *c)
{
	size_t n = c->config->noutputs;
	struct fileset **list = xcalloc(n + 1, sizeof *list);
	struct fileset_builder **b = xcalloc(n + 1, sizeof *b);
	struct fileset *out;

	for (size_t k = 0; k < n; k++)
		b[k] = fileset_builder_new();
	for (size_t i = 0; i < c->n; i++)
		fileset_builder_add(b[c->found[i].output], c->found[i].path, &c->found[i].object);
	for (size_t k = 0; k < n; k++)
		list[k] = fileset_builder_finish(b[k]);
	out = fileset_list(list, n);
	for (size_t k = 0; k < n; k++)
		fileset_unref(list[k]);
	free(list);
	free(b);
	return out;
}

struct err *
collect_outputs(const char *objects, const char *keeper, const char *work, const char *seen,
    const struct exec_config *config, struct fileset **out)
{
	struct collect c = { .objects = objects, .keeper = keeper, .work = work, .seen = seen, .config = config };
	char file[PATH_MAX];
	struct err *err = NULL;

	for (c.output = 0; c.output < config->noutputs && err == NULL; c.output++) {
		snprintf(file, sizeof file, "%s/return/%zu", work, c.output);
		err = collect_any(&c, ".", file, false, config->outputs[c.output].dir, NULL);
	}
	if (err == NULL)
		err = take_all(&c);
	if (err == NULL)
		*out = filesets_of(&c);
	for (size_t i = 0; i < c.n; i++) {
		free(c.found[i].path);
		free(c.found[i].file);
	}
	free(c.found);
	crash_point("keeper-outputs-renamed");
	return err;
}

struct err *
collect_log(const char *objects, int dir, const char *name, struct file *out)
{
	struct err *err = NULL;
	struct stat st;
	int fd;

	memset(out, 0, sizeof *out);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_size == 0)
		return NULL;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "open", "%s", name);
	/* The name stays: one who follows the log may be about to open it. */
	err = objects_keep(objects, dir, name, fd, out);
	close(fd);
	return err;
}
