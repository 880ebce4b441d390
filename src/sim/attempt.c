/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/command.h"
#include "sim/disk.h"
#include "sim/host_priv.h"
#include "sim/watch.h"

/*
 * An attempt goes through the hands of a slot: staged, admitted by the ledger in order of arrival, run,
 * collected, its manifest put in place, and only then is anybody told. What a reader would get wrong: any
 * step may be the one at which the seed kills the keeper, so after each one the attempt is looked at again
 * before it is touched.
 */

static const struct range step_time = { MILLIS(1) / 5, MILLIS(4) };

static int64_t
attempt_step_delay(struct host *h)
{
	return world_delay(h->world, &step_time, "host", h->number, ++h->ndice);
}

bool
attempt_dying(const struct attempt *a)
{
	return a->end != END_NONE;
}

/* Telling those who wait. */

void
attempt_tell(struct attempt *a, enum report_kind kind)
{
	struct sub *s;

	if (!a->told && kind == REPORT_DONE)	/* who is told of the end has heard of the beginning */
		TAILQ_FOREACH(s, &a->subs, entry)
			host_report(s, REPORT_TAKEN, a, ATTEMPT_COLLECTING, false);
	a->told = true;
	TAILQ_FOREACH(s, &a->subs, entry)
		host_report(s, kind, a, a->state, false);
}

void
attempt_drop_subs(struct attempt *a)
{
	struct sub *s;

	while ((s = TAILQ_FIRST(&a->subs))) {
		TAILQ_REMOVE(&a->subs, s, entry);
		free(s);
	}
}

void
attempt_add_sub(struct attempt *a, struct keeper_client *c, uint64_t id)
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
	struct resources left = RESOURCES_INIT;
	const struct attempt *o;
	bool fits;

	resources_copy(&left, &h->total);
	TAILQ_FOREACH(o, &h->attempts, link)
		if (o->admitted)
			resources_sub(&left, &o->request.config.resources);
	fits = watch_room(&left, &a->request.config.resources);
	resources_release(&left);
	return fits;
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
	struct key_attempts *k = host_key(h, &a->key, true);
	struct command c;
	int64_t takes;

	command_parse(a->request.config.cmd, &c);
	k->runs++;
	takes = c.takes >= 0 ? c.takes : world_delay(h->world, &h->world->exec, "exec", a->key.b[0] | a->key.b[1] << 8, k->runs);
	if (takes_too_much_memory(a, &c))
		takes /= 2;
	a->state = ATTEMPT_RUNNING;
	a->admitted = true;
	a->result.usage.started = host_wall(h);
	resources_copy(&a->result.usage.admitted, &a->request.config.resources);
	timer_init(&a->next, h->world->loop, "command", attempt_over_cb, a);
	timer_set(&a->next, takes);
	attempt_tell(a, REPORT_STATE);
	world_say(h->world, "%s runs %s (attempt %u)", h->name, a->request.config.ident ? a->request.config.ident : "?", a->number);
	world_step(h->world, STEP_SPAWNED, &a->claim.run, 0);
}

void
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

/* A power cut may take the folder of one whose manifest is in place. */
static bool
is_there(struct host *h, const struct digest *key, uint32_t number)
{
	const struct attempt *a = host_attempts_of(h, key);

	while (a && a->number != number)
		a = a->older;
	return a != NULL;
}

static void
attempt_finish(struct attempt *a, enum attempt_state state, struct err *err)
{
	struct host *h = a->host;
	struct digest key = a->key, run = a->claim.run;
	uint32_t number = a->number;

	timer_clear(&a->next);
	a->result.state = a->state = state;
	err_free(a->result.err);
	a->result.err = err;
	if (state != ATTEMPT_OK) {
		fileset_unref(a->result.fileset);
		a->result.fileset = NULL;
	}
	a->result.usage.ended = a->result.usage.ended ? a->result.usage.ended : host_wall(h);
	a->manifest = true;
	world_writes(h->world, &a->on_disk);
	world_step(h->world, STEP_MANIFEST, &run, 0);
	if (!is_there(h, &key, number) || !a->live)
		return;
	a->live = false;
	timer_clear(&a->orphan);
	attempt_tell(a, REPORT_DONE);
	attempt_drop_subs(a);
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
	objects_add_all(h->objects, a->result.fileset);
	world_step(h->world, STEP_COLLECTED, &a->claim.run, 0);
	if (a->live)
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
	struct key_attempts *k = host_key(h, &a->key, true);
	struct command c;

	command_parse(a->request.config.cmd, &c);
	a->admitted = false;
	a->result.usage.ended = host_wall(h);
	a->result.usage.wall_ns = a->result.usage.ended - a->result.usage.started;
	if (a->result.usage.wall_ns < 0)
		a->result.usage.wall_ns = 0;
	world_step(h->world, STEP_EXITED, &a->claim.run, 0);
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
		timer_set(&a->next, attempt_step_delay(h));
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

		if (in->dir || objects_has(a->host->objects, &in->file.id))
			continue;
		if (in->origin && (!files_read(w->files, in->origin, &f) || !digest_equal(&f.id, &in->file.id))) {
			fileset_builder_free(gone);
			return err_msg(ERR_TEMPORARY, "input changed meanwhile: %s", in->origin);
		}
		if (in->origin) {
			objects_add(a->host->objects, &f);
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

	world_step(h->world, STEP_STAGED, &a->claim.run, 0);
	if (!a->live) {
		err_free(err);
		return;
	}
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
		attempt_tell(a, REPORT_TAKEN);
}

void
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
		timer_set(&a->next, attempt_step_delay(h));
	}
}

static void
attempt_orphan_cb(void *arg)
{
	attempt_kill(arg, END_RETAIN);
}

struct attempt *
attempt_new(struct host *h, struct request *request)
{
	struct key_attempts *k = host_key(h, &request->config.key, true);
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
	a->result.usage.queued = host_wall(h);
	TAILQ_INIT(&a->subs);
	timer_init(&a->next, h->world->loop, "stage", attempt_staged_cb, a);
	timer_init(&a->orphan, h->world->loop, "retain", attempt_orphan_cb, a);
	TAILQ_INSERT_TAIL(&h->attempts, a, link);
	h->busy++;
	return a;
}

void
attempt_begin(struct attempt *a)
{
	timer_set(&a->next, attempt_step_delay(a->host));
}

void
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
	attempt_drop_subs(a);
}

void
attempt_free(struct attempt *a)
{
	TAILQ_REMOVE(&a->host->attempts, a, link);
	request_release(&a->request);
	exec_result_release(&a->result);
	free(a);
}

