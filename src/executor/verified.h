/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_VERIFIED_H
#define WEIR_EXECUTOR_VERIFIED_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/digest.h"

/*
 * Which objects are known to hold what their names say: those that were hashed on their way in, or at their first
 * use since the host was started, and whose inode, size and time of change are still the same. keeper/verified is a
 * table of fingerprints, shared by the keeper and its children; what it does not know is hashed again, and no more.
 */
void verified_begin(void);	/* in the keeper, before its children: forgets what another boot knew */
bool verified_knows(const struct digest *, const struct stat *);
void verified_learn(const struct digest *, const struct stat *);

#endif
