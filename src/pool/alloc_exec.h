/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_POOL_ALLOC_EXEC_H
#define WEIR_POOL_ALLOC_EXEC_H

#include "iface/executor.h"

/*
 * The executor of one alloc: the pool's own executor, and the knowledge of what runs through this
 * alloc, so that the end of the alloc ends its tasks and no others.
 */
struct executor *alloc_exec_new(struct executor *inner);	/* keeps inner. Freeing it ends nothing */
/* Kills what runs through it; from now on puts answer NOT_EXIST. */
void alloc_exec_shut(struct executor *);

#endif
