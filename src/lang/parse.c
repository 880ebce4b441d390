/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "lang/parse_priv.h"

/*
 * Tokens, declarations and modules. An error ends its declaration; the next one begins at a line that
 * is indented no deeper and begins like a declaration, so that one lost bracket does not cost the rest of the file.
 */

/* ---- Tokens ---- */

void
parser_next(struct parser *p)
{
	p->end = p->tok.end;
	if (parser_at(p, T_LPAREN) || parser_at(p, T_LBRACK) || parser_at(p, T_LBRACE))
		p->nest++;
	else if (parser_at(p, T_RPAREN) || parser_at(p, T_RBRACK) || parser_at(p, T_RBRACE))
		p->nest--;
	if (p->has_ahead) {
		p->tok = p->ahead;
		p->has_ahead = false;
	} else {
		lex_next(&p->lex, &p->tok);
	}
}

const struct token *
parser_peek(struct parser *p)
{
	if (!p->has_ahead) {
		lex_next(&p->lex, &p->ahead);
		p->has_ahead = true;
	}
	return &p->ahead;
}

bool
parser_accept(struct parser *p, enum tok kind)
{
	if (!parser_at(p, kind))
		return false;
	parser_next(p);
	return true;
}

bool
parser_expect(struct parser *p, enum tok kind, const char *what)
{
	char quoted[16];

	if (parser_accept(p, kind))
		return true;
	if (what == NULL && kind == T_IDENT) {
		what = "a name";
	} else if (what == NULL) {
		snprintf(quoted, sizeof quoted, "\"%s\"", tok_text(kind));
		what = quoted;
	}
	return parser_unexpected(p, what);
}

bool
parser_fail(struct parser *p, const struct span *span, const char *fmt, ...)
{
	va_list ap;
	char *msg;

	p->hintable = !p->failed;
	if (p->failed)
		return false;
	p->failed = true;
	va_start(ap, fmt);
	msg = xvasprintf(fmt, ap);
	va_end(ap);
	diag_error(p->diags, span, "%s", msg);
	free(msg);
	return false;
}

void
parser_hint(struct parser *p, const char *text)
{
	if (p->hintable)
		diag_hint(p->diags, "%s", text);
}

static void
hint_about(struct parser *p, const char *expected)
{
	bool name = strstr(expected, "name") != NULL || strstr(expected, "pattern") != NULL;

	if (tok_is_reserved(p->tok.kind))
		diag_hint(p->diags, "%s is a reserved word without a meaning", tok_text(p->tok.kind));
	else if (tok_is_keyword(p->tok.kind) && name)
		diag_hint(p->diags, "%s is a keyword: choose another name", tok_text(p->tok.kind));
}

bool
parser_unexpected(struct parser *p, const char *expected)
{
	struct span span = span_here(p);
	char *found;

	p->hintable = false;
	if (p->failed)
		return false;
	if (parser_at(p, T_ERROR)) {	/* the scanner has said what is wrong */
		p->failed = true;
		return false;
	}
	found = parser_at(p, T_EOF) && p->in_template ? xstrdup("end of interpolation") : tok_describe(&p->tok);
	parser_fail(p, &span, "unexpected %s, expected %s", found, expected);
	free(found);
	hint_about(p, expected);
	return false;
}

bool
parser_enter(struct parser *p)
{
	struct span span = span_here(p);

	if (p->level < PARSE_MAX_DEPTH) {
		p->level++;
		return true;
	}
	parser_fail(p, &span, "nested deeper than %d levels", PARSE_MAX_DEPTH);
	parser_hint(p, "give a part of it a name of its own");
	return false;
}

void
parser_leave(struct parser *p)
{
	p->level--;
}

/* ---- Spans and lists ---- */

struct span
span_here(const struct parser *p)
{
	return tok_span(&p->lex, &p->tok);
}

struct span
span_since(const struct parser *p, const struct token *first)
{
	return (struct span){ p->lex.src, first->start, first->end, p->end };
}

void
span_close(const struct parser *p, struct span *span)
{
	span->end = p->end;
}

void
list_push(struct parser *p, const void *elem, size_t size)
{
	buf_add(&p->stack, elem, size);
}

void *
list_take(struct parser *p, size_t mark, size_t size, size_t *n)
{
	size_t bytes = p->stack.len - mark;

	*n = bytes / size;
	p->stack.len = mark;
	return bytes == 0 ? NULL : arena_memdup(p->arena, p->stack.p + mark, bytes);
}

/* ---- Declarations ---- */

bool
p_starts_def(struct parser *p)
{
	switch (p->tok.kind) {
	case T_VAL:
	case T_TYPE:
	case T_AT:
		return true;
	case T_FUNC:
		return parser_peek(p)->kind == T_IDENT;
	case T_IDENT:
		return parser_peek(p)->kind == T_DEFINE;
	default:
		return false;
	}
}

bool
p_params(struct parser *p, size_t *n, struct func_param **params)
{
	struct span span = span_here(p);
	struct tfield *f;

	if (!p_fields(p, n, &f))
		return false;
	if (*n > PARSE_MAX_PARAMS) {
		span_close(p, &span);
		return parser_fail(p, &span, "functions can have at most %d arguments", PARSE_MAX_PARAMS);
	}
	*params = arena_alloc(p->arena, *n * sizeof **params);
	for (size_t i = 0; i < *n; i++)
		(*params)[i] = (struct func_param){ f[i].name, f[i].type, f[i].span };
	return true;
}

static struct decl *
decl_new(struct parser *p, enum decl_kind kind, enum decl_form form)
{
	struct decl *d = arena_alloc(p->arena, sizeof *d);

	d->kind = kind;
	d->form = form;
	d->span = span_here(p);
	d->doc = p->tok.doc;
	return d;
}

/* Takes the name: the declaration binds it. */
static bool
decl_name(struct parser *p, struct decl *d)
{
	d->name_span = span_here(p);
	d->name = p->tok.name;
	if (!parser_expect(p, T_IDENT, NULL))
		return false;
	if (d->kind == DECL_TYPE)
		return true;
	d->pat = arena_alloc(p->arena, sizeof *d->pat);
	d->pat->kind = PAT_IDENT;
	d->pat->span = d->name_span;
	d->pat->id = ++p->nids;
	d->pat->name = d->name;
	return true;
}

/* "val" pat [ type ] "=" expr */
static struct decl *
decl_val(struct parser *p)
{
	struct decl *d = decl_new(p, DECL_VAL, FORM_VAL);

	parser_next(p);
	if ((d->pat = p_pat(p)) == NULL)
		return NULL;
	d->name_span = d->pat->span;
	d->name = d->pat->kind == PAT_IDENT ? d->pat->name : NULL;
	if (p_starts_type(p) && (d->texpr = p_type(p)) == NULL)
		return NULL;
	if (!parser_expect(p, T_ASSIGN, d->texpr == NULL ? "\"=\" or a type" : NULL) || (d->expr = p_expr(p)) == NULL)
		return NULL;
	d->span.pos = d->expr->span.pos;
	return d;
}

/* ident ":=" expr */
static struct decl *
decl_assign(struct parser *p)
{
	struct decl *d = decl_new(p, DECL_VAL, FORM_ASSIGN);

	if (!decl_name(p, d) || !parser_expect(p, T_DEFINE, NULL))
		return NULL;
	return (d->expr = p_expr(p)) == NULL ? NULL : d;
}

/* "func" ident "(" fields ")" [ type ] "=" expr */
static struct decl *
decl_func(struct parser *p)
{
	struct decl *d = decl_new(p, DECL_VAL, FORM_FUNC);
	struct token first = p->tok;

	parser_next(p);
	if (!decl_name(p, d))
		return NULL;
	return (d->expr = expr_func(p, &first, T_ASSIGN)) == NULL ? NULL : d;
}

/* "type" ident type */
static struct decl *
decl_type(struct parser *p)
{
	struct decl *d = decl_new(p, DECL_TYPE, FORM_VAL);

	parser_next(p);
	if (!decl_name(p, d))
		return NULL;
	return (d->texpr = p_type(p)) == NULL ? NULL : d;
}

/* ident, for ident := ident */
static struct decl *
decl_brief(struct parser *p)
{
	struct decl *d = decl_new(p, DECL_VAL, FORM_NAME);
	struct token name = p->tok;

	if (!decl_name(p, d))
		return NULL;
	d->expr = expr_new(p, EXPR_IDENT, &name);
	d->expr->name = name.name;
	return d;
}

/* { "@" "requires" "(" [ commadefs ] ")" [ ";" ] } */
static struct requires *
requirements(struct parser *p, size_t *n)
{
	size_t mark = p->stack.len;

	do {
		struct requires r = { .span = span_here(p) };

		parser_next(p);
		if (!parser_expect(p, T_REQUIRES, "keyword \"requires\"") || !parser_expect(p, T_LPAREN, NULL) ||
		    !p_commadefs(p, false, &r.ndecls, &r.decl) || !parser_expect(p, T_RPAREN, NULL))
			return NULL;
		span_close(p, &r.span);
		parser_accept(p, T_SEMI);
		list_push(p, &r, sizeof r);
	} while (parser_at(p, T_AT));
	return list_take(p, mark, sizeof(struct requires), n);
}

static struct decl *
decl_required(struct parser *p)
{
	struct token first = p->tok;
	size_t n;
	struct requires *r = requirements(p, &n);
	struct decl *d;

	if (r == NULL)
		return NULL;
	if (!p_starts_def(p) || parser_at(p, T_TYPE)) {
		parser_unexpected(p, "the declaration of a value");
		return NULL;
	}
	if ((d = p_def(p)) == NULL)
		return NULL;
	d->req = r;
	d->nrequires = n;
	d->span.start = first.start;
	d->doc = first.doc != NULL ? first.doc : d->doc;
	return d;
}

/* def = valdef | typedef. At a token for which p_starts_def holds. */
struct decl *
p_def(struct parser *p)
{
	struct decl *d;

	switch (p->tok.kind) {
	case T_VAL:
		d = decl_val(p);
		break;
	case T_TYPE:
		d = decl_type(p);
		break;
	case T_AT:
		d = decl_required(p);
		break;
	case T_FUNC:
		d = decl_func(p);
		break;
	default:
		d = decl_assign(p);
		break;
	}
	if (d != NULL)
		span_close(p, &d->span);
	return d;
}

/* commadef = def | ident */
static struct decl *
commadef(struct parser *p)
{
	struct decl *d;

	if (p_starts_def(p))
		return p_def(p);
	if (!parser_at(p, T_IDENT)) {
		parser_unexpected(p, "a parameter: name := value");
		return NULL;
	}
	d = decl_brief(p);
	if (d != NULL)
		span_close(p, &d->span);
	return d;
}

bool
p_commadefs(struct parser *p, bool trailing, size_t *n, struct decl ***decls)
{
	size_t mark = p->stack.len;
	struct decl *d;

	while (!parser_at(p, T_RPAREN)) {
		if ((d = commadef(p)) == NULL)
			return false;
		list_push(p, &d, sizeof d);
		if (!parser_accept(p, T_COMMA))
			break;
		if (!trailing && parser_at(p, T_RPAREN)) {
			parser_unexpected(p, "a parameter: name := value");
			parser_hint(p, "no comma follows the last parameter here");
			return false;
		}
	}
	*decls = list_take(p, mark, sizeof d, n);
	if (parser_at(p, T_RPAREN) || trailing)
		return true;
	parser_unexpected(p, "\",\" or \")\"");
	if (parser_at(p, T_SEMI))
		parser_hint(p, "the closing parenthesis stands on the line of the last parameter");
	return false;
}

/* ---- Modules ---- */

/* What begins a declaration when it stands first on a line. */
static bool
begins_line(enum tok kind)
{
	switch (kind) {
	case T_VAL:
	case T_TYPE:
	case T_AT:
	case T_FUNC:
	case T_PARAM:
	case T_IDENT:
		return true;
	default:
		return false;
	}
}

/* Where a declaration that failed began. */
struct place {
	struct pos start;
	size_t	   mark;	/* of the stack */
	int	   nest;
	uint32_t   level;
};

static struct place
place_here(const struct parser *p)
{
	return (struct place){ p->tok.start, p->stack.len, p->nest, p->level };
}

static bool
resumes(const struct parser *p, const struct place *from, bool after_semi)
{
	if (!begins_line(p->tok.kind))
		return false;
	if (p->tok.first)
		return p->tok.start.col <= from->start.col;
	return after_semi && p->nest <= from->nest;
}

/* After an error: on to the next declaration, or the end. */
static void
recover(struct parser *p, const struct place *from)
{
	bool after_semi = false;

	if (p->tok.start.off == from->start.off && !parser_at(p, T_EOF))
		parser_next(p);
	while (!parser_at(p, T_EOF) && !resumes(p, from, after_semi)) {
		after_semi = parser_at(p, T_SEMI);
		parser_next(p);
	}
	p->failed = false;
	p->stack.len = from->mark;
	p->nest = from->nest;
	p->level = from->level;
}

/* ident { "," ident }, then the group's type and default */
static bool
paramdef(struct parser *p, const char *doc)
{
	size_t mark = p->stack.len, n;
	struct param *param;
	struct texpr *type = NULL;
	struct expr *value = NULL;

	do {
		struct param one = { .name = p->tok.name, .span = span_here(p), .doc = p->tok.doc };

		if (one.doc == NULL)
			one.doc = doc;
		if (!parser_expect(p, T_IDENT, NULL))
			return false;
		list_push(p, &one, sizeof one);
	} while (parser_accept(p, T_COMMA));
	if (!parser_at(p, T_ASSIGN) && (type = p_type(p)) == NULL)
		return false;
	n = (p->stack.len - mark) / sizeof *param;
	if (parser_at(p, T_ASSIGN) && n > 1) {
		struct span span = ((struct param *)(p->stack.p + mark))[n - 1].span;

		return parser_fail(p, &span, "a parameter with a default is declared alone");
	}
	if (parser_accept(p, T_ASSIGN) && (value = p_expr(p)) == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		param = (struct param *)(p->stack.p + mark) + i;
		param->texpr = type;
		param->expr = value;
	}
	return true;
}

/* "param" ( paramdef | "(" { paramdef ";" } ")" ). Pushes struct param. */
static bool
param(struct parser *p)
{
	const char *doc = p->tok.doc;

	parser_next(p);
	if (!parser_accept(p, T_LPAREN))
		return paramdef(p, doc);
	while (!parser_at(p, T_RPAREN)) {
		if (!paramdef(p, doc))
			return false;
		if (!parser_accept(p, T_SEMI))
			break;
	}
	return parser_expect(p, T_RPAREN, "end of line or \")\"");
}

static bool
end_statement(struct parser *p)
{
	if (parser_expect(p, T_SEMI, "end of line or \";\""))
		return true;
	if (p->tok.first)
		parser_hint(p, "is a bracket missing above?");
	return false;
}

static void
expected_declaration(struct parser *p)
{
	enum tok ahead = parser_at(p, T_IDENT) ? parser_peek(p)->kind : T_EOF;

	parser_unexpected(p, "a declaration");
	if (ahead == T_ASSIGN)
		parser_hint(p, "a declaration is name := value, or val name = value");
	else if (parser_at(p, T_PARAM))
		parser_hint(p, "params stand before all other declarations");
	else if (parser_at(p, T_ELSE))
		parser_hint(p, "else stands on the line of the closing brace before it");
	else if (p->tok.first && parser_at_operator(p))
		parser_hint(p, "a line may end in an operator, not begin with one");
}

/* [ "keyspace" string [ ";" ] ] */
static bool
keyspace(struct parser *p, struct module *m)
{
	if (!parser_accept(p, T_KEYSPACE))
		return true;
	m->has_keyspace = true;
	m->keyspace = p->tok.str;
	return parser_expect(p, T_STRING, "a string");
}

/* { [ param ] ";" } */
static void
params(struct parser *p, struct module *m)
{
	size_t mark = p->stack.len;

	while ((parser_at(p, T_PARAM) || parser_at(p, T_SEMI)) && !diags_full(p->diags)) {
		struct place from = place_here(p);

		if (parser_accept(p, T_SEMI))
			continue;
		if (!param(p) || !end_statement(p))
			recover(p, &from);
	}
	m->param = list_take(p, mark, sizeof *m->param, &m->nparams);
}

/* { def ";" } EOF */
static struct decl **
defs(struct parser *p, size_t *n)
{
	size_t mark = p->stack.len;
	struct decl *d;

	while (!parser_at(p, T_EOF) && !diags_full(p->diags)) {
		struct place from = place_here(p);

		if (parser_accept(p, T_SEMI))
			continue;
		if (!p_starts_def(p)) {
			expected_declaration(p);
			recover(p, &from);
		} else if ((d = p_def(p)) == NULL || !end_statement(p)) {
			recover(p, &from);
		} else {
			list_push(p, &d, sizeof d);
		}
	}
	return list_take(p, mark, sizeof d, n);
}

static int
comment_cmp(const void *a, const void *b)
{
	const struct comment *x = a, *y = b;

	return x->span.start.off < y->span.start.off ? -1 : x->span.start.off > y->span.start.off;
}

/* Interpolations are read late: their comments came last. */
static void
take_comments(struct parser *p, struct module *m)
{
	m->ncomments = p->comments.len / sizeof *m->comment;
	if (m->ncomments == 0)
		return;
	qsort(p->comments.p, m->ncomments, sizeof *m->comment, comment_cmp);
	m->comment = arena_memdup(p->arena, p->comments.p, p->comments.len);
}

static void
parser_init(struct parser *p, struct arena *arena, const struct source_text *src, struct diags *diags, bool newlines)
{
	*p = (struct parser){ .arena = arena, .diags = diags, .comments = BUF_INIT, .stack = BUF_INIT };
	p->errors = diags_errors(diags);
	lex_init(&p->lex, src, arena, diags, &p->comments, newlines);
	parser_next(p);
}

/* True if nothing was reported since parser_init. */
static bool
parser_release(struct parser *p)
{
	lex_release(&p->lex);
	buf_release(&p->comments);
	buf_release(&p->stack);
	return diags_errors(p->diags) == p->errors;
}

/* module = [ keyspace ] params defs EOF */
struct module *
parse_module(struct arena *arena, const struct source_text *src, struct diags *diags)
{
	struct module *m = arena_alloc(arena, sizeof *m);
	struct parser p;
	struct place from;

	parser_init(&p, arena, src, diags, true);
	m->src = src;
	from = place_here(&p);
	if (!keyspace(&p, m))
		recover(&p, &from);
	params(&p, m);
	m->decl = defs(&p, &m->ndecls);
	m->nids = p.nids;
	take_comments(&p, m);
	return parser_release(&p) ? m : NULL;
}

struct decl **
parse_decls(struct arena *arena, const struct source_text *src, struct diags *diags, size_t *n)
{
	struct parser p;
	struct decl **d;

	parser_init(&p, arena, src, diags, true);
	d = defs(&p, n);
	if (d == NULL)
		d = arena_alloc(arena, sizeof *d);	/* none, without an error */
	return parser_release(&p) ? d : NULL;
}

/* ---- Fragments ---- */

static bool
at_end(struct parser *p)
{
	return parser_at(p, T_EOF) || parser_unexpected(p, tok_text(T_EOF));
}

struct expr *
parse_expr(struct arena *arena, const struct source_text *src, struct diags *diags)
{
	struct parser p;
	struct expr *e;

	parser_init(&p, arena, src, diags, false);
	e = p_expr(&p);
	if (e != NULL && !at_end(&p))
		e = NULL;
	return parser_release(&p) ? e : NULL;
}

struct texpr *
parse_type(struct arena *arena, const struct source_text *src, struct diags *diags)
{
	struct parser p;
	struct texpr *t;

	parser_init(&p, arena, src, diags, false);
	t = p_type(&p);
	if (t != NULL && !at_end(&p))
		t = NULL;
	return parser_release(&p) ? t : NULL;
}

struct pat *
parse_pat(struct arena *arena, const struct source_text *src, struct diags *diags)
{
	struct parser p;
	struct pat *pat;

	parser_init(&p, arena, src, diags, false);
	pat = p_pat(&p);
	if (pat != NULL && !at_end(&p))
		pat = NULL;
	return parser_release(&p) ? pat : NULL;
}
