/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_FAKE_CLUSTER_H
#define WEIR_TESTS_IFACE_FAKE_CLUSTER_H

#include "iface/cluster.h"
#include "tests/iface/fake.h"

/*
 * A cluster over any pool: Allocate takes the whole first offer that covers the minimum, or waits
 * (says `waiting`, tries again each second). Calls: cluster-allocate, cluster-alloc, beside the pool's own.
 */
struct cluster *fake_cluster_new(struct fake *, struct pool *);	/* keeps both */

#endif
