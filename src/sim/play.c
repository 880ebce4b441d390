/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/play.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/agent.h"
#include "sim/command.h"
#include "sim/disk.h"
#include "sim/naive.h"
#include "sim/play_priv.h"
#include "sim/watch.h"

/*
 * The lines of a scenario, one after the other. The world stands still while a line is read; only
 * `advance`, `wait` and `settle` let it go on.
 */
#define PATIENCE  8		/* visits of the operator, before they are a minute apart, then more and more */
#define TURNS_MAX 400000	/* a scenario that needs more is stuck */
#define TIME_MAX  (SECONDS(86400) * 60)

void
play_bad(struct play *p, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (p->bad)
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	p->bad = xasprintf("line %u: %s", p->line, text);
	free(text);
}

void
play_fail(struct play *p, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	world_fail(p->world, "%s", text);
	p->world->failure_kind = fmt;
	free(text);
}

struct play_run *
play_run_find(struct play *p, const char *name)
{
	struct play_run *r;

	TAILQ_FOREACH(r, &p->runs, link)
		if (strcmp(r->run.name, name) == 0)
			return r;
	return NULL;
}

bool
play_run_declared(const struct play *p, const char *name)
{
	for (size_t i = 0; i < p->declared.n; i++)
		if (strcmp(p->declared.v[i], name) == 0)
			return true;
	return false;
}

/* What is to begin later may be named before. */
static void
declare_runs(struct play *p, const char *text)
{
	struct words w;

	while (*text) {
		size_t n = strcspn(text, "\n"), at = 0;
		char *line = xstrndup(text, n);

		text += n + (text[n] == '\n');
		words_split(line, &w);
		free(line);
		while (at < w.n && strcmp(w.v[at], "run") != 0)
			at++;
		if (at + 1 < w.n && p->declared.n < MAX_WORDS)
			p->declared.v[p->declared.n++] = xstrdup(w.v[at + 1]);
		words_release(&w);
	}
}

struct host *
play_host(struct play *p)
{
	struct resources total = RESOURCES_INIT;

	if (TAILQ_EMPTY(&p->world->hosts)) {
		err_free(resources_parse(&total, "cpu=4,mem=8GiB,disk=1TiB"));
		host_new(p->world, &total, 8);
		resources_release(&total);
	}
	return TAILQ_FIRST(&p->world->hosts);
}

bool
play_run_final(const struct play_run *r)
{
	const struct run_state *s = watch_run_state(r->run.watch);

	/* Trouble of the world is met with another try for as long as it takes. */
	if (!s || s->Phase != PHASE_DONE)
		return false;
	return !s->Err || (!err_restartable(s->Err) && (r->run.must_fail || r->run.resets >= r->play->operator_resets));
}

/* The operator looks after runs that nobody has, some while after they were left. */
static void
operator_looks(struct play *p)
{
	struct play_run *r;
	struct range every = { p->operator_every / 2, p->operator_every };
	int64_t delay;
	unsigned late;

	TAILQ_FOREACH(r, &p->runs, link) {
		if (p->operator_every == 0 || !r->run.begun || r->run.ctl || timer_is_set(&r->resume) || play_run_final(r))
			continue;
		delay = world_delay(p->world, &every, "operator", r->resumed, r->run.name[1]);
		late = r->resumed > PATIENCE ? r->resumed - PATIENCE : 0;
		timer_set(&r->resume, delay + (late ? SECONDS(60) << (late < 6 ? late - 1 : 5) : 0));
	}
}

bool
play_turn(struct play *p)
{
	if (!world_turn(p->world) && p->world->failure)
		return false;
	triggers_poll(p);
	world_bury(p->world);
	operator_looks(p);
	if (p->world->turns > TURNS_MAX)
		world_fail(p->world, "there is no end to it: %d turns", TURNS_MAX);
	if (p->world->clock.mono > TIME_MAX)
		world_fail(p->world, "there is no end to it: two months have passed");
	return !p->world->failure && !p->bad;
}

/* Lines that make the world. */

static bool
setting(const char *word, const char *name, const char **value)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n) != 0 || word[n] != '=')
		return false;
	*value = word + n + 1;
	return true;
}

/* host cpu=4 mem=8G [disk=1T] [slots=8] */
static void
line_host(struct play *p, const struct words *w)
{
	struct resources total = RESOURCES_INIT;
	struct buf text = BUF_INIT;
	unsigned slots = 8;
	const char *value;
	struct err *err;

	for (size_t i = 1; i < w->n; i++) {
		if (setting(w->v[i], "slots", &value))
			slots = (unsigned)atoi(value);
		else
			buf_addf(&text, "%s%s", text.len ? "," : "", w->v[i]);
	}
	err = resources_parse(&total, buf_str(&text));
	if (err || slots == 0)
		play_bad(p, "host cpu=N mem=SIZE [disk=SIZE] [slots=N]");
	err_free(err);
	if (!(total.present & RES_DISK))
		resources_set(&total, "disk", 1e12);
	if (!p->bad)
		host_new(p->world, &total, slots);
	resources_release(&total);
	buf_release(&text);
}

static void
add_agent(struct play *p, const struct resources *total, unsigned slots, int64_t lease, bool own)
{
	struct host *h = host_new(p->world, total, slots);

	p->world->cluster = h->served = true;
	h->lease = lease;
	if (own)
		h->objects = objects_new(p->world);
	agent_new(h);
}

/*
 * cluster N agents cpu=4 mem=8G [disk=1T] [slots=8] [lease=2m] [repo=shared|own]
 * Another such line adds other agents.
 */
static void
line_cluster(struct play *p, const struct words *w)
{
	struct resources total = RESOURCES_INIT;
	struct buf text = BUF_INIT;
	unsigned slots = 8, n = w->n > 3 ? (unsigned)atoi(w->v[1]) : 0, there = 0;
	int64_t lease = LEASE_LONGEST;
	bool own = false, bad = n == 0 || strncmp(w->v[2], "agent", 5) != 0;
	const char *value;
	struct host *h;
	struct err *err;

	for (size_t i = 3; i < w->n; i++) {
		if (setting(w->v[i], "slots", &value))
			slots = (unsigned)atoi(value);
		else if (setting(w->v[i], "lease", &value))
			bad = bad || !duration_parse(value, &lease);
		else if (setting(w->v[i], "repo", &value))
			own = strcmp(value, "own") == 0;
		else
			buf_addf(&text, "%s%s", text.len ? "," : "", w->v[i]);
	}
	TAILQ_FOREACH(h, &p->world->hosts, link)
		there += 1 + (h->served ? 0 : NET_NODES);
	err = resources_parse(&total, buf_str(&text));
	if (err || bad || slots == 0 || there + n >= NET_NODES || lease < SECONDS(1))
		play_bad(p, "cluster N agents cpu=N mem=SIZE [disk=SIZE] [slots=N] [lease=DURATION] [repo=shared|own]; at most %d",
		    NET_NODES - 1);
	err_free(err);
	if (!(total.present & RES_DISK))
		resources_set(&total, "disk", 1e12);
	for (unsigned i = 0; i < n && !p->bad; i++)
		add_agent(p, &total, slots, lease, own);
	resources_release(&total);
	buf_release(&text);
}

bool
play_is_span(const struct words *w)
{
	return strcmp(w->v[0], "network") == 0 || strcmp(w->v[0], "disk") == 0 || strcmp(w->v[0], "cache") == 0 ||
	    strcmp(w->v[0], "execs") == 0;
}

void
play_span(struct play *p, const struct words *w)
{
	struct range *s = strcmp(w->v[0], "network") == 0 ? &p->world->network
	    : strcmp(w->v[0], "disk") == 0		 ? &p->world->disk
	    : strcmp(w->v[0], "cache") == 0		 ? &p->world->commit
							 : &p->world->exec;

	if (w->n != 2 || !range_parse(w->v[1], s))
		play_bad(p, "%s SHORTEST..LONGEST", w->v[0]);
}

static void
line_file(struct play *p, const struct words *w)
{
	char *path;

	if (w->n != 3) {
		play_bad(p, "file PATH \"TEXT\"");
		return;
	}
	path = xasprintf("%s/%s", SIM_DIR, w->v[1]);
	files_write(p->world->files, path, w->v[2]);
	free(path);
}

/* program NAME, lines, end */
static const char *
line_program(struct play *p, const struct words *w, const char *next)
{
	struct play_program *q;
	struct sim_program *program;
	struct buf text = BUF_INIT, diag = BUF_INIT;
	bool ended = false;

	for (; *next && !ended; p->line++) {
		size_t n = strcspn(next, "\n");

		ended = n == 3 && strncmp(next, "end", 3) == 0;
		if (!ended) {
			buf_add(&text, next, n);
			buf_addch(&text, '\n');
		}
		next += n + (next[n] == '\n');
	}
	program = w->n == 2 && ended ? sim_program_new(w->v[1], buf_str(&text), &diag) : NULL;
	if (!program) {
		play_bad(p, "program NAME, its lines, end: %s", buf_str(&diag));
	} else {
		q = xcalloc(1, sizeof *q);
		q->program = program;
		TAILQ_INSERT_TAIL(&p->programs, q, link);
	}
	buf_release(&text);
	buf_release(&diag);
	return next;
}

/* operator every DURATION [resets N] */
static void
line_operator(struct play *p, const struct words *w)
{
	if (w->n < 3 || !duration_parse(w->v[2], &p->operator_every) || p->operator_every == 0)
		play_bad(p, "operator every DURATION [resets N]");
	p->operator_resets = w->n == 5 ? (unsigned)atoi(w->v[4]) : 0;
}

/* Lines that let time go by. */

static void
line_advance(struct play *p, const struct words *w)
{
	int64_t ns = 0, until;

	if (w->n != 2 || !duration_parse(w->v[1], &ns)) {
		play_bad(p, "advance DURATION");
		return;
	}
	until = p->world->clock.mono + ns;
	while (world_next(p->world) <= until && play_turn(p))
		;
	if (!p->world->failure)
		world_advance_to(p->world, until);
}

static bool
settled(struct play *p)
{
	struct play_run *r;

	if (!TAILQ_EMPTY(&p->world->ctls))
		return false;
	TAILQ_FOREACH(r, &p->runs, link)
		if (p->operator_every > 0 && r->run.begun && !play_run_final(r))
			return false;
	return world_next(p->world) == INT64_MAX;
}

static void
line_settle(struct play *p)
{
	while (!settled(p)) {
		if (!play_turn(p))
			return;
		if (world_next(p->world) == INT64_MAX && !settled(p)) {
			struct ctl *c = TAILQ_FIRST(&p->world->ctls);

			if (c)
				loop_report_live(c->proc.loop ? c->proc.loop : p->world->loop);
			world_fail(p->world, "nothing happens any more, and it is not over");
			return;
		}
	}
}

static const char *
do_line(struct play *p, struct words *w, const char *next)
{
	const char *verb = w->v[0];

	if (strcmp(verb, "seed") == 0 && w->n == 2)
		p->world->seed = strtoull(w->v[1], NULL, 10);
	else if (strcmp(verb, "host") == 0)
		line_host(p, w);
	else if (strcmp(verb, "cluster") == 0)
		line_cluster(p, w);
	else if (strcmp(verb, "file") == 0)
		line_file(p, w);
	else if (strcmp(verb, "program") == 0)
		return line_program(p, w, next);
	else if (strcmp(verb, "operator") == 0)
		line_operator(p, w);
	else if (strcmp(verb, "when") == 0 || strcmp(verb, "at") == 0)
		trigger_add(p, w);
	else if (strcmp(verb, "advance") == 0)
		line_advance(p, w);
	else if (strcmp(verb, "settle") == 0)
		line_settle(p);
	else if (strcmp(verb, "expect") == 0)
		expect(p, w);
	else
		action_do(p, w);
	return next;
}

static void
play_lines(struct play *p, const char *text)
{
	struct words w;

	while (*text && !p->bad && !p->world->failure) {
		size_t n = strcspn(text, "\n");
		char *line = xstrndup(text, n);

		text += n + (text[n] == '\n');
		p->line++;
		words_split(line, &w);
		free(line);
		if (w.n > 0)
			text = do_line(p, &w, text);
		words_release(&w);
	}
}

/* The end. */

static void
bury_all(struct play *p)
{
	struct ctl *c, *next;

	TAILQ_FOREACH(c, &p->world->ctls, link)
		ctl_kill(c);
	for (c = TAILQ_FIRST(&p->world->ctls); c; c = next) {
		next = TAILQ_NEXT(c, link);
		sim_journal_kill(c->journal);
		ctl_bury(c);
	}
}

static void
run_free(struct play_run *r)
{
	timer_clear(&r->resume);
	naive_free(r->naive);
	param_set_release(&r->run.params);
	run_config_release(&r->run.config);
	resources_release(&r->run.most);
	err_free(r->run.last);
	free(r->run.name);
	free(r);
}

static void
play_release(struct play *p)
{
	struct play_program *q;
	struct play_run *r;
	struct trigger *t;

	bury_all(p);
	while ((t = TAILQ_FIRST(&p->triggers))) {
		TAILQ_REMOVE(&p->triggers, t, link);
		trigger_free(t);
	}
	while ((t = TAILQ_FIRST(&p->due))) {
		TAILQ_REMOVE(&p->due, t, link);
		trigger_free(t);
	}
	while ((r = TAILQ_FIRST(&p->runs))) {
		TAILQ_REMOVE(&p->runs, r, link);
		run_free(r);
	}
	words_release(&p->declared);
	while ((q = TAILQ_FIRST(&p->programs))) {
		TAILQ_REMOVE(&p->programs, q, link);
		sim_program_free(q->program);
		free(q);
	}
}

void
play(const char *text, bool verbose, struct play_outcome *out)
{
	struct play p = { .verbose = verbose };
	struct play_run *r;
	struct run_facts f;

	memset(out, 0, sizeof *out);
	TAILQ_INIT(&p.programs);
	TAILQ_INIT(&p.runs);
	TAILQ_INIT(&p.triggers);
	TAILQ_INIT(&p.due);
	p.world = world_new(0);
	p.world->verbose = verbose;
	p.world->on_step = trigger_step;
	p.world->on_step_arg = &p;
	p.started = p.world->clock.mono;
	declare_runs(&p, text);
	play_lines(&p, text);
	TAILQ_FOREACH(r, &p.runs, link) {
		if (!r->run.watch)
			continue;
		watch_run_facts(r->run.watch, &f);
		out->attempts += f.started;
		out->records += f.records;
	}
	out->turns = p.world->turns;
	out->steps = p.world->steps;
	out->virtual_ns = p.world->clock.mono - p.started;
	out->deaths = p.deaths;
	out->kind = p.world->failure_kind;
	out->failure = p.world->failure ? xstrdup(p.world->failure) : NULL;
	p.world->on_step = NULL;
	play_release(&p);
	out->bad = p.bad;
	world_free(p.world);
}

void
play_outcome_release(struct play_outcome *o)
{
	free(o->failure);
	free(o->bad);
}
