/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_JOURNAL_WIRE_H
#define WEIR_LOOP_JOURNAL_WIRE_H

#include "base/buf.h"

/*
 * What goes between a controller and its journal process.
 *
 * To the process, a stream of items: records as base/frame.h frames them, written to the segment as
 * they come; and commands, which are told from records by a length of 0: u32 LE 0 · u32 LE command.
 * JOURNAL_SEGMENT closes the segment and opens the next; the record behind it is that segment's
 * header and is not counted. The stream opens with it.
 *
 * From the process, answers: u32 LE length of the text · u32 LE errno · u32 LE step · u64 LE count ·
 * text. count is how many records this process has made durable; it never falls. errno 0: all that
 * was read is durable. Otherwise the step failed on the path in text, the process has cut away what
 * it could not make durable, and ends.
 */
#define JOURNAL_COMMAND_LEN 8
enum journal_command { JOURNAL_SEGMENT = 1 };

enum journal_item {
	JOURNAL_ITEM_RECORD,
	JOURNAL_ITEM_SEGMENT,
	JOURNAL_ITEM_MORE,	/* the rest is not whole yet */
	JOURNAL_ITEM_BAD,	/* no such command, an impossible length or a wrong checksum */
};
/* The item at p, which ends at *next. */
enum journal_item journal_item_next(const char *p, size_t n, size_t *next);
/* The same for a stream that we wrote ourselves: nothing is checked, and a head must be there. */
bool   journal_is_command(const char *p);
size_t journal_item_len(const char *p);
void journal_command_add(struct buf *, enum journal_command);

#define JOURNAL_ANSWER_HEAD 20
#define JOURNAL_ANSWER_TEXT_MAX 4096
enum journal_step { JOURNAL_STEP_LOCK, JOURNAL_STEP_CREATE, JOURNAL_STEP_WRITE, JOURNAL_STEP_SYNC, JOURNAL_STEP_READ,
	JOURNAL_NSTEPS };
struct journal_answer {
	uint64_t	  count;
	int		  eno;
	enum journal_step step;
	const char	 *text;		/* borrowed, not ended by a NUL */
	size_t		  len;
};
void journal_answer_add(struct buf *, const struct journal_answer *);
/* Reads the answer at p, which ends at *next. False with *next 0: not whole yet; with *next > 0: no answer at all. */
bool journal_answer_next(const char *p, size_t n, struct journal_answer *, size_t *next);
const char *journal_step_text(enum journal_step);	/* static: the op of an error */

#endif
