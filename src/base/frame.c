/* SPDX-License-Identifier: Apache-2.0 */
#include "base/frame.h"

#include <assert.h>

/*
 * Frames. The checksum covers the length too, so that a damaged length is told from a long record;
 * a length of 0 is impossible, so that a file of zeros is no list of empty records.
 */

static void
put_u32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (8 * i));
}

static uint32_t
get_u32(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v |= (uint32_t)(unsigned char)p[i] << (8 * i);
	return v;
}

static uint32_t
checksum(const char *head, const char *payload, size_t n)
{
	return crc32c(crc32c(0, head, 4), payload, n);
}

void
frame_add(struct buf *out, const void *payload, size_t n)
{
	char head[FRAME_HEAD];

	assert(n >= 1 && n <= FRAME_MAX);
	put_u32(head, (uint32_t)n);
	put_u32(head + 4, checksum(head, payload, n));
	buf_reserve(out, FRAME_HEAD + n);
	buf_add(out, head, FRAME_HEAD);
	buf_add(out, payload, n);
}

enum frame_state
frame_next(const char *p, size_t n, const char **payload, size_t *len, size_t *next)
{
	uint32_t size;

	if (n == 0)
		return FRAME_END;
	if (n < 4)
		return FRAME_TORN;
	size = get_u32(p);
	if (size == 0 || size > FRAME_MAX)
		return FRAME_BAD;
	if (n < FRAME_HEAD || n - FRAME_HEAD < size)
		return FRAME_TORN;
	if (get_u32(p + 4) != checksum(p, p + FRAME_HEAD, size))
		return FRAME_BAD;
	*payload = p + FRAME_HEAD;
	*len = size;
	*next = FRAME_HEAD + (size_t)size;
	return FRAME_OK;
}
