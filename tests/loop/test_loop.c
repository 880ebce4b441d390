/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/looptest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"

/* Operations and the turn: wakes, cancels inside callbacks, stop, emptiness, signals, randomness, clocks. */

/* An operation that notes when it is advanced, and then does as its test says. */
struct probe {
	struct op op;
	int	  advanced;
	int	  released;
	void (*then)(struct probe *);
	struct probe *other;
	struct timer *timer;
};
static char order[64];

static void
note(char c)
{
	size_t n = strlen(order);

	assert_true(n + 1 < sizeof order);
	order[n] = c;
	order[n + 1] = '\0';
}

static void
probe_advance(struct op *op)
{
	struct probe *p = op_owner(op, struct probe, op);

	p->advanced++;
	if (p->then != NULL)
		p->then(p);
}

static void
probe_release(struct op *op)
{
	op_owner(op, struct probe, op)->released++;
}

static const struct op_type probe_type = { "probe", probe_advance, probe_release };

static void
probe_init(struct probe *p, struct loop *l, void (*then)(struct probe *))
{
	*p = (struct probe){ .then = then };
	op_init(&p->op, l, &probe_type);
}

static void
release_self(struct probe *p)
{
	op_release(&p->op);
}

static void
test_wake_is_one(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct probe p;

	probe_init(&p, l, NULL);
	assert_false(loop_turn(l, true));	/* alive, but nothing could wake it: no hang */
	op_wake(&p.op);
	op_wake(&p.op);
	assert_int_equal(p.advanced, 0);
	assert_false(loop_turn(l, true));
	assert_int_equal(p.advanced, 1);
	assert_int_equal(loop_nlive(l), 1);
	op_release(&p.op);
	assert_int_equal(p.released, 1);
	assert_int_equal(loop_nlive(l), 0);
	loop_free(l);
}

static void
wake_other_and_self(struct probe *p)
{
	op_wake(&p->op);
	op_wake(&p->other->op);
}

/* What is woken during a drain waits for the next turn. */
static void
test_wake_inside_callback(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct probe a, b;

	probe_init(&a, l, wake_other_and_self);
	probe_init(&b, l, NULL);
	a.other = &b;
	op_wake(&a.op);
	assert_true(loop_turn(l, true));
	assert_int_equal(a.advanced, 1);
	assert_int_equal(b.advanced, 0);
	assert_true(loop_turn(l, true));
	assert_int_equal(a.advanced, 2);
	assert_int_equal(b.advanced, 1);
	op_release(&a.op);
	op_release(&b.op);
	loop_free(l);
}

static void
release_other(struct probe *p)
{
	op_release(&p->other->op);
}

/* The one released is the next in the queue, then the last one: both ends of the list. */
static void
test_cancel_inside_callback(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct probe a, b, c;

	probe_init(&a, l, release_other);
	probe_init(&b, l, NULL);
	probe_init(&c, l, NULL);
	a.other = &b;
	op_wake(&a.op);
	op_wake(&b.op);
	op_wake(&c.op);
	loop_turn(l, true);
	assert_int_equal(b.advanced, 0);
	assert_int_equal(b.released, 1);
	assert_int_equal(c.advanced, 1);
	c.then = release_other;
	c.other = &a;
	op_wake(&c.op);
	op_wake(&a.op);
	assert_false(loop_turn(l, true));
	assert_int_equal(a.advanced, 1);
	assert_int_equal(a.released, 1);
	assert_int_equal(c.advanced, 2);
	op_release(&c.op);
	loop_free(l);
}

static void
stop_at_three(struct probe *p)
{
	op_wake(&p->op);
	if (p->advanced == 3)
		loop_stop(p->op.loop);
}

static void
test_run_and_stop(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct probe p;

	loop_run(l);	/* empty: returns */
	probe_init(&p, l, stop_at_three);
	op_wake(&p.op);
	loop_run(l);
	assert_int_equal(p.advanced, 3);
	p.then = release_self;
	loop_run(l);	/* the stop is used up; this time it ends because nothing is left */
	assert_int_equal(p.advanced, 4);
	assert_int_equal(p.released, 1);
	loop_free(l);
}

static void
note_io(int what, void *arg)
{
	char c;

	assert_int_equal(what, IO_READ);
	assert_int_equal(read(*(int *)arg, &c, 1), 1);
	note(c);
}

static void
note_wake_self(struct probe *p)
{
	note('w');
	if (p->advanced < 3)
		op_wake(&p->op);
}

static void
note_timer(void *arg unused_arg)
{
	note('t');
}

/* In each turn: descriptors, timers, wakes; a chain of wakes starves neither of the others. */
static void
test_order_of_a_turn(void **state unused_arg)
{
	struct clock *clock = clock_virtual_new(0);
	struct loop *l = loop_new(clock);
	struct timer t;
	struct probe p;
	struct io io;
	int fd[2];

	order[0] = '\0';
	assert_int_equal(pipe(fd), 0);
	io_init(&io, l, fd[0], "pipe", note_io, &fd[0]);
	io_want(&io, IO_READ);
	timer_init(&t, l, "note", note_timer, NULL);
	probe_init(&p, l, note_wake_self);
	op_wake(&p.op);
	timer_set(&t, 0);
	clock->advance(clock, loop_now(l) + 1);
	assert_int_equal(write(fd[1], "12", 2), 2);
	loop_turn(l, true);
	assert_string_equal(order, "1tw");
	loop_turn(l, true);
	loop_turn(l, true);
	assert_string_equal(order, "1tw2ww");
	op_release(&p.op);
	io_clear(&io);
	close(fd[0]);
	close(fd[1]);
	loop_free(l);
	clock_virtual_free(clock);
}

static void
count_signal(int signo, void *arg)
{
	assert_int_equal(signo, SIGUSR1);
	(*(int *)arg)++;
}

static void
nothing(void *arg unused_arg)
{
}

static void
test_signal(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct timer wait;
	struct sig s = { 0 };
	int n = 0;

	sig_clear(&s);
	sig_init(&s, l, SIGUSR1, count_signal, &n);
	assert_int_equal(loop_nlive(l), 0);
	assert_false(loop_turn(l, true));	/* a handler alone does not hold the loop */
	timer_init(&wait, l, "wait", nothing, NULL);
	timer_set(&wait, SECONDS(30));
	kill(getpid(), SIGUSR1);
	while (n == 0)
		loop_turn(l, true);
	assert_int_equal(n, 1);
	assert_true(timer_is_set(&wait));
	timer_clear(&wait);
	sig_clear(&s);
	loop_free(l);
}

static void
test_random(void **state unused_arg)
{
	/* The stream of seed 42, as computed from the published algorithms by another program. */
	static const uint8_t expect[16] = {
		0x16, 0xc7, 0x2e, 0x0c, 0x2e, 0x0b, 0x78, 0x15, 0x7e, 0x3a, 0x11, 0x6d, 0x86, 0xd9, 0x04, 0x61,
	};
	struct loop *l = loop_new(NULL), *m = loop_new(NULL);
	uint8_t a[16], b[16];

	loop_random(l, a, sizeof a);
	loop_random(l, b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	loop_seed(l, 42);
	loop_seed(m, 42);
	loop_random(l, a, sizeof a);
	loop_random(m, b, 8);
	loop_random(m, b + 8, 8);
	assert_memory_equal(a, b, sizeof a);
	assert_memory_equal(a, expect, sizeof a);
	loop_free(l);
	loop_free(m);
}

static void
test_clocks(void **state unused_arg)
{
	struct clock *real = clock_real(), *v = clock_virtual_new(SECONDS(1700000000));
	int64_t a = real->mono(real);

	assert_null(real->advance);
	assert_true(real->mono(real) >= a);
	assert_true(real->wall(real) > SECONDS(1600000000));
	assert_int_equal(v->mono(v), SECONDS(1));
	assert_int_equal(v->wall(v), SECONDS(1700000000));
	v->advance(v, SECONDS(11));
	assert_int_equal(v->wall(v), SECONDS(1700000010));
	clock_virtual_free(v);
	clock_virtual_free(NULL);
}

/* In a forked child with stderr in a pipe: gives what it said before it was ended by an assertion. */
static char *
said_before_abort(void (*fn)(void))
{
	static char text[4096];
	size_t n = 0;
	ssize_t got;
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(fd[1], 2);
		fn();
		_exit(0);
	}
	close(fd[1]);
	while ((got = read(fd[0], text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fd[0]);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	return text;
}

static void
free_with_leaks(void)
{
	struct loop *l = loop_new(NULL);
	static struct probe p;
	static struct timer t;
	static struct io io;
	int fd[2];

	probe_init(&p, l, NULL);
	op_wake(&p.op);
	timer_init(&t, l, "lease_renew", nothing, NULL);
	timer_set(&t, SECONDS(1));
	if (pipe(fd) == -1)
		return;
	io_init(&io, l, fd[0], "results", note_io, NULL);
	io_want(&io, IO_READ);
	loop_free(l);
}

static void
test_leaks_are_named(void **state unused_arg)
{
	const char *text = said_before_abort(free_with_leaks);

	assert_non_null(strstr(text, "weir: alive in the loop: operation probe#1 (woken)\n"
	    "weir: alive in the loop: timer lease_renew\n"
	    "weir: alive in the loop: descriptor "));
	assert_non_null(strstr(text, " (results)\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake_is_one),
		cmocka_unit_test(test_wake_inside_callback),
		cmocka_unit_test(test_cancel_inside_callback),
		cmocka_unit_test(test_run_and_stop),
		cmocka_unit_test(test_order_of_a_turn),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_leaks_are_named),
	};

	test_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
