/* SPDX-License-Identifier: Apache-2.0 */
#include "store/repo_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "iface/later.h"
#include "loop/loop.h"
#include "store/object.h"
#include "store/root.h"

/*
 * The file repository on the loop: opening, stat and rename are metadata calls on a local disk, and
 * bytes go in slices. A reader must not act on the bytes before the end has come: only the last read
 * tells whether they were the object.
 */

struct repo_file {
	struct repo repo;
	char	   *objects;	/* owned */
	int	    dir;	/* the same, once a look has opened it; owned, or -1 */
	uint64_t    salt;	/* of stamps; 0: not known yet, 1: there are none */
};

/* ---- peek ---- */

static bool
has_dir(struct repo_file *r)
{
	if (r->dir == -1)
		r->dir = open(r->objects, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return r->dir != -1;
}

/*
 * A result may name very many files: they are looked at from their folder on. Whatever is not as it should be is for stat
 * to say, also when the folder is not the one of that name any more.
 */
static bool
repo_file_peek(struct repo *repo, const struct digest *d, struct file *out)
{
	struct repo_file *r = container_of(repo, struct repo_file, repo);

	out->id = *d;
	return has_dir(r) && object_peek(r->dir, d, &out->size);
}

/*
 * Stamps of another boot are void: what a power cut has taken from a file does not show at its folder. On a network the
 * clock that sets a folder's times is another's, and what we see of them may be old.
 */
static uint64_t
stamp_salt(const char *objects)
{
	struct buf boot = BUF_INIT;
	struct digest d;
	uint64_t salt = 1;
	struct err *err = buf_read_file(&boot, "/proc/sys/kernel/random/boot_id", 4096);

	if (!err && !root_network_fs(objects)) {
		sha256_of(boot.p, boot.len, &d);
		memcpy(&salt, d.b, sizeof salt);
	}
	err_free(err);
	buf_release(&boot);
	return salt;
}

static bool
repo_file_stamps(struct repo *repo, uint64_t stamp[REPO_PARTS])
{
	struct repo_file *r = container_of(repo, struct repo_file, repo);

	if (!r->salt)
		r->salt = stamp_salt(r->objects);
	if (r->salt == 1 || !has_dir(r))
		return false;
	object_stamps(r->dir, r->salt, (time_t)(loop_wall(repo->loop) / SECONDS(1)), stamp);
	return true;
}

/* ---- stat: one look, and all of the bytes where the look leaves a doubt ---- */

struct stat_call {
	struct op op;
	enum {
		STAT_LOOK,	/* not begun */
		STAT_OPENING,	/* waits for stat_open_cb */
		STAT_READ,	/* ask the source for a slice */
		STAT_READING,	/* waits for stat_read_cb */
		STAT_DONE,	/* file or err is set: tell the owner */
	} state;
	struct repo_file *r;		/* kept */
	struct source	 *source;	/* owned, or NULL */
	struct op	 *child;	/* owned: what is under way, or NULL */
	struct file	  file;		/* result */
	struct err	 *err;		/* result, ours until cb takes it */
	repo_stat_cb	 *cb;
	void		 *arg;
};

static void
stat_look(struct stat_call *c)
{
	bool sealed = true;

	c->err = object_stat(c->r->objects, &c->file.id, &c->file.size, &sealed);
	c->state = c->err || sealed ? STAT_DONE : STAT_OPENING;
}

static void
stat_open_cb(struct source *source, struct err *err, void *arg)
{
	struct stat_call *c = arg;

	c->child = NULL;
	c->source = source;
	c->err = err;
	c->state = err ? STAT_DONE : STAT_READ;
	op_wake(&c->op);
}

/* It was whole all the same: sealed again, so that it is read only once. */
static void
stat_seal(struct stat_call *c)
{
	struct err *err;
	int fd;

	err = object_open(c->r->objects, &c->file.id, &fd, NULL);
	if (!err) {
		err = object_seal(fd, c->r->objects);
		close(fd);
	}
	err_free(err);
}

static void
stat_read_cb(unused_arg const void *data, size_t n, struct err *err, void *arg)
{
	struct stat_call *c = arg;

	c->child = NULL;
	c->err = err;
	c->state = err || n == 0 ? STAT_DONE : STAT_READ;
	if (!err && n == 0)
		stat_seal(c);
	op_wake(&c->op);
}

static void
stat_finish(struct stat_call *c)
{
	repo_stat_cb *cb = c->cb;
	void *arg = c->arg;
	struct err *err = c->err;
	struct file file = c->file;

	c->err = NULL;
	op_release(&c->op);
	cb(err ? NULL : &file, err, arg);
}

static void
stat_advance(struct op *op)
{
	struct stat_call *c = op_owner(op, struct stat_call, op);

	if (c->state == STAT_LOOK) {
		stat_look(c);
		if (c->state == STAT_OPENING)
			c->child = repo_get(&c->r->repo, &c->file.id, stat_open_cb, c);
	} else if (c->state == STAT_READ) {
		c->state = STAT_READING;
		c->child = source_read(c->source, stat_read_cb, c);
	}
	if (c->state == STAT_DONE)
		stat_finish(c);
}

static void
stat_release(struct op *op)
{
	struct stat_call *c = op_owner(op, struct stat_call, op);

	op_cancel(&c->child);
	source_close(c->source);
	err_free(c->err);
	free(c);
}

static const struct op_type stat_type = { "repo-file-stat", stat_advance, stat_release };

static struct op *
repo_file_stat(struct repo *repo, const struct digest *d, repo_stat_cb *cb, void *arg)
{
	struct stat_call *c = xcalloc(1, sizeof *c);

	c->r = container_of(repo, struct repo_file, repo);
	c->file.id = *d;
	c->cb = cb;
	c->arg = arg;
	op_init(&c->op, repo->loop, &stat_type);
	op_wake(&c->op);
	return &c->op;
}

/* ---- get: a source that checks ---- */

struct object_source {
	struct source source;
	struct loop  *loop;	/* kept */
	char	     *objects;	/* owned: the source may outlive the repository */
	struct digest id;
	int	      fd;	/* owned */
	struct sha256 sha;
	bool	      ended;
	char	     *slice;	/* owned, SLICE_MAX bytes, made by the first read */
};
struct object_read {
	struct object_source *s;	/* kept */
	source_read_cb	     *cb;
	void		     *arg;
};

/* At the end: was it the object? */
static struct err *
source_end(struct object_source *s)
{
	struct digest got;

	if (s->ended)
		return NULL;
	s->ended = true;
	sha256_final(&s->sha, &got);
	return digest_equal(&got, &s->id) ? NULL : object_damaged(s->objects, &s->id);
}

static struct err *
object_unreadable(const struct digest *d, int eno)
{
	char name[DIGEST_STR + 1];

	digest_str(d, name);
	return err_errno(eno, "object", "%s", name);
}

static void
object_read_run(void *data)
{
	struct object_read c = *(struct object_read *)data;
	struct object_source *s = c.s;
	struct err *err = NULL;
	ssize_t n;

	free(data);
	if (!s->slice)
		s->slice = xmalloc(SLICE_MAX);
	do
		n = s->ended ? 0 : read(s->fd, s->slice, SLICE_MAX);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		err = object_unreadable(&s->id, errno);
	else if (n == 0)
		err = source_end(s);
	else
		sha256_add(&s->sha, s->slice, (size_t)n);
	c.cb(err ? NULL : s->slice, err ? 0 : (size_t)n, err, c.arg);
}

static struct op *
object_read(struct source *source, source_read_cb *cb, void *arg)
{
	struct object_read *c = xmalloc(sizeof *c);

	*c = (struct object_read){ container_of(source, struct object_source, source), cb, arg };
	return later_start(c->s->loop, "repo-file-read", object_read_run, free, c);
}

static void
object_close(struct source *source)
{
	struct object_source *s = container_of(source, struct object_source, source);

	close(s->fd);
	free(s->objects);
	free(s->slice);
	free(s);
}

static const struct source_ops object_source_ops = { object_read, object_close };

struct get_call {
	struct repo_file *r;	/* kept */
	struct digest	  id;
	repo_get_cb	 *cb;
	void		 *arg;
};

static void
get_run(void *data)
{
	struct get_call c = *(struct get_call *)data;
	struct object_source *s;
	struct err *err;
	int fd;

	free(data);
	err = object_open(c.r->objects, &c.id, &fd, NULL);
	if (err) {
		c.cb(NULL, err, c.arg);
		return;
	}
	s = xcalloc(1, sizeof *s);
	s->source.ops = &object_source_ops;
	s->loop = c.r->repo.loop;
	s->objects = xstrdup(c.r->objects);
	s->id = c.id;
	s->fd = fd;
	sha256_init(&s->sha);
	c.cb(&s->source, NULL, c.arg);
}

static struct op *
repo_file_get(struct repo *repo, const struct digest *d, repo_get_cb *cb, void *arg)
{
	struct get_call *c = xmalloc(sizeof *c);

	*c = (struct get_call){ container_of(repo, struct repo_file, repo), *d, cb, arg };
	return later_start(repo->loop, "repo-file-get", get_run, free, c);
}

/* ---- put ---- */

struct put {
	struct op op;
	enum {
		PUT_READ,	/* ask the source for a slice */
		PUT_READING,	/* waits for put_read_cb */
		PUT_INSTALL,	/* all is written: check and rename */
		PUT_DONE,	/* result or err is set: tell the owner */
	} state;
	struct repo_file *r;		/* kept */
	struct source	 *source;	/* owned */
	struct op	 *child;	/* owned: the read under way, or NULL */
	int		  fd;		/* owned; -1: not open */
	char		 *tmp;		/* owned: its path until it is renamed */
	struct sha256	  sha;
	bool		  has_want;
	struct digest	  want;
	struct file	  file;		/* result */
	struct err	 *err;		/* result, ours until cb takes it */
	repo_put_cb	 *cb;
	void		 *arg;
};

static struct err *
put_write(struct put *p, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t w = write(p->fd, data, n);

		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1)
			return err_errno(errno, "write", "%s", p->r->objects);
		data += w;
		n -= (size_t)w;
	}
	return NULL;
}

static void
put_read_cb(const void *data, size_t n, struct err *err, void *arg)
{
	struct put *p = arg;

	p->child = NULL;
	if (!err && n > 0) {
		sha256_add(&p->sha, data, n);
		p->file.size += n;
		err = put_write(p, data, n);
	}
	p->err = err;
	p->state = err ? PUT_DONE : n > 0 ? PUT_READ : PUT_INSTALL;
	op_wake(&p->op);
}

static struct err *
put_install(struct put *p)
{
	char want[DIGEST_STR + 1], got[DIGEST_STR + 1];
	struct err *err;

	sha256_final(&p->sha, &p->file.id);
	if (p->has_want && !digest_equal(&p->want, &p->file.id)) {
		digest_str(&p->want, want);
		digest_str(&p->file.id, got);
		err = err_new(ERR_INTEGRITY, "object", "%s", want);
		err->msg = xasprintf("the bytes that came have the digest %s", got);
		return err;
	}
	err = object_install(p->r->objects, p->tmp, &p->file.id);
	if (!err) {
		free(p->tmp);
		p->tmp = NULL;
	}
	return err;
}

static void
put_finish(struct put *p)
{
	repo_put_cb *cb = p->cb;
	void *arg = p->arg;
	struct err *err = p->err;
	struct file file = p->file;

	p->err = NULL;
	op_release(&p->op);
	cb(err ? NULL : &file, err, arg);
}

static void
put_advance(struct op *op)
{
	struct put *p = op_owner(op, struct put, op);

	for (;;) {
		switch (p->state) {
		case PUT_READ:
			p->state = PUT_READING;
			p->child = source_read(p->source, put_read_cb, p);
			return;
		case PUT_READING:
			return;
		case PUT_INSTALL:
			p->err = put_install(p);
			p->state = PUT_DONE;
			continue;
		case PUT_DONE:
			put_finish(p);
			return;
		}
	}
}

static void
put_release(struct op *op)
{
	struct put *p = op_owner(op, struct put, op);

	op_cancel(&p->child);
	source_close(p->source);
	if (p->fd != -1)
		close(p->fd);
	if (p->tmp)
		unlink(p->tmp);
	free(p->tmp);
	err_free(p->err);
	free(p);
}

static const struct op_type put_type = { "repo-file-put", put_advance, put_release };

static struct op *
repo_file_put(struct repo *repo, struct source *source, const struct digest *want, repo_put_cb *cb, void *arg)
{
	struct put *p = xcalloc(1, sizeof *p);

	p->r = container_of(repo, struct repo_file, repo);
	p->source = source;
	p->fd = -1;
	p->cb = cb;
	p->arg = arg;
	p->has_want = want != NULL;
	if (want)
		p->want = *want;
	sha256_init(&p->sha);
	op_init(&p->op, repo->loop, &put_type);
	p->err = object_tmp(p->r->objects, &p->fd, &p->tmp);
	p->state = p->err ? PUT_DONE : PUT_READ;
	op_wake(&p->op);
	return &p->op;
}

/* ---- the repository ---- */

static void
repo_file_free(struct repo *repo)
{
	struct repo_file *r = container_of(repo, struct repo_file, repo);

	if (r->dir != -1)
		close(r->dir);
	free(r->objects);
	free(r);
}

static const struct repo_ops repo_file_ops = {
	.peek = repo_file_peek,
	.stamps = repo_file_stamps,
	.stat = repo_file_stat,
	.get = repo_file_get,
	.put = repo_file_put,
	.free = repo_file_free,
};

struct repo *
repo_file_new(struct loop *loop, const char *objects, const char *name)
{
	struct repo_file *r = xcalloc(1, sizeof *r);

	r->repo = (struct repo){ &repo_file_ops, loop, name };
	r->objects = xstrdup(objects);
	r->dir = -1;
	return &r->repo;
}
