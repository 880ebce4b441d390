/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/agent.h"
#include "sim/command.h"
#include "sim/disk.h"
#include "sim/naive.h"
#include "sim/play_priv.h"
#include "sim/store.h"
#include "sim/watch.h"

/* What a scenario can do to its world. */

/* `c2`, or a run: its controller. NULL: it is gone. */
static struct ctl *
ctl_named(struct play *p, const char *name)
{
	struct play_run *r;

	if (name[0] == 'c' && name[1] >= '1' && name[1] <= '9')
		return ctl_find(p->world, (unsigned)atoi(name + 1));
	r = play_run_find(p, name);
	if (!r && !play_run_declared(p, name))
		play_bad(p, "%s is neither a controller nor a run", name);
	return r && r->run.ctl && !r->run.ctl->proc.dead ? r->run.ctl : NULL;
}

static struct host *
host_named_by(struct play *p, const struct words *w, size_t at)
{
	struct host *h;

	if (w->n <= at)
		return play_host(p);
	h = host_find(p->world, (unsigned)atoi(w->v[at]));
	if (!h)
		play_bad(p, "there is no host %s", w->v[at]);
	return h;
}

bool
action_is_kill(const struct words *w)
{
	return w->n >= 2 && (strcmp(w->v[0], "kill") == 0 || strcmp(w->v[0], "cut") == 0);
}

/* A power cut, but for what lies on disks. */
static void
kill_everything(struct play *p)
{
	struct ctl *c;
	struct host *h;

	TAILQ_FOREACH(c, &p->world->ctls, link)
		ctl_kill(c);
	TAILQ_FOREACH(c, &p->world->ctls, link)
		sim_journal_kill(c->journal);
	TAILQ_FOREACH(h, &p->world->hosts, link) {
		agent_kill(h, AGENT_BACK);
		host_kill_keeper(h);
	}
	db_kill_writer(p->world->db);
}

/* Of every repository: what becomes of its objects. */
static unsigned
each_objects(struct play *p, unsigned (*fn)(struct world *, struct sim_objects *, unsigned), unsigned percent)
{
	unsigned n = fn(p->world, p->world->objects, percent);
	struct host *h;

	p->objects_lost = true;
	TAILQ_FOREACH(h, &p->world->hosts, link)
		if (h->objects != p->world->objects)
			n += fn(p->world, h->objects, percent);
	watch_objects_lost(p->world->watch);
	return n;
}

/* All processes at once, and what lies on disks only as far as it was synced. */
static void
cut_power(struct play *p)
{
	struct world *w = p->world;
	uint64_t cut = world_cut(w);
	struct ctl *c;
	struct host *h;

	world_say(w, "the power is cut");
	p->objects_lost = true;
	TAILQ_FOREACH(c, &w->ctls, link)
		ctl_kill(c);
	TAILQ_FOREACH(c, &w->ctls, link)
		sim_journal_cut(c->journal);
	TAILQ_FOREACH(h, &w->hosts, link) {
		agent_kill(h, AGENT_BACK);
		host_cut(h, cut);
		if (h->objects != w->objects)
			objects_cut(w, h->objects, cut);
	}
	db_cut(w->db);
	objects_cut(w, w->objects, cut);
	watch_objects_lost(w->watch);
	world_sync(w);
}

/* The journal of a run outlives its controller for a moment: the newest controller's that had it. */
static void
kill_journal(struct play *p, const char *name)
{
	struct ctl *c = ctl_named(p, name);

	if (!c && !p->bad)
		c = TAILQ_LAST(&p->world->ctls, ctls);
	if (!c)
		return;
	world_say(p->world, "the journal process of c%u is killed", ctl_number(c));
	sim_journal_kill(c->journal);
}

/* kill worker N [on HOST] */
static void
kill_worker(struct play *p, const struct words *w)
{
	struct host *h = w->n == 5 && strcmp(w->v[3], "on") == 0 ? host_named_by(p, w, 4) : play_host(p);

	if (h)
		host_kill_worker(h, w->n > 2 ? strtoull(w->v[2], NULL, 10) : 0);
}

static void
do_kill(struct play *p, const struct words *w)
{
	struct ctl *c;
	struct host *h;

	p->deaths++;
	if (strcmp(w->v[0], "cut") == 0) {
		if (strcmp(w->v[1], "power") == 0)
			cut_power(p);
		else
			play_bad(p, "cut power");
	} else if (strcmp(w->v[1], "everything") == 0) {
		kill_everything(p);
	} else if (action_kill_host(p, w)) {
		return;
	} else if (strcmp(w->v[1], "keeper") == 0) {
		if ((h = host_named_by(p, w, 2)) != NULL)
			host_kill_keeper(h);
	} else if (strcmp(w->v[1], "worker") == 0) {
		kill_worker(p, w);
	} else if (strcmp(w->v[1], "writer") == 0) {
		db_kill_writer(p->world->db);
	} else if (strcmp(w->v[1], "journal") == 0 && w->n == 4) {
		kill_journal(p, w->v[3]);
	} else if ((c = ctl_named(p, w->v[1])) != NULL) {
		ctl_kill(c);
	}
}

static void
fill_all(struct play *p, bool full)
{
	struct host *h;

	(void)play_host(p);
	TAILQ_FOREACH(h, &p->world->hosts, link)
		host_fill(h, full);
}

/* fill disk|cache|journal of RUN [for DURATION], and free */
static void
do_fill(struct play *p, struct words *w)
{
	bool full = strcmp(w->v[0], "fill") == 0;
	struct words undo = { .n = 0 };
	struct ctl *c;
	int64_t ns;

	if (w->n >= 4 && strcmp(w->v[w->n - 2], "for") == 0 && duration_parse(w->v[w->n - 1], &ns)) {
		undo.n = w->n - 2;
		memcpy(undo.v, w->v, undo.n * sizeof *undo.v);
		undo.v[0] = (char[]){ "free" };
		trigger_later(p, ns, &undo);
		w = &undo;
	}
	world_say(p->world, "%s: %s", w->v[1] ? w->v[1] : "?", full ? "full" : "room again");
	if (w->n == 2 && strcmp(w->v[1], "disk") == 0)
		fill_all(p, full);
	else if (w->n == 2 && strcmp(w->v[1], "cache") == 0)
		db_refuse(p->world->db, full);
	else if (w->n == 4 && strcmp(w->v[1], "journal") == 0) {
		if ((c = ctl_named(p, w->v[3])) != NULL)
			sim_journal_fill(c->journal, full);
	} else
		play_bad(p, "fill or free what? disk, cache, or journal of RUN");
}

static void
do_clock(struct play *p, const struct words *w)
{
	const char *s = w->n == 2 || w->n == 4 ? w->v[1] : "";
	struct host *h = w->n == 4 && strcmp(w->v[2], "on") == 0 ? host_named_by(p, w, 3) : NULL;
	struct sim_clock *clock = h ? &h->clock : &p->world->clock;
	int64_t ns;

	if (h && strchr(s, '%') && atoi(s) > 0) {
		world_say(p->world, "%s: its clock runs at %s", h->name, s);
		clock_rate(&h->clock, atoi(s));
		return;
	}
	if ((*s != '+' && *s != '-') || !duration_parse(s + 1, &ns)) {
		play_bad(p, "clock +DURATION, clock -DURATION, or clock N%% on HOST");
		return;
	}
	world_say(p->world, "the clock is set: %s", s);
	clock->wall += *s == '+' ? ns : -ns;
	if (!h)		/* all of them */
		TAILQ_FOREACH(h, &p->world->hosts, link)
			h->clock.wall += *s == '+' ? ns : -ns;
}

static void
do_stall(struct play *p, const struct words *w)
{
	bool agent = w->n == 4 && strcmp(w->v[1], "agent") == 0;
	struct ctl *c = w->n == 3 ? ctl_named(p, w->v[1]) : NULL;
	struct host *h = agent ? host_named_by(p, w, 2) : NULL;
	int64_t ns;

	if (h && duration_parse(w->v[3], &ns))
		agent_stall(h, ns);
	else if (w->n != 3 || !duration_parse(w->v[2], &ns))
		play_bad(p, "stall WHO DURATION");
	else if (c)
		ctl_stall(c, ns);
}

/* Runs. */

static void
new_id(struct play *p, struct play_run *r)
{
	for (size_t i = 0; i < DIGEST_LEN; i += 8) {
		uint64_t x = world_dice(p->world, r->run.name, r->resumed, i);

		memcpy(r->run.id.b + i, &x, 8);
	}
	r->run.watch = watch_run_new(p->world->watch, &r->run.id, r->run.name, r->naive);
}

static bool
run_option(struct play *p, struct play_run *r, const char *w, struct ctl **ctl)
{
	struct run_config *c = &r->run.config;
	struct play_run *other;
	int64_t ns;

	if (strcmp(w, "no-cache") == 0 || strcmp(w, "cache=off") == 0) {
		c->cache = CACHE_OFF;
	} else if (strcmp(w, "cache=read") == 0) {
		c->cache = CACHE_READ;
	} else if (strcmp(w, "cache=write") == 0) {
		c->cache = CACHE_WRITE;
	} else if (strcmp(w, "bottomup") == 0) {
		c->bottomup = true;
	} else if (strcmp(w, "fail-fast") == 0) {
		c->fail_fast = true;
	} else if (strncmp(w, "retain=", 7) == 0 && duration_parse(w + 7, &ns)) {
		c->retain = ns;
	} else if (strncmp(w, "invalidate=", 11) == 0) {
		c->invalidate = xstrdup(w + 11);
	} else if (strncmp(w, "with=", 5) == 0 && play_run_declared(p, w + 5)) {
		other = play_run_find(p, w + 5);
		*ctl = other && other->run.ctl && !other->run.ctl->proc.dead ? other->run.ctl : NULL;
	} else {
		return false;
	}
	return true;
}

static void
operator_comes(void *arg)
{
	struct play_run *r = arg;

	if (r->run.begun && !r->run.ctl && !play_run_final(r))
		action_resume(r);
}

static struct sim_program *
program_named(struct play *p, const char *name)
{
	struct play_program *q;

	TAILQ_FOREACH(q, &p->programs, link)
		if (strcmp(q->program->name, name) == 0)
			return q->program;
	return NULL;
}

static void
judge(struct play *p, struct play_run *r)
{
	(void)play_host(p);
	r->naive = naive_new(p->world, &r->run);
	r->run.must_fail = naive_failed(r->naive);
	r->run.nexecs = naive_nexecs(r->naive);
	naive_most(r->naive, &r->run.most);
}

void
action_run(struct play *p, struct words *w)
{
	static const struct run_config defaults = RUN_CONFIG_INIT;
	struct play_run *r;
	struct ctl *ctl = NULL;
	struct err *err = NULL;
	bool help = false;
	size_t i;

	if (w->n < 3 || play_run_find(p, w->v[1])) {
		play_bad(p, "run NAME [OPTION]... PROGRAM [-PARAM VALUE]..., and a NAME only once");
		return;
	}
	r = xcalloc(1, sizeof *r);
	r->play = p;
	r->run.name = xstrdup(w->v[1]);
	r->run.config = defaults;
	timer_init(&r->resume, p->world->loop, "operator", operator_comes, r);
	TAILQ_INSERT_TAIL(&p->runs, r, link);
	for (i = 2; i < w->n && run_option(p, r, w->v[i], &ctl); i++)
		;
	r->run.program = i < w->n ? program_named(p, w->v[i]) : NULL;
	if (r->run.program)
		err = program_parse_args(r->run.program->program, (int)(w->n - i - 1), w->v + i + 1, &r->run.params, &help);
	if (!r->run.program || err || help) {
		play_bad(p, "run %s: %s", w->v[1], err ? "its parameters are wrong" : "there is no such option or program");
		err_free(err);
		return;
	}
	judge(p, r);
	new_id(p, r);
	ctl_run(ctl ? ctl : ctl_new(p->world, play_host(p)), &r->run);
}

/* What a person does with a run that nobody evaluates. One that never came to exist is begun anew. */
void
action_resume(struct play_run *r)
{
	struct play *p = r->play;
	const struct run_state *s = watch_run_state(r->run.watch);
	struct ctl *c = ctl_new(p->world, play_host(p));

	r->resumed++;
	if (s) {
		ctl_resume(c, &r->run);
		return;
	}
	new_id(p, r);
	ctl_run(c, &r->run);
}

void
action_do(struct play *p, struct words *w)
{
	struct play_run *r = w->n >= 2 ? play_run_find(p, w->v[1]) : NULL;
	struct play_run *owner = w->n >= 4 ? play_run_find(p, w->v[3]) : NULL;
	struct words copy;

	if (w->n == 0) {
		play_bad(p, "do what?");
	} else if (action_net(p, w)) {
		return;
	} else if (action_is_kill(w)) {
		do_kill(p, w);
	} else if (strcmp(w->v[0], "fill") == 0 || strcmp(w->v[0], "free") == 0) {
		do_fill(p, w);
	} else if (strcmp(w->v[0], "clock") == 0) {
		do_clock(p, w);
	} else if (strcmp(w->v[0], "stall") == 0) {
		do_stall(p, w);
	} else if (strcmp(w->v[0], "interrupt") == 0 && w->n == 2 && play_run_declared(p, w->v[1])) {
		if (r)
			ctl_interrupt(&r->run, "SIGINT");
	} else if (strcmp(w->v[0], "lose") == 0 && w->n == 3 && strcmp(w->v[1], "objects") == 0) {
		world_say(p->world, "%u objects vanish", each_objects(p, objects_lose, (unsigned)atoi(w->v[2])));
	} else if (strcmp(w->v[0], "damage") == 0 && w->n == 3 && strcmp(w->v[1], "objects") == 0) {
		world_say(p->world, "%u objects are damaged", each_objects(p, objects_damage, (unsigned)atoi(w->v[2])));
	} else if (play_is_span(w)) {
		play_span(p, w);
	} else if (strcmp(w->v[0], "lose") == 0 && w->n == 4 && play_run_declared(p, w->v[3])) {
		if (owner)
			ctl_lose_alloc(&owner->run);
	} else if (strcmp(w->v[0], "resume") == 0 && w->n == 2 && play_run_declared(p, w->v[1])) {
		if (r)
			action_resume(r);
	} else if (strcmp(w->v[0], "write") == 0 && w->n == 3) {
		char *path = xasprintf("%s/%s", SIM_DIR, w->v[1]);

		files_write(p->world->files, path, w->v[2]);
		free(path);
	} else if (strcmp(w->v[0], "remove") == 0 && w->n == 2) {
		char *path = xasprintf("%s/%s", SIM_DIR, w->v[1]);

		files_write(p->world->files, path, NULL);
		free(path);
	} else if (strcmp(w->v[0], "run") == 0) {
		copy = (struct words){ .n = w->n };
		for (size_t i = 0; i < w->n; i++)
			copy.v[i] = xstrdup(w->v[i]);
		action_run(p, &copy);
		words_release(&copy);
	} else {
		play_bad(p, "%s: no such action, or no such run", w->v[0]);
	}
}
