/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_ROOT_H
#define WEIR_STORE_ROOT_H

#include "base/digest.h"
#include "base/err.h"

/*
 * The layout of a root: journal/<controller>/NNNNNN.wal, objects/hh/<62 hex>, certs/; and, node-local
 * (below the root unless that is a network file system), keeper/ and db/. Readable without a loop.
 */
#define ROOT_NETWORK_ENV "WEIR_NETWORK_FS"	/* for tests: this directory and what is below it counts as NFS */
struct root {
	char *path;	/* absolute. All owned */
	char *journal;	/* PATH/journal */
	char *objects;	/* PATH/objects */
	char *node;	/* where keeper/ and db/ are: PATH, --scratch, or /var/tmp/weir-UID/<hash of root> */
	char *keeper;	/* NODE/keeper */
	char *execs;	/* NODE/keeper/execs */
	char *db;	/* NODE/db */
};
/*
 * Opens a root, making it (0700) when create is set. path NULL: $WEIR_ROOT, else
 * ${XDG_DATA_HOME:-~/.local/share}/weir. scratch may be NULL. Errors: a read-only or unwritable path, another
 * owner, a scratch on a network file system (NOT_SUPPORTED) - each names the path and what to do.
 */
must_check struct err *root_open(const char *path, const char *scratch, bool create, struct root *);
void root_release(struct root *);
const char *root_network_fs(const char *path);	/* what kind of network file system it is on; NULL: on none */
/* OBJECTS/hh/<62 hex>, into out (size bytes, at least strlen(objects) + 68). */
void object_path(const char *objects, const struct digest *, char *out, size_t size);
/* EXECS/<key hex>/<n>; n 0: the key's own folder. Gives. */
char *attempt_path(const char *execs, const struct digest *key, unsigned n);

#endif
