/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/executor/keepertest.h"

/* test_exec: what an exec does and what is promised to its command, on a real keeper. */

static void
test_ok(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct file in;
	char *text;

	world_open(&w, NULL);
	object_put(&w, "hello\n", &in);
	struct spec s = { .cmd = "tr a-z A-Z < %s > %s; echo said; echo 100%% >&2", .holes = { ARG(0, 1), OUT(0) }, .nholes = 2,
		.inputs = { { .path = "0/0", .file = in } }, .ninputs = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	text = object_text(&w, &output_file(&g, 0, ".")->id);
	assert_string_equal(text, "HELLO\n");
	free(text);
	text = object_text(&w, &g.result.out);
	assert_string_equal(text, "said\n");
	free(text);
	text = object_text(&w, &g.result.errlog);
	assert_string_equal(text, "100%\n");
	free(text);
	assert_int_equal(g.result.attempt, 1);
	assert_int_equal(g.result.status, 0);
	assert_false(g.result.attached);
	assert_true(g.result.usage.wall_ns > 0);
	drop(&g);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
