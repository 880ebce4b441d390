/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_RUNTIME_H
#define WEIR_EXECUTOR_RUNTIME_H

#include "executor/cgroup.h"
#include "iface/exec.h"

/*
 * The process runtime: one slot's place on this host, in which one command runs at a time. Each slot
 * has a directory keeper/slots/N with arg/, return/ and tmp/ for whatever runs there. With isolation it is
 * bound at /tmp/.weir in the worker's own mount namespace, arg/ read-only, once for all its execs: so
 * an exec mounts nothing. A worker whose mounts a command has changed takes no other: it ends. Without
 * isolation the directory is moved, for the exec, to a path made from the key alone.
 */
#define RUNTIME_SEEN "/tmp/.weir"

struct runtime {
	bool	 isolated;
	char	 home[32];	/* the slot's directory, relative to keeper/ */
	char	 work[128];	/* where it is now */
	int	 place;		/* that, open and locked; isolated: -1 */
	char	*seen;		/* as the command sees it. owned */
	char	*keeper;	/* absolute path of keeper/. owned */
	const char *bash;
	int	 null;		/* /dev/null */
	int	 mounts;	/* isolated: /proc/self/mountinfo, which says when it changes */
	bool	 remounted;	/* it has */
	int	 at, places[3];	/* isolated: home and its arg, return and tmp, open to be looked at */
	struct cgroup cgroup;
	uint64_t kills;		/* the kernel's count there, after the exec before */
};
/* Once per worker. Never fails for want of isolation; *why (static text) says what is missing, or NULL. */
must_check struct err *runtime_init(struct runtime *, unsigned slot, const char *cgroup_base, bool want_isolation,
    const char **why);
/* Before each exec: an empty arg/, return/ and tmp/, and seen as this key's commands know it. */
must_check struct err *runtime_prepare(struct runtime *, const struct digest *key);
void runtime_clear(struct runtime *);	/* after each exec */

struct runtime_command {
	const struct exec_config *config;
	int	 lock;		/* the attempt's directory, inherited by the command */
	int	 out, errlog;	/* files for its streams */
	pid_t	 pid;
	/* results */
	int	 status;
	bool	 limited;	/* the kernel holds it to its memory */
	bool	 oom;		/* the kernel killed for want of memory */
	int64_t	 cpu_ns;
	uint64_t max_rss;
};
must_check struct err *runtime_spawn(struct runtime *, struct runtime_command *);
/* Returns when the command is over and every process of its tree is gone. If that takes longer than moment, runs is called. */
void runtime_wait(struct runtime *, struct runtime_command *, int64_t moment, void (*runs)(void *), void *arg);
/* Are the binds not what they were? What the command saw read-only it may have written to; and another must not see it. */
bool runtime_remounted(struct runtime *);

#endif
