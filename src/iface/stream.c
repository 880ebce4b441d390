/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "iface/later.h"

/*
 * Sources over memory. A reader's callback may close the source it reads from, so nothing is touched
 * after it.
 */

struct op *
source_read(struct source *s, source_read_cb *cb, void *arg)
{
	assert(s && s->ops->read && cb);
	return s->ops->read(s, cb, arg);
}

void
source_close(struct source *s)
{
	if (s)
		s->ops->close(s);
}

/* One read under way. */
struct read_call {
	struct source  *source;	/* kept */
	source_read_cb *cb;
	void	       *arg;
};

static struct op *
read_later(struct loop *loop, const char *name, struct source *s, void (*run)(void *), source_read_cb *cb, void *arg)
{
	struct read_call *c = xmalloc(sizeof *c);

	*c = (struct read_call){ s, cb, arg };
	return later_start(loop, name, run, free, c);
}

struct bytes_source {
	struct source source;
	struct loop  *loop;	/* kept */
	char	     *p;	/* owned */
	size_t	      len, off;
};

static void
bytes_run(void *data)
{
	struct read_call c = *(struct read_call *)data;
	struct bytes_source *b = container_of(c.source, struct bytes_source, source);
	size_t n = b->len - b->off;
	const char *p = b->p + b->off;

	free(data);
	if (n > SLICE_MAX)
		n = SLICE_MAX;
	b->off += n;
	c.cb(p, n, NULL, c.arg);
}

static struct op *
bytes_read(struct source *s, source_read_cb *cb, void *arg)
{
	struct bytes_source *b = container_of(s, struct bytes_source, source);

	return read_later(b->loop, "source-bytes", s, bytes_run, cb, arg);
}

static void
bytes_close(struct source *s)
{
	struct bytes_source *b = container_of(s, struct bytes_source, source);

	free(b->p);
	free(b);
}

static const struct source_ops bytes_ops = { bytes_read, bytes_close };

struct source *
source_from_bytes(struct loop *loop, const void *p, size_t n)
{
	struct bytes_source *b = xcalloc(1, sizeof *b);

	b->source.ops = &bytes_ops;
	b->loop = loop;
	b->p = xmalloc(n ? n : 1);
	if (n)
		memcpy(b->p, p, n);
	b->len = n;
	return &b->source;
}
