/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_KEEPER_PRIV_H
#define WEIR_EXECUTOR_KEEPER_PRIV_H

#include <sys/queue.h>

#include "executor/keeper.h"
#include "store/root.h"

/*
 * The keeper's own state, shared by its files: keeper_main (birth), keeper_loop (the poll loop),
 * keeper_child (children and their deaths), keeper_ctl (connections), keeper_late (reports repeated).
 * One thread, no call that waits for another process longer than that one holds a key's lock.
 */
#define KEEPER_INTERNS	2
#define KEEPER_CTL	"ctl"
#define KEEPER_REQ	"req"
#define KEEPER_AUX	"aux"
#define KEEPER_TERM_NS	INT64_C(5000000000)	/* between TERM and KILL */

enum child_kind { CHILD_SLOT, CHILD_INTERN, CHILD_DB };
struct keeper_child {
	enum child_kind kind;
	unsigned slot;		/* of a slot worker */
	pid_t	 pid;		/* 0: to be started */
	int64_t	 born, retry;	/* monotonic; retry: not before, after an early death */
	bool	 draining;	/* dead, and processes of its exec may be left */
	int64_t	 term_at;	/* when the end of its attempt was asked for; 0: not */
	bool	 termed;
};

struct controller {		/* one that has said hello */
	TAILQ_ENTRY(controller) link;
	char	name[LEDGER_NAME];
	int	pidfd;		/* -1: unknown */
	int64_t gone;		/* monotonic, since when; 0: there */
};
struct packet {
	STAILQ_ENTRY(packet) link;
	struct buf data;
	int	   pass_fd;	/* owned, or -1 */
};
STAILQ_HEAD(packets, packet);
struct conn {
	TAILQ_ENTRY(conn) link;
	int		   fd;
	struct controller *who;	/* NULL until hello */
	struct packets	   out;	/* what could not be sent yet */
	bool		   closed;
};
struct late {			/* reports for one controller that is slow to take them */
	TAILQ_ENTRY(late) link;
	char	       name[LEDGER_NAME];
	int	       fd;	/* connected */
	struct packets out;
	bool	       closed;
};
TAILQ_HEAD(controllers, controller);
TAILQ_HEAD(conns, conn);
TAILQ_HEAD(lates, late);

struct keeper_opts {
	const char	*root, *scratch;
	struct resources resources;
	unsigned	 slots;
	int64_t		 idle_ns;
	bool		 isolate, no_cgroup;
};
struct keeper {
	struct keeper_env  env;
	struct keeper_opts opts;
	struct root	   root;
	int		   lock, listen, late, signals;	/* late: the keeper's end */
	int		   cgroup;	/* the lock on the groups; -1: there are none */
	int		   db_lifeline;	/* the database writer sees its end; -1: none */
	struct keeper_child *children;
	unsigned	   nchildren;
	struct controllers controllers;
	struct conns	   conns;
	struct lates	   lates;
	struct buf	   message;	/* scratch */
	struct resources   totals;	/* of the host, as admitted */
	int64_t		   idle_since, purged;
	bool		   stop;
};

void keeper_loop(struct keeper *);

void keeper_children_start(struct keeper *);	/* those that are to be started and may be by now */
void keeper_reap(struct keeper *);		/* after SIGCHLD */
void keeper_end_workers(struct keeper *);	/* with all that they run, and their groups */
void keeper_end_writer(struct keeper *);	/* the last batch, then its end */
void keeper_drain(struct keeper *);		/* leftovers of dead workers; finishes their attempts */
void keeper_press(struct keeper *);		/* attempts that must end: TERM, then KILL; orphans; memory */
bool keeper_is_pressed(const struct keeper *);	/* look again soon */
void keeper_sweep(struct keeper *);		/* at birth: what the keeper before has left */

/* A child died with this request in its hand: whoever sent it must send it again, and nothing else. */
void keeper_say_again(struct keeper *, const struct ledger_sub *);
void keeper_accept(struct keeper *);
void keeper_conn_read(struct keeper *, struct conn *);
void keeper_conn_write(struct conn *);
void keeper_conns_purge(struct keeper *);	/* frees what is closed */
struct controller *keeper_controller(struct keeper *, const char *name);
bool keeper_controller_lives(struct keeper *, const char *name);

void keeper_late_add(void *keeper, const char *name, const void *, size_t, int pass_fd);
void keeper_late_read(struct keeper *);
void keeper_late_write(struct late *);
void keeper_lates_purge(struct keeper *);

void packet_add(struct packets *, const void *, size_t, int pass_fd);	/* copies; duplicates the descriptor */
/* Sends what the socket takes. False when nobody listens any more. */
bool packets_send(struct packets *, int fd);
void packets_release(struct packets *);

#endif
