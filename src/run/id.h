/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_ID_H
#define WEIR_RUN_ID_H

#include "run/rundb.h"

/* An id as people type it: kinds run, exec, obj, and `last`. */
enum id_kind { ID_RUN, ID_EXEC, ID_OBJ };
struct id {
	enum id_kind  kind;
	struct digest digest;
	struct digest run;		/* exec: a run that it belongs to (the newest) */
};
/*
 * Resolves `run:1a2b`, `exec:…`, `obj:…`, `sha256:…`, a bare prefix that is unique over all kinds, or `last`.
 * NOT_EXIST: unknown; INVALID: ambiguous, naming the candidates, or not an id at all.
 */
must_check struct err *id_resolve(struct rundb *, const struct root *, const char *text, struct id *);

#endif
