/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_SPAWN_H
#define WEIR_LOOP_SPAWN_H

#include "loop/child.h"

/*
 * Starts a process as the spec says, and nothing else: no descriptor but 0, 1, 2 and perhaps 3 is
 * open in it, no signal is blocked, SIGPIPE ends it. Whoever calls this reaps it.
 */
must_check struct err *spawn(const struct child_spec *, pid_t *);

#endif
