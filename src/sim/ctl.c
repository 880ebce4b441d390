/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "cluster/cluster_local.h"
#include "executor/executor_local.h"
#include "pool/pool_local.h"
#include "sim/agent.h"
#include "sim/disk.h"
#include "sim/host.h"
#include "sim/remote.h"
#include "sim/store.h"
#include "sim/watch.h"

/*
 * What a process of `weir run` or `weir resume` does, without its command line. What a reader would get
 * wrong: dead is set in the midst of a turn, by the step that kills it; until the turn is over its code
 * still runs, but nothing that it does reaches anybody.
 */
#define BURIAL_TURNS 200

struct job {			/* one run in the hands of one controller */
	TAILQ_ENTRY(job) link;
	struct ctl     *ctl;
	struct sim_run *run;
	struct op      *op;
	struct runner  *runner;
	bool		failed_before;	/* Done with an error when it was looked at: may be reset */
	bool		over;
};

struct world *
ctl_world(const struct ctl *c)
{
	return c->proc.world;
}

unsigned
ctl_number(const struct ctl *c)
{
	return c->proc.number;
}

bool
ctl_is_dead(const struct ctl *c)
{
	return c->proc.dead;
}

struct ctl *
ctl_find(struct world *w, unsigned number)
{
	struct ctl *c;

	TAILQ_FOREACH(c, &w->ctls, link)
		if (c->proc.number == number && !c->proc.dead)
			return c;
	return NULL;
}

static void
copy_root(struct controller *c, const struct root *r)
{
	c->root.path = xstrdup(r->path);
	c->root.journal = xstrdup(r->journal);
	c->root.objects = xstrdup(r->objects);
	c->root.node = xstrdup(r->node);
	c->root.keeper = xstrdup(r->keeper);
	c->root.execs = xstrdup(r->execs);
	c->root.db = xstrdup(r->db);
}

struct ctl *
ctl_new(struct world *w, struct host *h)
{
	struct ctl *ctl = xcalloc(1, sizeof *ctl);
	struct controller *c = &ctl->c;

	ctl->proc.world = w;
	ctl->proc.number = ++w->nctls;
	ctl->proc.loop = loop_new(&w->clock.clock);
	loop_seed(ctl->proc.loop, world_dice(w, "controller", ctl->proc.number, 0));
	TAILQ_INIT(&ctl->jobs);
	c->loop = ctl->proc.loop;
	snprintf(c->id, sizeof c->id, "%012x%08x", ctl->proc.number, ctl->proc.number);
	copy_root(c, &w->root);
	ctl->journal = sim_journal_new(ctl, c->id, &c->journal);
	c->repo = sim_repo_new(&ctl->proc, w->objects);
	if (w->cluster) {
		c->cluster = sim_cluster_new(ctl, h->objects == w->objects ? c->repo : NULL);
	} else {
		c->keeper = host_connect(h, &ctl->proc, ctl);
		c->executor = executor_local_new(c->keeper, c->repo);
		c->pool = pool_local_new(ctl->proc.loop, c->executor, &h->total);
		c->cluster = cluster_local_new(ctl->proc.loop, c->pool);
	}
	c->assoc = sim_assoc_new(ctl);
	c->sched = sched_new(ctl->proc.loop, c->cluster);
	TAILQ_INSERT_TAIL(&w->ctls, ctl, link);
	world_say(w, "c%u starts", ctl->proc.number);
	return ctl;
}

/* Jobs. */

static struct job *
job_new(struct ctl *ctl, struct sim_run *run)
{
	struct job *j = xcalloc(1, sizeof *j);

	j->ctl = ctl;
	j->run = run;
	if (!run->ctl)
		run->ctl = ctl;
	TAILQ_INSERT_TAIL(&ctl->jobs, j, link);
	return j;
}

/* Takes err. */
static void
job_over(struct job *j, struct err *err)
{
	struct sim_run *run = j->run;
	char *text = err_str(err);

	world_say(j->ctl->proc.world, "c%u is done with %s%s%s", j->ctl->proc.number, run->name, err ? ": " : "", text);
	free(text);
	err_free(run->last);
	run->last = err;
	j->over = true;
	if (run->ctl == j->ctl)
		run->ctl = NULL;
}

static void
job_ran_cb(struct err *err, void *arg)
{
	struct job *j = arg;

	j->op = NULL;
	job_over(j, err);
}

static void
job_transition(struct runner *r, void *arg)
{
	struct job *j = arg;
	struct buf b = BUF_INIT;

	if (j->ctl->proc.dead)
		return;
	state_str(runner_state(r), &b);
	world_say(j->ctl->proc.world, "c%u: %s: %s", j->ctl->proc.number, j->run->name, buf_str(&b));
	buf_release(&b);
	watch_transition(j->ctl->proc.world->watch, runner_state(r));
}

/* Takes state and known. */
static void
job_evaluate(struct job *j, struct run_state *state, uint64_t epoch, uint64_t n, struct run_knowledge *known, const char *cause)
{
	struct runner_args a = { .controller = &j->ctl->c, .program = j->run->program->program, .params = &j->run->params,
		.state = state, .epoch = epoch, .n = n, .known = known, .cause = cause };

	a.events = (struct runner_events){ .transition = job_transition, .arg = j };
	j->runner = runner_new(&a);
	j->op = runner_run_start(j->runner, job_ran_cb, j);
}

void
ctl_run(struct ctl *ctl, struct sim_run *run)
{
	struct job *j = job_new(ctl, run);
	struct run_state s;

	state_init(&s);
	s.ID = run->id;
	s.Program = xstrdup(run->program->name);
	s.Dir = xstrdup(SIM_DIR);
	for (size_t i = 0; i < run->params.n; i++)
		labels_set(&s.Params, run->params.v[i].name, run->params.v[i].text);
	run_config_copy(&s.Config, &run->config);
	run->begun = true;
	world_say(ctl->proc.world, "c%u runs %s", ctl->proc.number, run->name);
	job_evaluate(j, &s, 0, 0, NULL, "created");
}

static void
job_taken_cb(const struct takeover *t, struct err *err, void *arg)
{
	struct job *j = arg;
	struct run_state s = { .Schema = 0 };
	struct run_knowledge *known;
	const char *cause = "resumed";

	j->op = NULL;
	if (err) {
		job_over(j, err);
		return;
	}
	if (t->entry->state.Phase == PHASE_DONE && (!t->entry->state.Err || !j->failed_before)) {
		job_over(j, NULL);
		return;
	}
	state_copy(&s, &t->entry->state);
	known = *t->known;
	*t->known = NULL;
	if (s.Phase == PHASE_DONE) {
		j->run->resets += !err_restartable(s.Err);
		state_reset(&s);
		cause = "reset";
	}
	job_evaluate(j, &s, t->epoch, t->n, known, cause);
}

void
ctl_resume(struct ctl *ctl, struct sim_run *run)
{
	struct job *j = job_new(ctl, run);
	const struct run_state *s = watch_run_state(run->watch);

	world_say(ctl->proc.world, "c%u resumes %s", ctl->proc.number, run->name);
	j->failed_before = s && s->Phase == PHASE_DONE && s->Err;
	j->op = takeover_start(&ctl->c, &run->id, job_taken_cb, j);
}

void
ctl_interrupt(struct sim_run *run, const char *why)
{
	struct job *j;

	if (!run->ctl || run->ctl->proc.dead)
		return;
	TAILQ_FOREACH(j, &run->ctl->jobs, link) {
		if (j->run == run && !j->over && j->runner) {
			world_say(run->ctl->proc.world, "%s is interrupted", run->name);
			runner_interrupt(j->runner, why);
		}
	}
}

/* A lost alloc. */

static void
lost_cb(struct err *err, void *arg)
{
	struct ctl *ctl = arg;

	ctl->losing = NULL;
	err_free(err);
	alloc_drop(ctl->lost);
	ctl->lost = NULL;
}

static void
lose_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct ctl *ctl = arg;

	ctl->losing = NULL;
	err_free(err);
	ctl->lost = alloc;
	if (alloc)
		ctl->losing = alloc_free_start(alloc, lost_cb, ctl);
}

void
ctl_lose_alloc(struct sim_run *run)
{
	const struct run_state *s = watch_run_state(run->watch);
	const char *id = s && s->AllocID ? strchr(s->AllocID, '/') : NULL;
	struct ctl *ctl = run->ctl;
	struct host *h;

	if (!ctl || ctl->proc.dead || ctl->losing || !id)
		return;
	world_say(ctl->proc.world, "%s loses its alloc", run->name);
	if (!ctl->c.pool) {
		h = host_named(ctl->proc.world, s->AllocID);
		if (h)
			agent_end_alloc(h, id + 1);
		return;
	}
	ctl->losing = pool_alloc(ctl->c.pool, id + 1, lose_cb, ctl);
}

/* What could run and is not put. More than the watch can know fits beside what is in the hands of pauses. */
void
ctl_check_busy(struct ctl *ctl)
{
	struct resources used = RESOURCES_INIT, most = RESOURCES_INIT, left = RESOURCES_INIT;
	const struct resources *total = ctl->c.pool ? pool_local_total(ctl->c.pool) : NULL;
	struct sched_stats st;
	struct job *j;
	size_t n;

	sched_stats(ctl->c.sched, &st);
	if (!total || st.queued == 0 || ctl->proc.stalled > loop_now(ctl->proc.world->loop))
		return;
	n = host_client_load(ctl->c.keeper, &used);
	TAILQ_FOREACH(j, &ctl->jobs, link)
		resources_max(&most, &j->run->most);
	resources_copy(&left, total);
	resources_sub(&left, &used);
	if (n == st.running && watch_room(&left, &most))
		world_fail(ctl->proc.world, "c%u: %zu execs wait, although any of them would fit beside the %zu that are put",
		    ctl->proc.number, st.queued, n);
	resources_release(&used);
	resources_release(&most);
	resources_release(&left);
}

/* Ends. */

void
ctl_kill(struct ctl *ctl)
{
	struct job *j;

	if (ctl->proc.dead)
		return;
	world_say(ctl->proc.world, "c%u is killed", ctl->proc.number);
	ctl->proc.dead = true;
	TAILQ_FOREACH(j, &ctl->jobs, link)
		if (j->run->ctl == ctl)
			j->run->ctl = NULL;
}

void
ctl_stall(struct ctl *ctl, int64_t ns)
{
	world_say(ctl->proc.world, "c%u stands still for %.3f s", ctl->proc.number, (double)ns / 1e9);
	ctl->proc.stalled = loop_now(ctl->proc.world->loop) + ns;
}

static void
release_jobs(struct ctl *ctl)
{
	struct job *j;

	op_cancel(&ctl->losing);
	alloc_drop(ctl->lost);
	ctl->lost = NULL;
	while ((j = TAILQ_FIRST(&ctl->jobs))) {
		op_cancel(&j->op);
		runner_free(j->runner);
		TAILQ_REMOVE(&ctl->jobs, j, link);
		free(j);
	}
}

/* What is left of operations that nobody waits for ends by itself. */
static void
last_turns(struct ctl *ctl)
{
	for (int i = 0; i < BURIAL_TURNS && loop_nlive(ctl->proc.loop) > 0; i++) {
		world_advance_to(ctl->proc.world, ctl->proc.world->clock.mono + 1);
		loop_turn(ctl->proc.loop, false);
	}
}

static void
close_all(struct ctl *ctl)
{
	struct controller *c = &ctl->c;

	release_jobs(ctl);
	if (c->keeper)
		host_controller_gone(c->keeper);
	else
		sim_cluster_gone(c->cluster);
	sim_assoc_gone(c->assoc);
	sim_journal_orphan(ctl->journal);
	if (!ctl->leaving)	/* one that leaves by itself must have nothing left to do */
		last_turns(ctl);
	sched_free(c->sched);
	assoc_free(c->assoc);
	cluster_free(c->cluster);
	pool_free(c->pool);
	if (c->executor)
		executor_free(c->executor);
	repo_free(c->repo);
	keeper_client_free(c->keeper);
	journal_close(c->journal);
	root_release(&c->root);
	if (loop_nlive(ctl->proc.loop) > 0) {
		loop_report_live(ctl->proc.loop);
		world_fail(ctl->proc.world, "the loop of c%u does not end empty: %zu left", ctl->proc.number, loop_nlive(ctl->proc.loop));
		exit(1);
	}
	loop_free(ctl->proc.loop);
	ctl->proc.loop = NULL;
}

static bool
may_leave(struct ctl *ctl)
{
	struct job *j;

	TAILQ_FOREACH(j, &ctl->jobs, link)
		if (!j->over)
			return false;
	return !ctl->losing && sim_assoc_npending(ctl->c.assoc) == 0 && sim_journal_settled(ctl->journal);
}

void
ctl_bury(struct ctl *ctl)
{
	struct job *j;

	if (!ctl->proc.dead && !TAILQ_EMPTY(&ctl->jobs) && may_leave(ctl)) {
		world_say(ctl->proc.world, "c%u leaves", ctl->proc.number);
		TAILQ_FOREACH(j, &ctl->jobs, link)
			watch_leaves(ctl->proc.world->watch, j->run->watch, ctl->proc.number);
		ctl->proc.dead = true;
		ctl->leaving = true;
	}
	if (!ctl->proc.dead)
		return;
	if (ctl->proc.loop)
		close_all(ctl);
	if (!sim_journal_over(ctl->journal))
		return;
	sim_journal_free(ctl->journal);
	TAILQ_REMOVE(&ctl->proc.world->ctls, ctl, link);
	free(ctl);
}
