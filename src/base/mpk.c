/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mpk.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mpk_scan.h"
#include "base/xalloc.h"

/*
 * msgpack. Before msgpack-c sees foreign bytes, mpk_whole() walks them once: msgpack-c allocates for
 * what a header claims, and a claim of four billion elements costs an attacker five bytes.
 */

#define ERR_DEPTH 10	/* causes written one by one; deeper ones become text */

static int
write_cb(void *out, const char *p, size_t n)
{
	buf_add(out, p, n);
	return 0;
}

void
mpk_w_init(struct mpk_w *w, struct buf *out)
{
	w->out = out;
	msgpack_packer_init(&w->pk, out, write_cb);
}

void
mpk_map(struct mpk_w *w, size_t n)
{
	msgpack_pack_map(&w->pk, n);
}

void
mpk_array(struct mpk_w *w, size_t n)
{
	msgpack_pack_array(&w->pk, n);
}

void
mpk_key(struct mpk_w *w, const char *key)
{
	mpk_strn(w, key, strlen(key));
}

void
mpk_nil(struct mpk_w *w)
{
	msgpack_pack_nil(&w->pk);
}

void
mpk_bool(struct mpk_w *w, bool v)
{
	if (v)
		msgpack_pack_true(&w->pk);
	else
		msgpack_pack_false(&w->pk);
}

void
mpk_u64(struct mpk_w *w, uint64_t v)
{
	msgpack_pack_uint64(&w->pk, v);
}

void
mpk_i64(struct mpk_w *w, int64_t v)
{
	msgpack_pack_int64(&w->pk, v);
}

void
mpk_double(struct mpk_w *w, double v)
{
	msgpack_pack_double(&w->pk, v);
}

void
mpk_str(struct mpk_w *w, const char *s)
{
	if (s)
		mpk_strn(w, s, strlen(s));
	else
		mpk_nil(w);
}

/* A head and what it is the head of, in one go: most of what is written is texts and digests. */
static void
add_headed(struct mpk_w *w, const uint8_t *head, size_t nhead, const void *p, size_t n)
{
	struct buf *b = w->out;

	buf_reserve(b, nhead + n);
	memcpy(b->p + b->len, head, nhead);
	if (n)
		memcpy(b->p + b->len + nhead, p, n);
	b->len += nhead + n;
	b->p[b->len] = '\0';
}

void
mpk_strn(struct mpk_w *w, const char *s, size_t n)
{
	uint8_t head[2] = { 0xd9, (uint8_t)n };

	if (n < 32) {
		head[1] = (uint8_t)(0xa0 | n);
		add_headed(w, head + 1, 1, s, n);
	} else if (n < 256) {
		add_headed(w, head, 2, s, n);
	} else {
		msgpack_pack_str(&w->pk, n);
		msgpack_pack_str_body(&w->pk, s, n);
	}
}

void
mpk_bin(struct mpk_w *w, const void *p, size_t n)
{
	uint8_t head[2] = { 0xc4, (uint8_t)n };

	if (n < 256) {
		add_headed(w, head, 2, p, n);
	} else {
		msgpack_pack_bin(&w->pk, n);
		msgpack_pack_bin_body(&w->pk, p, n);
	}
}

/* What is a whole object already. */
void
mpk_raw(struct mpk_w *w, const void *p, size_t n)
{
	buf_add(w->out, p, n);
}

void
mpk_digest(struct mpk_w *w, const struct digest *d)
{
	if (!d || digest_is_zero(d))
		mpk_nil(w);
	else
		mpk_bin(w, d->b, DIGEST_LEN);
}

void
mpk_time(struct mpk_w *w, int64_t ns)
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;
	msgpack_timestamp ts;

	if (rest < 0) {	/* before 1970: nanoseconds count forward from the second below */
		rest += 1000000000;
		sec--;
	}
	ts.tv_sec = sec;
	ts.tv_nsec = (uint32_t)rest;
	msgpack_pack_timestamp(&w->pk, &ts);
}

/*
 * Documents come one after the other and in great numbers: a zone in which every short one fits, whatever is in it, is kept
 * for the next. A byte makes an object at most.
 */
#define SHORT_DOC 2048
#define SHORT_ZONE (SHORT_DOC * (sizeof(msgpack_object) + 2) + 64)

static msgpack_zone *spare_zone;

static msgpack_zone *
zone_get(size_t n)
{
	msgpack_zone *z = n <= SHORT_DOC ? spare_zone : NULL;

	if (z)
		spare_zone = NULL;
	else
		z = msgpack_zone_new(n <= SHORT_DOC ? SHORT_ZONE : MSGPACK_ZONE_CHUNK_SIZE);
	if (!z)
		abort();	/* as everywhere where memory is out */
	return z;
}

static void
zone_give(msgpack_zone *z)
{
	if (spare_zone || z->chunk_size != SHORT_ZONE) {
		msgpack_zone_free(z);
		return;
	}
	msgpack_zone_clear(z);
	spare_zone = z;
}

struct err *
mpk_parse(struct mpk_doc *d, const void *p, size_t n)
{
	size_t off = 0;
	char *copy;

	memset(d, 0, sizeof *d);
	if (!mpk_whole(p, n))
		return err_msg(ERR_INVALID, "not one whole msgpack object (%zu bytes)", n);
	d->zone = zone_get(n);
	copy = msgpack_zone_malloc(d->zone, n);
	if (copy)
		memcpy(copy, p, n);
	if (copy && msgpack_unpack(copy, n, &off, d->zone, &d->root) == MSGPACK_UNPACK_SUCCESS && off == n)
		return NULL;
	mpk_doc_release(d);
	return err_msg(ERR_INVALID, "not readable as msgpack (%zu bytes)", n);
}

void
mpk_doc_release(struct mpk_doc *d)
{
	if (d->zone)
		zone_give(d->zone);
	d->zone = NULL;
}

const msgpack_object *
mpk_root(const struct mpk_doc *d)
{
	return &d->root;
}

const msgpack_object *
mpk_get(const msgpack_object *map, const char *key)
{
	size_t n = strlen(key);

	if (!map || map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object *k = &map->via.map.ptr[i].key;

		if (k->type != MSGPACK_OBJECT_STR || k->via.str.size != n)
			continue;
		if (n == 0 || memcmp(k->via.str.ptr, key, n) == 0)	/* an empty string's ptr is NULL */
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

bool
mpk_get_str(const msgpack_object *map, const char *key, const char **s, size_t *n)
{
	const msgpack_object *o = mpk_get(map, key);

	if (!o || o->type != MSGPACK_OBJECT_STR)
		return false;
	*s = o->via.str.size ? o->via.str.ptr : "";
	*n = o->via.str.size;
	return true;
}

char *
mpk_as_strdup(const msgpack_object *o)
{
	if (!o || o->type != MSGPACK_OBJECT_STR)
		return NULL;
	return xstrndup(o->via.str.size ? o->via.str.ptr : "", o->via.str.size);
}

char *
mpk_get_strdup(const msgpack_object *map, const char *key)
{
	return mpk_as_strdup(mpk_get(map, key));
}

bool
mpk_get_u64(const msgpack_object *map, const char *key, uint64_t *v)
{
	const msgpack_object *o = mpk_get(map, key);

	if (!o || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return false;
	*v = o->via.u64;
	return true;
}

bool
mpk_get_i64(const msgpack_object *map, const char *key, int64_t *v)
{
	const msgpack_object *o = mpk_get(map, key);

	if (!o)
		return false;
	if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
		*v = o->via.i64;
		return true;
	}
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > INT64_MAX)
		return false;
	*v = (int64_t)o->via.u64;
	return true;
}

bool
mpk_as_double(const msgpack_object *o, double *v)
{
	if (!o)
		return false;
	switch (o->type) {
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		*v = o->via.f64;
		return true;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		*v = (double)o->via.u64;
		return true;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		*v = (double)o->via.i64;
		return true;
	default:
		return false;
	}
}

bool
mpk_get_double(const msgpack_object *map, const char *key, double *v)
{
	return mpk_as_double(mpk_get(map, key), v);
}

bool
mpk_get_bool(const msgpack_object *map, const char *key, bool *v)
{
	const msgpack_object *o = mpk_get(map, key);

	if (!o || o->type != MSGPACK_OBJECT_BOOLEAN)
		return false;
	*v = o->via.boolean;
	return true;
}

bool
mpk_as_digest(const msgpack_object *o, struct digest *d)
{
	struct digest got;

	if (!o || o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != DIGEST_LEN)
		return false;
	memcpy(got.b, o->via.bin.ptr, DIGEST_LEN);
	if (digest_is_zero(&got))
		return false;
	*d = got;
	return true;
}

bool
mpk_get_digest(const msgpack_object *map, const char *key, struct digest *d)
{
	return mpk_as_digest(mpk_get(map, key), d);
}

bool
mpk_as_time(const msgpack_object *o, int64_t *ns)
{
	msgpack_timestamp ts;

	return o && msgpack_object_to_timestamp(o, &ts) && mpk_time_ns(ts.tv_sec, ts.tv_nsec, ns);
}

bool
mpk_get_time(const msgpack_object *map, const char *key, int64_t *ns)
{
	return mpk_as_time(mpk_get(map, key), ns);
}

static void
write_err_part(struct mpk_w *w, const char *op, const char *arg, enum err_kind kind, const char *msg)
{
	mpk_map(w, 5);
	mpk_key(w, "Op");
	mpk_str(w, op);
	mpk_key(w, "Arg");
	if (arg) {
		mpk_array(w, 1);
		mpk_str(w, arg);
	} else {
		mpk_nil(w);
	}
	mpk_key(w, "Kind");
	mpk_str(w, err_kind_name(kind));
	mpk_key(w, "Error");
	mpk_str(w, msg);
	mpk_key(w, "Cause");	/* last: the chain is written without recursion */
}

void
mpk_err(struct mpk_w *w, const struct err *e)
{
	for (int depth = 1; e; e = e->cause, depth++) {
		if (depth == ERR_DEPTH && e->cause) {
			char *text = err_str(e);

			write_err_part(w, NULL, NULL, err_kind(e), text);
			free(text);
			break;
		}
		write_err_part(w, e->op, e->arg, e->kind, e->msg);
	}
	mpk_nil(w);
}

static struct err *
read_err_part(const msgpack_object *o)
{
	const msgpack_object *arg = mpk_get(o, "Arg");
	const char *kind = "";
	size_t n = 0;
	struct err *e;

	mpk_get_str(o, "Kind", &kind, &n);
	e = err_new(err_kind_from_name(kind, n), NULL, NULL);
	e->op = mpk_get_strdup(o, "Op");
	e->msg = mpk_get_strdup(o, "Error");
	if (arg && arg->type == MSGPACK_OBJECT_ARRAY && arg->via.array.size > 0)
		e->arg = mpk_as_strdup(&arg->via.array.ptr[0]);
	return e;
}

struct err *
mpk_as_err(const msgpack_object *o)
{
	struct err *first = NULL, **link = &first;

	for (; o && o->type == MSGPACK_OBJECT_MAP; o = mpk_get(o, "Cause")) {
		*link = read_err_part(o);
		link = &(*link)->cause;
	}
	if (!first && o && o->type != MSGPACK_OBJECT_NIL)
		first = err_msg(ERR_OTHER, "an error that cannot be read");
	return first;
}
