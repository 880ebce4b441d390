/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/proto.h"

/*
 * sock: a long message is sealed before it is sent, and its seals are checked before it is read:
 * else the sender could shorten it under the reader's feet.
 */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int
memfd_of(const void *p, size_t n)
{
	int fd = memfd_create("weir-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;
	ssize_t k;

	while (fd >= 0 && done < n) {
		k = write(fd, (const char *)p + done, n - done);
		if (k < 0 && errno != EINTR)
			break;
		done += k > 0 ? (size_t)k : 0;
	}
	if (fd >= 0 && (done < n || fcntl(fd, F_ADD_SEALS, SEALS) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static enum sock_sent
sent_errno(int eno)
{
	return eno == EAGAIN || eno == ENOBUFS || eno == ENOMEM || eno == EINTR ? SOCK_FULL : SOCK_GONE;
}

static enum sock_sent
send_message(int fd, const struct sockaddr_un *dest, const void *p, size_t n, int pass_fd)
{
	union {
		char b[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t k;

	m.msg_name = (void *)(uintptr_t)dest;
	m.msg_namelen = dest != NULL ? sizeof *dest : 0;
	if (pass_fd >= 0) {
		memset(&control, 0, sizeof control);
		m.msg_control = &control;
		m.msg_controllen = sizeof control.b;
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof pass_fd);
	}
	k = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	return k >= 0 ? SOCK_SENT : sent_errno(errno);
}

enum sock_sent
sock_send(int fd, const struct sockaddr_un *dest, const void *p, size_t n, int pass_fd)
{
	enum sock_sent sent;
	int memfd;

	if (n <= PROTO_INLINE)
		return send_message(fd, dest, p, n, pass_fd);
	/* An empty message with a descriptor says: what I mean is in there. */
	memfd = memfd_of(p, n);
	if (memfd < 0)
		return SOCK_FULL;
	sent = send_message(fd, dest, "", 1, memfd);
	close(memfd);
	return sent;
}

static void
read_memfd(int fd, struct buf *out)
{
	struct stat st;
	void *p;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > PROTO_MAX)
		return;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return;
	buf_add(out, p, (size_t)st.st_size);
	munmap(p, (size_t)st.st_size);
}

static int
received_fd(struct msghdr *m)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	}
	return fd;
}

enum sock_got
sock_recv(int fd, struct buf *out, int *passed)
{
	union {
		char b[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t k;

	buf_clear(out);
	buf_reserve(out, PROTO_INLINE + 1);
	*passed = -1;
	iov.iov_base = out->p;
	iov.iov_len = PROTO_INLINE;
	m.msg_control = &control;
	m.msg_controllen = sizeof control.b;
	do
		k = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return errno == EAGAIN ? SOCK_AGAIN : SOCK_CLOSED;
	*passed = received_fd(&m);
	if (k == 0 && *passed < 0)
		return SOCK_CLOSED;
	if (k == 1 && *passed >= 0) {
		read_memfd(*passed, out);
		close(*passed);
		*passed = -1;
		return SOCK_MESSAGE;
	}
	out->len = (m.msg_flags & MSG_TRUNC) != 0 ? 0 : (size_t)k;
	out->p[out->len] = '\0';
	return SOCK_MESSAGE;
}
