/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "sim/agent.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/host.h"
#include "sim/store.h"
#include "sim/watch.h"

/*
 * The driver. A turn runs every loop that has something due, the world's first, then the controllers in
 * an order that the seed draws; only when none has is the clock moved, to the next thing of all. So two
 * controllers interleave as two processes would, at the grain of a turn of their loops.
 */

/* The clock. */

int64_t
clock_mono(const struct sim_clock *c)
{
	return c->then + (c->home->mono - c->home_then) * c->percent / 100;
}

int64_t
clock_home(const struct sim_clock *c, int64_t mono)
{
	return mono == INT64_MAX ? mono : c->home_then + ((mono - c->then) * 100 + c->percent - 1) / c->percent;
}

void
clock_rate(struct sim_clock *c, int64_t percent)
{
	c->then = clock_mono(c);
	c->home_then = c->home->mono;
	c->percent = percent;
}

static int64_t
sim_mono(struct clock *c)
{
	return clock_mono(container_of(c, struct sim_clock, clock));
}

static int64_t
sim_wall(struct clock *c)
{
	struct sim_clock *s = container_of(c, struct sim_clock, clock);

	return s->home->mono + s->wall;
}

static void
sim_advance(struct clock *c, int64_t to)
{
	struct sim_clock *s = container_of(c, struct sim_clock, clock);

	s->home->mono = clock_home(s, to);
}

static void
clock_init(struct sim_clock *c, struct sim_clock *home)
{
	c->clock = (struct clock){ sim_mono, sim_wall, sim_advance };
	c->home = home;
	c->wall = SIM_WALL - SECONDS(1);
	c->percent = 100;
}

void
world_clock_init(struct world *w, struct sim_clock *c)
{
	clock_init(c, &w->clock);
	c->wall = w->clock.wall;
}

/* Dice. */

static uint64_t
mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t
world_dice(const struct world *w, const char *what, uint64_t a, uint64_t b)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *what; what++)
		h = (h ^ (uint8_t)*what) * 0x100000001b3;
	return mix(mix(mix(w->seed ^ h) ^ a) ^ b);
}

/* Mostly short, sometimes long: the square of an even chance. */
int64_t
world_delay(const struct world *w, const struct range *s, const char *what, uint64_t a, uint64_t b)
{
	double x = (double)(world_dice(w, what, a, b) >> 11) / (double)(1ull << 53);

	return s->lo + (int64_t)(x * x * (double)(s->hi - s->lo));
}

bool
world_chance(const struct world *w, double p, const char *what, uint64_t a, uint64_t b)
{
	return (double)(world_dice(w, what, a, b) >> 11) / (double)(1ull << 53) < p;
}

/* Telling. */

void
world_say(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->verbose)
		return;
	fprintf(stderr, "%10.3f ", (double)(w->clock.mono - SECONDS(1)) / 1e9);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void
world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->failure)
		return;
	w->failure_kind = fmt;
	va_start(ap, fmt);
	w->failure = xvasprintf(fmt, ap);
	va_end(ap);
	world_say(w, "BROKEN: %s", w->failure);
}

static const char *const step_names[] = {
	"written", "durable", "acknowledged", "opened", "put", "interned", "created", "staged", "spawned", "exited", "collected",
	"manifest", "committed",
};

const char *
step_name(enum step s)
{
	return step_names[s];
}

void
world_step(struct world *w, enum step s, const struct digest *run, uint64_t n)
{
	w->nsteps[s]++;
	w->steps++;
	if (w->on_step)
		w->on_step(s, run, n ? n : w->nsteps[s], w->on_step_arg);
}

/* The disk. */

#define WRITTEN_BACK SECONDS(35)

void
world_writes(struct world *w, struct unsynced *u)
{
	u->order = ++w->nwrites;
	u->at = w->clock.mono;
}

bool
world_synced(const struct world *w, const struct unsynced *u)
{
	return u->order <= w->synced || w->clock.mono - u->at > WRITTEN_BACK;
}

void
world_sync(struct world *w)
{
	w->synced = w->nwrites;
}

uint64_t
world_cut(const struct world *w)
{
	return w->synced + world_dice(w, "cut", w->turns, w->steps) % (w->nwrites - w->synced + 1);
}

/* The world. */

static void
make_root(struct world *w)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/weir-sim-XXXXXX", tmp ? tmp : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	struct err *err;

	if (!mkdtemp(dir) || (err = root_open(dir, NULL, true, &w->root)) != NULL) {
		log_error("no temporary directory can be made: %s", dir);
		exit(1);
	}
	free(dir);
}

struct world *
world_new(uint64_t seed)
{
	return world_new_on(NULL, seed);
}

struct world *
world_new_on(struct loop *loop, uint64_t seed)
{
	struct world *w = xcalloc(1, sizeof *w);

	clock_init(&w->clock, &w->clock);
	w->clock.mono = SECONDS(1);
	w->seed = seed;
	w->one_loop = loop != NULL;
	w->loop = loop ? loop : loop_new(&w->clock.clock);
	loop_seed(w->loop, seed);
	make_root(w);
	w->network = (struct range){ MILLIS(1) / 10, MILLIS(5) };
	w->disk = (struct range){ MILLIS(1), MILLIS(30) };
	w->commit = w->disk;
	w->exec = (struct range){ MILLIS(10), SECONDS(20) };
	TAILQ_INIT(&w->hosts);
	TAILQ_INIT(&w->ctls);
	w->objects = objects_new(w);
	w->files = files_new();
	w->db = db_new(w);
	w->watch = watch_new(w);
	w->net = net_new(w);
	return w;
}

static void
remove_tree(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char *path;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		path = xasprintf("%s/%s", dir, e->d_name);
		if (unlink(path) != 0)
			remove_tree(path);
		free(path);
	}
	if (d)
		closedir(d);
	(void)rmdir(dir);
}

void
world_free(struct world *w)
{
	struct host *h;

	while ((h = TAILQ_FIRST(&w->hosts))) {
		agent_free(h);
		host_free(h);
	}
	db_free(w->db);
	watch_free(w->watch);
	net_free(w->net);
	objects_free(w->objects);
	files_free(w->files);
	if (!w->one_loop)
		loop_free(w->loop);
	remove_tree(w->root.path);
	root_release(&w->root);
	free(w->failure);
	free(w);
}

/* The driver. */

int64_t
proc_due(const struct proc *p)
{
	int64_t due = p->dead ? INT64_MAX : loop_due(p->loop);

	due = p->clock ? clock_home(p->clock, due) : due;
	return due < p->stalled ? p->stalled : due;
}

int64_t
world_next(const struct world *w)
{
	int64_t due = loop_due(w->loop), d;
	struct ctl *c;
	struct host *h;

	TAILQ_FOREACH(c, &w->ctls, link) {
		d = proc_due(&c->proc);
		due = d < due ? d : due;
	}
	TAILQ_FOREACH(h, &w->hosts, link) {
		d = agent_proc(h) ? proc_due(agent_proc(h)) : INT64_MAX;
		due = d < due ? d : due;
	}
	return due;
}

void
world_advance_to(struct world *w, int64_t mono)
{
	if (mono > w->clock.mono)
		w->clock.mono = mono;
}

/* Every process that has something due, in an order that the seed draws. */
static void
turn_processes(struct world *w)
{
	struct proc *order[64], *p;
	struct ctl *c;
	struct host *h;
	size_t n = 0;

	TAILQ_FOREACH(c, &w->ctls, link)
		if (n < nitems(order) && proc_due(&c->proc) <= w->clock.mono)
			order[n++] = &c->proc;
	TAILQ_FOREACH(h, &w->hosts, link)
		if (n < nitems(order) && (p = agent_proc(h)) != NULL && proc_due(p) <= w->clock.mono)
			order[n++] = p;
	for (size_t i = n; i > 1; i--) {
		size_t k = world_dice(w, "turn", w->turns, i) % i;

		p = order[i - 1];
		order[i - 1] = order[k];
		order[k] = p;
	}
	for (size_t i = 0; i < n; i++)
		if (!order[i]->dead)
			loop_turn(order[i]->loop, false);
}

void
world_bury(struct world *w)
{
	struct ctl *c, *next;
	struct host *h;

	for (c = TAILQ_FIRST(&w->ctls); c; c = next) {
		next = TAILQ_NEXT(c, link);
		ctl_bury(c);
	}
	TAILQ_FOREACH(h, &w->hosts, link)
		agent_bury(h);
}

static void
check_quiet(struct world *w)
{
	struct ctl *c;
	struct host *h;

	TAILQ_FOREACH(c, &w->ctls, link)
		if (!c->proc.dead)
			ctl_check_busy(c);
	TAILQ_FOREACH(h, &w->hosts, link)
		agent_check(h);
}

bool
world_turn(struct world *w)
{
	int64_t due;

	world_bury(w);
	due = world_next(w);
	if (w->failure || due == INT64_MAX)
		return false;
	if (due > w->clock.mono)
		check_quiet(w);
	world_advance_to(w, due);
	w->turns++;
	if (loop_due(w->loop) <= w->clock.mono)
		loop_turn(w->loop, false);
	turn_processes(w);
	world_bury(w);
	return !w->failure;
}

/* Messages. */

struct message {
	TAILQ_ENTRY(message) entry;
	int64_t due;
	void (*run)(void *);
	void (*drop)(void *);
	void *data;
};

static void
post_arrival_cb(void *arg)
{
	struct post *p = arg;
	struct message *m;
	void (*run)(void *);
	void *data;

	while ((m = TAILQ_FIRST(&p->messages)) && m->due <= loop_now(p->loop)) {
		run = m->run;
		data = m->data;
		TAILQ_REMOVE(&p->messages, m, entry);
		free(m);
		run(data);
	}
	if (m && !timer_is_set(&p->arrival))
		timer_set(&p->arrival, m->due - loop_now(p->loop));
}

void
post_init(struct post *p, struct loop *loop, const char *name)
{
	p->loop = loop;
	p->last = 0;
	timer_init(&p->arrival, loop, name, post_arrival_cb, p);
	TAILQ_INIT(&p->messages);
}

void
post_send(struct post *p, int64_t delay, void (*run)(void *), void (*drop)(void *), void *data)
{
	struct message *m = xmalloc(sizeof *m);
	int64_t now = loop_now(p->loop), due = now + delay;

	if (due < p->last)
		due = p->last;
	p->last = due;
	*m = (struct message){ .due = due, .run = run, .drop = drop, .data = data };
	TAILQ_INSERT_TAIL(&p->messages, m, entry);
	if (!timer_is_set(&p->arrival))
		timer_set(&p->arrival, due - now);
}

void
post_close(struct post *p)
{
	struct message *m;

	timer_clear(&p->arrival);
	while ((m = TAILQ_FIRST(&p->messages))) {
		TAILQ_REMOVE(&p->messages, m, entry);
		m->drop(m->data);
		free(m);
	}
}

/* Answers that take a while. */

struct delayed {
	struct op	op;
	struct op_type	type;
	struct timer	answer;
	bool		due;
	void (*run)(void *);
	void (*drop)(void *);
	void	       *data;
};

static void
delayed_due_cb(void *arg)
{
	struct delayed *d = arg;

	d->due = true;
	op_wake(&d->op);
}

static void
delayed_advance(struct op *op)
{
	struct delayed *d = op_owner(op, struct delayed, op);
	void (*run)(void *) = d->run;
	void *data = d->data;

	if (!d->due)
		return;
	d->drop = NULL;
	op_release(op);
	run(data);
}

static void
delayed_release(struct op *op)
{
	struct delayed *d = op_owner(op, struct delayed, op);

	timer_clear(&d->answer);
	if (d->drop)
		d->drop(d->data);
	free(d);
}

struct op *
delayed_start(struct loop *loop, const char *name, int64_t delay, void (*run)(void *), void (*drop)(void *), void *data)
{
	struct delayed *d = xcalloc(1, sizeof *d);

	d->type = (struct op_type){ name, delayed_advance, delayed_release };
	d->run = run;
	d->drop = drop;
	d->data = data;
	op_init(&d->op, loop, &d->type);
	timer_init(&d->answer, loop, name, delayed_due_cb, d);
	timer_set(&d->answer, delay);
	return &d->op;
}
