/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/executor.h"

#include <assert.h>

#include "base/log.h"

/* Calls of executors, through their tables. */

struct op *
executor_put(struct executor *e, const struct exec_config *c, executor_put_cb *cb, void *arg)
{
	char s[9];

	assert(e && c && cb && (c->type != EXEC_COMMAND || !digest_is_zero(&c->key)));
	digest_short(&c->key, s);
	log_debug("executor: put %s %s", s, c->ident ? c->ident : "");
	return e->ops->put(e, c, cb, arg);
}

struct op *
executor_get(struct executor *e, const struct digest *key, executor_put_cb *cb, void *arg)
{
	char s[9];

	assert(e && key && cb);
	digest_short(key, s);
	log_debug("executor: get %s", s);
	return e->ops->get(e, key, cb, arg);
}

struct repo *
executor_repo(struct executor *e)
{
	return e->ops->repo(e);
}

void
executor_free(struct executor *e)
{
	if (e)
		e->ops->free(e);
}
