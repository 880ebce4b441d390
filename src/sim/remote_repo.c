/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/remote.h"
#include "sim/watch.h"

/* The repository of a host elsewhere. What comes from there is taken for what it is called only when it is. */
struct remote_repo {
	struct repo    repo;
	struct remote *remote;
};

static struct remote *
remote_of(struct repo *r)
{
	return container_of(r, struct remote_repo, repo)->remote;
}

struct object_call {
	struct remote *remote;
	struct digest  want;
	repo_stat_cb  *stat;
	repo_get_cb   *get;
	repo_done_cb  *stored;
	void	      *arg;
};

static struct op *
ask(struct object_call *c, enum rpc_method m, const struct file *f, const void *bytes, size_t n, rpc_cb *heard)
{
	struct buf body = BUF_INIT;
	struct rpc spec = { .method = m, .body = &body, .patience = REMOTE_PATIENCE, .tries = 3 };
	struct op *op;

	buf_add(&body, (const char *)f, sizeof *f);
	if (n > 0)
		buf_add(&body, bytes, n);
	op = rpc_start(c->remote->session, &spec, heard, free, c);
	buf_release(&body);
	return op;
}

static struct object_call *
call_new(struct remote *r, const struct digest *want, void *arg)
{
	struct object_call *c = xcalloc(1, sizeof *c);

	c->remote = r;
	c->want = *want;
	c->arg = arg;
	return c;
}

/* Is it the file that was asked for? */
static struct err *
read_file(const struct object_call *c, const struct buf *b, struct file *out)
{
	if (b->len < sizeof *out)
		return rpc_nonsense(c->remote->session, "no file");
	memcpy(out, b->p, sizeof *out);
	if (!digest_equal(&out->id, &c->want))
		return rpc_nonsense(c->remote->session, "another object than was asked for");
	return NULL;
}

static void
stat_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct object_call c = *(struct object_call *)arg;
	struct file f;

	free(arg);
	if (!err) {
		err = read_file(&c, &a->body, &f);
		rpc_answer_release(a);
	}
	c.stat(err ? NULL : &f, err, c.arg);
}

static struct op *
remote_stat(struct repo *r, const struct digest *d, repo_stat_cb *cb, void *arg)
{
	struct object_call *c = call_new(remote_of(r), d, arg);
	struct file f = { *d, 0 };

	c->stat = cb;
	return ask(c, RPC_STAT, &f, NULL, 0, stat_heard);
}

static void
read_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct object_call c = *(struct object_call *)arg;
	struct source *source = NULL;
	struct digest id;
	struct file f;

	free(arg);
	if (!err) {
		err = read_file(&c, &a->body, &f);
		if (!err) {
			sha256_of(a->body.p + sizeof f, a->body.len - sizeof f, &id);
			if (!digest_equal(&id, &c.want))
				err = err_new(ERR_INTEGRITY, "get", "object");
			else
				source = source_from_bytes(c.remote->proc->loop, a->body.p + sizeof f, a->body.len - sizeof f);
		}
		rpc_answer_release(a);
	}
	c.get(source, err, c.arg);
}

static struct op *
remote_get(struct repo *r, const struct digest *d, repo_get_cb *cb, void *arg)
{
	struct object_call *c = call_new(remote_of(r), d, arg);
	struct file f = { *d, 0 };

	c->get = cb;
	return ask(c, RPC_READ, &f, NULL, 0, read_heard);
}

static void
stored_heard(struct rpc_answer *a, struct err *err, void *arg)
{
	struct object_call c = *(struct object_call *)arg;
	struct file f;

	free(arg);
	if (!err) {
		err = read_file(&c, &a->body, &f);
		rpc_answer_release(a);
	}
	c.stored(err, c.arg);
}

struct op *
remote_store_start(struct remote *r, const struct file *f, const void *bytes, size_t n, repo_done_cb *cb, void *arg)
{
	struct object_call *c = call_new(r, &f->id, arg);

	c->stored = cb;
	return ask(c, RPC_STORE, f, bytes, n, stored_heard);
}

/* ---- putting what a source gives ---- */

struct store {
	struct op      op;
	struct remote *remote;
	struct source *source;
	struct op     *child;
	struct buf     bytes;
	bool	       read, stored, has_want;
	struct file    file;
	struct digest  want;
	struct err    *err;
	repo_put_cb   *cb;
	void	      *arg;
};

static void
store_read(const void *p, size_t n, struct err *err, void *arg)
{
	struct store *s = arg;

	s->child = NULL;
	s->err = err;
	if (n > 0)
		buf_add(&s->bytes, p, n);
	s->read = err || n == 0;
	op_wake(&s->op);
}

static void
store_stored(struct err *err, void *arg)
{
	struct store *s = arg;

	s->child = NULL;
	s->err = err;
	s->stored = true;
	op_wake(&s->op);
}

static void
store_advance(struct op *op)
{
	struct store *s = op_owner(op, struct store, op);
	struct file f = s->file;
	repo_put_cb *cb = s->cb;
	struct err *err;
	void *arg = s->arg;

	if (s->child)
		return;
	if (!s->read) {
		s->child = source_read(s->source, store_read, s);
		return;
	}
	if (!s->err && !s->stored) {
		sha256_of(s->bytes.p ? s->bytes.p : "", s->bytes.len, &s->file.id);
		s->file.size = s->bytes.len;
		if (s->has_want && !digest_equal(&s->want, &s->file.id)) {
			s->err = err_new(ERR_INTEGRITY, "put", "object");
		} else {
			s->child = remote_store_start(s->remote, &s->file, s->bytes.p, s->bytes.len, store_stored, s);
			return;
		}
	}
	if (!s->err)
		watch_data(s->remote->host->world->watch, &s->file.id);
	err = s->err;
	s->err = NULL;
	op_release(op);
	cb(err ? NULL : &f, err, arg);
}

static void
store_release(struct op *op)
{
	struct store *s = op_owner(op, struct store, op);

	op_cancel(&s->child);
	source_close(s->source);
	buf_release(&s->bytes);
	err_free(s->err);
	free(s);
}

static const struct op_type store_type = { "remote_repo_put", store_advance, store_release };

static struct op *
remote_put(struct repo *r, struct source *source, const struct digest *want, repo_put_cb *cb, void *arg)
{
	struct store *s = xcalloc(1, sizeof *s);

	op_init(&s->op, r->loop, &store_type);
	s->remote = remote_of(r);
	s->source = source;
	s->has_want = want != NULL;
	if (want)
		s->want = *want;
	s->cb = cb;
	s->arg = arg;
	op_wake(&s->op);
	return &s->op;
}

static void
remote_free(struct repo *r)
{
	free(container_of(r, struct remote_repo, repo));
}

static const struct repo_ops remote_repo_ops = { .stat = remote_stat, .get = remote_get, .put = remote_put, .free = remote_free };

struct repo *
remote_repo_new(struct remote *r)
{
	struct remote_repo *q = xcalloc(1, sizeof *q);

	q->repo = (struct repo){ &remote_repo_ops, r->proc->loop, r->host->name };
	q->remote = r;
	return &q->repo;
}
