/* SPDX-License-Identifier: Apache-2.0 */
#include "run/state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xalloc.h"
#include "loop/loop.h"

/*
 * The State and its codec. What a reader would get wrong: NumTries is the reference's (Reset clears
 * it), but the try that claims name must never repeat, or a reset run would attach to the failed
 * attempts of before: hence Resets.
 */
#define TRIES_PER_RESET 1000	/* far above any limit of tries */

static const char *const phase_names[] = { "Init", "Eval", "Retry", "Done" };

const char *
phase_name(enum run_phase p)
{
	return phase_names[p];
}

bool
phase_from_name(const char *s, size_t n, enum run_phase *out)
{
	for (size_t i = 0; i < nitems(phase_names); i++) {
		if (strlen(phase_names[i]) == n && memcmp(phase_names[i], s, n) == 0) {
			*out = (enum run_phase)i;
			return true;
		}
	}
	return false;
}

static char *
dup_or_null(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

void
run_config_copy(struct run_config *dst, const struct run_config *src)
{
	*dst = *src;
	dst->invalidate = dup_or_null(src->invalidate);
	dst->universe = dup_or_null(src->universe);
	dst->cluster = dup_or_null(src->cluster);
	dst->cluster_aux = dup_or_null(src->cluster_aux);
}

void
run_config_release(struct run_config *c)
{
	free(c->invalidate);
	free(c->universe);
	free(c->cluster);
	free(c->cluster_aux);
	memset(c, 0, sizeof *c);
}

void
state_init(struct run_state *s)
{
	memset(s, 0, sizeof *s);
	s->Schema = STATE_SCHEMA;
	s->Config = (struct run_config)RUN_CONFIG_INIT;
}

/* Everything that a try leaves behind. */
static void
clear_progress(struct run_state *s)
{
	free(s->AllocID);
	s->AllocID = NULL;
	if (s->AllocInspect != NULL)
		alloc_inspect_release(s->AllocInspect);
	free(s->AllocInspect);
	s->AllocInspect = NULL;
	free(s->Result);
	free(s->ResultJSON);
	free(s->ResultType);
	s->Result = s->ResultJSON = s->ResultType = NULL;
	err_free(s->Err);
	s->Err = NULL;
	s->NumTries = s->Stalled = 0;
	s->LastTry = s->Created = s->Completion = 0;
}

void
state_release(struct run_state *s)
{
	clear_progress(s);
	free(s->Program);
	labels_release(&s->Params);
	for (size_t i = 0; i < s->nArgs; i++)
		free(s->Args[i]);
	free(s->Args);
	resources_release(&s->TotalResources);
	free(s->Dir);
	free(s->Cause);
	labels_release(&s->Labels);
	run_config_release(&s->Config);
	memset(s, 0, sizeof *s);
}

void
state_copy(struct run_state *dst, const struct run_state *src)
{
	*dst = *src;
	dst->Program = dup_or_null(src->Program);
	dst->Params = (struct labels){ NULL, 0 };
	labels_copy(&dst->Params, &src->Params);
	dst->Args = src->nArgs == 0 ? NULL : xcalloc(src->nArgs, sizeof *dst->Args);
	for (size_t i = 0; i < src->nArgs; i++)
		dst->Args[i] = xstrdup(src->Args[i]);
	dst->AllocID = dup_or_null(src->AllocID);
	if (src->AllocInspect != NULL) {
		dst->AllocInspect = xcalloc(1, sizeof *dst->AllocInspect);
		alloc_inspect_copy(dst->AllocInspect, src->AllocInspect);
	}
	dst->Result = dup_or_null(src->Result);
	dst->ResultJSON = dup_or_null(src->ResultJSON);
	dst->ResultType = dup_or_null(src->ResultType);
	dst->Err = src->Err == NULL ? NULL : err_copy(src->Err);
	dst->TotalResources = (struct resources)RESOURCES_INIT;
	resources_copy(&dst->TotalResources, &src->TotalResources);
	dst->Dir = dup_or_null(src->Dir);
	dst->Cause = dup_or_null(src->Cause);
	dst->Labels = (struct labels){ NULL, 0 };
	labels_copy(&dst->Labels, &src->Labels);
	run_config_copy(&dst->Config, &src->Config);
}

void
state_reset(struct run_state *s)
{
	clear_progress(s);
	s->Phase = PHASE_INIT;
	s->Resets++;
}

uint32_t
state_try(const struct run_state *s)
{
	return s->Resets * TRIES_PER_RESET + s->NumTries;
}

static void
add_time(struct buf *out, int64_t ns)
{
	char text[40];
	struct tm tm;
	time_t t = (time_t)(ns / 1000000000);

	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_addstr(out, text);
}

/* How many it may come to if nothing is finished from now on. */
static uint32_t
most_tries(const struct run_state *s)
{
	return s->NumTries + 1 + (s->Stalled < STALLED_TRIES ? STALLED_TRIES - s->Stalled : 0);
}

void
state_str(const struct run_state *s, struct buf *out)
{
	char *e = s->Err == NULL ? NULL : err_str(s->Err);

	switch (s->Phase) {
	case PHASE_INIT:
		buf_addstr(out, "init");
		break;
	case PHASE_EVAL:
		buf_addf(out, "eval alloc %s", s->AllocID == NULL ? "(none)" : s->AllocID);
		break;
	case PHASE_RETRY:
		buf_addf(out, "retry error %s try %u/%u last ", e == NULL ? "(none)" : e, s->NumTries + 1, most_tries(s));
		add_time(out, s->LastTry);
		break;
	case PHASE_DONE:
		if (e != NULL)
			buf_addf(out, "done error %s", e);
		else
			buf_addf(out, "done result %s", s->Result == NULL ? "" : s->Result);
		break;
	}
	free(e);
}

/* The codec. */

static void
put_labels(struct mpk_w *w, const char *key, const struct labels *l)
{
	mpk_key(w, key);
	mpk_map(w, l->n);
	for (size_t i = 0; i < l->n; i++) {
		mpk_str(w, l->v[i].name);
		mpk_str(w, l->v[i].value);
	}
}

static void
put_str(struct mpk_w *w, const char *key, const char *s)
{
	mpk_key(w, key);
	mpk_str(w, s);
}

static void
put_time(struct mpk_w *w, const char *key, int64_t ns)
{
	mpk_key(w, key);
	if (ns == 0)
		mpk_nil(w);
	else
		mpk_time(w, ns);
}

static const char *
cache_mode_name(enum cache_mode m)
{
	static const char *const names[] = { "off", "read", "write", "read+write" };

	return names[m & 3];
}

static void
config_mpk(const struct run_config *c, struct mpk_w *w)
{
	mpk_map(w, 11);
	put_str(w, "CacheMode", cache_mode_name(c->cache));
	mpk_key(w, "BottomUp");
	mpk_bool(w, c->bottomup);
	mpk_key(w, "NoCacheExtern");
	mpk_bool(w, c->no_cache_extern);
	mpk_key(w, "RecomputeEmpty");
	mpk_bool(w, c->recompute_empty);
	mpk_key(w, "FailFast");
	mpk_bool(w, c->fail_fast);
	put_str(w, "Invalidate", c->invalidate);
	mpk_key(w, "CacheLookupTimeout");
	mpk_i64(w, c->lookup_timeout);
	mpk_key(w, "Retain");
	mpk_i64(w, c->retain);
	put_str(w, "Universe", c->universe);
	put_str(w, "Cluster", c->cluster);
	put_str(w, "ClusterAux", c->cluster_aux);
}

void
state_mpk(const struct run_state *s, struct mpk_w *w)
{
	mpk_map(w, 24);
	mpk_key(w, "ID");
	mpk_digest(w, &s->ID);
	put_str(w, "Program", s->Program);
	put_labels(w, "Params", &s->Params);
	mpk_key(w, "Args");
	mpk_array(w, s->nArgs);
	for (size_t i = 0; i < s->nArgs; i++)
		mpk_str(w, s->Args[i]);
	put_str(w, "Phase", phase_name(s->Phase));
	put_str(w, "AllocID", s->AllocID);
	mpk_key(w, "AllocInspect");
	if (s->AllocInspect == NULL)
		mpk_nil(w);
	else
		alloc_inspect_mpk(s->AllocInspect, w);
	put_str(w, "Result", s->Result);
	mpk_key(w, "Err");
	mpk_err(w, s->Err);
	mpk_key(w, "NumTries");
	mpk_u64(w, s->NumTries);
	put_time(w, "LastTry", s->LastTry);
	put_time(w, "Created", s->Created);
	put_time(w, "Completion", s->Completion);
	mpk_key(w, "TotalResources");
	resources_mpk(&s->TotalResources, w);
	mpk_key(w, "Schema");
	mpk_u64(w, s->Schema);
	mpk_key(w, "Resets");
	mpk_u64(w, s->Resets);
	mpk_key(w, "Stalled");
	mpk_u64(w, s->Stalled);
	mpk_key(w, "Bundle");
	mpk_digest(w, &s->Bundle);
	put_str(w, "Dir", s->Dir);
	put_str(w, "ResultJSON", s->ResultJSON);
	put_str(w, "ResultType", s->ResultType);
	put_str(w, "Cause", s->Cause);
	put_labels(w, "Labels", &s->Labels);
	mpk_key(w, "Config");
	config_mpk(&s->Config, w);
}

static char *
obj_strdup(const msgpack_object *o)
{
	return o->type == MSGPACK_OBJECT_STR ? xstrndup(o->via.str.ptr, o->via.str.size) : NULL;
}

static void
get_labels(const msgpack_object *map, const char *key, struct labels *out)
{
	const msgpack_object *o = mpk_get(map, key);

	if (o == NULL || o->type != MSGPACK_OBJECT_MAP)
		return;
	for (uint32_t i = 0; i < o->via.map.size; i++) {
		char *name = obj_strdup(&o->via.map.ptr[i].key), *value = obj_strdup(&o->via.map.ptr[i].val);

		if (name != NULL && value != NULL)
			labels_set(out, name, value);
		free(name);
		free(value);
	}
}

static void
get_args(const msgpack_object *map, struct run_state *s)
{
	const msgpack_object *o = mpk_get(map, "Args");

	if (o == NULL || o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size == 0)
		return;
	s->Args = xcalloc(o->via.array.size, sizeof *s->Args);
	for (uint32_t i = 0; i < o->via.array.size; i++) {
		char *a = obj_strdup(&o->via.array.ptr[i]);

		s->Args[s->nArgs++] = a != NULL ? a : xstrdup("");
	}
}

static uint32_t
get_u32(const msgpack_object *map, const char *key)
{
	uint64_t v = 0;

	return mpk_get_u64(map, key, &v) && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static int64_t
get_time(const msgpack_object *map, const char *key)
{
	int64_t ns = 0;

	return mpk_get_time(map, key, &ns) ? ns : 0;
}

static void
config_from_mpk(const msgpack_object *o, struct run_config *c)
{
	const char *mode;
	size_t n;

	if (mpk_get_str(o, "CacheMode", &mode, &n)) {
		for (int m = CACHE_OFF; m <= CACHE_READ_WRITE; m++) {
			const char *name = cache_mode_name((enum cache_mode)m);

			if (strlen(name) == n && memcmp(name, mode, n) == 0)
				c->cache = (enum cache_mode)m;
		}
	}
	(void)mpk_get_bool(o, "BottomUp", &c->bottomup);
	(void)mpk_get_bool(o, "NoCacheExtern", &c->no_cache_extern);
	(void)mpk_get_bool(o, "RecomputeEmpty", &c->recompute_empty);
	(void)mpk_get_bool(o, "FailFast", &c->fail_fast);
	c->invalidate = mpk_get_strdup(o, "Invalidate");
	(void)mpk_get_i64(o, "CacheLookupTimeout", &c->lookup_timeout);
	(void)mpk_get_i64(o, "Retain", &c->retain);
	c->universe = mpk_get_strdup(o, "Universe");
	c->cluster = mpk_get_strdup(o, "Cluster");
	c->cluster_aux = mpk_get_strdup(o, "ClusterAux");
}

struct err *
state_from_mpk(const msgpack_object *o, struct run_state *out)
{
	struct run_state s;
	const msgpack_object *sub;
	struct err *err = NULL;
	const char *phase;
	size_t n;

	state_init(&s);
	if (o == NULL || o->type != MSGPACK_OBJECT_MAP || !mpk_get_digest(o, "ID", &s.ID))
		err = err_msg(ERR_INVALID, "not a State: no run ID");
	else if (!mpk_get_str(o, "Phase", &phase, &n) || !phase_from_name(phase, n, &s.Phase))
		err = err_msg(ERR_INVALID, "not a State: its phase is none that is known");
	if (err != NULL)
		goto out;
	s.Program = mpk_get_strdup(o, "Program");
	get_labels(o, "Params", &s.Params);
	get_args(o, &s);
	s.AllocID = mpk_get_strdup(o, "AllocID");
	sub = mpk_get(o, "AllocInspect");
	if (sub != NULL && sub->type == MSGPACK_OBJECT_MAP) {
		s.AllocInspect = xcalloc(1, sizeof *s.AllocInspect);
		if ((err = alloc_inspect_from_mpk(sub, s.AllocInspect)) != NULL)
			goto out;
	}
	s.Result = mpk_get_strdup(o, "Result");
	s.Err = mpk_as_err(mpk_get(o, "Err"));
	s.NumTries = get_u32(o, "NumTries");
	s.LastTry = get_time(o, "LastTry");
	s.Created = get_time(o, "Created");
	s.Completion = get_time(o, "Completion");
	if ((sub = mpk_get(o, "TotalResources")) != NULL)
		resources_from_mpk(&s.TotalResources, sub);
	s.Schema = get_u32(o, "Schema");
	s.Resets = get_u32(o, "Resets");
	s.Stalled = get_u32(o, "Stalled");
	(void)mpk_get_digest(o, "Bundle", &s.Bundle);
	s.Dir = mpk_get_strdup(o, "Dir");
	s.ResultJSON = mpk_get_strdup(o, "ResultJSON");
	s.ResultType = mpk_get_strdup(o, "ResultType");
	s.Cause = mpk_get_strdup(o, "Cause");
	get_labels(o, "Labels", &s.Labels);
	config_from_mpk(mpk_get(o, "Config"), &s.Config);
	*out = s;
	return NULL;
out:
	state_release(&s);
	return err;
}
