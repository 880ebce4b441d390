/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_FDMSG_H
#define WEIR_BASE_FDMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/attr.h"

/*
 * Packets with a descriptor beside them, and long bytes that travel by one: a memfd that is read and never mapped, for its
 * sender may still shorten it.
 */
/* One packet. dest NULL: a connected socket; fd -1: none. Never raises SIGPIPE; gives 0 or errno. */
must_check int fdmsg_send(int sock, const struct sockaddr_un *dest, const void *, size_t, int fd, int flags);
/* Gives the packet's length, 0 at the end, -1 with errno. *fd: the caller's, or -1. *cut: it was longer; may be NULL. */
must_check ssize_t fdmsg_recv(int sock, void *, size_t, int flags, int *fd, bool *cut);

/* Gives a memfd that holds these bytes, or -1 with errno. */
must_check int fdmsg_file(const void *, size_t);
/* Exactly so many bytes from its beginning; false if it has fewer. */
must_check bool fdmsg_read(int fd, void *, size_t);

#endif
