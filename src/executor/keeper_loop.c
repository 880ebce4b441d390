/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "executor/host.h"

/*
 * keeper_loop: one poll over everything, then the chores. It wakes by itself ten times a second only
 * while an attempt must end or a child is missing, else once a second.
 */
#define PURGE_NS INT64_C(60000000000)

struct watch {
	enum { WATCH_LISTEN, WATCH_SIGNALS, WATCH_LATE, WATCH_CONN, WATCH_SLOW, WATCH_PID } kind;
	void	     *of;
};
struct watches {
	struct watch  *w;
	struct pollfd *p;
	size_t	       n, cap;
};

static void
watch_add(struct watches *s, int fd, int events, int kind, void *of)
{
	if (s->n == s->cap) {
		s->cap = s->cap != 0 ? 2 * s->cap : 32;
		s->w = xreallocarray(s->w, s->cap, sizeof *s->w);
		s->p = xreallocarray(s->p, s->cap, sizeof *s->p);
	}
	s->p[s->n] = (struct pollfd){ .fd = fd, .events = (short)events };
	s->w[s->n++] = (struct watch){ .kind = kind, .of = of };
}

static void
watches_fill(struct keeper *k, struct watches *s)
{
	struct controller *who;
	struct conn *c;
	struct late *l;

	s->n = 0;
	watch_add(s, k->listen, POLLIN, WATCH_LISTEN, NULL);
	watch_add(s, k->signals, POLLIN, WATCH_SIGNALS, NULL);
	watch_add(s, k->late, POLLIN, WATCH_LATE, NULL);
	TAILQ_FOREACH(c, &k->conns, link)
		watch_add(s, c->fd, POLLIN | (STAILQ_EMPTY(&c->out) ? 0 : POLLOUT), WATCH_CONN, c);
	TAILQ_FOREACH(l, &k->lates, link)
		watch_add(s, l->fd, POLLOUT, WATCH_SLOW, l);
	TAILQ_FOREACH(who, &k->controllers, link) {
		if (who->pidfd >= 0)
			watch_add(s, who->pidfd, POLLIN, WATCH_PID, who);
	}
}

static void
signals_read(struct keeper *k)
{
	struct signalfd_siginfo si;

	while (read(k->signals, &si, sizeof si) == (ssize_t)sizeof si) {
		if (si.ssi_signo != SIGCHLD)
			k->stop = true;
	}
	keeper_reap(k);
}

static void
controller_died(struct controller *c)
{
	if (c->gone == 0)
		c->gone = host_mono();
	close(c->pidfd);
	c->pidfd = -1;
}

static void
watch_serve(struct keeper *k, const struct watch *w, int events)
{
	switch (w->kind) {
	case WATCH_LISTEN:
		keeper_accept(k);
		break;
	case WATCH_SIGNALS:
		signals_read(k);
		break;
	case WATCH_LATE:
		keeper_late_read(k);
		break;
	case WATCH_CONN:
		if ((events & POLLOUT) != 0)
			keeper_conn_write(w->of);
		if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
			keeper_conn_read(k, w->of);
		break;
	case WATCH_SLOW:
		keeper_late_write(w->of);
		break;
	case WATCH_PID:
		controller_died(w->of);
		break;
	}
}

static bool
keeper_is_busy(struct keeper *k)
{
	if (!TAILQ_EMPTY(&k->conns))
		return true;
	for (unsigned i = 0; i < ledger_nslots(k->env.ledger); i++) {
		if (ledger_row(k->env.ledger, i)->used)
			return true;
	}
	return false;
}

static bool
controller_has_conn(struct keeper *k, const struct controller *c)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &k->conns, link) {
		if (conn->who == c)
			return true;
	}
	return false;
}

static bool
controller_is_awaited(struct keeper *k, const struct controller *c)
{
	for (unsigned i = 0; i < ledger_nslots(k->env.ledger); i++) {
		const struct ledger_row *r = ledger_row(k->env.ledger, i);

		for (uint32_t n = 0; r->used && n < r->nsubs; n++) {
			if (strncmp(r->subs[n].name, c->name, sizeof c->name) == 0)
				return true;
		}
	}
	return false;
}

/* Forgets controllers that are gone and wait for nothing that lives. */
static void
controllers_purge(struct keeper *k, int64_t now)
{
	struct controller *c, *next;

	if (now - k->purged < PURGE_NS)
		return;
	k->purged = now;
	for (c = TAILQ_FIRST(&k->controllers); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->gone == 0 || controller_has_conn(k, c) || controller_is_awaited(k, c))
			continue;
		TAILQ_REMOVE(&k->controllers, c, link);
		free(c);
	}
}

static void
keeper_chores(struct keeper *k)
{
	int64_t now = host_mono();

	keeper_conns_purge(k);
	keeper_lates_purge(k);
	keeper_drain(k);
	keeper_press(k);
	keeper_children_start(k);
	controllers_purge(k, now);
	if (keeper_is_busy(k)) {
		k->idle_since = 0;
		return;
	}
	if (k->idle_since == 0)
		k->idle_since = now;
	else if (now - k->idle_since >= k->opts.idle_ns)
		k->stop = true;
}

static bool
keeper_watches_memory(const struct keeper *k)
{
	for (unsigned i = 0; i < ledger_nslots(k->env.ledger); i++) {
		const struct ledger_row *r = ledger_row(k->env.ledger, i);

		if (r->used && r->watched && r->command != 0 && r->amount.mem > 0)
			return true;
	}
	return false;
}

static int
keeper_pause(const struct keeper *k)
{
	int64_t left = k->idle_since != 0 ? k->opts.idle_ns - (host_mono() - k->idle_since) : INT64_MAX;

	if (keeper_is_pressed(k))
		return 20;
	if (left < 1000000000)
		return left > 0 ? (int)(left / 1000000) + 1 : 1;
	return keeper_watches_memory(k) ? 200 : 1000;
}

void
keeper_loop(struct keeper *k)
{
	struct watches s = { NULL, NULL, 0, 0 };

	while (!k->stop) {
		keeper_chores(k);
		watches_fill(k, &s);
		if (k->stop || poll(s.p, s.n, keeper_pause(k)) <= 0)
			continue;
		for (size_t i = 0; i < s.n; i++) {
			if (s.p[i].revents != 0)
				watch_serve(k, &s.w[i], s.p[i].revents);
		}
	}
	free(s.w);
	free(s.p);
}
