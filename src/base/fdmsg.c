/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdmsg.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor: of more that come, the kernel closes what does not fit. */
union control {
	struct cmsghdr align;
	char	       b[CMSG_SPACE(sizeof(int))];
};

int
fdmsg_send(int sock, const struct sockaddr_un *dest, const void *p, size_t n, int fd, int flags)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	ssize_t k;

	m.msg_name = (void *)(uintptr_t)dest;
	m.msg_namelen = dest != NULL ? sizeof *dest : 0;
	if (fd >= 0) {
		memset(&control, 0, sizeof control);
		m.msg_control = &control;
		m.msg_controllen = sizeof control.b;
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
	}
	do
		k = sendmsg(sock, &m, flags | MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	return k < 0 ? errno : 0;
}

ssize_t
fdmsg_recv(int sock, void *p, size_t n, int flags, int *fd, bool *cut)
{
	struct iovec iov = { .iov_base = p, .iov_len = n };
	union control control;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.b,
	};
	ssize_t k;

	*fd = -1;
	do
		k = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return k;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof *fd))
			memcpy(fd, CMSG_DATA(c), sizeof *fd);
	}
	if (cut != NULL)
		*cut = (m.msg_flags & MSG_TRUNC) != 0;
	return k;
}

int
fdmsg_file(const void *p, size_t n)
{
	int fd = memfd_create("weir-message", MFD_CLOEXEC), eno;

	for (size_t done = 0; fd >= 0 && done < n;) {
		ssize_t k = write(fd, (const char *)p + done, n - done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			eno = errno;
			close(fd);
			errno = eno;
			return -1;
		}
		done += (size_t)k;
	}
	return fd;
}

bool
fdmsg_read(int fd, void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = pread(fd, (char *)p + done, n - done, (off_t)done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		done += (size_t)k;
	}
	return true;
}
