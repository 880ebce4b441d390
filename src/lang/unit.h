/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_UNIT_H
#define WEIR_LANG_UNIT_H

#include "flow/flow.h"
#include "lang/ast.h"
#include "lang/diag.h"
#include "lang/program.h"

/*
 * What the back half of the front end shares: a program is a set of units, one for each module file and
 * each system module that is made somewhere. A unit is checked once; the checker leaves its findings in
 * the tree (types, and the notes below), and lowering reads them.
 *
 * Notes by kind of node:
 *	pattern IDENT, function parameter, module parameter:	struct binding
 *	expression IDENT:	struct binding that it means
 *	CALL of a builtin:	struct builtin
 *	FUNC:			struct func_note
 *	EXEC:			struct exec_note
 *	MAKE:			struct unit
 *	declaration VAL:	const char *, the identifier of what it makes: `align.Bam.sorted`
 */
struct builtin;
struct sys_module;

enum binding_kind {
	BIND_LOCAL,	/* of a block, case, clause or function */
	BIND_DECL,	/* of a module */
	BIND_PARAM,	/* of a module */
	BIND_CONST,	/* of the language: has a value */
};
/* One name, bound at one place. Lowering tells variables apart by the address of their binding. */
struct binding {
	enum binding_kind  kind;
	const char	  *name;
	const struct type *type;	/* NULL: its expression is in error, which has been said */
	struct span	   span;
	bool		   used;
	struct value	  *value;	/* CONST: owned by the program */
};

struct func_note {
	struct binding *self;	/* the name by which the body may call itself, or NULL */
	const char     *ident;
};

struct exec_note {
	struct flow_out *outs;	/* in declared order */
	size_t		 nouts;
	int		*part;	/* for each part of the template: the output it names, or -1 */
	const struct expr **inserted;	/* of the parts, those that are expressions and name no output */
	size_t		 ninserted;
};

struct unit {
	const char	  *path;	/* its key */
	const char	  *base;	/* the first part of identifiers: `align` */
	struct module	  *ast;		/* NULL: a module of the system */
	const struct sys_module *sys;
	const struct type *type;	/* of an instance; NULL: in error */
	enum { UNIT_NEW, UNIT_CHECKING, UNIT_CHECKED } state;
	unsigned	   depth;	/* of the chain of makes that led here */
	struct digest	   code;	/* of its text and of all that it makes */
	struct unit	 **imports;
	size_t		   nimports, cap;
	struct unit	  *next;	/* in the program's list, newest first */
};

struct program {
	struct arena	  *arena;
	struct sources	  *sources;
	struct diags	   diags;
	struct unit	  *units;
	struct unit	  *root;
	const struct type *main;
	struct binding	 **consts;
	size_t		   nconsts;
	struct piece_cache *pieces;	/* code.c */
	struct program_param *params;	/* made at first use */
	size_t		   nparams;
	bool		   params_made;
};

/* unit.c: the unit for a path as written in importer (NULL: the program's own); reports at span and gives NULL if there
 * is none. */
struct unit *unit_get(struct program *, struct unit *importer, const char *path, const struct span *);
const struct param *unit_param(const struct unit *, const char *name, size_t *index);

/* check.c: checks a unit that was just read; errors and warnings go to the program's diags. */
void check_unit(struct program *, struct unit *);

/* code.c */
void piece_cache_free(struct piece_cache *);

#endif
