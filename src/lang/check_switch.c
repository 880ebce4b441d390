/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/check.h"

#include <string.h>

#include "lang/print.h"

/*
 * Are the cases of a switch exhaustive, and is each of them reachable? Both ask the same: is there a
 * value that a row of patterns matches and none of the rows above it? The classical matrix of patterns:
 * take the first column apart by the constructors of its type, then ask about what is left. Lists are
 * taken apart by length: each length that a pattern can tell, and one for all longer ones.
 */
#define MAX_STEPS 200000	/* of matrices looked at; real programs need a handful */

struct row {
	const struct pat **col;	/* NULL: matches all */
};
struct matrix {
	struct checker *c;
	size_t		nsteps;
};

/* A list pattern, its tail patterns laid flat: `[a, ...[b, ...]]` is [a, b, ...]. */
static size_t
list_elems(const struct pat *p, const struct pat **out, bool *open)
{
	size_t n = 0;

	for (;; p = p->tail) {
		for (size_t i = 0; i < p->nelems; i++, n++)
			if (out != NULL)
				out[n] = p->elem[i];
		*open = p->has_tail;
		if (p->tail == NULL || p->tail->kind != PAT_LIST)
			return n;
	}
}

/* NULL for what matches all. */
static const struct pat *
plain(const struct pat *p)
{
	return p == NULL || p->kind == PAT_IDENT || p->kind == PAT_IGNORE ? NULL : p;
}

/* One constructor of a column's type: what its parts are, and whether and how a pattern has it. */
struct ctor {
	const struct type *type;	/* of the column */
	const char	  *tag;		/* of a sum */
	size_t		   len;		/* of a list; of anything else the number of parts */
	bool		   longer;	/* a list of that length or any greater */
};

static const struct type *
ctor_part(const struct ctor *k, size_t i)
{
	switch (k->type->kind) {
	case TYPE_LIST:
		return k->type->elem;
	case TYPE_SUM:
		return type_field(k->type, k->tag);
	default:
		return k->type->fields[i].type;
	}
}

static const struct pat *
struct_part(const struct pat *p, const char *name)
{
	for (size_t i = 0; i < p->nfields; i++)
		if (strcmp(p->field[i].name, name) == 0)
			return plain(p->field[i].pat);
	return NULL;
}

/* The parts of a pattern under a constructor; false if the pattern has another one. */
static bool
specialize(struct checker *c, const struct pat *p, const struct ctor *k, const struct pat **out)
{
	const struct pat **elems;
	bool open;
	size_t n;

	memset(out, 0, k->len * sizeof(struct pat *));
	if (p == NULL)
		return true;
	switch (p->kind) {
	case PAT_TUPLE:
		for (size_t i = 0; i < k->len; i++)
			out[i] = plain(p->elem[i]);
		return true;
	case PAT_STRUCT:
		for (size_t i = 0; i < k->len; i++)
			out[i] = struct_part(p, k->type->fields[i].name);
		return true;
	case PAT_VARIANT:
		if (strcmp(p->name, k->tag) != 0)
			return false;
		if (k->len > 0)
			out[0] = plain(p->arg);
		return true;
	case PAT_LIST:
		n = list_elems(p, NULL, &open);
		if (n > k->len || (!open && (n != k->len || k->longer)))
			return false;
		elems = arena_alloc(c->arena, n * sizeof(struct pat *));
		list_elems(p, elems, &open);
		for (size_t i = 0; i < n; i++)
			out[i] = plain(elems[i]);
		return true;
	default:
		return true;
	}
}

static bool useful(struct matrix *, const struct row *rows, size_t nrows, const struct row *q,
    const struct type *const *types, size_t ncols);

static bool
useful_under(struct matrix *m, const struct ctor *k, const struct row *rows, size_t nrows, const struct row *q,
    const struct type *const *types, size_t ncols)
{
	struct arena *a = m->c->arena;
	size_t wide = k->len + ncols - 1, n = 0;
	struct row *sub = arena_alloc(a, (nrows + 1) * sizeof *sub), sq;
	const struct type **st = arena_alloc(a, (wide + 1) * sizeof(struct type *));

	sq.col = arena_alloc(a, (wide + 1) * sizeof(struct pat *));
	if (!specialize(m->c, q->col[0], k, sq.col))
		return false;
	memcpy(sq.col + k->len, q->col + 1, (ncols - 1) * sizeof(struct pat *));
	for (size_t i = 0; i < nrows; i++) {
		sub[n].col = arena_alloc(a, (wide + 1) * sizeof(struct pat *));
		if (!specialize(m->c, rows[i].col[0], k, sub[n].col))
			continue;
		memcpy(sub[n++].col + k->len, rows[i].col + 1, (ncols - 1) * sizeof(struct pat *));
	}
	for (size_t i = 0; i < k->len; i++)
		st[i] = ctor_part(k, i);
	memcpy(st + k->len, types + 1, (ncols - 1) * sizeof(struct type *));
	return useful(m, sub, n, &sq, st, wide);
}

/* The longest list that some pattern of the first column speaks of. */
static size_t
longest(const struct row *rows, size_t nrows, const struct row *q)
{
	size_t max = 0, n;
	bool open;

	for (size_t i = 0; i <= nrows; i++) {
		const struct pat *p = i < nrows ? rows[i].col[0] : q->col[0];

		if (p != NULL && (n = list_elems(p, NULL, &open)) > max)
			max = n;
	}
	return max;
}

static bool
useful_apart(struct matrix *m, const struct row *rows, size_t nrows, const struct row *q,
    const struct type *const *types, size_t ncols)
{
	struct ctor k = { .type = types[0] };
	size_t max;

	switch (types[0]->kind) {
	case TYPE_SUM:
		for (size_t i = 0; i < types[0]->nfields; i++) {
			k.tag = types[0]->fields[i].name;
			k.len = types[0]->fields[i].type != NULL;
			if (useful_under(m, &k, rows, nrows, q, types, ncols))
				return true;
		}
		return false;
	case TYPE_LIST:
		max = longest(rows, nrows, q) + 1;
		for (k.len = 0; k.len <= max; k.len++) {
			k.longer = k.len == max;
			if (useful_under(m, &k, rows, nrows, q, types, ncols))
				return true;
		}
		return false;
	default:
		k.len = types[0]->nfields;
		return useful_under(m, &k, rows, nrows, q, types, ncols);
	}
}

static bool
useful(struct matrix *m, const struct row *rows, size_t nrows, const struct row *q, const struct type *const *types,
    size_t ncols)
{
	struct row *rest, rq;
	bool apart;

	if (ncols == 0 || nrows == 0)
		return nrows == 0;
	if (++m->nsteps > MAX_STEPS)
		return false;
	apart = q->col[0] != NULL;
	for (size_t i = 0; i < nrows; i++)
		apart |= rows[i].col[0] != NULL;
	if (apart && types[0]->kind != TYPE_BOTTOM)
		return useful_apart(m, rows, nrows, q, types, ncols);
	rest = arena_alloc(m->c->arena, nrows * sizeof *rest);
	for (size_t i = 0; i < nrows; i++)
		rest[i].col = rows[i].col + 1;
	rq.col = q->col + 1;
	return useful(m, rest, nrows, &rq, types + 1, ncols - 1);
}

static const char *
pat_text(struct checker *c, const struct pat *p)
{
	struct buf b = BUF_INIT;
	const char *text;

	print_pat(&b, p);
	text = arena_strndup(c->arena, buf_str(&b), b.len);
	buf_release(&b);
	return text;
}

void
check_cases(struct checker *c, struct expr *e, const struct type *subject)
{
	struct matrix m = { c, 0 };
	struct row *rows = arena_alloc(c->arena, (e->ncases + 1) * sizeof *rows);
	size_t n = 0;

	for (; n < e->ncases; n++) {
		rows[n].col = arena_alloc(c->arena, sizeof(struct pat *));
		rows[n].col[0] = plain(e->cases[n].pat);
		if (!useful(&m, rows, n, &rows[n], &subject, 1) && m.nsteps <= MAX_STEPS)
			diag_error(
			    c->diags, &e->cases[n].span, "case is unreachable: %s", pat_text(c, e->cases[n].pat));
	}
	rows[n].col = arena_alloc(c->arena, sizeof(struct pat *));
	if (useful(&m, rows, n, &rows[n], &subject, 1))
		diag_error(c->diags, &e->span, "case patterns are not exhaustive");
	if (m.nsteps > MAX_STEPS)
		diag_error(c->diags, &e->span, "too many combinations of patterns; split the switch");
}
