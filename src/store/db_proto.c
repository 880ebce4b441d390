/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db_proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdmsg.h"

/*
 * Encoding and decoding of the writer's packets. The decoder trusts nothing: a client of another
 * version, or a bug in one, must cost that client its connection and nobody else anything.
 */

#define MAGIC 0x31424457u	/* "WDB1" */

static void
put_le(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t
get_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

const char *
db_sub_name(enum db_sub sub)
{
	static const char *const names[DB_NSUBS] = { "assoc", "memo", "meta" };

	return names[sub];
}

bool
db_req_by_fd(const struct db_req *r)
{
	return r->op == DB_PUT && r->vlen > DB_INLINE_MAX;
}

void
db_req_encode(const struct db_req *r, struct buf *out)
{
	uint8_t h[DB_HEAD];

	put_le(h, MAGIC, 4);
	h[4] = (uint8_t)r->op;
	h[5] = (uint8_t)r->sub;
	put_le(h + 6, r->klen, 2);
	put_le(h + 8, r->vlen, 4);
	put_le(h + 12, db_req_by_fd(r) ? DB_BY_FD : 0, 4);
	put_le(h + 16, r->number, 8);
	buf_add(out, h, sizeof h);
	buf_add(out, r->key, r->klen);
	if (!db_req_by_fd(r))
		buf_add(out, r->value, r->vlen);
}

struct err *
db_req_decode(const void *packet, size_t n, struct db_req *out)
{
	const uint8_t *h = packet;
	struct db_req r;
	uint64_t flags;

	if (n < DB_HEAD || get_le(h, 4) != MAGIC)
		return err_msg(ERR_INVALID, "not a request");
	if ((h[4] != DB_PUT && h[4] != DB_DELETE) || h[5] >= DB_NSUBS)
		return err_msg(ERR_INVALID, "unknown operation %u on database %u", h[4], h[5]);
	r.op = h[4];
	r.sub = h[5];
	r.klen = get_le(h + 6, 2);
	r.vlen = get_le(h + 8, 4);
	flags = get_le(h + 12, 4);
	r.number = get_le(h + 16, 8);
	if (r.klen == 0 || r.klen > DB_KEY_MAX || r.vlen > DB_VALUE_MAX || (r.op == DB_DELETE && r.vlen > 0))
		return err_msg(ERR_INVALID, "impossible lengths: key %zu, value %zu", r.klen, r.vlen);
	if (flags != (db_req_by_fd(&r) ? DB_BY_FD : 0))
		return err_msg(ERR_INVALID, "flags do not fit the value's length");
	if (n != DB_HEAD + r.klen + (flags ? 0 : r.vlen))
		return err_msg(ERR_INVALID, "a packet of %zu bytes with key %zu, value %zu", n, r.klen, r.vlen);
	r.key = h + DB_HEAD;
	r.value = flags ? NULL : h + DB_HEAD + r.klen;
	*out = r;
	return NULL;
}

void
db_reply_encode(const struct db_reply *r, struct buf *out)
{
	uint8_t h[DB_REPLY] = { 0 };
	size_t from = out->len;
	char *text;

	put_le(h, MAGIC, 4);
	put_le(h + 8, r->number, 8);
	buf_add(out, h, sizeof h);
	if (!r->err)
		return;
	text = err_str(r->err);
	buf_addstr(out, err_kind_name(err_kind(r->err)));
	buf_addch(out, '\0');
	buf_add(out, text, strnlen(text, from + DB_REPLY_MAX - out->len));
	free(text);
}

struct err *
db_reply_decode(const void *packet, size_t n, struct db_reply *out)
{
	const uint8_t *h = packet;
	const char *name = (const char *)h + DB_REPLY, *end;

	if (n < DB_REPLY || n > DB_REPLY_MAX || get_le(h, 4) != MAGIC)
		return err_msg(ERR_INVALID, "not a reply");
	out->number = get_le(h + 8, 8);
	out->err = NULL;
	if (n == DB_REPLY)
		return NULL;
	end = memchr(name, '\0', n - DB_REPLY);
	if (!end)
		return err_msg(ERR_INVALID, "a reply with half an error");
	out->err = err_msg(err_kind_from_name(name, (size_t)(end - name)), "%.*s",
	    (int)((const char *)packet + n - (end + 1)), end + 1);
	return NULL;
}

int
db_req_send(int sock, const struct db_req *r, int flags)
{
	struct buf packet = BUF_INIT;
	int fd = -1, eno;

	if (db_req_by_fd(r)) {
		fd = fdmsg_file(r->value, r->vlen);
		if (fd == -1)
			return errno;
	}
	db_req_encode(r, &packet);
	eno = fdmsg_send(sock, NULL, packet.p, packet.len, fd, flags);
	buf_release(&packet);
	if (fd != -1)
		close(fd);
	return eno;
}
