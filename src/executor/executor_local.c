/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/executor_local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "executor/exec_logs.h"
#include "iface/later.h"

/*
 * executor_local: handles of execs over the keeper's calls. A handle remembers what was reported last;
 * the operations on it (put, wait) are listeners that look at it when it changes.
 */

/* Requests beyond what fits, so that a slot that falls free finds the next one waiting. */
#define LOCAL_LOOKAHEAD 4

struct listener {		/* put and wait */
	struct op	op;
	TAILQ_ENTRY(listener) link;
	struct exec_local *exec;	/* NULL: it ended */
	bool		put;
	executor_put_cb	*put_cb;
	exec_result_cb	*wait_cb;
	void	       *arg;
};
struct exec_local {
	struct exec	  exec;
	struct executor_local *executor;
	struct keeper_call *call;	/* owned; NULL once it is over */
	enum attempt_state state, announced;	/* as reported; as on_state was told */
	struct timer	  announce;
	bool		  taken, attached, given;	/* given: put was answered */
	unsigned	  attempt;
	int64_t		  started;	/* wall clock: when it was reported to run; 0: not yet */
	bool		  over;
	struct exec_result result;	/* valid when over and err is NULL */
	struct err	 *err;
	char		 *ident;
	TAILQ_HEAD(, listener) listeners;
};
struct executor_local {
	struct executor	      executor;
	struct keeper_client *client;	/* kept */
	struct repo	     *repo;	/* kept */
};

static struct exec_local *
local_of(struct exec *e)
{
	return container_of(e, struct exec_local, exec);
}

static void
exec_local_free(struct exec *exec)
{
	struct exec_local *e = local_of(exec);
	struct listener *l;

	/* Operations on it were cancelled before; one that is about to end finds nobody. */
	TAILQ_FOREACH(l, &e->listeners, link)
		l->exec = NULL;
	timer_clear(&e->announce);
	keeper_call_free(e->call);
	if (e->over && e->err == NULL)
		exec_result_release(&e->result);
	err_free(e->err);
	free(e->ident);
	free(e);
}

static void
listeners_wake(struct exec_local *e)
{
	struct listener *l;

	TAILQ_FOREACH(l, &e->listeners, link)
		op_wake(&l->op);
}

/* What cannot become an attempt is, for who waits, an attempt that was lost. */
static void
exec_refused(struct exec_local *e, struct err *err)
{
	e->result = (struct exec_result){ .state = ATTEMPT_LOST, .attempt = e->attempt, .status = -1, .err = err };
}

/* An exec often runs before its put is answered: the owner, who could not listen yet, is told afterwards. */
static void
exec_announce_cb(void *arg)
{
	struct exec_local *e = arg;

	if (e->announced == e->state || e->over)
		return;
	e->announced = e->state;
	if (e->exec.on_state != NULL)
		e->exec.on_state(e->state, e->exec.on_state_arg);
}

static void
exec_report_cb(struct report *r, struct err *err, void *arg)
{
	struct exec_local *e = arg;

	if (r != NULL && r->kind != REPORT_DONE && r->kind != REPORT_REFUSED) {
		e->attached = r->attached;
		e->attempt = r->attempt;
		e->taken = true;
		if (r->state > e->state && r->state < ATTEMPT_OK) {
			e->state = r->state;
			if (e->state == ATTEMPT_RUNNING)
				e->started = loop_wall(e->executor->executor.loop);
			if (e->given)
				exec_announce_cb(e);
		}
		listeners_wake(e);
		return;
	}
	e->over = true;
	e->err = err;
	if (r != NULL) {	/* of a short one nothing else is told */
		e->attached = e->attached || r->attached;
		e->attempt = r->attempt != 0 ? r->attempt : e->attempt;
	}
	if (r != NULL && r->kind == REPORT_REFUSED) {
		exec_refused(e, r->err);
		r->err = NULL;
	} else if (r != NULL && r->has_result) {
		e->result = r->result;
		e->result.attached = e->result.attached || e->attached;
		r->has_result = false;
	} else if (err == NULL) {
		e->err = err_msg(ERR_UNAVAILABLE, "the keeper's report holds no result");
	}
	e->state = e->err == NULL ? e->result.state : ATTEMPT_LOST;
	keeper_call_free(e->call);
	e->call = NULL;
	listeners_wake(e);
}

static void
listener_release(struct op *op)
{
	struct listener *l = op_owner(op, struct listener, op);
	struct exec_local *e = l->exec;

	if (e != NULL) {
		TAILQ_REMOVE(&e->listeners, l, link);
		if (l->put) {	/* cancelled: nobody has the handle yet */
			if (e->call != NULL)
				keeper_call_abandon(e->call);
			e->call = NULL;
			exec_local_free(&e->exec);
		}
	}
	free(l);
}

static void
put_finish(struct listener *l)
{
	struct exec_local *e = l->exec;
	executor_put_cb *cb = l->put_cb;
	void *arg = l->arg;
	struct err *err = NULL;

	TAILQ_REMOVE(&e->listeners, l, link);
	l->exec = NULL;
	op_release(&l->op);
	if (e->over && e->err != NULL) {
		err = e->err;
		e->err = NULL;
		e->over = false;
	} else if (e->over && !e->taken && e->result.state == ATTEMPT_LOST && e->result.err != NULL) {
		err = e->result.err;	/* refused: there never was an attempt */
		e->result.err = NULL;
	}
	if (err != NULL) {
		exec_local_free(&e->exec);
		cb(NULL, err, arg);
		return;
	}
	e->given = true;
	timer_set(&e->announce, 1);
	cb(&e->exec, NULL, arg);
}

static void
wait_finish(struct listener *l)
{
	struct exec_local *e = l->exec;
	exec_result_cb *cb = l->wait_cb;
	void *arg = l->arg;
	struct exec_result r;
	struct err *err = e->err != NULL ? err_copy(e->err) : NULL;

	if (err == NULL)
		exec_result_copy(&r, &e->result);
	TAILQ_REMOVE(&e->listeners, l, link);
	l->exec = NULL;
	op_release(&l->op);
	if (err != NULL)
		cb(NULL, err, arg);
	else
		cb(&r, NULL, arg);
}

static void
listener_advance(struct op *op)
{
	struct listener *l = op_owner(op, struct listener, op);

	if (l->exec == NULL)
		return;
	if (l->put && (l->exec->taken || l->exec->over))
		put_finish(l);
	else if (!l->put && l->exec->over)
		wait_finish(l);
}

static const struct op_type put_type = { "executor_put", listener_advance, listener_release };
static const struct op_type wait_type = { "exec_wait", listener_advance, listener_release };

static struct listener *
listen_to(struct exec_local *e, const struct op_type *type, void *arg)
{
	struct listener *l = xcalloc(1, sizeof *l);

	op_init(&l->op, e->executor->executor.loop, type);
	l->exec = e;
	l->arg = arg;
	TAILQ_INSERT_TAIL(&e->listeners, l, link);
	return l;
}

static struct op *
exec_local_wait(struct exec *exec, exec_result_cb *cb, void *arg)
{
	struct listener *l = listen_to(local_of(exec), &wait_type, arg);

	l->wait_cb = cb;
	if (l->exec->over)
		op_wake(&l->op);
	return &l->op;
}

static char *
exec_dir(const struct exec_local *e)
{
	const struct root *root = keeper_client_root(e->executor->client);

	return attempt_path(root->execs, &e->exec.key, e->attempt);
}

struct inspecting {
	exec_inspect_cb *cb;
	void	     *arg;
	struct exec_inspect now;
};

static void
inspect_run(void *data)
{
	struct inspecting *i = data;
	exec_inspect_cb *cb = i->cb;
	void *arg = i->arg;
	struct exec_inspect now = i->now;

	free(i);
	cb(&now, NULL, arg);
}

static void
inspect_drop(void *data)
{
	struct inspecting *i = data;

	exec_inspect_release(&i->now);
	free(i);
}

static struct op *
exec_local_inspect(struct exec *exec, exec_inspect_cb *cb, void *arg)
{
	struct exec_local *e = local_of(exec);
	struct inspecting *i = xcalloc(1, sizeof *i);

	i->cb = cb;
	i->arg = arg;
	i->now.state = e->state;
	i->now.attempt = e->attempt;
	i->now.ident = e->ident != NULL ? xstrdup(e->ident) : NULL;
	i->now.dir = e->attempt != 0 ? exec_dir(e) : NULL;
	i->now.started = e->over && e->err == NULL ? e->result.usage.started : e->started;
	return later_start(e->executor->executor.loop, "exec_inspect", inspect_run, inspect_drop, i);
}

static struct op *
exec_local_logs(struct exec *exec, enum exec_log log, bool follow, void (*cb)(struct source *, struct err *, void *),
    void *arg)
{
	struct exec_local *e = local_of(exec);
	struct exec_logs_spec spec = { .loop = e->executor->executor.loop, .repo = e->executor->repo,
		.follow = follow };
	const struct exec_result *r = e->over && e->err == NULL ? &e->result : NULL;
	char *dir = exec_dir(e);
	struct op *op;

	if (r != NULL)
		spec.object = log == EXEC_STDOUT ? &r->out : &r->errlog;
	spec.dir = dir;
	spec.name = log == EXEC_STDOUT ? "stdout" : "stderr";
	op = exec_logs_open(&spec, cb, arg);
	free(dir);
	return op;
}

static void
exec_local_kill(struct exec *exec)
{
	struct exec_local *e = local_of(exec);

	if (e->call != NULL)
		keeper_call_detach(e->call);
}

static const struct exec_ops exec_local_ops = {
	.wait = exec_local_wait,
	.inspect = exec_local_inspect,
	.logs = exec_local_logs,
	.kill = exec_local_kill,
	.free = exec_local_free,
};

static struct exec_local *
exec_local_new(struct executor_local *x, const struct digest *key)
{
	struct exec_local *e = xcalloc(1, sizeof *e);

	e->exec.ops = &exec_local_ops;
	e->exec.key = *key;
	e->executor = x;
	timer_init(&e->announce, x->executor.loop, "exec_announce", exec_announce_cb, e);
	TAILQ_INIT(&e->listeners);
	return e;
}

/* The controller's PATH, unless the exec declares one: not that of whoever happened to start the keeper. */
static const char **
env_with_path(const struct exec_config *c, char **path)
{
	const char **env, *ours = getenv("PATH");
	size_t n = 0;

	*path = NULL;
	while (c->env != NULL && c->env[n] != NULL)
		n++;
	env = xcalloc(n + 2, sizeof *env);
	for (size_t i = 0; i < n; i++) {
		env[i] = c->env[i];
		if (strncmp(env[i], "PATH=", 5) == 0)
			ours = NULL;
	}
	if (ours != NULL)
		env[n] = *path = xasprintf("PATH=%s", ours);
	return env;
}

static struct op *
local_put(struct executor *executor, const struct exec_config *config, executor_put_cb *cb, void *arg)
{
	struct executor_local *x = container_of(executor, struct executor_local, executor);
	struct exec_local *e = exec_local_new(x, &config->key);
	struct exec_config c = *config;
	const char **env;
	struct listener *l;
	char *path;

	env = env_with_path(config, &path);
	c.env = env;
	e->ident = config->ident != NULL ? xstrdup(config->ident) : NULL;
	e->call = keeper_call_put(x->client, &c, exec_report_cb, e);
	free(env);
	free(path);
	l = listen_to(e, &put_type, arg);
	l->put = true;
	l->put_cb = cb;
	return &l->op;
}

static struct op *
local_get(struct executor *executor, const struct digest *key, executor_put_cb *cb, void *arg)
{
	struct executor_local *x = container_of(executor, struct executor_local, executor);
	struct exec_local *e = exec_local_new(x, key);
	struct listener *l;

	e->call = keeper_call_subscribe(x->client, key, exec_report_cb, e);
	l = listen_to(e, &put_type, arg);
	l->put = true;
	l->put_cb = cb;
	return &l->op;
}

static struct repo *
local_repo(struct executor *executor)
{
	return container_of(executor, struct executor_local, executor)->repo;
}

static void
local_free(struct executor *executor)
{
	free(container_of(executor, struct executor_local, executor));
}

static const struct executor_ops local_ops = {
	.put = local_put,
	.get = local_get,
	.repo = local_repo,
	.free = local_free,
};

struct executor *
executor_local_new(struct keeper_client *client, struct repo *repo)
{
	struct executor_local *x = xcalloc(1, sizeof *x);

	x->executor.ops = &local_ops;
	x->executor.lookahead = LOCAL_LOOKAHEAD;
	x->executor.loop = keeper_client_loop(client);
	x->client = client;
	x->repo = repo;
	return &x->executor;
}
