/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_INPUTS_H
#define WEIR_EXECUTOR_INPUTS_H

#include "iface/exec.h"

/*
 * Objects that execs read, on the file system where execs work, when that is not the repository's: each is copied once,
 * verified, to inputs/hh/<62 hex>, and every exec gets a link to it. What no exec uses goes when the file system
 * becomes narrow, and comes again when it is needed.
 */
void inputs_begin(void);	/* in the keeper, before its children: copies that were never finished go */
/*
 * Lays the input out below arg. *whole stays false, without an error, when its object is missing or damaged, which it
 * then has been moved away for.
 */
must_check struct err *inputs_stage(const char *objects, int arg, const struct exec_input *, bool *whole);

#endif
