/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_SOCK_H
#define WEIR_EXECUTOR_SOCK_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "store/sock.h"

/*
 * Messages over the keeper's sockets: one packet each; a long one travels as a memfd. Their
 * addresses are those of store/sock.h.
 */
enum sock_sent { SOCK_SENT, SOCK_FULL, SOCK_GONE };	/* FULL: wait for writable. GONE: nobody listens any more */
/* Sends one message, by memfd when it is long; pass_fd (or -1) travels with it. dest NULL: a connected socket. */
enum sock_sent sock_send(int fd, const struct sockaddr_un *dest, const void *p, size_t n, int pass_fd);

enum sock_got { SOCK_MESSAGE, SOCK_AGAIN, SOCK_CLOSED };
/*
 * Receives one message into buf (cleared first), resolving a memfd. *passed: a descriptor that came
 * beside an ordinary message, or -1; the caller's. A message that cannot be read comes out empty.
 */
enum sock_got sock_recv(int fd, struct buf *, int *passed);

#endif
