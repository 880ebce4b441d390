/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_POOL_H
#define WEIR_IFACE_POOL_H

#include "iface/alloc.h"

/* A pool offers resources and holds allocs. An offer is a snapshot, not a reservation. */
struct offer {
	char		*id;		/* owned */
	struct pool	*pool;		/* kept: where to accept it */
	struct resources available;
};
struct offers {				/* owned array */
	struct offer *v;
	size_t	      n;
};
void offers_release(struct offers *);

typedef void pool_offers_cb(struct offers *, struct err *, void *arg);	/* parts become the callback's */
typedef void pool_alloc_cb(struct alloc *, struct err *, void *arg);	/* gives */
typedef void pool_allocs_cb(struct alloc **, size_t n, struct err *, void *arg);	/* gives the array and the allocs */
struct pool_ops {
	struct op *(*offers)(struct pool *, pool_offers_cb *, void *arg);
	/* Grants exactly meta->want, or NOT_EXIST ("offer expired") if somebody was faster. Copies meta. */
	struct op *(*accept)(struct pool *, const char *offer_id, const struct alloc_meta *, pool_alloc_cb *, void *arg);
	struct op *(*alloc)(struct pool *, const char *id, pool_alloc_cb *, void *arg);	/* NOT_EXIST if unknown */
	struct op *(*allocs)(struct pool *, pool_allocs_cb *, void *arg);
	/* Could any machine of the pool ever cover this? Answered at once from what is known. */
	bool (*could_ever)(struct pool *, const struct resources *);
	const char *(*id)(struct pool *);	/* `local`, host:port, "" for a mux */
	void (*free)(struct pool *);
};
struct pool {
	const struct pool_ops *ops;
	struct loop	      *loop;	/* kept */
};
struct op *pool_offers(struct pool *, pool_offers_cb *, void *arg);
struct op *pool_accept(struct pool *, const char *offer_id, const struct alloc_meta *, pool_alloc_cb *, void *arg);
struct op *pool_alloc(struct pool *, const char *id, pool_alloc_cb *, void *arg);
struct op *pool_allocs(struct pool *, pool_allocs_cb *, void *arg);
bool pool_could_ever(struct pool *, const struct resources *);
const char *pool_id(struct pool *);
void pool_free(struct pool *);		/* NULL is fine */

#endif
