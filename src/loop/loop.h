/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_LOOP_H
#define WEIR_LOOP_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop/clock.h"
#include "loop/op.h"

/*
 * The reactor: one thread, one libevent base. A turn polls descriptors and timers once, runs their
 * callbacks, then drains the wake queue as it stood when the drain began (what is woken meanwhile
 * waits for the next turn, so a chain of operations never starves a socket).
 * Callbacks are timed by thread CPU, by name: see lag.h.
 */
struct loop *loop_new(struct clock *);		/* keeps the clock; NULL: the real one */
void loop_free(struct loop *);			/* asserts that no operation, timer, io or child is left */
/* Turns until loop_stop, or until no wake, timer or wanted descriptor is left (signals alone do not hold it). */
void loop_run(struct loop *);
void loop_stop(struct loop *);			/* loop_run returns after this turn */
/* One turn; block: may wait for an event. Returns false when nothing is left that could wake the loop. */
bool loop_turn(struct loop *, bool block);
/* When there is something to do: now, if something is woken; else when the next timer is due, INT64_MAX without one. */
int64_t loop_due(const struct loop *);
size_t loop_nlive(const struct loop *);		/* operations alive, timers set, ios wanted: for tests of emptiness */
void loop_report_live(const struct loop *);	/* logs each thing alive, by name */

int64_t loop_now(const struct loop *);		/* monotonic ns: fixed during a turn, running between turns */
int64_t loop_wall(const struct loop *);		/* wall clock, ns since 1970 */
void    loop_random(struct loop *, void *, size_t);	/* from the kernel, or from the simulator's seed */
void    loop_seed(struct loop *, uint64_t);	/* from now on loop_random is a deterministic stream */

/* Timers: embedded in the operation that sets them; cleared in its release. Named for what happens. */
struct timer {
	struct loop *loop;
	const char  *name;
	void (*cb)(void *arg);
	void	    *arg;
	int64_t	     due;	/* 0: not set */
	size_t	     heap;	/* place in the loop's heap + 1; 0: not set */
	uint64_t     seq;	/* order of setting: of equal times the first set fires first */
};
void timer_init(struct timer *, struct loop *, const char *name, void (*cb)(void *), void *arg);
void timer_set(struct timer *, int64_t after_ns);	/* replaces an earlier setting; never due in the same turn */
void timer_clear(struct timer *);
bool timer_is_set(const struct timer *);
#define SECONDS(n) ((int64_t)(n) * 1000000000)
#define MILLIS(n)  ((int64_t)(n) * 1000000)

/* Descriptors: level triggered. The descriptor stays the caller's; clear before closing it. */
enum { IO_READ = 1, IO_WRITE = 2 };
struct io {
	struct loop  *loop;
	const char   *name;
	int	      fd;
	int	      want;
	void (*cb)(int what, void *arg);
	void	     *arg;
	struct event *ev;	/* libevent's; owned */
};
void io_init(struct io *, struct loop *, int fd, const char *name, void (*cb)(int what, void *), void *arg);
void io_want(struct io *, int what);		/* IO_READ | IO_WRITE; 0: nothing */
void io_clear(struct io *);			/* also on one that was only zeroed */

/* Signals: cb on the loop. */
struct sig {
	struct loop  *loop;
	void (*cb)(int signo, void *arg);
	void	     *arg;
	struct event *ev;
};
void sig_init(struct sig *, struct loop *, int signo, void (*cb)(int, void *), void *arg);
void sig_clear(struct sig *);

#endif
