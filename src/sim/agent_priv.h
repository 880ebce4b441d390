/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_AGENT_PRIV_H
#define WEIR_SIM_AGENT_PRIV_H

#include "iface/pool.h"
#include "sim/agent.h"

/* For agent.c (the process), agent_pool.c (allocs) and agent_exec.c (execs and objects) alone. */
struct call {			/* who asked, and is to be answered */
	struct session *session;
	uint64_t number;
};
struct put;
struct held {			/* an alloc that it has granted */
	TAILQ_ENTRY(held) link;
	struct agent *agent;
	char	     *id;	/* owned */
	struct alloc *alloc;	/* owned: the pool's handle */
	int64_t	      deadline;	/* of the lease, as it was last answered */
	struct call   accepted;	/* by which call */
	TAILQ_HEAD(, put) puts;
};
struct agent {
	struct proc	proc;
	struct host    *host;
	struct keeper_client *keeper;
	struct repo    *repo;
	struct executor *executor;
	struct pool    *pool;
	TAILQ_HEAD(, letter) inbox;
	struct timer	read;
	TAILQ_HEAD(, held) helds;
	TAILQ_HEAD(, pool_op) pool_ops;	/* calls under way */
};
void agent_answer(struct agent *, const struct call *, struct rpc_answer *);	/* takes the parts */
void agent_refuse(struct agent *, const struct call *, struct err *);		/* takes */
bool agent_lies(struct agent *, enum lie);
struct held *agent_held(struct agent *, const char *id);
void agent_release_helds(struct agent *);

void agent_serve_pool(struct agent *, const struct call *, struct rpc_request *);
void agent_serve_exec(struct agent *, const struct call *, struct rpc_request *);
void agent_serve_repo(struct agent *, const struct call *, struct rpc_request *);
void held_drop_puts(struct held *);
/* Does an alloc whose lease went on since then want what this attempt is? */
bool agent_vouches(const struct agent *, const struct digest *key, int64_t since);

#endif
