/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_FLOW_TYPE_H
#define WEIR_FLOW_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/*
 * Types of the language. Immutable; they live in an arena (of the compilation) and die with it.
 * Constants such as type_int are never freed. Source: grailbio/reflow types/types.go; the unit
 * subtype defect is fixed.
 */
enum type_kind {
	TYPE_BOTTOM, TYPE_TOP, TYPE_INT, TYPE_FLOAT, TYPE_STRING, TYPE_BOOL, TYPE_FILE, TYPE_DIR, TYPE_FILESET, TYPE_UNIT,
	TYPE_LIST, TYPE_MAP, TYPE_TUPLE, TYPE_FUNC, TYPE_STRUCT, TYPE_MODULE, TYPE_SUM,
	TYPE_REF,	/* an alias by name, before it is resolved */
};
struct type_field {
	const char	  *name;	/* field, tuple label (may be NULL), variant tag, argument name */
	const struct type *type;	/* variant without element: NULL */
};
struct type {
	enum type_kind	   kind;
	bool		   flow;	/* may be delayed */
	unsigned	   depth;	/* levels below this one: the language bounds it, so walks may recurse */
	const struct type *elem;	/* list element, map value, func result */
	const struct type *key;		/* map key */
	const struct type_field *fields;	/* tuple, func arguments, struct, module, sum */
	size_t		   nfields;
	const struct type_field *aliases;	/* module: exported type aliases */
	size_t		   naliases;
	const char	  *label;	/* (name t): decoration */
	const char	  *ref;		/* TYPE_REF: dotted name */
};
extern const struct type *const type_bottom, *const type_top, *const type_int, *const type_float, *const type_string,
    *const type_bool, *const type_file, *const type_dir, *const type_fileset, *const type_unit;

const struct type *type_list(struct arena *, const struct type *elem);
const struct type *type_map(struct arena *, const struct type *key, const struct type *value);
const struct type *type_tuple(struct arena *, const struct type_field *, size_t n);
const struct type *type_func(struct arena *, const struct type_field *args, size_t n, const struct type *result);
const struct type *type_struct(struct arena *, const struct type_field *, size_t n);
const struct type *type_module(struct arena *, const struct type_field *, size_t n, const struct type_field *aliases, size_t na);
const struct type *type_sum(struct arena *, const struct type_field *, size_t n);
const struct type *type_as_flow(struct arena *, const struct type *);		/* the same, may be delayed */
const struct type *type_labelled(struct arena *, const struct type *, const char *label);
const struct type *type_copy(struct arena *, const struct type *);		/* deep, into another arena */

const struct type *type_field(const struct type *, const char *name);	/* of struct, module, sum; NULL if absent */
bool type_sub(const struct type *t, const struct type *u);		/* t <= u */
bool type_equal(const struct type *, const struct type *);		/* fields by name, labels ignored */
bool type_comparable(const struct type *);
/* The least common supertype; NULL with *why (given, e.g. `kind mismatch: string != int`) if there is none. */
const struct type *type_unify(struct arena *, const struct type *, const struct type *, char **why);
void  type_str(const struct type *, struct buf *);	/* `{a int, b [string]}`, `module{A int, type {…}}`, `#A | #B(int)` */

#endif
