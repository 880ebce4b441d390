/* SPDX-License-Identifier: Apache-2.0 */
#include "run/knowledge.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/mpk_scan.h"
#include "base/xalloc.h"

/*
 * What a reader would get wrong: an attempt may be recorded more than once (a resumed run attaches to
 * a failure and records it again, also when later ones have ended meanwhile), and is charged once all
 * the same. Numbers begin anew when all attempts of a key are forgotten, so the time counts as well.
 */
struct attempt_id {
	uint32_t number;
	int64_t	 queued;
};
struct known_exec {
	struct digest	   pkey;
	struct exec_result result;	/* the newest that ended */
	bool		   has_result;
	bool		   finished;	/* ended ok, at some time */
	bool		   components;
	struct attempt_id  first_charged, *more_charged;	/* more: owned; most execs have one attempt */
	uint32_t	   ncharged;
	UT_hash_handle	   hh;
};
struct known_intern {
	char		  *url;
	struct exec_result result;
	UT_hash_handle	   hh;
};
struct run_knowledge {
	struct digest	     run;
	struct known_exec   *execs;
	struct known_intern *interns;
	struct resources     total;
	uint64_t	     progress;
	uint32_t	     resets;
};

/* A digest needs no hashing. */
static unsigned
hash_of(const struct digest *d)
{
	unsigned h;

	memcpy(&h, d->b, sizeof h);
	return h;
}

static struct known_exec *
find_exec(const struct run_knowledge *k, const struct digest *pkey)
{
	struct known_exec *x;

	HASH_FIND_BYHASHVALUE(hh, k->execs, pkey, sizeof *pkey, hash_of(pkey), x);
	return x;
}

static struct known_exec *
known_exec_of(struct run_knowledge *k, const struct digest *pkey)
{
	struct known_exec *x = find_exec(k, pkey);

	if (x == NULL) {
		x = xcalloc(1, sizeof *x);
		x->pkey = *pkey;
		HASH_ADD_BYHASHVALUE(hh, k->execs, pkey, sizeof *pkey, hash_of(pkey), x);
	}
	return x;
}

static bool
was_charged(const struct known_exec *x, const struct attempt_id *id)
{
	for (uint32_t i = 0; i < x->ncharged; i++) {
		const struct attempt_id *c = i == 0 ? &x->first_charged : &x->more_charged[i - 1];

		if (c->number == id->number && c->queued == id->queued)
			return true;
	}
	return false;
}

static void
set_charged(struct known_exec *x, const struct attempt_id *id)
{
	if (x->ncharged == 0) {
		x->first_charged = *id;
	} else {
		x->more_charged = xreallocarray(x->more_charged, x->ncharged, sizeof *x->more_charged);
		x->more_charged[x->ncharged - 1] = *id;
	}
	x->ncharged++;
}

/* An attempt is charged once, to the run that started it, whatever it came to. */
static void
charge(struct run_knowledge *k, struct known_exec *x, const struct exec_result *r)
{
	struct attempt_id id = { r->attempt, r->usage.queued };
	struct resources part = RESOURCES_INIT;

	if (!digest_equal(&r->owner, &k->run) || was_charged(x, &id))
		return;
	set_charged(x, &id);
	resources_copy(&part, &r->usage.admitted);
	resources_scale(&part, (double)r->usage.wall_ns / 60e9);
	resources_add(&k->total, &part);
	resources_release(&part);
}

static void
learn_intern(struct run_knowledge *k, const char *url, size_t n, const struct exec_result *r)
{
	struct known_intern *x;

	if (r->state != ATTEMPT_OK)
		return;
	n = strnlen(url, n);	/* foreign bytes may hold a NUL */
	HASH_FIND(hh, k->interns, url, n, x);
	if (x == NULL) {
		x = xcalloc(1, sizeof *x);
		x->url = xstrndup(url, n);
		HASH_ADD_KEYPTR(hh, k->interns, x->url, n, x);
	} else {
		exec_result_release(&x->result);
	}
	exec_result_copy(&x->result, r);
}

static void
learn_ended(struct run_knowledge *k, const struct digest *pkey, const struct exec_result *r)
{
	struct known_exec *x = known_exec_of(k, pkey);

	charge(k, x, r);
	if (r->state == ATTEMPT_OK && !x->finished) {
		x->finished = true;
		k->progress++;
	}
	if (x->has_result)
		exec_result_release(&x->result);
	exec_result_copy(&x->result, r);
	x->has_result = true;
}

/* An object of its result is gone: what is known of it is void, and only another end brings it back. */
static void
unlearn(struct run_knowledge *k, const struct digest *pkey)
{
	struct known_exec *x = find_exec(k, pkey);

	if (x == NULL || !x->has_result)
		return;
	exec_result_release(&x->result);
	x->has_result = false;
}

void
run_knowledge_learn(struct run_knowledge *k, const struct eval_event *ev)
{
	const struct digest *pkey = &ev->node->pkey;

	if (ev->kind == EV_INTERN)
		learn_intern(k, ev->node->u.intern.url, strlen(ev->node->u.intern.url), ev->result);
	else if (ev->kind == EV_ENDED && ev->node->has_pkey)
		learn_ended(k, pkey, ev->result);
	else if (ev->kind == EV_LOST && ev->object != NULL)
		unlearn(k, pkey);
	else if (ev->kind == EV_LOST && ev->node->has_pkey && ev->result != NULL)
		charge(k, known_exec_of(k, pkey), ev->result);
	else if (ev->kind == EV_STARTED && ev->components != NULL)
		known_exec_of(k, pkey)->components = true;
}

static void
forget_interns(struct run_knowledge *k)
{
	struct known_intern *i, *it;

	HASH_ITER(hh, k->interns, i, it) {
		HASH_DEL(k->interns, i);
		exec_result_release(&i->result);
		free(i->url);
		free(i);
	}
}

void
run_knowledge_state(struct run_knowledge *k, const struct run_state *s)
{
	if (s->Resets > k->resets)
		forget_interns(k);
	if (s->Resets > k->resets || s->Phase == PHASE_RETRY)
		k->progress = 0;
	k->resets = s->Resets;
}

/* The parts of an exec record that somebody here asks for. There may be very many records: nothing else is decoded. */
struct parts {
	struct mpk_slice result, url, object, components;	/* p NULL: absent */
};

static void
find_parts(const char *payload, size_t len, struct parts *out)
{
	struct mpk_slice key, value;
	struct mpk_scan s;

	memset(out, 0, sizeof *out);
	if (!mpk_scan_map(&s, payload, len))
		return;
	while (mpk_scan_next(&s, &key, &value)) {
		if (mpk_slice_is(&key, "result"))
			out->result = value;
		else if (mpk_slice_is(&key, "url"))
			out->url = value;
		else if (mpk_slice_is(&key, "object"))
			out->object = value;
		else if (mpk_slice_is(&key, "components"))
			out->components = value;
	}
}

/* Of a newer schema: not understood, so not known. */
static bool
decode_result(const struct mpk_slice *v, struct exec_result *r)
{
	struct mpk_doc doc;
	struct err *err;
	bool good;

	if (v->p == NULL)
		return false;
	err = mpk_parse(&doc, v->p, (size_t)(v->end - v->p));
	if (err == NULL) {
		err = mpk_root(&doc)->type == MSGPACK_OBJECT_MAP ? exec_result_from_mpk(mpk_root(&doc), r) :
		    err_new(ERR_INVALID, NULL, NULL);
		mpk_doc_release(&doc);
	}
	good = err == NULL;
	err_free(err);
	return good;
}

static bool
is_empty_array(const struct mpk_slice *v)
{
	return v->p == NULL || v->p == v->end || *v->p == 0x90 || *v->p == 0xc0;
}

static void
record_with_result(struct run_knowledge *k, const struct record_peek *p, const struct parts *parts)
{
	struct exec_result r;
	const char *url;
	size_t n;

	if (!decode_result(&parts->result, &r))
		return;
	if (p->event == XEV_INTERN && parts->url.p != NULL && mpk_slice_str(&parts->url, &url, &n))
		learn_intern(k, url, n, &r);
	else if (p->event == XEV_ENDED && !digest_is_zero(&p->pkey))
		learn_ended(k, &p->pkey, &r);
	else if (p->event == XEV_LOST && !digest_is_zero(&p->pkey))
		charge(k, known_exec_of(k, &p->pkey), &r);
	exec_result_release(&r);
}

static void
record_exec_of(struct run_knowledge *k, const struct record_peek *p, const char *payload, size_t len)
{
	struct digest object;
	struct parts parts;

	if (p->event == XEV_HIT || (p->event != XEV_INTERN && digest_is_zero(&p->pkey)))
		return;
	find_parts(payload, len, &parts);
	if (p->event == XEV_STARTED) {
		if (!is_empty_array(&parts.components))
			known_exec_of(k, &p->pkey)->components = true;
	} else if (p->event == XEV_LOST && parts.object.p != NULL && mpk_slice_digest(&parts.object, &object)) {
		unlearn(k, &p->pkey);
	} else {
		record_with_result(k, p, &parts);
	}
}

static void
record_state_of(struct run_knowledge *k, const char *payload, size_t len)
{
	struct mpk_doc doc;
	struct run_state s;
	struct err *err = mpk_parse(&doc, payload, len);

	if (err == NULL) {
		err = record_as_state(mpk_root(&doc), &s);
		mpk_doc_release(&doc);
	}
	if (err == NULL) {
		run_knowledge_state(k, &s);
		state_release(&s);
	}
	err_free(err);
}

void
run_knowledge_record(struct run_knowledge *k, const struct record_peek *p, const char *payload, size_t len)
{
	if (p->is_exec)
		record_exec_of(k, p, payload, len);
	else if (p->is_state)
		record_state_of(k, payload, len);
}

struct run_knowledge *
run_knowledge_new(const struct digest *run, const struct run_record *records, size_t n)
{
	struct run_knowledge *k = xcalloc(1, sizeof *k);

	k->run = *run;
	for (size_t i = 0; i < n; i++) {
		struct record_peek p;

		if (record_peek(records[i].payload, records[i].len, &p))
			run_knowledge_record(k, &p, records[i].payload, records[i].len);
	}
	return k;
}

void
run_knowledge_free(struct run_knowledge *k)
{
	struct known_exec *x, *xt;

	if (k == NULL)
		return;
	HASH_ITER(hh, k->execs, x, xt) {
		HASH_DEL(k->execs, x);
		if (x->has_result)
			exec_result_release(&x->result);
		free(x->more_charged);
		free(x);
	}
	forget_interns(k);
	resources_release(&k->total);
	free(k);
}

const struct exec_result *
run_knowledge_exec(const struct run_knowledge *k, const struct digest *pkey)
{
	const struct known_exec *x = find_exec(k, pkey);

	return x != NULL && x->has_result && x->result.state == ATTEMPT_OK ? &x->result : NULL;
}

const struct exec_result *
run_knowledge_intern(const struct run_knowledge *k, const char *url)
{
	struct known_intern *x;

	HASH_FIND(hh, k->interns, url, strlen(url), x);
	return x != NULL ? &x->result : NULL;
}

void
run_knowledge_total(const struct run_knowledge *k, struct resources *out)
{
	resources_copy(out, &k->total);
}

bool
run_knowledge_has_components(const struct run_knowledge *k, const struct digest *pkey)
{
	const struct known_exec *x = find_exec(k, pkey);

	return x != NULL && x->components;
}

uint64_t
run_knowledge_progress(const struct run_knowledge *k)
{
	return k->progress;
}
