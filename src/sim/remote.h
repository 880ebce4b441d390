/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_REMOTE_H
#define WEIR_SIM_REMOTE_H

#include "iface/cluster.h"
#include "sim/ctl.h"
#include "sim/host.h"
#include "sim/rpc.h"

/*
 * A controller's view of hosts elsewhere: pool, alloc, executor, exec and repository over requests to an agent, and a
 * cluster of several. Thin: it asks until it is answered or the caller gives up, and it believes nothing that it can
 * check. An answer that cannot be is trouble of the network, and may be tried again.
 *
 * Where each host has a repository of its own, the user's files are only at the controller's: they are identified there,
 * and put into a host's repository when an exec there needs them.
 */
struct remote {			/* one host */
	struct pool	pool;
	struct proc    *proc;	/* kept: of the controller */
	struct ctl     *ctl;	/* kept, or NULL: not watched */
	struct host    *host;	/* kept */
	struct session *session;
	struct repo    *repo;	/* kept when it is everybody's, else owned */
	bool		own;	/* its repository is its own */
	TAILQ_ENTRY(remote) link;	/* of its cluster */
};
struct pool *remote_pool_new(struct proc *, struct ctl *, struct host *, struct repo *shared);	/* shared NULL: its own */
struct executor *remote_executor_new(struct remote *, const char *id, const struct alloc *);	/* keeps the alloc, whose it is */
struct repo *remote_repo_new(struct remote *);

/* All hosts that are served. shared: as above. */
struct cluster *sim_cluster_new(struct ctl *, struct repo *shared);
void sim_cluster_gone(struct cluster *);	/* the controller is dead: nothing more is sent or heard */

/* Puts a file that lies at the controller's into the host's repository. */
struct op *remote_store_start(struct remote *, const struct file *, const void *bytes, size_t, repo_done_cb *, void *arg);

#define REMOTE_PATIENCE SECONDS(3)

#endif
