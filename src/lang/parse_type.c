/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/parse_priv.h"

/*
 * Types and patterns. The one delicate spot is a parenthesized list of types: in `(a, b)` a and b are
 * types, in `(a, b int)` they are labels, and only the end of the group tells.
 */

static struct texpr *
type_new(struct parser *p, enum texpr_kind kind)
{
	struct texpr *t = arena_alloc(p->arena, sizeof *t);

	t->kind = kind;
	t->span = span_here(p);
	return t;
}

bool
p_starts_type(const struct parser *p)
{
	switch (p->tok.kind) {
	case T_INTKW:
	case T_FLOATKW:
	case T_STRINGKW:
	case T_BOOLKW:
	case T_FILE:
	case T_DIR:
	case T_IDENT:
	case T_MODULE:
	case T_FUNC:
	case T_LBRACK:
	case T_LBRACE:
	case T_LPAREN:
	case T_HASH:
		return true;
	default:
		return false;
	}
}

static bool
type_basic(enum tok tok, enum texpr_kind *kind)
{
	switch (tok) {
	case T_INTKW:
		*kind = TEXPR_INT;
		return true;
	case T_FLOATKW:
		*kind = TEXPR_FLOAT;
		return true;
	case T_STRINGKW:
		*kind = TEXPR_STRING;
		return true;
	case T_BOOLKW:
		*kind = TEXPR_BOOL;
		return true;
	case T_FILE:
		*kind = TEXPR_FILE;
		return true;
	case T_DIR:
		*kind = TEXPR_DIR;
		return true;
	default:
		return false;
	}
}

/* ident { "." ident } */
static struct texpr *
type_alias(struct parser *p)
{
	struct texpr *t = type_new(p, TEXPR_ALIAS);
	size_t mark = p->stack.len;

	do {
		const char *name = p->tok.name;

		if (!parser_expect(p, T_IDENT, NULL))
			return NULL;
		list_push(p, &name, sizeof name);
	} while (parser_accept(p, T_DOT));
	t->path = list_take(p, mark, sizeof *t->path, &t->npath);
	return t;
}

/* "[" type "]" | "[" type ":" type "]" */
static struct texpr *
type_bracket(struct parser *p)
{
	struct texpr *t = type_new(p, TEXPR_LIST);

	parser_next(p);
	if ((t->elem = p_type(p)) == NULL)
		return NULL;
	if (parser_accept(p, T_COLON)) {
		t->kind = TEXPR_MAP;
		t->key = t->elem;
		if ((t->elem = p_type(p)) == NULL)
			return NULL;
	}
	return parser_expect(p, T_RBRACK, t->kind == TEXPR_MAP ? "\"]\"" : "\"]\" or \":\"") ? t : NULL;
}

/* ident { "," ident } type: one group of fields */
static bool
field_group(struct parser *p)
{
	size_t mark = p->stack.len, n;
	struct tfield *f;
	struct texpr *type;

	do {
		struct tfield one = { .name = p->tok.name, .span = span_here(p) };

		if (!parser_expect(p, T_IDENT, "a field name"))
			return false;
		list_push(p, &one, sizeof one);
	} while (parser_accept(p, T_COMMA));
	if ((type = p_type(p)) == NULL)
		return false;
	n = (p->stack.len - mark) / sizeof *f;
	for (size_t i = 0; i < n; i++) {
		f = (struct tfield *)(p->stack.p + mark) + i;
		f->type = type;
	}
	return true;
}

/* fields = group { "," group } */
bool
p_fields(struct parser *p, size_t *n, struct tfield **fields)
{
	size_t mark = p->stack.len;

	do {
		if (!field_group(p))
			return false;
	} while (parser_accept(p, T_COMMA));
	*fields = list_take(p, mark, sizeof **fields, n);
	return true;
}

/* "{" fields "}" after [ "module" ] */
static struct texpr *
type_struct(struct parser *p, enum texpr_kind kind)
{
	struct texpr *t = type_new(p, kind);

	if (kind == TEXPR_MODULE)
		parser_next(p);
	if (!parser_expect(p, T_LBRACE, NULL) || !p_fields(p, &t->nfields, &t->field))
		return NULL;
	return parser_expect(p, T_RBRACE, "\",\" or \"}\"") ? t : NULL;
}

/* The types read since `from` turn out to be the labels of this type. */
static bool
label_group(struct parser *p, size_t mark, size_t from, struct texpr *type)
{
	size_t n = (p->stack.len - mark) / sizeof(struct tfield);

	for (size_t i = from; i < n; i++) {
		struct tfield *f = (struct tfield *)(p->stack.p + mark) + i;

		if (f->type->kind != TEXPR_ALIAS || f->type->npath != 1)
			return parser_fail(p, &f->type->span, "expected a name before the type, found a type");
		f->name = f->type->path[0];
		f->span = f->type->span;
		f->type = type;
	}
	return true;
}

/*
 * typeargs = type { "," type } | ident { "," ident } type { "," … }: after the opening parenthesis, up to the closing
 * one, which is taken. Named and unnamed ones never mix.
 */
static bool
type_args(struct parser *p, size_t *n, struct tfield **fields)
{
	size_t mark = p->stack.len, labelled = 0;

	*n = 0;
	if (parser_accept(p, T_RPAREN))
		return true;
	do {
		struct texpr *t = p_type(p), *type;
		struct tfield f = { NULL, t, { 0 } };

		if (t == NULL)
			return false;
		f.span = t->span;
		list_push(p, &f, sizeof f);
		if (!p_starts_type(p))
			continue;
		if ((type = p_type(p)) == NULL || !label_group(p, mark, labelled, type))
			return false;
		labelled = (p->stack.len - mark) / sizeof f;
	} while (parser_accept(p, T_COMMA));
	if (!parser_expect(p, T_RPAREN, "\",\" or \")\""))
		return false;
	*fields = list_take(p, mark, sizeof **fields, n);
	if (labelled != 0 && labelled != *n)
		return parser_fail(p, &(*fields)[labelled].span, "cannot mix named and unnamed arguments");
	return true;
}

/* "(" [ typeargs ] ")" */
static struct texpr *
type_paren(struct parser *p)
{
	struct texpr *t = type_new(p, TEXPR_TUPLE);
	struct span span = t->span;
	const char *label;

	parser_next(p);
	if (!type_args(p, &t->nfields, &t->field))
		return NULL;
	if (t->nfields == 0)
		t->kind = TEXPR_UNIT;
	if (t->nfields != 1)
		return t;
	label = t->field[0].name;	/* the type itself, but for its label */
	if (label == NULL)
		return t->field[0].type;
	*t = *t->field[0].type;
	t->span = span;
	t->label = label;
	return t;
}

/* "func" "(" [ typeargs ] ")" type */
static struct texpr *
type_func(struct parser *p)
{
	struct texpr *t = type_new(p, TEXPR_FUNC);

	parser_next(p);
	if (!parser_expect(p, T_LPAREN, NULL) || !type_args(p, &t->nfields, &t->field))
		return NULL;
	return (t->elem = p_type(p)) == NULL ? NULL : t;
}

/* variant { "|" variant }, variant = "#" Ident [ "(" type ")" ] */
static struct texpr *
type_sum(struct parser *p)
{
	struct texpr *t = type_new(p, TEXPR_SUM);
	size_t mark = p->stack.len;

	do {
		struct tfield f = { .span = span_here(p) };

		if (!parser_expect(p, T_HASH, "a variant such as #Tag"))
			return NULL;
		f.name = p->tok.name;
		if (!parser_expect(p, T_IDENT, "a tag"))
			return NULL;
		if (parser_accept(p, T_LPAREN)) {
			if ((f.type = p_type(p)) == NULL || !parser_expect(p, T_RPAREN, NULL))
				return NULL;
		}
		span_close(p, &f.span);
		list_push(p, &f, sizeof f);
	} while (parser_accept(p, T_BAR));
	t->field = list_take(p, mark, sizeof *t->field, &t->nfields);
	return t;
}

static struct texpr *
type_any(struct parser *p)
{
	enum texpr_kind kind;
	struct texpr *t;

	if (type_basic(p->tok.kind, &kind)) {
		t = type_new(p, kind);
		parser_next(p);
		return t;
	}
	switch (p->tok.kind) {
	case T_IDENT:
		return type_alias(p);
	case T_LBRACK:
		return type_bracket(p);
	case T_LBRACE:
		return type_struct(p, TEXPR_STRUCT);
	case T_MODULE:
		return type_struct(p, TEXPR_MODULE);
	case T_LPAREN:
		return type_paren(p);
	case T_FUNC:
		return type_func(p);
	case T_HASH:
		return type_sum(p);
	default:
		parser_unexpected(p, "a type");
		return NULL;
	}
}

struct texpr *
p_type(struct parser *p)
{
	struct texpr *t;

	if (!parser_enter(p))
		return NULL;
	t = type_any(p);
	if (t != NULL)
		span_close(p, &t->span);
	parser_leave(p);
	return t;
}

/* ---- Patterns ---- */

static struct pat *
pat_new(struct parser *p, enum pat_kind kind)
{
	struct pat *pat = arena_alloc(p->arena, sizeof *pat);

	pat->kind = kind;
	pat->span = span_here(p);
	pat->id = ++p->nids;
	return pat;
}

/* "(" pat { "," pat } ")" */
static struct pat *
pat_tuple(struct parser *p)
{
	struct pat *pat = pat_new(p, PAT_TUPLE), *elem;
	size_t mark = p->stack.len;

	parser_next(p);
	do {
		if ((elem = p_pat(p)) == NULL)
			return NULL;
		list_push(p, &elem, sizeof elem);
	} while (parser_accept(p, T_COMMA));
	if (!parser_expect(p, T_RPAREN, "\",\" or \")\""))
		return NULL;
	pat->elem = list_take(p, mark, sizeof *pat->elem, &pat->nelems);
	return pat->nelems == 1 ? pat->elem[0] : pat;
}

/* "[" pat { "," pat } [ "," "..." [ pat ] ] "]" */
static struct pat *
pat_list(struct parser *p)
{
	struct pat *pat = pat_new(p, PAT_LIST), *elem;
	size_t mark = p->stack.len;

	parser_next(p);
	do {
		if (p->stack.len > mark && parser_accept(p, T_ELLIPSIS)) {
			pat->has_tail = true;
			break;
		}
		if ((elem = p_pat(p)) == NULL)
			return NULL;
		list_push(p, &elem, sizeof elem);
	} while (parser_accept(p, T_COMMA));
	pat->elem = list_take(p, mark, sizeof *pat->elem, &pat->nelems);
	if (pat->has_tail && !parser_at(p, T_RBRACK) && (pat->tail = p_pat(p)) == NULL)
		return NULL;
	return parser_expect(p, T_RBRACK, pat->has_tail ? NULL : "\",\" or \"]\"") ? pat : NULL;
}

/* ident [ ":" pat ] */
static bool
pat_field(struct parser *p)
{
	struct pat_field f = { .name = p->tok.name, .span = span_here(p) };

	if (!parser_at(p, T_IDENT))
		return parser_unexpected(p, "a field name");
	f.brief = parser_peek(p)->kind != T_COLON;
	if (f.brief) {
		f.pat = p_pat(p);
	} else {
		parser_next(p);
		parser_next(p);
		f.pat = p_pat(p);
	}
	if (f.pat == NULL)
		return false;
	list_push(p, &f, sizeof f);
	return true;
}

/* "{" fpat { "," fpat } "}" */
static struct pat *
pat_struct(struct parser *p)
{
	struct pat *pat = pat_new(p, PAT_STRUCT);
	size_t mark = p->stack.len;

	parser_next(p);
	do {
		if (!pat_field(p))
			return NULL;
	} while (parser_accept(p, T_COMMA));
	pat->field = list_take(p, mark, sizeof *pat->field, &pat->nfields);
	return parser_expect(p, T_RBRACE, "\",\" or \"}\"") ? pat : NULL;
}

/* "#" Ident [ "(" pat ")" ] */
static struct pat *
pat_variant(struct parser *p)
{
	struct pat *pat = pat_new(p, PAT_VARIANT);

	parser_next(p);
	pat->name = p->tok.name;
	if (!parser_expect(p, T_IDENT, "a tag"))
		return NULL;
	if (!parser_accept(p, T_LPAREN))
		return pat;
	if ((pat->arg = p_pat(p)) == NULL)
		return NULL;
	return parser_expect(p, T_RPAREN, NULL) ? pat : NULL;
}

static struct pat *
pat_any(struct parser *p)
{
	struct pat *pat;

	switch (p->tok.kind) {
	case T_IDENT:
		pat = pat_new(p, PAT_IDENT);
		pat->name = p->tok.name;
		parser_next(p);
		return pat;
	case T_UNDERSCORE:
		pat = pat_new(p, PAT_IGNORE);
		parser_next(p);
		return pat;
	case T_LPAREN:
		return pat_tuple(p);
	case T_LBRACK:
		return pat_list(p);
	case T_LBRACE:
		return pat_struct(p);
	case T_HASH:
		return pat_variant(p);
	default:
		parser_unexpected(p, "a pattern");
		return NULL;
	}
}

struct pat *
p_pat(struct parser *p)
{
	struct pat *pat;

	if (!parser_enter(p))
		return NULL;
	pat = pat_any(p);
	if (pat != NULL)
		span_close(p, &pat->span);
	parser_leave(p);
	return pat;
}
