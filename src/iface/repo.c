/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/repo.h"

#include <assert.h>

#include "base/log.h"
#include "iface/later.h"

/*
 * Calls of repositories, through their tables. What an implementation leaves out (direct transfers)
 * answers NOT_SUPPORTED, so that no caller looks into the table.
 */

static void
trace(const struct repo *r, const char *call, const struct digest *d)
{
	char s[9];

	digest_short(d, s);
	log_debug("repo %s: %s %s", r->name, call, s);
}

bool
repo_peek(struct repo *r, const struct digest *d, struct file *out)
{
	return r->ops->peek && r->ops->peek(r, d, out);
}

bool
repo_stamps(struct repo *r, uint64_t stamp[REPO_PARTS])
{
	return r->ops->stamps && r->ops->stamps(r, stamp);
}

struct op *
repo_stat(struct repo *r, const struct digest *d, repo_stat_cb *cb, void *arg)
{
	assert(r && d && cb);
	trace(r, "stat", d);
	return r->ops->stat(r, d, cb, arg);
}

struct op *
repo_get(struct repo *r, const struct digest *d, repo_get_cb *cb, void *arg)
{
	assert(r && d && cb);
	trace(r, "get", d);
	return r->ops->get(r, d, cb, arg);
}

struct op *
repo_put(struct repo *r, struct source *s, const struct digest *want, repo_put_cb *cb, void *arg)
{
	assert(r && s && cb);
	log_debug("repo %s: put", r->name);
	return r->ops->put(r, s, want, cb, arg);
}

struct op *
repo_read_from(struct repo *r, const struct digest *d, const char *url, repo_done_cb *cb, void *arg)
{
	assert(r && d && url && cb);
	trace(r, "read-from", d);
	if (!r->ops->read_from)
		return later_done(r->loop, "repo-read-from", err_new(ERR_NOT_SUPPORTED, "read from", "%s", url), cb,
		    arg);
	return r->ops->read_from(r, d, url, cb, arg);
}

struct op *
repo_write_to(struct repo *r, const struct digest *d, const char *url, repo_done_cb *cb, void *arg)
{
	assert(r && d && url && cb);
	trace(r, "write-to", d);
	if (!r->ops->write_to)
		return later_done(r->loop, "repo-write-to", err_new(ERR_NOT_SUPPORTED, "write to", "%s", url), cb, arg);
	return r->ops->write_to(r, d, url, cb, arg);
}

const char *
repo_url(struct repo *r)
{
	return r->ops->url ? r->ops->url(r) : NULL;
}

void
repo_free(struct repo *r)
{
	if (r)
		r->ops->free(r);
}
