/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_PRINT_H
#define WEIR_LANG_PRINT_H

#include "base/buf.h"
#include "lang/ast.h"

/*
 * From tree to text. What is printed parses again to an equal tree (module_equal), and printing that gives
 * the same text. Parentheses stand only where precedence needs them.
 */
void print_module(struct buf *, const struct module *);	/* many lines, tab indented; doc comments kept */
void print_decl(struct buf *, const struct decl *, int indent);	/* without a final newline */
void print_expr(struct buf *, const struct expr *);	/* one line, but for templates and raw strings */
void print_type(struct buf *, const struct texpr *);
void print_pat(struct buf *, const struct pat *);
/*
 * One line for documentation and labels: `<exec>`, `<func>`, `<compr>`, `<make>`, `{...; e}` stand for the long ones.
 */
void print_abbrev(struct buf *, const struct expr *);

/* The same tree but for positions, comments and the check: fields. */
bool expr_equal(const struct expr *, const struct expr *);
bool texpr_equal(const struct texpr *, const struct texpr *);
bool pat_equal(const struct pat *, const struct pat *);
bool decl_equal(const struct decl *, const struct decl *);
bool module_equal(const struct module *, const struct module *);

#endif
