/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/alloc_exec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/xalloc.h"
#include "iface/later.h"

/*
 * A thin layer over an executor that remembers the execs it handed out. An exec may outlive the
 * alloc's handle; then it only forwards. State changes pass through, because the owner sets its
 * callback on our exec, not on the one below.
 */

struct task {
	struct exec	  exec;
	LIST_ENTRY(task)  entry;
	struct alloc_exec *home;	/* NULL once that is gone */
	struct exec	 *inner;	/* owned */
};
struct alloc_exec {
	struct executor	     executor;
	struct executor	    *inner;	/* kept */
	bool		     shut;
	LIST_HEAD(, task)    tasks;
	LIST_HEAD(, request) requests;
};

/* ---- the exec ---- */

static struct task *
task_of(struct exec *e)
{
	return container_of(e, struct task, exec);
}

static struct op *
task_wait(struct exec *e, exec_result_cb *cb, void *arg)
{
	return exec_wait(task_of(e)->inner, cb, arg);
}

static struct op *
task_inspect(struct exec *e, exec_inspect_cb *cb, void *arg)
{
	return exec_inspect_start(task_of(e)->inner, cb, arg);
}

static struct op *
task_logs(
    struct exec *e, enum exec_log which, bool follow, void (*cb)(struct source *, struct err *, void *), void *arg)
{
	return exec_logs(task_of(e)->inner, which, follow, cb, arg);
}

static void
task_kill(struct exec *e)
{
	exec_kill(task_of(e)->inner);
}

static void
task_free(struct exec *e)
{
	struct task *t = task_of(e);

	if (t->home)
		LIST_REMOVE(t, entry);
	exec_free(t->inner);
	free(t);
}

static const struct exec_ops task_ops = { task_wait, task_inspect, task_logs, task_kill, task_free };

static void
task_state_cb(enum attempt_state state, void *arg)
{
	struct task *t = arg;

	if (t->exec.on_state)
		t->exec.on_state(state, t->exec.on_state_arg);
}

static struct exec *
task_new(struct alloc_exec *a, struct exec *inner)
{
	struct task *t = xcalloc(1, sizeof *t);

	t->exec.ops = &task_ops;
	t->exec.key = inner->key;
	t->home = a;
	t->inner = inner;
	inner->on_state = task_state_cb;
	inner->on_state_arg = t;
	LIST_INSERT_HEAD(&a->tasks, t, entry);
	if (a->shut)
		exec_kill(inner);
	return &t->exec;
}

/* ---- put and get ---- */

struct request {
	struct op	     op;
	LIST_ENTRY(request)  entry;
	struct alloc_exec   *home;	/* kept */
	struct op	    *child;	/* owned: the call below, or NULL once it has answered */
	struct exec	    *exec;	/* result, ours until cb takes it */
	struct err	    *err;	/* result, ours until cb takes it */
	executor_put_cb	    *cb;
	void		    *arg;
};

static void
request_cb(struct exec *exec, struct err *err, void *arg)
{
	struct request *r = arg;

	r->child = NULL;
	if (exec)
		r->exec = task_new(r->home, exec);
	r->err = err;
	op_wake(&r->op);
}

static void
request_advance(struct op *op)
{
	struct request *r = op_owner(op, struct request, op);
	executor_put_cb *cb = r->cb;
	void *arg = r->arg;
	struct exec *exec = r->exec;
	struct err *err = r->err;

	if (r->child)
		return;
	r->exec = NULL;
	r->err = NULL;
	op_release(op);
	cb(exec, err, arg);
}

static void
request_release(struct op *op)
{
	struct request *r = op_owner(op, struct request, op);

	LIST_REMOVE(r, entry);
	op_cancel(&r->child);
	exec_free(r->exec);
	err_free(r->err);
	free(r);
}

static const struct op_type request_type = { "alloc-exec-request", request_advance, request_release };

static struct request *
request_new(struct alloc_exec *a, executor_put_cb *cb, void *arg)
{
	struct request *r = xcalloc(1, sizeof *r);

	r->home = a;
	r->cb = cb;
	r->arg = arg;
	op_init(&r->op, a->executor.loop, &request_type);
	LIST_INSERT_HEAD(&a->requests, r, entry);
	return r;
}

static struct alloc_exec *
alloc_exec_of(struct executor *e)
{
	return container_of(e, struct alloc_exec, executor);
}

static struct op *
alloc_exec_put(struct executor *e, const struct exec_config *config, executor_put_cb *cb, void *arg)
{
	struct alloc_exec *a = alloc_exec_of(e);
	struct request *r = request_new(a, cb, arg);

	if (a->shut) {
		r->err = err_new(ERR_NOT_EXIST, "put", NULL);
		r->err->msg = xstrdup("alloc expired");
		op_wake(&r->op);
	} else {
		r->child = executor_put(a->inner, config, request_cb, r);
	}
	return &r->op;
}

static struct op *
alloc_exec_get(struct executor *e, const struct digest *key, executor_put_cb *cb, void *arg)
{
	struct alloc_exec *a = alloc_exec_of(e);
	struct request *r = request_new(a, cb, arg);

	r->child = executor_get(a->inner, key, request_cb, r);
	return &r->op;
}

static struct repo *
alloc_exec_repo(struct executor *e)
{
	return executor_repo(alloc_exec_of(e)->inner);
}

static void
alloc_exec_free(struct executor *e)
{
	struct alloc_exec *a = alloc_exec_of(e);
	struct task *t;

	assert(LIST_EMPTY(&a->requests));
	while ((t = LIST_FIRST(&a->tasks))) {
		LIST_REMOVE(t, entry);
		t->home = NULL;
	}
	free(a);
}

static const struct executor_ops alloc_exec_ops = {
	.put = alloc_exec_put,
	.get = alloc_exec_get,
	.repo = alloc_exec_repo,
	.free = alloc_exec_free,
};

struct executor *
alloc_exec_new(struct executor *inner)
{
	struct alloc_exec *a = xcalloc(1, sizeof *a);

	a->executor = *inner;	/* its loop and its figures, under our table */
	a->executor.ops = &alloc_exec_ops;
	a->inner = inner;
	LIST_INIT(&a->tasks);
	LIST_INIT(&a->requests);
	return &a->executor;
}

void
alloc_exec_shut(struct executor *e)
{
	struct alloc_exec *a = alloc_exec_of(e);
	struct task *t;

	if (a->shut)
		return;
	a->shut = true;
	LIST_FOREACH(t, &a->tasks, entry)
		exec_kill(t->inner);
}
