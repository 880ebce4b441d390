/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_OBJECTS_H
#define WEIR_EXECUTOR_OBJECTS_H

#include "flow/fileset.h"

/*
 * Files of the repository as workers see them: blocking, without a loop. Objects are read-only files, never written to:
 * a new one takes the place of the old. Nothing is synced here: the writer of the databases does that.
 */
/* Hashes the open regular file and moves it into the repository, from path below dir. Gives its name and size. */
must_check struct err *objects_adopt(const char *objects, int dir, const char *path, int fd, struct file *);
/* Like adopt, but leaves the file where it is, by another name of the same inode or a copy. */
must_check struct err *objects_keep(const char *objects, int dir, const char *path, int fd, struct file *);
/* Copies (reflink where possible) the open file, hashing the copy. want: what it must be, or NULL. INTEGRITY if not. */
must_check struct err *objects_import(const char *objects, int fd, const char *name, const struct digest *want,
    struct file *);
bool objects_have(const char *objects, const struct file *);	/* present, with the right size */
void objects_quarantine(const char *objects, const struct digest *);	/* moves a damaged one away */
/* Copies fd to a new file (path below dir, 0444): reflink, else bytes. */
must_check struct err *objects_copy_out(int fd, int dir, const char *path);

#endif
