/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_KEEPER_CLIENT_PRIV_H
#define WEIR_EXECUTOR_KEEPER_CLIENT_PRIV_H

#include <sys/queue.h>
#include <uthash.h>

#include "executor/keeper_client.h"
#include "executor/sock.h"
#include "loop/child.h"

/*
 * The client's own state, shared by its files: keeper_client (the connection), keeper_call (requests,
 * reports, and what is said about them), keeper_ask (questions).
 */
struct channel {		/* of requests, to one kind of workers */
	const char *name;
	int	    fd;		/* connected; -1 */
	struct io   io;
	unsigned    window, untaken;
	TAILQ_HEAD(, keeper_call) queue;
};
struct keeper_call {
	struct keeper_client *client;
	uint64_t	id;
	struct channel *channel;	/* NULL: subscribe */
	struct buf	request;
	enum {
		CALL_QUEUED,	/* in its channel's queue, or waits for a connection */
		CALL_SENT,	/* waits for TAKEN */
		CALL_TAKEN,	/* waits for DONE */
	} state;
	bool		detached;
	bool		abandoned;	/* nobody hears it: frees itself at its end */
	struct digest	key;
	unsigned	attempt;
	keeper_call_cb *cb;
	void	       *arg;
	UT_hash_handle	hh;
	TAILQ_ENTRY(keeper_call) queue;
};
struct forget {			/* an attempt that may go */
	struct digest run, key;
	unsigned      attempt;
};
#define FORGETS_MAX  128		/* of them in one message */
#define FORGET_AFTER MILLIS(20)
struct message {
	STAILQ_ENTRY(message) link;
	struct buf data;
};
struct keeper_client {
	struct loop	   *loop;
	const struct root  *root;
	struct keeper_options options;
	char		   *program;	/* owned */
	enum {
		KEEPER_OUT,		/* no connection, none wanted */
		KEEPER_STARTING,	/* waits for client_started_cb */
		KEEPER_PAUSED,		/* waits for the timer: client_retry_cb */
		KEEPER_GREETING,	/* connected, waits for welcome */
		KEEPER_IN,		/* welcome came */
	} state;
	unsigned	    failures;	/* starts in a row without a welcome */
	bool		    wanted;	/* to be had even when nothing is asked of it */
	struct child	   *child;
	struct timer	    retry, unheard, forget_due, listen;
	struct forget	    forgets[FORGETS_MAX];	/* to be told */
	unsigned	    nforgets;
	int		    ctl, reports;
	struct io	    ctl_io, reports_io;
	char		    name[LEDGER_NAME];
	pid_t		    pid;
	struct channel	    commands, interns;
	struct keeper_call *calls;	/* by id */
	uint64_t	    next_id;
	STAILQ_HEAD(, message) out;	/* for ctl */
	TAILQ_HEAD(, ask)   asks;
	struct buf	    message;
};

struct ask {
	struct op op;
	TAILQ_ENTRY(ask) link;
	struct keeper_client *client;
	uint64_t id;
	struct digest key;		/* zero: all */
	bool	 over;
	struct keeper_attempts got;
	struct err *err;
	keeper_ask_cb *cb;
	void	*arg;
};

/* keeper_client */
void client_need(struct keeper_client *);	/* somebody waits: have a connection, or be on the way to one */

/* keeper_call */
must_check struct err *channel_open(struct keeper_client *, struct channel *, void (*writable)(int, void *));
void channel_flush(struct keeper_client *, struct channel *);
void channel_close(struct channel *);
void commands_writable_cb(int what, void *arg);
void interns_writable_cb(int what, void *arg);
void call_say_subscribe(struct keeper_call *);
/* The last word to a call: takes it out of the tables, then tells. The report's parts stay the caller's. */
void call_end(struct keeper_call *, struct report *, struct err *);
void calls_report(struct keeper_client *, struct report *);
void calls_again(struct keeper_client *, const msgpack_object *);
void calls_requeue(struct keeper_client *);	/* after the keeper's death */
void calls_unheard_cb(void *client);		/* ends those that were detached before anybody heard of them */
void forgets_flush(struct keeper_client *);
void forgets_due_cb(void *arg);
void client_out_add(struct keeper_client *, struct buf *);	/* takes the bytes: a message for ctl */
void client_out_flush(struct keeper_client *);
void client_out_drop(struct keeper_client *);	/* the first */

/* keeper_ask */
void ask_say(struct ask *);
void ask_end(struct ask *, struct err *);	/* takes err */
void asks_answer(struct keeper_client *, const msgpack_object *, bool end);

#endif
