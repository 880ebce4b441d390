/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "executor/proto.h"
#include "iface/later.h"
#include "sim/disk.h"
#include "sim/remote.h"
#include "sim/watch.h"

/*
 * Execs of one alloc elsewhere. A put and a wait go on asking for as long as nobody cancels them: whether the alloc is
 * still ours is the lease's matter. What a reader would get wrong: a kill is told once, and again with each wait.
 */
#define WAIT_PATIENCE SECONDS(30)	/* longer than an agent lets a wait wait */
#define LOOKAHEAD 2

struct rexecutor {
	struct executor executor;
	struct remote  *remote;	/* kept */
	char	       *alloc;	/* owned: its id */
	const struct alloc *whose;	/* kept */
	TAILQ_HEAD(, rexec) execs;
};
struct rexec {
	struct exec    exec;
	TAILQ_ENTRY(rexec) link;
	struct rexecutor *x;
	uint64_t       id;
	struct resources resources;
	enum exec_type type;
	size_t	       noutputs;
	bool	       killed, over;
	bool	       known;	/* an input of here: result is set */
	bool	       got;	/* by its key: how many outputs it has is not known */
	struct exec_result result;
};

static struct rexec *
exec_of(struct exec *e)
{
	return container_of(e, struct rexec, exec);
}

static struct rexecutor *
executor_of(struct executor *e)
{
	return container_of(e, struct rexecutor, executor);
}

static struct op *
exec_ask(struct rexec *e, enum rpc_method m, const struct buf *body, int64_t patience, rpc_cb *cb, void *arg)
{
	struct rpc spec = { .method = m, .alloc = e->x->alloc, .id = e->id, .body = body, .kill = e->killed,
		.patience = patience };

	return rpc_start(e->x->remote->session, &spec, cb, NULL, arg);
}

static void
tell_kill(struct rexec *e)
{
	struct rpc spec = { .method = RPC_KILL, .alloc = e->x->alloc, .id = e->id };

	e->killed = true;
	rpc_tell(e->x->remote->session, &spec);
}

/* ---- waiting ---- */

struct rwait {
	struct op      op;
	struct rexec  *e;
	struct op     *child;
	bool	       heard;	/* result or err is set */
	struct exec_result result;
	struct err    *err;
	exec_result_cb *cb;
	void	      *arg;
};

/* The end of this exec, and one that an exec can have. */
static struct err *
read_result(struct rexec *e, const struct buf *b, struct exec_result *out)
{
	struct manifest m;
	struct err *err = manifest_decode(b->p, b->len, &m);
	const char *bad = NULL;

	if (err) {
		err_free(err);
		return rpc_nonsense(e->x->remote->session, "no manifest");
	}
	if (!digest_equal(&m.key, &e->exec.key))
		bad = "the end of another exec";
	else if (m.result.state < ATTEMPT_OK || (m.result.state != ATTEMPT_OK && !m.result.err))
		bad = "an end that is none";
	else if (m.result.state == ATTEMPT_OK && (!m.result.fileset ||
	    (e->type == EXEC_COMMAND && !e->got && fileset_nlist(m.result.fileset) != e->noutputs)))
		bad = "other outputs than the exec has";
	if (bad) {
		manifest_release(&m);
		return rpc_nonsense(e->x->remote->session, bad);
	}
	*out = m.result;
	memset(&m.result, 0, sizeof m.result);
	manifest_release(&m);
	return NULL;
}

static void
wait_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct rwait *w = arg;

	w->child = NULL;
	w->err = err;
	if (!err && !a->later)
		w->err = read_result(w->e, &a->body, &w->result);
	w->heard = err || !a->later;
	if (!err) {
		w->result.attached = a->attached;
		rpc_answer_release(a);
	}
	op_wake(&w->op);
}

static void
wait_advance(struct op *op)
{
	struct rwait *w = op_owner(op, struct rwait, op);
	struct exec_result result = w->result;
	struct err *err = w->err;
	exec_result_cb *cb = w->cb;
	void *arg = w->arg;

	if (w->child)
		return;
	if (!w->heard && w->e->known) {
		exec_result_copy(&w->result, &w->e->result);
		w->heard = true;
		op_wake(op);
		return;
	}
	if (!w->heard) {
		w->child = exec_ask(w->e, RPC_WAIT, NULL, WAIT_PATIENCE, wait_heard, w);
		return;
	}
	w->e->over = true;
	memset(&w->result, 0, sizeof w->result);
	w->err = NULL;
	op_release(op);
	cb(err ? NULL : &result, err, arg);
}

static void
wait_release(struct op *op)
{
	struct rwait *w = op_owner(op, struct rwait, op);

	op_cancel(&w->child);
	exec_result_release(&w->result);
	err_free(w->err);
	free(w);
}

static const struct op_type wait_type = { "remote_exec_wait", wait_advance, wait_release };

static struct op *
rexec_wait(struct exec *exec, exec_result_cb *cb, void *arg)
{
	struct rwait *w = xcalloc(1, sizeof *w);

	w->e = exec_of(exec);
	op_init(&w->op, w->e->x->executor.loop, &wait_type);
	w->cb = cb;
	w->arg = arg;
	op_wake(&w->op);
	return &w->op;
}

/* ---- the exec ---- */

static void
rexec_kill(struct exec *exec)
{
	tell_kill(exec_of(exec));
}

static void
rexec_free(struct exec *exec)
{
	struct rexec *e = exec_of(exec);

	TAILQ_REMOVE(&e->x->execs, e, link);
	resources_release(&e->resources);
	exec_result_release(&e->result);
	free(e);
}

static const struct exec_ops rexec_ops = { .wait = rexec_wait, .kill = rexec_kill, .free = rexec_free };

static struct rexec *
rexec_new(struct rexecutor *x, const struct exec_config *c)
{
	struct rexec *e = xcalloc(1, sizeof *e);

	e->exec.ops = &rexec_ops;
	e->exec.key = c->key;
	e->x = x;
	e->id = session_next_id(x->remote->session);
	e->type = c->type;
	e->noutputs = c->noutputs;
	resources_copy(&e->resources, &c->resources);
	TAILQ_INSERT_TAIL(&x->execs, e, link);
	return e;
}

/* ---- putting ---- */

struct local_input {
	char	   *path;	/* owned */
	struct file file;
};
struct rput {
	struct op     op;
	enum {
		PUT_INPUTS,	/* those of here go there, one after the other */
		PUT_ASK,
		PUT_OVER,	/* err, or the exec is there */
	} state;
	struct rexec *e;	/* owned until it is given */
	struct op    *child;
	struct buf    request;
	struct local_input *inputs;	/* owned */
	size_t	      ninputs, at;
	bool	      asked;
	struct err   *err;
	executor_put_cb *cb;
	void	     *arg;
};

static void
put_stored(struct err *err, void *arg)
{
	struct rput *p = arg;

	p->child = NULL;
	p->err = err;
	p->at++;
	if (err)
		p->state = PUT_OVER;
	op_wake(&p->op);
}

static void
put_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct rput *p = arg;
	struct digest key;
	struct mpk_doc doc;

	p->child = NULL;
	p->state = PUT_OVER;
	if (!err) {
		err = mpk_parse(&doc, a->body.p, a->body.len);
		if (!err) {
			if (!mpk_as_digest(mpk_root(&doc), &key) || !digest_equal(&key, &p->e->exec.key))
				err = rpc_nonsense(p->e->x->remote->session, "another exec than was put");
			mpk_doc_release(&doc);
		} else {
			err_free(err);
			err = rpc_nonsense(p->e->x->remote->session, "no exec");
		}
		rpc_answer_release(a);
	}
	p->err = err;
	op_wake(&p->op);
}

static void
put_input(struct rput *p)
{
	const struct local_input *in = &p->inputs[p->at];
	struct remote *r = p->e->x->remote;
	struct file f;

	if (files_read(r->host->world->files, in->path, &f) && digest_equal(&f.id, &in->file.id)) {
		p->child = remote_store_start(r, &f, NULL, 0, put_stored, p);
		return;
	}
	p->err = err_msg(ERR_TEMPORARY, "input changed meanwhile: %s", in->path);
	p->state = PUT_OVER;
}

static void
put_advance(struct op *op)
{
	struct rput *p = op_owner(op, struct rput, op);
	executor_put_cb *cb = p->cb;
	struct rexec *e = p->e;
	struct err *err;
	void *arg = p->arg;

	if (p->child)
		return;
	if (p->state == PUT_INPUTS && p->at < p->ninputs)
		put_input(p);
	else if (p->state == PUT_INPUTS)
		p->state = e->known ? PUT_OVER : PUT_ASK;
	if (p->child)
		return;
	if (p->state == PUT_ASK) {
		p->asked = !e->got;
		p->child = exec_ask(e, e->got ? RPC_GET : RPC_PUT, &p->request, REMOTE_PATIENCE, put_heard, p);
		return;
	}
	if (p->state != PUT_OVER) {
		op_wake(op);
		return;
	}
	err = p->err;
	p->err = NULL;
	if (!err)
		p->e = NULL;
	p->asked = false;
	op_release(op);
	cb(err ? NULL : &e->exec, err, arg);
}

static void
put_release(struct op *op)
{
	struct rput *p = op_owner(op, struct rput, op);

	op_cancel(&p->child);
	if (p->asked)		/* cancelled: whatever came of it is to end */
		tell_kill(p->e);
	if (p->e)
		rexec_free(&p->e->exec);
	for (size_t i = 0; i < p->ninputs; i++)
		free(p->inputs[i].path);
	free(p->inputs);
	buf_release(&p->request);
	err_free(p->err);
	free(p);
}

static const struct op_type put_type = { "remote_put", put_advance, put_release };

static void
add_input(struct rput *p, const char *path, const struct file *f)
{
	p->inputs = xreallocarray(p->inputs, p->ninputs + 1, sizeof *p->inputs);
	p->inputs[p->ninputs++] = (struct local_input){ xstrdup(path), *f };
}

/* An input of here is looked at here. */
static void
identify(struct rput *p, const struct exec_config *c)
{
	struct sim_files *files = p->e->x->remote->host->world->files;
	const char *path = strncmp(c->url, "file://", 7) == 0 ? c->url + 7 : c->url;
	struct exec_result *r = &p->e->result;
	struct file f;

	*r = (struct exec_result){ .state = ATTEMPT_OK, .status = -1, .owner = c->claim.run };
	r->usage.queued = r->usage.started = r->usage.ended = loop_wall(p->op.loop);
	p->e->known = true;
	if (c->dir)
		r->fileset = files_dir(files, path);
	else if (files_read(files, path, &f))
		r->fileset = fileset_file(&f);
	if (!r->fileset) {
		r->state = ATTEMPT_FAILED;
		r->err = err_new(ERR_NOT_EXIST, "open", "%s", path);
	} else if (c->install && !c->dir) {
		add_input(p, path, &f);
	}
}

static void
watch_it(struct rexecutor *x, const struct exec_config *c)
{
	const struct resources **out;
	struct rexec *e;
	size_t n = 0;

	TAILQ_FOREACH(e, &x->execs, link)
		n++;
	out = xcalloc(n, sizeof *out);
	n = 0;
	TAILQ_FOREACH(e, &x->execs, link)
		if (!e->over && !e->killed && e->type == EXEC_COMMAND)
			out[n++] = &e->resources;
	watch_put(x->remote->host->world->watch, x->remote->ctl, c, out, n, &x->whose->resources);
	if (x->whose->granted_until > 0 && loop_now(x->executor.loop) > x->whose->granted_until)
		world_fail(x->remote->host->world, "c%u puts to %s, whose lease has run out", x->remote->proc->number, x->whose->uri);
	free(out);
}

static struct op *
remote_put(struct executor *executor, const struct exec_config *c, executor_put_cb *cb, void *arg)
{
	struct rexecutor *x = executor_of(executor);
	struct rput *p = xcalloc(1, sizeof *p);
	struct ledger_sub from = { .name = "c-remote" };

	op_init(&p->op, executor->loop, &put_type);
	p->e = rexec_new(x, c);
	p->cb = cb;
	p->arg = arg;
	if (x->remote->ctl && !x->remote->proc->dead)
		watch_it(x, c);
	if (x->remote->own && c->type == EXEC_INTERN)
		identify(p, c);
	else
		request_encode(c, &from, &p->request);
	for (size_t i = 0; x->remote->own && i < c->ninputs; i++)
		if (c->inputs[i].origin)
			add_input(p, c->inputs[i].origin, &c->inputs[i].file);
	op_wake(&p->op);
	return &p->op;
}

static struct op *
remote_get(struct executor *executor, const struct digest *key, executor_put_cb *cb, void *arg)
{
	struct exec_config c = { .type = EXEC_COMMAND, .key = *key };
	struct rput *p = xcalloc(1, sizeof *p);

	op_init(&p->op, executor->loop, &put_type);
	p->e = rexec_new(executor_of(executor), &c);
	p->e->got = true;
	p->state = PUT_ASK;
	p->cb = cb;
	p->arg = arg;
	buf_add(&p->request, (const char *)key, sizeof *key);
	op_wake(&p->op);
	return &p->op;
}

static struct repo *
remote_repo(struct executor *e)
{
	return executor_of(e)->remote->repo;
}

static void
remote_free(struct executor *e)
{
	struct rexecutor *x = executor_of(e);

	free(x->alloc);
	free(x);
}

static const struct executor_ops remote_executor_ops = { .put = remote_put, .get = remote_get, .repo = remote_repo, .free = remote_free };

struct executor *
remote_executor_new(struct remote *r, const char *id, const struct alloc *alloc)
{
	struct rexecutor *x = xcalloc(1, sizeof *x);

	x->executor = (struct executor){ &remote_executor_ops, r->proc->loop, LOOKAHEAD };
	x->remote = r;
	x->alloc = xstrdup(id);
	x->whose = alloc;
	TAILQ_INIT(&x->execs);
	return &x->executor;
}
