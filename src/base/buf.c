/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "base/xalloc.h"

/*
 * Growable bytes. Invariant: cap is 0 and p NULL, or cap > len and p[len] is NUL; so buf_str() needs
 * no terminator of its own, and a pointer into p dies with the next add.
 */

#define READ_STEP (64u << 10)

void
buf_release(struct buf *b)
{
	free(b->p);
	*b = (struct buf)BUF_INIT;
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->p)
		b->p[0] = '\0';
}

void
buf_grow(struct buf *b, size_t more)
{
	size_t need = b->len + more + 1, cap;

	if (need <= b->len)	/* wrapped around: let the allocator refuse */
		need = SIZE_MAX;
	if (need <= b->cap)
		return;
	cap = b->cap + b->cap / 2;
	if (cap < need)
		cap = need;
	if (cap < 32)
		cap = 32;
	b->p = xrealloc(b->p, cap);
	b->cap = cap;
	b->p[b->len] = '\0';
}

void
buf_add(struct buf *b, const void *src, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->p + b->len, src, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void
buf_addstr(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_u64(struct buf *b, uint64_t v)
{
	char digits[20], *p = digits + sizeof digits;

	do
		*--p = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	buf_reserve(b, 64);
	va_start(ap, fmt);
	n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->p[b->len] = '\0';
		return;
	}
	if ((size_t)n >= b->cap - b->len) {
		buf_reserve(b, (size_t)n);
		va_start(ap, fmt);
		vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n >= b->len) {
		buf_clear(b);
		return;
	}
	memmove(b->p, b->p + n, b->len - n + 1);
	b->len -= n;
}

const char *
buf_str(const struct buf *b)
{
	return b->p ? b->p : "";
}

char *
buf_take(struct buf *b, size_t *len)
{
	char *p;

	buf_reserve(b, 0);
	p = b->p;
	if (len)
		*len = b->len;
	*b = (struct buf)BUF_INIT;
	return p;
}

/* Ranges beyond ASCII that Go's strconv.IsPrint refuses and that can mislead a reader; of spaces only U+0020 stays. */
static const struct {
	uint32_t lo, hi;
} unprintable[] = {
	{ 0x80, 0xa0 }, { 0xad, 0xad }, { 0x61c, 0x61c }, { 0x1680, 0x1680 }, { 0x180e, 0x180e }, { 0x2000, 0x200f },
	{ 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 }, { 0xe000, 0xf8ff }, { 0xfdd0, 0xfdef },
	{ 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0xe0000, 0xe007f }, { 0xf0000, 0x10ffff },
};

static bool
is_printable(uint32_t c)
{
	for (size_t i = 0; i < nitems(unprintable); i++)
		if (c >= unprintable[i].lo && c <= unprintable[i].hi)
			return false;
	return true;
}

static void
add_quoted_ascii(struct buf *b, unsigned char c)
{
	static const char escapes[] = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";

	for (size_t i = 0; i + 1 < sizeof escapes - 1; i += 2)
		if ((unsigned char)escapes[i] == c) {
			buf_addf(b, "\\%c", escapes[i + 1]);
			return;
		}
	if (c < ' ' || c == 0x7f)
		buf_addf(b, "\\x%02x", c);
	else
		buf_addch(b, (char)c);
}

void
buf_add_quoted(struct buf *b, const char *s, size_t n)
{
	buf_addch(b, '"');
	while (n) {
		uint32_t c = 0;
		size_t len = utf8_next(s, n, &c);

		if (len == 0) {
			buf_addf(b, "\\x%02x", (unsigned char)*s);
			len = 1;
		} else if (len == 1) {
			add_quoted_ascii(b, (unsigned char)c);
		} else if (is_printable(c)) {
			buf_add(b, s, len);
		} else {
			buf_addf(b, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
		}
		s += len;
		n -= len;
	}
	buf_addch(b, '"');
}

void
buf_add_size(struct buf *b, double bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = fabs(bytes);
	size_t i;

	if (!(v >= 1024)) {
		buf_addf(b, "%.0fB", bytes);
		return;
	}
	v = bytes / 1024;
	for (i = 0; i + 1 < nitems(units) && fabs(v) >= 1024; i++)
		v /= 1024;
	buf_addf(b, "%.1f%s", v, units[i]);
}

void
buf_add_hex(struct buf *b, const void *src, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = src;

	buf_reserve(b, 2 * n);
	for (size_t i = 0; i < n; i++) {
		b->p[b->len++] = digits[p[i] >> 4];
		b->p[b->len++] = digits[p[i] & 15];
	}
	b->p[b->len] = '\0';
}

struct err *
buf_read_fd(struct buf *b, int fd, const char *name, size_t max)
{
	size_t start = b->len;

	for (;;) {
		ssize_t n;

		buf_reserve(b, READ_STEP);
		n = read(fd, b->p + b->len, READ_STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || b->len - start + (size_t)n > max) {
			struct err *err = NULL;

			if (n < 0)
				err = err_errno(errno, "read", "%s", name);
			else if (n > 0)
				err = err_msg(ERR_INVALID, "%s is larger than %zu bytes", name, max);
			if (err)
				b->len = start;
			b->p[b->len] = '\0';
			return err;
		}
		b->len += (size_t)n;
	}
}

struct err *
buf_read_file(struct buf *b, const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct err *err;

	if (fd < 0)
		return err_errno(errno, "open", "%s", path);
	err = buf_read_fd(b, fd, path, max);
	close(fd);
	return err;
}
