/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_REPO_FILE_H
#define WEIR_STORE_REPO_FILE_H

#include "iface/repo.h"

/*
 * The repository of a root: files by digest on a local disk. Bytes pass in slices, hashed as they
 * pass; an object that does not hash to its name fails the last read. Objects are renamed unsynced:
 * the writer of the databases syncs them before an assoc entry names them.
 * Without a loop the same objects are reached through store/object.h.
 */
struct repo *repo_file_new(struct loop *, const char *objects, const char *name);	/* copies objects; keeps name */

#endif
