/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_PROCTREE_H
#define WEIR_EXECUTOR_PROCTREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The processes below one, by a look through /proc. A subreaper keeps its whole tree below itself,
 * so killing until nothing is left reaches also what has called setsid or forked twice.
 */
/* Signals every process below root (not root itself) except those for which spare says yes. Returns their number. */
unsigned proctree_signal(pid_t root, int signo, bool (*spare)(pid_t, void *), void *arg);
/* Has all below root together more than so many bytes of memory of its own? What is shared among it counts once. */
bool proctree_exceeds(pid_t root, uint64_t limit);

#endif
