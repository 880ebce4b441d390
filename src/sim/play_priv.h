/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_PLAY_PRIV_H
#define WEIR_SIM_PLAY_PRIV_H

#include "sim/ctl.h"
#include "sim/host.h"
#include "sim/play.h"

/* Shared by play.c (the lines), trigger.c (what `when` waits for), action.c (what is done) and expect.c. */
#define MAX_WORDS 64
struct words {			/* of a line; quoted ones without their quotes */
	char  *v[MAX_WORDS + 1];	/* owned */
	size_t n;
};
void words_split(const char *line, struct words *);
void words_release(struct words *);
/* Takes the first n words away. */
void words_drop(struct words *, size_t n);

struct trigger {
	TAILQ_ENTRY(trigger) link;
	struct words  cond, action;
	int64_t	      after;		/* ns between the condition and the action */
	unsigned      line;
	bool	      done;
	struct timer  due;
	struct play  *play;
};
struct play_run {		/* a run, and who looks after it */
	struct sim_run run;
	TAILQ_ENTRY(play_run) link;
	struct play *play;
	struct timer resume;		/* the operator comes by */
	unsigned     resumed;
	struct naive *naive;
};
struct play_program {
	struct sim_program *program;
	TAILQ_ENTRY(play_program) link;
};
struct play {
	struct world *world;		/* NULL: its lines are still being read */
	uint64_t      seed;
	int64_t	      started;
	bool	      verbose;
	unsigned      line;		/* the one that is being done */
	TAILQ_HEAD(, play_program) programs;
	TAILQ_HEAD(, play_run) runs;
	struct words  declared;		/* names of all runs that its lines mention */
	TAILQ_HEAD(, trigger) triggers;
	TAILQ_HEAD(, trigger) due;	/* whose action is to be done when the turn is over */
	int64_t	      operator_every;	/* 0: nobody looks after the runs */
	unsigned      operator_resets;
	unsigned      deaths;
	bool	      objects_lost;	/* or damaged, at some time: a run that is Done has what the disk has kept */
	char	     *bad;
};
/* The line cannot be understood; the first stands. */
void play_bad(struct play *, const char *fmt, ...) printf_like(2, 3);
void play_fail(struct play *, const char *fmt, ...) printf_like(2, 3);	/* names the line */
struct play_run *play_run_find(struct play *, const char *name);
bool play_run_declared(const struct play *, const char *name);	/* it may not have begun yet */
bool play_is_span(const struct words *);	/* network|disk|cache|execs LO..HI */
void play_span(struct play *, const struct words *);
struct host *play_host(struct play *);	/* the first; made if there is none */
bool play_run_final(const struct play_run *);	/* nothing more will be done with it */
/* One turn of the world and what follows from it. False: over. */
bool play_turn(struct play *);

void trigger_add(struct play *, const struct words *);	/* of a `when` or `at` line */
void trigger_later(struct play *, int64_t after, const struct words *action);
void trigger_free(struct trigger *);
void trigger_step(enum step, const struct digest *run, uint64_t n, void *play);
void triggers_poll(struct play *);

/* May it be done in the midst of a turn? */
bool action_is_kill(const struct words *);
void action_do(struct play *, struct words *);
void action_run(struct play *, struct words *);		/* run NAME [OPTION]... PROGRAM [-PARAM VALUE]... */
void action_resume(struct play_run *);
bool action_net(struct play *, const struct words *);	/* false: it is no such action */
bool action_kill_host(struct play *, const struct words *);	/* likewise */

void expect(struct play *, struct words *);

#endif
