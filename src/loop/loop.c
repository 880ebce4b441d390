/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "loop/loop_priv.h"

/*
 * The reactor's turn. libevent only polls; time, timers and wake-ups are ours, so that a virtual clock
 * can own them. The one thing to know: a signal handler alone does not keep the loop going, while any
 * wanted descriptor does; a program with an open journal ends its loop by loop_stop.
 */

/* SIGCHLD ignored (some daemons leave it so) would make the kernel reap our children unseen. */
static void
loop_need_sigchld(void)
{
	struct sigaction sa;

	if (sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN) {
		sa.sa_handler = SIG_DFL;
		sigaction(SIGCHLD, &sa, NULL);
	}
}

struct loop *
loop_new(struct clock *clock)
{
	struct event_config *cfg = event_config_new();
	struct loop *l = xcalloc(1, sizeof *l);

	loop_need_sigchld();
	l->clock = clock != NULL ? clock : clock_real();
	TAILQ_INIT(&l->live);
	TAILQ_INIT(&l->wake);
	assert(cfg != NULL);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	l->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	assert(l->base != NULL);
	timers_init(l);
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	assert(!l->in_turn);
	if (loop_nlive(l) > 0 || l->nsigs > 0)
		loop_report_live(l);
	assert(loop_nlive(l) == 0 && l->nsigs == 0);
	timers_release(l);
	lag_release(l);
	event_base_free(l->base);
	free(l);
}

void
loop_tick(struct loop *l)
{
	if (l->ticked)
		return;
	l->ticked = true;
	l->now = l->clock->mono(l->clock);
	lag_tick(l);
}

static bool
loop_can_wake(const struct loop *l)
{
	return !TAILQ_EMPTY(&l->wake) || l->ntimers > 0 || l->nios > 0;
}

static void
loop_poll_events(struct loop *l, bool block)
{
	event_base_loop(l->base, block ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/*
 * On a virtual clock nothing is waited for while a timer is set: if no descriptor is ready, time
 * jumps. Without a timer only a real descriptor can end the wait, so that one is slept for.
 */
static void
loop_poll_virtual(struct loop *l)
{
	if (l->ntimers == 0) {
		loop_poll_events(l, true);
		return;
	}
	loop_poll_events(l, false);
	if (!l->ticked && !timers_due(l))
		l->clock->advance(l->clock, l->heap[0]->due);
}

static void
loop_poll(struct loop *l, bool block)
{
	if (!block || !TAILQ_EMPTY(&l->wake) || timers_due(l)) {
		loop_poll_events(l, false);
	} else if (l->clock->advance != NULL) {
		loop_poll_virtual(l);
	} else {
		timers_arm(l);
		loop_poll_events(l, true);
	}
}

bool
loop_turn(struct loop *l, bool block)
{
	assert(!l->in_turn);
	if (!loop_can_wake(l))
		return false;
	l->in_turn = true;
	l->ticked = false;
	loop_poll(l, block);
	loop_tick(l);
	timers_run(l);
	ops_run(l);
	l->in_turn = false;
	return loop_can_wake(l);
}

void
loop_run(struct loop *l)
{
	while (loop_turn(l, !l->stopping) && !l->stopping)
		;
	l->stopping = false;
}

void
loop_stop(struct loop *l)
{
	l->stopping = true;
}

int64_t
loop_due(const struct loop *l)
{
	if (!TAILQ_EMPTY(&l->wake))
		return l->clock->mono(l->clock);
	return l->ntimers > 0 ? l->heap[0]->due : INT64_MAX;
}

size_t
loop_nlive(const struct loop *l)
{
	return l->nops + l->ntimers + l->nios;
}

void
loop_report_live(const struct loop *l)
{
	ops_report(l);
	timers_report(l);
	io_report(l);
}

/* Between turns time goes on: what is started there must not count from the last turn. */
int64_t
loop_now(const struct loop *l)
{
	return l->in_turn && l->ticked ? l->now : l->clock->mono(l->clock);
}

int64_t
loop_wall(const struct loop *l)
{
	return l->clock->wall(l->clock);
}
