/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sock.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdmsg.h"
#include "executor/proto.h"

static enum sock_sent
sent(int eno)
{
	if (eno == 0)
		return SOCK_SENT;
	return eno == EAGAIN || eno == ENOBUFS || eno == ENOMEM ? SOCK_FULL : SOCK_GONE;
}

enum sock_sent
sock_send(int fd, const struct sockaddr_un *dest, const void *p, size_t n, int pass_fd)
{
	int memfd, eno;

	if (n <= PROTO_INLINE)
		return sent(fdmsg_send(fd, dest, p, n, pass_fd, MSG_DONTWAIT));
	/* A message of one byte with a descriptor says: what I mean is in there. */
	memfd = fdmsg_file(p, n);
	if (memfd < 0)
		return SOCK_FULL;
	eno = fdmsg_send(fd, dest, "", 1, memfd, MSG_DONTWAIT);
	close(memfd);
	return sent(eno);
}

static void
read_long(int fd, struct buf *out)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > PROTO_MAX)
		return;
	buf_reserve(out, (size_t)st.st_size + 1);
	if (!fdmsg_read(fd, out->p, (size_t)st.st_size))
		return;
	out->len = (size_t)st.st_size;
	out->p[out->len] = '\0';
}

enum sock_got
sock_recv(int fd, struct buf *out, int *passed)
{
	bool cut;
	ssize_t k;

	buf_clear(out);
	buf_reserve(out, PROTO_INLINE + 1);
	k = fdmsg_recv(fd, out->p, PROTO_INLINE, 0, passed, &cut);
	if (k < 0)
		return errno == EAGAIN ? SOCK_AGAIN : SOCK_CLOSED;
	if (k == 0 && *passed < 0)
		return SOCK_CLOSED;
	if (k == 1 && *passed >= 0) {
		read_long(*passed, out);
		close(*passed);
		*passed = -1;
		return SOCK_MESSAGE;
	}
	out->len = cut ? 0 : (size_t)k;
	out->p[out->len] = '\0';
	return SOCK_MESSAGE;
}
