/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_STAGE_H
#define WEIR_EXECUTOR_STAGE_H

#include <sys/stat.h>

#include "iface/exec.h"

/*
 * Lays an exec's inputs out below work/arg: hard links of objects, or of copies on this file system (inputs.h). An input
 * that is not in the repository yet, or not any more, comes from its origin, verified. And makes what an output needs.
 */
struct stage_mark {			/* an input as it was laid out, for stage_check */
	struct stat st;
};
/*
 * marks: room for ninputs, or NULL when nobody will check. Errors name an input: TEMPORARY, it changed where it comes
 * from; NOT_EXIST, objects are missing or damaged, and *missing has all of those (the caller's), by the path of the input.
 */
must_check struct err *stage_inputs(const char *objects, const char *work, const struct exec_config *,
    struct stage_mark *marks, struct fileset **missing);
int stage_link(const char *from, int arg, const char *path);	/* makes folders on demand. Gives an errno */
must_check struct err *stage_outputs(const char *work, const struct exec_config *);
/* Has the command written to an input? Then the object is taken out of the repository, and the error says which. */
must_check struct err *stage_check(const char *objects, const char *work, const struct exec_config *,
    const struct stage_mark *marks);

#endif
