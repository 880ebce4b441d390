/* SPDX-License-Identifier: Apache-2.0 */
/* The plain context below is deprecated since OpenSSL 3.0, and yet the only one without allocation. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"

/*
 * SHA-256 on OpenSSL's plain context (its state is a value: it can be embedded, copied and linked
 * statically; the EVP interface costs a fetch and drags in providers), and the framed digest w1.
 *
 * The bytes that w1 hashes are a format: keys on disk depend on it. They are, integers little endian:
 *	"weir-w1\n", length of domain (u32), domain,
 *	per part: kind (u8), position (u32), length (u64; all ones: absent), bytes,
 *	at the end: 0xff, number of parts (u32).
 */

#define READ_SIZE (128u << 10)
#define W1_END	  0xff

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct sha256), "struct sha256 holds the library's context");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct sha256), "struct sha256 is aligned for it");

static SHA256_CTX *
ctx(struct sha256 *s)
{
	return (SHA256_CTX *)(void *)s;
}

void
sha256_init(struct sha256 *s)
{
	SHA256_Init(ctx(s));
}

void
sha256_add(struct sha256 *s, const void *p, size_t n)
{
	SHA256_Update(ctx(s), p, n);
}

void
sha256_final(struct sha256 *s, struct digest *out)
{
	SHA256_Final(out->b, ctx(s));
}

void
sha256_of(const void *p, size_t n, struct digest *out)
{
	struct sha256 s;

	sha256_init(&s);
	sha256_add(&s, p, n);
	sha256_final(&s, out);
}

struct err *
sha256_fd(int fd, const char *name, struct digest *out, uint64_t *size)
{
	struct err *err = NULL;
	struct sha256 s;
	uint64_t total = 0;
	char *block = xmalloc(READ_SIZE);
	ssize_t n;

	sha256_init(&s);
	while ((n = read(fd, block, READ_SIZE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = err_errno(errno, "read", "%s", name);
			goto out;
		}
		sha256_add(&s, block, (size_t)n);
		total += (uint64_t)n;
	}
	sha256_final(&s, out);
	if (size)
		*size = total;
out:
	free(block);
	return err;
}

bool
digest_equal(const struct digest *a, const struct digest *b)
{
	return digest_cmp(a, b) == 0;
}

int
digest_cmp(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, DIGEST_LEN);
}

bool
digest_is_zero(const struct digest *d)
{
	static const struct digest zero;

	return digest_equal(d, &zero);
}

static void
hex_of(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

void
digest_hex(const struct digest *d, char out[DIGEST_HEX + 1])
{
	hex_of(d->b, DIGEST_LEN, out);
}

void
digest_str(const struct digest *d, char out[DIGEST_STR + 1])
{
	memcpy(out, "sha256:", 7);
	hex_of(d->b, DIGEST_LEN, out + 7);
}

void
digest_short(const struct digest *d, char out[9])
{
	hex_of(d->b, 4, out);
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static struct err *
bad_digest(const char *s, size_t n)
{
	struct buf b = BUF_INIT;
	struct err *err;

	buf_add_quoted(&b, s, n < 100 ? n : 100);
	err = err_msg(ERR_INVALID, "bad digest %s: sha256: and 64 hex digits are expected", buf_str(&b));
	buf_release(&b);
	return err;
}

struct err *
digest_parse(const char *s, size_t n, struct digest *out)
{
	const char *p = s;
	size_t left = n;
	struct digest d;

	if (left > 7 && memcmp(p, "sha256:", 7) == 0) {
		p += 7;
		left -= 7;
	}
	if (left != DIGEST_HEX)
		return bad_digest(s, n);
	for (size_t i = 0; i < DIGEST_LEN; i++) {
		int hi = nibble(p[2 * i]), lo = nibble(p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return bad_digest(s, n);
		d.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*out = d;
	return NULL;
}

static void
put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Parts are short and many, and each call of the library has its price: they go in a few hundred bytes at a time. */
static void
w1_bytes(struct w1 *w, const void *p, size_t n)
{
	if (n > sizeof w->b - w->n) {
		sha256_add(&w->sha, w->b, w->n);
		w->n = 0;
	}
	if (n > sizeof w->b) {
		sha256_add(&w->sha, p, n);
		return;
	}
	if (n > 0)
		memcpy(w->b + w->n, p, n);
	w->n += (uint32_t)n;
}

void
w1_init(struct w1 *w, const char *domain)
{
	size_t n = strlen(domain);
	uint8_t len[4];

	sha256_init(&w->sha);
	w->nparts = 0;
	w->n = 0;
	put_le(len, n, sizeof len);
	w1_bytes(w, "weir-w1\n", 8);
	w1_bytes(w, len, sizeof len);
	w1_bytes(w, domain, n);
}

#define W1_HEAD 13

static void
w1_head(struct w1 *w, uint8_t head[W1_HEAD], enum w1_kind kind, uint32_t pos, uint64_t len)
{
	head[0] = (uint8_t)kind;
	put_le(head + 1, pos, 4);
	put_le(head + 5, len, 8);
	w->nparts++;
}

void
w1_add(struct w1 *w, enum w1_kind kind, uint32_t pos, const void *p, size_t n)
{
	uint8_t head[W1_HEAD];

	w1_head(w, head, kind, pos, n);
	w1_bytes(w, head, sizeof head);
	w1_bytes(w, p, n);
}

void
w1_add_str(struct w1 *w, enum w1_kind kind, uint32_t pos, const char *s)
{
	uint8_t head[W1_HEAD];

	if (s) {
		w1_add(w, kind, pos, s, strlen(s));
		return;
	}
	w1_head(w, head, kind, pos, UINT64_MAX);
	w1_bytes(w, head, sizeof head);
}

void
w1_add_digest(struct w1 *w, enum w1_kind kind, uint32_t pos, const struct digest *d)
{
	w1_add(w, kind, pos, d->b, DIGEST_LEN);
}

void
w1_add_u64(struct w1 *w, uint32_t pos, uint64_t v)
{
	uint8_t b[8];

	put_le(b, v, sizeof b);
	w1_add(w, W1_INT, pos, b, sizeof b);
}

void
w1_final(struct w1 *w, struct digest *out)
{
	uint8_t end[5] = { W1_END };

	put_le(end + 1, w->nparts, 4);
	w1_bytes(w, end, sizeof end);
	sha256_add(&w->sha, w->b, w->n);
	sha256_final(&w->sha, out);
}
