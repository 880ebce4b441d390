/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "executor/inputs.h"
#include "executor/objects.h"
#include "store/root.h"

/*
 * stage: the happy way of an input is one linkat. Everything else (folders, a missing object, a file
 * system's limit of links) is found out by its failure.
 */

static void
make_parents(int arg, const char *path)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path, '/'); p != NULL; p = strchr(p + 1, '/')) {
		if ((size_t)(p - path) >= sizeof part)
			return;
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		mkdirat(arg, part, 0755);
	}
}

static struct err *
changed(const char *origin)
{
	return err_msg(ERR_TEMPORARY, "input changed meanwhile: %s", origin);
}

/* Brings a local file into the repository, if it is still what was identified. */
static struct err *
origin_import(const char *objects, const struct exec_input *in)
{
	struct err *err;
	struct stat st;
	struct file f;
	int fd = open(in->origin, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? changed(in->origin)
							   : err_errno(errno, "open", "%s", in->origin);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != in->file.size) {
		close(fd);
		return changed(in->origin);
	}
	err = objects_import(objects, fd, in->origin, &in->file.id, &f);
	close(fd);
	if (err != NULL && err_is(err, ERR_INTEGRITY)) {
		err_free(err);
		err = changed(in->origin);
	}
	return err;
}

/*
 * Where a hard link cannot be, because there are too many of them. *whole stays false when the object is gone or damaged.
 */
static struct err *
stage_copy(const char *objects, const char *object, int arg, const struct exec_input *in, bool *whole)
{
	struct err *err;
	int fd = open(object, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? NULL : err_errno(errno, "open", "%s", object);
	err = objects_copy_out(objects, &in->file.id, fd, arg, in->path);
	close(fd);
	*whole = err == NULL;
	return objects_not_copied(objects, &in->file.id, err);
}

int
stage_link(const char *object, int arg, const char *path)
{
	crash_point("keeper-before-input-link");
	if (linkat(AT_FDCWD, object, arg, path, 0) == 0)
		return 0;
	if (errno == ENOENT) {
		make_parents(arg, path);
		if (linkat(AT_FDCWD, object, arg, path, 0) == 0)
			return 0;
	}
	return errno;
}

/* Is what we have linked to still the object? If not, it is taken out of everybody's way. */
static struct err *
stage_look(const char *objects, int arg, const struct exec_input *in, bool *whole)
{
	struct stat st;

	if (fstatat(arg, in->path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_errno(errno, "stat", "arg/%s", in->path);
	*whole = objects_whole(objects, &in->file, arg, in->path, &st);
	if (!*whole && unlinkat(arg, in->path, 0) != 0)
		return err_errno(errno, "unlink", "arg/%s", in->path);
	return NULL;
}

static struct err *
stage_object(const char *objects, int arg, const struct exec_input *in, bool *whole)
{
	static bool elsewhere;	/* the repository is on another file system */
	char object[PATH_MAX];
	int eno;

	*whole = false;
	object_path(objects, &in->file.id, object, sizeof object);
	eno = elsewhere ? EXDEV : stage_link(object, arg, in->path);
	elsewhere = eno == EXDEV;
	if (elsewhere)
		return inputs_stage(objects, arg, in, whole);
	if (eno == 0)
		return stage_look(objects, arg, in, whole);
	if (eno == ENOENT)
		return NULL;
	if (eno == EMLINK || eno == EPERM || eno == EOPNOTSUPP)
		return stage_copy(objects, object, arg, in, whole);
	return err_errno(eno, "link", "arg/%s", in->path);
}

/* *whole: it is staged. If not, and there is no error, its object is gone or damaged, and so is where it came from. */
static struct err *
stage_file(const char *objects, int arg, const struct exec_input *in, struct stage_mark *mark, bool *whole)
{
	struct err *err = stage_object(objects, arg, in, whole);

	if (err == NULL && !*whole && in->origin != NULL) {
		err = origin_import(objects, in);
		if (err == NULL)
			err = stage_object(objects, arg, in, whole);
	}
	if (err == NULL && *whole && mark != NULL && fstatat(arg, in->path, &mark->st, AT_SYMLINK_NOFOLLOW) != 0)
		err = err_errno(errno, "stat", "arg/%s", in->path);
	return err;
}

static struct err *
open_arg(const char *work, int *fd)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/arg", work);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? err_errno(errno, "open", "%s", path) : NULL;
}

static struct err *
stage_dir(int arg, const char *path)
{
	make_parents(arg, path);
	if (mkdirat(arg, path, 0755) != 0 && errno != EEXIST)
		return err_errno(errno, "mkdir", "arg/%s", path);
	return NULL;
}

static struct err *
missing_error(const struct fileset *missing)
{
	const struct fileset_entry *first = fileset_at(missing, 0);
	size_t n = fileset_nmap(missing);
	char text[DIGEST_STR + 1];

	digest_str(&first->file.id, text);
	if (n == 1)
		return err_msg(ERR_NOT_EXIST, "object %s of input %s is missing or damaged", text, first->path);
	return err_msg(ERR_NOT_EXIST, "%zu objects of inputs are missing or damaged, the first %s of input %s", n, text,
	    first->path);
}

/* Goes on after the first that is missing: whoever brings them back is told of all at once. */
static struct err *
stage_all(const char *objects, int arg, const struct exec_config *c, struct stage_mark *marks,
    struct fileset_builder **missing)
{
	struct err *err = NULL;
	bool whole;

	for (size_t i = 0; i < c->ninputs && err == NULL; i++) {
		const struct exec_input *in = &c->inputs[i];

		if (in->dir) {
			err = stage_dir(arg, in->path);
			continue;
		}
		err = stage_file(objects, arg, in, marks != NULL ? &marks[i] : NULL, &whole);
		if (err != NULL || whole)
			continue;
		if (*missing == NULL)
			*missing = fileset_builder_new();
		fileset_builder_add(*missing, in->path, &in->file);
	}
	return err;
}

struct err *
stage_inputs(const char *objects, const char *work, const struct exec_config *c, struct stage_mark *marks,
    struct fileset **missing)
{
	struct fileset_builder *gone = NULL;
	struct err *err;
	int arg;

	err = open_arg(work, &arg);
	if (err != NULL)
		return err;
	err = stage_all(objects, arg, c, marks, &gone);
	close(arg);
	if (err == NULL && gone != NULL) {
		*missing = fileset_builder_finish(gone);
		gone = NULL;
		err = missing_error(*missing);
	}
	fileset_builder_free(gone);
	crash_point("keeper-staged");
	return err;
}

struct err *
stage_outputs(const char *work, const struct exec_config *c)
{
	char path[PATH_MAX];

	for (size_t k = 0; k < c->noutputs; k++) {
		if (!c->outputs[k].dir)
			continue;
		snprintf(path, sizeof path, "%s/return/%zu", work, k);
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return err_errno(errno, "mkdir", "return/%zu", k);
	}
	return NULL;
}

static bool
same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool
same_ctime(const struct stat *a, const struct stat *b)
{
	return a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * The object itself is what others will use: it is damaged if its bytes changed. Its ctime moves with
 * every link that another exec makes, so a moved ctime alone only asks for a closer look. If somebody has removed
 * it meanwhile, the input is what is left of it.
 */
static bool
object_changed(const char *objects, const struct exec_input *in, int arg, const struct stage_mark *mark)
{
	char object[PATH_MAX];
	struct digest now;
	struct err *err;
	struct stat st;
	uint64_t size;
	bool gone, same;
	int fd;

	if (fstatat(arg, in->path, &st, AT_SYMLINK_NOFOLLOW) == 0 && same_inode(&st, &mark->st) &&
	    same_ctime(&st, &mark->st))
		return false;
	object_path(objects, &in->file.id, object, sizeof object);
	fd = open(object, O_RDONLY | O_CLOEXEC);
	gone = fd < 0 && errno == ENOENT;
	if (gone)
		fd = openat(arg, in->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return true;
	err = sha256_fd(fd, object, &now, &size);
	same = err == NULL && digest_equal(&now, &in->file.id);
	err_free(err);
	/* a copy may have been written to, or the link replaced: then the input was not left alone either */
	if (same)
		same = fstatat(arg, in->path, &st, AT_SYMLINK_NOFOLLOW) == 0 && same_inode(&st, &mark->st);
	else if (!gone)
		objects_quarantine(objects, &in->file.id);
	close(fd);
	return !same;
}

struct err *
stage_check(const char *objects, const char *work, const struct exec_config *c, const struct stage_mark *marks)
{
	struct err *err;
	int arg;

	err = open_arg(work, &arg);
	if (err != NULL)
		return err;
	for (size_t i = 0; i < c->ninputs; i++) {
		if (c->inputs[i].dir || !object_changed(objects, &c->inputs[i], arg, &marks[i]))
			continue;
		if (err == NULL)
			err = err_msg(ERR_EXEC, "the command changed its input %s", c->inputs[i].path);
	}
	close(arg);
	return err;
}
