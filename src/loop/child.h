/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_CHILD_H
#define WEIR_LOOP_CHILD_H

#include "loop/loop.h"

/*
 * A child process, watched by pidfd. The callback gets the wait status. Cancelling sends SIGKILL and
 * reaps it before returning (a killed child is gone within a moment).
 */
struct child;
typedef void child_cb(int status, struct err *err, void *arg);	/* status as of wait(2); err: could not be started */
struct child_spec {
	const char  *path;		/* program, absolute or to be found in PATH */
	char *const *argv;
	char *const *envp;		/* NULL: ours */
	int	     fds[3];		/* become 0, 1, 2; -1: /dev/null */
	int	     pass_fd;		/* becomes 3; -1: none */
	bool	     new_session;
};
struct child *child_start(struct loop *, const struct child_spec *, child_cb *, void *arg);
void child_cancel(struct child **);
pid_t child_pid(const struct child *);		/* 0 if it could not be started */
void child_kill(struct child *, int signo);	/* through the pidfd: never hits a stranger */

#endif
