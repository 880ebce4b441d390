/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_HOST_H
#define WEIR_SIM_HOST_H

#include "executor/keeper_client.h"
#include "sim/world.h"

/*
 * A host: its keeper, slot workers and ledger. Attempts live as the executor's promise says: chosen by
 * their claims, admitted in order of arrival, ended by the last one who waits, remembered by manifests
 * that outlive the keeper. The client's side is keeper_client.h, defined here for simulations: it sits
 * below the real executor_local.
 */
struct attempt;
struct keeper_client;
struct host {
	struct world *world;
	TAILQ_ENTRY(host) link;
	unsigned number;		/* from 1 */
	char	*name;
	struct resources total;
	unsigned slots;
	struct sim_clock clock;		/* its wall clock may be set alone */
	struct sim_objects *objects;	/* of its repository: the world's, or its own */
	/* the agent that serves it to controllers elsewhere, if it is of a cluster */
	bool	 served, gone;		/* gone: the machine is down */
	struct agent *agent;		/* NULL: down */
	unsigned nagents;
	int64_t	 lease;			/* the longest that it grants */
	unsigned lies;			/* enum lie */
	struct timer restart;
	TAILQ_HEAD(, session) sessions;
	/* the keeper */
	bool	 up;			/* started on demand */
	bool	 full;			/* its disk */
	unsigned deaths;		/* of keepers: what was sent to one of before is lost */
	unsigned busy;			/* slots that have an attempt in hand */
	TAILQ_HEAD(, queued) queue;	/* requests that no slot has taken */
	TAILQ_HEAD(, attempt) waiting;	/* staged, and wait for the ledger, in order */
	TAILQ_HEAD(, attempt) attempts;	/* all: living, and those with a manifest */
	struct key_attempts *keys;
	struct run_epoch *epochs;
	TAILQ_HEAD(, keeper_client) clients;
	uint64_t ndice;
};
struct host *host_new(struct world *, const struct resources *total, unsigned slots);
void host_free(struct host *);
struct host *host_find(struct world *, unsigned number);	/* NULL: there is none */
struct host *host_named(struct world *, const char *uri);	/* of an alloc's; NULL: none */

/* The processes of a host that can die. */
void host_kill_keeper(struct host *);
/* The worker that has a living attempt in hand: the nth of them, counted round. False: none lives. */
bool host_kill_worker(struct host *, uint64_t nth);
void host_fill(struct host *, bool full);
void host_cut(struct host *, uint64_t cut);	/* the power of its keeper is cut: see world_cut */
/* Attempts that nobody waits for end: an agent that starts has no use for those of another one. */
void host_end_orphans(struct host *);
unsigned host_nlive(const struct host *);

/* A controller's client. NULL root and options: see keeper_client_new, which is not for simulations. */
struct keeper_client *host_connect(struct host *, struct proc *, struct ctl *);	/* ctl NULL: an agent's */
/* Execs that are put and not over, and what they ask for together. */
size_t host_client_load(const struct keeper_client *, struct resources *);
void host_controller_gone(struct keeper_client *);	/* its process is dead: attempts go on for their retain time */

enum attempt_end { END_NONE, END_KILLED, END_RETAIN };
struct attempt {
	TAILQ_ENTRY(attempt) link, wait;
	struct host	 *host;
	struct digest	  key;
	uint32_t	  number;
	struct request	  request;	/* owned */
	struct exec_claim claim;
	enum attempt_state state;
	bool		  live;		/* a slot has it in hand */
	bool		  waits, admitted, manifest, told;
	struct unsynced	  on_disk;	/* the manifest */
	enum attempt_end  end;		/* asked for */
	struct exec_result result;
	struct timer	  next;		/* its next step */
	struct timer	  orphan;	/* nobody waits for it any more */
	TAILQ_HEAD(, sub) subs;
	struct attempt	 *older;	/* of the same key */
};
bool attempt_dying(const struct attempt *);
struct attempt *host_attempts_of(struct host *, const struct digest *key);	/* newest first, by older */

#endif
