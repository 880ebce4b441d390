/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "loop/spawn.h"

/*
 * A child process as an operation. It is reaped by nobody else, so its pid and pidfd name it until
 * then; afterwards no signal is sent any more.
 */
struct child {
	struct op op;
	enum {
		CHILD_RUNNING,	/* waits for child_pidfd_cb */
		CHILD_OVER,	/* status or err is set: tell the owner */
	} state;
	pid_t	    pid;	/* 0: could not be started */
	int	    pidfd;	/* -1: reaped, or never started */
	struct io   io;
	int	    status;
	struct err *err;	/* ours until cb takes it */
	child_cb   *cb;
	void	   *arg;
};

static int
child_reap(pid_t pid)
{
	int status = 0;
	pid_t rc;

	do
		rc = waitpid(pid, &status, 0);
	while (rc == -1 && errno == EINTR);
	assert(rc == pid);
	return status;
}

static void
child_pidfd_clear(struct child *c)
{
	io_clear(&c->io);
	if (c->pidfd != -1)
		close(c->pidfd);
	c->pidfd = -1;
}

static void
child_pidfd_cb(int what unused_arg, void *arg)
{
	struct child *c = arg;

	c->status = child_reap(c->pid);
	child_pidfd_clear(c);
	op_trace(&c->op, "running", "over");
	c->state = CHILD_OVER;
	op_wake(&c->op);
}

static void
child_finish(struct child *c)
{
	child_cb *cb = c->cb;
	void *arg = c->arg;
	struct err *err = c->err;
	int status = c->status;

	c->err = NULL;
	op_release(&c->op);
	cb(status, err, arg);
}

static void
child_advance(struct op *op)
{
	struct child *c = op_owner(op, struct child, op);

	switch (c->state) {
	case CHILD_RUNNING:
		return;
	case CHILD_OVER:
		child_finish(c);
		return;
	}
}

static void
child_release(struct op *op)
{
	struct child *c = op_owner(op, struct child, op);

	if (c->pidfd != -1) {
		child_kill(c, SIGKILL);
		child_reap(c->pid);
		child_pidfd_clear(c);
	}
	err_free(c->err);
	free(c);
}

static const struct op_type child_type = { "child", child_advance, child_release };

/* Without a pidfd (descriptors used up) the end could not be seen: better none than a lost one. */
static struct err *
child_watch(struct child *c)
{
	int eno;

	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd == -1) {
		eno = errno;
		kill(c->pid, SIGKILL);
		child_reap(c->pid);
		c->pid = 0;
		return err_errno(eno, "watch", "child process");
	}
	io_init(&c->io, c->op.loop, c->pidfd, "child", child_pidfd_cb, c);
	io_want(&c->io, IO_READ);
	return NULL;
}

struct child *
child_start(struct loop *l, const struct child_spec *spec, child_cb *cb, void *arg)
{
	struct child *c = xcalloc(1, sizeof *c);

	op_init(&c->op, l, &child_type);
	c->pidfd = -1;
	c->cb = cb;
	c->arg = arg;
	c->err = spawn(spec, &c->pid);
	if (c->err == NULL)
		c->err = child_watch(c);
	if (c->err != NULL) {
		c->state = CHILD_OVER;
		op_wake(&c->op);
	}
	return c;
}

void
child_cancel(struct child **cp)
{
	struct child *c;

	if (cp == NULL || *cp == NULL)
		return;
	c = *cp;
	*cp = NULL;
	op_release(&c->op);
}

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

void
child_kill(struct child *c, int signo)
{
	if (c->pidfd != -1)
		pidfd_send_signal(c->pidfd, signo, NULL, 0);
}
