/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/mpk_scan.h"
#include "base/xalloc.h"

/*
 * exec: the thin dispatch of execs, and the one document of a result. Nothing here may
 * need a loop: the keeper links it statically.
 */

static const char *const state_names[] = {
	[ATTEMPT_QUEUED] = "queued",
	[ATTEMPT_STAGING] = "staging",
	[ATTEMPT_RUNNING] = "running",
	[ATTEMPT_COLLECTING] = "collecting",
	[ATTEMPT_OK] = "ok",
	[ATTEMPT_FAILED] = "failed",
	[ATTEMPT_LOST] = "lost",
};

const char *
attempt_state_name(enum attempt_state state)
{
	return (size_t)state < nitems(state_names) ? state_names[state] : "unknown";
}

bool
attempt_state_from_name(const char *name, size_t len, enum attempt_state *out)
{
	for (size_t i = 0; i < nitems(state_names); i++) {
		if (strlen(state_names[i]) == len && memcmp(state_names[i], name, len) == 0) {
			*out = (enum attempt_state)i;
			return true;
		}
	}
	return false;
}

void
exec_result_release(struct exec_result *r)
{
	fileset_unref(r->fileset);
	fileset_unref(r->missing);
	err_free(r->err);
	resources_release(&r->usage.admitted);
	free(r->host);
	memset(r, 0, sizeof *r);
}

void
exec_result_copy(struct exec_result *dst, const struct exec_result *src)
{
	*dst = *src;
	dst->fileset = src->fileset != NULL ? fileset_ref(src->fileset) : NULL;
	dst->missing = src->missing != NULL ? fileset_ref(src->missing) : NULL;
	dst->err = src->err != NULL ? err_copy(src->err) : NULL;
	dst->host = src->host != NULL ? xstrdup(src->host) : NULL;
	dst->usage.admitted = (struct resources)RESOURCES_INIT;
	resources_copy(&dst->usage.admitted, &src->usage.admitted);
}

void
exec_result_mpk(const struct exec_result *r, struct mpk_w *w)
{
	const struct exec_usage *u = &r->usage;

	mpk_map(w, 18 + (r->missing != NULL) + !digest_is_zero(&r->exec));
	mpk_key(w, "state"), mpk_str(w, attempt_state_name(r->state));
	mpk_key(w, "attempt"), mpk_u64(w, r->attempt);
	mpk_key(w, "status"), mpk_i64(w, r->status);
	mpk_key(w, "fileset");
	if (r->fileset != NULL)
		fileset_mpk(r->fileset, w);
	else
		mpk_nil(w);
	mpk_key(w, "error"), mpk_err(w, r->err);
	mpk_key(w, "queued"), mpk_time(w, u->queued);
	mpk_key(w, "started"), mpk_time(w, u->started);
	mpk_key(w, "ended"), mpk_time(w, u->ended);
	mpk_key(w, "wall_ns"), mpk_i64(w, u->wall_ns);
	mpk_key(w, "cpu_ns"), mpk_i64(w, u->cpu_ns);
	mpk_key(w, "max_rss"), mpk_u64(w, u->max_rss);
	mpk_key(w, "admitted"), resources_mpk(&u->admitted, w);
	mpk_key(w, "stdout"), mpk_digest(w, &r->out);
	mpk_key(w, "stderr"), mpk_digest(w, &r->errlog);
	mpk_key(w, "log_sizes"), mpk_array(w, 2), mpk_u64(w, r->out_size), mpk_u64(w, r->err_size);
	mpk_key(w, "host"), mpk_str(w, r->host);
	mpk_key(w, "isolated"), mpk_bool(w, r->isolated);
	mpk_key(w, "owner"), mpk_digest(w, &r->owner);
	if (r->missing != NULL)
		mpk_key(w, "missing"), fileset_mpk(r->missing, w);
	if (!digest_is_zero(&r->exec))
		mpk_key(w, "exec"), mpk_digest(w, &r->exec);
}

static void
result_usage_from_mpk(const msgpack_object *o, struct exec_usage *u)
{
	mpk_get_time(o, "queued", &u->queued);
	mpk_get_time(o, "started", &u->started);
	mpk_get_time(o, "ended", &u->ended);
	mpk_get_i64(o, "wall_ns", &u->wall_ns);
	mpk_get_i64(o, "cpu_ns", &u->cpu_ns);
	mpk_get_u64(o, "max_rss", &u->max_rss);
	resources_from_mpk(&u->admitted, mpk_get(o, "admitted"));
}

static void
result_logs_from_mpk(const msgpack_object *o, struct exec_result *r)
{
	const msgpack_object *sizes = mpk_get(o, "log_sizes");

	mpk_get_digest(o, "stdout", &r->out);
	mpk_get_digest(o, "stderr", &r->errlog);
	if (sizes == NULL || sizes->type != MSGPACK_OBJECT_ARRAY || sizes->via.array.size != 2)
		return;
	if (sizes->via.array.ptr[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		r->out_size = sizes->via.array.ptr[0].via.u64;
	if (sizes->via.array.ptr[1].type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		r->err_size = sizes->via.array.ptr[1].via.u64;
}

struct err *
exec_result_from_mpk(const msgpack_object *o, struct exec_result *out)
{
	struct exec_result r = { .status = -1 };
	const msgpack_object *fileset = mpk_get(o, "fileset"), *missing = mpk_get(o, "missing");
	const char *state;
	struct err *err = NULL;
	uint64_t attempt = 0;
	int64_t status = -1;
	size_t len;

	if (!mpk_get_str(o, "state", &state, &len) || !attempt_state_from_name(state, len, &r.state) ||
	    r.state < ATTEMPT_OK)
		return err_msg(ERR_INVALID, "bad exec result: its state is missing or unknown");
	if (fileset != NULL && fileset->type != MSGPACK_OBJECT_NIL)
		err = fileset_from_mpk(fileset, &r.fileset);
	if (err == NULL && missing != NULL && missing->type != MSGPACK_OBJECT_NIL)
		err = fileset_from_mpk(missing, &r.missing);
	if (err == NULL && r.state == ATTEMPT_OK && r.fileset == NULL)
		err = err_msg(ERR_INVALID, "bad exec result: ok without a fileset");
	if (err != NULL) {
		exec_result_release(&r);
		return err;
	}
	r.err = mpk_as_err(mpk_get(o, "error"));
	if (mpk_get_u64(o, "attempt", &attempt) && attempt <= UINT32_MAX)
		r.attempt = (uint32_t)attempt;
	if (mpk_get_i64(o, "status", &status) && status >= -1 && status <= INT32_MAX)
		r.status = (int)status;
	result_usage_from_mpk(o, &r.usage);
	result_logs_from_mpk(o, &r);
	r.host = mpk_get_strdup(o, "host");
	mpk_get_bool(o, "isolated", &r.isolated);
	mpk_get_digest(o, "owner", &r.owner);
	mpk_get_digest(o, "exec", &r.exec);
	*out = r;
	return NULL;
}

void
exec_result_brief_mpk(const struct exec_result *r, struct mpk_w *w)
{
	bool logs = r->out_size > 0 || r->err_size > 0 || !digest_is_zero(&r->out) || !digest_is_zero(&r->errlog);

	mpk_map(w, 3 + (logs ? 3 : 0) + (r->host != NULL) + !digest_is_zero(&r->exec));
	mpk_key(w, "state"), mpk_str(w, attempt_state_name(r->state));
	mpk_key(w, "attempt"), mpk_u64(w, r->attempt);
	mpk_key(w, "fileset");
	if (r->fileset != NULL)
		fileset_mpk(r->fileset, w);
	else
		mpk_nil(w);
	if (logs) {
		mpk_key(w, "stdout"), mpk_digest(w, &r->out);
		mpk_key(w, "stderr"), mpk_digest(w, &r->errlog);
		mpk_key(w, "log_sizes"), mpk_array(w, 2), mpk_u64(w, r->out_size), mpk_u64(w, r->err_size);
	}
	if (r->host != NULL)
		mpk_key(w, "host"), mpk_str(w, r->host);
	if (!digest_is_zero(&r->exec))
		mpk_key(w, "exec"), mpk_digest(w, &r->exec);
}

static bool
scan_optional_digest(struct mpk_scan *s, struct digest *d)
{
	return mpk_take_nil(s) || mpk_take_digest(s, d);
}

static bool
scan_log_sizes(struct mpk_scan *s, struct exec_result *r)
{
	uint64_t n;

	return mpk_take_array(s, &n) && n == 2 && mpk_take_u64(s, &r->out_size) && mpk_take_u64(s, &r->err_size);
}

static bool
scan_attempt(struct mpk_scan *s, struct exec_result *r)
{
	uint64_t n;

	if (!mpk_take_u64(s, &n) || n > UINT32_MAX)
		return false;
	r->attempt = (uint32_t)n;
	return true;
}

static bool
scan_state(struct mpk_scan *s, struct exec_result *r)
{
	const char *p;
	size_t n;

	return mpk_take_str(s, &p, &n) && attempt_state_from_name(p, n, &r->state) && r->state >= ATTEMPT_OK;
}

static bool
scan_host(struct mpk_scan *s, struct exec_result *r)
{
	const char *p;
	size_t n;

	if (mpk_take_nil(s))
		return true;
	if (!mpk_take_str(s, &p, &n))
		return false;
	free(r->host);
	r->host = xstrndup(p, n);
	return true;
}

static bool
scan_fileset(struct mpk_scan *s, struct exec_result *r)
{
	struct fileset *fs = NULL;

	if (mpk_take_nil(s))
		return true;
	if (!fileset_scan(s, &fs))
		return false;
	fileset_unref(r->fileset);
	r->fileset = fs;
	return true;
}

static bool
key_is(const char *p, size_t n, const char *key)
{
	return n == strlen(key) && memcmp(p, key, n) == 0;
}

static bool
scan_field(struct mpk_scan *s, struct exec_result *r)
{
	const char *key;
	size_t n;

	if (!mpk_take_str(s, &key, &n))
		return false;
	if (key_is(key, n, "state"))
		return scan_state(s, r);
	if (key_is(key, n, "attempt"))
		return scan_attempt(s, r);
	if (key_is(key, n, "fileset"))
		return scan_fileset(s, r);
	if (key_is(key, n, "exec"))
		return scan_optional_digest(s, &r->exec);
	if (key_is(key, n, "stdout"))
		return scan_optional_digest(s, &r->out);
	if (key_is(key, n, "stderr"))
		return scan_optional_digest(s, &r->errlog);
	if (key_is(key, n, "log_sizes"))
		return scan_log_sizes(s, r);
	if (key_is(key, n, "host"))
		return scan_host(s, r);
	return mpk_take_any(s);
}

bool
exec_result_scan(const void *p, size_t len, struct exec_result *out)
{
	struct exec_result r = { .status = -1 };
	struct mpk_scan s;
	bool good = mpk_scan_map(&s, p, len);

	for (uint64_t i = 0; good && i < s.left; i++)
		good = scan_field(&s, &r);
	if (good && s.p == s.end && r.state >= ATTEMPT_OK && (r.state != ATTEMPT_OK || r.fileset != NULL)) {
		*out = r;
		return true;
	}
	exec_result_release(&r);
	return false;
}

void
exec_inspect_release(struct exec_inspect *i)
{
	free(i->ident);
	free(i->cmd);
	free(i->dir);
	memset(i, 0, sizeof *i);
}

struct op *
exec_wait(struct exec *e, exec_result_cb *cb, void *arg)
{
	return e->ops->wait(e, cb, arg);
}

struct op *
exec_inspect_start(struct exec *e, exec_inspect_cb *cb, void *arg)
{
	return e->ops->inspect(e, cb, arg);
}

struct op *
exec_logs(struct exec *e, enum exec_log log, bool follow, void (*cb)(struct source *, struct err *, void *), void *arg)
{
	return e->ops->logs(e, log, follow, cb, arg);
}

void
exec_kill(struct exec *e)
{
	e->ops->kill(e);
}

void
exec_free(struct exec *e)
{
	if (e != NULL)
		e->ops->free(e);
}
