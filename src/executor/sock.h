/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_SOCK_H
#define WEIR_EXECUTOR_SOCK_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"

/*
 * Unix sockets whose addresses are names in keeper/, never paths: a path may be longer than the 108
 * bytes of sun_path. dir is a descriptor of keeper/ (O_PATH is enough).
 */
must_check struct err *sock_address(int dir, const char *name, struct sockaddr_un *, socklen_t *);
/* Makes a socket (type SOCK_DGRAM, SOCK_SEQPACKET; close-on-exec) bound to name; what lay there is replaced. */
must_check struct err *sock_bind(int dir, const char *name, int type, int *fd);
must_check struct err *sock_connect(int dir, const char *name, int type, int *fd);	/* non-blocking */

enum sock_sent { SOCK_SENT, SOCK_FULL, SOCK_GONE };	/* FULL: wait for writable. GONE: nobody listens any more */
/* Sends one message, by memfd when it is long; pass_fd (or -1) travels with it. dest NULL: a connected socket. */
enum sock_sent sock_send(int fd, const struct sockaddr_un *dest, socklen_t destlen, const void *p, size_t n, int pass_fd);

enum sock_got { SOCK_MESSAGE, SOCK_AGAIN, SOCK_CLOSED };
/*
 * Receives one message into buf (cleared first), resolving a memfd. *passed: a descriptor that came
 * beside an ordinary message, or -1; the caller's. A message that cannot be read comes out empty.
 */
enum sock_got sock_recv(int fd, struct buf *, int *passed);

#endif
