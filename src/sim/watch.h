/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_WATCH_H
#define WEIR_SIM_WATCH_H

#include "iface/exec.h"
#include "run/record.h"
#include "sim/world.h"

/*
 * Whoever watches that the promises are kept. It sees every record as it is written, becomes durable and
 * is acknowledged, every put and every attempt, and says at once what must not be. What it compares with
 * is made from what it saw, never from what the runners remember.
 *
 *  - a result is acted on only when its record is acknowledged, a put only follows its `started` record
 *  - an exec with a durable result whose objects are there does not run again in its run
 *  - a key has at most one live attempt a run, and one among the runs that may share
 *  - phases, tries, epochs and totals only go forward; a success is the last word
 *  - what is put at once fits the alloc, what runs at once fits the host, and so do its allocs together
 *  - what fits is put
 *  - an alloc is gone at its deadline: nothing is done for it later, nothing that ran for it goes on, nobody puts to it
 *  - a run only ends with an error of a command, or after three tries in a row that got nowhere
 *  - whoever is Done has its result in the repository
 *  - a controller leaves when the cache has what its runs found
 *  - a run without the cache uses nothing but what it started
 *  - claims carry the try that the run is in
 *  - every exec that a result stands on is explained by a record
 */
struct watch *watch_new(struct world *);
void watch_free(struct watch *);
struct world *watch_world(struct watch *);

/* Records. */
struct seen;		/* one record; shared between journal and watch */
struct seen *watch_record(struct watch *, struct ctl *, const void *payload, size_t);	/* gives */
void seen_unref(struct seen *);
void watch_written(struct watch *, struct seen *);
void watch_durable(struct watch *, struct seen *);	/* again is fine */
void watch_acknowledged(struct watch *, struct seen *);

/* Runs. */
struct run_facts {		/* what the records and attempts of a run come to */
	unsigned execs;		/* keys that ended well */
	unsigned started;	/* attempts made for it */
	unsigned recomputed;	/* of them, beyond the first of a key */
	unsigned ended, failed, lost, hits, joined, interns, records, snapshots;
	unsigned tries, resets, epoch, done;	/* done: snapshots with phase Done */
};
struct watch_run;
struct naive;
/* What it must come to is the naive evaluator's, which is kept. Borrowed. */
struct watch_run *watch_run_new(struct watch *, const struct digest *id, const char *name, const struct naive *);
struct watch_run *watch_run_find(struct watch *, const struct digest *id);	/* NULL: unknown */
const struct run_state *watch_run_state(const struct watch_run *);	/* newest durable one; NULL: it does not exist yet */
void watch_run_facts(const struct watch_run *, struct run_facts *);
/* Has a record explained this exec, by node or by physical key? */
bool watch_run_explains(const struct watch_run *, const struct digest *node, const struct digest *pkey);

/* Execs. */
/* Is so much left, of all that is admitted on? Disk is only advertised. */
bool watch_room(const struct resources *left, const struct resources *want);
/* out: what each exec that is put and not over asks for, this one among them. */
void watch_put(struct watch *, struct ctl *, const struct exec_config *, const struct resources *const *out, size_t n,
    const struct resources *total);
struct attempt;
void watch_attempt(struct watch *, struct ctl *, const struct attempt *);	/* created; ctl NULL: it is gone */
void watch_data(struct watch *, const struct digest *);		/* put into the repository by a controller */
void watch_objects_lost(struct watch *);			/* some have just vanished */
void watch_transition(struct watch *, const struct run_state *);	/* a runner says that this is durable */
/* A controller that had the run leaves by itself: the cache has acknowledged what the run put. */
void watch_leaves(struct watch *, struct watch_run *, unsigned ctl);
void watch_total(struct watch *);	/* at the end */

/* Hosts of a cluster; watch_host.c. */
struct pool;
void watch_granted(struct watch *, struct host *, struct pool *);	/* an alloc: are its leases within what it has? */
/* It does something under a lease: may it still? */
void watch_lease(struct watch *, const struct host *, const char *alloc, int64_t deadline, const char *what);
/* Where the run's objects are to be found: with the host of its alloc. */
struct sim_objects *watch_run_objects(struct watch *, const struct run_state *);

#endif
