/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_SESSION_H
#define WEIR_CMD_SESSION_H

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "lang/program.h"
#include "run/runner.h"

/*
 * What `run` and `resume` share: a loop, a controller on it, signals, one run and what is said of it.
 *
 *	session_open → session_control → (session_bundle) → session_evaluate → session_close
 *
 * The first ^C or SIGTERM ends what runs and leaves a run that can be resumed; the second ends us.
 */
struct session {
	struct cmd_env	  *env;		/* kept */
	struct loop	  *loop;
	struct controller *controller;	/* NULL before session_control */
	struct buf	  *warnings;	/* kept: to be said behind the run's id; or NULL */
	struct report	   report;
	bool		   json;	/* the result as typed JSON */
	/* while it works */
	struct runner	  *runner;
	struct op	  *op;
	struct err	  *err;		/* how the operation ended */
	char		  *waiting;	/* what was said last of resources */
	struct sig	   interrupt, terminate;
	int		   nsignals;
	void (*on_signal)(struct session *, const char *name);	/* what the first one does */
};
void session_open(struct session *, struct cmd_env *, bool json);
must_check struct err *session_control(struct session *, const struct root *);	/* opens the controller */
void session_close(struct session *);	/* waits until all is acknowledged */

/* Turns the loop until session_done; signals are handled meanwhile. */
void session_wait(struct session *, void (*on_signal)(struct session *, const char *));
void session_done(struct session *, struct err *);	/* for callbacks: takes the error */

/* Puts the sources into the repository, durably. */
must_check struct err *session_bundle(struct session *, struct program *, struct digest *);
/* The program that a bundle holds. diag gets what there is to say about it. */
must_check struct err *session_unbundle(const struct root *, const struct digest *, struct buf *diag,
    struct program **);

/* Evaluates to the end, and says and prints what there is. Takes what runner_args says. Gives the exit status. */
must_check int session_evaluate(struct session *, struct runner_args *);
/* The end of a run that is Done: result on stdout, or what failed on stderr. Gives the exit status. */
must_check int session_finish(struct session *, const struct run_state *);
/* A result as `run` prints it. */
must_check struct err *print_result(const char *text, const char *json, const char *type, const struct digest *run,
    bool as_json);

#endif
