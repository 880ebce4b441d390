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

/* A head and what it is the head of, in one go: there are very many of them in a record. */
static inline void
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

/* A head byte, and behind it a number of so many bytes, the highest first. */
static size_t
head_number(uint8_t head[9], uint8_t first, unsigned bytes, uint64_t v)
{
	head[0] = first;
	for (unsigned i = bytes; i > 0; i--, v >>= 8)
		head[i] = (uint8_t)v;
	return 1 + bytes;
}

static void
add_number(struct mpk_w *w, uint8_t first, unsigned bytes, uint64_t v)
{
	uint8_t head[9];

	add_headed(w, head, head_number(head, first, bytes, v), NULL, 0);
}

/* A length, in the shortest form that it has: up to most in the head itself; first8 0: no form of one byte. */
static size_t
head_length(uint8_t head[9], uint8_t fix, size_t most, uint8_t first8, uint8_t first16, size_t n)
{
	if (n <= most) {
		head[0] = (uint8_t)(fix | n);
		return 1;
	}
	if (n <= UINT8_MAX && first8)
		return head_number(head, first8, 1, n);
	if (n <= UINT16_MAX)
		return head_number(head, first16, 2, n);
	return head_number(head, (uint8_t)(first16 + 1), 4, n);
}

void
mpk_w_init(struct mpk_w *w, struct buf *out)
{
	w->out = out;
}

void
mpk_map(struct mpk_w *w, size_t n)
{
	uint8_t head[9];

	add_headed(w, head, head_length(head, 0x80, 15, 0, 0xde, n), NULL, 0);
}

void
mpk_array(struct mpk_w *w, size_t n)
{
	uint8_t head[9];

	add_headed(w, head, head_length(head, 0x90, 15, 0, 0xdc, n), NULL, 0);
}

void
mpk_nil(struct mpk_w *w)
{
	add_number(w, 0xc0, 0, 0);
}

void
mpk_bool(struct mpk_w *w, bool v)
{
	add_number(w, v ? 0xc3 : 0xc2, 0, 0);
}

void
mpk_u64(struct mpk_w *w, uint64_t v)
{
	if (v <= 0x7f)
		add_number(w, (uint8_t)v, 0, 0);
	else if (v <= UINT8_MAX)
		add_number(w, 0xcc, 1, v);
	else if (v <= UINT16_MAX)
		add_number(w, 0xcd, 2, v);
	else if (v <= UINT32_MAX)
		add_number(w, 0xce, 4, v);
	else
		add_number(w, 0xcf, 8, v);
}

void
mpk_i64(struct mpk_w *w, int64_t v)
{
	if (v >= 0)
		mpk_u64(w, (uint64_t)v);
	else if (v >= -32)
		add_number(w, (uint8_t)v, 0, 0);
	else if (v >= INT8_MIN)
		add_number(w, 0xd0, 1, (uint64_t)v);
	else if (v >= INT16_MIN)
		add_number(w, 0xd1, 2, (uint64_t)v);
	else if (v >= INT32_MIN)
		add_number(w, 0xd2, 4, (uint64_t)v);
	else
		add_number(w, 0xd3, 8, (uint64_t)v);
}

void
mpk_double(struct mpk_w *w, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	add_number(w, 0xcb, 8, bits);
}

void
mpk_str(struct mpk_w *w, const char *s)
{
	if (s)
		mpk_strn(w, s, strlen(s));
	else
		mpk_nil(w);
}

void
mpk_strn(struct mpk_w *w, const char *s, size_t n)
{
	uint8_t head[9];

	add_headed(w, head, head_length(head, 0xa0, 31, 0xd9, 0xda, n), s, n);
}

void
mpk_bin(struct mpk_w *w, const void *p, size_t n)
{
	uint8_t head[9];
	size_t nhead = n <= UINT8_MAX ? head_number(head, 0xc4, 1, n) : n <= UINT16_MAX ? head_number(head, 0xc5, 2, n) :
	    head_number(head, 0xc6, 4, n);

	add_headed(w, head, nhead, p, n);
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
		add_headed(w, (const uint8_t[]){ 0xc4, DIGEST_LEN }, 2, d->b, DIGEST_LEN);
}

/* Seconds alone, with 30 bits of nanoseconds in front of 34, or both in full. */
void
mpk_time(struct mpk_w *w, int64_t ns)
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;
	uint8_t head[3] = { 0xc7, 12, 0xff }, b[13];

	if (rest < 0) {	/* before 1970: nanoseconds count forward from the second below */
		rest += 1000000000;
		sec--;
	}
	if (sec >> 34 != 0) {
		head_number(b + 4, 0, 8, (uint64_t)sec);
		head_number(b, 0, 4, (uint64_t)rest);
		add_headed(w, head, 3, b + 1, 12);
		return;
	}
	head[1] = 0xff;
	if (rest == 0 && sec <= UINT32_MAX) {
		head[0] = 0xd6;
		head_number(b, 0, 4, (uint64_t)sec);
		add_headed(w, head, 2, b + 1, 4);
	} else {
		head[0] = 0xd7;
		head_number(b, 0, 8, (uint64_t)rest << 34 | (uint64_t)sec);
		add_headed(w, head, 2, b + 1, 8);
	}
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
