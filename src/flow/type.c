/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/type.h"

#include <assert.h>
#include <string.h>

/*
 * Making types and naming them. A constructor copies the array of fields it is handed, not the names
 * in it: those must live as long as the arena. What is easy to get wrong: labels and the flow flag are
 * decoration that no comparison sees.
 */
#define BASE(sym, k)                                         \
	static const struct type base_##sym = { .kind = k }; \
	const struct type *const type_##sym = &base_##sym;
BASE(bottom, TYPE_BOTTOM)
BASE(top, TYPE_TOP)
BASE(int, TYPE_INT)
BASE(float, TYPE_FLOAT)
BASE(string, TYPE_STRING)
BASE(bool, TYPE_BOOL)
BASE(file, TYPE_FILE)
BASE(dir, TYPE_DIR)
BASE(fileset, TYPE_FILESET)
BASE(unit, TYPE_UNIT)
#undef BASE

static struct type *
type_make(struct arena *a, enum type_kind kind)
{
	struct type *t = arena_alloc(a, sizeof *t);

	t->kind = kind;
	return t;
}

static void
deepen(struct type *t, const struct type *part)
{
	if (part != NULL && part->depth + 1 > t->depth)
		t->depth = part->depth + 1;
}

static void
set_fields(struct arena *a, struct type *t, const struct type_field *f, size_t n)
{
	if (n > 0)
		t->fields = arena_memdup(a, f, n * sizeof *f);
	t->nfields = n;
	for (size_t i = 0; i < n; i++)
		deepen(t, f[i].type);
}

const struct type *
type_list(struct arena *a, const struct type *elem)
{
	struct type *t = type_make(a, TYPE_LIST);

	t->elem = elem;
	deepen(t, elem);
	return t;
}

const struct type *
type_map(struct arena *a, const struct type *key, const struct type *value)
{
	struct type *t = type_make(a, TYPE_MAP);

	t->key = key;
	t->elem = value;
	deepen(t, key);
	deepen(t, value);
	return t;
}

static const struct type *
with_fields(struct arena *a, enum type_kind kind, const struct type_field *f, size_t n)
{
	struct type *t = type_make(a, kind);

	set_fields(a, t, f, n);
	return t;
}

const struct type *
type_tuple(struct arena *a, const struct type_field *f, size_t n)
{
	return with_fields(a, TYPE_TUPLE, f, n);
}

const struct type *
type_func(struct arena *a, const struct type_field *args, size_t n, const struct type *result)
{
	struct type *t = type_make(a, TYPE_FUNC);

	set_fields(a, t, args, n);
	t->elem = result;
	deepen(t, result);
	return t;
}

const struct type *
type_struct(struct arena *a, const struct type_field *f, size_t n)
{
	return with_fields(a, TYPE_STRUCT, f, n);
}

const struct type *
type_module(struct arena *a, const struct type_field *f, size_t n, const struct type_field *aliases, size_t na)
{
	struct type *t = type_make(a, TYPE_MODULE);

	set_fields(a, t, f, n);
	if (na > 0)
		t->aliases = arena_memdup(a, aliases, na * sizeof *aliases);
	t->naliases = na;
	for (size_t i = 0; i < na; i++)
		deepen(t, aliases[i].type);
	return t;
}

const struct type *
type_sum(struct arena *a, const struct type_field *f, size_t n)
{
	return with_fields(a, TYPE_SUM, f, n);
}

const struct type *
type_as_flow(struct arena *a, const struct type *t)
{
	struct type *u;

	if (t->flow)
		return t;
	u = arena_memdup(a, t, sizeof *t);
	u->flow = true;
	return u;
}

const struct type *
type_labelled(struct arena *a, const struct type *t, const char *label)
{
	struct type *u = arena_memdup(a, t, sizeof *t);

	u->label = label;
	return u;
}

static const struct type_field *
copy_fields(struct arena *a, const struct type_field *f, size_t n)
{
	struct type_field *g = n ? arena_alloc(a, n * sizeof *g) : NULL;

	for (size_t i = 0; i < n; i++) {
		g[i].name = f[i].name ? arena_strdup(a, f[i].name) : NULL;
		g[i].type = f[i].type ? type_copy(a, f[i].type) : NULL;
	}
	return g;
}

const struct type *
type_copy(struct arena *a, const struct type *t)
{
	struct type *u = arena_memdup(a, t, sizeof *t);

	u->elem = t->elem ? type_copy(a, t->elem) : NULL;
	u->key = t->key ? type_copy(a, t->key) : NULL;
	u->fields = copy_fields(a, t->fields, t->nfields);
	u->aliases = copy_fields(a, t->aliases, t->naliases);
	u->label = t->label ? arena_strdup(a, t->label) : NULL;
	u->ref = t->ref ? arena_strdup(a, t->ref) : NULL;
	return u;
}

const struct type *
type_field(const struct type *t, const char *name)
{
	for (size_t i = 0; i < t->nfields; i++)
		if (t->fields[i].name != NULL && strcmp(t->fields[i].name, name) == 0)
			return t->fields[i].type;
	return NULL;
}

static void
fields_str(const struct type_field *f, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addstr(out, ", ");
		if (f[i].name != NULL)
			buf_addf(out, "%s ", f[i].name);
		type_str(f[i].type, out);
	}
}

static void
sum_str(const struct type *t, struct buf *out)
{
	for (size_t i = 0; i < t->nfields; i++) {
		buf_addf(out, "%s#%s", i ? " | " : "", t->fields[i].name);
		if (t->fields[i].type != NULL) {
			buf_addch(out, '(');
			type_str(t->fields[i].type, out);
			buf_addch(out, ')');
		}
	}
}

static void
module_str(const struct type *t, struct buf *out)
{
	buf_addstr(out, "module{");
	fields_str(t->fields, t->nfields, out);
	for (size_t i = 0; i < t->naliases; i++) {
		buf_addf(out, "%stype %s ", t->nfields + i ? ", " : "", t->aliases[i].name);
		type_str(t->aliases[i].type, out);
	}
	buf_addch(out, '}');
}

static const char *
base_name(enum type_kind kind)
{
	switch (kind) {
	case TYPE_BOTTOM:
		return "bottom";
	case TYPE_TOP:
		return "top";
	case TYPE_INT:
		return "int";
	case TYPE_FLOAT:
		return "float";
	case TYPE_STRING:
		return "string";
	case TYPE_BOOL:
		return "bool";
	case TYPE_FILE:
		return "file";
	case TYPE_DIR:
		return "dir";
	case TYPE_FILESET:
		return "fileset";
	case TYPE_UNIT:
		return "()";
	default:
		return NULL;
	}
}

void
type_str(const struct type *t, struct buf *out)
{
	switch (t->kind) {
	case TYPE_LIST:
		buf_addch(out, '[');
		type_str(t->elem, out);
		buf_addch(out, ']');
		return;
	case TYPE_MAP:
		buf_addch(out, '[');
		type_str(t->key, out);
		buf_addch(out, ':');
		type_str(t->elem, out);
		buf_addch(out, ']');
		return;
	case TYPE_TUPLE:
		buf_addch(out, '(');
		fields_str(t->fields, t->nfields, out);
		buf_addch(out, ')');
		return;
	case TYPE_FUNC:
		buf_addstr(out, "func(");
		fields_str(t->fields, t->nfields, out);
		buf_addstr(out, ") ");
		type_str(t->elem, out);
		return;
	case TYPE_STRUCT:
		buf_addch(out, '{');
		fields_str(t->fields, t->nfields, out);
		buf_addch(out, '}');
		return;
	case TYPE_MODULE:
		module_str(t, out);
		return;
	case TYPE_SUM:
		sum_str(t, out);
		return;
	case TYPE_REF:
		buf_addstr(out, t->ref);
		return;
	default:
		buf_addstr(out, base_name(t->kind));
		return;
	}
}
