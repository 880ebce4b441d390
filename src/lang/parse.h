/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_PARSE_H
#define WEIR_LANG_PARSE_H

#include "base/arena.h"
#include "lang/ast.h"
#include "lang/diag.h"

/*
 * From text to tree. Each function parses the whole source as one construct, reports what is wrong to
 * diags and goes on at the next declaration; it gives NULL if it reported any error, so a tree that exists
 * is complete. Nodes are made in the arena; the source (kept) outlives them.
 */
#define PARSE_MAX_DEPTH	 500		/* of nesting in the text, and of the tree but for chains of operators: see ast.h */
#define PARSE_MAX_PARAMS 128		/* arguments of a function definition */

struct module *parse_module(struct arena *, const struct source_text *, struct diags *);
/* The fragments: for tests, for --param values, for tools. A newline does not end an expression here. */
struct expr   *parse_expr(struct arena *, const struct source_text *, struct diags *);
struct texpr  *parse_type(struct arena *, const struct source_text *, struct diags *);
struct pat    *parse_pat(struct arena *, const struct source_text *, struct diags *);
/* Declarations separated by semicolons or newlines, without params: as the body of a module. */
struct decl  **parse_decls(struct arena *, const struct source_text *, struct diags *, size_t *n);

#endif
