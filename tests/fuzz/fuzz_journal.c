/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/frame.h"
#include "loop/journal_wire.h"

/*
 * Both directions of the journal process's socket: an item lies inside the input, and is what its own
 * head says; an answer that reads as one is written again as the same bytes. Every prefix of an item or
 * an answer asks for more.
 */

static void
items(const char *p, size_t n)
{
	enum journal_item item;
	size_t next, rest;

	for (; (item = journal_item_next(p, n, &next)) <= JOURNAL_ITEM_SEGMENT; p += next, n -= next) {
		must(next >= JOURNAL_COMMAND_LEN && next <= n && next == journal_item_len(p));
		must(journal_is_command(p) == (item == JOURNAL_ITEM_SEGMENT));
		must(journal_item_next(p, next - 1, &rest) == JOURNAL_ITEM_MORE);
	}
	must(item == JOURNAL_ITEM_MORE || n >= JOURNAL_COMMAND_LEN);
}

static void
answers(const char *p, size_t n)
{
	struct journal_answer a, none;
	size_t next, rest;

	for (; journal_answer_next(p, n, &a, &next); p += next, n -= next) {
		struct buf again = BUF_INIT;

		must(next <= n && a.len <= JOURNAL_ANSWER_TEXT_MAX && a.step < JOURNAL_NSTEPS && a.eno >= 0);
		must(!journal_answer_next(p, next - 1, &none, &rest) && rest == 0);
		journal_answer_add(&again, &a);
		must(again.len == next && memcmp(again.p, p, next) == 0);
		must(strlen(journal_step_text(a.step)) > 0);
		buf_release(&again);
	}
	must(next == 0 || n >= JOURNAL_ANSWER_HEAD);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	items((const char *)data, n);
	answers((const char *)data, n);
	return 0;
}
