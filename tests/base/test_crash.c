/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "tests/check.h"

/*
 * Crash points. They read the environment before main, so each case is this program again: with an
 * argument it passes two points three times each and ends with 7.
 */

static const char *self;

static int
passages(void)
{
	for (int i = 0; i < 3; i++) {
		crash_point("room-step");
		crash_point("room-step-two");
	}
	return 7;
}

static const char *count;	/* WEIR_CRASH_COUNT of the next child; NULL: not set */

/* The wait status of a child that runs with these settings; NULL: not set. */
static int
status_with(const char *crash, const char *once)
{
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		unsetenv("WEIR_CRASH");
		unsetenv("WEIR_CRASH_ONCE");
		unsetenv("WEIR_CRASH_COUNT");
		if (count)
			setenv("WEIR_CRASH_COUNT", count, 1);
		if (crash)
			setenv("WEIR_CRASH", crash, 1);
		if (once)
			setenv("WEIR_CRASH_ONCE", once, 1);
		execl(self, self, "passages", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
assert_dies(const char *crash, const char *once, bool dies)
{
	int status = status_with(crash, once);

	if (dies)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void
dies_at_the_named_passage(void **state unused_arg)
{
	assert_dies(NULL, NULL, false);
	assert_dies("", NULL, false);
	assert_dies("room-step", NULL, true);
	assert_dies("room-step:3", NULL, true);
	assert_dies("room-step:4", NULL, false);
	assert_dies("room-step-two", NULL, true);
	assert_dies("room-ste", NULL, false);
	assert_dies("other", NULL, false);
}

static void
only_the_first_dies(void **state unused_arg)
{
	char *dir = temp_dir_new(), *once = xasprintf("%s/once", dir);

	assert_dies("room-step", once, true);
	assert_dies("room-step", once, false);
	free(once);
	temp_dir_free(dir);
}

/* Over all processes of the program, from where the file begins: the second child passes the 7th to 12th. */
static void
all_are_counted(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/n", dir), *file = xasprintf("%s.test_crash", path);
	struct buf b = BUF_INIT;

	count = path;
	assert_dies(NULL, NULL, false);
	assert_dies("test_crash#9", NULL, true);
	assert_dies("test_crash#9", NULL, false);
	assert_dies("other#16", NULL, false);
	count = NULL;
	assert_dies("test_crash#1", NULL, false);
	assert_ok(buf_read_file(&b, file, 1 << 16));
	assert_int_equal(b.len, (6 + 3 + 6 + 6) * CRASH_LINE);
	assert_memory_equal(b.p, "room-step                              \nroom-step-two ", CRASH_LINE + 14);
	buf_release(&b);
	free(file);
	free(path);
	temp_dir_free(dir);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dies_at_the_named_passage),
		cmocka_unit_test(only_the_first_dies),
		cmocka_unit_test(all_are_counted),
	};

	if (argc > 1)
		return passages();
	self = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
