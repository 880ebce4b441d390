/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/*
 * A growable byte buffer, always followed by a NUL that does not count. Zeroed memory is a valid
 * empty buffer: `struct buf b = BUF_INIT;`. Growing without bound on foreign input is the caller's
 * bug: check the size first.
 */
struct buf {
	char  *p;	/* NULL while cap is 0 */
	size_t len;
	size_t cap;
};
#define BUF_INIT { NULL, 0, 0 }

void  buf_release(struct buf *);		/* frees; the buffer is empty and usable again */
void  buf_clear(struct buf *);			/* length 0, memory kept */
void  buf_grow(struct buf *, size_t more);
static inline void
buf_reserve(struct buf *b, size_t more)		/* room for more bytes beyond len */
{
	if (more >= b->cap - b->len)
		buf_grow(b, more);
}
void  buf_add(struct buf *, const void *, size_t);
void  buf_addstr(struct buf *, const char *);
static inline void
buf_addch(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->p[b->len++] = c;
	b->p[b->len] = '\0';
}
void  buf_add_u64(struct buf *, uint64_t);	/* in decimal digits */
void  buf_addf(struct buf *, const char *fmt, ...) printf_like(2, 3);
void  buf_drop(struct buf *, size_t n);		/* removes n bytes from the front */
const char *buf_str(const struct buf *);	/* borrows; "" when empty */
char *buf_take(struct buf *, size_t *len);	/* gives the bytes (free); the buffer is empty. len may be NULL */

void  buf_add_quoted(struct buf *, const char *, size_t);	/* Go-style double quotes and escapes */
void  buf_add_size(struct buf *, double bytes);			/* `512B`, `1.5KiB`, `10.0GiB` */
void  buf_add_hex(struct buf *, const void *, size_t);

/* Reads a whole file of at most max bytes into buf (appends). Larger: ERR_INVALID. */
must_check struct err *buf_read_file(struct buf *, const char *path, size_t max);
must_check struct err *buf_read_fd(struct buf *, int fd, const char *name, size_t max);

#endif
