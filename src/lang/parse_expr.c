/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/parse_priv.h"

/*
 * Expressions, by precedence climbing. What a reader would get wrong: `{` begins a block only if a declaration
 * follows, so `{x}` is a struct, but after `if` and `else` it always begins a block; and the body of a
 * `func` reaches as far as it can, so a `func` that is an operand stands in parentheses.
 */

/* ---- Nodes ---- */

struct expr *
expr_new(struct parser *p, enum expr_kind kind, const struct token *first)
{
	struct expr *e = arena_alloc(p->arena, sizeof *e);

	e->kind = kind;
	e->span = tok_span(&p->lex, first);
	e->id = ++p->nids;
	e->depth = 1;
	return e;
}

/* A level more than the child, which is a limit for walks of the tree. */
bool
expr_adopt(struct parser *p, struct expr *e, const struct expr *child)
{
	if (child == NULL || child->depth < e->depth)
		return true;
	if (child->depth >= PARSE_MAX_DEPTH) {
		parser_fail(p, &e->span, "nested deeper than %d levels", PARSE_MAX_DEPTH);
		parser_hint(p, "give a part of it a name of its own");
		return false;
	}
	e->depth = (uint16_t)(child->depth + 1);
	return true;
}

static bool
adopt_decls(struct parser *p, struct expr *e, size_t n, struct decl *const *decl)
{
	for (size_t i = 0; i < n; i++) {
		const struct decl *d = decl[i];

		if (!expr_adopt(p, e, d->expr))
			return false;
		for (size_t r = 0; r < d->nrequires; r++)
			if (!adopt_decls(p, e, d->req[r].ndecls, d->req[r].decl))
				return false;
	}
	return true;
}

/* The node is complete: its span and its children's depth. */
static struct expr *
done(struct parser *p, struct expr *e)
{
	span_close(p, &e->span);
	if (e->kind == EXPR_BINARY && e->a->kind == EXPR_BINARY)
		e->depth = e->a->depth;		/* a chain is one level */
	else if (!expr_adopt(p, e, e->a))
		return NULL;
	if (!expr_adopt(p, e, e->b) || !expr_adopt(p, e, e->c) ||
	    !adopt_decls(p, e, e->ndecls, e->decl))
		return NULL;
	for (size_t i = 0; i < e->nelems; i++)
		if (!expr_adopt(p, e, e->elem[i]))
			return NULL;
	for (size_t i = 0; i < e->nspreads; i++)
		if (!expr_adopt(p, e, e->spread[i]))
			return NULL;
	for (size_t i = 0; i < e->nentries; i++)
		if (!expr_adopt(p, e, e->entry[i].key) || !expr_adopt(p, e, e->entry[i].value))
			return NULL;
	for (size_t i = 0; i < e->nfields; i++)
		if (!expr_adopt(p, e, e->field[i].expr))
			return NULL;
	for (size_t i = 0; i < e->ncases; i++)
		if (!expr_adopt(p, e, e->cases[i].body))
			return NULL;
	for (size_t i = 0; i < e->nclauses; i++)
		if (!expr_adopt(p, e, e->clause[i].expr))
			return NULL;
	for (size_t i = 0; i < e->nparts; i++)
		if (!expr_adopt(p, e, e->part[i].expr))
			return NULL;
	return e;
}

static struct expr *
expr_name(struct parser *p, const struct token *t, const char *name)
{
	struct expr *e = expr_new(p, EXPR_IDENT, t);

	e->name = name;
	return e;
}

static struct expr *
expr_literal(struct parser *p, enum expr_kind kind)
{
	struct expr *e = expr_new(p, kind, &p->tok);

	e->str = p->tok.str;
	e->raw = p->tok.raw;
	e->boolean = p->tok.kind == T_TRUE;
	parser_next(p);
	return e;
}

/* ---- Lists of expressions ---- */

/* A last element alone on its line: the newline has ended the statement. */
static bool
close_list(struct parser *p, enum tok closing, const char *expected)
{
	if (parser_accept(p, closing))
		return true;
	parser_unexpected(p, expected);
	if (parser_at(p, T_SEMI) && p->tok.semi == SEMI_NEWLINE)
		parser_hint(p, "before a line break the last element needs a comma too");
	return false;
}

/* expr { "," expr } [ "," ] closing, of which the elements above mark are there already */
static struct expr **
elements(struct parser *p, size_t mark, enum tok closing, const char *expected, size_t *n)
{
	struct expr *e;

	do {
		if (p->stack.len > mark && parser_at(p, closing))
			break;
		if ((e = p_expr(p)) == NULL)
			return NULL;
		list_push(p, &e, sizeof e);
	} while (parser_accept(p, T_COMMA));
	if (!close_list(p, closing, expected))
		return NULL;
	return list_take(p, mark, sizeof e, n);
}

/* { "..." expr [ ";" ] } [ "," ] "]" */
static bool
spreads(struct parser *p, struct expr *list)
{
	size_t mark = p->stack.len;
	struct expr *e;

	while (parser_accept(p, T_ELLIPSIS)) {
		if ((e = p_expr(p)) == NULL)
			return false;
		list_push(p, &e, sizeof e);
		parser_accept(p, T_SEMI);
	}
	list->spread = list_take(p, mark, sizeof e, &list->nspreads);
	if (list->nspreads > 0) {
		parser_accept(p, T_COMMA);
		return parser_expect(p, T_RBRACK, "\"...\" or \"]\"");
	}
	return close_list(p, T_RBRACK, "\",\" or \"]\"");
}

/* ---- Brackets: lists, maps, comprehensions ---- */

/* expr { "," expr } [ "," ] spreads, of which the first is read */
static struct expr *
list_rest(struct parser *p, struct expr *list, struct expr *first)
{
	size_t mark = p->stack.len;
	struct expr *e = first;

	while (e != NULL) {
		list_push(p, &e, sizeof e);
		if (!parser_accept(p, T_COMMA) || parser_at(p, T_ELLIPSIS) || parser_at(p, T_RBRACK))
			break;
		if ((e = p_expr(p)) == NULL)
			return NULL;
	}
	list->elem = list_take(p, mark, sizeof e, &list->nelems);
	return spreads(p, list) ? done(p, list) : NULL;
}

/* expr ":" expr { "," expr ":" expr } [ "," ] spreads, of which the first key is read */
static struct expr *
map_rest(struct parser *p, struct expr *map, struct expr *key)
{
	struct expr_entry entry = { key, NULL };
	size_t mark = p->stack.len;

	map->kind = EXPR_MAP;
	for (;;) {
		if (!parser_expect(p, T_COLON, NULL) || (entry.value = p_expr(p)) == NULL)
			return NULL;
		list_push(p, &entry, sizeof entry);
		if (!parser_accept(p, T_COMMA) || parser_at(p, T_ELLIPSIS) || parser_at(p, T_RBRACK))
			break;
		if ((entry.key = p_expr(p)) == NULL)
			return NULL;
	}
	map->entry = list_take(p, mark, sizeof entry, &map->nentries);
	return spreads(p, map) ? done(p, map) : NULL;
}

/* clause { "," clause } "]", clause = pat "<-" expr | "if" expr */
static struct expr *
compr_rest(struct parser *p, struct expr *compr, struct expr *body)
{
	size_t mark = p->stack.len;

	compr->kind = EXPR_COMPR;
	compr->a = body;
	do {
		struct expr_clause c = { .kind = CLAUSE_FILTER, .span = span_here(p) };

		if (!parser_accept(p, T_IF)) {
			c.kind = CLAUSE_ENUM;
			if ((c.pat = p_pat(p)) == NULL || !parser_expect(p, T_LARROW, NULL))
				return NULL;
		}
		if ((c.expr = p_expr(p)) == NULL)
			return NULL;
		span_close(p, &c.span);
		list_push(p, &c, sizeof c);
	} while (parser_accept(p, T_COMMA));
	compr->clause = list_take(p, mark, sizeof *compr->clause, &compr->nclauses);
	if (!parser_accept(p, T_RBRACK)) {
		parser_unexpected(p, "\",\" or \"]\"");
		if (parser_at(p, T_SEMI))
			parser_hint(p, "the closing bracket of a comprehension stands on the line of its last clause");
		return NULL;
	}
	return done(p, compr);
}

static struct expr *
expr_bracket(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_LIST, &p->tok), *first;

	parser_next(p);
	if (parser_accept(p, T_COLON)) {
		e->kind = EXPR_MAP;
		return parser_expect(p, T_RBRACK, NULL) ? done(p, e) : NULL;
	}
	if (parser_at(p, T_RBRACK) || parser_at(p, T_ELLIPSIS))
		return list_rest(p, e, NULL);
	if ((first = p_expr(p)) == NULL)
		return NULL;
	if (parser_at(p, T_COLON))
		return map_rest(p, e, first);
	if (parser_accept(p, T_BAR))
		return compr_rest(p, e, first);
	return list_rest(p, e, first);
}

/* ---- Braces: blocks and structs ---- */

/* { def ";" } expr [ ";" ]. Gives the block; without any declaration, the expression itself. */
static struct expr *
block_body(struct parser *p, struct expr *block)
{
	size_t mark = p->stack.len;
	struct decl *d;

	while (p_starts_def(p)) {
		if ((d = p_def(p)) == NULL || !parser_expect(p, T_SEMI, "end of line or \";\""))
			return NULL;
		list_push(p, &d, sizeof d);
	}
	block->decl = list_take(p, mark, sizeof d, &block->ndecls);
	if (block->ndecls > 0 && (parser_at(p, T_RBRACE) || parser_at(p, T_CASE))) {
		parser_unexpected(p, "the value of the block");
		parser_hint(p, "a block ends with an expression, which is its value");
		return NULL;
	}
	if ((block->a = p_expr(p)) == NULL)
		return NULL;
	parser_accept(p, T_SEMI);
	return block->ndecls == 0 ? block->a : block;
}

static bool
close_block(struct parser *p)
{
	if (parser_accept(p, T_RBRACE))
		return true;
	parser_unexpected(p, "\"}\"");
	parser_hint(p, "only the last line of a block is an expression; declarations before it begin with a name and "
	    ":=, or with val");
	return false;
}

/* ifblock = "{" { def ";" } expr [ ";" ] "}" */
static struct expr *
if_block(struct parser *p)
{
	struct expr *block = expr_new(p, EXPR_BLOCK, &p->tok), *e;

	if (parser_at(p, T_TEMPLATE)) {
		parser_unexpected(p, "\"{\"");
		parser_hint(p, "{\" opens a template; a block that begins with a string needs a space between: { \"");
		return NULL;
	}
	if (!parser_expect(p, T_LBRACE, NULL))
		return NULL;
	e = block_body(p, block);
	if (e == NULL || !close_block(p))
		return NULL;
	if (e != block)
		return e;
	block->braces = true;
	return done(p, block);
}

/* field { "," field } [ "," ] "}", field = ident [ ":" expr ] */
static struct expr *
struct_rest(struct parser *p, struct expr *e)
{
	size_t mark = p->stack.len;

	e->kind = EXPR_STRUCT;
	do {
		struct token name = p->tok;
		struct expr_field f = { .name = name.name, .span = span_here(p) };

		if (p->stack.len > mark && parser_at(p, T_RBRACE))
			break;
		if (!parser_expect(p, T_IDENT, "a field name"))
			return NULL;
		f.brief = !parser_accept(p, T_COLON);
		f.expr = f.brief ? expr_name(p, &name, name.name) : p_expr(p);
		if (f.expr == NULL)
			return NULL;
		list_push(p, &f, sizeof f);
	} while (parser_accept(p, T_COMMA));
	e->field = list_take(p, mark, sizeof *e->field, &e->nfields);
	return close_list(p, T_RBRACE, "\",\" or \"}\"") ? done(p, e) : NULL;
}

/* "{" def ";" { def ";" } expr [ ";" ] "}" | "{" field { "," field } [ "," ] "}" */
static struct expr *
expr_brace(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_BLOCK, &p->tok);

	parser_next(p);
	if (p_starts_def(p)) {
		e->braces = true;
		return block_body(p, e) != NULL && close_block(p) ? done(p, e) : NULL;
	}
	if (parser_at(p, T_IDENT))
		return struct_rest(p, e);
	parser_unexpected(p, "a field name or a declaration");
	parser_hint(p, "a block has at least one declaration before its value; a struct has at least one field");
	return NULL;
}

/* ---- if and switch ---- */

/* "if" expr ifblock { "else" "if" expr ifblock } "else" ifblock */
static struct expr *
expr_if(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_COND, &p->tok);

	if (!parser_enter(p))
		return NULL;
	parser_next(p);
	if ((e->a = p_expr(p)) == NULL || (e->b = if_block(p)) == NULL)
		return NULL;
	if (!parser_accept(p, T_ELSE)) {
		parser_unexpected(p, "\"else\"");
		parser_hint(p, "every if has an else, on the line of the closing brace");
		return NULL;
	}
	e->c = parser_at(p, T_IF) ? expr_if(p) : if_block(p);
	parser_leave(p);
	return e->c == NULL ? NULL : done(p, e);
}

/* "case" pat ":" ( expr | { def ";" } expr ) [ ";" ] */
static bool
switch_case(struct parser *p)
{
	struct expr_case c = { .span = span_here(p) };
	struct expr *block;

	if (!parser_expect(p, T_CASE, "\"case\" or \"}\"") || (c.pat = p_pat(p)) == NULL)
		return false;
	span_close(p, &c.span);
	if (!parser_expect(p, T_COLON, NULL))
		return false;
	block = expr_new(p, EXPR_BLOCK, &p->tok);
	c.body = block_body(p, block);
	if (c.body == block)
		c.body = done(p, block);
	if (c.body == NULL)
		return false;
	list_push(p, &c, sizeof c);
	return true;
}

/* "switch" expr "{" { case } "}" */
static struct expr *
expr_switch(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_SWITCH, &p->tok);
	size_t mark = p->stack.len;

	parser_next(p);
	if ((e->a = p_expr(p)) == NULL || !parser_expect(p, T_LBRACE, NULL))
		return NULL;
	do {
		if (!switch_case(p))
			return NULL;
	} while (!parser_at(p, T_RBRACE));
	parser_next(p);
	e->cases = list_take(p, mark, sizeof *e->cases, &e->ncases);
	return done(p, e);
}

/* ---- Words: exec, make, func, int, float ---- */

/* "exec" "(" [ commadefs ] ")" type template */
static struct expr *
expr_exec(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_EXEC, &p->tok);
	struct token t;

	parser_next(p);
	if (!parser_expect(p, T_LPAREN, NULL) || !p_commadefs(p, false, &e->ndecls, &e->decl) ||
	    !parser_expect(p, T_RPAREN, NULL) || (e->texpr = p_type(p)) == NULL)
		return NULL;
	t = p->tok;
	if (!parser_expect(p, T_TEMPLATE, "a template {\"…\"}"))
		return NULL;
	return p_template(p, e, &t) ? done(p, e) : NULL;
}

/* "make" "(" string [ "," commadefs [ "," ] ] ")" */
static struct expr *
expr_make(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_MAKE, &p->tok);

	parser_next(p);
	if (!parser_expect(p, T_LPAREN, NULL))
		return NULL;
	e->str = p->tok.str;
	if (!parser_accept(p, T_STRING)) {
		parser_unexpected(p, "the module's path, a string");
		parser_hint(p, "the path must be a literal: modules are found before anything is evaluated");
		return NULL;
	}
	if (parser_accept(p, T_COMMA) && !p_commadefs(p, true, &e->ndecls, &e->decl))
		return NULL;
	return close_list(p, T_RPAREN, "\",\" or \")\"") ? done(p, e) : NULL;
}

/* From "(" on: "(" fields ")" [ type ] ( "=>" | "=" ) expr */
struct expr *
expr_func(struct parser *p, const struct token *first, enum tok arrow)
{
	struct expr *e = expr_new(p, EXPR_FUNC, first);
	const char *expected = arrow == T_ARROW ? "\"=>\" or a type" : "\"=\" or a type";

	if (!parser_expect(p, T_LPAREN, NULL) || !p_params(p, &e->nparams, &e->param) ||
	    !parser_expect(p, T_RPAREN, "\",\" or \")\""))
		return NULL;
	if (!parser_at(p, arrow) && p_starts_type(p) && (e->texpr = p_type(p)) == NULL)
		return NULL;
	if (!parser_expect(p, arrow, e->texpr == NULL ? expected : NULL))
		return NULL;
	return (e->a = p_expr(p)) == NULL ? NULL : done(p, e);
}

/* "int" "(" expr ")" | "float" "(" expr ")": a call of that name */
static struct expr *
expr_conversion(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_CALL, &p->tok), *arg;
	size_t mark = p->stack.len;
	struct token paren;

	e->a = expr_name(p, &p->tok, tok_text(p->tok.kind));
	parser_next(p);
	paren = p->tok;
	if (!parser_expect(p, T_LPAREN, NULL) || (arg = p_expr(p)) == NULL || !parser_expect(p, T_RPAREN, NULL))
		return NULL;
	e->op_span = span_since(p, &paren);
	list_push(p, &arg, sizeof arg);
	e->elem = list_take(p, mark, sizeof arg, &e->nelems);
	return done(p, e);
}

/* "(" expr ")" | "(" expr "," expr { "," expr } [ "," ] ")" */
static struct expr *
expr_paren(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_TUPLE, &p->tok), *first;
	size_t mark = p->stack.len;

	parser_next(p);
	if ((first = p_expr(p)) == NULL)
		return NULL;
	if (parser_accept(p, T_RPAREN))
		return first;
	if (!parser_accept(p, T_COMMA)) {
		close_list(p, T_RPAREN, "\",\" or \")\"");
		return NULL;
	}
	list_push(p, &first, sizeof first);
	if (parser_at(p, T_RPAREN)) {
		parser_unexpected(p, "the second element of a tuple");
		return NULL;
	}
	e->elem = elements(p, mark, T_RPAREN, "\",\" or \")\"", &e->nelems);
	return e->elem == NULL ? NULL : done(p, e);
}

/* "#" Ident [ "(" expr ")" ] */
static struct expr *
expr_variant(struct parser *p)
{
	struct expr *e = expr_new(p, EXPR_VARIANT, &p->tok);

	parser_next(p);
	e->name = p->tok.name;
	if (!parser_expect(p, T_IDENT, "a tag"))
		return NULL;
	if (parser_accept(p, T_LPAREN)) {
		if ((e->a = p_expr(p)) == NULL || !parser_expect(p, T_RPAREN, NULL))
			return NULL;
	}
	return done(p, e);
}

static struct expr *
expr_term(struct parser *p)
{
	struct token first = p->tok;

	switch (first.kind) {
	case T_INT:
		return expr_literal(p, EXPR_INT);
	case T_FLOAT:
		return expr_literal(p, EXPR_FLOAT);
	case T_STRING:
		return expr_literal(p, EXPR_STRING);
	case T_TRUE:
	case T_FALSE:
		return expr_literal(p, EXPR_BOOL);
	case T_IDENT:
		parser_next(p);
		return expr_name(p, &first, first.name);
	case T_FILE:
	case T_DIR:
		parser_next(p);
		return expr_name(p, &first, tok_text(first.kind));
	case T_INTKW:
	case T_FLOATKW:
		return expr_conversion(p);
	case T_FUNC:
		parser_next(p);
		return expr_func(p, &first, T_ARROW);
	case T_EXEC:
		return expr_exec(p);
	case T_MAKE:
		return expr_make(p);
	case T_IF:
		return expr_if(p);
	case T_SWITCH:
		return expr_switch(p);
	case T_LPAREN:
		return expr_paren(p);
	case T_LBRACK:
		return expr_bracket(p);
	case T_LBRACE:
		return expr_brace(p);
	case T_HASH:
		return expr_variant(p);
	default:
		break;
	}
	parser_unexpected(p, "an expression");
	if (first.kind == T_TEMPLATE)
		parser_hint(p, "{\" opens a template; a block that begins with a string needs a space between: { \"");
	else if (first.kind == T_CHAR)
		parser_hint(p, "strings stand between double quotes");
	return NULL;
}

/* ---- Operators ---- */

/* postfix = term { "[" expr "]" | "(" expr { "," expr } [ "," ] ")" | "." ident } */
static struct expr *
postfix_one(struct parser *p, struct expr *left)
{
	struct token op = p->tok;
	struct expr *e = expr_new(p, EXPR_INDEX, &op);
	size_t mark = p->stack.len;

	e->span = left->span;
	e->a = left;
	parser_next(p);
	if (op.kind == T_DOT) {
		e->kind = EXPR_FIELD;
		e->name = p->tok.name;
		op = p->tok;
		if (!parser_expect(p, T_IDENT, "a field name"))
			return NULL;
	} else if (op.kind == T_LPAREN) {
		e->kind = EXPR_CALL;
		if (parser_at(p, T_RPAREN)) {
			parser_unexpected(p, "an argument");
			parser_hint(p, "functions have at least one argument");
			return NULL;
		}
		if ((e->elem = elements(p, mark, T_RPAREN, "\",\" or \")\"", &e->nelems)) == NULL)
			return NULL;
	} else if ((e->b = p_expr(p)) == NULL || !parser_expect(p, T_RBRACK, NULL)) {
		return NULL;
	}
	e->op_span = span_since(p, &op);
	return done(p, e);
}

static struct expr *
expr_postfix(struct parser *p)
{
	struct expr *e = expr_term(p);

	while (e != NULL && (parser_at(p, T_LBRACK) || parser_at(p, T_LPAREN) || parser_at(p, T_DOT)))
		e = postfix_one(p, e);
	return e;
}

/* unary = ( "!" | "-" ) unary | postfix */
static struct expr *
expr_unary(struct parser *p)
{
	struct token op = p->tok;
	struct expr *e;

	if (op.kind != T_NOT && op.kind != T_MINUS)
		return expr_postfix(p);
	if (!parser_enter(p))
		return NULL;
	e = expr_new(p, EXPR_UNARY, &op);
	e->op = op.kind == T_NOT ? OP_NOT : OP_SUB;
	e->op_span = e->span;
	parser_next(p);
	e->a = expr_unary(p);
	parser_leave(p);
	return e->a == NULL ? NULL : done(p, e);
}

static const struct {
	enum tok    tok;
	int	    level;	/* of precedence, low to high; all associate to the left */
	const char *text;
} binary[] = {
	[OP_SEQ] = { T_SQUIGGLE, 1, "~>" },
	[OP_OR] = { T_OROR, 2, "||" },
	[OP_AND] = { T_ANDAND, 3, "&&" },
	[OP_LT] = { T_LT, 4, "<" },
	[OP_GT] = { T_GT, 4, ">" },
	[OP_LE] = { T_LE, 4, "<=" },
	[OP_GE] = { T_GE, 4, ">=" },
	[OP_EQ] = { T_EQEQ, 4, "==" },
	[OP_NE] = { T_NE, 4, "!=" },
	[OP_ADD] = { T_PLUS, 5, "+" },
	[OP_SUB] = { T_MINUS, 5, "-" },
	[OP_MUL] = { T_STAR, 6, "*" },
	[OP_DIV] = { T_SLASH, 6, "/" },
	[OP_MOD] = { T_PERCENT, 6, "%" },
	[OP_BITAND] = { T_AMP, 6, "&" },
	[OP_SHL] = { T_LSH, 6, "<<" },
	[OP_SHR] = { T_RSH, 6, ">>" },
	[OP_NOT] = { T_EOF, 7, "!" },	/* unary only */
};

const char *
op_text(enum op op)
{
	return binary[op].text;
}

int
op_level(enum op op)
{
	return binary[op].level;
}

static bool
binary_op(enum tok tok, enum op *op)
{
	for (enum op i = OP_SEQ; i < OP_NOT; i++) {
		if (binary[i].tok == tok) {
			*op = i;
			return true;
		}
	}
	return false;
}

bool
parser_at_operator(const struct parser *p)
{
	enum op op;

	return binary_op(p->tok.kind, &op);
}

/* Operators above `level`: subexpr of lua's parser. */
static struct expr *
expr_binary(struct parser *p, int level)
{
	struct expr *left = expr_unary(p);
	enum op op;

	while (left != NULL && binary_op(p->tok.kind, &op) && binary[op].level > level) {
		struct expr *e = expr_new(p, EXPR_BINARY, &p->tok);

		e->op = op;
		e->op_span = e->span;
		e->span = left->span;
		e->a = left;
		parser_next(p);
		e->b = expr_binary(p, binary[op].level);
		left = e->b == NULL ? NULL : done(p, e);
	}
	return left;
}

struct expr *
p_expr(struct parser *p)
{
	struct expr *e;

	if (!parser_enter(p))
		return NULL;
	e = expr_binary(p, 0);
	parser_leave(p);
	return e;
}
