/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/code.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/xalloc.h"
#include "lang/builtin.h"

/*
 * Digests of code. Two pieces share one only if they compute the same from the same values. What is easy
 * to get wrong: a module that is made inside a function is part of that function, so its whole text (and
 * what that makes) must count.
 */
struct piece_key {
	const struct expr *expr;
	unsigned	   part, pad;
};
struct piece_entry {
	struct piece_key key;
	struct piece	 piece;
	UT_hash_handle	 hh;
};
struct piece_cache {
	struct piece_entry *entries;
};

struct names {
	const struct binding **v;
	size_t		       n, cap;
};
struct writer {
	struct w1    w;
	uint32_t     pos;
	struct names bound, free;
};

static size_t
names_find(const struct names *t, const struct binding *b)
{
	size_t i = t->n;

	while (i > 0 && t->v[i - 1] != b)
		i--;
	return i;
}

static size_t
names_add(struct names *t, const struct binding *b)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 8;
		t->v = xreallocarray(t->v, t->cap, sizeof(struct binding *));
	}
	t->v[t->n++] = b;
	return t->n;
}

static void
put_u64(struct writer *w, uint64_t n)
{
	w1_add_u64(&w->w, w->pos++, n);
}

static void
put_text(struct writer *w, const char *s)
{
	w1_add_str(&w->w, W1_TEXT, w->pos++, s);
}

static void
put_bytes(struct writer *w, const struct ast_str *s)
{
	w1_add(&w->w, W1_TEXT, w->pos++, s->p, s->len);
}

static void
put_digest(struct writer *w, const struct digest *d)
{
	w1_add_digest(&w->w, W1_DIGEST, w->pos++, d);
}

static void
put_type(struct writer *w, const struct type *t)
{
	struct buf b = BUF_INIT;

	type_str(t, &b);
	put_text(w, buf_str(&b));
	buf_release(&b);
}

/* A variable by the number of its binding: inner ones by where they were bound, free ones by first use. */
static void
put_variable(struct writer *w, const struct binding *b)
{
	size_t n;

	if (b->kind == BIND_CONST) {
		put_text(w, b->name);
		return;
	}
	if ((n = names_find(&w->bound, b)) > 0) {
		put_text(w, "bound");
		put_u64(w, n);
		return;
	}
	if ((n = names_find(&w->free, b)) == 0)
		n = names_add(&w->free, b);
	put_text(w, "free");
	put_u64(w, n);
}

static void put_expr(struct writer *, const struct expr *);

static void
put_pat(struct writer *w, const struct pat *p)
{
	if (p == NULL) {
		put_text(w, NULL);
		return;
	}
	put_u64(w, p->kind);
	if (p->kind == PAT_IDENT)
		names_add(&w->bound, p->note);
	else
		put_text(w, p->name);
	put_u64(w, p->nelems);
	for (size_t i = 0; i < p->nelems; i++)
		put_pat(w, p->elem[i]);
	put_u64(w, p->has_tail);
	put_pat(w, p->tail);
	put_u64(w, p->nfields);
	for (size_t i = 0; i < p->nfields; i++) {
		put_text(w, p->field[i].name);
		put_pat(w, p->field[i].pat);
	}
	put_pat(w, p->arg);
}

static void
put_named(struct writer *w, struct decl *const *d, size_t n)
{
	put_u64(w, n);
	for (size_t i = 0; i < n; i++) {
		put_text(w, d[i]->name);
		put_expr(w, d[i]->expr);
	}
}

static void
put_block(struct writer *w, const struct expr *e)
{
	put_u64(w, e->ndecls);
	for (size_t i = 0; i < e->ndecls; i++) {
		const struct decl *d = e->decl[i];

		if (d->kind != DECL_VAL)
			continue;
		put_u64(w, d->nrequires);
		for (size_t k = 0; k < d->nrequires; k++)
			put_named(w, d->req[k].decl, d->req[k].ndecls);
		put_expr(w, d->expr);
		put_pat(w, d->pat);
	}
}

static void
put_func(struct writer *w, const struct expr *e)
{
	const struct func_note *note = e->note;

	if (note->self != NULL)
		names_add(&w->bound, note->self);
	put_u64(w, note->self != NULL);
	put_u64(w, e->nparams);
	for (size_t i = 0; i < e->nparams; i++)
		names_add(&w->bound, e->param[i].note);
}

static void
put_exec(struct writer *w, const struct expr *e)
{
	const struct exec_note *note = e->note;

	put_named(w, e->decl, e->ndecls);
	put_u64(w, note->nouts);
	for (size_t i = 0; i < note->nouts; i++)
		put_text(w, note->outs[i].dir ? "dir" : "file");
	put_u64(w, e->nparts);
	for (size_t i = 0; i < e->nparts; i++) {
		put_u64(w, (uint64_t)(note->part[i] + 1));
		if (e->part[i].expr == NULL)
			put_bytes(w, &e->part[i].text);
		else if (note->part[i] < 0)
			put_expr(w, e->part[i].expr);
	}
}

static void
put_cases(struct writer *w, const struct expr *e, size_t from)
{
	put_u64(w, e->ncases - from);
	for (size_t i = from; i < e->ncases; i++) {
		put_pat(w, e->cases[i].pat);
		put_expr(w, e->cases[i].body);
	}
}

static void
put_clauses(struct writer *w, const struct expr *e, size_t from, bool source)
{
	put_u64(w, e->nclauses - from);
	for (size_t i = from; i < e->nclauses; i++) {
		put_u64(w, e->clause[i].kind);
		/* Of the first one the collection is there; what is left is its pattern. */
		if (i > from || source)
			put_expr(w, e->clause[i].expr);
		put_pat(w, e->clause[i].pat);
	}
	put_expr(w, e->a);
}

static void
put_lists(struct writer *w, const struct expr *e)
{
	put_u64(w, e->nelems);
	for (size_t i = 0; i < e->nelems; i++)
		put_expr(w, e->elem[i]);
	put_u64(w, e->nentries);
	for (size_t i = 0; i < e->nentries; i++) {
		put_expr(w, e->entry[i].key);
		put_expr(w, e->entry[i].value);
	}
	put_u64(w, e->nspreads);
	for (size_t i = 0; i < e->nspreads; i++)
		put_expr(w, e->spread[i]);
	put_u64(w, e->nfields);
	for (size_t i = 0; i < e->nfields; i++) {
		put_text(w, e->field[i].name);
		put_expr(w, e->field[i].expr);
	}
}

/* In prefix order; but a chain, which may be long, in a loop. */
static void
put_binary(struct writer *w, const struct expr *e)
{
	size_t n;
	struct expr **chain = expr_chain(e, &n);

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			put_u64(w, 1000 + EXPR_BINARY);
		put_u64(w, chain[i]->op);
		if (chain[i]->op == OP_EQ || chain[i]->op == OP_NE)
			put_type(w, chain[i]->a->type);
	}
	put_expr(w, chain[n - 1]->a);
	while (n-- > 0) {
		put_expr(w, chain[n]->b);
		put_expr(w, chain[n]->c);
	}
	free(chain);
}

static void
put_operands(struct writer *w, const struct expr *e)
{
	put_u64(w, e->op);
	put_expr(w, e->a);
	put_expr(w, e->b);
	put_expr(w, e->c);
}

static void
put_expr(struct writer *w, const struct expr *e)
{
	if (e == NULL) {
		put_text(w, NULL);
		return;
	}
	put_u64(w, 1000 + e->kind);
	switch (e->kind) {
	case EXPR_INT:
	case EXPR_FLOAT:
	case EXPR_STRING:
		put_bytes(w, &e->str);
		return;
	case EXPR_BOOL:
		put_u64(w, e->boolean);
		return;
	case EXPR_IDENT:
		put_variable(w, e->note);
		return;
	case EXPR_CALL:
		put_text(w, e->note ? ((const struct builtin *)e->note)->name : NULL);
		if (e->note == NULL)
			put_expr(w, e->a);
		put_lists(w, e);
		return;
	case EXPR_SWITCH:
		put_expr(w, e->a);
		put_cases(w, e, 0);
		return;
	case EXPR_BLOCK:
		put_block(w, e);
		put_expr(w, e->a);
		return;
	case EXPR_FUNC:
		put_func(w, e);
		put_expr(w, e->a);
		return;
	case EXPR_EXEC:
		put_exec(w, e);
		return;
	case EXPR_MAKE:
		put_digest(w, &((const struct unit *)e->note)->code);
		put_named(w, e->decl, e->ndecls);
		return;
	case EXPR_COMPR:
		put_clauses(w, e, 0, true);
		return;
	case EXPR_FIELD:
	case EXPR_VARIANT:
		put_text(w, e->name);
		put_expr(w, e->a);
		return;
	case EXPR_TUPLE:
	case EXPR_STRUCT:
	case EXPR_LIST:
	case EXPR_MAP:
		put_lists(w, e);
		return;
	case EXPR_BINARY:
		put_binary(w, e);
		return;
	case EXPR_UNARY:
	case EXPR_INDEX:
	case EXPR_COND:
		put_operands(w, e);
		return;
	}
}

static void
put_part(struct writer *w, const struct expr *e, unsigned part)
{
	put_u64(w, part < PIECE_FROM ? part : PIECE_FROM);
	if (part == PIECE_RIGHT) {
		put_u64(w, 1000 + e->kind);
		put_u64(w, e->op);
		put_expr(w, e->b);
		put_expr(w, e->c);
	} else if (part >= PIECE_FROM && e->kind == EXPR_SWITCH) {
		put_cases(w, e, part - PIECE_FROM);
	} else if (part >= PIECE_FROM) {
		put_clauses(w, e, part - PIECE_FROM, false);
	} else {
		put_expr(w, e);
	}
}

static void
piece_make(struct program *p, const struct expr *e, unsigned part, struct piece *out)
{
	struct writer w = { .pos = 0 };

	w1_init(&w.w, "code");
	put_part(&w, e, part);
	w1_final(&w.w, &out->digest);
	if (part != PIECE_CODE && w.free.n > 0) {
		out->free = arena_memdup(p->arena, w.free.v, w.free.n * sizeof(struct binding *));
		out->nfree = w.free.n;
	}
	free(w.bound.v);
	free(w.free.v);
}

const struct piece *
piece_get(struct program *p, const struct expr *e, unsigned part)
{
	struct piece_key key = { e, part, 0 };
	struct piece_entry *entry;

	if (p->pieces == NULL)
		p->pieces = xcalloc(1, sizeof *p->pieces);
	HASH_FIND(hh, p->pieces->entries, &key, sizeof key, entry);
	if (entry == NULL) {
		entry = arena_alloc(p->arena, sizeof *entry);
		entry->key = key;
		piece_make(p, e, part, &entry->piece);
		HASH_ADD(hh, p->pieces->entries, key, sizeof key, entry);
	}
	return &entry->piece;
}

void
piece_cache_free(struct piece_cache *c)
{
	if (c == NULL)
		return;
	HASH_CLEAR(hh, c->entries);
	free(c);
}
