/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_WORLD_H
#define WEIR_SIM_WORLD_H

#include <sys/queue.h>

#include "base/digest.h"
#include "loop/loop.h"
#include "store/root.h"

/*
 * A simulated world: one clock, a loop for what is nobody's (disks, hosts, the network), and a loop for
 * each controller, so that a controller can die as a process does. All chance comes from one seed, by
 * the name of what it is for, so that a change in one place does not change the dice in another.
 *
 * The real rooms below run unchanged; what surrounds them (the keeper, the disk below the journal, the
 * databases' writer) is simulated here and in host.h, disk.h and store.h.
 */
struct ctl;
struct host;
struct watch;
struct world;

/*
 * The clocks of a machine: its monotonic one may go faster or slower than that of home, which is everybody's time, and it
 * has a wall clock of its own.
 */
struct sim_clock {
	struct clock clock;	/* first */
	struct sim_clock *home;
	int64_t	     mono;	/* of home */
	int64_t	     wall;	/* wall minus home's mono: a jump changes it */
	int64_t	     percent;	/* of home's speed, since the moment that home and it called so: */
	int64_t	     home_then, then;
};
int64_t clock_mono(const struct sim_clock *);
int64_t clock_home(const struct sim_clock *, int64_t mono);	/* when it shows that, by home's; INT64_MAX stays */
void clock_rate(struct sim_clock *, int64_t percent);		/* from now on */

/* A process with a loop of its own: it dies, and stands still, as a whole. */
struct proc {
	struct world *world;
	unsigned      number;	/* among those of its kind, from 1 */
	struct loop  *loop;	/* NULL: buried */
	const struct sim_clock *clock;	/* kept: of its machine; NULL: home's */
	bool	      dead;
	int64_t	      stalled;	/* until then it is not scheduled */
};
int64_t proc_due(const struct proc *);

struct unsynced {		/* what was written, and need not be on the disk yet */
	uint64_t order;		/* among all that was */
	int64_t	 at;
};

struct range {			/* a range that a delay is drawn from, ns */
	int64_t lo, hi;
};

/* Durable steps, in the order in which they can be counted: what a trigger waits for. */
enum step {
	STEP_WRITTEN,		/* a record of a run is with the journal process */
	STEP_DURABLE,		/* it is on disk */
	STEP_ACKNOWLEDGED,	/* its controller knows */
	STEP_SEGMENT,		/* a segment of a journal is opened, nothing is in it */
	STEP_PUT,		/* an object that a controller made is in the repository */
	STEP_INTERNED,		/* a file of the user is identified, and is there if that was asked for; nobody was told */
	STEP_CREATED,		/* an attempt exists */
	STEP_STAGED,		/* its inputs are in place */
	STEP_SPAWNED,		/* its command runs */
	STEP_EXITED,		/* and has ended */
	STEP_COLLECTED,		/* its outputs are in the repository */
	STEP_MANIFEST,		/* its manifest is in place, nobody was told */
	STEP_COMMITTED,		/* an entry of the cache is committed, not acknowledged */
	STEP_NKINDS
};
const char *step_name(enum step);

struct world {
	struct sim_clock clock;		/* of the machine where the controllers are */
	uint64_t      seed;
	struct loop  *loop;
	struct root   root;		/* its journal folder is real, in a temporary directory */
	bool	      verbose;		/* tell on stderr */
	struct range  network, disk, commit, exec;	/* delays: of a message, a sync, a commit of the cache, a command */
	struct sim_objects *objects;
	struct sim_files *files;	/* local files of the user */
	struct sim_db *db;
	struct net   *net;
	bool	      cluster;		/* its hosts are served by agents */
	bool	      one_loop;
	TAILQ_HEAD(hosts, host) hosts;
	TAILQ_HEAD(ctls, ctl) ctls;		/* processes that live, and those that died and are still to be buried */
	unsigned      nctls;		/* so far */
	struct watch *watch;
	char	     *failure;		/* owned: the first promise that was broken, or NULL */
	const char   *failure_kind;	/* the same without its particulars */
	/* Told of every durable step: run is zero where it belongs to none; n counts from 1. */
	void (*on_step)(enum step, const struct digest *run, uint64_t n, void *arg);
	void *on_step_arg;
	uint64_t      nsteps[STEP_NKINDS], steps;	/* of each kind, and of all */
	uint64_t      turns;
	uint64_t      nwrites, synced;	/* objects and manifests so far; all up to there are on the disk */
};

#define SIM_WALL SECONDS(1700000000)
#define SIM_DIR "/sim"			/* where local paths are relative to */

void world_clock_init(struct world *, struct sim_clock *);	/* of another machine */
struct world *world_new(uint64_t seed);
/* All of its processes are on this loop, which is kept: for who turns one loop only. */
struct world *world_new_on(struct loop *, uint64_t seed);
void world_free(struct world *);	/* every controller is gone */
/* Turns whatever is due, else moves the clock. False: nothing will ever happen any more, or a promise was broken. */
bool world_turn(struct world *);
void world_bury(struct world *);	/* the dead, between two turns */
int64_t world_next(const struct world *);	/* when something is due; INT64_MAX: never */
void world_advance_to(struct world *, int64_t mono);	/* nothing is due before that */

/* The same question gives the same answer in every replay. */
uint64_t world_dice(const struct world *, const char *what, uint64_t a, uint64_t b);
int64_t world_delay(const struct world *, const struct range *, const char *what, uint64_t a, uint64_t b);
bool world_chance(const struct world *, double p, const char *what, uint64_t a, uint64_t b);

void world_say(struct world *, const char *fmt, ...) printf_like(2, 3);
/* A promise is broken: the first stands. Ends the simulation. */
void world_fail(struct world *, const char *fmt, ...) printf_like(2, 3);
void world_step(struct world *, enum step, const struct digest *run, uint64_t n);	/* n 0: count here */

/*
 * The disk of objects and manifests. Nobody waits for it but the writer of the databases, which syncs all of it before
 * a commit; what is left alone is written in half a minute. A power cut takes the names of what was written after some
 * moment that the dice choose, and may take the bytes of what was written before it.
 */
void world_writes(struct world *, struct unsynced *);
bool world_synced(const struct world *, const struct unsynced *);
void world_sync(struct world *);
uint64_t world_cut(const struct world *);	/* names of a later order are lost */

/*
 * A way from one process to another: messages arrive in order, each after its delay, on the receiver's
 * loop. Closing it loses what is under way.
 */
struct message;
struct post {
	struct loop *loop;
	struct timer arrival;
	TAILQ_HEAD(, message) messages;
	int64_t	     last;	/* when the newest one arrives */
};
void post_init(struct post *, struct loop *, const char *name);
/* run takes data; drop, when it is lost, too. */
void post_send(struct post *, int64_t delay, void (*run)(void *data), void (*drop)(void *data), void *data);
void post_close(struct post *);

/* An operation that answers after a while: for fakes. As later_start. */
struct op *delayed_start(struct loop *, const char *name, int64_t delay, void (*run)(void *data), void (*drop)(void *data),
    void *data);

#endif
