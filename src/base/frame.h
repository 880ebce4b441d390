/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_FRAME_H
#define WEIR_BASE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Record framing of journals, readable without a loop:
 * length u32 LE (at least 1) · CRC-32C u32 LE over length and payload · payload (one msgpack map).
 */
#define FRAME_HEAD 8
#define FRAME_MAX  (64u << 20)	/* a longer length is damage */

uint32_t crc32c(uint32_t crc, const void *, size_t);	/* Castagnoli, RFC 3720 B.4; start with 0 */

void frame_add(struct buf *, const void *payload, size_t);	/* appends a framed payload */

enum frame_state {
	FRAME_OK,	/* payload and next are set */
	FRAME_END,	/* nothing left: a clean end */
	FRAME_TORN,	/* the rest is shorter than its frame says: a torn tail, or still being written */
	FRAME_BAD,	/* impossible length or wrong checksum: ends the readable part of the segment */
};
/* Looks at the frame that begins at p; borrows the payload. */
enum frame_state frame_next(const char *p, size_t n, const char **payload, size_t *len, size_t *next);

#endif
