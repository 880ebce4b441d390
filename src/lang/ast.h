/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_AST_H
#define WEIR_LANG_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "lang/source.h"

/*
 * The syntax tree of a module: what was written, nothing more. Sugar is kept (so that the printer can
 * give back the program), but always beside the plain meaning, so that checker and lowering have one case:
 * `func f(x int) = e`, `f := func…` and `val f = func…` are all a DECL_VAL that binds a pattern to an
 * expression, and differ only in `form`.
 *
 * Every node lives in the arena given to the parser, points to no memory outside it except its source,
 * and is never changed by the parser once built. The fields marked "check:" are empty after parsing and
 * belong to the type checker. Lists are arrays (n, pointer), NULL when n is 0. Names are NUL-terminated
 * UTF-8; string literals may contain NUL and carry a length.
 *
 * Tree depth, not only nesting in the text, is at most PARSE_MAX_DEPTH (parse.h): a walk may recurse. But for one thing: a
 * chain of operators, a + b + c, is as deep as it is long along its left operands, and counts as one level; these are
 * walked with expr_chain, in a loop.
 */
struct type;	/* flow/type.h */
struct texpr;
struct pat;
struct expr;
struct decl;

struct ast_str {
	const char *p;	/* len bytes, then a NUL that does not count */
	size_t	    len;
};

/* ---- Types as written ---- */

enum texpr_kind {
	TEXPR_INT,
	TEXPR_FLOAT,
	TEXPR_STRING,
	TEXPR_BOOL,
	TEXPR_FILE,
	TEXPR_DIR,
	TEXPR_UNIT,	/* () */
	TEXPR_ALIAS,	/* path: T or mod.T */
	TEXPR_LIST,	/* [elem] */
	TEXPR_MAP,	/* [key: elem] */
	TEXPR_TUPLE,	/* (a, b): at least two fields; names optional, all or none */
	TEXPR_FUNC,	/* func(fields) elem; names optional, all or none */
	TEXPR_STRUCT,	/* {a int, b string}: at least one field */
	TEXPR_MODULE,	/* module{A int} */
	TEXPR_SUM,	/* #A | #B(int): fields are the variants, type NULL for a bare tag */
};

struct tfield {
	const char  *name;	/* field, label or tag (without #); NULL in an unlabelled tuple or function */
	struct texpr *type;	/* shared by the names of one group `a, b int`; NULL only for a bare variant */
	struct span   span;	/* of the name, else of the type; of a variant, all of it */
};

struct texpr {
	enum texpr_kind kind;
	struct span	span;
	/*
	 * `(out file)`: one parenthesized and named type is that type with a label. Labels matter to exec
	 * outputs and to printing, never to equality. NULL elsewhere.
	 */
	const char   *label;
	struct texpr *key;	/* MAP */
	struct texpr *elem;	/* LIST, MAP: the element; FUNC: the result */
	size_t	      nfields;	/* TUPLE, FUNC, STRUCT, MODULE, SUM */
	struct tfield *field;
	size_t	      npath;	/* ALIAS */
	const char  **path;
	const struct type *type;	/* check: what it means */
};

/* ---- Patterns ---- */

enum pat_kind {
	PAT_IDENT,	/* name */
	PAT_IGNORE,	/* _ */
	PAT_TUPLE,	/* (a, b); (a) is a itself and never a node */
	PAT_LIST,	/* [a, b], [a, ...], [a, ...rest]: at least one element before the tail */
	PAT_STRUCT,	/* {a, b: p} */
	PAT_VARIANT,	/* #T, #T(p) */
};

struct pat_field {
	const char *name;
	struct pat *pat;	/* never NULL: `{a}` stands for `{a: a}` */
	bool	    brief;	/* written `{a}` */
	struct span span;
};

struct pat {
	enum pat_kind kind;
	struct span   span;
	uint32_t      id;	/* numbered from 1 within a parse, shared with expressions: for side tables */
	const char   *name;	/* IDENT; VARIANT: the tag, without # */
	size_t	      nelems;	/* TUPLE, LIST */
	struct pat  **elem;
	bool	      has_tail;	/* LIST: ends in `...` */
	struct pat   *tail;	/* LIST: the pattern after `...`, or NULL */
	size_t	      nfields;	/* STRUCT */
	struct pat_field *field;
	struct pat   *arg;	/* VARIANT: element, or NULL */
	const struct type *type;	/* check: of what it is matched with */
	void	     *note;	/* check: IDENT: the binding it makes */
};

/* ---- Expressions ---- */

enum expr_kind {
	EXPR_INT,	/* str: decimal digits as written, any size; no sign */
	EXPR_FLOAT,	/* str: as written, e.g. `1.`, `.5`, `3e10` */
	EXPR_STRING,	/* str: decoded; raw: written with back quotes */
	EXPR_BOOL,	/* boolean */
	EXPR_IDENT,	/* name; the keywords `file` and `dir` too, which no program can bind */
	EXPR_BINARY,	/* op, a, b */
	EXPR_UNARY,	/* op (OP_NOT, OP_SUB), a */
	EXPR_CALL,	/* a(elem…): at least one argument. `int(x)` and `float(x)` are calls of those names, one argument */
	EXPR_FIELD,	/* a.name */
	EXPR_INDEX,	/* a[b] */
	EXPR_COND,	/* if a b else c: b is a block or any expression of `{ … }`; c likewise or another COND */
	EXPR_SWITCH,	/* switch a { cases }: at least one case */
	EXPR_BLOCK,	/* { decl…; a }: at least one declaration */
	EXPR_FUNC,	/* func(params) [type] => a: type is that of the result */
	EXPR_EXEC,	/* exec(decl…) type {" template "} */
	EXPR_MAKE,	/* make(str, decl…) */
	EXPR_TUPLE,	/* (elem…): at least two. (e) is e itself */
	EXPR_STRUCT,	/* {field…}: at least one */
	EXPR_LIST,	/* [elem… ...spread…] means [elem…] + spread + … */
	EXPR_MAP,	/* [entry… ...spread…] means (… + spread[1] + spread[0]) + [entry…]: entries win, then the first */
	EXPR_COMPR,	/* [a | clause…]: at least one */
	EXPR_VARIANT,	/* #name or #name(a) */
};

enum op {		/* in order of precedence, see parse.c */
	OP_SEQ,		/* ~> */
	OP_OR,		/* || */
	OP_AND,		/* && */
	OP_LT,
	OP_GT,
	OP_LE,
	OP_GE,
	OP_EQ,
	OP_NE,
	OP_ADD,
	OP_SUB,		/* also unary */
	OP_MUL,
	OP_DIV,
	OP_MOD,
	OP_BITAND,	/* parses; no type accepts it */
	OP_SHL,
	OP_SHR,
	OP_NOT,		/* unary ! */
};
const char *op_text(enum op);	/* "~>", "+", … */
int op_level(enum op);		/* of precedence: 1 binds least; unary operators most */

struct expr_field {		/* of a struct literal */
	const char  *name;
	struct expr *expr;	/* never NULL: `{a}` stands for `{a: a}` */
	bool	     brief;	/* written `{a}` */
	struct span  span;	/* of the name */
};

struct expr_entry {		/* of a map literal */
	struct expr *key;
	struct expr *value;
};

struct expr_case {
	struct pat  *pat;
	struct expr *body;	/* an EXPR_BLOCK if declarations were written (`braces` false) */
	struct span  span;	/* from `case` to the colon */
};

enum clause_kind {
	CLAUSE_ENUM,	/* pat <- expr */
	CLAUSE_FILTER,	/* if expr */
};

struct expr_clause {
	enum clause_kind kind;
	struct pat	*pat;	/* ENUM */
	struct expr	*expr;
	struct span	 span;
};

struct func_param {
	const char   *name;
	struct texpr *type;	/* shared by the names of one group */
	struct span   span;	/* of the name */
	void	     *note;	/* check: its binding */
};

/* A template alternates text and interpolations; text parts are never empty, two may not follow each other. */
struct tmpl_part {
	struct ast_str text;	/* exactly as written; len 0 for an interpolation */
	struct expr   *expr;	/* NULL for text; its positions are those in the file */
	struct span    span;	/* of an interpolation: braces included */
};

struct expr {
	enum expr_kind kind;
	struct span    span;
	uint32_t       id;	/* numbered from 1 within a parse, shared with patterns: for side tables */
	uint16_t       depth;	/* 1 for a leaf: height of the tree below, bounded by PARSE_MAX_DEPTH */
	enum op	       op;	/* BINARY, UNARY */
	struct span    op_span;	/* BINARY, UNARY: of the operator; FIELD: of the name; CALL: of the parentheses */
	const char    *name;	/* IDENT; FIELD: the field; VARIANT: the tag, without # */
	struct ast_str str;	/* INT, FLOAT, STRING; MAKE: the path */
	bool	       boolean;	/* BOOL */
	bool	       raw;	/* STRING: written with back quotes */
	bool	       braces;	/* BLOCK: written with { } (a case's body may be without) */
	struct expr   *a;	/* operands, as told at each kind */
	struct expr   *b;
	struct expr   *c;
	size_t	       nelems;	/* CALL, TUPLE, LIST */
	struct expr  **elem;
	size_t	       nspreads;	/* LIST, MAP */
	struct expr  **spread;
	size_t	       nentries;	/* MAP */
	struct expr_entry *entry;
	size_t	       nfields;	/* STRUCT */
	struct expr_field *field;
	size_t	       ncases;	/* SWITCH */
	struct expr_case *cases;
	size_t	       nclauses;	/* COMPR */
	struct expr_clause *clause;
	size_t	       nparams;	/* FUNC: at least one */
	struct func_param *param;
	size_t	       ndecls;	/* BLOCK; EXEC, MAKE: the parameters */
	struct decl  **decl;
	struct texpr  *texpr;	/* FUNC: result or NULL; EXEC: outputs */
	size_t	       nparts;	/* EXEC */
	struct tmpl_part *part;
	struct span    tmpl_span;	/* EXEC: of the template, quotes and braces included */
	const struct type *type;	/* check: of the value */
	void	      *note;	/* check: whatever it resolves (a binding, a module, a builtin) */
};

/* ---- Declarations ---- */

enum decl_kind {
	DECL_VAL,	/* binds pat to expr */
	DECL_TYPE,	/* name is texpr from here on */
};

enum decl_form {	/* how a DECL_VAL was written; for the printer alone */
	FORM_VAL,	/* val pat [type] = expr */
	FORM_ASSIGN,	/* name := expr */
	FORM_FUNC,	/* func name(params) [type] = expr: expr is the EXPR_FUNC */
	FORM_NAME,	/* name, in a parameter list: means name := name */
};

/* `@requires(…)` before a declaration; several may follow each other, outermost first. */
struct requires {
	struct span   span;
	size_t	      ndecls;
	struct decl **decl;
};

struct decl {
	enum decl_kind kind;
	enum decl_form form;
	/*
	 * All of it, requires included, doc excluded. Its pos is what existing texts name: for FORM_VAL that of the
	 * expression, for the others just after the first token (requires not counted).
	 */
	struct span    span;
	struct span    name_span;	/* of the name or pattern */
	const char    *doc;	/* comment before it, lines trimmed and joined by newlines; NULL if none */
	struct pat    *pat;	/* VAL; a PAT_IDENT but for FORM_VAL */
	struct texpr  *texpr;	/* VAL: annotation or NULL; TYPE: what it stands for */
	struct expr   *expr;	/* VAL */
	const char    *name;	/* TYPE; VAL: of a PAT_IDENT, else NULL */
	size_t	       nrequires;
	struct requires *req;
	const struct type *type;	/* check: */
	void	      *note;	/* check: */
};

struct param {
	const char   *name;
	struct span   span;	/* of the name */
	const char   *doc;	/* its own, else that of its group; NULL if none */
	struct texpr *texpr;	/* NULL: the default's type. One of texpr and expr is there */
	struct expr  *expr;	/* the default; NULL: required */
	const struct type *type;	/* check: */
	void	     *note;	/* check: */
};

struct comment {
	struct span span;	/* with its slashes */
	bool	    own_line;	/* nothing but white space before it on its line */
};

struct module {
	const struct source_text *src;
	bool		 has_keyspace;	/* accepted, without meaning */
	struct ast_str	 keyspace;
	size_t		 nparams;	/* in order: a default may use the params before it */
	struct param	*param;
	size_t		 ndecls;	/* in order */
	struct decl    **decl;
	size_t		 ncomments;	/* all comments of the file, in order */
	struct comment	*comment;
	uint32_t	 nids;		/* ids of expressions and patterns are 1..nids */
};

/* Exported = the first character is an upper case letter (Unicode). */
bool name_is_exported(const char *);
/* A BINARY, its left operand if that is one too, and so on: gives n of them, the outermost first; free the array. */
struct expr **expr_chain(const struct expr *, size_t *n);

#endif
