/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_POOL_ALLOC_REQ_H
#define WEIR_POOL_ALLOC_REQ_H

#include "iface/pool.h"

/*
 * Gets an alloc from a pool: fetches the offers, picks the one that fits best, accepts it; when
 * somebody was faster, all over again, for a few rounds, asking another pool first if one covers it. Takes of the offer what the requirements
 * could use at most, and all of it when too little would be left for anybody else, or when `whole`.
 * UNAVAILABLE when no offer covers the minimum, or every round was lost.
 * Keeps the pool, copies the rest; labels may be NULL.
 * Source of the rules: grailbio/reflow pool/pool.go.
 */
struct op *alloc_req_start(struct pool *, const struct requirements *, const struct labels *, bool whole,
    pool_alloc_cb *, void *arg);

/*
 * The offer that covers min and lies nearest to max; the first of equals. NULL: none covers min.
 * Borrows from the offers.
 */
const struct offer *offers_pick(const struct offers *, const struct resources *min, const struct resources *max);
/* Who asks: `Full Name <user>`, or `<unknown>`. Gives. */
char *alloc_owner(void);

#endif
