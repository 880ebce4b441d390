/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/type.h"

#include <string.h>

#include "base/xalloc.h"

/*
 * The relations between types: subtype, equal, comparable, least common supertype. What is easy to get
 * wrong: a struct with more fields is the smaller type, a sum with more variants the larger, and a map
 * whose key accepts more (top accepts all) the smaller.
 */

/* Has u's field or variant f a partner in t that is <= it? Variants pair only with or without element. */
static bool
field_sub(const struct type *t, const struct type *u, const struct type_field *f)
{
	for (size_t i = 0; i < t->nfields; i++) {
		if (strcmp(t->fields[i].name, f->name) != 0)
			continue;
		if (t->fields[i].type == NULL || f->type == NULL)
			return t->fields[i].type == f->type;
		return u->kind == TYPE_SUM ? type_sub(f->type, t->fields[i].type)
					   : type_sub(t->fields[i].type, f->type);
	}
	return false;
}

static bool
tuple_sub(const struct type *t, const struct type *u)
{
	if (t->nfields != u->nfields)
		return false;
	for (size_t i = 0; i < t->nfields; i++)
		if (!type_sub(t->fields[i].type, u->fields[i].type))
			return false;
	return true;
}

static bool
func_sub(const struct type *t, const struct type *u)
{
	return tuple_sub(u, t) && type_sub(t->elem, u->elem);
}

bool
type_sub(const struct type *t, const struct type *u)
{
	if (t == u || t->kind == TYPE_BOTTOM || u->kind == TYPE_TOP)
		return true;
	if (t->kind != u->kind)
		return false;
	switch (t->kind) {
	case TYPE_LIST:
		return type_sub(t->elem, u->elem);
	case TYPE_MAP:
		return type_sub(u->key, t->key) && type_sub(t->elem, u->elem);
	case TYPE_TUPLE:
		return tuple_sub(t, u);
	case TYPE_FUNC:
		return func_sub(t, u);
	case TYPE_STRUCT:
	case TYPE_MODULE:
		for (size_t i = 0; i < u->nfields; i++)
			if (!field_sub(t, u, &u->fields[i]))
				return false;
		return true;
	case TYPE_SUM:
		for (size_t i = 0; i < t->nfields; i++)
			if (!field_sub(u, t, &t->fields[i]))
				return false;
		return true;
	case TYPE_REF:
		return strcmp(t->ref, u->ref) == 0;
	default:
		return true;
	}
}

static bool
fields_equal(const struct type *t, const struct type *u, bool by_name)
{
	if (t->nfields != u->nfields)
		return false;
	for (size_t i = 0; i < t->nfields; i++) {
		size_t j = i;

		for (j = by_name ? 0 : i; by_name && j < u->nfields; j++)
			if (strcmp(t->fields[i].name, u->fields[j].name) == 0)
				break;
		if (j == u->nfields)
			return false;
		if (t->fields[i].type == NULL || u->fields[j].type == NULL) {
			if (t->fields[i].type != u->fields[j].type)
				return false;
		} else if (!type_equal(t->fields[i].type, u->fields[j].type)) {
			return false;
		}
	}
	return true;
}

bool
type_equal(const struct type *t, const struct type *u)
{
	if (t == u)
		return true;
	if (t->kind != u->kind)
		return false;
	switch (t->kind) {
	case TYPE_LIST:
		return type_equal(t->elem, u->elem);
	case TYPE_MAP:
		return type_equal(t->key, u->key) && type_equal(t->elem, u->elem);
	case TYPE_TUPLE:
		return fields_equal(t, u, false);
	case TYPE_FUNC:
		return fields_equal(t, u, false) && type_equal(t->elem, u->elem);
	case TYPE_STRUCT:
	case TYPE_MODULE:
	case TYPE_SUM:
		return fields_equal(t, u, true);
	case TYPE_REF:
		return strcmp(t->ref, u->ref) == 0;
	default:
		return true;
	}
}

bool
type_comparable(const struct type *t)
{
	switch (t->kind) {
	case TYPE_BOTTOM:
	case TYPE_TOP:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_STRING:
	case TYPE_BOOL:
	case TYPE_FILE:
	case TYPE_DIR:
		return true;
	case TYPE_LIST:
		return type_comparable(t->elem);
	case TYPE_MAP:
		return type_comparable(t->key) && type_comparable(t->elem);
	case TYPE_TUPLE:
	case TYPE_STRUCT:
	case TYPE_SUM:
		for (size_t i = 0; i < t->nfields; i++)
			if (t->fields[i].type != NULL && !type_comparable(t->fields[i].type))
				return false;
		return true;
	default:
		return false;
	}
}

static const char *
kind_name(const struct type *t)
{
	static const char *const names[] = {
		[TYPE_BOTTOM] = "bottom", [TYPE_TOP] = "top", [TYPE_INT] = "int", [TYPE_FLOAT] = "float",
		[TYPE_STRING] = "string", [TYPE_BOOL] = "bool", [TYPE_FILE] = "file", [TYPE_DIR] = "dir",
		[TYPE_FILESET] = "fileset", [TYPE_UNIT] = "()", [TYPE_LIST] = "list", [TYPE_MAP] = "map",
		[TYPE_TUPLE] = "tuple", [TYPE_FUNC] = "func", [TYPE_STRUCT] = "struct", [TYPE_MODULE] = "module",
		[TYPE_SUM] = "sum", [TYPE_REF] = "alias",
	};

	return names[t->kind];
}

static const struct type *
mismatch(const char *text, const struct type *t, const struct type *u, char **why)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s: ", text);
	type_str(t, &b);
	buf_addstr(&b, " and ");
	type_str(u, &b);
	*why = buf_take(&b, NULL);
	return NULL;
}

static const struct type *
unify_map(struct arena *a, const struct type *t, const struct type *u, char **why)
{
	const struct type *key, *elem;

	if (type_sub(t->key, u->key))
		key = t->key;
	else if (type_sub(u->key, t->key))
		key = u->key;
	else
		return mismatch("map keys differ", t->key, u->key, why);
	elem = type_unify(a, t->elem, u->elem, why);
	return elem ? type_map(a, key, elem) : NULL;
}

static const struct type *
unify_tuple(struct arena *a, const struct type *t, const struct type *u, char **why)
{
	struct type_field *f;

	if (t->nfields != u->nfields)
		return mismatch("tuples differ in size", t, u, why);
	f = arena_alloc(a, (t->nfields ? t->nfields : 1) * sizeof *f);
	for (size_t i = 0; i < t->nfields; i++) {
		f[i].name = t->fields[i].name;
		if ((f[i].type = type_unify(a, t->fields[i].type, u->fields[i].type, why)) == NULL)
			return NULL;
	}
	return type_tuple(a, f, t->nfields);
}

static const struct type *
unify_func(struct arena *a, const struct type *t, const struct type *u, char **why)
{
	const struct type *result;

	if (!fields_equal(t, u, false))
		return mismatch("functions differ in their arguments", t, u, why);
	result = type_unify(a, t->elem, u->elem, why);
	return result ? type_func(a, t->fields, t->nfields, result) : NULL;
}

/* The fields of both; at least one must be left. */
static const struct type *
unify_struct(struct arena *a, const struct type *t, const struct type *u, char **why)
{
	struct type_field *f = arena_alloc(a, (t->nfields ? t->nfields : 1) * sizeof *f);
	size_t n = 0;

	for (size_t i = 0; i < t->nfields; i++) {
		const struct type *other = type_field(u, t->fields[i].name);

		if (other == NULL)
			continue;
		f[n].name = t->fields[i].name;
		if ((f[n].type = type_unify(a, t->fields[i].type, other, why)) == NULL)
			return NULL;
		n++;
	}
	if (n == 0)
		return mismatch("no field in common", t, u, why);
	return t->kind == TYPE_STRUCT ? type_struct(a, f, n) : type_module(a, f, n, NULL, 0);
}

static const struct type_field *
variant(const struct type *t, const char *tag)
{
	for (size_t i = 0; i < t->nfields; i++)
		if (strcmp(t->fields[i].name, tag) == 0)
			return &t->fields[i];
	return NULL;
}

static const struct type *
unify_sum(struct arena *a, const struct type *t, const struct type *u, char **why)
{
	struct type_field *f = arena_alloc(a, (t->nfields + u->nfields + 1) * sizeof *f);
	const struct type_field *other;
	size_t n = 0;

	for (size_t i = 0; i < t->nfields; i++, n++) {
		f[n] = t->fields[i];
		if ((other = variant(u, f[n].name)) == NULL)
			continue;
		if ((f[n].type == NULL) != (other->type == NULL))
			return mismatch("a variant has an element in one type only", t, u, why);
		if (f[n].type != NULL && (f[n].type = type_unify(a, f[n].type, other->type, why)) == NULL)
			return NULL;
	}
	for (size_t i = 0; i < u->nfields; i++)
		if (variant(t, u->fields[i].name) == NULL)
			f[n++] = u->fields[i];
	return type_sum(a, f, n);
}

static const struct type *
unify_same_kind(struct arena *a, const struct type *t, const struct type *u, char **why)
{
	const struct type *elem;

	switch (t->kind) {
	case TYPE_LIST:
		elem = type_unify(a, t->elem, u->elem, why);
		return elem ? type_list(a, elem) : NULL;
	case TYPE_MAP:
		return unify_map(a, t, u, why);
	case TYPE_TUPLE:
		return unify_tuple(a, t, u, why);
	case TYPE_FUNC:
		return unify_func(a, t, u, why);
	case TYPE_STRUCT:
	case TYPE_MODULE:
		return unify_struct(a, t, u, why);
	case TYPE_SUM:
		return unify_sum(a, t, u, why);
	default:
		return t;
	}
}

const struct type *
type_unify(struct arena *a, const struct type *t, const struct type *u, char **why)
{
	const struct type *both;

	if (t == u || u->kind == TYPE_BOTTOM)
		both = t;
	else if (t->kind == TYPE_BOTTOM)
		both = u;
	else if (t->kind == TYPE_TOP || u->kind == TYPE_TOP)
		both = type_top;
	else if (t->kind != u->kind) {
		*why = xasprintf("kind mismatch: %s != %s", kind_name(t), kind_name(u));
		return NULL;
	} else {
		both = unify_same_kind(a, t, u, why);
	}
	if (both != NULL && (t->flow || u->flow))
		both = type_as_flow(a, both);
	return both;
}
