/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/fake_repo.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct blob {
	LIST_ENTRY(blob) entry;
	struct digest	 id;
	struct buf	 bytes;
};
struct fake_repo {
	struct repo  repo;
	struct fake *f;		/* kept */
	LIST_HEAD(, blob) blobs;
	size_t	     n;
};

static struct fake_repo *
fake_of(struct repo *r)
{
	return container_of(r, struct fake_repo, repo);
}

static struct blob *
find(struct fake_repo *r, const struct digest *d)
{
	struct blob *b;

	LIST_FOREACH(b, &r->blobs, entry)
		if (digest_equal(&b->id, d))
			return b;
	return NULL;
}

void
fake_repo_add(struct repo *repo, const void *p, size_t n, struct digest *out)
{
	struct fake_repo *r = fake_of(repo);
	struct digest d;
	struct blob *b;

	sha256_of(p, n, &d);
	b = find(r, &d);
	if (!b) {
		b = xcalloc(1, sizeof *b);
		b->id = d;
		LIST_INSERT_HEAD(&r->blobs, b, entry);
		r->n++;
	}
	buf_clear(&b->bytes);
	buf_add(&b->bytes, p, n);
	if (out)
		*out = d;
}

bool
fake_repo_has(struct repo *repo, const struct digest *d)
{
	return find(fake_of(repo), d) != NULL;
}

static void
blob_free(struct fake_repo *r, struct blob *b)
{
	LIST_REMOVE(b, entry);
	r->n--;
	buf_release(&b->bytes);
	free(b);
}

void
fake_repo_remove(struct repo *repo, const struct digest *d)
{
	struct blob *b = find(fake_of(repo), d);

	if (b)
		blob_free(fake_of(repo), b);
}

void
fake_repo_damage(struct repo *repo, const struct digest *d)
{
	struct blob *b = find(fake_of(repo), d);

	assert_non_null(b);
	if (b->bytes.len == 0)
		buf_addch(&b->bytes, 'x');
	else
		b->bytes.p[0] ^= 1;
}

size_t
fake_repo_count(struct repo *repo)
{
	return fake_of(repo)->n;
}

/* ---- calls ---- */

struct call {
	struct fake_repo *r;
	struct digest	  id;
	struct buf	  bytes;	/* of a put */
	struct source	 *source;	/* of a put; owned */
	struct op	 *child;
	bool		  has_want;
	void (*cb)(void);
	void		 *arg;
};

static void
call_drop(void *data)
{
	struct call *c = data;

	buf_release(&c->bytes);
	source_close(c->source);
	free(c);
}

static struct call *
call_new(struct repo *repo, const struct digest *d, void (*cb)(void), void *arg)
{
	struct call *c = xcalloc(1, sizeof *c);

	c->r = fake_of(repo);
	if (d)
		c->id = *d;
	c->cb = cb;
	c->arg = arg;
	return c;
}

static struct err *
missing(const struct digest *d, enum err_kind kind, const char *what)
{
	char name[DIGEST_STR + 1];
	struct err *err;

	digest_str(d, name);
	err = err_new(kind, "object", "%s", name);
	err->msg = xstrdup(what);
	return err;
}

static void
stat_run(struct err *err, void *data)
{
	struct call *c = data;
	repo_stat_cb *cb = (repo_stat_cb *)c->cb;
	void *arg = c->arg;
	struct blob *b = find(c->r, &c->id);
	struct file file = { .id = c->id, .size = b ? b->bytes.len : 0 };

	if (!err && !b)
		err = missing(&c->id, ERR_NOT_EXIST, "missing");
	call_drop(c);
	cb(err ? NULL : &file, err, arg);
}

static struct op *
fake_stat(struct repo *repo, const struct digest *d, repo_stat_cb *cb, void *arg)
{
	return fake_call(
	    fake_of(repo)->f, "repo-stat", stat_run, call_drop, call_new(repo, d, (void (*)(void))cb, arg));
}

struct blob_source {
	struct source source;
	struct fake  *f;
	struct digest id;
	struct buf    bytes;
	size_t	      off;
};
struct blob_read {
	struct blob_source *s;
	source_read_cb	   *cb;
	void		   *arg;
};

static void
blob_read_run(struct err *err, void *data)
{
	struct blob_read c = *(struct blob_read *)data;
	struct blob_source *s = c.s;
	size_t n = s->bytes.len - s->off;
	struct digest got;

	free(data);
	if (n > SLICE_MAX)
		n = SLICE_MAX;
	sha256_of(s->bytes.p, s->bytes.len, &got);
	if (!err && n == 0 && !digest_equal(&got, &s->id))
		err = missing(&s->id, ERR_INTEGRITY, "damaged");
	s->off += err ? 0 : n;
	c.cb(err ? NULL : buf_str(&s->bytes) + s->off - n, err ? 0 : n, err, c.arg);
}

static struct op *
blob_read(struct source *source, source_read_cb *cb, void *arg)
{
	struct blob_read *c = xmalloc(sizeof *c);

	*c = (struct blob_read){ container_of(source, struct blob_source, source), cb, arg };
	return fake_call(c->s->f, "repo-read", blob_read_run, free, c);
}

static void
blob_close(struct source *source)
{
	struct blob_source *s = container_of(source, struct blob_source, source);

	buf_release(&s->bytes);
	free(s);
}

static const struct source_ops blob_source_ops = { blob_read, blob_close };

static void
get_run(struct err *err, void *data)
{
	struct call *c = data;
	repo_get_cb *cb = (repo_get_cb *)c->cb;
	void *arg = c->arg;
	struct blob *b = find(c->r, &c->id);
	struct blob_source *s = NULL;

	if (!err && !b)
		err = missing(&c->id, ERR_NOT_EXIST, "missing");
	if (!err) {
		s = xcalloc(1, sizeof *s);
		s->source.ops = &blob_source_ops;
		s->f = c->r->f;
		s->id = c->id;
		buf_add(&s->bytes, b->bytes.p, b->bytes.len);
	}
	call_drop(c);
	cb(s ? &s->source : NULL, err, arg);
}

static struct op *
fake_get(struct repo *repo, const struct digest *d, repo_get_cb *cb, void *arg)
{
	return fake_call(fake_of(repo)->f, "repo-get", get_run, call_drop, call_new(repo, d, (void (*)(void))cb, arg));
}

/* Put: first the source is read to its end, then the call is answered. */
struct put {
	struct op    op;
	struct call *call;	/* owned until the answer is under way */
	struct op   *child;	/* a read, or the answer */
	bool	     reading, answered;
	struct err  *err;
	struct file  file;
	repo_put_cb *cb;
	void	    *arg;
};

static void
put_answer(struct err *err, void *data)
{
	struct put *p = data;

	p->child = NULL;
	p->answered = true;
	p->err = err;
	op_wake(&p->op);
}

static void
put_answer_drop(void *data unused_arg)
{
}

static void
put_read_cb(const void *data, size_t n, struct err *err, void *arg)
{
	struct put *p = arg;

	p->child = NULL;
	p->err = err;
	p->answered = err != NULL;
	p->reading = n > 0;
	if (n > 0)
		buf_add(&p->call->bytes, data, n);
	op_wake(&p->op);
}

static void
put_finish(struct put *p)
{
	struct call *c = p->call;
	repo_put_cb *cb = p->cb;
	void *arg = p->arg;
	struct file file = { .size = c->bytes.len };
	struct err *err = p->err;

	sha256_of(c->bytes.p, c->bytes.len, &file.id);
	if (!err && c->has_want && !digest_equal(&c->id, &file.id))
		err = missing(&c->id, ERR_INTEGRITY, "the bytes that came have another digest");
	if (!err)
		fake_repo_add(&c->r->repo, buf_str(&c->bytes), c->bytes.len, NULL);
	p->err = NULL;
	op_release(&p->op);
	cb(err ? NULL : &file, err, arg);
}

static void
put_advance(struct op *op)
{
	struct put *p = op_owner(op, struct put, op);

	if (p->child)
		return;
	if (p->answered)
		put_finish(p);
	else if (p->reading)
		p->child = source_read(p->call->source, put_read_cb, p);
	else
		p->child = fake_call(p->call->r->f, "repo-put", put_answer, put_answer_drop, p);
}

static void
put_release(struct op *op)
{
	struct put *p = op_owner(op, struct put, op);

	op_cancel(&p->child);
	call_drop(p->call);
	err_free(p->err);
	free(p);
}

static const struct op_type put_type = { "fake-repo-put", put_advance, put_release };

static struct op *
fake_put(struct repo *repo, struct source *source, const struct digest *want, repo_put_cb *cb, void *arg)
{
	struct put *p = xcalloc(1, sizeof *p);

	p->call = call_new(repo, want, NULL, NULL);
	p->call->source = source;
	p->call->has_want = want != NULL;
	p->reading = true;
	p->cb = cb;
	p->arg = arg;
	op_init(&p->op, repo->loop, &put_type);
	op_wake(&p->op);
	return &p->op;
}

static void
fake_free(struct repo *repo)
{
	struct fake_repo *r = fake_of(repo);

	while (!LIST_EMPTY(&r->blobs))
		blob_free(r, LIST_FIRST(&r->blobs));
	free(r);
}

static const struct repo_ops fake_repo_ops = {
	.stat = fake_stat, .get = fake_get, .put = fake_put, .free = fake_free,
};

struct repo *
fake_repo_new(struct fake *f, const char *name)
{
	struct fake_repo *r = xcalloc(1, sizeof *r);

	r->repo = (struct repo){ &fake_repo_ops, f->loop, name };
	r->f = f;
	LIST_INIT(&r->blobs);
	return &r->repo;
}
