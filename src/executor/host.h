/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_HOST_H
#define WEIR_EXECUTOR_HOST_H

#include <stdint.h>

#include "base/resources.h"

/* What this machine has: 95 % of its memory, its cores, the file system of dir, CPU features (one unit a core). */
void host_resources(const char *dir, struct resources *);	/* out is released first */
int64_t host_wall(void);	/* wall clock, ns: for processes without a loop */
int64_t host_mono(void);	/* CLOCK_BOOTTIME, ns */

#endif
