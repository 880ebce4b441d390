/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/assoc.h"

#include <assert.h>
#include <stddef.h>

#include "base/log.h"

/* Calls of assocs, through their tables. */

bool
assoc_peek(struct assoc *a, enum assoc_kind kind, const struct digest *key, const void **value, size_t *len)
{
	return a->ops->peek && a->ops->peek(a, kind, key, value, len);
}

struct op *
assoc_get(struct assoc *a, enum assoc_kind kind, const struct digest *key, assoc_get_cb *cb, void *arg)
{
	char s[9];

	assert(a && key && cb);
	digest_short(key, s);
	log_debug("assoc: get %d %s", kind, s);
	return a->ops->get(a, kind, key, cb, arg);
}

struct op *
assoc_put(struct assoc *a, enum assoc_kind kind, const struct digest *key, const void *value, size_t len,
    assoc_done_cb *cb, void *arg)
{
	char s[9];

	assert(a && key && cb && (value || len == 0));
	digest_short(key, s);
	log_debug("assoc: put %d %s, %zu bytes", kind, s, len);
	return a->ops->put(a, kind, key, value, len, cb, arg);
}

void
assoc_hurry(struct assoc *a)
{
	if (a->ops->hurry != NULL)
		a->ops->hurry(a);
}

void
assoc_free(struct assoc *a)
{
	if (a)
		a->ops->free(a);
}
