/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "base/xalloc.h"

/*
 * Conversions to and from jansson's values. jansson refuses strings that are not UTF-8 and numbers
 * that are not finite; paths and messages may be the first, amounts the second, so both are made
 * printable here and nothing else calls json_stringn() on foreign bytes.
 */

#define CAUSES_MAX 10	/* causes written one by one; deeper ones become text */

json_t *
json_text(const char *s, size_t n)
{
	struct buf b = BUF_INIT;
	json_t *j;

	while (n) {
		size_t len = utf8_next(s, n, NULL);

		if (len)
			buf_add(&b, s, len);
		else
			buf_addstr(&b, "\xef\xbf\xbd");	/* U+FFFD */
		len = len ? len : 1;
		s += len;
		n -= len;
	}
	j = json_stringn(buf_str(&b), b.len);
	buf_release(&b);
	return j;
}

json_t *
json_digest(const struct digest *d)
{
	char text[DIGEST_STR + 1];

	if (digest_is_zero(d))
		return json_null();
	digest_str(d, text);
	return json_string(text);
}

bool
json_as_digest(const json_t *j, struct digest *d)
{
	const char *s = json_string_value(j);
	struct err *err;

	if (json_is_null(j) || (s && (*s == '\0' || strcmp(s, "<zero>") == 0))) {
		memset(d, 0, sizeof *d);
		return true;
	}
	if (!s)
		return false;
	err = digest_parse(s, json_string_length(j), d);
	err_free(err);
	return !err;
}

static json_t *
text_or_empty(const char *s)
{
	return s ? json_text(s, strlen(s)) : json_string("");
}

/* A plain sentence, the form of an error that the reference did not make itself. */
static json_t *
foreign_err(const char *msg)
{
	json_t *o = json_object();

	json_object_set_new(o, "Op", json_string(""));
	json_object_set_new(o, "Arg", json_null());
	json_object_set_new(o, "Kind", json_string(""));
	json_object_set_new(o, "Error", text_or_empty(msg));
	return o;
}

static json_t *
err_part(const struct err *e)
{
	json_t *o = json_object(), *args = json_null();

	if (e->arg) {
		args = json_array();
		json_array_append_new(args, text_or_empty(e->arg));
	}
	json_object_set_new(o, "Op", text_or_empty(e->op));
	json_object_set_new(o, "Arg", args);
	json_object_set_new(o, "Kind", json_string(err_kind_name(e->kind)));
	if (e->msg)
		json_object_set_new(o, "Msg", text_or_empty(e->msg));
	json_object_set_new(o, "Error", json_string(""));
	return o;
}

/*
 * The reference has no message beside the kind: there it would be a foreign cause, and a nonempty
 * Error would hide the kind from its readers. So a message stands in both places; ours reads Msg
 * and steps over the stand-in.
 */
static json_t *
json_err_at(const struct err *e, int depth)
{
	json_t *o, *cause = NULL;
	bool plain = e->kind == ERR_OTHER && !e->op && !e->arg && !e->cause && e->msg;

	if (plain)
		return foreign_err(e->msg);
	if (depth == CAUSES_MAX && e->cause) {
		char *text = err_str(e);
		struct err flat = { .kind = err_kind(e), .msg = text };

		o = json_err_at(&flat, depth);
		free(text);
		return o;
	}
	o = err_part(e);
	if (e->cause)
		cause = json_err_at(e->cause, depth + 1);
	if (e->msg) {
		json_t *stand_in = foreign_err(e->msg);

		if (cause)
			json_object_set_new(stand_in, "Cause", cause);
		cause = stand_in;
	}
	if (cause)
		json_object_set_new(o, "Cause", cause);
	return o;
}

json_t *
json_err(const struct err *e)
{
	return e ? json_err_at(e, 1) : json_null();
}

static char *
member_strdup(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? xstrdup(s) : NULL;
}

static char *
nonempty_strdup(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && *s ? xstrdup(s) : NULL;
}

/* The reference's Arg has any number of texts; here they are one. */
static char *
join_args(const json_t *args)
{
	struct buf b = BUF_INIT;
	size_t n = json_array_size(args);

	if (n == 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(args, i));

		buf_addf(&b, "%s%s", i ? " " : "", s ? s : "");
	}
	return buf_take(&b, NULL);
}

/* Reads one link of the chain; *o becomes the next. */
static struct err *
read_err_part(const json_t **o)
{
	char *text = nonempty_strdup(*o, "Error");
	const char *kind = json_string_value(json_object_get(*o, "Kind"));
	struct err *e = err_new(ERR_OTHER, NULL, NULL);

	if (text) {	/* a plain sentence; its other members mean nothing */
		e->msg = text;
		*o = NULL;
		return e;
	}
	if (kind)
		e->kind = err_kind_from_name(kind, strlen(kind));
	e->op = nonempty_strdup(*o, "Op");
	e->arg = join_args(json_object_get(*o, "Arg"));
	e->msg = member_strdup(*o, "Msg");
	*o = json_object_get(*o, "Cause");
	if (e->msg)
		*o = json_object_get(*o, "Cause");
	return e;
}

struct err *
json_as_err(const json_t *j)
{
	struct err *first = NULL, **link = &first;

	while (json_is_object(j)) {
		*link = read_err_part(&j);
		link = &(*link)->cause;
	}
	if (!first && json_is_string(j))
		return err_msg(ERR_OTHER, "%s", json_string_value(j));
	if (!first && j && !json_is_null(j))
		return err_msg(ERR_OTHER, "an error that cannot be read");
	return first;
}

json_t *
json_time(int64_t ns)
{
	int64_t rest = ns % 1000000000;
	time_t sec = ns / 1000000000;
	struct tm tm;
	char day[32], text[48];

	if (rest < 0) {
		rest += 1000000000;
		sec--;
	}
	gmtime_r(&sec, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof text, "%s.%09dZ", day, (int)rest);
	return json_string(text);
}

static json_t *
json_hex(const char *p, size_t n)
{
	struct buf b = BUF_INIT;
	json_t *j;

	buf_add_hex(&b, p, n);
	j = json_stringn(buf_str(&b), b.len);
	buf_release(&b);
	return j;
}

static json_t *
json_bin(const char *p, size_t n)
{
	struct digest d;

	if (n != DIGEST_LEN)
		return json_hex(p, n);
	memcpy(d.b, p, n);
	return json_digest(&d);
}

static json_t *
json_ext(const msgpack_object *o)
{
	int64_t ns;

	return mpk_as_time(o, &ns) ? json_time(ns) : json_hex(o->via.ext.ptr, o->via.ext.size);
}

static json_t *
json_double(double v)
{
	if (isfinite(v))
		return json_real(v);
	return json_string(isnan(v) ? "NaN" : v > 0 ? "Inf" : "-Inf");
}

static json_t *
json_map(const msgpack_object *o)
{
	json_t *out = json_object();

	for (uint32_t i = 0; i < o->via.map.size; i++) {
		const msgpack_object_kv *kv = &o->via.map.ptr[i];
		json_t *key = json_from_mpk(&kv->key);
		struct buf b = BUF_INIT;

		if (json_is_string(key))
			buf_add(&b, json_string_value(key), json_string_length(key));
		else
			json_dump_buf(key, &b);
		json_object_setn_new(out, buf_str(&b), b.len, json_from_mpk(&kv->val));
		buf_release(&b);
		json_decref(key);
	}
	return out;
}

static json_t *
json_list(const msgpack_object *o)
{
	json_t *out = json_array();

	for (uint32_t i = 0; i < o->via.array.size; i++)
		json_array_append_new(out, json_from_mpk(&o->via.array.ptr[i]));
	return out;
}

/* Recursion: a parsed document is at most 30 containers deep. */
json_t *
json_from_mpk(const msgpack_object *o)
{
	char text[24];

	if (!o)
		return json_null();
	switch (o->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		return json_boolean(o->via.boolean);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		if (o->via.u64 <= INT64_MAX)
			return json_integer((json_int_t)o->via.u64);
		snprintf(text, sizeof text, "%llu", (unsigned long long)o->via.u64);
		return json_string(text);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return json_integer(o->via.i64);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_double(o->via.f64);
	case MSGPACK_OBJECT_STR:
		return json_text(o->via.str.ptr, o->via.str.size);
	case MSGPACK_OBJECT_BIN:
		return json_bin(o->via.bin.ptr, o->via.bin.size);
	case MSGPACK_OBJECT_EXT:
		return json_ext(o);
	case MSGPACK_OBJECT_ARRAY:
		return json_list(o);
	case MSGPACK_OBJECT_MAP:
		return json_map(o);
	case MSGPACK_OBJECT_NIL:
	default:
		return json_null();
	}
}

static int
dump_cb(const char *p, size_t n, void *out)
{
	buf_add(out, p, n);
	return 0;
}

void
json_dump_buf(const json_t *j, struct buf *out)
{
	json_dump_callback(j, dump_cb, out, JSON_COMPACT | JSON_ENCODE_ANY);
}
