/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_CGROUP_H
#define WEIR_EXECUTOR_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One memory cgroup per slot, below the keeper's own group, where the host allows it (v1 or v2,
 * whichever has the memory controller). Only commands enter it, so the kernel's killer cannot pick a
 * worker. A failure to make one is no error: memory is then watched instead.
 */
struct cgroup {
	int	 procs;		/* write "0" to enter; -1: there is no group */
	int	 limit, swap;	/* -1: not there */
	int	 events;	/* where the kernel counts its kills */
	bool	 v2;
	uint64_t now;		/* the limit as it stands; 0: none */
};
#define CGROUP_NONE { -1, -1, -1, -1, false, 0 }

/*
 * Makes the group that holds all slots of a keeper (name: unique per root); its path, empty if it cannot be. Gives the
 * descriptor of a lock on it, or -1: the keeper and its workers hold it as long as they live.
 */
int cgroup_base(const char *name, char *path, unsigned size);
void cgroup_open(const char *base, unsigned slot, struct cgroup *);
bool cgroup_limit(struct cgroup *, uint64_t bytes);	/* 0: none. False: the kernel does not hold it */
uint64_t cgroup_kills(const struct cgroup *);
/* Kills whatever is in any group below base, and removes the groups. Returns how many processes it saw. */
unsigned cgroup_sweep(const char *base, bool remove);
/* Removes the groups beside base that no living keeper has locked: of keepers whose root is gone, say. */
void cgroup_sweep_others(const char *base);

#endif
