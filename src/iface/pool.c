/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"

/* Calls of pools, through their tables; and what an offer owns. */

void
offers_release(struct offers *o)
{
	for (size_t i = 0; i < o->n; i++) {
		free(o->v[i].id);
		resources_release(&o->v[i].available);
	}
	free(o->v);
	*o = (struct offers){ NULL, 0 };
}

struct op *
pool_offers(struct pool *p, pool_offers_cb *cb, void *arg)
{
	assert(p && cb);
	log_debug("pool %s: offers", pool_id(p));
	return p->ops->offers(p, cb, arg);
}

struct op *
pool_accept(struct pool *p, const char *offer, const struct alloc_meta *meta, pool_alloc_cb *cb, void *arg)
{
	assert(p && offer && meta && cb);
	log_debug("pool %s: accept %s", pool_id(p), offer);
	return p->ops->accept(p, offer, meta, cb, arg);
}

struct op *
pool_alloc(struct pool *p, const char *id, pool_alloc_cb *cb, void *arg)
{
	assert(p && id && cb);
	log_debug("pool %s: alloc %s", pool_id(p), id);
	return p->ops->alloc(p, id, cb, arg);
}

struct op *
pool_allocs(struct pool *p, pool_allocs_cb *cb, void *arg)
{
	assert(p && cb);
	log_debug("pool %s: allocs", pool_id(p));
	return p->ops->allocs(p, cb, arg);
}

bool
pool_could_ever(struct pool *p, const struct resources *r)
{
	assert(p && r);
	return p->ops->could_ever(p, r);
}

const char *
pool_id(struct pool *p)
{
	return p->ops->id(p);
}

void
pool_free(struct pool *p)
{
	if (p)
		p->ops->free(p);
}
