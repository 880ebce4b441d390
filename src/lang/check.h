/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_CHECK_H
#define WEIR_LANG_CHECK_H

#include "lang/unit.h"

/*
 * Inside the type checker. A check function gives the type, or NULL when there is none because of an
 * error that it, or something below it, has reported: NULL in, NULL out, and nothing is said twice.
 */
#define TYPE_MAX_DEPTH 1000	/* of types, and so of values: walks over them recurse */

struct scope_cell {		/* a name in sight; the newest first */
	struct binding	  *binding;	/* a value, or */
	const char	  *alias;	/* a type */
	const struct type *type;
	struct scope_cell *next;
};

struct checker {
	struct program	  *p;
	struct unit	  *u;
	struct arena	  *arena;
	struct diags	  *diags;
	struct scope_cell *scope;
	const char	  *ident;	/* of the declaration that is being checked */
};

/* Scopes: take a mark, bind, close. Closing warns of what was not used. */
struct binding *check_bind(
    struct checker *, enum binding_kind, const char *name, const struct type *, const struct span *);
void check_close(struct checker *, struct scope_cell *mark, bool warn);
struct binding *check_lookup(struct checker *, const char *name);
const struct type *check_alias(struct checker *, const char *name);
void check_bind_alias(struct checker *, const char *name, const struct type *);

/* Text of a type, in the arena. */
const char *type_text(struct checker *, const struct type *);
/* Reports unless t <= u: `cannot use WHAT (type T) as type U`. */
bool check_ascribe(struct checker *, const char *what, const struct type *t, const struct type *u, const struct span *);
/* Takes the reason that type_unify gave. */
const struct type *check_unify(struct checker *, const char *what, const struct type *, const struct type *,
    const struct span *);
/* The type, bounded in depth. */
const struct type *check_depth(struct checker *, const struct type *, const struct span *);
const struct type *flow_if(struct checker *, const struct type *, bool flow);

const struct type *check_texpr(struct checker *, struct texpr *);		/* check_type.c */
const struct type *check_expr(struct checker *, struct expr *);			/* check_expr.c */
const struct type *check_call(struct checker *, struct expr *);			/* check_call.c */
const struct type *check_args(struct checker *, struct expr *, const struct type *func);
const char *callee_text(struct checker *, const struct expr *);
const struct type *check_exec(struct checker *, struct expr *);			/* check_exec.c */
const struct type *check_make(struct checker *, struct expr *);
void check_requires(struct checker *, struct requires *);
void check_decl(struct checker *, struct decl *, enum binding_kind);		/* check.c */

/* check_pat.c: binds the names of a pattern that is matched with a type. */
bool check_pat(struct checker *, struct pat *, const struct type *, enum binding_kind);
/* check_switch.c: no case is unreachable, no value unhandled. */
void check_cases(struct checker *, struct expr *, const struct type *);

/* check_builtin.c */
const struct builtin *builtin_find(const char *name);
const struct type *check_builtin(struct checker *, struct expr *, const struct builtin *);

#endif
