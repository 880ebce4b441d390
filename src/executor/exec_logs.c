/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/exec_logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "iface/later.h"
#include "loop/loop.h"

/*
 * exec_logs: following looks for new bytes by the clock. The end is seen without the exec's handle:
 * the attempt's directory is locked while a process of it lives, and its manifest comes after the last byte.
 */
#define LOGS_PAUSE MILLIS(100)

struct log_source {
	struct source source;
	struct loop  *loop;	/* kept */
	const char   *name;	/* of the log in its directory; static */
	int	      fd;	/* the log; -1: it has not begun */
	int	      dir;	/* the attempt's; -1: does not follow */
	char	     *slice;	/* SLICE_MAX */
};
struct log_read {
	struct op	op;
	struct log_source *s;
	struct timer	again;
	source_read_cb *cb;
	void	       *arg;
};

/* Is the attempt over? It has a manifest, or was removed, or nobody holds its lock (then it was lost). */
static bool
log_is_over(const struct log_source *s)
{
	struct stat st;

	if (s->dir < 0 || fstatat(s->dir, "manifest", &st, 0) == 0)
		return true;
	if (flock(s->dir, LOCK_SH | LOCK_NB) != 0)
		return false;
	flock(s->dir, LOCK_UN);
	return true;
}

static void
log_read_finish(struct log_read *r, ssize_t n, int eno)
{
	struct log_source *s = r->s;
	source_read_cb *cb = r->cb;
	void *arg = r->arg;

	op_release(&r->op);
	if (n < 0)
		cb(NULL, 0, err_errno(eno, "read", "log"), arg);
	else
		cb(s->slice, (size_t)n, NULL, arg);
}

static void
log_read_advance(struct op *op)
{
	struct log_read *r = op_owner(op, struct log_read, op);
	struct log_source *s = r->s;
	bool over = log_is_over(s);	/* before the look: after it nothing is written any more */
	ssize_t n = 0;

	if (s->fd < 0 && s->dir >= 0)
		s->fd = openat(s->dir, s->name, O_RDONLY | O_CLOEXEC);
	if (s->fd >= 0)
		n = read(s->fd, s->slice, SLICE_MAX);

	if (n != 0 || over)
		log_read_finish(r, n, errno);
	else
		timer_set(&r->again, LOGS_PAUSE);
}

static void
log_read_release(struct op *op)
{
	struct log_read *r = op_owner(op, struct log_read, op);

	timer_clear(&r->again);
	free(r);
}

static void
log_again_cb(void *arg)
{
	struct log_read *r = arg;

	op_wake(&r->op);
}

static const struct op_type log_read_type = { "exec_log_read", log_read_advance, log_read_release };

static struct op *
log_read_start(struct source *source, source_read_cb *cb, void *arg)
{
	struct log_source *s = container_of(source, struct log_source, source);
	struct log_read *r = xcalloc(1, sizeof *r);

	op_init(&r->op, s->loop, &log_read_type);
	r->s = s;
	timer_init(&r->again, s->loop, "exec_log_grows", log_again_cb, r);
	r->cb = cb;
	r->arg = arg;
	op_wake(&r->op);
	return &r->op;
}

static void
log_close(struct source *source)
{
	struct log_source *s = container_of(source, struct log_source, source);

	if (s->fd >= 0)
		close(s->fd);
	if (s->dir >= 0)
		close(s->dir);
	free(s->slice);
	free(s);
}

static const struct source_ops log_ops = { log_read_start, log_close };

struct opened {
	struct source *source;	/* owned */
	struct err    *err;	/* owned */
	void (*cb)(struct source *, struct err *, void *);
	void	      *arg;
};

static void
opened_run(void *data)
{
	struct opened o = *(struct opened *)data;

	free(data);
	o.cb(o.source, o.err, o.arg);
}

static void
opened_drop(void *data)
{
	struct opened *o = data;

	source_close(o->source);
	err_free(o->err);
	free(o);
}

static struct source *
log_open(const struct exec_logs_spec *spec, struct err **err)
{
	struct log_source *s;
	int dir = open(spec->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir >= 0 ? openat(dir, spec->name, O_RDONLY | O_CLOEXEC) : -1;

	if (dir < 0 || (fd < 0 && errno != ENOENT)) {
		*err = err_errno(errno, "open", "%s/%s", spec->dir, spec->name);
		if (dir >= 0)
			close(dir);
		return NULL;
	}
	if (!spec->follow) {
		close(dir);
		dir = -1;
	}
	s = xcalloc(1, sizeof *s);
	s->source.ops = &log_ops;
	s->loop = spec->loop;
	s->fd = fd;
	s->name = spec->name;
	s->dir = dir;
	s->slice = xmalloc(SLICE_MAX);
	return &s->source;
}

struct op *
exec_logs_open(const struct exec_logs_spec *spec, void (*cb)(struct source *, struct err *, void *), void *arg)
{
	struct opened *o;

	if (spec->object != NULL && !digest_is_zero(spec->object))
		return repo_get(spec->repo, spec->object, cb, arg);
	o = xcalloc(1, sizeof *o);
	o->cb = cb;
	o->arg = arg;
	o->source = spec->object != NULL ? source_from_bytes(spec->loop, "", 0) : log_open(spec, &o->err);
	return later_start(spec->loop, "exec_logs", opened_run, opened_drop, o);
}
