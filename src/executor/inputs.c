/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/crash.h"
#include "executor/objects.h"
#include "executor/stage.h"
#include "executor/verified.h"
#include "store/root.h"

/*
 * inputs: one copies while others who want the same wait, by a lock on the folder of the name. A copy has a name that
 * begins with a dot until it is whole. What a reader would get wrong: a copy in use may lose its name at any time, which
 * takes nothing from who has a link.
 */
#define INPUTS	   "inputs"	/* below keeper/, where we are */
#define KEEP_FREE  5		/* a fifth of the file system is to stay free */
#define TRIM_PAUSE 10		/* seconds between looks for what could go */

enum trim { TRIM_UNFINISHED, TRIM_UNUSED };

static void
trim_folder(const char *path, enum trim what)
{
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;

	while (d != NULL && (e = readdir(d)) != NULL) {
		bool unfinished = e->d_name[0] == '.';

		if (unfinished != (what == TRIM_UNFINISHED) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISREG(st.st_mode) && st.st_nlink == 1)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d != NULL)
		closedir(d);
}

static void
trim(enum trim what)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(path, sizeof path, INPUTS "/%02x", i);
		trim_folder(path, what);
	}
}

void
inputs_begin(void)
{
	trim(TRIM_UNFINISHED);
}

/* Would so much more leave too little? Then what nobody uses makes room. */
static void
make_room(uint64_t size)
{
	static time_t looked;
	time_t now = time(NULL);
	struct statvfs fs;

	if (statvfs(INPUTS, &fs) != 0 || now - looked < TRIM_PAUSE)
		return;
	if (fs.f_bavail > fs.f_blocks / KEEP_FREE && (fs.f_bavail - fs.f_blocks / KEEP_FREE) * fs.f_frsize >= size)
		return;
	looked = now;
	trim(TRIM_UNUSED);
}

/* The folder of the name, made if need be, open and locked. */
static struct err *
lock_folder(const char *path, int *fd)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
	if (mkdir(dir, 0700) != 0 && errno == ENOENT) {
		mkdir(INPUTS, 0700);
		mkdir(dir, 0700);
	}
	*fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return err_errno(errno, "open", "%s", dir);
	while (flock(*fd, LOCK_EX) != 0 && errno == EINTR)
		;
	return NULL;
}

static struct err *
copy_object(const char *objects, const struct exec_input *in, int from, int folder, const char *name)
{
	char tmp[32];
	struct err *err;
	struct stat st;

	snprintf(tmp, sizeof tmp, ".%d", getpid());
	if (lseek(from, 0, SEEK_SET) != 0)
		return err_errno(errno, "seek", "%s", name);
	err = objects_copy_out(objects, &in->file.id, from, folder, tmp);
	crash_point("keeper-input-copied");
	if (err == NULL && renameat(folder, tmp, folder, name) != 0)
		err = err_errno(errno, "rename", INPUTS "/%s", name);
	if (err == NULL && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		verified_learn(&in->file.id, &st);
	return err;
}

/* *whole: it is there now. */
static struct err *
fetch_open(const char *objects, const struct exec_input *in, int from, const char *path, bool *whole)
{
	const char *name = strrchr(path, '/') + 1;
	struct err *err;
	struct stat st;
	int folder;

	err = lock_folder(path, &folder);
	if (err != NULL)
		return err;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {	/* somebody was faster */
		*whole = true;
		close(folder);
		return NULL;
	}
	make_room(in->file.size);
	err = copy_object(objects, in, from, folder, name);
	if (err != NULL && !err_is(err, ERR_INTEGRITY)) {	/* no room, it seems */
		err_free(err);
		trim(TRIM_UNUSED);
		err = copy_object(objects, in, from, folder, name);
	}
	close(folder);
	*whole = err == NULL;
	return objects_not_copied(objects, &in->file.id, err_wrap(err, "copy", in->path));
}

static struct err *
fetch(const char *objects, const struct exec_input *in, const char *path, bool *whole)
{
	char object[PATH_MAX];
	struct err *err;
	int from;

	object_path(objects, &in->file.id, object, sizeof object);
	from = open(object, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return errno == ENOENT ? NULL : err_errno(errno, "open", "%s", object);
	err = fetch_open(objects, in, from, path, whole);
	close(from);
	return err;
}

/* A copy that was written to is thrown away. */
static struct err *
look(int arg, const struct exec_input *in, const char *path, bool *whole)
{
	struct stat st, now;

	if (fstatat(arg, in->path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_errno(errno, "stat", "arg/%s", in->path);
	*whole = file_whole(&in->file, arg, in->path, &st);
	if (*whole)
		return NULL;
	if (lstat(path, &now) == 0 && now.st_ino == st.st_ino)
		unlink(path);
	return unlinkat(arg, in->path, 0) == 0 ? NULL : err_errno(errno, "unlink", "arg/%s", in->path);
}

struct err *
inputs_stage(const char *objects, int arg, const struct exec_input *in, bool *whole)
{
	char path[PATH_MAX];
	struct err *err = NULL;
	bool there = true;
	int eno;

	*whole = false;
	object_path(INPUTS, &in->file.id, path, sizeof path);
	for (unsigned i = 0; i < 3 && err == NULL && there && !*whole; i++) {
		eno = stage_link(path, arg, in->path);
		if (eno == 0) {
			err = look(arg, in, path, whole);
		} else if (eno == ENOENT) {
			there = false;
			err = fetch(objects, in, path, &there);
		} else {
			return err_errno(eno, "link", "arg/%s", in->path);
		}
	}
	return err;
}
