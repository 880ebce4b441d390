/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/journal_wire.h"

#include "base/frame.h"

/* The protocol of the journal process: see the header. Both sides read through these functions. */

static uint32_t
get_u32(const char *p)
{
	const uint8_t *b = (const uint8_t *)p;

	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void
add_u32(struct buf *out, uint32_t x)
{
	char b[4] = { (char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24) };

	buf_add(out, b, sizeof b);
}

enum journal_item
journal_item_next(const char *p, size_t n, size_t *next)
{
	const char *payload;
	size_t len;

	if (n < JOURNAL_COMMAND_LEN)
		return JOURNAL_ITEM_MORE;
	if (get_u32(p) == 0) {
		*next = JOURNAL_COMMAND_LEN;
		return get_u32(p + 4) == JOURNAL_SEGMENT ? JOURNAL_ITEM_SEGMENT : JOURNAL_ITEM_BAD;
	}
	switch (frame_next(p, n, &payload, &len, next)) {
	case FRAME_OK:
		return JOURNAL_ITEM_RECORD;
	case FRAME_BAD:
		return JOURNAL_ITEM_BAD;
	case FRAME_END:
	case FRAME_TORN:
		break;
	}
	return JOURNAL_ITEM_MORE;
}

bool
journal_is_command(const char *p)
{
	return get_u32(p) == 0;
}

size_t
journal_item_len(const char *p)
{
	return journal_is_command(p) ? JOURNAL_COMMAND_LEN : FRAME_HEAD + (size_t)get_u32(p);
}

void
journal_command_add(struct buf *out, enum journal_command cmd)
{
	add_u32(out, 0);
	add_u32(out, cmd);
}

void
journal_answer_add(struct buf *out, const struct journal_answer *a)
{
	size_t len = a->len < JOURNAL_ANSWER_TEXT_MAX ? a->len : JOURNAL_ANSWER_TEXT_MAX;

	add_u32(out, (uint32_t)len);
	add_u32(out, (uint32_t)a->eno);
	add_u32(out, a->step);
	add_u32(out, (uint32_t)a->count);
	add_u32(out, (uint32_t)(a->count >> 32));
	buf_add(out, a->text, len);
}

bool
journal_answer_next(const char *p, size_t n, struct journal_answer *a, size_t *next)
{
	uint32_t len, step;

	*next = 0;
	if (n < JOURNAL_ANSWER_HEAD)
		return false;
	len = get_u32(p);
	step = get_u32(p + 8);
	if (len > JOURNAL_ANSWER_TEXT_MAX || step >= JOURNAL_NSTEPS || get_u32(p + 4) > INT32_MAX) {
		*next = n;
		return false;
	}
	if (n - JOURNAL_ANSWER_HEAD < len)
		return false;
	a->eno = (int)get_u32(p + 4);
	a->step = (enum journal_step)step;
	a->count = get_u32(p + 12) | (uint64_t)get_u32(p + 16) << 32;
	a->text = p + JOURNAL_ANSWER_HEAD;
	a->len = len;
	*next = JOURNAL_ANSWER_HEAD + len;
	return true;
}

const char *
journal_step_text(enum journal_step step)
{
	static const char *const text[JOURNAL_NSTEPS] = {
		[JOURNAL_STEP_LOCK] = "lock journal",
		[JOURNAL_STEP_CREATE] = "create journal segment",
		[JOURNAL_STEP_WRITE] = "write journal",
		[JOURNAL_STEP_SYNC] = "sync journal",
		[JOURNAL_STEP_READ] = "read records for journal",
	};

	return text[step];
}
