/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fdmsg.h"

/* Packets and the descriptors beside them. */

static void
pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
}

static void
test_plain(void **state unused_arg)
{
	int fd[2], passed = 7;
	bool cut = true;
	char got[8];

	pair(fd);
	assert_int_equal(fdmsg_send(fd[0], NULL, "hello", 5, -1, MSG_DONTWAIT), 0);
	assert_int_equal(fdmsg_recv(fd[1], got, sizeof got, 0, &passed, &cut), 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(passed, -1);
	assert_false(cut);
	assert_int_equal(fdmsg_send(fd[0], NULL, "much longer", 11, -1, 0), 0);
	assert_int_equal(fdmsg_recv(fd[1], got, sizeof got, 0, &passed, &cut), 8);
	assert_true(cut);
	assert_int_equal(fdmsg_recv(fd[1], got, sizeof got, MSG_DONTWAIT, &passed, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd[0]);
	assert_int_equal(fdmsg_recv(fd[1], got, sizeof got, 0, &passed, NULL), 0);
	assert_int_equal(fdmsg_send(fd[1], NULL, "x", 1, -1, 0), EPIPE);
	close(fd[1]);
}

static void
test_descriptor(void **state unused_arg)
{
	int fd[2], memfd, passed;
	char got[8], bytes[8];

	pair(fd);
	memfd = fdmsg_file("12345678", 8);
	assert_true(memfd >= 0);
	assert_int_equal(fdmsg_send(fd[0], NULL, "m", 1, memfd, 0), 0);
	close(memfd);
	assert_int_equal(fdmsg_recv(fd[1], got, sizeof got, 0, &passed, NULL), 1);
	assert_true(passed >= 0);
	assert_true(fdmsg_read(passed, bytes, 8));
	assert_memory_equal(bytes, "12345678", 8);
	/* Its sender may have made it shorter since it was announced. */
	assert_int_equal(ftruncate(passed, 7), 0);
	assert_false(fdmsg_read(passed, bytes, 8));
	close(passed);
	for (int i = 0; i < 2; i++)
		close(fd[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
