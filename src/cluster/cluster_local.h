/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CLUSTER_CLUSTER_LOCAL_H
#define WEIR_CLUSTER_CLUSTER_LOCAL_H

#include "iface/cluster.h"

/*
 * The embedded default: the cluster is this host, through the local pool of the controller. Allocate
 * takes the whole offer, since the host's ledger admits what really runs; it waits for room that
 * other allocs of this controller hold, and only if the host's total could ever cover the need.
 */
struct cluster *cluster_local_new(struct loop *, struct pool *local);	/* keeps the pool, made by pool_local_new */

#endif
