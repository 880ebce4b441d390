/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"
#include "run/runner.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/host.h"
#include "sim/naive.h"
#include "sim/store.h"

/*
 * What is known of each run, from its records in the order of their seq, and from what its controllers
 * ask of hosts. Checks speak at the moment at which the promise is broken, so that a trace ends there.
 */
#define SINCE_LOOK SECONDS(600)

struct seen {
	unsigned refs;
	struct watch_run *run;		/* NULL: of none */
	unsigned ctl;
	struct record_head head;
	struct exec_record exec;	/* REC_EXEC: its texts are gone, the rest stays */
	struct run_state *state;	/* REC_SNAPSHOT; owned */
	bool durable;
};
struct watch_exec {
	struct digest pkey;
	bool	 ok;			/* a success is durable */
	bool	 vanished;		/* objects of it did since: it may run again, also if others bring them back meanwhile */
	unsigned ok_by;			/* its newest record is this controller's */
	struct fileset *fileset;	/* of it; owned */
	unsigned attempts;		/* made for the run */
	bool	 written;		/* a started record of the newest try and retry is written */
	uint32_t try_, retry;
	UT_hash_handle hh;
};
struct watch_file {			/* content that the run may act on */
	struct digest id;
	bool	 known;
	UT_hash_handle hh;
};
struct watch_charge {			/* an attempt that was charged; numbers begin anew when a key is forgotten */
	struct {
		struct digest pkey;
		int64_t	      queued;
		uint64_t      number;
	} id;
	UT_hash_handle hh;
};
struct watch_node {			/* explained by a record */
	struct digest id;
	UT_hash_handle hh;
};
struct watch_run {
	struct digest id;
	char	*name;
	struct run_state state;		/* newest durable */
	bool	 has_state, must_fail;
	uint64_t epoch, n;		/* newest durable */
	struct watch_exec *execs;
	struct watch_file *files;
	struct watch_node *nodes;
	struct watch_charge *charges;
	struct run_facts facts;
	const struct naive *naive;	/* kept */
	uint32_t progress, stalled;	/* keys finished in this try; tries in a row without one */
	struct resources total;		/* of its own ended attempts */
	UT_hash_handle hh;
};
struct watch {
	struct world *world;
	int64_t	      lost_at;	/* when objects vanished or were damaged for the last time; 0: never */
	struct watch_run *runs;
	struct watch_file *data;	/* put by controllers */
};

struct watch *
watch_new(struct world *w)
{
	struct watch *x = xcalloc(1, sizeof *x);

	x->world = w;
	return x;
}

struct world *
watch_world(struct watch *x)
{
	return x->world;
}

static void
files_clear(struct watch_file **files)
{
	struct watch_file *f, *tmp;

	HASH_ITER(hh, *files, f, tmp) {
		HASH_DEL(*files, f);
		free(f);
	}
}

static void
run_free(struct watch_run *r)
{
	struct watch_exec *x, *xt;
	struct watch_node *n, *nt;
	struct watch_charge *c, *ct;

	HASH_ITER(hh, r->execs, x, xt) {
		HASH_DEL(r->execs, x);
		fileset_unref(x->fileset);
		free(x);
	}
	HASH_ITER(hh, r->nodes, n, nt) {
		HASH_DEL(r->nodes, n);
		free(n);
	}
	HASH_ITER(hh, r->charges, c, ct) {
		HASH_DEL(r->charges, c);
		free(c);
	}
	files_clear(&r->files);
	if (r->has_state)
		state_release(&r->state);
	resources_release(&r->total);
	free(r->name);
	free(r);
}

void
watch_free(struct watch *x)
{
	struct watch_run *r, *tmp;

	HASH_ITER(hh, x->runs, r, tmp) {
		HASH_DEL(x->runs, r);
		run_free(r);
	}
	files_clear(&x->data);
	free(x);
}

struct watch_run *
watch_run_find(struct watch *x, const struct digest *id)
{
	struct watch_run *r;

	HASH_FIND(hh, x->runs, id, sizeof *id, r);
	return r;
}

struct watch_run *
watch_run_new(struct watch *x, const struct digest *id, const char *name, const struct naive *naive)
{
	struct watch_run *r = xcalloc(1, sizeof *r);

	r->naive = naive;
	r->id = *id;
	r->name = xstrdup(name);
	r->must_fail = naive_failed(naive);
	HASH_ADD(hh, x->runs, id, sizeof r->id, r);
	return r;
}

const struct run_state *
watch_run_state(const struct watch_run *r)
{
	return r->has_state ? &r->state : NULL;
}

static struct watch_exec *
exec_of(struct watch_run *r, const struct digest *pkey)
{
	struct watch_exec *x;

	HASH_FIND(hh, r->execs, pkey, sizeof *pkey, x);
	if (!x) {
		x = xcalloc(1, sizeof *x);
		x->pkey = *pkey;
		HASH_ADD(hh, r->execs, pkey, sizeof x->pkey, x);
	}
	return x;
}

/* What may be acted on. */

static void
file_know(struct watch_file **files, const struct digest *id)
{
	struct watch_file *f;

	HASH_FIND(hh, *files, id, sizeof *id, f);
	if (f)
		return;
	f = xcalloc(1, sizeof *f);
	f->id = *id;
	HASH_ADD(hh, *files, id, sizeof f->id, f);
}

static bool
file_known(const struct watch_file *files, const struct digest *id)
{
	const struct watch_file *f;

	HASH_FIND(hh, files, id, sizeof *id, f);
	return f != NULL;
}

static void
know_cb(unused_arg const char *path, const struct file *f, void *arg)
{
	struct watch_run *r = arg;

	file_know(&r->files, &f->id);
}

static void
know_result(struct watch_run *r, const struct exec_result *res)
{
	if (res->state == ATTEMPT_OK && res->fileset)
		fileset_each(res->fileset, know_cb, r);
}

static void
explain(struct watch_run *r, const struct digest *id)
{
	struct watch_node *n;

	HASH_FIND(hh, r->nodes, id, sizeof *id, n);
	if (n || digest_is_zero(id))
		return;
	n = xcalloc(1, sizeof *n);
	n->id = *id;
	HASH_ADD(hh, r->nodes, id, sizeof n->id, n);
}

bool
watch_run_explains(const struct watch_run *r, const struct digest *node, const struct digest *pkey)
{
	const struct watch_node *n;

	HASH_FIND(hh, r->nodes, node, sizeof *node, n);
	if (!n && pkey)
		HASH_FIND(hh, r->nodes, pkey, sizeof *pkey, n);
	return n != NULL;
}

void
watch_data(struct watch *x, const struct digest *id)
{
	file_know(&x->data, id);
}

/* Records. */

static void
seen_parse(struct seen *s, const msgpack_object *o)
{
	struct err *err = NULL;

	if (s->head.kind == REC_EXEC) {
		err = record_as_exec(o, &s->exec);
		s->exec.ident = s->exec.image = s->exec.cmd = s->exec.url = s->exec.pos = NULL;
	} else if (s->head.kind == REC_SNAPSHOT) {
		s->state = xcalloc(1, sizeof *s->state);
		err = record_as_state(o, s->state);
	}
	if (err)
		s->head.kind = REC_UNKNOWN;
	err_free(err);
}

struct seen *
watch_record(struct watch *x, struct ctl *ctl, const void *payload, size_t len)
{
	struct seen *s = xcalloc(1, sizeof *s);
	struct mpk_doc doc;
	struct err *err = mpk_parse(&doc, payload, len);

	s->refs = 1;
	s->ctl = ctl_number(ctl);
	if (!err) {
		err = record_head(mpk_root(&doc), &s->head);
		if (!err)
			seen_parse(s, mpk_root(&doc));
		mpk_doc_release(&doc);
	}
	if (err || s->head.kind == REC_UNKNOWN)
		world_fail(x->world, "c%u writes a record that cannot be read", s->ctl);
	err_free(err);
	s->run = watch_run_find(x, &s->head.run);
	return s;
}

void
seen_unref(struct seen *s)
{
	if (!s || --s->refs > 0)
		return;
	if (s->head.kind == REC_EXEC)
		exec_record_release(&s->exec);
	if (s->state)
		state_release(s->state);
	free(s->state);
	free(s);
}

void
watch_written(struct watch *x, struct seen *s)
{
	struct watch_run *r = s->run;
	struct watch_exec *e;

	if (!r)
		return;
	if (s->head.kind == REC_EXEC && s->exec.event == XEV_STARTED) {
		e = exec_of(r, &s->exec.pkey);
		e->written = true;
		e->try_ = s->exec.try_;
		e->retry = s->exec.retry;
	} else if (s->head.kind == REC_EXEC && s->exec.event == XEV_HIT) {
		know_result(r, &s->exec.result);	/* it need not be durable before it is used */
		if (r->has_state && !(r->state.Config.cache & CACHE_READ))
			world_fail(x->world, "%s does not read the cache, and records a hit", r->name);
	}
	world_step(x->world, STEP_WRITTEN, &r->id, s->head.n);
}

static bool
phase_may_follow(const struct run_state *from, const struct run_state *to)
{
	if (to->Resets > from->Resets)
		return from->Phase == PHASE_DONE && from->Err && to->Phase == PHASE_INIT;
	if (from->Phase == PHASE_DONE)
		return false;
	switch (to->Phase) {
	case PHASE_INIT:	/* after a retry; or the first snapshot of a resume repeats it */
		return (from->Phase == PHASE_RETRY && to->NumTries == from->NumTries + 1) ||
		    (from->Phase == PHASE_INIT && to->NumTries == from->NumTries);
	case PHASE_EVAL:
		return (from->Phase == PHASE_INIT || from->Phase == PHASE_EVAL) && to->NumTries == from->NumTries;
	case PHASE_RETRY:
		return (from->Phase == PHASE_INIT || from->Phase == PHASE_EVAL || from->Phase == PHASE_RETRY) && to->NumTries == from->NumTries;
	case PHASE_DONE:
		return to->NumTries >= from->NumTries;
	}
	return false;
}

static bool
total_goes_on(const struct resources *from, const struct resources *to)
{
	return to->mem >= from->mem * (1 - 1e-9) && to->cpu >= from->cpu * (1 - 1e-9);
}

/* What a command did; or trouble of the world that has been met several times in a row, without getting on. */
static bool
may_end_with(const struct watch_run *r, const struct err *err)
{
	const struct err *e;

	for (e = err; e; e = e->cause)
		if (e->kind == ERR_EXEC || e->kind == ERR_OOM)
			return true;
	return err_is(err, ERR_TOO_MANY_TRIES) && r->stalled >= 3;
}

/* A try that ends in trouble counts as stalled unless some key was finished in it. */
static void
count_tries(struct watch *x, struct watch_run *r, const struct run_state *s)
{
	if (r->has_state && s->Resets > r->state.Resets)
		r->progress = r->stalled = 0;
	if (s->Phase != PHASE_RETRY || (r->has_state && r->state.Phase == PHASE_RETRY))
		return;
	r->stalled = r->progress > 0 ? 0 : r->stalled + 1;
	r->progress = 0;
	if (s->Stalled != r->stalled)
		world_fail(x->world, "%s: says that %u tries got nowhere, and it was %u", r->name, s->Stalled, r->stalled);
}

static void
run_moves(struct watch *x, struct watch_run *r)
{
	const struct sim_objects *there = watch_run_objects(x, &r->state);
	struct watch_exec *e;

	for (e = r->execs; e; e = e->hh.next)
		e->vanished = e->vanished || (e->ok && !objects_has_all(there, e->fileset));
}

/* Whoever is Done has looked at its result. What has vanished since then, while the cache took its time, may be gone. */
static void
check_result(struct watch *x, const struct watch_run *r, const struct run_state *s)
{
	if (s->Phase != PHASE_DONE || s->Err || (x->lost_at && x->world->clock.mono - x->lost_at < SINCE_LOOK))
		return;
	if (!naive_result_there(r->naive, watch_run_objects(x, s)))
		world_fail(x->world, "%s: it is Done, and a file of the result is not in the repository", r->name);
}

static void
durable_snapshot(struct watch *x, struct watch_run *r, const struct run_state *s)
{
	count_tries(x, r, s);
	check_result(x, r, s);
	if (s->Phase == PHASE_DONE && s->Err && !r->must_fail && !may_end_with(r, s->Err)) {
		char *text = err_str(s->Err);

		world_fail(x->world, "%s: it ends with an error that no command made: %s", r->name, text);
		free(text);
	}
	if (r->has_state) {
		if (!phase_may_follow(&r->state, s))
			world_fail(x->world, "%s: phase %s (try %u) follows %s (try %u)", r->name, phase_name(s->Phase),
			    state_try(s), phase_name(r->state.Phase), state_try(&r->state));
		if (!total_goes_on(&r->state.TotalResources, &s->TotalResources))
			world_fail(x->world, "%s: its TotalResources grow smaller", r->name);
		if (s->Created != r->state.Created && s->Resets == r->state.Resets)
			world_fail(x->world, "%s: Created has changed", r->name);
		state_release(&r->state);
	}
	memset(&r->state, 0, sizeof r->state);
	state_copy(&r->state, s);
	r->has_state = true;
	if (s->Phase == PHASE_EVAL)	/* where it goes on, not all that it has made may be */
		run_moves(x, r);
	r->facts.snapshots++;
	r->facts.done += s->Phase == PHASE_DONE;
	r->facts.tries = s->NumTries;
	r->facts.resets = s->Resets;
}

static void
charge(struct watch_run *r, const struct digest *pkey, const struct exec_result *res)
{
	struct resources part = RESOURCES_INIT;
	struct watch_charge *c = xcalloc(1, sizeof *c), *there;

	c->id.pkey = *pkey;
	c->id.queued = res->usage.queued;
	c->id.number = res->attempt;
	HASH_FIND(hh, r->charges, &c->id, sizeof c->id, there);
	if (!digest_equal(&res->owner, &r->id) || there) {
		free(c);
		return;
	}
	HASH_ADD(hh, r->charges, id, sizeof c->id, c);
	resources_copy(&part, &res->usage.admitted);
	resources_scale(&part, (double)res->usage.wall_ns / 60e9);
	resources_add(&r->total, &part);
	resources_release(&part);
}

static void
durable_ended(struct watch *x, struct watch_run *r, const struct exec_record *rec, unsigned ctl)
{
	struct watch_exec *e = exec_of(r, &rec->pkey);

	r->facts.ended++;
	if (!e->written)
		world_fail(x->world, "%s: an exec has ended that never started", r->name);
	charge(r, &rec->pkey, &rec->result);
	if (rec->result.state != ATTEMPT_OK) {
		r->facts.failed++;
		return;
	}
	if (r->has_state && !(r->state.Config.cache & CACHE_READ) && !digest_equal(&rec->result.owner, &r->id))
		world_fail(x->world, "%s does not read the cache, and takes the result of another run's exec", r->name);
	if (!e->ok) {
		r->facts.execs++;
		r->progress++;
	}
	e->ok = true;
	e->ok_by = ctl;
	fileset_unref(e->fileset);
	e->fileset = fileset_ref(rec->result.fileset);
	e->vanished = !objects_has_all(r->has_state ? watch_run_objects(x, &r->state) : x->world->objects, e->fileset);
	explain(r, &rec->node);
	explain(r, &rec->pkey);
}

static void
durable_exec(struct watch *x, struct watch_run *r, const struct exec_record *rec, unsigned ctl)
{
	switch (rec->event) {
	case XEV_ENDED:
		durable_ended(x, r, rec, ctl);
		break;
	case XEV_HIT:
		r->facts.hits++;
		explain(r, &rec->node);
		break;
	case XEV_LOST:
		r->facts.lost++;
		if (rec->has_result)
			charge(r, &rec->pkey, &rec->result);
		break;
	case XEV_INTERN:
		r->facts.interns++;
		break;
	case XEV_STARTED:
		break;
	}
}

/* A new controller reads all that is durable, also what the old one was never told. */
static void
durable_epoch(struct watch *x, struct watch_run *r)
{
	struct watch_exec *e;

	for (e = r->execs; e; e = e->hh.next) {
		e->written = false;
		if (e->ok)
			fileset_each(e->fileset, know_cb, r);
	}
	(void)x;
}

void
watch_durable(struct watch *x, struct seen *s)
{
	struct watch_run *r = s->run;

	if (!r || s->durable)
		return;
	s->durable = true;
	if (s->head.epoch < r->epoch)
		world_fail(x->world, "%s: c%u writes a record of epoch %llu, after one of epoch %llu", r->name, s->ctl,
		    (unsigned long long)s->head.epoch, (unsigned long long)r->epoch);
	if (s->head.n != r->n + 1)
		world_fail(x->world, "%s: record %llu follows record %llu", r->name, (unsigned long long)s->head.n,
		    (unsigned long long)r->n);
	r->epoch = s->head.epoch;
	r->n = s->head.n;
	r->facts.records++;
	r->facts.epoch = (unsigned)r->epoch;
	if (s->head.kind == REC_SNAPSHOT)
		durable_snapshot(x, r, s->state);
	else if (s->head.kind == REC_EXEC)
		durable_exec(x, r, &s->exec, s->ctl);
	else if (s->head.kind == REC_EPOCH)
		durable_epoch(x, r);
	world_step(x->world, STEP_DURABLE, &r->id, s->head.n);
}

void
watch_acknowledged(struct watch *x, struct seen *s)
{
	struct watch_run *r = s->run;

	if (!r)
		return;
	if (!s->durable)
		world_fail(x->world, "%s: a record is acknowledged that is not durable", r->name);
	if (s->head.kind == REC_EXEC && s->exec.has_result)
		know_result(r, &s->exec.result);
	world_step(x->world, STEP_ACKNOWLEDGED, &r->id, s->head.n);
}

void
watch_transition(struct watch *x, const struct run_state *s)
{
	struct watch_run *r = watch_run_find(x, &s->ID);

	if (r && (!r->has_state || r->state.Phase != s->Phase || state_try(&r->state) != state_try(s)))
		world_fail(x->world, "%s: phase %s is acted on, and is not durable", r->name, phase_name(s->Phase));
}

/* Execs. */

#define SLACK	  1e-6
#define LOOKAHEAD 4	/* as executor_local has it: puts beyond what fits */

bool
watch_room(const struct resources *left, const struct resources *want)
{
	if (want->mem > left->mem + SLACK || want->cpu > left->cpu + SLACK)
		return false;
	for (unsigned i = 0; i < want->nfeatures; i++)
		if (want->features[i].amount > resources_get(left, want->features[i].label) + SLACK)
			return false;
	return true;
}

/*
 * In the order in which they were put they are given what they ask for, as far as it goes: all but a few. What went
 * ahead of its room has none before all that were put earlier have theirs.
 */
static bool
oversold(const struct resources *const *out, size_t n, const struct resources *total)
{
	struct resources left = RESOURCES_INIT;
	size_t i;

	resources_copy(&left, total);
	for (i = 0; i < n && watch_room(&left, out[i]); i++)
		resources_sub(&left, out[i]);
	resources_release(&left);
	return n - i > LOOKAHEAD;
}

static void
check_inputs(struct watch *x, const struct watch_run *r, const struct exec_config *c)
{
	for (size_t i = 0; i < c->ninputs; i++) {
		const struct exec_input *in = &c->inputs[i];

		if (in->dir || in->origin || file_known(r->files, &in->file.id) || file_known(x->data, &in->file.id))
			continue;
		world_fail(x->world, "%s: %s is put with an input whose record is not acknowledged", r->name,
		    c->ident ? c->ident : "an exec");
		return;
	}
}

void
watch_put(struct watch *x, struct ctl *ctl, const struct exec_config *c, const struct resources *const *out, size_t n,
    const struct resources *total)
{
	struct watch_run *r = watch_run_find(x, &c->claim.run);
	const char *ident = c->ident ? c->ident : "an exec";
	struct watch_exec *e;

	if (n > 0 && !resources_available(total, out[n - 1]))
		world_fail(x->world, "c%u: %s is put, and asks for more than the alloc has", ctl_number(ctl), ident);
	if (oversold(out, n, total))
		world_fail(x->world, "c%u: %zu execs are put at once, more than four beyond what the alloc has", ctl_number(ctl), n);
	if (!r || c->type != EXEC_COMMAND)
		return;
	if (!r->has_state) {
		world_fail(x->world, "%s: %s is put before the run exists", r->name, ident);
		return;
	}
	if (c->claim.try_ != state_try(&r->state))
		world_fail(x->world, "%s: %s is put for try %u, and the run is in try %u", r->name, ident, c->claim.try_,
		    state_try(&r->state));
	if (c->claim.join && !(r->state.Config.cache & CACHE_READ))
		world_fail(x->world, "%s: %s may join, though the run does not read the cache", r->name, ident);
	e = exec_of(r, &c->key);
	if (!e->written || e->try_ != c->claim.try_ || e->retry != c->claim.retry)
		world_fail(x->world, "%s: %s is put before its started record is written", r->name, ident);
	check_inputs(x, r, c);
}

/* Two attempts of a key may only live side by side when one of the runs must not share. */
static void
check_alone(struct watch *x, const struct watch_run *r, const struct attempt *a)
{
	const struct attempt *o;
	const struct watch_run *other;
	struct host *h;

	TAILQ_FOREACH(h, &x->world->hosts, link) {
		for (o = host_attempts_of(h, &a->key); o; o = o->older) {
			if (o == a || !o->live || attempt_dying(o))
				continue;
			other = watch_run_find(x, &o->claim.run);
			if (h != a->host && h->served)	/* it ends by its lease: see watch_host.c */
				continue;
			if (other == r || (h == a->host && other && other->has_state &&
			    (r->state.Config.cache & CACHE_READ) && o->state != ATTEMPT_LOST))
				world_fail(x->world, "%s: a second attempt of %s lives, beside one of %s", r->name,
				    a->request.config.ident ? a->request.config.ident : "an exec", other->name);
		}
	}
}

void
watch_attempt(struct watch *x, struct ctl *ctl, const struct attempt *a)
{
	struct watch_run *r = watch_run_find(x, &a->claim.run);
	struct watch_exec *e;

	if (!r)
		return;
	e = exec_of(r, &a->key);
	r->facts.started++;
	r->facts.recomputed += e->attempts > 0;
	e->attempts++;
	if (!ctl || !r->has_state || a->claim.epoch < r->epoch)	/* the last words of one who is gone */
		return;
	if (e->ok && !e->vanished)
		world_fail(x->world, "%s: %s runs again, though its result is on record", r->name,
		    a->request.config.ident ? a->request.config.ident : "an exec");
	check_alone(x, r, a);
}

void
watch_objects_lost(struct watch *x)
{
	struct watch_run *r;
	struct watch_exec *e;

	x->lost_at = x->world->clock.mono;
	for (r = x->runs; r; r = r->hh.next)
		for (e = r->has_state ? r->execs : NULL; e; e = e->hh.next)
			e->vanished = e->vanished || (e->ok && !objects_has_all(watch_run_objects(x, &r->state), e->fileset));
}

void
watch_leaves(struct watch *x, struct watch_run *r, unsigned ctl)
{
	const struct watch_exec *e;

	if (!r->has_state || r->state.Phase != PHASE_DONE || r->state.Err || !(r->state.Config.cache & CACHE_WRITE))
		return;
	for (e = r->execs; e; e = e->hh.next)
		if (e->ok && e->ok_by == ctl && !db_has(x->world->db, &e->pkey))
			world_fail(x->world, "c%u leaves, and a result of %s is not in the cache", ctl, r->name);
}

void
watch_run_facts(const struct watch_run *r, struct run_facts *out)
{
	*out = r->facts;
}

static bool
near(double a, double b)
{
	return fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b) + 1);
}

void
watch_total(struct watch *x)
{
	struct watch_run *r;

	for (r = x->runs; r; r = r->hh.next)
		if (r->has_state && r->state.Phase == PHASE_DONE &&
		    (!near(r->state.TotalResources.cpu, r->total.cpu) || !near(r->state.TotalResources.mem, r->total.mem)))
			world_fail(x->world, "%s: TotalResources say %g core-minutes, its attempts come to %g", r->name,
			    r->state.TotalResources.cpu, r->total.cpu);
}
