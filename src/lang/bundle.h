/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_BUNDLE_H
#define WEIR_LANG_BUNDLE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "lang/source.h"

/*
 * A program and all that it is made of, in one file: a ZIP (`.rfx`) with an entry per source, named by
 * its digest (`sha256:…`), and an entry `manifest`, the JSON
 *
 *	{"Entrypoint": DIGEST, "EntrypointPath": DIR, "Args": ["-x=1", …], "Files": {PATH: DIGEST, …}}
 *
 * Equal sources give equal bytes (sorted, fixed times, no compression level to depend on), so a bundle has one
 * digest. Reading trusts nothing: sizes are bounded before memory is taken, every entry must hash to its name, and
 * paths are only ever keys of a table, never opened.
 */
#define BUNDLE_MAX_BYTES   (256u << 20)	/* of all entries together */
#define BUNDLE_MAX_ENTRIES 65536

struct bundle;

/*
 * Appends the bundle of everything that sources have read, entered by the module `entry` (a key that was read).
 * args are program flags (`-x=1`), the defaults of whoever runs the bundle.
 */
must_check struct err *bundle_write(const struct sources *, const char *entry, char *const *args, size_t nargs,
    struct buf *out);
/* Reads one back; the bytes are borrowed, the bundle is given. Anything amiss: ERR_INVALID or ERR_INTEGRITY. */
must_check struct err *bundle_read(const void *, size_t, struct bundle **);
void bundle_free(struct bundle *);	/* NULL is fine */

const char *bundle_entry(const struct bundle *);	/* the key of the module to open */
size_t	    bundle_nargs(const struct bundle *);
const char *bundle_arg(const struct bundle *, size_t);
size_t	    bundle_nfiles(const struct bundle *);
const char *bundle_path(const struct bundle *, size_t);	/* keys in byte order */
/* The bytes under a key, borrowed from the bundle; NULL if it has none. len and digest may be NULL. */
const char *bundle_find(const struct bundle *, const char *path, size_t *len, struct digest *);

#endif
