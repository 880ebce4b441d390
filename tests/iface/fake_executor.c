/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/fake_executor.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/xalloc.h"
#include "tests/iface/fake_repo.h"

/*
 * What a reader would get wrong: a table finds only the newest attempt of a key, which is the only one that
 * anybody may attach to; the older ones hang on it by `before`, for their handles are still out.
 */
struct attempt {
	struct attempt	     *before;	/* of the same key; owned */
	UT_hash_handle	      hh;	/* of the newest of a key */
	struct fake_executor *x;
	struct digest	      key;
	char		     *ident;
	struct exec_claim     claim;
	uint32_t	      number;
	enum attempt_state    state;
	struct exec_result    result;	/* what it will give */
	struct timer	      begins, ends;
	LIST_HEAD(, handle)   handles;
	LIST_HEAD(, waiter)   waiters;
};
struct handle {
	struct exec	   exec;
	LIST_ENTRY(handle) entry;
	struct attempt	  *a;
	bool		   detached, attached;
};
struct planned {
	struct digest	    key;
	struct exec_result  result;
	UT_hash_handle	    hh;
};
struct fake_executor {
	struct executor	    executor;
	struct fake	   *f;		/* kept */
	struct repo	   *repo;	/* kept */
	int64_t		    duration;
	fake_executor_plan *plan;
	void		   *plan_arg;
	struct attempt	   *newest;	/* by key */
	struct planned	   *results;	/* by key */
	struct fake_put	   *puts;
	size_t		    nputs;
	struct fake_executor_stats stats;
};

static struct fake_executor *
fake_of(struct executor *e)
{
	return container_of(e, struct fake_executor, executor);
}

static bool
live(const struct attempt *a)
{
	return a->state < ATTEMPT_OK;
}

/* ---- life of an attempt ---- */

static void
set_state(struct attempt *a, enum attempt_state state)
{
	struct handle *h;

	a->state = state;
	LIST_FOREACH(h, &a->handles, entry)
		if (h->exec.on_state)
			h->exec.on_state(state, h->exec.on_state_arg);
}

static void wake_waiters(struct attempt *);

static void
attempt_over(struct attempt *a)
{
	timer_clear(&a->begins);
	timer_clear(&a->ends);
	if (a->state == ATTEMPT_RUNNING)
		a->x->stats.running--;
	a->result.attempt = a->number;
	a->result.owner = a->claim.run;
	a->result.usage.ended = loop_wall(a->x->executor.loop);
	set_state(a, a->result.state);
	wake_waiters(a);
}

static void
attempt_lost(struct attempt *a, enum err_kind kind, const char *why)
{
	exec_result_release(&a->result);
	a->result = (struct exec_result){ .state = ATTEMPT_LOST, .status = -1, .err = err_msg(kind, "%s", why) };
	attempt_over(a);
}

static void
ends_cb(void *arg)
{
	attempt_over(arg);
}

static void
begins_cb(void *arg)
{
	struct attempt *a = arg;
	struct fake_executor_stats *s = &a->x->stats;

	if (++s->running > s->most_running)
		s->most_running = s->running;
	a->result.usage.started = loop_wall(a->x->executor.loop);
	timer_set(&a->ends, a->result.usage.wall_ns);
	set_state(a, ATTEMPT_RUNNING);
}

static void
make_file(struct fake_executor *x, const char *text, struct file *out)
{
	out->size = strlen(text);
	fake_repo_add(x->repo, text, out->size, &out->id);
}

static struct fileset *
one_file(struct fake_executor *x, const char *path, const char *text)
{
	struct fileset_builder *b = fileset_builder_new();
	struct file file;

	make_file(x, text, &file);
	fileset_builder_add(b, path, &file);
	return fileset_builder_finish(b);
}

static struct fileset *
default_fileset(struct fake_executor *x, const struct exec_config *c)
{
	struct fileset **elems, *list;
	char hex[9], text[32];

	if (c->type == EXEC_INTERN)
		return one_file(x, c->dir ? "f" : ".", c->url);
	digest_short(&c->key, hex);
	elems = xcalloc(c->noutputs ? c->noutputs : 1, sizeof *elems);
	for (size_t k = 0; k < c->noutputs; k++) {
		snprintf(text, sizeof text, "%s/%zu", hex, k);
		elems[k] = one_file(x, c->outputs[k].dir ? "f" : ".", text);
	}
	list = fileset_list(elems, c->noutputs);
	for (size_t k = 0; k < c->noutputs; k++)
		fileset_unref(elems[k]);
	free(elems);
	return list;
}

static void
plan(struct fake_executor *x, const struct exec_config *c, struct exec_result *out)
{
	struct planned *p;

	HASH_FIND(hh, x->results, &c->key, sizeof c->key, p);
	if (p) {
		exec_result_copy(out, &p->result);
		return;
	}
	out->state = ATTEMPT_OK;
	if (x->plan && x->plan(c, out, x->plan_arg)) {
		if (out->state != ATTEMPT_OK || out->fileset)
			return;
	}
	out->fileset = default_fileset(x, c);
}

static struct attempt *
newest(struct fake_executor *x, const struct digest *key)
{
	struct attempt *a;

	HASH_FIND(hh, x->newest, key, sizeof *key, a);
	return a;
}

static void
attempt_enter(struct fake_executor *x, struct attempt *a)
{
	a->before = newest(x, &a->key);
	a->number = a->before ? a->before->number + 1 : 1;
	if (a->before)
		HASH_DEL(x->newest, a->before);
	HASH_ADD(hh, x->newest, key, sizeof a->key, a);
}

static struct attempt *
attempt_new(struct fake_executor *x, const struct exec_config *c)
{
	struct attempt *a = xcalloc(1, sizeof *a);

	a->x = x;
	a->key = c->key;
	a->ident = c->ident ? xstrdup(c->ident) : NULL;
	a->claim = c->claim;
	attempt_enter(x, a);
	a->state = ATTEMPT_QUEUED;
	a->result.isolated = true;
	a->result.usage.wall_ns = x->duration;
	plan(x, c, &a->result);
	a->result.usage.queued = loop_wall(x->executor.loop);
	resources_copy(&a->result.usage.admitted, &c->resources);
	timer_init(&a->begins, x->executor.loop, "attempt_begins", begins_cb, a);
	timer_init(&a->ends, x->executor.loop, "attempt_ends", ends_cb, a);
	timer_set(&a->begins, 0);
	LIST_INIT(&a->handles);
	LIST_INIT(&a->waiters);
	x->stats.started++;
	return a;
}

/* The rule of executor_ops.put. */
static bool
may_attach(const struct attempt *a, const struct exec_claim *c)
{
	if (digest_equal(&a->claim.run, &c->run))
		return live(a) || a->state == ATTEMPT_OK ||
		    (a->state == ATTEMPT_FAILED && a->claim.try_ == c->try_ && a->claim.retry == c->retry);
	return c->join && (live(a) || a->state == ATTEMPT_OK);
}

/* ---- handles ---- */

static struct handle *
handle_of(struct exec *e)
{
	return container_of(e, struct handle, exec);
}

struct waiter {
	struct op	   op;
	LIST_ENTRY(waiter) entry;
	struct handle	  *h;		/* kept */
	struct attempt	  *a;		/* kept */
	struct op	  *child;
	bool		   answered;
	struct err	  *err;
	exec_result_cb	  *cb;
	void		  *arg;
};

static void
wait_answer(struct err *err, void *data)
{
	struct waiter *w = data;

	w->child = NULL;
	w->answered = true;
	w->err = err;
	op_wake(&w->op);
}

static void
nothing(void *data unused_arg)
{
}

static void
wait_advance(struct op *op)
{
	struct waiter *w = op_owner(op, struct waiter, op);
	struct exec_result result = { .state = ATTEMPT_LOST };
	struct err *err = w->err;
	exec_result_cb *cb = w->cb;
	void *arg = w->arg;

	if (w->child || live(w->a))
		return;
	if (!w->answered) {
		w->child = fake_call(w->a->x->f, "exec-wait", wait_answer, nothing, w);
		return;
	}
	if (!err) {
		exec_result_copy(&result, &w->a->result);
		result.attached = w->h->attached;
	}
	w->err = NULL;
	op_release(op);
	cb(err ? NULL : &result, err, arg);
}

static void
wait_release(struct op *op)
{
	struct waiter *w = op_owner(op, struct waiter, op);

	LIST_REMOVE(w, entry);
	op_cancel(&w->child);
	err_free(w->err);
	free(w);
}

static const struct op_type wait_type = { "fake-exec-wait", wait_advance, wait_release };

static void
wake_waiters(struct attempt *a)
{
	struct waiter *w;

	LIST_FOREACH(w, &a->waiters, entry)
		op_wake(&w->op);
}

static struct op *
fake_wait(struct exec *e, exec_result_cb *cb, void *arg)
{
	struct waiter *w = xcalloc(1, sizeof *w);

	w->h = handle_of(e);
	w->a = w->h->a;
	w->cb = cb;
	w->arg = arg;
	op_init(&w->op, w->a->x->executor.loop, &wait_type);
	LIST_INSERT_HEAD(&w->a->waiters, w, entry);
	op_wake(&w->op);
	return &w->op;
}

struct ask {
	struct attempt *a;
	void (*cb)(void);
	void	       *arg;
};

static struct ask *
ask_new(struct exec *e, void (*cb)(void), void *arg)
{
	struct ask *q = xmalloc(sizeof *q);

	*q = (struct ask){ handle_of(e)->a, cb, arg };
	return q;
}

static void
inspect_run(struct err *err, void *data)
{
	struct ask q = *(struct ask *)data;
	struct exec_inspect i = { .state = q.a->state, .attempt = q.a->number, .started = q.a->result.usage.started };

	free(data);
	if (!err && q.a->ident)
		i.ident = xstrdup(q.a->ident);
	((exec_inspect_cb *)q.cb)(err ? NULL : &i, err, q.arg);
}

static struct op *
fake_inspect(struct exec *e, exec_inspect_cb *cb, void *arg)
{
	return fake_call(handle_of(e)->a->x->f, "exec-inspect", inspect_run, free, ask_new(e, (void (*)(void))cb, arg));
}

typedef void logs_cb(struct source *, struct err *, void *);

static void
logs_run(struct err *err, void *data)
{
	struct ask q = *(struct ask *)data;

	free(data);
	((logs_cb *)q.cb)(err ? NULL : source_from_bytes(q.a->x->executor.loop, "", 0), err, q.arg);
}

static struct op *
fake_logs(struct exec *e, enum exec_log which unused_arg, bool follow unused_arg, logs_cb *cb, void *arg)
{
	return fake_call(handle_of(e)->a->x->f, "exec-logs", logs_run, free, ask_new(e, (void (*)(void))cb, arg));
}

static void
fake_kill(struct exec *e)
{
	struct handle *h = handle_of(e), *other;

	if (h->detached || !live(h->a))
		return;
	h->detached = true;
	LIST_FOREACH(other, &h->a->handles, entry)
		if (!other->detached)
			return;
	h->a->x->stats.killed++;
	attempt_lost(h->a, ERR_CANCELED, "killed");
}

static void
fake_free(struct exec *e)
{
	struct handle *h = handle_of(e);

	LIST_REMOVE(h, entry);
	h->a->x->stats.handles--;
	free(h);
}

static const struct exec_ops fake_exec_ops = { fake_wait, fake_inspect, fake_logs, fake_kill, fake_free };

static struct exec *
handle_new(struct attempt *a, bool attached)
{
	struct handle *h = xcalloc(1, sizeof *h);

	h->exec.ops = &fake_exec_ops;
	h->exec.key = a->key;
	h->a = a;
	h->attached = attached;
	LIST_INSERT_HEAD(&a->handles, h, entry);
	a->x->stats.handles++;
	return &h->exec;
}

/* ---- put and get ---- */

struct request {
	struct fake_executor *x;
	struct digest	      key;
	struct exec	     *exec;	/* made at the start of a put: what was borrowed is gone later */
	executor_put_cb	     *cb;
	void		     *arg;
};

static void
request_drop(void *data)
{
	exec_free(((struct request *)data)->exec);
	free(data);
}

static void
put_run(struct err *err, void *data)
{
	struct request r = *(struct request *)data;

	free(data);
	if (err) {
		exec_kill(r.exec);
		exec_free(r.exec);
	}
	r.cb(err ? NULL : r.exec, err, r.arg);
}

static void
note_put(struct fake_executor *x, const struct exec_config *c, bool attached)
{
	if ((x->nputs & (x->nputs - 1)) == 0)	/* grows at each power of two */
		x->puts = xreallocarray(x->puts, x->nputs ? x->nputs * 2 : 1, sizeof *x->puts);
	x->puts[x->nputs++] = (struct fake_put){
		c->key, c->ident ? xstrdup(c->ident) : NULL, c->claim, attached, c->type == EXEC_INTERN,
		loop_now(x->executor.loop),
	};
}

static struct op *
fake_put(struct executor *e, const struct exec_config *c, executor_put_cb *cb, void *arg)
{
	struct fake_executor *x = fake_of(e);
	struct attempt *a = newest(x, &c->key);
	struct request *r = xmalloc(sizeof *r);
	bool attached = a && c->type != EXEC_INTERN && may_attach(a, &c->claim);	/* inputs are looked at anew */

	if (!attached)
		a = attempt_new(x, c);
	note_put(x, c, attached);
	*r = (struct request){ x, c->key, handle_new(a, attached), cb, arg };
	return fake_call(x->f, "exec-put", put_run, request_drop, r);
}

static void
get_run(struct err *err, void *data)
{
	struct request r = *(struct request *)data;
	struct attempt *a = newest(r.x, &r.key);
	char name[DIGEST_STR + 1];

	free(data);
	digest_str(&r.key, name);
	if (!err && !a)
		err = err_new(ERR_NOT_EXIST, "exec", "%s", name);
	r.cb(err ? NULL : handle_new(a, true), err, r.arg);
}

static struct op *
fake_get(struct executor *e, const struct digest *key, executor_put_cb *cb, void *arg)
{
	struct request *r = xmalloc(sizeof *r);

	*r = (struct request){ fake_of(e), *key, NULL, cb, arg };
	return fake_call(fake_of(e)->f, "exec-get", get_run, request_drop, r);
}

static struct repo *
fake_repo(struct executor *e)
{
	return fake_of(e)->repo;
}

static void
attempt_free(struct attempt *a)
{
	assert_true(LIST_EMPTY(&a->handles) && LIST_EMPTY(&a->waiters));
	timer_clear(&a->begins);
	timer_clear(&a->ends);
	exec_result_release(&a->result);
	free(a->ident);
	free(a);
}

static void
fake_executor_free(struct executor *e)
{
	struct fake_executor *x = fake_of(e);
	struct attempt *a, *next, *before;
	struct planned *p, *tmp;

	HASH_ITER(hh, x->newest, a, next) {
		HASH_DEL(x->newest, a);
		for (; a; a = before) {
			before = a->before;
			attempt_free(a);
		}
	}
	HASH_ITER(hh, x->results, p, tmp) {
		HASH_DEL(x->results, p);
		exec_result_release(&p->result);
		free(p);
	}
	for (size_t i = 0; i < x->nputs; i++)
		free(x->puts[i].ident);
	free(x->puts);
	free(x);
}

static const struct executor_ops fake_executor_ops = {
	.put = fake_put, .get = fake_get, .repo = fake_repo, .free = fake_executor_free,
};

struct executor *
fake_executor_new(struct fake *f, struct repo *repo)
{
	struct fake_executor *x = xcalloc(1, sizeof *x);

	x->executor.ops = &fake_executor_ops;
	x->executor.loop = f->loop;
	x->f = f;
	x->repo = repo;
	return &x->executor;
}

void
fake_executor_duration(struct executor *e, int64_t ns)
{
	fake_of(e)->duration = ns;
}

void
fake_executor_result(struct executor *e, const struct digest *key, const struct exec_result *result)
{
	struct fake_executor *x = fake_of(e);
	struct planned *p;

	HASH_FIND(hh, x->results, key, sizeof *key, p);
	if (p) {
		exec_result_release(&p->result);
	} else {
		p = xcalloc(1, sizeof *p);
		p->key = *key;
		HASH_ADD(hh, x->results, key, sizeof p->key, p);
	}
	exec_result_copy(&p->result, result);
}

void
fake_executor_set_plan(struct executor *e, fake_executor_plan *fn, void *arg)
{
	fake_of(e)->plan = fn;
	fake_of(e)->plan_arg = arg;
}

static struct attempt *
live_attempt(struct executor *e, const struct digest *key)
{
	struct attempt *a = newest(fake_of(e), key);

	assert_true(a && live(a));
	return a;
}

void
fake_executor_end(struct executor *e, const struct digest *key)
{
	attempt_over(live_attempt(e, key));
}

void
fake_executor_lose(struct executor *e, const struct digest *key, enum err_kind kind)
{
	attempt_lost(live_attempt(e, key), kind, "lost");
}

const struct fake_put *
fake_executor_puts(struct executor *e, size_t *n)
{
	*n = fake_of(e)->nputs;
	return fake_of(e)->puts;
}

struct fake_executor_stats
fake_executor_stats(struct executor *e)
{
	return fake_of(e)->stats;
}
