/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tests/check.h"

struct work {
	unsigned steps, done, cost;
	bool	 gave_up;
	char	*text;
};

static void
count(void *arg)
{
	struct work *w = arg;
	char *mine = xstrdup("held over pauses");

	for (; w->done < w->steps; w->done++)
		if (!slice_breathe(w->cost)) {
			w->gave_up = true;
			break;
		}
	w->text = mine;
}

static void
test_short(unused_arg void **state)
{
	struct slice *s = slice_new();
	struct work w = { .steps = 100, .cost = 1 };

	assert_false(slice_busy(s));
	slice_begin(s, count, &w);
	assert_true(slice_busy(s));
	assert_true(slice_go(s));
	assert_false(slice_busy(s));
	assert_int_equal(w.done, 100);
	free(w.text);
	slice_free(s);
}

static void
test_parts(unused_arg void **state)
{
	struct slice *s = slice_new();
	unsigned turns[2] = { 0, 0 };

	for (unsigned i = 0; i < 2; i++) {	/* its stack is used again */
		struct work w = { .steps = 1000000, .cost = 3 };
		unsigned before = 0;

		slice_begin(s, count, &w);
		while (!slice_go(s)) {
			assert_true(w.done > before);
			before = w.done;
			turns[i]++;
			for (unsigned k = 0; k < 1000; k++)	/* of no concern to it */
				assert_true(slice_breathe(1000));
		}
		assert_int_equal(w.done, 1000000);
		assert_string_equal(w.text, "held over pauses");
		free(w.text);
	}
	assert_true(turns[0] > 10 && turns[0] < 10000);
	assert_int_equal(turns[0], turns[1]);
	slice_free(s);
}

static void
test_give_up(unused_arg void **state)
{
	struct slice *s = slice_new();
	struct work w = { .steps = 1000000, .cost = 10 };

	slice_begin(s, count, &w);
	assert_false(slice_go(s));
	slice_free(s);
	assert_true(w.gave_up);
	assert_true(w.done < 1000000);
	free(w.text);
	slice_free(NULL);
}

/* Several at a time, each with its own stack, left in the middle of recursion. */
static unsigned
depth_sum(unsigned n)
{
	volatile char block[512];

	memset((char *)(uintptr_t)block, (int)n, sizeof block);
	slice_breathe(100);
	return n == 0 ? 0 : (unsigned char)block[n % sizeof block] + depth_sum(n - 1);
}

static void
deep(void *arg)
{
	*(unsigned *)arg = depth_sum(2000);
}

static void
test_interleaved(unused_arg void **state)
{
	struct slice *s[5];
	unsigned sum[5], want = 0, left = 5;

	for (unsigned n = 1; n <= 2000; n++)
		want += n % 256;
	for (unsigned i = 0; i < 5; i++) {
		s[i] = slice_new();
		slice_begin(s[i], deep, &sum[i]);
	}
	while (left > 0)
		for (unsigned i = 0; i < 5; i++)
			if (slice_busy(s[i]) && slice_go(s[i]))
				left--;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(sum[i], want);
		slice_free(s[i]);
	}
}

static void
pauser(void *arg)
{
	unsigned *n = arg;

	while (slice_pause())
		++*n;
}

static void
test_pause(unused_arg void **state)
{
	struct slice *s = slice_new();
	unsigned n = 0;

	slice_begin(s, pauser, &n);
	for (unsigned i = 0; i < 10; i++) {
		assert_false(slice_go(s));
		assert_int_equal(n, i);
	}
	slice_free(s);
	assert_int_equal(n, 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short), cmocka_unit_test(test_parts), cmocka_unit_test(test_give_up),
		cmocka_unit_test(test_interleaved), cmocka_unit_test(test_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
