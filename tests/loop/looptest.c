/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/looptest.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

static void
test_limit_reached(int signo unused_arg)
{
	static const char text[] = "the time limit of this test is over\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);

	(void)n;
	_exit(1);
}

void
test_limit(unsigned seconds)
{
	signal(SIGALRM, test_limit_reached);
	alarm(seconds);
}

void
test_until(struct loop *l, const bool *done)
{
	while (!*done)
		if (!loop_turn(l, true) && !*done)
			fail_msg("nothing is left that could wake the loop");
}

void
test_turns(struct loop *l, int n)
{
	while (n-- > 0)
		loop_turn(l, false);
}

char *
test_dir_new(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/weir-test-XXXXXX", tmp != NULL ? tmp : "/tmp");

	if (mkdtemp(dir) == NULL)
		fail_msg("cannot make %s", dir);
	return dir;
}

static int
test_remove(const char *path, const struct stat *st unused_arg, int type unused_arg, struct FTW *ftw unused_arg)
{
	return remove(path);
}

void
test_dir_free(char *dir)
{
	nftw(dir, test_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

void
test_err_is(struct err *err, const char *text)
{
	char *s = err_str(err);

	assert_string_equal(s, text);
	free(s);
	err_free(err);
}

void
test_no_err(struct err *err)
{
	char *s;

	if (err == NULL)
		return;
	s = err_str(err);
	err_free(err);
	fail_msg("unexpected error: %s", s);
}
