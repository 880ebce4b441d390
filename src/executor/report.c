/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * report: how the keeper's processes answer. A controller's socket holds only a handful of messages;
 * one that is full costs the sender a hop to the keeper, never a wait.
 */

void
keeper_child_init(const struct keeper_env *env)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (getppid() != env->pid)
		_exit(0);
}

static void
report_late(const struct keeper_env *env, const struct ledger_sub *to, const struct buf *message, int pass_fd)
{
	struct pollfd p = { .fd = env->late, .events = POLLOUT };
	struct buf b = BUF_INIT;

	if (env->repeat != NULL) {
		env->repeat(env->repeat_arg, to->name, message->p, message->len, pass_fd);
		return;
	}
	buf_add(&b, to->name, sizeof to->name);
	buf_add(&b, message->p, message->len);
	while (sock_send(env->late, NULL, b.p, b.len, pass_fd) == SOCK_FULL)
		poll(&p, 1, 1000);
	buf_release(&b);
}

void
keeper_report(const struct keeper_env *env, const struct ledger_sub *to, const struct report *r, const void *result,
    size_t len, int pass_fd)
{
	struct buf message = BUF_INIT;
	struct sockaddr_un sa;

	report_encode(r, result, len, &message);
	/* We are in keeper/ (keeper.h): its name is its path. */
	memset(&sa, 0, sizeof sa);
	sa.sun_family = AF_UNIX;
	memcpy(sa.sun_path, to->name, strnlen(to->name, sizeof to->name - 1));
	/* A controller that is gone finds the manifest when it comes back. */
	if (sock_send(env->out, &sa, message.p, message.len, pass_fd) == SOCK_FULL)
		report_late(env, to, &message, pass_fd);
	buf_release(&message);
}

void
keeper_report_over(const struct keeper_env *env, const struct ledger_sub *subs, unsigned nsubs,
    const struct digest *key, const struct exec_result *result, int manifest)
{
	struct report r = { .kind = REPORT_DONE, .key = *key, .attempt = result->attempt, .state = result->state };
	struct buf bytes = BUF_INIT;
	struct mpk_w w;
	bool file;

	mpk_w_init(&w, &bytes);
	exec_result_mpk(result, &w);
	file = manifest >= 0 && bytes.len > KEEPER_RESULT_INLINE;
	for (unsigned i = 0; i < nsubs; i++) {
		r.id = subs[i].id;
		r.attached = subs[i].attached;
		if (file)
			keeper_report(env, &subs[i], &r, NULL, 0, manifest);
		else
			keeper_report(env, &subs[i], &r, bytes.p, bytes.len, -1);
	}
	buf_release(&bytes);
}

void
keeper_refuse(const struct keeper_env *env, const struct ledger_sub *to, struct err *err)
{
	struct report r = { .kind = REPORT_REFUSED, .id = to->id, .err = err };

	if (to->name[0] != '\0')
		keeper_report(env, to, &r, NULL, 0, -1);
	err_free(err);
}
