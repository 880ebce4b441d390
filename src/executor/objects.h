/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_OBJECTS_H
#define WEIR_EXECUTOR_OBJECTS_H

#include <sys/stat.h>

#include "flow/fileset.h"

/*
 * Files of the repository as workers see them, over store/object.h: blocking, without a loop. None is ever written to:
 * a new one takes the place of the old. Nothing is synced here: the writer of the databases does that.
 */
/* Hashes the open regular file and moves it into the repository, from path below dir. Gives its name and size. */
must_check struct err *objects_adopt(const char *objects, int dir, const char *path, int fd, struct file *);
/* Like adopt, but leaves the file where it is, by another name of the same inode or a copy. */
must_check struct err *objects_keep(const char *objects, int dir, const char *path, int fd, struct file *);
/* Copies (reflink where possible) the open file, hashing the copy. want: what it must be, or NULL. INTEGRITY if not. */
must_check struct err *objects_import(const char *objects, int fd, const char *name, const struct digest *want,
    struct file *);
/*
 * Is it there? have: by its size and its seal (store/object.h), and read where that is broken. whole: a name of it (path
 * below dir, looked at already) that a command is to be given: it was read on this boot, and not written to since, or is
 * read now. What turns out damaged is moved away.
 */
bool objects_have(const char *objects, const struct file *);
bool objects_whole(const char *objects, const struct file *, int dir, const char *path, const struct stat *);
bool file_whole(const struct file *, int dir, const char *path, const struct stat *);	/* likewise, of any copy; which stays */
void objects_quarantine(const char *objects, const struct digest *);	/* moves a damaged one away */
/* Copies an object to a new file (path below dir, 0444, sealed): reflink, else bytes. INTEGRITY if it is damaged. */
must_check struct err *objects_copy_out(const char *objects, const struct digest *, int fd, int dir,
    const char *path);
/* What that error means (takes it; NULL is fine): of an object that is damaged indeed, NULL, and it is moved away. */
must_check struct err *objects_not_copied(const char *objects, const struct digest *, struct err *);

#endif
