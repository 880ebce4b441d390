/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/frame.h"

/* Frames: whatever reads as a frame lies inside the input, and writing its payload gives the same bytes. */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data, *payload;
	size_t len, next;
	enum frame_state state;

	while ((state = frame_next(p, n, &payload, &len, &next)) == FRAME_OK) {
		struct buf again = BUF_INIT;

		must(next <= n && len >= 1 && next == len + FRAME_HEAD && payload == p + FRAME_HEAD);
		frame_add(&again, payload, len);
		must(again.len == next && memcmp(again.p, p, next) == 0);
		buf_release(&again);
		p += next;
		n -= next;
	}
	must((state == FRAME_END) == (n == 0));
	return 0;
}
