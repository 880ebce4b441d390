/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "loop/loop_priv.h"

/*
 * Timers: a binary heap of our own, so that a virtual clock can jump to its top. On a real clock one
 * timerfd on CLOCK_BOOTTIME ends the poll: libevent's own timeouts stand still while the host is
 * suspended, and a controller that slept through its lease must wake to find that out.
 * A timer leaves the heap before its callback runs, which may set it again, clear it or free it.
 */

/* Equal times fire in the order of setting, so that a simulation repeats itself. */
static bool
timer_before(const struct timer *a, const struct timer *b)
{
	return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void
heap_put(struct loop *l, size_t i, struct timer *t)
{
	l->heap[i] = t;
	t->heap = i + 1;
}

static void
heap_up(struct loop *l, size_t i, struct timer *t)
{
	size_t parent;

	for (; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (!timer_before(t, l->heap[parent]))
			break;
		heap_put(l, i, l->heap[parent]);
	}
	heap_put(l, i, t);
}

static void
heap_down(struct loop *l, size_t i, struct timer *t)
{
	size_t child;

	while ((child = 2 * i + 1) < l->ntimers) {
		if (child + 1 < l->ntimers && timer_before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!timer_before(l->heap[child], t))
			break;
		heap_put(l, i, l->heap[child]);
		i = child;
	}
	heap_put(l, i, t);
}

void
timer_init(struct timer *t, struct loop *l, const char *name, void (*cb)(void *), void *arg)
{
	*t = (struct timer){ .loop = l, .name = name, .cb = cb, .arg = arg };
}

/* A timer set by a callback is never due in the same turn, not even after 0: else it could starve the rest. */
static int64_t
timer_due_at(const struct loop *l, int64_t after)
{
	int64_t now = loop_now(l);

	if (after <= 0)
		return now + 1;
	return after > INT64_MAX - now ? INT64_MAX : now + after;
}

void
timer_set(struct timer *t, int64_t after_ns)
{
	struct loop *l = t->loop;

	timer_clear(t);
	t->due = timer_due_at(l, after_ns);
	t->seq = ++l->timer_seq;
	if (l->ntimers == l->heap_cap) {
		l->heap_cap = l->heap_cap > 0 ? 2 * l->heap_cap : 16;
		l->heap = xreallocarray(l->heap, l->heap_cap, sizeof(struct timer *));
	}
	heap_up(l, l->ntimers++, t);
}

void
timer_clear(struct timer *t)
{
	struct loop *l = t->loop;
	struct timer *last;
	size_t i;

	if (t->heap == 0)
		return;
	i = t->heap - 1;
	t->heap = 0;
	t->due = 0;
	last = l->heap[--l->ntimers];
	if (last == t)
		return;
	if (i > 0 && timer_before(last, l->heap[(i - 1) / 2]))
		heap_up(l, i, last);
	else
		heap_down(l, i, last);
}

bool
timer_is_set(const struct timer *t)
{
	return t->heap != 0;
}

bool
timers_due(const struct loop *l)
{
	return l->ntimers > 0 && l->heap[0]->due <= l->clock->mono(l->clock);
}

void
timers_run(struct loop *l)
{
	struct timer *t;
	const char *name;

	while (l->ntimers > 0 && (t = l->heap[0])->due <= l->now) {
		name = t->name;
		timer_clear(t);
		t->cb(t->arg);
		lag_charge(l, name);
	}
}

void
timers_arm(struct loop *l)
{
	int64_t due = l->ntimers > 0 ? l->heap[0]->due : 0, after = 0;
	struct itimerspec its = { 0 };

	if (due == l->armed)
		return;
	l->armed = due;
	if (due != 0) {
		after = due - l->clock->mono(l->clock);
		after = after > 0 ? after : 1;
	}
	its.it_value.tv_sec = after / 1000000000;
	its.it_value.tv_nsec = after % 1000000000;
	timerfd_settime(l->timerfd, 0, &its, NULL);
}

/* The descriptor only ends the poll; timers_run looks at the heap. */
static void
timers_fd_cb(evutil_socket_t fd, short what unused_arg, void *arg)
{
	struct loop *l = arg;
	uint64_t n;

	loop_tick(l);
	if (read(fd, &n, sizeof n) == sizeof n)
		l->armed = 0;
}

void
timers_init(struct loop *l)
{
	l->timerfd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	assert(l->timerfd != -1);
	l->timer_ev = event_new(l->base, l->timerfd, EV_READ | EV_PERSIST, timers_fd_cb, l);
	assert(l->timer_ev != NULL);
	event_add(l->timer_ev, NULL);
}

void
timers_release(struct loop *l)
{
	event_free(l->timer_ev);
	close(l->timerfd);
	free(l->heap);
}

void
timers_report(const struct loop *l)
{
	size_t i;

	for (i = 0; i < l->ntimers; i++)
		log_error("alive in the loop: timer %s", l->heap[i]->name);
}
