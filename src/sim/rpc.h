/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_RPC_H
#define WEIR_SIM_RPC_H

#include "base/buf.h"
#include "sim/net.h"

/*
 * Requests of a controller to the agent of a host, and answers. A client that hears nothing asks again, as one that
 * connects anew would; so whatever is asked may arrive twice, or late. What is in a body is bytes, written and read by
 * the real codecs, for a body may be damaged on its way, or be a lie.
 */
enum rpc_method {
	RPC_OFFERS, RPC_ACCEPT, RPC_ALLOC, RPC_ALLOCS, RPC_KEEPALIVE, RPC_INSPECT, RPC_FREE,	/* pool */
	RPC_PUT, RPC_GET, RPC_WAIT, RPC_KILL,						/* execs */
	RPC_STAT, RPC_STORE, RPC_READ,							/* objects */
};
struct session;
struct rpc_request {		/* as the agent sees it */
	unsigned	refs;
	struct session *session;
	enum rpc_method method;
	uint64_t	call;	/* of the session; the same when it is asked again */
	char	       *alloc;	/* owned: the alloc, or for ACCEPT the offer; or NULL */
	uint64_t	id;	/* of an exec: what its PUT was given */
	int64_t		interval;
	bool		kill;	/* WAIT: and it is to end */
	struct buf	body;
};
void rpc_request_unref(struct rpc_request *);

struct rpc_answer {
	struct err *err;	/* owned */
	bool	    later;	/* nothing yet: ask again */
	bool	    attached;	/* an end: of an attempt that was there before */
	int64_t	    granted;
	struct buf  body;	/* owned */
};
void rpc_answer_release(struct rpc_answer *);

/* The controller's side of one host. */
struct session *session_new(struct proc *client, struct host *);	/* lives until the host's end; see session_gone */
/* Is it connected to this agent of its host, by number? One that is connected to another is so to this one from now on. */
bool session_knows(struct session *, unsigned agent);
void session_gone(struct session *);	/* the controller is: nothing is sent or heard any more */
uint64_t session_next_id(struct session *);
void sessions_free(struct host *);	/* at its end */

struct rpc {
	enum rpc_method method;
	const char     *alloc;	/* borrowed */
	uint64_t	id;
	int64_t		interval;
	bool		kill;
	const struct buf *body;	/* borrowed; may be NULL */
	int64_t		patience;	/* until it is asked again */
	unsigned	tries;		/* 0: for as long as it takes */
};
/* The answer's parts become the callback's. err: what the agent said, or NET when it was not heard. */
typedef void rpc_cb(struct rpc_answer *, struct err *, void *arg);
/* drop (or NULL) is called in its stead when the operation is cancelled. */
struct op *rpc_start(struct session *, const struct rpc *, rpc_cb *, void (*drop)(void *arg), void *arg);
void rpc_tell(struct session *, const struct rpc *);	/* once, and no answer is waited for */

/* The agent's side. Takes the answer's parts. */
void rpc_reply(struct session *, uint64_t call, struct rpc_answer *);
/* That an answer cannot be what it should: a peer that lies, or a broken wire. Gives. */
struct err *rpc_nonsense(const struct session *, const char *what);

#endif
