/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <regex.h>

#include "tests/check.h"

/* The log: what each level lets through, and the two prefixes. stderr is a pipe meanwhile. */

static void
say_all(enum log_level level)
{
	log_init("weir-keeper", level);
	errno = EPERM;
	log_error("e %d", 1);
	log_info("i %d", 2);
	log_debug("d %d", 3);
	assert_int_equal(errno, EPERM);
}

/* Gives what say_all wrote to stderr. */
static char *
captured(enum log_level level)
{
	int ends[2], saved = dup(STDERR_FILENO);
	char *text = xcalloc(1, 4096);

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	say_all(level);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_true(read(ends[0], text, 4095) >= 0);
	close(ends[0]);
	return text;
}

static void
levels(void **state unused_arg)
{
	static const struct {
		enum log_level level;
		const char *text;
	} cases[] = {
		{ LOG_OFF, "" },
		{ LOG_ERROR, "weir-keeper: e 1\n" },
		{ LOG_INFO, "weir-keeper: e 1\nweir-keeper: i 2\n" },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		char *text = captured(cases[i].level);

		assert_string_equal(text, cases[i].text);
		assert_int_equal(log_level(), cases[i].level);
		free(text);
	}
}

static void
debug_lines_have_the_time(void **state unused_arg)
{
	char *text = captured(LOG_DEBUG);
	regex_t re;

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z "
	assert_int_equal(regcomp(&re, "^" TIME "e 1\n" TIME "i 2\n" TIME "d 3\n$", REG_EXTENDED | REG_NOSUB), 0);
	assert_int_equal(regexec(&re, text, 0, NULL, 0), 0);
	regfree(&re);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(debug_lines_have_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
