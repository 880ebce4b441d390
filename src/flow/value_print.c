/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/value.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "flow/flow.h"

/*
 * Values as text for people. With a type, what is printed is what the type admits: a struct that was
 * narrowed shows the fields of its type, in its order, though the value has more.
 */

void
value_float_text(const struct value *v, struct buf *out)
{
	char text[64];

	/* Ten significant digits in the general format, whatever the locale; exponents have two digits at least. */
	if (mpfr_snprintf(text, sizeof text, "%.10Rg", value_get_float(v)) < 0)
		abort();
	buf_addstr(out, text);
}

void
value_int_text(const struct value *v, struct buf *out)
{
	mpz_srcptr z = value_get_int(v);
	size_t len = out->len;

	buf_reserve(out, mpz_sizeinbase(z, 10) + 2);
	mpz_get_str(out->p + len, 10, z);
	out->len = len + strlen(out->p + len);
}

static void
print_file(const struct file *file, struct buf *out)
{
	char id[DIGEST_STR + 1];

	digest_str(&file->id, id);
	buf_addstr(out, "file(sha256=");
	buf_add(out, id, DIGEST_STR);
	buf_addstr(out, ", size=");
	buf_add_u64(out, file->size);
	buf_addch(out, ')');
}

static void
print_dir(const struct fileset *fs, struct buf *out)
{
	buf_addstr(out, "dir(");
	for (size_t i = 0; i < fileset_nmap(fs); i++) {
		const struct fileset_entry *e = fileset_at(fs, i);

		if (i > 0)
			buf_addstr(out, ", ");
		buf_add_quoted(out, e->path, strlen(e->path));
		buf_addstr(out, ": ");
		print_file(&e->file, out);
		if (!slice_breathe(3))
			return;
	}
	buf_addch(out, ')');
}

static const struct type *
elem_type(const struct type *t, enum type_kind kind)
{
	return t != NULL && t->kind == kind ? t->elem : NULL;
}

static void
print_parts(const struct value *v, const struct type *t, struct buf *out)
{
	bool map = value_kind(v) == VAL_MAP, list = value_kind(v) == VAL_LIST;
	const struct type *elem = elem_type(t, map ? TYPE_MAP : TYPE_LIST);

	buf_addch(out, map || list ? '[' : '(');
	for (size_t i = 0; i < value_len(v); i++) {
		const struct type *et = elem;

		if (i > 0)
			buf_addstr(out, ", ");
		if (map) {
			value_print(value_key_at(v, i), t && t->kind == TYPE_MAP ? t->key : NULL, out);
			buf_addstr(out, ": ");
		}
		if (!map && !list && t != NULL && t->kind == TYPE_TUPLE && i < t->nfields)
			et = t->fields[i].type;
		value_print(value_at(v, i), et, out);
		if (!slice_breathe(2))
			return;
	}
	buf_addch(out, map || list ? ']' : ')');
}

static void
print_field(const char *name, const struct value *v, const struct type *t, bool module, bool first, struct buf *out)
{
	if (!first)
		buf_addstr(out, module ? "; " : ", ");
	buf_addf(out, module ? "val %s = " : "%s: ", name);
	value_print(v, t, out);
}

static void
print_struct(const struct value *v, const struct type *t, struct buf *out)
{
	bool module = value_kind(v) == VAL_MODULE;
	bool typed = t != NULL && t->kind == (module ? TYPE_MODULE : TYPE_STRUCT);
	size_t n = typed ? t->nfields : value_len(v);

	buf_addstr(out, module ? "module{" : "{");
	for (size_t i = 0, shown = 0; i < n; i++) {
		const char *name = typed ? t->fields[i].name : value_name_at(v, i);
		const struct value *f = typed ? value_field(v, name) : value_at(v, i);

		if (f != NULL)
			print_field(name, f, typed ? t->fields[i].type : NULL, module, shown++ == 0, out);
	}
	buf_addch(out, '}');
}

static void
print_variant(const struct value *v, const struct type *t, struct buf *out)
{
	buf_addf(out, "#%s", value_tag(v));
	if (value_elem(v) == NULL)
		return;
	buf_addch(out, '(');
	value_print(value_elem(v), t && t->kind == TYPE_SUM ? type_field(t, value_tag(v)) : NULL, out);
	buf_addch(out, ')');
}

static void
print_flow(const struct flow *f, struct buf *out)
{
	char id[DIGEST_STR + 1];

	digest_str(&f->digest, id);
	buf_addf(out, "delayed(%s)", id);
}

void
value_print(const struct value *v, const struct type *t, struct buf *out)
{
	const char *s;
	size_t len;

	switch (value_kind(v)) {
	case VAL_INT:
		value_int_text(v, out);
		return;
	case VAL_FLOAT:
		value_float_text(v, out);
		return;
	case VAL_STRING:
		s = value_get_string(v, &len);
		buf_add_quoted(out, s, len);
		return;
	case VAL_BOOL:
		buf_addstr(out, value_get_bool(v) ? "true" : "false");
		return;
	case VAL_FILE:
		print_file(value_get_file(v), out);
		return;
	case VAL_DIR:
		print_dir(value_get_dir(v), out);
		return;
	case VAL_UNIT:
		buf_addstr(out, "()");
		return;
	case VAL_LIST:
	case VAL_MAP:
	case VAL_TUPLE:
		print_parts(v, t, out);
		return;
	case VAL_STRUCT:
	case VAL_MODULE:
		print_struct(v, t, out);
		return;
	case VAL_VARIANT:
		print_variant(v, t, out);
		return;
	case VAL_FUNC:
		buf_addstr(out, "func(?)");
		return;
	case VAL_FLOW:
		print_flow(value_get_flow(v), out);
		return;
	}
}
