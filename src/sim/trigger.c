/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "sim/command.h"
#include "sim/play_priv.h"
#include "sim/watch.h"

/*
 * Triggers. Those that wait for a durable step are asked at that step, and what kills is done there and
 * then; the others are asked after each turn. Each happens once.
 */

static void
copy_words(struct words *dst, char *const *from, size_t n)
{
	dst->n = 0;
	for (size_t i = 0; i < n; i++)
		dst->v[dst->n++] = xstrdup(from[i]);
	dst->v[dst->n] = NULL;
}

static void
trigger_fire(struct trigger *t)
{
	struct play *p = t->play;

	TAILQ_REMOVE(&p->triggers, t, link);
	TAILQ_INSERT_TAIL(&p->due, t, link);
	if (action_is_kill(&t->action)) {
		t->done = true;
		action_do(p, &t->action);
	}
}

static void
trigger_due_cb(void *arg)
{
	trigger_fire(arg);
}

static void
trigger_met(struct trigger *t)
{
	if (timer_is_set(&t->due))
		return;
	if (t->after > 0)
		timer_set(&t->due, t->after);
	else
		trigger_fire(t);
}

/* `30s`: a time since the start. */
static bool
is_time(const struct words *c, int64_t *at)
{
	return c->n == 1 && duration_parse(c->v[0], at);
}

static bool
known_condition(const struct words *c)
{
	int64_t at;

	return is_time(c, &at) || (c->n == 2 && strcmp(c->v[0], "step") == 0) || (c->n == 4 && strcmp(c->v[1], "record") == 0) || (c->n == 3 && strcmp(c->v[2], "done") == 0) ||
	    (c->n == 3 && (strcmp(c->v[0], "attempt") == 0 || strcmp(c->v[0], "entry") == 0 || strcmp(c->v[0], "object") == 0 ||
	    strcmp(c->v[0], "file") == 0 || strcmp(c->v[0], "segment") == 0)) ||
	    (c->n == 2 && (strcmp(c->v[1], "over") == 0 || strcmp(c->v[1], "done") == 0 ||
	    strncmp(c->v[1], "phase=", 6) == 0 || strncmp(c->v[1], "try=", 4) == 0));
}

/* when CONDITION [after DURATION]: ACTION */
void
trigger_add(struct play *p, const struct words *w)
{
	struct trigger *t = xcalloc(1, sizeof *t);
	size_t colon;
	int64_t at;

	t->play = p;
	t->line = p->line;
	for (colon = 1; colon < w->n && strcmp(w->v[colon], ":") != 0; colon++)
		;
	if (colon + 1 >= w->n) {
		play_bad(p, "when CONDITION: ACTION");
		free(t);
		return;
	}
	copy_words(&t->cond, w->v + 1, colon - 1);
	copy_words(&t->action, w->v + colon + 1, w->n - colon - 1);
	if (t->cond.n > 2 && strcmp(t->cond.v[t->cond.n - 2], "after") == 0) {
		if (!duration_parse(t->cond.v[t->cond.n - 1], &t->after))
			play_bad(p, "%s is no duration", t->cond.v[t->cond.n - 1]);
		free(t->cond.v[--t->cond.n]);
		free(t->cond.v[--t->cond.n]);
	}
	if (!known_condition(&t->cond))
		play_bad(p, "this is no condition that is known");
	timer_init(&t->due, p->world->loop, "trigger", trigger_due_cb, t);
	TAILQ_INSERT_TAIL(&p->triggers, t, link);
	if (is_time(&t->cond, &at)) {
		at += p->started - loop_now(p->world->loop);
		timer_set(&t->due, at > 0 ? at : 0);
	}
}

void
trigger_later(struct play *p, int64_t after, const struct words *action)
{
	struct trigger *t = xcalloc(1, sizeof *t);

	t->play = p;
	copy_words(&t->action, action->v, action->n);
	timer_init(&t->due, p->world->loop, "trigger", trigger_due_cb, t);
	TAILQ_INSERT_TAIL(&p->triggers, t, link);
	timer_set(&t->due, after);
}

void
trigger_free(struct trigger *t)
{
	timer_clear(&t->due);
	words_release(&t->cond);
	words_release(&t->action);
	free(t);
}

/* `attempt 3 spawned` */
static bool
names_step(const struct words *c, const char *what, enum step s, uint64_t n)
{
	return c->n == 3 && strcmp(c->v[0], what) == 0 && strcmp(c->v[2], step_name(s)) == 0 && strtoull(c->v[1], NULL, 10) == n;
}

static bool
step_meets(struct play *p, const struct trigger *t, enum step s, const struct digest *run, uint64_t n, uint64_t of_all)
{
	const struct words *c = &t->cond;
	struct play_run *r;

	if (c->n == 2 && strcmp(c->v[0], "step") == 0)
		return strtoull(c->v[1], NULL, 10) == of_all;
	switch (s) {
	case STEP_WRITTEN:
	case STEP_DURABLE:
	case STEP_ACKNOWLEDGED:
		if (c->n != 4 || strcmp(c->v[1], "record") != 0 || strcmp(c->v[3], step_name(s)) != 0)
			return false;
		r = play_run_find(p, c->v[0]);
		return r && digest_equal(&r->run.id, run) && strtoull(c->v[2], NULL, 10) == n;
	case STEP_CREATED:
	case STEP_STAGED:
	case STEP_SPAWNED:
	case STEP_EXITED:
	case STEP_COLLECTED:
	case STEP_MANIFEST:
		return names_step(c, "attempt", s, n);
	case STEP_COMMITTED:
		return names_step(c, "entry", s, n);
	case STEP_PUT:
		return names_step(c, "object", s, n);
	case STEP_INTERNED:
		return names_step(c, "file", s, n);
	case STEP_SEGMENT:
		return names_step(c, "segment", s, n);
	case STEP_NKINDS:
		break;
	}
	return false;
}

void
trigger_step(enum step s, const struct digest *run, uint64_t n, void *arg)
{
	struct play *p = arg;
	uint64_t of_all = p->world->steps;
	struct trigger *t, *next;

	for (t = TAILQ_FIRST(&p->triggers); t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (timer_is_set(&t->due) || !step_meets(p, t, s, run, n, of_all))
			continue;
		trigger_met(t);
		next = TAILQ_FIRST(&p->triggers);	/* what was done may have been a step of its own */
	}
}

static bool
state_meets(struct play *p, const struct trigger *t)
{
	const struct words *c = &t->cond;
	struct play_run *r = c->n > 0 ? play_run_find(p, c->v[0]) : NULL;
	const struct run_state *s;
	struct run_facts facts;
	double want;
	char *end;

	if (!r || !r->run.begun)
		return false;
	s = watch_run_state(r->run.watch);
	watch_run_facts(r->run.watch, &facts);
	if (c->n == 3 && strcmp(c->v[2], "done") == 0) {	/* r1 50% done, r1 12 done */
		want = strtod(c->v[1], &end);
		if (*end == '%')
			want = want / 100 * (double)r->run.nexecs;
		return facts.execs + facts.hits >= want;
	}
	if (c->n != 2)
		return false;
	if (strcmp(c->v[1], "over") == 0)
		return !r->run.ctl && s;
	if (strcmp(c->v[1], "done") == 0)
		return s && s->Phase == PHASE_DONE;
	if (strncmp(c->v[1], "phase=", 6) == 0)
		return s && strcmp(phase_name(s->Phase), c->v[1] + 6) == 0;
	return s && strncmp(c->v[1], "try=", 4) == 0 && s->NumTries >= (uint32_t)atoi(c->v[1] + 4);
}

void
triggers_poll(struct play *p)
{
	struct trigger *t, *next;

	for (t = TAILQ_FIRST(&p->triggers); t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (state_meets(p, t))
			trigger_met(t);
	}
	while ((t = TAILQ_FIRST(&p->due))) {
		TAILQ_REMOVE(&p->due, t, link);
		if (!t->done)
			action_do(p, &t->action);
		trigger_free(t);
	}
}
