/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sched/play.h"

#include "loop/loop.h"
#include "sched/sched.h"
#include "tests/check.h"
#include "tests/sched/fake.h"
#include "tests/sched/list.h"

struct player;
struct play_task {
	struct player	  *p;
	unsigned	   nth, pending, *outs, nouts;
	struct exec_config config;
};
struct player {
	struct game	 *g;
	struct play_run	 *run;
	struct play_task *tasks;
	unsigned	 *ranks, left;
	struct sched_run *srun;
	struct timer	  arrival;
};
struct game {
	struct clock  *clock;
	struct loop   *loop;
	struct fake    fake;
	struct sched  *sched;
	struct sched_alloc *hold;
	int64_t	       began, last;
	struct player *players;
	unsigned       n, left;
	bool	       released;
};

static void submit(struct play_task *);

static const struct exec_config *
play_starting(unused_arg bool joined, void *arg)
{
	return &((struct play_task *)arg)->config;
}

static void
play_done(struct exec_result *r, struct err *err, void *arg)
{
	struct play_task *t = arg;
	struct player *p = t->p;

	assert_ok(err);
	assert_int_equal(r->state, ATTEMPT_OK);
	exec_result_release(r);
	p->g->last = p->run->ended[t->nth] = loop_now(p->g->loop) - p->g->began;
	p->left--;
	p->g->left--;
	for (unsigned i = 0; i < t->nouts; i++)
		if (--p->tasks[t->outs[i]].pending == 0)
			submit(&p->tasks[t->outs[i]]);
}

static const struct task_events play_events = { play_starting, NULL, play_done };

static void
submit(struct play_task *t)
{
	struct player *p = t->p;
	struct resources res = RESOURCES_INIT;
	struct task_want want = { .key = t->config.key, .resources = &res, .rank = p->ranks[t->nth] };

	p->run->submitted[t->nth] = loop_now(p->g->loop) - p->g->began;
	amounts_resources(p->run->flow->tasks[t->nth].amount, &res);
	resources_copy(&t->config.resources, &res);
	(void)sched_submit(p->srun, &want, &play_events, t);
	resources_release(&res);
}

static void
arrived(void *arg)
{
	struct player *p = arg;

	for (unsigned i = 0; i < p->run->flow->n; i++)
		if (p->run->flow->tasks[i].ndeps == 0)
			submit(&p->tasks[i]);
}

static void
player_init(struct player *p, struct game *g, struct play_run *run)
{
	const struct flow_case *c = run->flow;
	struct digest id = { { 0 } };

	*p = (struct player){ .g = g, .run = run, .left = c->n, .ranks = flow_ranks(c) };
	run->ended = xcalloc(c->n, sizeof *run->ended);
	run->submitted = xcalloc(c->n, sizeof *run->submitted);
	p->tasks = xcalloc(c->n, sizeof *p->tasks);
	id.b[0] = (uint8_t)(1 + (p - g->players));
	p->srun = sched_run_new(g->sched, &id, g->hold);
	for (unsigned i = 0; i < c->n; i++) {
		struct play_task *t = &p->tasks[i];

		t->p = p;
		t->nth = i;
		t->pending = c->tasks[i].ndeps;
		t->config.type = EXEC_COMMAND;
		t->config.ident = c->tasks[i].name;
		t->config.claim.run = t->config.key = id;
		memcpy(t->config.key.b + 4, &i, sizeof i);
		for (unsigned k = 0; k < c->tasks[i].ndeps; k++) {
			struct play_task *d = &p->tasks[c->tasks[i].deps[k]];

			d->outs = xreallocarray(d->outs, d->nouts + 1, sizeof *d->outs);
			d->outs[d->nouts++] = i;
		}
	}
	g->left += c->n;
	timer_init(&p->arrival, g->loop, "arrival", arrived, p);
	timer_set(&p->arrival, run->arrives);
}

static void
player_release(struct player *p)
{
	for (unsigned i = 0; i < p->run->flow->n; i++) {
		free(p->tasks[i].outs);
		resources_release(&p->tasks[i].config.resources);
	}
	sched_run_free(p->srun);
	free(p->tasks);
	free(p->ranks);
}

static void
takes(unused_arg struct fake *f, const struct exec_config *c, unused_arg struct exec_result *out, int64_t *ns, void *arg)
{
	const struct game *g = arg;
	unsigned i;

	memcpy(&i, c->key.b + 4, sizeof i);
	*ns = g->players[c->key.b[0] - 1].run->flow->tasks[i].ns;
}

static void
hold_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	assert_ok(err);
	((struct game *)arg)->hold = hold;
}

static void
released_cb(struct err *err, void *arg)
{
	assert_ok(err);
	((struct game *)arg)->released = true;
}

int64_t
play(const double *host, struct play_run *runs, unsigned n)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct game g = { .n = n };

	assert_true(n < 255);
	g.clock = clock_virtual_new(SECONDS(1700000000));
	g.loop = loop_new(g.clock);
	fake_init(&g.fake, g.loop, "cpu=1");
	amounts_resources(host, &g.fake.capacity);
	fake_ledger(&g.fake, 2);
	g.fake.run = takes;
	g.fake.arg = &g;
	g.sched = sched_new(g.loop, &g.fake.cluster);
	(void)sched_allocate_start(g.sched, &req, NULL, NULL, hold_cb, &g);
	while (!g.hold)
		loop_turn(g.loop, true);
	g.began = loop_now(g.loop);
	g.players = xcalloc(n, sizeof *g.players);
	for (unsigned i = 0; i < n; i++)
		player_init(&g.players[i], &g, &runs[i]);
	while (g.left > 0)
		assert_true(loop_turn(g.loop, true));
	for (unsigned i = 0; i < n; i++)
		player_release(&g.players[i]);
	free(g.players);
	(void)sched_alloc_release_start(g.hold, 0, released_cb, &g);
	while (!g.released)
		loop_turn(g.loop, true);
	sched_free(g.sched);
	fake_release(&g.fake);
	loop_free(g.loop);
	clock_virtual_free(g.clock);
	return g.last;
}

void
play_release(struct play_run *runs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(runs[i].ended);
		free(runs[i].submitted);
	}
}

double
play_held(const struct play_run *run, const double *host, int64_t from, int64_t to)
{
	double held = 0;

	for (unsigned i = 0; i < run->flow->n; i++) {
		const struct ftask *t = &run->flow->tasks[i];
		int64_t a = run->ended[i] - t->ns, b = run->ended[i];

		a = a > from ? a : from;
		b = b < to ? b : to;
		if (a < b)
			held += flow_share(t, host) * (double)(b - a);
	}
	return held;
}
