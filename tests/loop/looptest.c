/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/looptest.h"

#include <signal.h>

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
