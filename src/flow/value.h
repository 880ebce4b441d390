/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_FLOW_VALUE_H
#define WEIR_FLOW_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include <gmp.h>
#include <mpfr.h>

#include "base/digest.h"
#include "flow/fileset.h"
#include "flow/type.h"

/*
 * Values of the language: immutable, shared (plain counts: one thread). A constructor gives a new
 * reference and takes the references of the parts it is handed; a getter borrows.
 * A delayed value is VAL_FLOW: it points at a node of a graph and must not outlive that graph.
 * Release is iterative: no depth of nesting ends the stack.
 */
enum value_kind {
	VAL_INT, VAL_FLOAT, VAL_STRING, VAL_BOOL, VAL_FILE, VAL_DIR, VAL_UNIT, VAL_LIST, VAL_MAP, VAL_TUPLE, VAL_STRUCT,
	VAL_MODULE, VAL_VARIANT, VAL_FUNC, VAL_FLOW,
};
struct value;
struct flow;

/*
 * Functions: what the value holds is the language's own; flow only counts, digests and frees it. A
 * function is strict, forcing it does nothing, but it may have captured delayed values.
 */
struct value_func {
	unsigned refs;
	bool	 open;	/* captured something that has a delayed part */
	uint16_t depth;	/* one more than that of the deepest value it captured */
	const struct value_func_ops *ops;
};
typedef void value_flow_cb(struct flow *, void *arg);
struct value_func_ops {
	void (*digest)(const struct value_func *, bool skeleton, struct digest *);	/* skeleton: as value_skeleton */
	void (*each_captured)(const struct value_func *, value_flow_cb *, void *arg);	/* as value_each_captured */
	void (*free)(struct value_func *);
};

enum value_kind value_kind(const struct value *);
struct value *value_ref(const struct value *);	/* shared: immutable, so const is dropped here and only here */
void value_unref(struct value *);		/* NULL is fine */

struct value *value_int(int64_t);
struct value *value_mpz(const mpz_t);
struct value *value_float(const mpfr_t);	/* rounded to the 64-bit mantissa */
struct value *value_double(double);
struct value *value_string(const char *, size_t);
struct value *value_str(const char *);
struct value *value_bool(bool);
struct value *value_file(const struct file *);
struct value *value_dir(struct fileset *);	/* takes a map fileset */
struct value *value_unit(void);
struct value *value_list(struct value **, size_t);	/* takes the elements, copies the array */
struct value *value_tuple(struct value **, size_t);
/* Takes keys and values; a later key replaces an equal earlier one; kept in natural order of keys. Keys are strict. */
struct value *value_map(struct value **keys, struct value **values, size_t);
struct value *value_struct(const char *const *names, struct value **, size_t);	/* copies names (type field order) */
struct value *value_module(const char *const *names, struct value **, size_t);
struct value *value_variant(const char *tag, struct value *elem);	/* elem may be NULL */
struct value *value_func(struct value_func *);	/* takes one count */
struct value *value_flow(struct flow *);

bool	    value_get_bool(const struct value *);
mpz_srcptr  value_get_int(const struct value *);
bool	    value_int_fits(const struct value *, int64_t *);	/* false when it does not fit */
mpfr_srcptr value_get_float(const struct value *);
const char *value_get_string(const struct value *, size_t *len);	/* NUL terminated; len may be NULL */
const struct file *value_get_file(const struct value *);
struct fileset *value_get_dir(const struct value *);
struct flow *value_get_flow(const struct value *);
struct value_func *value_get_func(const struct value *);
size_t value_len(const struct value *);				/* elements, entries, fields */
size_t value_nparts(const struct value *);			/* all that it is made of, keys of a map included */
struct value *value_at(const struct value *, size_t i);		/* list, tuple, struct, module, map's value */
struct value *value_key_at(const struct value *, size_t i);	/* map, in natural key order */
struct value *value_lookup(const struct value *map, const struct value *key);	/* NULL if absent */
const char *value_name_at(const struct value *, size_t i);	/* struct, module */
struct value *value_field(const struct value *, const char *name);	/* NULL if absent */
const char *value_tag(const struct value *);
struct value *value_elem(const struct value *);			/* variant's, or NULL */

/* Natural order of strict comparable values: numbers by value, strings by bytes, false before true, files by digest. */
int  value_cmp(const struct value *, const struct value *);
bool value_equal(const struct value *, const struct value *);	/* strict values; functions are never equal */
void value_digest(const struct value *, struct digest *);	/* w1 "value": names, signs, counts; delayed parts by node digest */
bool value_is_strict(const struct value *);			/* no delayed part anywhere; kept, so O(1) */
/* Levels of nesting, through functions as well; O(1). Walks recurse, so whoever nests values bounds this. */
unsigned value_depth(const struct value *);
/* Calls fn for each delayed part, in the order of the digest: left to right, fields by name. */
void value_each_flow(const struct value *, value_flow_cb *, void *arg);
/*
 * Keys of continuations need more: also what functions inside the value have captured. An open value has
 * such a part somewhere (O(1)); its skeleton is its digest with each of them replaced by its place alone,
 * so that skeleton and the digests of the parts, in order, say the same as the value's digest.
 */
bool value_is_open(const struct value *);
void value_each_captured(const struct value *, value_flow_cb *, void *arg);
void value_skeleton(const struct value *, struct digest *);
/* Gives the value with each delayed part replaced, in the order of value_each_flow; refs the replacements. */
struct value *value_subst(const struct value *, struct value *const *repl, size_t n);
/* Calls fn for each file in a strict value (files and directories' files). */
void value_each_file(const struct value *, fileset_file_cb *, void *arg);

/* Both of these breathe, and what they give when they are to give up is not whole. */
/* The long form of the reference (values.Sprint): `"text"`, `file(sha256=sha256:…, size=3)`, `{x: 1}`, `func(?)`. */
void value_print(const struct value *, const struct type *, struct buf *);	/* type may be NULL */
json_t *value_json(const struct value *);	/* gives typed JSON, contracts: {"$file":…}, {"$int":…}, … */
/* The same as compact text, byte for byte what a dump of it gives: lists of very many files need no tree of them. */
void value_json_text(const struct value *, struct buf *out);
must_check struct err *value_from_json(const json_t *, struct value **);

/* One float format for printing and exec text: at most 10 significant digits, as C's %.10Lg. */
void value_float_text(const struct value *, struct buf *);
void value_int_text(const struct value *, struct buf *);

#endif
