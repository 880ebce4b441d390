/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_SOURCE_H
#define WEIR_LANG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"

/*
 * Where program text comes from. One `struct sources` serves one compilation: every module is read
 * once, by path, and stays as it was read until the sources are freed, so that positions, carets and
 * the bundle all speak of the same bytes. Syntax trees point into it: sources outlive them.
 *
 * The same cache stands over the file system (sources_new) or over a bundle (sources_from_bundle),
 * which never looks at the disk. Paths are keys: `./x.rf` and `../x.rf` in a `make` are first turned
 * into a key with source_resolve; everything else is a key as it stands.
 */
#define SOURCE_MAX_BYTES (16u << 20)

struct bundle;
struct sources;

/* A place in a source, 1-based. Columns count characters (code points), off counts bytes from 0. */
struct pos {
	uint32_t line;
	uint32_t col;
	uint32_t off;
};

/*
 * From the first character of a construct (start) to just after its last one (end): carets underline that. Messages
 * name `pos`, which is what existing programs and tools expect: the position just after the construct's FIRST token.
 * So of `a + b`, `a(b)`, `a[b]` and `a.b` it is just after `a`; of `(e)` that of e; of what begins with `if`, `func`,
 * `exec`, `[`, `{`, `-` just after that token; of a single token it is `end`. A span with src NULL is "nowhere" (made
 * by the compiler).
 */
struct span {
	const struct source_text *src;
	struct pos	     start;
	struct pos	     pos;
	struct pos	     end;
};

/* One text. Borrowed from its sources; immutable. A byte order mark is not part of the text. */
struct source_text {
	const char   *path;	/* the key, and the file name in messages; "<input>" when it has none */
	const char   *text;	/* len bytes, then a NUL that does not count */
	size_t	      len;
	struct digest digest;	/* of the bytes as they were read, mark included */
	bool	      system;	/* given by sources_add_system: `$/name`, never bundled */
	bool	      archive;	/* a `.rfx`: text holds a bundle, not a program */
	const char   *raw;	/* the bytes as they were read: what goes into a bundle */
	size_t	      rawlen;
};

struct sources *sources_new(void);			/* gives; reads the file system */
struct sources *sources_from_bundle(struct bundle *);	/* gives; takes the bundle: nothing else is readable */
void sources_free(struct sources *);			/* NULL is fine; every source of it is gone */

/*
 * The source under a key, read at its first use. Errors name the path: NotExist, NotAllowed, and Invalid for a
 * directory, a special file, more than SOURCE_MAX_BYTES, a NUL byte, or text that is not UTF-8 (with its position).
 * `$/name` is found only if it was added. The source is borrowed from the cache.
 */
must_check struct err *sources_get(struct sources *, const char *path, const struct source_text **);
/* Adds a text that is not a file (copied): a test's, or one from standard input. The same checks. out may be NULL. */
must_check struct err *sources_add(struct sources *, const char *path, const char *text, size_t len,
    const struct source_text **);
/* As sources_add, for a module of the system (`$/name`): not part of a bundle. */
must_check struct err *sources_add_system(struct sources *, const char *path, const char *text, size_t len,
    const struct source_text **);
/* Visits every source read so far, in byte order of their keys. */
void sources_each(const struct sources *, void (*fn)(const struct source_text *, void *arg), void *arg);
size_t sources_count(const struct sources *);

/*
 * The key for a path written in `make` within the module `importer` (its key; NULL for none): `./` and `../` are
 * relative to the importer's directory and cleaned without looking at the disk; `$/name`, absolute and all other
 * paths are keys as they stand. Gives the key (free).
 */
char *source_resolve(const char *importer, const char *path);
bool  source_is_system(const char *path);	/* begins with `$/` */
bool  source_is_archive(const char *path);	/* ends in `.rfx` */
bool  source_is_legacy(const char *path);	/* ends in `.reflow`: not supported, refused by sources_get */

#endif
