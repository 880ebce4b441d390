/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_COLLECT_H
#define WEIR_EXECUTOR_COLLECT_H

#include "iface/exec.h"

/*
 * Takes the outputs of a command, all of whose processes are gone, into the repository. Links that
 * stay inside the exec's directory are followed; whatever else is no file or directory fails the exec,
 * by the name of the output.
 * work: the exec's directory; seen: the same as the command names it. EXEC errors are the command's fault.
 */
must_check struct err *collect_outputs(const char *objects, const char *keeper, const char *work, const char *seen,
    const struct exec_config *, struct fileset **);
/* A stream's file: an object when it holds anything, else zero. dir is the attempt's. */
must_check struct err *collect_log(const char *objects, int dir, const char *name, struct file *);

#endif
