/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/looptest.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors: level triggered, changed and cleared from inside callbacks, and beside a virtual clock. */
struct end {
	struct io  io;
	int	   fd;
	int	   reads, writes;
	struct io *clears;
	int	   then;	/* io_want in the callback; -1: leave */
};

static void
end_cb(int what, void *arg)
{
	struct end *e = arg;

	e->reads += (what & IO_READ) != 0;
	e->writes += (what & IO_WRITE) != 0;
	if (e->clears != NULL)
		io_clear(e->clears);
	if (e->then != -1)
		io_want(&e->io, e->then);
}

static void
ends_init(struct end e[2], struct loop *l)
{
	int fd[2], i;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	for (i = 0; i < 2; i++) {
		e[i] = (struct end){ .fd = fd[i], .then = -1 };
		io_init(&e[i].io, l, fd[i], "end", end_cb, &e[i]);
	}
}

static void
ends_release(struct end e[2])
{
	int i;

	for (i = 0; i < 2; i++) {
		io_clear(&e[i].io);
		io_clear(&e[i].io);
		close(e[i].fd);
	}
}

static void
put(struct end *e)
{
	assert_int_equal(write(e->fd, "x", 1), 1);
}

static void
test_level_triggered(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct end e[2];
	char c;

	ends_init(e, l);
	put(&e[1]);
	assert_int_equal(loop_nlive(l), 0);	/* made, nothing wanted */
	assert_false(loop_turn(l, true));
	io_want(&e[0].io, IO_READ);
	assert_int_equal(loop_nlive(l), 1);
	loop_turn(l, true);
	loop_turn(l, true);
	assert_int_equal(e[0].reads, 2);	/* not read yet: reported again */
	assert_int_equal(read(e[0].fd, &c, 1), 1);
	loop_turn(l, false);
	assert_int_equal(e[0].reads, 2);
	close(e[1].fd);				/* the end of the stream is readable */
	loop_turn(l, true);
	assert_int_equal(e[0].reads, 3);
	e[1].fd = dup(e[0].fd);
	io_want(&e[0].io, 0);
	assert_int_equal(loop_nlive(l), 0);
	ends_release(e);
	loop_free(l);
}

static void
test_want_changes_in_callback(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct end e[2];

	ends_init(e, l);
	e[0].then = IO_READ;
	io_want(&e[0].io, IO_WRITE | IO_READ);
	loop_turn(l, true);
	assert_int_equal(e[0].writes, 1);
	assert_int_equal(e[0].reads, 0);
	put(&e[1]);
	e[0].then = 0;
	loop_turn(l, true);
	assert_int_equal(e[0].writes, 1);
	assert_int_equal(e[0].reads, 1);
	assert_false(loop_turn(l, true));
	ends_release(e);
	loop_free(l);
}

/* Both are ready in the same poll: whichever runs first clears the other, which then must not run. */
static void
test_cleared_by_sibling(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct end e[2];

	ends_init(e, l);
	put(&e[0]);
	put(&e[1]);
	e[0].clears = &e[1].io;
	e[1].clears = &e[0].io;
	io_want(&e[0].io, IO_READ);
	io_want(&e[1].io, IO_READ);
	loop_turn(l, true);
	assert_int_equal(e[0].reads + e[1].reads, 1);
	ends_release(e);
	loop_free(l);
}

static void
test_cleared_by_itself(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct end e[2];
	struct io zero = { 0 };

	io_clear(&zero);
	ends_init(e, l);
	put(&e[1]);
	e[0].clears = &e[0].io;
	io_want(&e[0].io, IO_READ);
	assert_false(loop_turn(l, true));
	assert_int_equal(e[0].reads, 1);
	assert_int_equal(loop_nlive(l), 0);
	ends_release(e);
	loop_free(l);
}

static void
put_later(void *arg)
{
	put(arg);
}

/* A descriptor that is ready goes before the jump; without a timer it is waited for in real time. */
static void
test_virtual_clock(void **state unused_arg)
{
	struct clock *clock = clock_virtual_new(0);
	struct loop *l = loop_new(clock);
	struct end e[2];
	struct timer t;

	ends_init(e, l);
	timer_init(&t, l, "put_later", put_later, &e[1]);
	timer_set(&t, SECONDS(60));
	io_want(&e[0].io, IO_READ);
	put(&e[1]);
	loop_turn(l, true);
	assert_int_equal(e[0].reads, 1);
	assert_int_equal(loop_now(l), SECONDS(1));
	assert_int_equal(read(e[0].fd, (char[1]){ 0 }, 1), 1);
	loop_turn(l, true);
	assert_int_equal(loop_now(l), SECONDS(61));
	assert_int_equal(e[0].reads, 1);
	loop_turn(l, true);
	assert_int_equal(e[0].reads, 2);
	assert_int_equal(loop_now(l), SECONDS(61));
	ends_release(e);
	loop_free(l);
	clock_virtual_free(clock);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level_triggered),
		cmocka_unit_test(test_want_changes_in_callback),
		cmocka_unit_test(test_cleared_by_sibling),
		cmocka_unit_test(test_cleared_by_itself),
		cmocka_unit_test(test_virtual_clock),
	};

	test_limit(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
