/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_DIGEST_H
#define WEIR_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* SHA-256 (FIPS 180-4). The zero digest means "none". */
#define DIGEST_LEN 32
struct digest {
	uint8_t b[DIGEST_LEN];
};

struct sha256 {
	uint64_t state[16];	/* holds the library's context; size checked in digest.c */
};
void sha256_init(struct sha256 *);
void sha256_add(struct sha256 *, const void *, size_t);
void sha256_final(struct sha256 *, struct digest *);
void sha256_of(const void *, size_t, struct digest *);
/* Hashes from the descriptor's position to its end (reads of 128 KiB); size may be NULL. Blocks: not for the loop. */
must_check struct err *sha256_fd(int fd, const char *name, struct digest *, uint64_t *size);

bool digest_equal(const struct digest *, const struct digest *);
int  digest_cmp(const struct digest *, const struct digest *);
bool digest_is_zero(const struct digest *);

#define DIGEST_HEX (2 * DIGEST_LEN)
#define DIGEST_STR (sizeof "sha256:" - 1 + DIGEST_HEX)
void digest_hex(const struct digest *, char out[DIGEST_HEX + 1]);	/* 64 hex digits and NUL */
void digest_str(const struct digest *, char out[DIGEST_STR + 1]);	/* `sha256:<64 hex>` */
void digest_short(const struct digest *, char out[9]);			/* the first 8 hex digits */
/* Accepts `sha256:HEX` or bare HEX of 64 digits, either case. Else ERR_INVALID. */
must_check struct err *digest_parse(const char *, size_t, struct digest *);

/*
 * w1: weir's own digest of a computation. Every part is framed as (kind, position, length, bytes), so
 * that no two different sequences of parts share a digest. A digest is opened with a domain
 * ("exec", "value", "k", …) and closed with the number of parts.
 */
enum w1_kind {		/* never renumber: keys on disk depend on it */
	W1_TEXT = 1,	/* bytes of a string */
	W1_DIGEST = 2,	/* another digest */
	W1_INT = 3,	/* u64 little endian */
	W1_INPUT = 4,	/* an input operand, by digest */
	W1_OUTPUT = 5,	/* an output operand */
	W1_DELAYED = 6,	/* a delayed operand, by its node's digest */
	W1_NAME = 7,	/* a field or parameter name */
	W1_FLOAT = 8,	/* canonical text of a float */
	W1_NEG = 9,	/* magnitude of a negative int, big endian */
	W1_POS = 10,	/* magnitude of a non-negative int, big endian */
};
struct w1 {
	struct sha256 sha;
	uint32_t      nparts, n;
	uint8_t	      b[256];	/* n bytes that the sum has not got yet */
};
void w1_init(struct w1 *, const char *domain);
void w1_add(struct w1 *, enum w1_kind, uint32_t pos, const void *, size_t);
void w1_add_str(struct w1 *, enum w1_kind, uint32_t pos, const char *);		/* NULL: absent, unlike "" */
void w1_add_digest(struct w1 *, enum w1_kind, uint32_t pos, const struct digest *);
void w1_add_u64(struct w1 *, uint32_t pos, uint64_t);
void w1_final(struct w1 *, struct digest *);

#endif
