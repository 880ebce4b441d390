/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mpk.h"
#include "base/mpk_scan.h"

/*
 * What a reader would get wrong: a block is a frame, and what is in it, once it is inflated, are frames
 * again, as they stood in the segment. So each record keeps its checksum all the way, and a damaged block
 * costs its own records and no others: the length of a frame says where the next one begins.
 */
#define KIND_BLOCK "block"
#define LEVEL 1		/* the others take two to four times as long and win two per cent */

/* Reading. */

void
pack_reader_init(struct pack_reader *r, int fd, const char *path, uint64_t from, uint64_t to, wal_damage_cb *damage,
    void *arg)
{
	memset(r, 0, sizeof *r);
	r->fd = fd;
	r->path = path;
	r->at = r->block = from;
	r->end = to;
	r->damage = damage;
	r->arg = arg;
}

void
pack_reader_release(struct pack_reader *r)
{
	buf_release(&r->frame);
	buf_release(&r->raw);
}

static void
damaged(struct pack_reader *r, enum frame_state state, uint64_t skipped)
{
	struct wal_pos pos = { r->path, r->block };

	if (r->damage)
		r->damage(&pos, state, skipped, r->arg);
}

/* Appends n bytes of the file, fewer at its end. */
static struct err *
read_at(struct pack_reader *r, size_t n)
{
	buf_reserve(&r->frame, n);
	while (n > 0) {
		ssize_t got = pread(r->fd, r->frame.p + r->frame.len, n, (off_t)(r->block + r->frame.len));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(errno, "read", "%s", r->path);
		if (got == 0)
			break;
		r->frame.len += (size_t)got;
		n -= (size_t)got;
	}
	return NULL;
}

static size_t
frame_len(const char *p)
{
	size_t v = 0;

	for (int i = 0; i < 4; i++)
		v |= (size_t)(unsigned char)p[i] << (8 * i);
	return v;
}

/* The whole frame at block into memory. Without one, where it ends: the end of what can be read. */
static struct err *
read_frame(struct pack_reader *r, enum frame_state *state, const char **payload, size_t *len, size_t *next)
{
	uint64_t left = r->end - r->block;
	struct err *err;
	size_t size;

	buf_clear(&r->frame);
	*state = FRAME_TORN;
	*next = (size_t)left;
	err = read_at(r, left < FRAME_HEAD ? (size_t)left : FRAME_HEAD);
	if (err || r->frame.len < FRAME_HEAD)
		return err;
	size = frame_len(r->frame.p);
	if (size == 0 || size > FRAME_MAX)
		*state = FRAME_BAD;
	if (*state == FRAME_BAD || size > left - FRAME_HEAD)
		return NULL;
	err = read_at(r, size);
	if (!err && r->frame.len == FRAME_HEAD + size) {
		*state = frame_next(r->frame.p, r->frame.len, payload, len, next);
		*next = FRAME_HEAD + size;
	}
	return err;
}

struct block {
	const char *controller;
	size_t	    ncontroller;
	const unsigned char *z;
	size_t	    nz;
	uint64_t    size;
};

static bool
slice_bin(const struct mpk_slice *v, const unsigned char **p, size_t *n)
{
	size_t head = (size_t)(v->end - v->p) < 1 ? 0 : v->p[0] == 0xc4 ? 2 : v->p[0] == 0xc5 ? 3 : v->p[0] == 0xc6 ? 5 : 0;

	*p = v->p + head;
	*n = (size_t)(v->end - v->p) - head;
	return head != 0;
}

static bool
parse_block(const char *payload, size_t len, struct block *b)
{
	struct mpk_slice key, value;
	bool kind = false, z = false;
	struct mpk_scan s;

	memset(b, 0, sizeof *b);
	if (!mpk_scan_map(&s, payload, len))
		return false;
	while (mpk_scan_next(&s, &key, &value)) {
		if (mpk_slice_is(&key, "kind"))
			kind = mpk_slice_is(&value, KIND_BLOCK);
		else if (mpk_slice_is(&key, "controller"))
			(void)mpk_slice_str(&value, &b->controller, &b->ncontroller);
		else if (mpk_slice_is(&key, "size"))
			(void)mpk_slice_u64(&value, &b->size);
		else if (mpk_slice_is(&key, "z"))
			z = slice_bin(&value, &b->z, &b->nz);
	}
	return kind && z && b->ncontroller > 0 && b->ncontroller < PACK_NAME && b->size > 0 &&
	    b->size <= PACK_RECORD + PACK_BLOCK + FRAME_HEAD;
}

static bool
inflate_block(struct pack_reader *r, const struct block *b)
{
	uLongf n = b->size;

	buf_clear(&r->raw);
	buf_reserve(&r->raw, b->size);
	if (uncompress((Bytef *)r->raw.p, &n, b->z, b->nz) != Z_OK || n != b->size)
		return false;
	r->raw.len = n;
	memcpy(r->controller, b->controller, b->ncontroller);
	r->controller[b->ncontroller] = '\0';
	return true;
}

/* Sets off in raw, which is empty at the end. */
static struct err *
next_block(struct pack_reader *r)
{
	struct err *err = NULL;

	r->off = 0;
	buf_clear(&r->raw);
	while (!err && r->at < r->end) {
		enum frame_state state;
		const char *payload;
		size_t len, next;
		struct block b;

		r->block = r->at;
		err = read_frame(r, &state, &payload, &len, &next);
		if (err)
			break;
		r->at += next;
		if (state == FRAME_OK && parse_block(payload, len, &b) && inflate_block(r, &b))
			break;
		buf_clear(&r->raw);
		damaged(r, state == FRAME_OK ? FRAME_BAD : state, next);
	}
	return err;
}

struct err *
pack_reader_next(struct pack_reader *r, const char **payload, size_t *len)
{
	*payload = NULL;
	for (;;) {
		struct err *err;
		size_t next;

		if (r->off < r->raw.len) {
			if (frame_next(r->raw.p + r->off, r->raw.len - r->off, payload, len, &next) == FRAME_OK) {
				r->off += next;
				return NULL;
			}
			*payload = NULL;
			damaged(r, FRAME_BAD, r->at - r->block);
		}
		err = next_block(r);
		if (err || r->raw.len == 0)
			return err;
	}
}

/* Writing. */

void
pack_writer_init(struct pack_writer *w, int fd, const char *path)
{
	memset(w, 0, sizeof *w);
	w->fd = fd;
	w->path = path;
}

static void
write_out(struct pack_writer *w, const char *p, size_t n)
{
	while (n > 0 && !w->err) {
		ssize_t put = pwrite(w->fd, p, n, (off_t)w->written);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			w->err = err_errno(errno, "write", "%s", w->path);
			return;
		}
		p += put;
		n -= (size_t)put;
		w->written += (uint64_t)put;
	}
}

static void
add_block(struct buf *out, const char *controller, const struct buf *raw)
{
	uLongf nz = compressBound(raw->len);
	struct buf z = BUF_INIT, payload = BUF_INIT;
	struct mpk_w w;

	buf_reserve(&z, nz);
	if (compress2((Bytef *)z.p, &nz, (const Bytef *)raw->p, raw->len, LEVEL) != Z_OK)
		abort();	/* no memory: the buffer is large enough */
	mpk_w_init(&w, &payload);
	mpk_map(&w, 4);
	mpk_key(&w, "kind");
	mpk_str(&w, KIND_BLOCK);
	mpk_key(&w, "controller");
	mpk_str(&w, controller);
	mpk_key(&w, "size");
	mpk_u64(&w, raw->len);
	mpk_key(&w, "z");
	mpk_bin(&w, z.p, nz);
	frame_add(out, payload.p, payload.len);
	buf_release(&payload);
	buf_release(&z);
}

void
pack_writer_flush(struct pack_writer *w)
{
	struct buf out = BUF_INIT;

	if (w->raw.len == 0 || w->err)
		return;
	add_block(&out, w->controller, &w->raw);
	buf_clear(&w->raw);
	write_out(w, out.p, out.len);
	buf_release(&out);
}

void
pack_writer_begin(struct pack_writer *w, const char *controller)
{
	pack_writer_flush(w);
	snprintf(w->controller, sizeof w->controller, "%s", controller);
}

void
pack_writer_add(struct pack_writer *w, const void *payload, size_t n)
{
	frame_add(&w->raw, payload, n);
	if (w->raw.len >= PACK_BLOCK)
		pack_writer_flush(w);
}

void
pack_writer_copy(struct pack_writer *w, int fd, const char *path, uint64_t from, uint64_t to)
{
	struct buf b = BUF_INIT;

	pack_writer_flush(w);
	buf_reserve(&b, PACK_BLOCK);
	while (from < to && !w->err) {
		size_t n = to - from < PACK_BLOCK ? (size_t)(to - from) : PACK_BLOCK;
		ssize_t got = pread(fd, b.p, n, (off_t)from);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			w->err = got < 0 ? err_errno(errno, "read", "%s", path) : err_new(ERR_INTEGRITY, "read", "%s", path);
			break;
		}
		write_out(w, b.p, (size_t)got);
		from += (uint64_t)got;
	}
	buf_release(&b);
}

void
pack_writer_undo(struct pack_writer *w, uint64_t written)
{
	buf_clear(&w->raw);
	w->written = written;
	if (!w->err && ftruncate(w->fd, (off_t)written) < 0)
		w->err = err_errno(errno, "write", "%s", w->path);
}

struct err *
pack_writer_end(struct pack_writer *w)
{
	struct err *err;

	pack_writer_flush(w);
	err = w->err;
	w->err = NULL;
	buf_release(&w->raw);
	return err;
}
