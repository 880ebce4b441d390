/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_KEEPER_CLIENT_H
#define WEIR_EXECUTOR_KEEPER_CLIENT_H

#include "executor/proto.h"
#include "loop/loop.h"
#include "store/root.h"

/*
 * A controller's connection to the keeper of its root. The keeper is started when it is first needed
 * and found dead; then everything outstanding is asked for again, which the claim makes harmless.
 */
struct keeper_options {
	/* NULL: weir-keeper beside this program's file, else in the libexec directory */
	const char	*program;
	const char	*scratch;	/* as root_open had it, or NULL */
	struct resources resources;	/* of this host, for a keeper that has to be started; empty: detected */
	double		 idle;		/* seconds with nothing to do, then it leaves; 0: its default */
	unsigned	 slots;		/* 0: its default */
	bool		 no_isolation, no_cgroup;
};
struct keeper_client;
/* Keeps the root; copies the options (NULL: defaults). Connects when it is first needed. */
struct keeper_client *keeper_client_new(struct loop *, const struct root *, const struct keeper_options *);
void keeper_client_free(struct keeper_client *);	/* all calls were freed before. NULL is fine */
/* have a keeper, also with nothing to ask of it: it runs the databases' writer */
void keeper_client_wake(struct keeper_client *);
const struct root *keeper_client_root(const struct keeper_client *);
struct loop *keeper_client_loop(const struct keeper_client *);
/* of the keeper, while connected; else 0: for tests that kill it */
pid_t keeper_client_pid(const struct keeper_client *);

/*
 * One exec asked for. The callback gets each report as it comes (borrowed; it may take result out):
 * TAKEN and STATE at most a few times, then DONE or REFUSED once, the last. err instead of a report,
 * also last: no keeper can be had. It may free the call.
 */
struct keeper_call;
typedef void keeper_call_cb(struct report *, struct err *, void *arg);
struct keeper_call *keeper_call_put(struct keeper_client *, const struct exec_config *, keeper_call_cb *, void *arg);
/* Waits for whatever attempt of the key lives or is over; REFUSED with NOT_EXIST if there is none. */
struct keeper_call *keeper_call_subscribe(struct keeper_client *, const struct digest *key, keeper_call_cb *,
    void *arg);
void keeper_call_detach(struct keeper_call *);	/* ends it, if nobody else waits for it: DONE tells */
void keeper_call_abandon(struct keeper_call *);	/* detaches and frees: no report comes any more */
void keeper_call_free(struct keeper_call *);	/* lets go of it: the attempt goes on. NULL is fine */

/* The run's `ended` record of this attempt is durable: its directory may go. */
void keeper_client_forget(struct keeper_client *, const struct digest *run, const struct digest *key, unsigned attempt);
void keeper_client_kill_run(struct keeper_client *, const struct digest *run);

/* What lives on this host. No keeper: nothing, and none is started. */
struct keeper_attempt {
	struct digest key, run;
	unsigned attempt;
	enum attempt_state state;
	/* owned; cmd only when one key was asked for, its holes as arg/I/J and return/K below / */
	char	*ident, *cmd;
	int64_t	 queued, started;
};
struct keeper_attempts {
	struct keeper_attempt *a;
	size_t n;
};
void keeper_attempts_release(struct keeper_attempts *);
/* The parts become the callback's. */
typedef void keeper_ask_cb(struct keeper_attempts *, struct err *, void *arg);
/* key NULL: all */
struct op *keeper_ask(struct keeper_client *, const struct digest *key, keeper_ask_cb *, void *arg);

#endif
