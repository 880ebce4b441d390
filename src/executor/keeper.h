/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_KEEPER_H
#define WEIR_EXECUTOR_KEEPER_H

#include "executor/ledger.h"
#include "executor/proto.h"
#include "executor/sock.h"

/*
 * Inside weir-keeper: what its children inherit, and how they speak. The working directory of them all
 * is keeper/, so that every path in it is short and relative.
 */
struct keeper_env {
	const char    *objects;		/* absolute path of the repository */
	const char    *db;		/* and of the databases */
	struct ledger *ledger;
	int	       dir;		/* keeper/ */
	int	       req, aux;	/* the sockets that children receive from, one message each */
	/* where a child leaves a report that nobody takes yet: name (LEDGER_NAME bytes), message */
	int	       late;
	int	       out;		/* for sending reports */
	bool	       isolate;
	char	       cgroup[1024];	/* base of the slots' groups; empty: none */
	char	       host[64];
	pid_t	       pid;		/* of the keeper */
	/* Set in the keeper itself, which cannot send to its own socket: queues a late report. */
	void (*repeat)(void *arg, const char *name, const void *p, size_t n, int pass_fd);
	void	      *repeat_arg;
};

/* A longer result is told as the descriptor of its manifest. */
#define KEEPER_RESULT_INLINE (PROTO_INLINE / 2)

/* First thing in a child: dies with the keeper, is a subreaper. */
void keeper_child_init(const struct keeper_env *);
no_return void slot_main(const struct keeper_env *, unsigned slot);
no_return void intern_main(const struct keeper_env *, unsigned hand);

/*
 * Sends a report; what the receiver cannot take now is left to the keeper. pass_fd: -1, or travels along. Never
 * waits for the receiver.
 */
void keeper_report(const struct keeper_env *, const struct ledger_sub *, const struct report *, const void *result,
    size_t, int pass_fd);
/*
 * Tells everybody that an attempt is over. manifest: open, or -1 where it is short enough to be told.
 */
void keeper_report_over(const struct keeper_env *, const struct ledger_sub *, unsigned nsubs, const struct digest *key,
    const struct exec_result *, int manifest);
void keeper_refuse(const struct keeper_env *, const struct ledger_sub *, struct err *);	/* takes err */

#endif
