/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_CLUSTER_H
#define WEIR_IFACE_CLUSTER_H

#include "iface/pool.h"

/*
 * A cluster allocates: at least req.min, hopefully up to its maximum; it may wait, and scale up.
 * RESOURCES_EXHAUSTED at once when nothing it has could ever cover req.min.
 */
struct cluster;
/* While it waits: what for, in words; may come often, or never. */
typedef void cluster_waiting_cb(const char *what, void *arg);
struct cluster_ops {
	struct op *(*allocate)(struct cluster *, const struct requirements *, const struct labels *, cluster_waiting_cb *,
	    pool_alloc_cb *, void *arg);
	/*
	 * The alloc of that URI. inspect: what a snapshot said of it, or NULL; a local cluster re-creates
	 * the alloc from it under the same id (a new controller resumes without waiting).
	 */
	struct op *(*alloc)(struct cluster *, const char *uri, const struct alloc_inspect *, pool_alloc_cb *, void *arg);
	struct pool *(*pool)(struct cluster *);		/* borrowed */
	const char *(*name)(struct cluster *);
	void (*free)(struct cluster *);
};
struct cluster {
	const struct cluster_ops *ops;
	struct loop		 *loop;	/* kept */
};
struct op *cluster_allocate(struct cluster *, const struct requirements *, const struct labels *, cluster_waiting_cb *,
    pool_alloc_cb *, void *arg);
struct op *cluster_alloc(struct cluster *, const char *uri, const struct alloc_inspect *, pool_alloc_cb *, void *arg);
struct pool *cluster_pool(struct cluster *);
const char *cluster_name(struct cluster *);
void cluster_free(struct cluster *);	/* NULL is fine */

#endif
