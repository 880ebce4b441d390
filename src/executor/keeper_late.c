/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * keeper_late: reports that a controller could not take at once, in their order, over a connected
 * socket that says when there is room. A stopped controller costs memory here, and no slot.
 */

void
packet_add(struct packets *q, const void *p, size_t n, int pass_fd)
{
	struct packet *k = xcalloc(1, sizeof *k);

	buf_add(&k->data, p, n);
	k->pass_fd = pass_fd >= 0 ? fcntl(pass_fd, F_DUPFD_CLOEXEC, 0) : -1;
	STAILQ_INSERT_TAIL(q, k, link);
}

static void
packet_drop_first(struct packets *q)
{
	struct packet *k = STAILQ_FIRST(q);

	STAILQ_REMOVE_HEAD(q, link);
	if (k->pass_fd >= 0)
		close(k->pass_fd);
	buf_release(&k->data);
	free(k);
}

bool
packets_send(struct packets *q, int fd)
{
	struct packet *k;

	while ((k = STAILQ_FIRST(q)) != NULL) {
		switch (sock_send(fd, NULL, k->data.p, k->data.len, k->pass_fd)) {
		case SOCK_FULL:
			return true;
		case SOCK_GONE:
			return false;
		case SOCK_SENT:
			packet_drop_first(q);
		}
	}
	return true;
}

void
packets_release(struct packets *q)
{
	while (!STAILQ_EMPTY(q))
		packet_drop_first(q);
}

void
keeper_late_add(void *arg, const char *name, const void *p, size_t n, int pass_fd)
{
	struct keeper *k = arg;
	struct late *l;
	struct err *err;
	int fd;

	TAILQ_FOREACH(l, &k->lates, link) {
		if (!l->closed && strncmp(l->name, name, sizeof l->name) == 0) {
			packet_add(&l->out, p, n, pass_fd);
			return;
		}
	}
	err = unix_connect(".", name, SOCK_DGRAM, true, &fd);
	if (err != NULL) {	/* gone meanwhile: its manifest waits for it */
		err_free(err);
		return;
	}
	l = xcalloc(1, sizeof *l);
	memcpy(l->name, name, strnlen(name, sizeof l->name - 1));
	l->fd = fd;
	STAILQ_INIT(&l->out);
	packet_add(&l->out, p, n, pass_fd);
	TAILQ_INSERT_TAIL(&k->lates, l, link);
}

void
keeper_late_read(struct keeper *k)
{
	char name[LEDGER_NAME];
	int passed;

	while (sock_recv(k->late, &k->message, &passed) == SOCK_MESSAGE) {
		if (k->message.len > sizeof name) {
			memcpy(name, k->message.p, sizeof name);
			name[sizeof name - 1] = '\0';
			keeper_late_add(k, name, k->message.p + sizeof name, k->message.len - sizeof name, passed);
		}
		if (passed >= 0)
			close(passed);
	}
}

void
keeper_late_write(struct late *l)
{
	l->closed = !packets_send(&l->out, l->fd) || STAILQ_EMPTY(&l->out);
}

void
keeper_lates_purge(struct keeper *k)
{
	struct late *l, *next;

	for (l = TAILQ_FIRST(&k->lates); l != NULL; l = next) {
		next = TAILQ_NEXT(l, link);
		if (!l->closed)
			continue;
		TAILQ_REMOVE(&k->lates, l, link);
		packets_release(&l->out);
		close(l->fd);
		free(l);
	}
}
