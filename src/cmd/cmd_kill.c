/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include "cmd/session.h"
#include "cmd/text.h"
#include "run/follow.h"

/* kill: a message to the run's controller, and a wait until it has done so. */
struct killing {
	struct session s;
	bool	       done;	/* the run came to its end before the message did */
};

static void
kill_followed_cb(const struct run_entry *e, struct err *err, void *arg)
{
	struct killing *k = arg;

	k->done = e != NULL && e->state.Phase == PHASE_DONE;
	session_done(&k->s, err);
}

static void
kill_signal(struct session *s, const char *name unused_arg)
{
	op_cancel(&s->op);
	session_done(s, err_new(ERR_CANCELED, "kill", NULL));
}

static int
wait_for_end(struct cmd_env *env, const struct lookup *l)
{
	struct killing k = { .done = false };
	char id[ID_TEXT];
	struct err *err;

	session_open(&k.s, env, false);
	k.s.op = follow_start(k.s.loop, &l->root, &l->id.digest, NULL, kill_followed_cb, &k);
	session_wait(&k.s, kill_signal);
	err = k.s.err;
	k.s.err = NULL;
	session_close(&k.s);
	id_text(ID_RUN, &l->id.digest, id);
	if (err == NULL && k.done)
		log_info("%s came to its end by itself", id);
	else if (err == NULL)
		log_info("%s is ended; weir resume %s goes on", id, id);
	return exit_with(STAGE_OTHER, err);
}

static struct err *
send_kill(struct lookup *l, const char *text)
{
	const struct run_entry *e;
	char id[ID_TEXT];
	struct err *err = lookup_id(l, text);

	if (err != NULL)
		return err;
	if (l->id.kind != ID_RUN)
		return err_msg(ERR_INVALID, "%s: this is not a run; weir ps lists the runs", text);
	e = lookup_run(l, &l->id.digest);
	id_text(ID_RUN, &l->id.digest, id);
	if (e->state.Phase == PHASE_DONE)
		return err_msg(ERR_PRECONDITION, "%s is done: there is nothing to end", id);
	if (!e->live)
		return err_msg(ERR_PRECONDITION, "%s is not being evaluated: there is nothing to end", id);
	return controller_send_kill(&l->root, e->controller, &l->id.digest);
}

static int
run(struct cmd_env *env, int argc unused_arg, char **argv)
{
	struct lookup l;
	struct err *err = lookup_open(env, RUNDB_STATES, &l);
	int code;

	if (err == NULL)
		err = send_kill(&l, argv[0]);
	code = err != NULL ? exit_with(STAGE_OTHER, err) : wait_for_end(env, &l);
	lookup_close(&l);
	return code;
}

const struct cmd cmd_kill = {
	.name = "kill",
	.args = "RUN",
	.help = "Ends a run and its execs. It can be resumed.",
	.groups = CONFIG_ROOT,
	.minargs = 1,
	.maxargs = 1,
	.run = run,
};
