/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/looptest.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* Timers on a virtual clock, which jumps, and on the real one, which is waited for. */
struct shot {
	struct timer timer;
	char	     name;
	int	     fired;
	int64_t	     at;
	int64_t	     again;		/* set again after this; 0: not */
	struct timer *clears;
};
static char order[64];

static void
shot_cb(void *arg)
{
	struct shot *s = arg;
	size_t n = strlen(order);

	assert_false(timer_is_set(&s->timer));
	s->fired++;
	s->at = loop_now(s->timer.loop);
	if (n + 1 < sizeof order) {
		order[n] = s->name;
		order[n + 1] = '\0';
	}
	if (s->clears != NULL)
		timer_clear(s->clears);
	if (s->again != 0)
		timer_set(&s->timer, s->again);
}

static void
shot_init(struct shot *s, struct loop *l, char name)
{
	*s = (struct shot){ .name = name };
	timer_init(&s->timer, l, "shot", shot_cb, s);
}

struct fixture {
	struct clock *clock;
	struct loop *loop;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);

	f->clock = clock_virtual_new(SECONDS(1000));
	f->loop = loop_new(f->clock);
	order[0] = '\0';
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	loop_free(f->loop);
	clock_virtual_free(f->clock);
	free(f);
	return 0;
}

static void
test_jumps(void **state)
{
	struct fixture *f = *state;
	struct shot a, b;

	shot_init(&a, f->loop, 'a');
	shot_init(&b, f->loop, 'b');
	timer_set(&a.timer, SECONDS(86400));
	timer_set(&b.timer, MILLIS(1));
	assert_int_equal(loop_nlive(f->loop), 2);
	loop_run(f->loop);
	assert_string_equal(order, "ba");
	assert_int_equal(b.at, SECONDS(1) + MILLIS(1));
	assert_int_equal(a.at, SECONDS(86401));
	assert_int_equal(loop_wall(f->loop), SECONDS(1000 + 86400));
}

/* A turn that may not block does not move the clock. */
static void
test_no_jump_unless_blocking(void **state)
{
	struct fixture *f = *state;
	struct shot a;

	shot_init(&a, f->loop, 'a');
	timer_set(&a.timer, SECONDS(5));
	assert_true(loop_turn(f->loop, false));
	assert_int_equal(a.fired, 0);
	assert_int_equal(loop_now(f->loop), SECONDS(1));
	assert_false(loop_turn(f->loop, true));
	assert_int_equal(a.fired, 1);
}

static void
test_equal_times_in_order_of_setting(void **state)
{
	struct fixture *f = *state;
	struct shot s[20];
	int i;

	for (i = 0; i < 20; i++) {
		shot_init(&s[i], f->loop, (char)('a' + i));
		timer_set(&s[i].timer, SECONDS(1));
	}
	timer_set(&s[3].timer, SECONDS(1));	/* set again: now the last */
	assert_false(loop_turn(f->loop, true));
	assert_string_equal(order, "abcefghijklmnopqrstd");
}

static void
test_cleared_by_callbacks(void **state)
{
	struct fixture *f = *state;
	struct shot a, b;

	shot_init(&a, f->loop, 'a');
	shot_init(&b, f->loop, 'b');
	a.clears = &b.timer;
	b.clears = &a.timer;
	timer_set(&a.timer, SECONDS(1));
	timer_set(&b.timer, SECONDS(1));
	loop_run(f->loop);
	assert_string_equal(order, "a");
	a.clears = &a.timer;			/* its own: not set any more, harmless */
	timer_set(&a.timer, SECONDS(1));
	loop_run(f->loop);
	assert_string_equal(order, "aa");
	timer_clear(&a.timer);
}

/* Set again with no delay it fires once a turn, so that the rest gets its share. */
static void
test_zero_is_the_next_turn(void **state)
{
	struct fixture *f = *state;
	struct shot a;

	shot_init(&a, f->loop, 'a');
	a.again = -5;
	timer_set(&a.timer, 0);
	loop_turn(f->loop, true);
	assert_int_equal(a.fired, 1);
	loop_turn(f->loop, true);
	assert_int_equal(a.fired, 2);
	timer_clear(&a.timer);
}

static void
test_far_future(void **state)
{
	struct fixture *f = *state;
	struct shot a;

	shot_init(&a, f->loop, 'a');
	timer_set(&a.timer, INT64_MAX);
	assert_int_equal(a.timer.due, INT64_MAX);
	timer_clear(&a.timer);
	timer_clear(&a.timer);
	assert_false(timer_is_set(&a.timer));
}

/* The heap against the plain truth: every shot fires at its time, whatever was set, moved and cleared before. */
static void
test_many(void **state)
{
	enum { N = 500 };
	struct fixture *f = *state;
	struct shot *s = xcalloc(N, sizeof *s);
	int64_t due[N] = { 0 }, last = 0;
	uint32_t r;
	int i, k;

	loop_seed(f->loop, 7);
	for (i = 0; i < N; i++)
		shot_init(&s[i], f->loop, 'x');
	for (k = 0; k < 4 * N; k++) {
		loop_random(f->loop, &r, sizeof r);
		i = (int)(r % N);
		if (r >> 30 == 0) {
			timer_clear(&s[i].timer);
			due[i] = 0;
		} else {
			timer_set(&s[i].timer, 1 + (r >> 8) % 1000);
			due[i] = s[i].timer.due;
		}
	}
	while (loop_turn(f->loop, true)) {
		assert_true(loop_now(f->loop) >= last);
		last = loop_now(f->loop);
	}
	for (i = 0; i < N; i++) {
		assert_int_equal(s[i].fired, due[i] != 0);
		assert_int_equal(s[i].at, due[i]);
	}
	free(s);
}

static void
test_real_clock(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct shot a, b, c;
	int64_t start = loop_now(l);
	int turns = 0;

	shot_init(&a, l, 'a');
	shot_init(&b, l, 'b');
	shot_init(&c, l, 'c');
	timer_set(&a.timer, MILLIS(30));
	timer_set(&b.timer, MILLIS(5));
	timer_set(&c.timer, SECONDS(3600));
	while (a.fired == 0) {
		loop_turn(l, true);
		turns++;
	}
	assert_int_equal(b.fired, 1);
	assert_true(b.at >= start + MILLIS(5) && a.at >= start + MILLIS(30));
	assert_true(a.at < start + SECONDS(20));
	assert_true(turns < 20);		/* waits: does not spin */
	timer_clear(&c.timer);
	timer_set(&b.timer, MILLIS(5));		/* the descriptor was left armed for c */
	loop_run(l);
	assert_int_equal(b.fired, 2);
	loop_free(l);
}

static int64_t
slow_mono(struct clock *c unused_arg)
{
	return clock_real()->mono(NULL) / 2;
}

/* A clock that the host does not keep: the poll ends too early, and must then be waited for again. */
static void
test_slow_clock(void **state unused_arg)
{
	struct clock slow = { .mono = slow_mono, .wall = clock_real()->wall };
	struct loop *l = loop_new(&slow);
	struct shot a;
	int64_t start = slow_mono(NULL);

	shot_init(&a, l, 'a');
	timer_set(&a.timer, MILLIS(10));
	loop_run(l);
	assert_int_equal(a.fired, 1);
	assert_true(a.at >= start + MILLIS(10));
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_jumps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_jump_unless_blocking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_equal_times_in_order_of_setting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cleared_by_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_is_the_next_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_far_future, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test(test_real_clock),
		cmocka_unit_test(test_slow_clock),
	};

	test_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
