/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/host.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"
#include "sim/client.h"
#include "sim/command.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/watch.h"

/*
 * The keeper of a host. An attempt goes through the hands of a slot: staged, admitted by the ledger in
 * order of arrival, run, collected, its manifest put in place, and only then is anybody told. What a
 * reader would get wrong: any step may be the one at which the seed kills the keeper, so after each one
 * the attempt is looked at again before it is touched.
 */
#define SLACK 1e-6

struct queued {
	TAILQ_ENTRY(queued) entry;
	struct keeper_client *client;
	uint64_t	id;
	struct request	request;
};
struct key_attempts {
	struct digest	key;
	struct attempt *newest;
	unsigned	last;		/* number of the newest */
	unsigned	runs;		/* commands that were run for it */
	UT_hash_handle	hh;
};
struct run_epoch {
	struct digest  run;
	uint64_t       epoch;
	UT_hash_handle hh;
};

static const struct range step_time = { MILLIS(1) / 5, MILLIS(4) };

static int64_t
host_delay(struct host *h, const struct range *s)
{
	return world_delay(h->world, s, "host", h->number, ++h->ndice);
}

struct host *
host_new(struct world *w, const struct resources *total, unsigned slots)
{
	struct host *h = xcalloc(1, sizeof *h), *last = TAILQ_LAST(&w->hosts, hosts);

	h->world = w;
	h->number = last ? last->number + 1 : 1;
	h->name = xasprintf("host%u", h->number);
	resources_copy(&h->total, total);
	h->slots = slots;
	TAILQ_INIT(&h->queue);
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->attempts);
	TAILQ_INIT(&h->clients);
	TAILQ_INSERT_TAIL(&w->hosts, h, link);
	return h;
}

struct host *
host_find(struct world *w, unsigned number)
{
	struct host *h;

	TAILQ_FOREACH(h, &w->hosts, link)
		if (h->number == number)
			return h;
	return NULL;
}

static struct key_attempts *
key_of(struct host *h, const struct digest *key, bool make)
{
	struct key_attempts *k;

	HASH_FIND(hh, h->keys, key, sizeof *key, k);
	if (k || !make)
		return k;
	k = xcalloc(1, sizeof *k);
	k->key = *key;
	HASH_ADD(hh, h->keys, key, sizeof k->key, k);
	return k;
}

struct attempt *
host_attempts_of(struct host *h, const struct digest *key)
{
	struct key_attempts *k = key_of(h, key, false);

	return k ? k->newest : NULL;
}

bool
attempt_dying(const struct attempt *a)
{
	return a->end != END_NONE;
}

/* Telling those who wait. */

static void
tell_subs(struct attempt *a, enum report_kind kind)
{
	struct sub *s;

	if (!a->told && kind == REPORT_DONE)	/* who is told of the end has heard of the beginning */
		TAILQ_FOREACH(s, &a->subs, entry)
			host_report(s, REPORT_TAKEN, a, ATTEMPT_COLLECTING, false);
	a->told = true;
	TAILQ_FOREACH(s, &a->subs, entry)
		host_report(s, kind, a, a->state, false);
}

static void
drop_subs(struct attempt *a)
{
	struct sub *s;

	while ((s = TAILQ_FIRST(&a->subs))) {
		TAILQ_REMOVE(&a->subs, s, entry);
		free(s);
	}
}

static void
add_sub(struct attempt *a, struct keeper_client *c, uint64_t id)
{
	struct sub *s;

	if (client_gone(c)) {
		if (a->live && TAILQ_EMPTY(&a->subs) && !timer_is_set(&a->orphan))
			timer_set(&a->orphan, (int64_t)a->claim.retain_ns);
		return;
	}
	s = xcalloc(1, sizeof *s);
	s->client = c;
	s->id = id;
	TAILQ_INSERT_TAIL(&a->subs, s, entry);
	timer_clear(&a->orphan);
}

/* The ledger. */

static bool
ledger_fits(const struct host *h, const struct attempt *a)
{
	const struct resources *r = &a->request.config.resources;
	double mem = r->mem, cpu = r->cpu;
	const struct attempt *o;

	TAILQ_FOREACH(o, &h->attempts, link) {
		if (!o->admitted)
			continue;
		mem += o->request.config.resources.mem;
		cpu += o->request.config.resources.cpu;
	}
	return mem <= h->total.mem + SLACK && cpu <= h->total.cpu + SLACK;
}

static bool
takes_too_much_memory(const struct attempt *a, const struct command *c)
{
	return c->needs > a->request.config.resources.mem;
}

static void attempt_over_cb(void *);

static void
attempt_run(struct attempt *a)
{
	struct host *h = a->host;
	struct key_attempts *k = key_of(h, &a->key, true);
	struct command c;
	int64_t takes;

	command_parse(a->request.config.cmd, &c);
	k->runs++;
	takes = c.takes >= 0 ? c.takes : world_delay(h->world, &h->world->exec, "exec", a->key.b[0] | a->key.b[1] << 8, k->runs);
	if (takes_too_much_memory(a, &c))
		takes /= 2;
	a->state = ATTEMPT_RUNNING;
	a->admitted = true;
	a->result.usage.started = loop_wall(h->world->loop);
	resources_copy(&a->result.usage.admitted, &a->request.config.resources);
	timer_init(&a->next, h->world->loop, "command", attempt_over_cb, a);
	timer_set(&a->next, takes);
	tell_subs(a, REPORT_STATE);
	world_say(h->world, "%s runs %s (attempt %u)", h->name, a->request.config.ident ? a->request.config.ident : "?", a->number);
	world_step(h->world, STEP_SPAWNED, &a->claim.run, 0);
}

static void
ledger_pump(struct host *h)
{
	struct attempt *a;

	while ((a = TAILQ_FIRST(&h->waiting)) && ledger_fits(h, a)) {
		TAILQ_REMOVE(&h->waiting, a, wait);
		a->waits = false;
		attempt_run(a);
	}
}

/* The steps of an attempt. */

static void host_pump(struct host *);

static void
attempt_finish(struct attempt *a, enum attempt_state state, struct err *err)
{
	struct host *h = a->host;

	timer_clear(&a->next);
	a->result.state = a->state = state;
	err_free(a->result.err);
	a->result.err = err;
	if (state != ATTEMPT_OK) {
		fileset_unref(a->result.fileset);
		a->result.fileset = NULL;
	}
	a->result.usage.ended = a->result.usage.ended ? a->result.usage.ended : loop_wall(h->world->loop);
	a->manifest = true;
	world_step(h->world, STEP_MANIFEST, &a->claim.run, 0);
	if (!a->live)
		return;
	a->live = false;
	timer_clear(&a->orphan);
	tell_subs(a, REPORT_DONE);
	drop_subs(a);
	h->busy--;
	host_pump(h);
}

static struct err *
end_error(const struct attempt *a)
{
	if (a->end == END_RETAIN)
		return err_msg(ERR_CANCELED, "ended: its controller did not come back in time");
	return err_msg(ERR_CANCELED, "killed");
}

static void
attempt_collected_cb(void *arg)
{
	struct attempt *a = arg;
	struct host *h = a->host;

	if (h->full) {
		attempt_finish(a, ATTEMPT_LOST, err_errno(ENOSPC, "write", "outputs"));
		return;
	}
	objects_add_all(h->world->objects, a->result.fileset);
	attempt_finish(a, ATTEMPT_OK, NULL);
}

static struct fileset *
attempt_outputs(const struct attempt *a)
{
	const struct exec_config *c = &a->request.config;
	struct command_input *holes = xcalloc(c->nholes + 1, sizeof *holes);
	struct command_output *outs = xcalloc(c->noutputs + 1, sizeof *outs);
	struct digest *content = xcalloc(c->ninputs + 1, sizeof *content);
	struct fileset *fs;
	size_t n = 0;

	for (size_t i = 0; i < c->nholes; i++) {
		holes[i].output = c->holes[i].output;
		holes[i].index = c->holes[i].index;
		holes[i].content = content + n;
		for (size_t k = 0; !holes[i].output && k < c->ninputs; k++)
			if (strtoul(c->inputs[k].path, NULL, 10) == c->holes[i].index && !c->inputs[k].dir)
				content[n++] = c->inputs[k].file.id;
		holes[i].n = (size_t)(content + n - holes[i].content);
		assert(n <= c->ninputs);
	}
	for (size_t k = 0; k < c->noutputs; k++)
		outs[k].dir = c->outputs[k].dir;
	fs = command_run(c->cmd, holes, c->nholes, outs, c->noutputs);
	free(holes);
	free(outs);
	free(content);
	return fs;
}

static void
attempt_over_cb(void *arg)
{
	struct attempt *a = arg;
	struct host *h = a->host;
	struct key_attempts *k = key_of(h, &a->key, true);
	struct command c;

	command_parse(a->request.config.cmd, &c);
	a->admitted = false;
	a->result.usage.ended = loop_wall(h->world->loop);
	a->result.usage.wall_ns = a->result.usage.ended - a->result.usage.started;
	if (a->result.usage.wall_ns < 0)
		a->result.usage.wall_ns = 0;
	ledger_pump(h);
	if (!a->live)
		return;
	if (takes_too_much_memory(a, &c)) {
		attempt_finish(a, ATTEMPT_FAILED, err_msg(ERR_OOM, "killed: the command needs more memory"));
	} else if (a->end != END_NONE) {
		attempt_finish(a, ATTEMPT_LOST, end_error(a));
	} else if (k->runs <= c.fails) {
		a->result.status = 256;
		attempt_finish(a, ATTEMPT_FAILED, err_msg(ERR_EXEC, "exited with code 1"));
	} else {
		a->result.status = 0;
		a->result.fileset = attempt_outputs(a);
		a->state = ATTEMPT_COLLECTING;
		timer_init(&a->next, h->world->loop, "collect", attempt_collected_cb, a);
		timer_set(&a->next, host_delay(h, &step_time));
	}
}

/* Inputs must be there; one that is still the user's file enters the repository now. */
static struct err *
stage_inputs(struct attempt *a)
{
	struct world *w = a->host->world;
	const struct exec_config *c = &a->request.config;
	struct fileset_builder *gone = NULL;
	struct file f;

	for (size_t i = 0; i < c->ninputs; i++) {
		const struct exec_input *in = &c->inputs[i];

		if (in->dir || objects_has(w->objects, &in->file.id))
			continue;
		if (in->origin && (!files_read(w->files, in->origin, &f) || !digest_equal(&f.id, &in->file.id))) {
			fileset_builder_free(gone);
			return err_msg(ERR_TEMPORARY, "input changed meanwhile: %s", in->origin);
		}
		if (in->origin) {
			objects_add(w->objects, &f);
			continue;
		}
		gone = gone ? gone : fileset_builder_new();
		fileset_builder_add(gone, in->path, &in->file);
	}
	if (!gone)
		return NULL;
	a->result.missing = fileset_builder_finish(gone);
	return err_msg(ERR_NOT_EXIST, "objects of inputs are missing");
}

static void
attempt_staged_cb(void *arg)
{
	struct attempt *a = arg;
	struct host *h = a->host;
	struct err *err = stage_inputs(a);

	if (err) {
		attempt_finish(a, ATTEMPT_LOST, err);
		return;
	}
	if (a->end != END_NONE) {
		attempt_finish(a, ATTEMPT_LOST, end_error(a));
		return;
	}
	a->state = ATTEMPT_QUEUED;
	a->waits = true;
	TAILQ_INSERT_TAIL(&h->waiting, a, wait);
	ledger_pump(h);
	if (a->waits)
		tell_subs(a, REPORT_TAKEN);
}

static void
attempt_kill(struct attempt *a, enum attempt_end end)
{
	struct host *h = a->host;

	if (!a->live || a->end != END_NONE || a->state == ATTEMPT_COLLECTING)
		return;
	a->end = end;
	if (a->waits) {
		TAILQ_REMOVE(&h->waiting, a, wait);
		a->waits = false;
		attempt_finish(a, ATTEMPT_LOST, end_error(a));
	} else if (a->admitted) {
		timer_set(&a->next, host_delay(h, &step_time));
	}
}

static void
attempt_orphan_cb(void *arg)
{
	attempt_kill(arg, END_RETAIN);
}

/* Claims: the executor's promise. */

static int
rank_of(const struct attempt *a, const struct exec_claim *c)
{
	bool own = digest_equal(&a->claim.run, &c->run);

	if (a->live)
		return a->end != END_NONE ? 0 : own ? 5 : c->join ? 2 : 0;
	if (!a->manifest || a->result.state == ATTEMPT_LOST)
		return 0;
	if (a->result.state == ATTEMPT_FAILED)
		return own && a->claim.try_ == c->try_ && a->claim.retry == c->retry ? 4 : 0;
	if (!objects_has_all(a->host->world->objects, a->result.fileset))
		return 0;
	return own ? 6 : c->join ? 3 : 0;
}

static struct attempt *
choose(struct host *h, const struct exec_config *c)
{
	struct attempt *a, *best = NULL;
	int rank = 0, r;

	for (a = host_attempts_of(h, &c->key); a; a = a->older) {
		r = rank_of(a, &c->claim);
		if (r > rank) {
			rank = r;
			best = a;
		}
	}
	return best;
}

static struct err *
epoch_check(struct host *h, const struct exec_claim *c)
{
	struct run_epoch *e;

	HASH_FIND(hh, h->epochs, &c->run, sizeof c->run, e);
	if (!e) {
		e = xcalloc(1, sizeof *e);
		e->run = c->run;
		HASH_ADD(hh, h->epochs, run, sizeof e->run, e);
	}
	if (c->epoch < e->epoch)
		return err_msg(ERR_PRECONDITION, "the run was taken over: epoch %llu is older than %llu",
		    (unsigned long long)c->epoch, (unsigned long long)e->epoch);
	e->epoch = c->epoch;
	return NULL;
}

static struct attempt *
attempt_new(struct host *h, struct request *request)
{
	struct key_attempts *k = key_of(h, &request->config.key, true);
	struct attempt *a = xcalloc(1, sizeof *a);

	a->host = h;
	a->request = *request;
	memset(request, 0, sizeof *request);
	a->key = a->request.config.key;
	a->claim = a->request.config.claim;
	a->number = ++k->last;
	a->older = k->newest;
	k->newest = a;
	a->state = ATTEMPT_STAGING;
	a->live = true;
	a->result = (struct exec_result){ .attempt = a->number, .status = -1, .isolated = true, .owner = a->claim.run,
		.host = xstrdup(h->name) };
	a->result.usage.queued = loop_wall(h->world->loop);
	TAILQ_INIT(&a->subs);
	timer_init(&a->next, h->world->loop, "stage", attempt_staged_cb, a);
	timer_init(&a->orphan, h->world->loop, "retain", attempt_orphan_cb, a);
	TAILQ_INSERT_TAIL(&h->attempts, a, link);
	h->busy++;
	return a;
}

static void
create(struct host *h, struct queued *q)
{
	struct sub s = { .client = q->client, .id = q->id };
	struct attempt *a;

	if (h->full && world_chance(h->world, 0.5, "full", h->number, ++h->ndice)) {
		host_refuse(&s, err_errno(ENOSPC, "mkdir", "attempt"));
		return;
	}
	a = attempt_new(h, &q->request);
	add_sub(a, q->client, q->id);
	timer_set(&a->next, host_delay(h, &step_time));
	watch_attempt(h->world->watch, client_gone(q->client) ? NULL : client_ctl(q->client), a);
	world_step(h->world, STEP_CREATED, &a->claim.run, 0);
}

static void
attach(struct host *h, struct queued *q, struct attempt *a)
{
	struct sub s = { .client = q->client, .id = q->id };

	world_say(h->world, "%s: a put of %s attaches to attempt %u, %s", h->name,
	    a->request.config.ident ? a->request.config.ident : "?", a->number, attempt_state_name(a->state));
	host_report(&s, REPORT_TAKEN, a, a->state, true);
	if (a->live)
		add_sub(a, q->client, q->id);
	else
		host_report(&s, REPORT_DONE, a, a->state, true);
}

static void
take(struct host *h, struct queued *q)
{
	const struct exec_config *c = &q->request.config;
	struct sub s = { .client = q->client, .id = q->id };
	struct err *err = epoch_check(h, &c->claim);
	struct attempt *a;

	if (!err && !resources_available(&h->total, &c->resources))
		err = err_msg(ERR_RESOURCES_EXHAUSTED, "the host has not so much");
	if (err)
		host_refuse(&s, err);
	else if ((a = choose(h, c)) != NULL)
		attach(h, q, a);
	else
		create(h, q);
}

static void
queued_free(struct queued *q)
{
	request_release(&q->request);
	free(q);
}

static void
host_pump(struct host *h)
{
	struct queued *q;

	while (h->up && h->busy < h->slots && (q = TAILQ_FIRST(&h->queue))) {
		TAILQ_REMOVE(&h->queue, q, entry);
		take(h, q);
		queued_free(q);
	}
}

static void
attempt_free(struct attempt *a)
{
	TAILQ_REMOVE(&a->host->attempts, a, link);
	request_release(&a->request);
	exec_result_release(&a->result);
	free(a);
}

/* What the client asks. */

void
host_put(struct host *h, struct keeper_client *c, uint64_t id, struct request *request)
{
	struct queued *q;

	if (!h->up) {
		request_release(request);
		return;
	}
	q = xcalloc(1, sizeof *q);
	q->client = c;
	q->id = id;
	q->request = *request;
	TAILQ_INSERT_TAIL(&h->queue, q, entry);
	host_pump(h);
}

void
host_detach(struct host *h, struct keeper_client *c, uint64_t id)
{
	struct attempt *a;
	struct sub *s;

	TAILQ_FOREACH(a, &h->attempts, link) {
		if (!a->live)
			continue;
		TAILQ_FOREACH(s, &a->subs, entry)
			if (s->client == c && s->id == id)
				break;
		if (!s)
			continue;
		if (TAILQ_NEXT(TAILQ_FIRST(&a->subs), entry)) {
			host_detached(s, a);
			TAILQ_REMOVE(&a->subs, s, entry);
			free(s);
		} else {
			attempt_kill(a, END_KILLED);
		}
		return;
	}
}

/* Its directory goes; with the last one of a key its numbers begin anew. */
void
host_forget(struct host *h, const struct digest *run, const struct digest *key, uint32_t number)
{
	struct key_attempts *k = key_of(h, key, false);
	struct attempt **at, *a;

	for (at = k ? &k->newest : NULL; at && (a = *at) != NULL; at = &a->older)
		if (a->number == number && a->manifest && !a->live && digest_equal(&a->claim.run, run))
			break;
	if (!at || !*at || !h->up)
		return;
	*at = a->older;
	attempt_free(a);
	if (!k->newest)
		k->last = 0;
}

void
host_boot(struct host *h)
{
	if (!h->up)
		world_say(h->world, "%s: a keeper starts", h->name);
	h->up = true;
}

void
host_client_gone(struct host *h, struct keeper_client *c)
{
	struct attempt *a;
	struct sub *s, *next;

	TAILQ_FOREACH(a, &h->attempts, link) {
		for (s = TAILQ_FIRST(&a->subs); s; s = next) {
			next = TAILQ_NEXT(s, entry);
			if (s->client != c)
				continue;
			TAILQ_REMOVE(&a->subs, s, entry);
			free(s);
		}
		if (a->live && TAILQ_EMPTY(&a->subs) && !timer_is_set(&a->orphan))
			timer_set(&a->orphan, (int64_t)a->claim.retain_ns);
	}
}

/* Deaths. */

static void
attempt_vanish(struct attempt *a)
{
	struct host *h = a->host;

	timer_clear(&a->next);
	timer_clear(&a->orphan);
	if (a->waits)
		TAILQ_REMOVE(&h->waiting, a, wait);
	if (a->live)
		h->busy--;
	a->live = a->waits = a->admitted = false;
	a->state = a->manifest ? a->state : ATTEMPT_LOST;
	drop_subs(a);
}

void
host_kill_keeper(struct host *h)
{
	struct attempt *a;
	struct queued *q;

	if (!h->up)
		return;
	world_say(h->world, "%s: the keeper is killed", h->name);
	h->up = false;
	h->deaths++;
	TAILQ_FOREACH(a, &h->attempts, link)
		attempt_vanish(a);
	while ((q = TAILQ_FIRST(&h->queue))) {
		TAILQ_REMOVE(&h->queue, q, entry);
		queued_free(q);
	}
	host_tell_down(h);
}

bool
host_kill_worker(struct host *h, uint64_t nth)
{
	unsigned n = host_nlive(h);
	struct attempt *a;

	if (n == 0)
		return false;
	nth %= n;
	TAILQ_FOREACH(a, &h->attempts, link)
		if (a->live && nth-- == 0)
			break;
	world_say(h->world, "%s: the worker of %s is killed", h->name, a->request.config.ident ? a->request.config.ident : "?");
	if (!a->manifest) {	/* else the keeper reads what it has left */
		a->result.state = a->state = ATTEMPT_LOST;
		err_free(a->result.err);
		a->result.err = err_msg(ERR_UNAVAILABLE, "the worker is gone");
		fileset_unref(a->result.fileset);
		a->result.fileset = NULL;
	}
	tell_subs(a, REPORT_DONE);
	attempt_vanish(a);
	ledger_pump(h);
	host_pump(h);
	return true;
}

void
host_fill(struct host *h, bool full)
{
	h->full = full;
}

unsigned
host_nlive(const struct host *h)
{
	const struct attempt *a;
	unsigned n = 0;

	TAILQ_FOREACH(a, &h->attempts, link)
		n += a->live;
	return n;
}

void
host_free(struct host *h)
{
	struct key_attempts *k, *ktmp;
	struct run_epoch *e, *etmp;
	struct attempt *a;
	struct queued *q;

	while ((a = TAILQ_FIRST(&h->attempts))) {
		attempt_vanish(a);
		attempt_free(a);
	}
	while ((q = TAILQ_FIRST(&h->queue))) {
		TAILQ_REMOVE(&h->queue, q, entry);
		queued_free(q);
	}
	HASH_ITER(hh, h->keys, k, ktmp) {
		HASH_DEL(h->keys, k);
		free(k);
	}
	HASH_ITER(hh, h->epochs, e, etmp) {
		HASH_DEL(h->epochs, e);
		free(e);
	}
	host_free_clients(h);
	TAILQ_REMOVE(&h->world->hosts, h, link);
	resources_release(&h->total);
	free(h->name);
	free(h);
}
