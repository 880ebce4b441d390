/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <event2/event.h>

#include "base/attr.h"
#include "base/log.h"
#include "loop/loop_priv.h"

/*
 * Descriptors and signals on libevent. libevent takes a deleted event out of its list of ready ones,
 * so that clearing a sibling from a callback is safe, and so is clearing oneself.
 */

static short
io_events(int want)
{
	return (short)((want & IO_READ ? EV_READ : 0) | (want & IO_WRITE ? EV_WRITE : 0) | EV_PERSIST);
}

static void
io_ready(evutil_socket_t fd unused_arg, short what, void *arg)
{
	struct io *io = arg;
	struct loop *l = io->loop;
	const char *name = io->name;

	loop_tick(l);
	io->cb((what & EV_READ ? IO_READ : 0) | (what & EV_WRITE ? IO_WRITE : 0), io->arg);
	lag_charge(l, name);
}

void
io_init(struct io *io, struct loop *l, int fd, const char *name, void (*cb)(int, void *), void *arg)
{
	*io = (struct io){ .loop = l, .fd = fd, .name = name, .cb = cb, .arg = arg };
	io->ev = event_new(l->base, fd, EV_PERSIST, io_ready, io);
	assert(io->ev != NULL);
}

void
io_want(struct io *io, int what)
{
	struct loop *l = io->loop;
	int rc;

	if (what == io->want)
		return;
	if (io->want != 0) {
		event_del(io->ev);
		l->nios--;
	}
	io->want = what;
	if (what == 0)
		return;
	rc = event_assign(io->ev, l->base, io->fd, io_events(what), io_ready, io);
	assert(rc == 0);
	rc = event_add(io->ev, NULL);
	assert(rc == 0);	/* else the descriptor is closed, or a plain file */
	(void)rc;
	l->nios++;
}

void
io_clear(struct io *io)
{
	if (io->ev == NULL)
		return;
	io_want(io, 0);
	event_free(io->ev);
	io->ev = NULL;
}

static void
sig_ready(evutil_socket_t signo, short what unused_arg, void *arg)
{
	struct sig *s = arg;
	struct loop *l = s->loop;

	loop_tick(l);
	s->cb(signo, s->arg);
	lag_charge(l, "signal");
}

void
sig_init(struct sig *s, struct loop *l, int signo, void (*cb)(int, void *), void *arg)
{
	*s = (struct sig){ .loop = l, .cb = cb, .arg = arg };
	s->ev = event_new(l->base, signo, EV_SIGNAL | EV_PERSIST, sig_ready, s);
	assert(s->ev != NULL);
	event_add(s->ev, NULL);
	l->nsigs++;
}

void
sig_clear(struct sig *s)
{
	if (s->ev == NULL)
		return;
	event_free(s->ev);
	s->ev = NULL;
	s->loop->nsigs--;
}

static int
io_report_one(const struct event_base *base unused_arg, const struct event *ev, void *arg unused_arg)
{
	const struct io *io = event_get_callback_arg(ev);

	if (event_get_callback(ev) == io_ready)
		log_error("alive in the loop: descriptor %d (%s)", io->fd, io->name);
	else if (event_get_callback(ev) == sig_ready)
		log_error("alive in the loop: handler of signal %d", event_get_signal(ev));
	return 0;
}

void
io_report(const struct loop *l)
{
	event_base_foreach_event(l->base, io_report_one, NULL);
}
