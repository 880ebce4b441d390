/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_ORIGIN_H
#define WEIR_EVAL_ORIGIN_H

#include "base/buf.h"
#include "flow/flow.h"

/*
 * Where local inputs came from: content digest to source path. An input enters the repository only
 * when an exec that must run needs it, or when the result holds it; until then this is where it is.
 */
struct origin;
struct origin *origin_new(const char *dir);	/* gives; dir (copied): relative paths start there */
void origin_free(struct origin *);
/* All files of a resolved intern; keeps its strings: node and value outlive the table. */
void origin_add(struct origin *, const struct flow *intern, const struct fileset *);
/* Appends the absolute path to out; false if the digest is of no input. */
bool origin_path(const struct origin *, const struct digest *, struct buf *out);
/* The absolute path of a local URL, appended. */
void origin_url(const struct origin *, const char *url, struct buf *out);

#endif
