/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_LEX_H
#define WEIR_LANG_LEX_H

#include "base/arena.h"
#include "base/buf.h"
#include "lang/ast.h"
#include "lang/diag.h"

/*
 * From characters to tokens, on demand. The parser alone uses this.
 *
 * A newline ends a statement (T_SEMI is inserted) when the token before it could end one: a name or
 * keyword, a literal, a template, `)`, `}` or `]`. Comments count as nothing. The same at the end of the text. Inside
 * an interpolation, and where a single expression, type or pattern is parsed, newlines are white space.
 */

/* TOKEN(name, text): operators, longest first where one begins another. */
#define LEX_OPERATORS(TOKEN)	\
	TOKEN(ELLIPSIS, "...")	\
	TOKEN(SQUIGGLE, "~>")	\
	TOKEN(OROR, "||")	\
	TOKEN(ANDAND, "&&")	\
	TOKEN(LSH, "<<")	\
	TOKEN(RSH, ">>")	\
	TOKEN(LE, "<=")		\
	TOKEN(GE, ">=")		\
	TOKEN(EQEQ, "==")	\
	TOKEN(NE, "!=")		\
	TOKEN(ARROW, "=>")	\
	TOKEN(LARROW, "<-")	\
	TOKEN(DEFINE, ":=")	\
	TOKEN(LT, "<")		\
	TOKEN(GT, ">")		\
	TOKEN(PLUS, "+")	\
	TOKEN(MINUS, "-")	\
	TOKEN(STAR, "*")	\
	TOKEN(SLASH, "/")	\
	TOKEN(PERCENT, "%")	\
	TOKEN(AMP, "&")		\
	TOKEN(NOT, "!")		\
	TOKEN(BAR, "|")		\
	TOKEN(ASSIGN, "=")	\
	TOKEN(DOT, ".")		\
	TOKEN(COMMA, ",")	\
	TOKEN(COLON, ":")	\
	TOKEN(SEMI, ";")	\
	TOKEN(AT, "@")		\
	TOKEN(HASH, "#")	\
	TOKEN(UNDERSCORE, "_")	\
	TOKEN(LPAREN, "(")	\
	TOKEN(RPAREN, ")")	\
	TOKEN(LBRACK, "[")	\
	TOKEN(RBRACK, "]")	\
	TOKEN(LBRACE, "{")	\
	TOKEN(RBRACE, "}")

#define LEX_KEYWORDS(TOKEN)	\
	TOKEN(VAL, "val")	\
	TOKEN(FILE, "file")	\
	TOKEN(DIR, "dir")	\
	TOKEN(STRUCT, "struct")	\
	TOKEN(MODULE, "module")	\
	TOKEN(EXEC, "exec")	\
	TOKEN(FUNC, "func")	\
	TOKEN(INTKW, "int")	\
	TOKEN(FLOATKW, "float")	\
	TOKEN(STRINGKW, "string")	\
	TOKEN(BOOLKW, "bool")	\
	TOKEN(KEYSPACE, "keyspace")	\
	TOKEN(PARAM, "param")	\
	TOKEN(IF, "if")		\
	TOKEN(ELSE, "else")	\
	TOKEN(SWITCH, "switch")	\
	TOKEN(CASE, "case")	\
	TOKEN(MAKE, "make")	\
	TOKEN(REQUIRES, "requires")	\
	TOKEN(TYPE, "type")	\
	TOKEN(TRUE, "true")	\
	TOKEN(FALSE, "false")	\
	TOKEN(FORCE, "force")	\
	TOKEN(IMPORT, "import")	\
	TOKEN(INCLUDE, "include")

enum tok {
	T_EOF,
	T_ERROR,	/* already reported */
	T_IDENT,	/* name */
	T_INT,		/* str: as written */
	T_FLOAT,	/* str: as written */
	T_STRING,	/* str: decoded; raw */
	T_CHAR,		/* has no use in the language */
	T_TEMPLATE,	/* from {" to "}: see span */
#define TOKEN(name, text) T_##name,
	LEX_OPERATORS(TOKEN)
	LEX_KEYWORDS(TOKEN)
#undef TOKEN
	T_NTOKENS
};

enum semi {		/* what a T_SEMI stands for */
	SEMI_WRITTEN,
	SEMI_NEWLINE,
	SEMI_END,	/* of the text */
};

struct token {
	enum tok       kind;
	enum semi      semi;
	bool	       raw;		/* STRING: back quotes */
	bool	       first;		/* on its line */
	struct pos     start;
	struct pos     end;
	const char    *name;		/* IDENT; in the arena */
	struct ast_str str;		/* in the arena */
	const char    *doc;		/* of what may begin a declaration or name one; NULL if none */
};

struct lexer {
	const struct source_text *src;	/* kept */
	struct arena *arena;		/* kept */
	struct diags *diags;		/* kept */
	struct pos    at;		/* the next character */
	size_t	      limit;		/* offset where the text ends: an interpolation's may end early */
	bool	      newlines;		/* they may end statements */
	enum tok      prev;		/* the last token given */
	uint32_t      prev_line;	/* the line it ended on */
	struct buf   *comments;		/* kept: struct comment, appended */
	size_t	      doc_from;		/* of comments: the run that may document the next token begins here */
	struct buf    text;		/* for decoding */
};

/* The whole source, or with lex_window a part of it that is one expression. Both share `comments` (borrowed). */
void lex_init(struct lexer *, const struct source_text *, struct arena *, struct diags *, struct buf *comments,
    bool newlines);
void lex_window(struct lexer *, const struct lexer *outer, struct pos from, size_t limit);
void lex_release(struct lexer *);
void lex_next(struct lexer *, struct token *);

const char *tok_text(enum tok);		/* `"=>"` without its quotes, or a word such as `name` */
bool	    tok_is_keyword(enum tok);
bool	    tok_is_reserved(enum tok);	/* a keyword without any use */
/* As a message names it: `"=>"`, `keyword "val"`, `name "x"`, `end of line`. Gives (free). */
char	   *tok_describe(const struct token *);
struct span tok_span(const struct lexer *, const struct token *);
/* Moves a position over text that begins there. */
struct pos  pos_after(struct pos, const char *, size_t);

#endif
