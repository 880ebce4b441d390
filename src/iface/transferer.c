/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/transferer.h"

#include <assert.h>

#include "base/log.h"

/* Calls of transferers, through their tables. */

struct op *
transferer_transfer(struct transferer *t, struct repo *dst, struct repo *src, const struct file *files, size_t n,
    transferer_done_cb *cb, void *arg)
{
	assert(t && dst && src && (files || n == 0) && cb);
	log_debug("transfer %zu files from %s to %s", n, src->name, dst->name);
	return t->ops->transfer(t, dst, src, files, n, cb, arg);
}

struct op *
transferer_need(
    struct transferer *t, struct repo *dst, const struct file *files, size_t n, transferer_missing_cb *cb, void *arg)
{
	assert(t && dst && (files || n == 0) && cb);
	return t->ops->need(t, dst, files, n, cb, arg);
}

void
transferer_free(struct transferer *t)
{
	if (t)
		t->ops->free(t);
}
