/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"
#include "flow/flow.h"

/*
 * Values as typed JSON and back. Every value but functions and delayed ones survives the round trip
 * exactly: floats travel as the shortest decimal that reads back to the same 64 bits. What is easy to
 * get wrong: strings and paths are bytes, and JSON holds only UTF-8; others go as hex, marked.
 */
#define SAFE_INT  (INT64_C(1) << 53)
#define MAX_DEPTH 2000

static json_t *
tagged(const char *tag, json_t *v)
{
	json_t *o = json_object();

	json_object_set_new(o, tag, v);
	return o;
}

static json_t *
text_json(struct buf *b)
{
	json_t *j = json_stringn(buf_str(b), b->len);

	buf_release(b);
	return j;
}

static json_t *
int_json(const struct value *v)
{
	struct buf b = BUF_INIT;
	int64_t i;

	if (value_int_fits(v, &i) && i >= -SAFE_INT && i <= SAFE_INT)
		return json_integer(i);
	value_int_text(v, &b);
	return tagged("$int", text_json(&b));
}

static json_t *
float_json(const struct value *v)
{
	mpfr_srcptr f = value_get_float(v);
	char text[64] = "";
	mpfr_t back;

	mpfr_init2(back, 64);
	for (int digits = 1; digits <= 22; digits++) {
		if (mpfr_snprintf(text, sizeof text, "%.*Rg", digits, f) < 0)
			abort();
		mpfr_set_str(back, text, 10, MPFR_RNDN);
		if (mpfr_equal_p(back, f) || !mpfr_number_p(f))
			break;
	}
	mpfr_clear(back);
	return tagged("$float", json_string(text));
}

static json_t *
string_json(const struct value *v)
{
	struct buf b = BUF_INIT;
	size_t len;
	const char *s = value_get_string(v, &len);
	json_t *j = json_stringn(s, len);

	if (j != NULL)
		return j;
	buf_add_hex(&b, s, len);
	return tagged("$bytes", text_json(&b));
}

static json_t *
file_json(const struct file *f)
{
	return json_pack("{s:o, s:I}", "$file", json_digest(&f->id), "size", (json_int_t)f->size);
}

static json_t *
dir_json(const struct fileset *fs)
{
	json_t *o = json_object(), *paths = json_object(), *odd = NULL;

	json_object_set_new(o, "$dir", paths);
	for (size_t i = 0; i < fileset_nmap(fs); i++) {
		const struct fileset_entry *e = fileset_at(fs, i);
		struct buf hex = BUF_INIT;

		slice_breathe(10);
		if (json_object_set_new(paths, e->path, file_json(&e->file)) == 0)
			continue;
		if (odd == NULL)
			json_object_set_new(o, "$bytes", odd = json_object());
		buf_add_hex(&hex, e->path, strlen(e->path));
		json_object_set_new(odd, buf_str(&hex), file_json(&e->file));
		buf_release(&hex);
	}
	return o;
}

static json_t *
list_json(const struct value *v)
{
	json_t *a = json_array();

	for (size_t i = 0; i < value_len(v); i++) {
		json_array_append_new(a, value_json(value_at(v, i)));
		slice_breathe(5);
	}
	return a;
}

static json_t *
map_json(const struct value *v)
{
	json_t *a = json_array();

	for (size_t i = 0; i < value_len(v); i++) {
		json_array_append_new(
		    a, json_pack("[o, o]", value_json(value_key_at(v, i)), value_json(value_at(v, i))));
		slice_breathe(10);
	}
	return tagged("$map", a);
}

static json_t *
fields_json(const struct value *v)
{
	json_t *o = json_object();

	for (size_t i = 0; i < value_len(v); i++)
		json_object_set_new(o, value_name_at(v, i), value_json(value_at(v, i)));
	return o;
}

static json_t *
variant_json(const struct value *v)
{
	json_t *o = tagged("$tag", json_string(value_tag(v)));

	if (value_elem(v) != NULL)
		json_object_set_new(o, "value", value_json(value_elem(v)));
	return o;
}

json_t *
value_json(const struct value *v)
{
	switch (value_kind(v)) {
	case VAL_INT:
		return int_json(v);
	case VAL_FLOAT:
		return float_json(v);
	case VAL_STRING:
		return string_json(v);
	case VAL_BOOL:
		return json_boolean(value_get_bool(v));
	case VAL_FILE:
		return file_json(value_get_file(v));
	case VAL_DIR:
		return dir_json(value_get_dir(v));
	case VAL_UNIT:
		return json_null();
	case VAL_LIST:
		return list_json(v);
	case VAL_MAP:
		return map_json(v);
	case VAL_TUPLE:
		return tagged("$tuple", list_json(v));
	case VAL_STRUCT:
		return fields_json(v);
	case VAL_MODULE:
		return tagged("$module", fields_json(v));
	case VAL_VARIANT:
		return variant_json(v);
	case VAL_FUNC:
		return tagged("$func", json_null());
	case VAL_FLOW:
		return tagged("$delayed", json_digest(&value_get_flow(v)->digest));
	}
	return NULL;
}

static void
file_json_text(const struct file *f, struct buf *out)
{
	char name[DIGEST_STR + 1];

	digest_str(&f->id, name);
	buf_addstr(out, "{\"$file\":\"");
	buf_add(out, name, DIGEST_STR);
	buf_addstr(out, "\",\"size\":");
	buf_add_u64(out, f->size);
	buf_addch(out, '}');
}

static void
list_json_text(const struct value *v, struct buf *out)
{
	buf_addch(out, '[');
	for (size_t i = 0; i < value_len(v); i++) {
		if (i > 0)
			buf_addch(out, ',');
		value_json_text(value_at(v, i), out);
		if (!slice_breathe(3))
			return;
	}
	buf_addch(out, ']');
}

static void
map_json_text(const struct value *v, struct buf *out)
{
	for (size_t i = 0; i < value_len(v); i++) {
		buf_addstr(out, i > 0 ? ",[" : "[");
		value_json_text(value_key_at(v, i), out);
		buf_addch(out, ',');
		value_json_text(value_at(v, i), out);
		buf_addch(out, ']');
		if (!slice_breathe(6))
			return;
	}
}

/* Names are identifiers: nothing to be escaped. */
static void
fields_json_text(const struct value *v, struct buf *out)
{
	for (size_t i = 0; i < value_len(v); i++) {
		buf_addf(out, "%s\"%s\":", i > 0 ? "," : "", value_name_at(v, i));
		value_json_text(value_at(v, i), out);
	}
}

void
value_json_text(const struct value *v, struct buf *out)
{
	enum value_kind kind = value_kind(v);
	json_t *j;

	if (kind == VAL_LIST) {
		list_json_text(v, out);
	} else if (kind == VAL_TUPLE) {
		buf_addstr(out, "{\"$tuple\":");
		list_json_text(v, out);
		buf_addch(out, '}');
	} else if (kind == VAL_MAP) {
		buf_addstr(out, "{\"$map\":[");
		map_json_text(v, out);
		buf_addstr(out, "]}");
	} else if (kind == VAL_STRUCT) {
		buf_addch(out, '{');
		fields_json_text(v, out);
		buf_addch(out, '}');
	} else if (kind == VAL_FILE && !digest_is_zero(&value_get_file(v)->id)) {
		file_json_text(value_get_file(v), out);
	} else {
		j = value_json(v);
		json_dump_buf(j, out);
		json_decref(j);
	}
}

static struct err *
bad(const char *what)
{
	return err_msg(ERR_INVALID, "value: %s", what);
}

static bool
hex_decode(const char *s, struct buf *out)
{
	for (; s[0] != '\0'; s += 2) {
		unsigned byte;
		int used = 0;

		if (s[1] == '\0' || strspn(s, "0123456789abcdefABCDEF") < 2 || sscanf(s, "%2x%n", &byte, &used) != 1 ||
		    used != 2)
			return false;
		buf_addch(out, (char)byte);
	}
	return true;
}

static struct err *
int_from(const json_t *j, struct value **out)
{
	const char *s = json_string_value(j);
	struct err *err = NULL;
	mpz_t z;

	mpz_init(z);
	if (s == NULL || strspn(s + (s[0] == '-'), "0123456789") == 0 || mpz_set_str(z, s, 10) != 0)
		err = bad("$int is not a decimal number");
	else
		*out = value_mpz(z);
	mpz_clear(z);
	return err;
}

static struct err *
float_from(const json_t *j, struct value **out)
{
	const char *s = json_string_value(j);
	struct err *err = NULL;
	mpfr_t f;

	mpfr_init2(f, 64);
	if (s == NULL || mpfr_set_str(f, s, 10, MPFR_RNDN) != 0)
		err = bad("$float is not a number");
	else
		*out = value_float(f);
	mpfr_clear(f);
	return err;
}

static struct err *
bytes_from(const json_t *j, struct value **out)
{
	struct buf b = BUF_INIT;
	struct err *err = NULL;

	if (!json_is_string(j) || !hex_decode(json_string_value(j), &b))
		err = bad("$bytes is not hexadecimal");
	else
		*out = value_string(buf_str(&b), b.len);
	buf_release(&b);
	return err;
}

static bool
file_of(const json_t *j, struct file *f)
{
	const json_t *size = json_object_get(j, "size"), *id = json_object_get(j, "$file");

	if (!json_is_string(id) || !json_as_digest(id, &f->id) || digest_is_zero(&f->id) ||
	    !json_is_integer(size) || json_integer_value(size) < 0)
		return false;
	f->size = (uint64_t)json_integer_value(size);
	return true;
}

static struct err *
file_from(const json_t *o, struct value **out)
{
	struct file f;

	if (!file_of(o, &f))
		return bad("$file needs a digest and a size");
	*out = value_file(&f);
	return NULL;
}

static bool
paths_from(const json_t *paths, bool hex, struct fileset_builder *b)
{
	const char *path;
	struct file f;
	json_t *v;

	if (paths != NULL && !json_is_object(paths))
		return false;
	json_object_foreach((json_t *)paths, path, v) {
		struct buf raw = BUF_INIT;
		bool ok = file_of(v, &f) &&
			  (!hex || (hex_decode(path, &raw) && memchr(buf_str(&raw), '\0', raw.len) == NULL));

		if (ok)
			fileset_builder_add(b, hex ? buf_str(&raw) : path, &f);
		buf_release(&raw);
		if (!ok)
			return false;
	}
	return true;
}

static struct err *
dir_from(const json_t *o, struct value **out)
{
	struct fileset_builder *b = fileset_builder_new();

	if (!paths_from(json_object_get(o, "$dir"), false, b) || !paths_from(json_object_get(o, "$bytes"), true, b)) {
		fileset_builder_free(b);
		return bad("$dir is not an object of files");
	}
	*out = value_dir(fileset_builder_finish(b));
	return NULL;
}

static struct err *read_json(const json_t *, unsigned depth, struct value **);

/* Reads every element of an array (or, with which >= 0, that one of each pair); gives a fresh array of values. */
static struct err *
array_from(const json_t *a, int which, unsigned depth, struct value ***out)
{
	size_t n = json_array_size(a), i;
	struct value **v = xcalloc(n ? n : 1, sizeof *v);
	struct err *err = NULL;

	for (i = 0; i < n && err == NULL; i++) {
		json_t *e = json_array_get(a, i);

		if (which >= 0 && json_array_size(e) != 2)
			err = bad("$map is not a list of pairs");
		else
			err = read_json(which >= 0 ? json_array_get(e, (size_t)which) : e, depth + 1, &v[i]);
	}
	if (err == NULL) {
		*out = v;
		return NULL;
	}
	while (i-- > 0)
		value_unref(v[i]);
	free(v);
	return err;
}

static struct err *
list_from(const json_t *a, bool tuple, unsigned depth, struct value **out)
{
	struct value **v;
	struct err *err;

	if (!json_is_array(a))
		return bad("$tuple is not a list");
	if ((err = array_from(a, -1, depth, &v)) != NULL)
		return err;
	*out = tuple ? value_tuple(v, json_array_size(a)) : value_list(v, json_array_size(a));
	free(v);
	return NULL;
}

static struct err *
map_from(const json_t *a, unsigned depth, struct value **out)
{
	struct value **k, **v;
	struct err *err;
	size_t n = json_array_size(a);

	if (!json_is_array(a))
		return bad("$map is not a list");
	if ((err = array_from(a, 0, depth, &k)) != NULL)
		return err;
	if ((err = array_from(a, 1, depth, &v)) == NULL) {
		*out = value_map(k, v, n);
		free(v);
	} else {
		for (size_t i = 0; i < n; i++)
			value_unref(k[i]);
	}
	free(k);
	return err;
}

static struct err *
fields_from(const json_t *o, bool module, unsigned depth, struct value **out)
{
	size_t n = json_object_size(o), i = 0;
	const char **names = xcalloc(n ? n : 1, sizeof *names);
	struct value **v = xcalloc(n ? n : 1, sizeof *v);
	struct err *err = json_is_object(o) ? NULL : bad("$module is not an object");
	const char *name;
	json_t *f;

	json_object_foreach((json_t *)o, name, f) {
		if (err == NULL && name[0] == '$')
			err = err_msg(ERR_INVALID, "value: unknown mark %s", name);
		if (err == NULL)
			err = read_json(f, depth + 1, &v[i]);
		if (err == NULL)
			names[i++] = name;
	}
	if (err == NULL)
		*out = module ? value_module(names, v, n) : value_struct(names, v, n);
	else
		while (i-- > 0)
			value_unref(v[i]);
	free(names);
	free(v);
	return err;
}

static struct err *
variant_from(const json_t *o, unsigned depth, struct value **out)
{
	const char *tag = json_string_value(json_object_get(o, "$tag"));
	json_t *j = json_object_get(o, "value");
	struct value *elem = NULL;
	struct err *err;

	if (tag == NULL)
		return bad("$tag is not a string");
	if (j != NULL && (err = read_json(j, depth + 1, &elem)) != NULL)
		return err;
	*out = value_variant(tag, elem);
	return NULL;
}

static struct err *
object_from(const json_t *o, unsigned depth, struct value **out)
{
	json_t *j;

	if ((j = json_object_get(o, "$int")) != NULL)
		return int_from(j, out);
	if ((j = json_object_get(o, "$float")) != NULL)
		return float_from(j, out);
	if (json_object_get(o, "$file") != NULL)
		return file_from(o, out);
	if (json_object_get(o, "$dir") != NULL)
		return dir_from(o, out);
	if ((j = json_object_get(o, "$bytes")) != NULL)
		return bytes_from(j, out);
	if ((j = json_object_get(o, "$map")) != NULL)
		return map_from(j, depth, out);
	if ((j = json_object_get(o, "$tuple")) != NULL)
		return list_from(j, true, depth, out);
	if ((j = json_object_get(o, "$module")) != NULL)
		return fields_from(j, true, depth, out);
	if (json_object_get(o, "$tag") != NULL)
		return variant_from(o, depth, out);
	if (json_object_get(o, "$func") != NULL || json_object_get(o, "$delayed") != NULL)
		return err_msg(ERR_NOT_SUPPORTED, "value: functions and delayed values cannot be read back");
	return fields_from(o, false, depth, out);
}

static struct err *
read_json(const json_t *j, unsigned depth, struct value **out)
{
	if (j == NULL || depth > MAX_DEPTH)
		return bad(j ? "nested too deeply" : "missing");
	switch (json_typeof(j)) {
	case JSON_INTEGER:
		*out = value_int(json_integer_value(j));
		return NULL;
	case JSON_STRING:
		*out = value_string(json_string_value(j), json_string_length(j));
		return NULL;
	case JSON_TRUE:
	case JSON_FALSE:
		*out = value_bool(json_is_true(j));
		return NULL;
	case JSON_NULL:
		*out = value_unit();
		return NULL;
	case JSON_ARRAY:
		return list_from(j, false, depth, out);
	case JSON_OBJECT:
		return object_from(j, depth, out);
	default:
		return bad("a bare real number has no type; floats are {\"$float\": TEXT}");
	}
}

struct err *
value_from_json(const json_t *j, struct value **out)
{
	return read_json(j, 0, out);
}
