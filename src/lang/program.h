/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_PROGRAM_H
#define WEIR_LANG_PROGRAM_H

#include "flow/flow.h"
#include "lang/source.h"

/*
 * A program: a module and all that it makes, parsed and type-checked. Immutable once open; it
 * outlives every graph made from it, since continuations run its syntax trees.
 */
struct program;

/*
 * Opens and checks. sources: where modules come from (takes; NULL: the file system). Diagnostics, with carets and
 * positions, go to diag: all errors, one after the other, and warnings. Error: INVALID when the program does not
 * parse, is not UTF-8 or does not type-check; else what the system said of the file.
 */
must_check struct err *program_open(const char *path, struct sources *, struct buf *diag, struct program **);
void program_free(struct program *);
const char *program_path(const struct program *);
struct sources *program_sources(struct program *);	/* borrows: what was read, for the bundle */
const struct type *program_main_type(const struct program *);	/* NULL: module has no Main */

/* Params that can be flags, and the usage text of language section 14. */
struct program_param {
	const char	  *name;
	const struct type *type;
	bool		   required;
	const char	  *default_text;	/* NULL: none that can be shown */
	const char	  *doc;			/* NULL: none */
};
const struct program_param *program_params(struct program *, size_t *n);
void program_usage(struct program *, struct buf *);	/* `usage of FILE:` and a part for each flag */

/*
 * Parses the arguments after the program's path: `-x v`, `-x=v`, `--x=v`, `-b`, `-b=false`, `--`. Gives texts by name,
 * and the positional rest where the module declares `param args [string]` (else: `unrecognized parameters: …`).
 * Errors are INVALID: `missing mandatory flag -x`, `flag errors:` …; help is set, and no error, for -help.
 */
struct param_text {
	char *name, *text;	/* owned */
};
struct param_set {
	struct param_text *v;
	size_t		   n;
	char		 **args;	/* owned */
	size_t		   nargs;
};
must_check struct err *program_parse_args(struct program *, int argc, char **argv, struct param_set *, bool *help);
void param_set_release(struct param_set *);

/*
 * Evaluates the module into a graph. dir: the working directory that local paths are relative to. Gives Main, forced:
 * strict, or one delayed value (VAL_FLOW). Errors: EVAL with the position (a panic, an index), INVALID (params). It may
 * take long: on the loop, in a slice.
 */
must_check struct err *program_instantiate(struct program *, struct graph *, const char *dir, const struct param_set *,
    struct value **main);

#endif
