/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/conform_repo.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"

struct answer {
	bool	       done;
	struct file    file;
	struct source *source;
	const void    *data;
	size_t	       n;
	struct buf    *out;
	struct err    *err;
};

static void
file_cb(const struct file *file, struct err *err, void *arg)
{
	struct answer *a = arg;

	assert_true((file == NULL) == (err != NULL));
	if (file)
		a->file = *file;
	a->err = err;
	a->done = true;
}

static void
get_cb(struct source *s, struct err *err, void *arg)
{
	struct answer *a = arg;

	assert_true((s == NULL) == (err != NULL));
	a->source = s;
	a->err = err;
	a->done = true;
}

static void
read_cb(const void *data, size_t n, struct err *err, void *arg)
{
	struct answer *a = arg;

	assert_true(n <= SLICE_MAX);
	assert_true(!err || (!data && n == 0));
	if (n)
		buf_add(a->out, data, n);
	a->n = n;
	a->err = err;
	a->done = true;
}

struct err *
sync_put(struct repo *r, const void *p, size_t n, const struct digest *want, struct file *out)
{
	struct answer a = { false };

	repo_put(r, source_from_bytes(r->loop, p, n), want, file_cb, &a);
	assert_false(a.done);
	test_until(r->loop, &a.done);
	if (!a.err && out)
		*out = a.file;
	return a.err;
}

struct err *
sync_stat(struct repo *r, const struct digest *d, struct file *out)
{
	struct answer a = { false };

	repo_stat(r, d, file_cb, &a);
	assert_false(a.done);
	test_until(r->loop, &a.done);
	if (!a.err && out)
		*out = a.file;
	return a.err;
}

struct err *
sync_get(struct repo *r, const struct digest *d, struct buf *out)
{
	struct answer a = { .out = out };

	repo_get(r, d, get_cb, &a);
	assert_false(a.done);
	test_until(r->loop, &a.done);
	if (a.err)
		return a.err;
	do {
		a.done = false;
		source_read(a.source, read_cb, &a);
		assert_false(a.done);
		test_until(r->loop, &a.done);
	} while (!a.err && a.n);
	source_close(a.source);
	return a.err;
}

static void
must_be(struct err *err, enum err_kind kind)
{
	if (!err_is(err, kind)) {
		char *text = err_str(err);

		fail_msg("expected %s, got: %s", err_kind_name(kind), text);
	}
	err_free(err);
}

/* Put, stat, get: the same bytes, whatever the length. */
static void
round_trip(struct repo *r, size_t n)
{
	char *p = xmalloc(n + 1);
	struct buf got = BUF_INIT;
	struct file put, st;
	struct digest d;

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 251);
	sha256_of(p, n, &d);
	must_be(sync_stat(r, &d, NULL), ERR_NOT_EXIST);
	must_be(sync_get(r, &d, &got), ERR_NOT_EXIST);
	assert_ok(sync_put(r, p, n, NULL, &put));
	assert_memory_equal(&put.id, &d, sizeof d);
	assert_int_equal(put.size, n);
	assert_ok(sync_stat(r, &d, &st));
	assert_int_equal(st.size, n);
	assert_ok(sync_get(r, &d, &got));
	assert_int_equal(got.len, n);
	if (n)
		assert_memory_equal(got.p, p, n);
	assert_ok(sync_put(r, p, n, &d, &put));	/* the same content twice is fine */
	buf_release(&got);
	free(p);
}

static void
wrong_digest(struct repo *r)
{
	struct digest want, is;

	sha256_of("what was asked for", 18, &want);
	sha256_of("what came", 9, &is);
	must_be(sync_put(r, "what came", 9, &want, NULL), ERR_INTEGRITY);
	must_be(sync_stat(r, &want, NULL), ERR_NOT_EXIST);
	must_be(sync_stat(r, &is, NULL), ERR_NOT_EXIST);
}

static void
damaged(const struct conform_repo *c, struct repo *r, size_t n)
{
	char *p = xcalloc(1, n + 1);
	struct buf got = BUF_INIT;
	struct file put;

	p[0] = 'd';
	assert_ok(sync_put(r, p, n, NULL, &put));
	c->damage(r, &put.id, c->arg);
	must_be(sync_get(r, &put.id, &got), ERR_INTEGRITY);
	assert_ok(sync_put(r, p, n, NULL, &put));	/* and putting it again mends it */
	buf_clear(&got);
	assert_ok(sync_get(r, &put.id, &got));
	assert_int_equal(got.len, n);
	buf_release(&got);
	free(p);
}

/* A source that fails midway, and cancels at each point, leave nothing behind. */
struct bad_source {
	struct source source;
	struct source *inner;
	int	       left;
};
struct bad_read {
	struct bad_source *b;
	source_read_cb	  *cb;
	void		  *arg;
};

static void
bad_cb(const void *data, size_t n, struct err *err, void *arg)
{
	struct bad_read q = *(struct bad_read *)arg;

	free(arg);
	err_free(err);
	if (q.b->left-- > 0)
		q.cb(data, n, NULL, q.arg);
	else
		q.cb(NULL, 0, err_new(ERR_NET, "read", "far away"), q.arg);
}

static struct op *
bad_source_read(struct source *s, source_read_cb *cb, void *arg)
{
	struct bad_read *q = xmalloc(sizeof *q);

	*q = (struct bad_read){ container_of(s, struct bad_source, source), cb, arg };
	return source_read(q->b->inner, bad_cb, q);
}

static void
bad_source_close(struct source *s)
{
	struct bad_source *b = container_of(s, struct bad_source, source);

	source_close(b->inner);
	free(b);
}

static const struct source_ops bad_source_ops = { bad_source_read, bad_source_close };

static void
failing_source(struct repo *r)
{
	struct bad_source *b = xcalloc(1, sizeof *b);
	char *p = xcalloc(1, 2 * SLICE_MAX);
	struct answer a = { false };

	b->source.ops = &bad_source_ops;
	b->inner = source_from_bytes(r->loop, p, 2 * SLICE_MAX);
	b->left = 1;
	repo_put(r, &b->source, NULL, file_cb, &a);
	test_until(r->loop, &a.done);
	assert_err(a.err, "read far away: network error");
	free(p);
}

static void
canceled_put(struct repo *r, int turns)
{
	char *p = xcalloc(1, 3 * SLICE_MAX);
	struct answer a = { false };
	struct digest d;
	struct op *op;

	p[0] = 'c';
	sha256_of(p, 3 * SLICE_MAX, &d);
	op = repo_put(r, source_from_bytes(r->loop, p, 3 * SLICE_MAX), NULL, file_cb, &a);
	for (int i = 0; i < turns && !a.done; i++)
		loop_turn(r->loop, true);
	assert_false(a.done);
	op_cancel(&op);
	assert_null(op);
	assert_int_equal(loop_nlive(r->loop), 0);
	test_turns(r->loop, 4);
	assert_false(a.done);
	must_be(sync_stat(r, &d, NULL), ERR_NOT_EXIST);
	free(p);
}

void
conform_repo(const struct conform_repo *c)
{
	struct clock *clock = clock_virtual_new(SECONDS(1700000000));
	struct loop *loop = loop_new(clock);
	struct repo *r = c->make(loop, c->arg);

	test_limit(120);
	round_trip(r, 0);
	round_trip(r, 1);
	round_trip(r, SLICE_MAX);
	round_trip(r, 3 * SLICE_MAX + 17);
	wrong_digest(r);
	if (c->damage) {
		damaged(c, r, 1);
		damaged(c, r, 2 * SLICE_MAX + 5);
	}
	failing_source(r);
	for (int turns = 0; turns < 4; turns++)
		canceled_put(r, turns);
	repo_free(r);
	if (c->end)
		c->end(c->arg);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock);
	alarm(0);
}
