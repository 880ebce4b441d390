/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_FAKE_POOL_H
#define WEIR_TESTS_IFACE_FAKE_POOL_H

#include "iface/pool.h"
#include "tests/iface/fake.h"

/*
 * A pool of machines, each with an amount and an executor; an alloc holds part of one machine. Leases
 * run on the loop's clock as the contract says, and can be lost at will.
 * Calls: pool-offers, pool-accept, pool-alloc, pool-allocs, alloc-keepalive, alloc-inspect, alloc-free.
 */
struct pool *fake_pool_new(struct fake *, const char *id);		/* keeps both */
void fake_pool_add(struct pool *, const struct resources *, struct executor *);	/* a machine; keeps the executor */
void fake_pool_grant(struct pool *, int64_t most_ns); /* what a keepalive grants at most; default 2 h */
void fake_pool_lose(struct pool *, const char *uri);			/* the alloc is gone, as with its machine */
void fake_pool_take(struct pool *, const struct alloc_meta *);	/* somebody else gets it now, of the first machine, for a minute */
size_t fake_pool_nallocs(struct pool *);				/* in the table, lapsed ones too */

#endif
