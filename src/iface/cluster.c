/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/cluster.h"

#include <assert.h>
#include <stddef.h>

#include "base/log.h"

/* Calls of clusters, through their tables. */

struct op *
cluster_allocate(struct cluster *c, const struct requirements *req, const struct labels *labels,
    cluster_waiting_cb *waiting, pool_alloc_cb *cb, void *arg)
{
	struct buf what = BUF_INIT;

	assert(c && req && cb);
	if (log_level() >= LOG_DEBUG) {
		requirements_str(req, &what);
		log_debug("cluster %s: allocate %s", cluster_name(c), buf_str(&what));
		buf_release(&what);
	}
	return c->ops->allocate(c, req, labels, waiting, cb, arg);
}

struct op *
cluster_alloc(struct cluster *c, const char *uri, const struct alloc_inspect *inspect, pool_alloc_cb *cb, void *arg)
{
	assert(c && uri && cb);
	log_debug("cluster %s: alloc %s", cluster_name(c), uri);
	return c->ops->alloc(c, uri, inspect, cb, arg);
}

struct pool *
cluster_pool(struct cluster *c)
{
	return c->ops->pool(c);
}

const char *
cluster_name(struct cluster *c)
{
	return c->ops->name(c);
}

void
cluster_free(struct cluster *c)
{
	if (c)
		c->ops->free(c);
}
