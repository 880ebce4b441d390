/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Addresses go through /proc/self/fd, so what the kernel records for a bound socket is a name that
 * means nothing to others: a reply address must travel as a name in the folder, never as getsockname
 * tells it.
 */

#define BACKLOG 64

void
unix_addr(int dirfd, const char *name, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof *sa);
	sa->sun_family = AF_UNIX;
	snprintf(sa->sun_path, sizeof sa->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
}

static struct err *
open_dir(const char *dir, int *fd)
{
	*fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd == -1 ? err_errno(errno, "open", "%s", dir) : NULL;
}

struct err *
unix_bind(const char *dir, const char *name, int type, int *out)
{
	struct sockaddr_un sa;
	struct err *err;
	int dirfd, fd = -1;

	err = open_dir(dir, &dirfd);
	if (err)
		return err;
	unix_addr(dirfd, name, &sa);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd == -1) {
		err = err_errno(errno, "socket", NULL);
		goto out;
	}
	if (unlinkat(dirfd, name, 0) == -1 && errno != ENOENT) {
		err = err_errno(errno, "remove", "%s/%s", dir, name);
		goto out;
	}
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa) == -1 || (type != SOCK_DGRAM && listen(fd, BACKLOG) == -1)) {
		err = err_errno(errno, "listen", "%s/%s", dir, name);
		goto out;
	}
	*out = fd;
	fd = -1;
out:
	if (fd != -1)
		close(fd);
	close(dirfd);
	return err;
}

struct err *
unix_connect(const char *dir, const char *name, int type, bool nonblock, int *out)
{
	struct sockaddr_un sa;
	struct err *err;
	int dirfd, fd;

	err = open_dir(dir, &dirfd);
	if (err)
		return err;
	unix_addr(dirfd, name, &sa);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0);
	if (fd == -1) {
		err = err_errno(errno, "socket", NULL);
	} else if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == -1) {
		err = err_errno(errno, "connect", "%s/%s", dir, name);
		close(fd);
	} else {
		*out = fd;
	}
	close(dirfd);
	return err;
}
