/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_OBJECT_H
#define WEIR_STORE_OBJECT_H

#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "base/digest.h"
#include "base/err.h"

/*
 * Objects of a file repository, without a loop: OBJECTS/hh/<62 hex>, mode 0444, made in OBJECTS/tmp and
 * renamed into place. All of it blocks: for helper processes, tools, and (the short calls) the loop.
 *
 * Errors name the object and its path: `object sha256:…: missing (at PATH)`, NOT_EXIST, and
 * `object sha256:…: damaged (at PATH)`, INTEGRITY.
 *
 * The seal: an object's time of change is a fixed one, the same for all. Whoever writes to an object, by whatever of
 * its names, breaks it, so that one look at what stat says tells whether the bytes may have changed since they were
 * hashed. An object without it (written to, or copied here by other means) is read before it is used, and sealed
 * again if it is whole. It also gives commands the same times of their inputs, always.
 */
#define OBJECT_MTIME 1000000000
bool object_sealed(const struct stat *);
must_check struct err *object_seal(int fd, const char *name);

/* Gives a descriptor; size may be NULL. NOT_EXIST if it is missing. Not verified. */
must_check struct err *object_open(const char *objects, const struct digest *, int *fd, uint64_t *size);
/* From the descriptor of the folder: is it there, and sealed? False: object_stat says what is the matter. */
bool object_peek(int objects, const struct digest *, uint64_t *size);
/* Likewise, of each folder of objects: the same number as long as none has left it; 0: not to be told. */
#define OBJECT_PARTS 256
void object_stamps(int objects, uint64_t salt, time_t now, uint64_t stamp[OBJECT_PARTS]);
/* sealed may be NULL; false: its bytes are in doubt. */
must_check struct err *object_stat(const char *objects, const struct digest *, uint64_t *size, bool *sealed);
struct err *object_damaged(const char *objects, const struct digest *);	/* gives the error */
must_check struct err *object_verify(const char *objects, const struct digest *);	/* reads all of it */

/* Verifies, then copies to a descriptor (a terminal, a pipe): nothing is written of a damaged object. */
must_check struct err *object_copy_fd(const char *objects, const struct digest *, int out, const char *name);
/* Copies to a new file, by reflink where possible: it appears under its name, verified, or not at all. Replaces. */
must_check struct err *object_copy_path(const char *objects, const struct digest *, const char *path, mode_t mode);

/* Copies an open object, by reflink where possible, to an empty file that is open for both. INTEGRITY if damaged. */
must_check struct err *object_copy_open(const char *objects, const struct digest *, int in, int out, const char *name);

/* Gives a new file in OBJECTS/tmp, open for reading and writing, and its path. */
must_check struct err *object_tmp(const char *objects, int *fd, char **path);
/* Removes what writers that died left in OBJECTS/tmp: what nobody has changed since before. Never fails. */
void object_tmp_sweep(const char *objects, time_t before);
/*
 * Renames a finished file of the same file system to its place, read-only and sealed; digest and
 * bytes are the caller's promise. One that is already there is replaced, which mends a damaged one.
 */
must_check struct err *object_install(const char *objects, const char *path, const struct digest *);
/* The renaming alone, of a path below dir. Gives an errno. */
must_check int object_rename(const char *objects, int dir, const char *path, const struct digest *);
/* Stores bytes; sync: durable on return. */
must_check struct err *object_put_bytes(const char *objects, const void *, size_t, bool sync, struct digest *);
/* Copies what fd holds from its position on, by reflink where possible, and hashes it. want: what it must be, or NULL. */
must_check struct err *object_put_fd(
    const char *objects, int fd, const char *name, const struct digest *want, struct digest *, uint64_t *size);
/* Takes an object out of service, to OBJECTS/damaged: it reads as missing from now on. */
must_check struct err *object_quarantine(const char *objects, const struct digest *);

#endif
