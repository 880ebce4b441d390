/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_STORE_SOCK_H
#define WEIR_STORE_SOCK_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

/*
 * Unix sockets in the folder of the keeper. sun_path holds 108 bytes and a root may lie deeper than
 * that, so an address is written as /proc/self/fd/N/NAME over an open descriptor of the folder.
 */

/* The address of NAME in the folder open as dirfd, which must stay open while the address is used. */
void unix_addr(int dirfd, const char *name, struct sockaddr_un *);
/* Gives a listening (for datagrams: bound) socket at DIR/NAME, in place of what was there. Close-on-exec. */
must_check struct err *unix_bind(const char *dir, const char *name, int type, int *fd);
/* Gives a connected socket, close-on-exec; nonblock: also non-blocking (a local connect does not wait). */
must_check struct err *unix_connect(const char *dir, const char *name, int type, bool nonblock, int *fd);

#endif
