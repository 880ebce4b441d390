/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pack_build.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/xalloc.h"

/*
 * One pass over the records fills the tables in the order of reading; sorting comes last. What a reader would
 * get wrong: execs are noted once for each block that has records of theirs, not once for each record, and so
 * the first thing done after sorting is to throw away most of them.
 */
struct name {			/* an identifier */
	char	      *text;
	uint32_t       len, id;	/* id: in the order of reading; in by_name order after sorting */
	UT_hash_handle hh;
};
struct snap {			/* of one row */
	struct buf payload;
};
struct gather {
	struct pack_build *b;
	struct pack_reader r;
	uint64_t     last_seq;
	struct pack_exec *notes;	/* one for each record */
	struct snap *snaps;	/* one for each row */
	struct name *names;
};

/* Room for one more in an array that grows at each power of two. */
static void *
grow(void *array, size_t n, size_t size)
{
	return (n & (n - 1)) == 0 ? xreallocarray(array, n == 0 ? 1 : n * 2, size) : array;
}

static struct pack_section *
section_of(struct gather *g)
{
	struct pack_build *b = g->b;
	struct pack_section *s = b->nsections > 0 ? &b->sections[b->nsections - 1] : NULL;

	if (s == NULL || strcmp(s->controller, g->r.controller) != 0) {
		b->sections = grow(b->sections, b->nsections, sizeof *b->sections);
		s = &b->sections[b->nsections++];
		memset(s, 0, sizeof *s);
		memcpy(s->controller, g->r.controller, sizeof s->controller);
		s->from = g->r.block;
		s->row = b->nrows;
		g->last_seq = 0;
	}
	s->to = g->r.at;
	return s;
}

static void
note_block(struct gather *g)
{
	struct pack_build *b = g->b;

	if (b->nblocks > 0 && b->blocks[b->nblocks - 1] == g->r.block)
		return;
	b->blocks = grow(b->blocks, b->nblocks, sizeof *b->blocks);
	b->blocks[b->nblocks++] = g->r.block;
}

/* The rows of a section are few, and the one that is wanted is mostly the last. */
static uint32_t
row_of(struct gather *g, struct pack_section *s, const struct record_head *h)
{
	struct pack_build *b = g->b;

	for (uint32_t i = b->nrows; i > s->row; i--)
		if (b->rows[i - 1].epoch == h->epoch && digest_equal(&b->rows[i - 1].run, &h->run))
			return i - 1;
	b->rows = grow(b->rows, b->nrows, sizeof *b->rows);
	g->snaps = grow(g->snaps, b->nrows, sizeof *g->snaps);
	memset(&g->snaps[b->nrows], 0, sizeof *g->snaps);
	memset(&b->rows[b->nrows], 0, sizeof *b->rows);
	b->rows[b->nrows].run = h->run;
	b->rows[b->nrows].epoch = h->epoch;
	b->rows[b->nrows].section = b->nsections - 1;
	s->nrows++;
	return b->nrows++;
}

static uint32_t
name_of(struct gather *g, const char *text, size_t len)
{
	struct name *x;

	if (text == NULL)
		return UINT32_MAX;
	HASH_FIND(hh, g->names, text, len, x);
	if (x == NULL) {
		x = xcalloc(1, sizeof *x);
		x->text = xstrndup(text, len);
		x->len = (uint32_t)len;
		x->id = HASH_COUNT(g->names);
		HASH_ADD_KEYPTR(hh, g->names, x->text, len, x);
	}
	return x->id;
}

static void
note_exec(struct gather *g, uint32_t row, const struct record_peek *p)
{
	struct pack_row *r = &g->b->rows[row];
	struct pack_exec *n;

	r->started += p->event == XEV_STARTED;
	r->ended += p->event == XEV_ENDED;
	r->hits += p->event == XEV_HIT;
	r->failed += p->failed;
	if (digest_is_zero(&p->pkey))
		return;
	g->notes = grow(g->notes, g->b->nexecs, sizeof *g->notes);
	n = &g->notes[g->b->nexecs];
	*n = (struct pack_exec){ p->pkey, row, g->b->nblocks - 1, name_of(g, p->ident, p->ident_len),
	    p->event == XEV_STARTED ? PACK_EXEC_STARTED : 0, g->b->nexecs };
	g->b->nexecs++;
}

static void
note_record(struct gather *g, const char *payload, size_t len)
{
	struct pack_section *s = section_of(g);
	struct record_peek p;
	struct pack_row *r;
	uint32_t row;

	note_block(g);
	if (!record_peek(payload, len, &p) || p.head.kind == REC_HEADER || p.head.seq <= g->last_seq)
		return;
	g->last_seq = p.head.seq;
	if (digest_is_zero(&p.head.run))
		return;
	row = row_of(g, s, &p.head);
	r = &g->b->rows[row];
	if (p.head.n > r->n)
		r->n = p.head.n;
	if (p.head.time > r->last_time)
		r->last_time = p.head.time;
	r->flags &= ~(uint32_t)PACK_ROW_INTERRUPTED;
	if (p.head.kind == REC_NOTE)
		r->flags |= PACK_ROW_INTERRUPTED;
	if (p.is_state) {
		r->flags |= PACK_ROW_SNAPSHOT;
		buf_clear(&g->snaps[row].payload);
		buf_add(&g->snaps[row].payload, payload, len);
	}
	if (p.is_exec)
		note_exec(g, row, &p);
}

/* Sorting. */

static int
cmp_note(const void *a, const void *b)
{
	const struct pack_exec *x = a, *y = b;
	int c = digest_cmp(&x->key, &y->key);

	if (c == 0)
		c = x->row < y->row ? -1 : x->row > y->row;
	return c != 0 ? c : x->order < y->order ? -1 : x->order > y->order;
}

/* The records of a key in one block become one entry; and each row counts the keys that it started. */
static void
set_execs(struct gather *g)
{
	struct pack_build *b = g->b;
	const struct pack_exec *counted = NULL;
	uint32_t n = 0;

	if (b->nexecs > 0)
		qsort(g->notes, b->nexecs, sizeof *g->notes, cmp_note);
	b->execs = xcalloc(b->nexecs + 1, sizeof *b->execs);
	for (uint32_t i = 0; i < b->nexecs; i++) {
		const struct pack_exec *x = &g->notes[i];
		struct pack_exec *last = n > 0 ? &b->execs[n - 1] : NULL;

		if (x->flags & PACK_EXEC_STARTED) {
			if (counted == NULL || counted->row != x->row || !digest_equal(&counted->key, &x->key))
				b->rows[x->row].execs++;
			counted = x;
		}
		if (last != NULL && last->row == x->row && last->block == x->block && digest_equal(&last->key, &x->key)) {
			last->flags |= x->flags;
			last->order = x->order;
		} else {
			b->execs[n++] = *x;
		}
	}
	b->nexecs = n;
}

static int
cmp_name(const struct name *x, const struct name *y)
{
	int c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

	return c != 0 ? c : x->len < y->len ? -1 : x->len > y->len;
}

/* Numbers the identifiers by name. */
static void
set_idents(struct gather *g)
{
	struct pack_build *b = g->b;
	uint32_t *rank = xcalloc(HASH_COUNT(g->names) + 1, sizeof *rank);
	struct name *x, *tmp;

	HASH_SORT(g->names, cmp_name);
	b->idents = xcalloc(HASH_COUNT(g->names) + 1, sizeof *b->idents);
	HASH_ITER(hh, g->names, x, tmp) {
		rank[x->id] = b->nidents;
		b->idents[b->nidents++] = (struct pack_ident){ .text = b->text.len, .len = x->len };
		buf_add(&b->text, x->text, x->len);
	}
	for (uint32_t i = 0; i < b->nexecs; i++)
		if (b->execs[i].ident != UINT32_MAX)
			b->execs[i].ident = rank[b->execs[i].ident];
	free(rank);
}

static int
cmp_by_ident(const void *a, const void *b, void *execs)
{
	const struct pack_exec *x = (const struct pack_exec *)execs + *(const uint32_t *)a;
	const struct pack_exec *y = (const struct pack_exec *)execs + *(const uint32_t *)b;

	if (x->ident != y->ident)
		return x->ident < y->ident ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void
set_by_ident(struct gather *g)
{
	struct pack_build *b = g->b;

	b->by_ident = xcalloc(b->nexecs + 1, sizeof *b->by_ident);
	for (uint32_t i = 0; i < b->nexecs; i++)
		b->by_ident[i] = i;
	qsort_r(b->by_ident, b->nexecs, sizeof *b->by_ident, cmp_by_ident, b->execs);
	for (uint32_t i = b->nexecs; i > 0; i--) {
		uint32_t ident = b->execs[b->by_ident[i - 1]].ident;

		if (ident == UINT32_MAX)
			continue;
		b->idents[ident].first = i - 1;
		b->idents[ident].n++;
	}
}

static void
set_snapshots(struct gather *g)
{
	struct pack_build *b = g->b;

	for (uint32_t i = 0; i < b->nrows; i++) {
		b->rows[i].snapshot = b->text.len;
		b->rows[i].snapshot_len = g->snaps[i].payload.len;
		buf_add(&b->text, g->snaps[i].payload.p, g->snaps[i].payload.len);
	}
}

static void
gather_release(struct gather *g)
{
	struct name *x, *tmp;

	for (uint32_t i = 0; i < g->b->nrows; i++)
		buf_release(&g->snaps[i].payload);
	free(g->snaps);
	free(g->notes);
	HASH_ITER(hh, g->names, x, tmp) {
		HASH_DEL(g->names, x);
		free(x->text);
		free(x);
	}
	pack_reader_release(&g->r);
}

struct err *
pack_build(int fd, const char *path, uint64_t size, struct pack_build *b)
{
	struct gather g = { .b = b };
	const char *payload = NULL;
	struct err *err;
	size_t len = 0;

	memset(b, 0, sizeof *b);
	pack_reader_init(&g.r, fd, path, 0, size, NULL, NULL);
	while ((err = pack_reader_next(&g.r, &payload, &len)) == NULL && payload != NULL)
		note_record(&g, payload, len);
	if (err == NULL) {
		set_execs(&g);
		set_idents(&g);
		set_by_ident(&g);
		set_snapshots(&g);
	}
	gather_release(&g);
	return err;
}

void
pack_build_release(struct pack_build *b)
{
	free(b->sections);
	free(b->rows);
	free(b->blocks);
	free(b->execs);
	free(b->idents);
	free(b->by_ident);
	buf_release(&b->text);
	memset(b, 0, sizeof *b);
}
