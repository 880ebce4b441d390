/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <signal.h>
#include <sys/wait.h>

/* Allocation: sizes of 0, copies, and that an impossible size ends the process instead of giving NULL. */

static void
sizes_of_zero(void **state unused_arg)
{
	void *p = xmalloc(0), *q = xcalloc(0, 8), *r = xrealloc(NULL, 0);

	assert_non_null(p);
	assert_non_null(q);
	assert_non_null(r);
	free(p);
	free(q);
	free(r);
}

static void
copies(void **state unused_arg)
{
	char *a = xstrdup("weir"), *b = xstrndup("weir", 2), *c = xstrndup("we", 10), *d = xmemdup("a\0b", 3);
	char *e = xasprintf("%s-%d", "n", 7);
	int *v = xreallocarray(NULL, 3, sizeof *v);

	assert_string_equal(a, "weir");
	assert_string_equal(b, "we");
	assert_string_equal(c, "we");
	assert_memory_equal(d, "a\0b", 3);
	assert_string_equal(e, "n-7");
	v[2] = 1;
	free(a);
	free(b);
	free(c);
	free(d);
	free(e);
	free(v);
}

static void
overflow_aborts(void **state unused_arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		volatile size_t huge = SIZE_MAX / 2;

		signal(SIGABRT, SIG_DFL);
		dup2(null, STDERR_FILENO);
		free(xreallocarray(NULL, huge, 4));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_of_zero),
		cmocka_unit_test(copies),
		cmocka_unit_test(overflow_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
