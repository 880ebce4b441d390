/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/shrink.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* A text is cut into pieces (lines, or words); pieces go and come back until the rest must stay. */
struct pieces {
	char **v;	/* owned, each with what ends it */
	bool  *gone;
	size_t n;
};

static void
cut(const char *text, const char *ends, struct pieces *p)
{
	memset(p, 0, sizeof *p);
	while (*text) {
		size_t n = strcspn(text, ends);

		n += strspn(text + n, ends);
		p->v = xreallocarray(p->v, p->n + 1, sizeof *p->v);
		p->v[p->n++] = xstrndup(text, n);
		text += n;
	}
	p->gone = xcalloc(p->n + 1, sizeof *p->gone);
}

static void
join(const struct pieces *p, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < p->n; i++) {
		if (!p->gone[i])
			buf_addstr(out, p->v[i]);
		else if (strchr(p->v[i], '\n') && out->len > 0 && out->p[out->len - 1] != '\n')
			buf_addch(out, '\n');	/* the last word of a line */
	}
}

static void
pieces_release(struct pieces *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	free(p->v);
	free(p->gone);
}

/* Tries without each run of `size` pieces, from the end. True if any could go. */
static bool
drop_runs(struct pieces *p, size_t size, shrink_fails_fn *fails, void *arg)
{
	struct buf b = BUF_INIT;
	bool any = false;

	for (size_t end = p->n; end > 0; end -= end < size ? end : size) {
		size_t from = end < size ? 0 : end - size;
		bool *before = xmemdup(p->gone, p->n * sizeof *before), change = false;

		for (size_t i = from; i < end; i++) {
			change = change || !p->gone[i];
			p->gone[i] = true;
		}
		join(p, &b);
		if (change && fails(buf_str(&b), arg))
			any = true;
		else
			memcpy(p->gone, before, p->n * sizeof *before);
		free(before);
	}
	buf_release(&b);
	return any;
}

static bool
pass(struct buf *text, const char *ends, size_t from, shrink_fails_fn *fails, void *arg)
{
	struct pieces p;
	bool any = false;

	cut(buf_str(text), ends, &p);
	for (size_t size = from; size > 0; size /= 2)
		any = drop_runs(&p, size, fails, arg) || any;
	if (any)
		join(&p, text);
	pieces_release(&p);
	return any;
}

void
shrink(struct buf *text, shrink_fails_fn *fails, void *arg)
{
	bool any;

	do {
		any = pass(text, "\n", 16, fails, arg);
		any = pass(text, " \n", 3, fails, arg) || any;
	} while (any);
}
