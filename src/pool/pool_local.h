/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_POOL_POOL_LOCAL_H
#define WEIR_POOL_POOL_LOCAL_H

#include "iface/pool.h"

/*
 * The pool of this host, inside the controller, over the executor of a root. Its allocs are granted
 * from the host's total and exclude no other controller: what really runs at once is admitted by
 * the ledger of the host. Within one controller leases work as they do anywhere: an alloc lives
 * while it is kept alive, a lapsed one no longer counts in offers but can be revived until a new
 * one needs its room. Source of the rules: grailbio/reflow local/pool.go.
 */
struct pool *pool_local_new(struct loop *, struct executor *, const struct resources *total);	/* keeps the executor */

/*
 * The alloc that a snapshot names, made again under its id (`local/ID`) by a new controller, with a new lease; one that
 * is there is found. Of what it held, what the host still has. INVALID when the id is not of this pool.
 */
must_check struct err *pool_local_restore(struct pool *, const struct alloc_inspect *, struct alloc **); /* gives */

/* For who waits for room: called when an alloc was freed or let lapse. One at a time; NULL: nobody. */
void pool_local_on_room(struct pool *, void (*room)(void *arg), void *arg);
/*
 * From now on a lease ends at its deadline, with its tasks, and is not revived: for a pool that is served to others, who
 * must be able to rely on it that what they have lost, or left, does not go on beside what they start elsewhere.
 */
void pool_local_end_lapsed(struct pool *);
int64_t pool_local_next_expiry(struct pool *);	/* monotonic ns of the next lease to lapse; 0: none */
void pool_local_available(struct pool *, struct resources *out); /* what an offer would show; out is released first */
const struct resources *pool_local_total(struct pool *);

#define POOL_LOCAL_ID "local"
#define LEASE_FIRST   SECONDS(60)	/* after accept */
#define LEASE_MOST    SECONDS(2 * 3600)

#endif
