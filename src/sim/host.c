/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/host.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"
#include "sim/host_priv.h"
#include "sim/rpc.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/watch.h"

/* The keeper of a host: requests, claims, and the deaths of its processes. What an attempt goes through is in attempt.c. */
struct queued {
	TAILQ_ENTRY(queued) entry;
	struct keeper_client *client;
	uint64_t	id;
	struct request	request;
};
struct run_epoch {
	struct digest  run;
	uint64_t       epoch;
	UT_hash_handle hh;
};

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
	TAILQ_INIT(&h->sessions);
	h->objects = w->objects;
	world_clock_init(w, &h->clock);
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

struct host *
host_named(struct world *w, const char *uri)
{
	struct host *h;

	TAILQ_FOREACH(h, &w->hosts, link) {
		size_t n = strlen(h->name);

		if (strncmp(uri, h->name, n) == 0 && (uri[n] == '/' || uri[n] == '\0'))
			return h;
	}
	return NULL;
}

int64_t
host_wall(const struct host *h)
{
	return h->clock.clock.wall((struct clock *)(uintptr_t)&h->clock.clock);
}

struct key_attempts *
host_key(struct host *h, const struct digest *key, bool make)
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
	struct key_attempts *k = host_key(h, key, false);

	return k ? k->newest : NULL;
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
	if (!objects_has_all(a->host->objects, a->result.fileset))
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
	attempt_add_sub(a, q->client, q->id);
	attempt_begin(a);
	watch_attempt(h->world->watch, client_gone(q->client) ? NULL : client_ctl(q->client), a);
	world_step(h->world, STEP_CREATED, &a->claim.run, 0);
}

static void
attach(struct host *h, struct keeper_client *c, uint64_t id, struct attempt *a)
{
	struct sub s = { .client = c, .id = id };

	world_say(h->world, "%s: somebody attaches to attempt %u of %s, %s", h->name, a->number,
	    a->request.config.ident ? a->request.config.ident : "?", attempt_state_name(a->state));
	host_report(&s, REPORT_TAKEN, a, a->state, true);
	if (a->live)
		attempt_add_sub(a, c, id);
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
		attach(h, q->client, q->id, a);
	else
		create(h, q);
}

static void
queued_free(struct queued *q)
{
	request_release(&q->request);
	free(q);
}

void
host_pump(struct host *h)
{
	struct queued *q;

	while (h->up && h->busy < h->slots && (q = TAILQ_FIRST(&h->queue))) {
		TAILQ_REMOVE(&h->queue, q, entry);
		take(h, q);
		queued_free(q);
	}
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
host_subscribe(struct host *h, struct keeper_client *c, uint64_t id, const struct digest *key)
{
	struct attempt *a = host_attempts_of(h, key);

	if (!h->up)
		return;
	while (a && !a->live && !a->manifest)
		a = a->older;
	if (a)
		attach(h, c, id, a);
	else
		host_refuse(&(struct sub){ .client = c, .id = id }, err_msg(ERR_NOT_EXIST, "no such exec"));
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
static void
attempt_remove(struct host *h, struct attempt *a)
{
	struct key_attempts *k = host_key(h, &a->key, false);
	struct attempt **at = &k->newest;

	while (*at != a)
		at = &(*at)->older;
	*at = a->older;
	attempt_free(a);
	if (!k->newest)
		k->last = 0;
}

void
host_forget(struct host *h, const struct digest *run, const struct digest *key, uint32_t number)
{
	struct attempt *a = host_attempts_of(h, key);

	while (a && (a->number != number || !a->manifest || a->live || !digest_equal(&a->claim.run, run)))
		a = a->older;
	if (a && h->up)
		attempt_remove(h, a);
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

/* A manifest whose bytes are lost says nothing; its folder keeps the number. */
void
host_cut(struct host *h, uint64_t cut)
{
	struct attempt *a, *next;

	host_kill_keeper(h);
	for (a = TAILQ_FIRST(&h->attempts); a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (!a->manifest || world_synced(h->world, &a->on_disk))
			continue;
		if (a->on_disk.order > cut)
			attempt_remove(h, a);
		else if (world_chance(h->world, 0.3, "manifest", h->world->turns, a->on_disk.order))
			a->manifest = false;
	}
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
	attempt_tell(a, REPORT_DONE);
	attempt_vanish(a);
	ledger_pump(h);
	host_pump(h);
	return true;
}

void
host_end_orphans(struct host *h)
{
	struct attempt *a, *next;

	for (a = TAILQ_FIRST(&h->attempts); a; a = next) {
		next = TAILQ_NEXT(a, link);
		if (a->live && TAILQ_EMPTY(&a->subs))
			attempt_kill(a, END_RETAIN);
	}
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
	sessions_free(h);
	if (h->objects != h->world->objects)
		objects_free(h->objects);
	TAILQ_REMOVE(&h->world->hosts, h, link);
	resources_release(&h->total);
	free(h->name);
	free(h);
}
