/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/print.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/*
 * The printer. Parentheses come back only where precedence wants them. What a reader would get wrong: inside an
 * interpolation `}}` and `"}` would end it or its template, so there a closing brace is kept apart from what stands
 * before it, and strings escape their braces.
 */
struct printer {
	struct buf *out;
	int	    indent;	/* of the line being printed; -1: everything on one line */
	bool	    in_template;
	bool	    abbrev;
};

static void out_expr(struct printer *, const struct expr *);
static void out_decl(struct printer *, const struct decl *);
static void out_type(struct printer *, const struct texpr *);
static void out_pat(struct printer *, const struct pat *);

static void
put(struct printer *w, const char *s)
{
	buf_addstr(w->out, s);
}

/* Between statements: a new line, or a semicolon where all stands on one. */
static void
next_line(struct printer *w, const char *flat)
{
	if (w->indent < 0) {
		put(w, flat);
		return;
	}
	put(w, "\n");
	for (int i = 0; i < w->indent; i++)
		put(w, "\t");
}

static void
deeper(struct printer *w, int by)
{
	if (w->indent >= 0)
		w->indent += by;
}

/* Inside an interpolation nothing may read `}}` or `"}`. */
static void
out_close_brace(struct printer *w)
{
	char last = w->out->len == 0 ? ' ' : w->out->p[w->out->len - 1];

	if (w->in_template && (last == '}' || last == '"'))
		put(w, " ");
	put(w, "}");
}

/* ---- Types ---- */

/* `a, b int, c string`: neighbours of one type share it. */
static void
out_fields(struct printer *w, size_t n, const struct tfield *f)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			put(w, ", ");
		if (f[i].name != NULL)
			put(w, f[i].name);
		if (f[i].name != NULL && i + 1 < n && f[i].type == f[i + 1].type)
			continue;
		if (f[i].name != NULL)
			put(w, " ");
		out_type(w, f[i].type);
	}
}

static void
out_variants(struct printer *w, const struct texpr *t)
{
	for (size_t i = 0; i < t->nfields; i++) {
		put(w, i == 0 ? "#" : " | #");
		put(w, t->field[i].name);
		if (t->field[i].type == NULL)
			continue;
		put(w, "(");
		out_type(w, t->field[i].type);
		put(w, ")");
	}
}

static void
out_path(struct printer *w, const struct texpr *t)
{
	for (size_t i = 0; i < t->npath; i++) {
		put(w, i == 0 ? "" : ".");
		put(w, t->path[i]);
	}
}

static void
out_plain_type(struct printer *w, const struct texpr *t)
{
	static const char *const basic[] = {
		[TEXPR_INT] = "int", [TEXPR_FLOAT] = "float", [TEXPR_STRING] = "string", [TEXPR_BOOL] = "bool",
		[TEXPR_FILE] = "file", [TEXPR_DIR] = "dir", [TEXPR_UNIT] = "()",
	};

	switch (t->kind) {
	case TEXPR_INT:
	case TEXPR_FLOAT:
	case TEXPR_STRING:
	case TEXPR_BOOL:
	case TEXPR_FILE:
	case TEXPR_DIR:
	case TEXPR_UNIT:
		put(w, basic[t->kind]);
		break;
	case TEXPR_ALIAS:
		out_path(w, t);
		break;
	case TEXPR_LIST:
	case TEXPR_MAP:
		put(w, "[");
		if (t->key != NULL) {
			out_type(w, t->key);
			put(w, ":");
		}
		out_type(w, t->elem);
		put(w, "]");
		break;
	case TEXPR_TUPLE:
		put(w, "(");
		out_fields(w, t->nfields, t->field);
		put(w, ")");
		break;
	case TEXPR_FUNC:
		put(w, "func(");
		out_fields(w, t->nfields, t->field);
		put(w, ") ");
		out_type(w, t->elem);
		break;
	case TEXPR_STRUCT:
	case TEXPR_MODULE:
		put(w, t->kind == TEXPR_MODULE ? "module{" : "{");
		out_fields(w, t->nfields, t->field);
		out_close_brace(w);
		break;
	case TEXPR_SUM:
		out_variants(w, t);
		break;
	}
}

static void
out_type(struct printer *w, const struct texpr *t)
{
	if (t->label == NULL) {
		out_plain_type(w, t);
		return;
	}
	put(w, "(");
	put(w, t->label);
	put(w, " ");
	out_plain_type(w, t);
	put(w, ")");
}

/* ---- Patterns ---- */

static void
out_pats(struct printer *w, size_t n, struct pat *const *p)
{
	for (size_t i = 0; i < n; i++) {
		put(w, i == 0 ? "" : ", ");
		out_pat(w, p[i]);
	}
}

static void
out_pat_fields(struct printer *w, const struct pat *p)
{
	for (size_t i = 0; i < p->nfields; i++) {
		put(w, i == 0 ? "{" : ", ");
		put(w, p->field[i].name);
		if (p->field[i].brief)
			continue;
		put(w, ": ");
		out_pat(w, p->field[i].pat);
	}
	out_close_brace(w);
}

static void
out_pat(struct printer *w, const struct pat *p)
{
	switch (p->kind) {
	case PAT_IDENT:
		put(w, p->name);
		break;
	case PAT_IGNORE:
		put(w, "_");
		break;
	case PAT_TUPLE:
		put(w, "(");
		out_pats(w, p->nelems, p->elem);
		put(w, ")");
		break;
	case PAT_LIST:
		put(w, "[");
		out_pats(w, p->nelems, p->elem);
		put(w, p->has_tail ? ", ..." : "");
		if (p->tail != NULL)
			out_pat(w, p->tail);
		put(w, "]");
		break;
	case PAT_STRUCT:
		out_pat_fields(w, p);
		break;
	case PAT_VARIANT:
		put(w, "#");
		put(w, p->name);
		if (p->arg != NULL) {
			put(w, "(");
			out_pat(w, p->arg);
			put(w, ")");
		}
		break;
	}
}

/* ---- Expressions ---- */

static void
out_quoted(struct printer *w, const struct ast_str *s)
{
	size_t start = w->out->len;

	buf_add_quoted(w->out, s->len == 0 ? "" : s->p, s->len);
	if (!w->in_template)
		return;
	for (size_t i = start; i < w->out->len; i++) {
		char *tail;
		size_t n = w->out->len - i - 1;

		if (w->out->p[i] != '}')
			continue;
		buf_reserve(w->out, 3);
		tail = w->out->p + i;
		memmove(tail + 4, tail + 1, n);
		memcpy(tail, "\\x7d", 4);
		w->out->len += 3;
	}
}

static void
out_string(struct printer *w, const struct expr *e)
{
	if (!e->raw || w->abbrev || (w->in_template && strchr(e->str.p, '}') != NULL)) {
		out_quoted(w, &e->str);
		return;
	}
	put(w, "`");
	buf_add(w->out, e->str.p, e->str.len);
	put(w, "`");
}

static void
out_exprs(struct printer *w, size_t n, struct expr *const *e)
{
	for (size_t i = 0; i < n; i++) {
		put(w, i == 0 ? "" : ", ");
		out_expr(w, e[i]);
	}
}

static void
out_parens(struct printer *w, const struct expr *e, bool parens)
{
	put(w, parens ? "(" : "");
	out_expr(w, e);
	put(w, parens ? ")" : "");
}

/* An operand of an operator of this level; a right one of the same level needs parentheses. */
static void
out_operand(struct printer *w, const struct expr *e, int level, bool right)
{
	bool parens = e->kind == EXPR_FUNC;

	if (e->kind == EXPR_BINARY)
		parens = right ? op_level(e->op) <= level : op_level(e->op) < level;
	out_parens(w, e, parens);
}

/* Does the left operand of the i-th of a chain, the next one, stand in parentheses? */
static bool
has_parens(struct expr *const *chain, size_t i)
{
	return op_level(chain[i + 1]->op) < op_level(chain[i]->op);
}

static void
out_binary(struct printer *w, const struct expr *e)
{
	size_t n;
	struct expr **chain = expr_chain(e, &n);

	for (size_t i = 0; i + 1 < n; i++)
		put(w, has_parens(chain, i) ? "(" : "");
	out_operand(w, chain[n - 1]->a, op_level(chain[n - 1]->op), false);
	while (n-- > 0) {
		buf_addf(w->out, " %s ", op_text(chain[n]->op));
		out_operand(w, chain[n]->b, op_level(chain[n]->op), true);
		put(w, n > 0 && has_parens(chain, n - 1) ? ")" : "");
	}
	free(chain);
}

/* What stands before ( [ or a dot. */
static void
out_head(struct printer *w, const struct expr *e, const struct expr *parent)
{
	bool parens = false;

	switch (e->kind) {
	case EXPR_BINARY:
	case EXPR_UNARY:
	case EXPR_FUNC:
	case EXPR_COND:
	case EXPR_SWITCH:
	case EXPR_EXEC:
		parens = true;
		break;
	case EXPR_INT:
	case EXPR_FLOAT:
		parens = parent->kind == EXPR_FIELD;	/* 1.x would be the number 1. */
		break;
	case EXPR_VARIANT:
		parens = parent->kind == EXPR_CALL && e->a == NULL;
		break;
	default:
		break;
	}
	out_parens(w, e, parens);
}

static void
out_block(struct printer *w, const struct expr *e)
{
	for (size_t i = 0; i < e->ndecls; i++) {
		if (i > 0)
			next_line(w, "; ");
		out_decl(w, e->decl[i]);
	}
	if (e->ndecls > 0)
		next_line(w, "; ");
	out_expr(w, e->a);
}

static void
out_braced(struct printer *w, const struct expr *e)
{
	bool block = e->kind == EXPR_BLOCK;
	bool flat = w->indent < 0 || !block;
	int indent = w->indent;

	if (w->abbrev && block) {
		put(w, "{...; ");
		out_expr(w, e->a);
		put(w, "}");
		return;
	}
	put(w, "{");
	deeper(w, 1);
	if (flat)
		put(w, " ");
	else
		next_line(w, " ");
	if (block) {
		out_block(w, e);
	} else {
		w->indent = indent;
		out_expr(w, e);
	}
	w->indent = indent;
	if (flat)
		put(w, " ");
	else
		next_line(w, " ");
	put(w, "}");
}

/* A branch of an `if`: its braces are always there. */
static void
out_branch(struct printer *w, const struct expr *e)
{
	if (w->abbrev && e->kind == EXPR_BLOCK)
		put(w, "{ ");
	out_braced(w, e);
	if (w->abbrev && e->kind == EXPR_BLOCK)
		put(w, " }");
}

static void
out_cond(struct printer *w, const struct expr *e)
{
	put(w, "if ");
	out_expr(w, e->a);
	put(w, " ");
	out_branch(w, e->b);
	put(w, " else ");
	if (e->c->kind == EXPR_COND)
		out_cond(w, e->c);
	else
		out_branch(w, e->c);
}

static void
out_switch(struct printer *w, const struct expr *e)
{
	put(w, "switch ");
	out_expr(w, e->a);
	put(w, " {");
	for (size_t i = 0; i < e->ncases; i++) {
		const struct expr *body = e->cases[i].body;
		bool block = body->kind == EXPR_BLOCK && !body->braces && !w->abbrev;

		next_line(w, i == 0 ? " " : "; ");
		put(w, "case ");
		out_pat(w, e->cases[i].pat);
		put(w, ":");
		deeper(w, 1);
		if (block)
			next_line(w, " ");
		else
			put(w, " ");
		if (block)
			out_block(w, body);
		else
			out_expr(w, body);
		deeper(w, -1);
	}
	next_line(w, " ");
	put(w, "}");
}

static void
out_struct(struct printer *w, const struct expr *e)
{
	for (size_t i = 0; i < e->nfields; i++) {
		put(w, i == 0 ? "{" : ", ");
		put(w, e->field[i].name);
		if (e->field[i].brief)
			continue;
		put(w, ": ");
		out_expr(w, e->field[i].expr);
	}
	out_close_brace(w);
}

static void
out_spreads(struct printer *w, const struct expr *e)
{
	for (size_t i = 0; i < e->nspreads; i++) {
		put(w, i > 0 ? " ..." : e->nelems + e->nentries > 0 ? ", ..." : "...");
		out_expr(w, e->spread[i]);
	}
	put(w, "]");
}

static void
out_map(struct printer *w, const struct expr *e)
{
	put(w, e->nentries == 0 ? "[:" : "[");
	for (size_t i = 0; i < e->nentries; i++) {
		put(w, i == 0 ? "" : ", ");
		out_expr(w, e->entry[i].key);
		put(w, ": ");
		out_expr(w, e->entry[i].value);
	}
	out_spreads(w, e);
}

static void
out_compr(struct printer *w, const struct expr *e)
{
	put(w, "[");
	out_expr(w, e->a);
	for (size_t i = 0; i < e->nclauses; i++) {
		put(w, i == 0 ? " | " : ", ");
		if (e->clause[i].kind == CLAUSE_FILTER) {
			put(w, "if ");
		} else {
			out_pat(w, e->clause[i].pat);
			put(w, " <- ");
		}
		out_expr(w, e->clause[i].expr);
	}
	put(w, "]");
}

static void
out_params(struct printer *w, const struct expr *e)
{
	put(w, "(");
	for (size_t i = 0; i < e->nparams; i++) {
		put(w, i == 0 ? "" : ", ");
		put(w, e->param[i].name);
		if (i + 1 < e->nparams && e->param[i].type == e->param[i + 1].type)
			continue;
		put(w, " ");
		out_type(w, e->param[i].type);
	}
	put(w, ")");
	if (e->texpr != NULL) {
		put(w, " ");
		out_type(w, e->texpr);
	}
}

static void
out_decls(struct printer *w, size_t n, struct decl *const *d, const char *before)
{
	for (size_t i = 0; i < n; i++) {
		int indent = w->indent;

		put(w, i == 0 ? before : ", ");
		w->indent = d[i]->doc == NULL ? indent : -1;	/* no room for a comment here */
		out_decl(w, d[i]);
		w->indent = indent;
	}
}

/* A template's text is the user's: nothing in it is touched. */
static void
out_template(struct printer *w, const struct expr *e)
{
	struct printer in = *w;

	in.in_template = true;
	in.indent = -1;
	put(w, "{\"");
	for (size_t i = 0; i < e->nparts; i++) {
		const struct tmpl_part *part = &e->part[i];
		size_t start;
		char last;

		if (part->expr == NULL) {
			buf_add(w->out, part->text.p, part->text.len);
			continue;
		}
		put(w, "{{");
		start = w->out->len;
		out_expr(&in, part->expr);
		last = w->out->p[w->out->len - 1];
		if (last == '}' || last == '"' || w->out->p[start] == '{')
			put(w, " ");
		put(w, "}}");
	}
	put(w, "\"}");
}

static void
out_exec(struct printer *w, const struct expr *e)
{
	put(w, "exec(");
	out_decls(w, e->ndecls, e->decl, "");
	put(w, ") ");
	out_type(w, e->texpr);
	put(w, " ");
	out_template(w, e);
}

static void
out_postfix(struct printer *w, const struct expr *e)
{
	out_head(w, e->a, e);
	switch (e->kind) {
	case EXPR_FIELD:
		put(w, ".");
		put(w, e->name);
		break;
	case EXPR_INDEX:
		put(w, "[");
		out_expr(w, e->b);
		put(w, "]");
		break;
	default:
		put(w, "(");
		out_exprs(w, e->nelems, e->elem);
		put(w, ")");
		break;
	}
}

/* True if the expression has a short name in documentation, which was printed. */
static bool
out_abbrev(struct printer *w, const struct expr *e)
{
	static const struct {
		enum expr_kind kind;
		const char    *text;
	} names[] = {
		{ EXPR_EXEC, "<exec>" }, { EXPR_FUNC, "<func>" }, { EXPR_COMPR, "<compr>" }, { EXPR_MAKE, "<make>" },
	};

	for (size_t i = 0; i < nitems(names); i++) {
		if (names[i].kind == e->kind) {
			put(w, names[i].text);
			return true;
		}
	}
	return false;
}

static void
out_expr(struct printer *w, const struct expr *e)
{
	if (w->abbrev && out_abbrev(w, e))
		return;
	switch (e->kind) {
	case EXPR_INT:
	case EXPR_FLOAT:
		put(w, e->str.p);
		break;
	case EXPR_STRING:
		out_string(w, e);
		break;
	case EXPR_BOOL:
		put(w, e->boolean ? "true" : "false");
		break;
	case EXPR_IDENT:
		put(w, e->name);
		break;
	case EXPR_BINARY:
		out_binary(w, e);
		break;
	case EXPR_UNARY:
		put(w, op_text(e->op));
		out_operand(w, e->a, op_level(OP_NOT), false);
		break;
	case EXPR_CALL:
	case EXPR_FIELD:
	case EXPR_INDEX:
		out_postfix(w, e);
		break;
	case EXPR_COND:
		out_cond(w, e);
		break;
	case EXPR_SWITCH:
		out_switch(w, e);
		break;
	case EXPR_BLOCK:
		out_braced(w, e);
		break;
	case EXPR_FUNC:
		put(w, "func");
		out_params(w, e);
		put(w, " => ");
		out_expr(w, e->a);
		break;
	case EXPR_EXEC:
		out_exec(w, e);
		break;
	case EXPR_MAKE:
		put(w, "make(");
		out_quoted(w, &e->str);
		out_decls(w, e->ndecls, e->decl, ", ");
		put(w, ")");
		break;
	case EXPR_TUPLE:
		put(w, "(");
		out_exprs(w, e->nelems, e->elem);
		put(w, ")");
		break;
	case EXPR_STRUCT:
		out_struct(w, e);
		break;
	case EXPR_LIST:
		put(w, "[");
		out_exprs(w, e->nelems, e->elem);
		out_spreads(w, e);
		break;
	case EXPR_MAP:
		out_map(w, e);
		break;
	case EXPR_COMPR:
		out_compr(w, e);
		break;
	case EXPR_VARIANT:
		put(w, "#");
		put(w, e->name);
		if (e->a != NULL)
			out_parens(w, e->a, true);
		break;
	}
}

/* ---- Declarations ---- */

static void
out_doc(struct printer *w, const char *doc)
{
	while (doc != NULL && w->indent >= 0) {
		const char *nl = strchr(doc, '\n');
		size_t n = nl == NULL ? strlen(doc) : (size_t)(nl - doc);

		put(w, n == 0 ? "//" : "// ");
		buf_add(w->out, doc, n);
		next_line(w, " ");
		doc = nl == NULL ? NULL : nl + 1;
	}
}

static void
out_value(struct printer *w, const struct decl *d)
{
	switch (d->form) {
	case FORM_VAL:
		put(w, "val ");
		out_pat(w, d->pat);
		if (d->texpr != NULL) {
			put(w, " ");
			out_type(w, d->texpr);
		}
		put(w, " = ");
		out_expr(w, d->expr);
		break;
	case FORM_ASSIGN:
		put(w, d->name);
		put(w, " := ");
		out_expr(w, d->expr);
		break;
	case FORM_FUNC:
		put(w, "func ");
		put(w, d->name);
		out_params(w, d->expr);
		put(w, " = ");
		out_expr(w, d->expr->a);
		break;
	case FORM_NAME:
		put(w, d->name);
		break;
	}
}

static void
out_decl(struct printer *w, const struct decl *d)
{
	out_doc(w, d->doc);
	for (size_t i = 0; i < d->nrequires; i++) {
		put(w, "@requires(");
		out_decls(w, d->req[i].ndecls, d->req[i].decl, "");
		put(w, ")");
		next_line(w, " ");
	}
	if (d->kind == DECL_VAL) {
		out_value(w, d);
		return;
	}
	put(w, "type ");
	put(w, d->name);
	put(w, " ");
	out_type(w, d->texpr);
}

static void
out_param(struct printer *w, const struct param *p)
{
	out_doc(w, p->doc);
	put(w, "param ");
	put(w, p->name);
	if (p->texpr != NULL) {
		put(w, " ");
		out_type(w, p->texpr);
	}
	if (p->expr != NULL) {
		put(w, " = ");
		out_expr(w, p->expr);
	}
	put(w, "\n");
}

void
print_module(struct buf *out, const struct module *m)
{
	struct printer w = { .out = out };

	if (m->has_keyspace) {
		put(&w, "keyspace ");
		out_quoted(&w, &m->keyspace);
		put(&w, "\n");
	}
	for (size_t i = 0; i < m->nparams; i++)
		out_param(&w, &m->param[i]);
	for (size_t i = 0; i < m->ndecls; i++) {
		if (i > 0 || m->nparams > 0 || m->has_keyspace)
			put(&w, "\n");
		out_decl(&w, m->decl[i]);
		put(&w, "\n");
	}
}

void
print_decl(struct buf *out, const struct decl *d, int indent)
{
	struct printer w = { .out = out, .indent = indent };

	out_decl(&w, d);
}

void
print_expr(struct buf *out, const struct expr *e)
{
	struct printer w = { .out = out, .indent = -1 };

	out_expr(&w, e);
}

void
print_type(struct buf *out, const struct texpr *t)
{
	struct printer w = { .out = out, .indent = -1 };

	out_type(&w, t);
}

void
print_pat(struct buf *out, const struct pat *p)
{
	struct printer w = { .out = out, .indent = -1 };

	out_pat(&w, p);
}

void
print_abbrev(struct buf *out, const struct expr *e)
{
	struct printer w = { .out = out, .indent = -1, .abbrev = true };

	out_expr(&w, e);
}
