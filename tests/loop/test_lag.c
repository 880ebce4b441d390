/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/looptest.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "loop/lag.h"

/* Who is charged: by name, by thread CPU, so that sleeping costs nothing. */
struct work {
	struct op    op;
	struct timer timer;
};

static int64_t
cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void
burn(int64_t ns)
{
	int64_t end = cpu_now() + ns;

	while (cpu_now() < end)
		;
}

static void
work_advance(struct op *op)
{
	struct work *w = op_owner(op, struct work, op);

	burn(MILLIS(3));
	timer_set(&w->timer, 1);
}

static void
work_release(struct op *op unused_arg)
{
}

static const struct op_type work_type = { "burner", work_advance, work_release };

static void
work_timer_cb(void *arg unused_arg)
{
	usleep(20000);
}

static const struct lag_row *
row(struct loop *l, const char *name)
{
	size_t i, n;
	const struct lag_row *rows = loop_lag(l, &n);

	for (i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	fail_msg("no row %s", name);
	return NULL;
}

static void
test_lag(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct work w;
	const char *name;
	char nap[] = "nap";
	size_t n;
	int i;

	loop_lag(l, &n);
	assert_int_equal(n, 0);
	assert_int_equal(loop_lag_max(l, &name), 0);
	assert_string_equal(name, "");
	op_init(&w.op, l, &work_type);
	timer_init(&w.timer, l, nap, work_timer_cb, &w);
	for (i = 0; i < 3; i++) {
		op_wake(&w.op);
		while (loop_turn(l, true))
			;
	}
	nap[0] = '\0';		/* names are copied */
	assert_int_equal(loop_lag(l, &n)[0].max_ns, loop_lag_max(l, &name));
	assert_int_equal(n, 2);
	assert_string_equal(loop_lag(l, &n)[0].name, "burner");
	assert_string_equal(name, "burner");
	assert_int_equal(row(l, "burner")->calls, 3);
	assert_true(row(l, "burner")->max_ns >= MILLIS(3));
	assert_true(row(l, "burner")->total_ns >= MILLIS(9));
	assert_int_equal(row(l, "nap")->calls, 3);
	assert_true(row(l, "nap")->total_ns < MILLIS(30));	/* slept 60 */
	op_release(&w.op);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lag) };

	test_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
