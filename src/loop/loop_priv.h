/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_LOOP_PRIV_H
#define WEIR_LOOP_LOOP_PRIV_H

#include "loop/lag.h"
#include "loop/loop.h"

/* What the files of the reactor share; no other room includes this. */
struct event_base;
struct lag_entry;
#define LAG_RECENT 64

struct loop {
	struct event_base *base;	/* owned */
	struct clock	  *clock;	/* kept */
	int64_t		   now;		/* fixed from the end of the poll to the end of the turn */
	bool		   in_turn;
	bool		   ticked;	/* now is that of this turn */
	bool		   stopping;

	TAILQ_HEAD(, op) live;		/* every operation */
	TAILQ_HEAD(, op) wake;		/* those whose advance is due */
	struct op	 mark;		/* the end of the drain that is going on */
	size_t		 nops, nios, nsigs;
	uint64_t	 last_id;

	struct timer **heap;		/* earliest first; owned array of borrowed timers */
	size_t	       ntimers, heap_cap;
	uint64_t       timer_seq;
	int	       timerfd;
	struct event  *timer_ev;	/* owned */
	int64_t	       armed;		/* what the timerfd is set to; 0: nothing */

	struct lag_entry *lag;		/* hash by name; owned */
	struct lag_row	 *rows;		/* the last answer of loop_lag; owned */
	int64_t		  lag_max;
	const char	 *lag_max_name;	/* in the hash */
	struct lag_entry *lag_recent[LAG_RECENT];	/* by where the name stands */
	int64_t		  charged;	/* time at the last charge, or after the poll */
	int64_t		  cpu, unread;	/* thread CPU when it was read, and the time that went by since */

	uint64_t rng[4];
	bool	 seeded;
};

void loop_tick(struct loop *);			/* the first thing of every callback: fixes now */

void timers_init(struct loop *);
void timers_release(struct loop *);
bool timers_due(const struct loop *);		/* is one due by the clock as it stands? */
void timers_arm(struct loop *);			/* lets the poll end when the earliest is due */
void timers_run(struct loop *);
void timers_report(const struct loop *);

void ops_run(struct loop *);
void ops_report(const struct loop *);

void io_report(const struct loop *);

void lag_tick(struct loop *);			/* the poll is over: what comes now is charged */
void lag_charge(struct loop *, const char *name);	/* what was used since the last charge */
void lag_release(struct loop *);

#endif
