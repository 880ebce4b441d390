/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_FLOW_VALUE_PRIV_H
#define WEIR_FLOW_VALUE_PRIV_H

#include "flow/value.h"

/*
 * The layout of values, for the value_*.c files alone. Each kind is a struct that begins with the head
 * and is allocated in one piece. Numbers keep their limb inside; a big int owns its limbs.
 */
struct value {
	unsigned refs;
	uint8_t	 kind;		/* enum value_kind */
	bool	 strict : 1;	/* no delayed part to force */
	bool	 open : 1;	/* a delayed part, or a function that captured one */
	bool	 hashed : 1;	/* composites: digest is set */
	uint16_t depth;		/* of nesting, functions and what they captured included; saturates */
};

struct val_int {
	struct value head;
	mp_limb_t    limb;
	mpz_t	     z;		/* reads limb, unless big */
	bool	     big;	/* z owns its limbs */
};
struct val_float {
	struct value head;
	mp_limb_t    limb[1];
	mpfr_t	     f;		/* 64 bits, in limb */
};
struct val_string {
	struct value head;
	size_t	     len;
	char	     p[];
};
struct val_bool {
	struct value head;
	bool	     b;
};
struct val_file {
	struct value head;
	struct file  file;
};
struct val_dir {
	struct value	head;
	struct fileset *fs;
};
struct val_flow {
	struct value head;
	struct flow *flow;
};
struct val_func {
	struct value	   head;
	struct value_func *fn;
	struct value	  *next;	/* on the list of the dying */
};
/* List, map, tuple, struct, module, variant: n parts. A map has 2n: the keys, then the values. */
struct val_comp {
	struct value head;
	size_t	     n;
	const char **names;	/* struct, module: n; variant: 1, the tag; in the same piece */
	union {
		struct digest digest;	/* when hashed */
		struct value *next;	/* on the list of the dying */
	} u;
	struct value *v[];
};

#define VAL(type, v) ((const struct type *)(v))

static inline size_t
comp_nparts(const struct value *v)
{
	const struct val_comp *c = (const struct val_comp *)v;

	return v->kind == VAL_MAP ? 2 * c->n : c->n;
}

static inline bool
value_is_comp(const struct value *v)
{
	switch (v->kind) {
	case VAL_LIST:
	case VAL_MAP:
	case VAL_TUPLE:
	case VAL_STRUCT:
	case VAL_MODULE:
	case VAL_VARIANT:
		return true;
	default:
		return false;
	}
}

/* The order of a struct's or module's fields by name, as indices into a fresh array (free). */
size_t *value_name_order(const struct value *);

#endif
