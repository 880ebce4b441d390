/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_SUBJECT_H
#define WEIR_CMD_SUBJECT_H

#include "cmd/cmd.h"
#include "cmd/files.h"
#include "cmd/view.h"

/* The files that an id stands for: a run's result, an exec's outputs, an object itself. */
must_check struct err *subject_files(struct lookup *, const char *text, struct file_plan *);
/* Takes the error of reading one of them; where it is gone or damaged, it also says how it comes back. */
must_check struct err *subject_unreadable(const struct lookup *, struct err *);
/* What the records of its run that name it know of the exec that was looked up. The view is given, also on an error; exec is borrowed from it. */
must_check struct err *subject_exec(const struct lookup *, struct run_view *, const struct exec_view **exec);

#endif
