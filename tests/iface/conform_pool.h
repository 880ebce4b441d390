/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_CONFORM_POOL_H
#define WEIR_TESTS_IFACE_CONFORM_POOL_H

#include "iface/pool.h"
#include "tests/loop/looptest.h"

/*
 * What every pool must do: as conform_repo. make gives a pool of one machine with cpu 4, mem 8 GiB, disk
 * 100 GiB, on a virtual clock, whose executor runs on when nobody asks. ends_lapsed: a lease that has lapsed is gone;
 * elsewhere it can be revived until its room is needed.
 */
struct conform_pool {
	struct pool *(*make)(struct loop *, void *arg);
	void (*end)(void *arg);		/* after the pool is freed, before the loop is */
	void *arg;
	bool  ends_lapsed;
};
void conform_pool(const struct conform_pool *);

/* Blocking calls, for other tests too; each gives its error. */
struct err *sync_offers(struct pool *, struct offers *out);
struct err *sync_accept(struct pool *, const char *offer, const struct resources *want, struct alloc **out);
struct err *sync_alloc(struct pool *, const char *id, struct alloc **out);
struct err *sync_allocs(struct pool *, struct alloc ***out, size_t *n);
struct err *sync_keepalive(struct alloc *, int64_t interval, int64_t *granted);
struct err *sync_inspect(struct alloc *, struct alloc_inspect *out);
struct err *sync_free(struct alloc *);
void advance(struct loop *, int64_t ns);	/* lets this much time pass on a virtual clock */
void amount(struct resources *, double cpu, double gib_mem, double gib_disk);
#define GIB ((double)(1 << 30))

#endif
