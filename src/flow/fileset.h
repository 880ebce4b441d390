/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_FLOW_FILESET_H
#define WEIR_FLOW_FILESET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

/*
 * A fileset is a list of filesets, or a map from path to file. Immutable and shared.
 * A single file is the map with the one key "."; an exec with N outputs gives a list of N.
 * Source: grailbio/reflow fileset.go; the JSON form is kept: {"List":[…]} or {"Fileset":{path:{ID,Size}}}.
 */
struct file {
	struct digest id;
	uint64_t      size;
};
struct fileset_entry {
	const char *path;	/* owned by the fileset */
	struct file file;
};
struct fileset;

struct fileset *fileset_ref(struct fileset *);
void fileset_unref(struct fileset *);			/* NULL is fine */

/* Building: add in any order (a repeated path: the later wins), then finish gives the fileset, sorted by path bytes. */
struct fileset_builder;
struct fileset_builder *fileset_builder_new(void);
void fileset_builder_add(struct fileset_builder *, const char *path, const struct file *);	/* copies */
struct fileset *fileset_builder_finish(struct fileset_builder *);	/* takes the builder */
void fileset_builder_free(struct fileset_builder *);

struct fileset *fileset_empty(void);						/* gives an empty map */
struct fileset *fileset_file(const struct file *);				/* gives {".": file} */
struct fileset *fileset_list(struct fileset *const *, size_t n);		/* gives; refs the elements */
/* A map of n files that come in order of their paths, none twice; bytes: of all paths. Gives. */
typedef const char *fileset_next_cb(struct file *, size_t *len, void *arg);	/* borrowed until the next; len: of the path */
struct fileset *fileset_in_order(size_t n, size_t bytes, fileset_next_cb *, void *arg);

bool   fileset_is_list(const struct fileset *);
size_t fileset_nlist(const struct fileset *);
struct fileset *fileset_elem(const struct fileset *, size_t i);			/* borrows */
size_t fileset_nmap(const struct fileset *);					/* entries of a map node, 0 for a list */
const struct fileset_entry *fileset_at(const struct fileset *, size_t i);	/* borrows, in path order */
const struct fileset_entry *fileset_find(const struct fileset *, const char *path);
bool   fileset_as_file(const struct fileset *, struct file *);			/* exactly the one entry "." */

/* Over the whole tree. */
size_t	 fileset_n(const struct fileset *);
uint64_t fileset_size(const struct fileset *);
bool	 fileset_any_empty(const struct fileset *);	/* some leaf has no entry: RecomputeEmpty */
bool	 fileset_equal(const struct fileset *, const struct fileset *);
void	 fileset_digest(const struct fileset *, struct digest *);	/* w1 "fileset" */
typedef void fileset_file_cb(const char *path, const struct file *, void *arg);
void	 fileset_each(const struct fileset *, fileset_file_cb *, void *arg);
struct fileset *fileset_pullup(const struct fileset *);	/* gives one map, later wins */
void	 fileset_str(const struct fileset *, struct buf *);	/* the reference's full text form */

json_t *fileset_json(const struct fileset *);
must_check struct err *fileset_from_json(const json_t *, struct fileset **);
/* The compact form in assocs and records: array of [path, id, size], or map {l: [...]} for a list. */
void fileset_mpk(const struct fileset *, struct mpk_w *);
must_check struct err *fileset_from_mpk(const msgpack_object *, struct fileset **);
struct mpk_scan;
bool fileset_scan(struct mpk_scan *, struct fileset **);	/* the same, read in place; false: it is none */

#endif
