/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_PARSE_PRIV_H
#define WEIR_LANG_PARSE_PRIV_H

#include "base/buf.h"
#include "lang/lex.h"
#include "lang/parse.h"

/*
 * The parser's own floor: parse.c (tokens, declarations, modules), parse_expr.c, parse_tmpl.c, parse_type.c
 * (types and patterns). A function for a production returns NULL after the first error and sets `failed`; callers
 * pass NULL on, and only the loops over declarations (parse.c) clear it and look for the next declaration.
 */
struct parser {
	struct arena *arena;
	struct diags *diags;
	struct lexer  lex;
	struct token  tok;	/* the next token */
	struct token  ahead;	/* the one after it, if has_ahead */
	bool	      has_ahead;
	struct pos    end;	/* of the token taken last */
	bool	      failed;	/* in this declaration; say nothing more */
	bool	      hintable;	/* the last failure was reported: a hint belongs to it */
	bool	      in_template;
	uint32_t      level;	/* nesting of productions that recurse */
	int	      nest;	/* brackets open */
	uint32_t      nids;
	size_t	      errors;	/* reported before this parse began */
	struct buf    comments;	/* of struct comment */
	/*
	 * Elements of the lists being read, innermost last. A list's mark is its height when it began; an error
	 * just leaves its elements, and the next declaration begins at its own mark.
	 */
	struct buf    stack;
};

/* ---- Tokens ---- */
void parser_next(struct parser *);				/* takes the next token */
const struct token *parser_peek(struct parser *);		/* the token after it */
bool parser_accept(struct parser *, enum tok);			/* takes it if it is the next */
bool parser_expect(struct parser *, enum tok, const char *what);	/* or fails; what NULL: the token's text */
/* What was found instead of what; false, so that callers can return it. */
bool parser_unexpected(struct parser *, const char *expected);
bool parser_fail(struct parser *, const struct span *, const char *fmt, ...) printf_like(3, 4);
void parser_hint(struct parser *, const char *text);
bool parser_at_operator(const struct parser *);	/* at a binary one */
bool parser_enter(struct parser *);	/* one level down; false when that is too deep */
void parser_leave(struct parser *);

static inline bool
parser_at(const struct parser *p, enum tok kind)
{
	return p->tok.kind == kind;
}

/* ---- Spans and lists ---- */
struct span span_here(const struct parser *);		/* of the next token */
struct span span_since(const struct parser *, const struct token *first);	/* to the token taken last */
void span_close(const struct parser *, struct span *);	/* sets end to that of the token taken last */
void list_push(struct parser *, const void *elem, size_t size);
/* Gives the elements above mark in the arena, NULL if there is none. */
void *list_take(struct parser *, size_t mark, size_t size, size_t *n);

/* ---- Productions ---- */
struct expr  *p_expr(struct parser *);
struct texpr *p_type(struct parser *);
struct pat   *p_pat(struct parser *);
struct decl  *p_def(struct parser *);
/* The text and interpolations of the template token t, into exec. */
bool p_template(struct parser *, struct expr *exec, const struct token *t);
bool p_starts_type(const struct parser *);
bool p_starts_def(struct parser *);
/* `a, b T, c U` up to what is no comma; at least one. Elements are struct tfield. */
bool p_fields(struct parser *, size_t *n, struct tfield **);
/* `func`'s parameters, checked for their number. */
bool p_params(struct parser *, size_t *n, struct func_param **);
/* Declarations and names, with commas between, up to the closing parenthesis, which is not taken. */
bool p_commadefs(struct parser *, bool trailing, size_t *n, struct decl ***);
struct expr *expr_new(struct parser *, enum expr_kind, const struct token *first);
/* After `func` [ name ]: from the parenthesis to the end of the body; arrow is T_ARROW or T_ASSIGN. */
struct expr *expr_func(struct parser *, const struct token *first, enum tok arrow);
bool expr_adopt(struct parser *, struct expr *, const struct expr *child);	/* depth; NULL child is fine */

#endif
