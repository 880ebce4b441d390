/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/admit.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/attr.h"
#include "base/xalloc.h"

/*
 * Admission to one alloc. Runs stand in a tree by what they were charged, the items of each in trees by their order;
 * both are searched for the first that fits. Amounts are shares of the total, so that a hundredth of a core and a byte
 * can be compared, and rounding is the same for all.
 *
 * What a run was charged grows while its execs run longer than expected. Its place in the tree is not moved then: that
 * is found out when it comes to stand first.
 */

/* Measured with weir-bench sched: less costs makespan, as room is kept empty more often. */
#define PASS_LIMIT 4.0		/* shares of the alloc that may pass by an item */
#define LAG_LIMIT  8.0		/* shares of the alloc, for as long as they are usually held, that a run may get ahead */
#define RANK_WORTH 16.0		/* shares of the alloc that a step of the way is worth */
#define RANK_MAX   31		/* so that what waits is passed by 496 times the alloc at most, for its rank alone */
#define LATELY	   64.0		/* shares of the alloc whose durations are remembered */
#define TINY	   1e-9

enum { COSTS, FREE };

/* What is alike is kept once, and told by its shares. */
struct admit_shape {
	double	      *share;	/* owned: key of the table */
	double	       cost;	/* the largest; 0: needs nothing */
	unsigned       class;
	unsigned       nitems;	/* in any state */
	UT_hash_handle hh;
};
struct admit {
	struct resources total;
	unsigned	 ndims;	/* memory, cores, then the other labels of the total; at least FIT_DIMS */
	double		*avail, *scratch;
	unsigned	 lookahead, free_max;
	unsigned	 nfree, nahead;
	size_t		 nwaiting, nrunning;
	uint64_t	 seq;
	double		 now;		/* s */
	double		 vnow;		/* what the run served last was charged */
	double		 spent, ended;	/* as in a run */
	struct fit	*runs[2];	/* lanes with something waiting */
	struct fit	*running;	/* items that cost something */
	struct admit_item *reserved;	/* waiting: room is being kept for it */
	TAILQ_HEAD(, admit_item) ahead;
	struct admit_shape *shapes;
};

struct admit *
admit_new(const struct resources *total, unsigned lookahead, unsigned free_max)
{
	struct admit *a = xcalloc(1, sizeof *a);

	resources_copy(&a->total, total);
	a->ndims = 2 + total->nfeatures > FIT_DIMS ? 2 + total->nfeatures : FIT_DIMS;
	a->avail = xcalloc(a->ndims, sizeof *a->avail);
	a->scratch = xcalloc(a->ndims, sizeof *a->scratch);
	for (unsigned i = 0; i < a->ndims; i++)
		a->avail[i] = 1;
	a->lookahead = lookahead;
	a->free_max = free_max;
	TAILQ_INIT(&a->ahead);
	return a;
}

void
admit_free(struct admit *a)
{
	if (!a)
		return;
	assert(a->shapes == NULL && a->nwaiting == 0 && a->nrunning == 0);
	resources_release(&a->total);
	free(a->avail);
	free(a->scratch);
	free(a);
}

bool
admit_could(const struct admit *a, const struct resources *res)
{
	return res == NULL || resources_available(&a->total, res);
}

void
admit_run_init(struct admit_run *run)
{
	memset(run, 0, sizeof *run);
}

size_t
admit_nwaiting(const struct admit *a)
{
	return a->nwaiting;
}

size_t
admit_nrunning(const struct admit *a)
{
	return a->nrunning;
}

/* ---- shapes ---- */

static double
share(double want, double total)
{
	return total > 0 ? want / total : 0;
}

/* Halvings of the cores, down to 1/64 and to none, and whether another label is wanted: few trees, each of like items. */
static unsigned
class_of(const struct admit *a, const double *v)
{
	int k = v[1] > 0 ? (int)floor(-log2(v[1]) + TINY) : 7;
	bool special = false;

	for (unsigned i = 2; i < a->ndims; i++)
		special = special || v[i] > 0;
	return (unsigned)(k < 0 ? 0 : k > 7 ? 7 : k) + (special ? 8 : 0);
}

static struct admit_shape *
shape_get(struct admit *a, const struct resources *res)
{
	size_t size = a->ndims * sizeof *a->scratch;
	double *v = a->scratch;
	struct admit_shape *s;

	memset(v, 0, size);
	if (res) {
		v[0] = share(res->mem, a->total.mem);
		v[1] = share(res->cpu, a->total.cpu);
		for (unsigned i = 0; i < a->total.nfeatures; i++)
			v[2 + i] = share(resources_get(res, a->total.features[i].label), a->total.features[i].amount);
	}
	HASH_FIND(hh, a->shapes, v, size, s);
	if (s)
		return s;
	s = xcalloc(1, sizeof *s);
	s->share = xmemdup(v, size);
	for (unsigned i = 0; i < a->ndims; i++)
		s->cost = fmax(s->cost, v[i]);
	s->class = class_of(a, v);
	HASH_ADD_KEYPTR(hh, a->shapes, s->share, size, s);
	return s;
}

static void
shape_put(struct admit *a, struct admit_shape *s)
{
	if (--s->nitems > 0)
		return;
	HASH_DEL(a->shapes, s);
	free(s->share);
	free(s);
}

static bool
fits(const struct admit *a, const struct admit_shape *s, const double *limit)
{
	for (unsigned i = 0; i < a->ndims; i++)
		if (s->share[i] > limit[i] + TINY)
			return false;
	return true;
}

/* ---- what a run is charged ---- */

/* What it was charged, and will be for what it holds, as far as can be said now. */
static double
charged(const struct admit *a, const struct admit_run *run)
{
	return run->used + fmax(run->expected, run->share * a->now - run->begun);
}

/* Seconds that a share is held, as it was lately: of this run, or of all. */
static double
usual(const struct admit *a, const struct admit_run *run)
{
	if (run && run->ended > TINY)
		return run->spent / run->ended;
	return a->ended > TINY ? a->spent / a->ended : 1;
}

static void
remember(double *spent, double *ended, double took, double cost)
{
	*spent += took;
	*ended += cost;
	if (*ended > LATELY) {
		*spent /= 2;
		*ended /= 2;
	}
}

static void
hold(struct admit *a, struct admit_run *run, struct admit_item *it)
{
	double cost = it->shape->cost;

	it->run = run;
	it->since = a->now;
	it->expected = cost * usual(a, run);
	run->nheld++;
	run->share += cost;
	run->begun += cost * a->now;
	run->expected += it->expected;
}

/* Gives what it took. */
static double
unhold(struct admit *a, struct admit_item *it)
{
	struct admit_run *run = it->run;
	double cost = it->shape->cost, took = cost * (a->now - it->since);

	run->used += took;
	run->share -= cost;
	run->begun -= cost * it->since;
	run->expected -= it->expected;
	if (--run->nheld == 0)	/* rounding does not add up */
		run->share = run->begun = run->expected = 0;
	return took;
}

/* ---- lanes ---- */

static struct admit_item *
item_of(struct fit *f)
{
	return f ? container_of(f, struct admit_item, fit) : NULL;
}

static struct admit_run *
run_of(struct fit *f)
{
	return container_of(f, struct admit_run, lane[COSTS].fit);
}

static unsigned
kind_of(const struct admit_item *it)
{
	return it->shape->cost > 0 ? COSTS : FREE;
}

/* The first of the run, whether it fits or not. */
static struct admit_item *
lane_head(struct admit_lane *l)
{
	struct fit *best = NULL, *f;

	for (unsigned i = 0; i < ADMIT_CLASSES; i++) {
		f = fit_min(l->waiting[i]);
		if (f && (!best || fit_before(f, best)))
			best = f;
	}
	return item_of(best);
}

static void
lane_least(struct admit_lane *l)
{
	for (unsigned d = 0; d < FIT_DIMS; d++) {
		l->fit.own[d] = INFINITY;
		for (unsigned i = 0; i < ADMIT_CLASSES; i++)
			if (l->waiting[i])
				l->fit.own[d] = fmin(l->fit.own[d], l->waiting[i]->least[d]);
	}
}

/* Where its run stands now, behind others that stand there. It is in no tree. */
static void
lane_place(struct admit *a, struct admit_run *run, unsigned kind)
{
	struct admit_lane *l = &run->lane[kind];

	l->fit.key = kind == COSTS ? charged(a, run) : 0;
	l->fit.seq = ++a->seq;
	lane_least(l);
	fit_insert(&a->runs[kind], &l->fit);
}

static void
lane_replace(struct admit *a, struct admit_run *run, unsigned kind)
{
	if (run->lane[kind].nwaiting == 0)
		return;
	fit_remove(&a->runs[kind], &run->lane[kind].fit);
	lane_place(a, run, kind);
}

/* Takes a waiting item out; an empty lane goes. */
static void
lane_take(struct admit *a, struct admit_item *it)
{
	unsigned kind = kind_of(it);
	struct admit_lane *l = &it->run->lane[kind];

	fit_remove(&l->waiting[it->shape->class], &it->fit);
	a->nwaiting--;
	if (a->reserved == it)
		a->reserved = NULL;
	if (--l->nwaiting == 0) {
		fit_remove(&a->runs[kind], &l->fit);
		return;
	}
	lane_least(l);
	fit_changed(a->runs[kind], &l->fit);
}

/* A run that slept has no claim on the time it did not use. */
static void
lane_join(struct admit *a, struct admit_run *run, struct admit_item *it)
{
	unsigned kind = kind_of(it);
	struct admit_lane *l = &run->lane[kind];

	it->run = run;
	it->fit.seq = ++a->seq;
	it->fit.key = run->volume - RANK_WORTH * it->rank;
	it->fit.tie = -it->shape->cost;
	memcpy(it->fit.own, it->shape->share, sizeof it->fit.own);
	fit_insert(&l->waiting[it->shape->class], &it->fit);
	a->nwaiting++;
	if (l->nwaiting++ == 0) {
		if (kind == COSTS)
			run->used += fmax(0, a->vnow - charged(a, run));
		lane_place(a, run, kind);
		return;
	}
	lane_least(l);
	fit_changed(a->runs[kind], &l->fit);
}

static void
set_now(struct admit *a, int64_t now)
{
	a->now = (double)now / 1e9;
}

void
admit_push(struct admit *a, int64_t now, struct admit_run *run, struct admit_item *it, const struct resources *res,
    unsigned rank)
{
	assert(it->state == ADMIT_OUT && admit_could(a, res));
	set_now(a, now);
	it->shape = shape_get(a, res);
	it->shape->nitems++;
	it->rank = rank < RANK_MAX ? rank : RANK_MAX;
	lane_join(a, run, it);
	it->state = ADMIT_WAITING;
}

void
admit_move(struct admit *a, int64_t now, struct admit_run *run, struct admit_item *it)
{
	bool reserved = a->reserved == it;

	if (it->state == ADMIT_OUT || it->run == run)
		return;
	set_now(a, now);
	if (it->state == ADMIT_WAITING) {
		lane_take(a, it);
		lane_join(a, run, it);
		if (reserved)		/* the room that is kept for it stays kept */
			a->reserved = it;
		return;
	}
	(void)unhold(a, it);
	lane_replace(a, it->run, COSTS);
	hold(a, run, it);
	lane_replace(a, run, COSTS);
}

/* ---- choosing ---- */

struct search {
	const struct admit *a;
	const double	   *limit;
	struct fit	   *found;
};

static bool
item_ok(struct fit *f, void *arg)
{
	const struct search *s = arg;

	return s->a->ndims <= FIT_DIMS || fits(s->a, item_of(f)->shape, s->limit);
}

static bool
run_ok(struct fit *f, void *arg)
{
	struct search *s = arg;
	struct admit_run *run = run_of(f);
	struct fit *it;

	s->found = NULL;
	for (unsigned i = 0; i < ADMIT_CLASSES; i++) {
		it = fit_first(run->lane[COSTS].waiting[i], s->limit, item_ok, s);
		if (it && (!s->found || fit_before(it, s->found)))
			s->found = it;
	}
	return s->found != NULL;
}

/* The first item within the limit, of the run that is furthest behind of those that have one. */
static struct admit_item *
first_within(const struct admit *a, const double *limit)
{
	struct search s = { a, limit, NULL };

	return fit_first(a->runs[COSTS], limit, run_ok, &s) ? item_of(s.found) : NULL;
}

/* The run that is furthest behind; those that were thought to be are put in their place. */
static struct admit_run *
behind(struct admit *a)
{
	struct admit_run *run;
	struct fit *f;

	while ((f = fit_min(a->runs[COSTS])) != NULL) {
		run = run_of(f);
		if (charged(a, run) <= f->key + TINY)
			return run;
		lane_replace(a, run, COSTS);
	}
	return NULL;
}

/* May it go although head, which should go first, does not fit? */
static bool
may_pass(const struct admit *a, const struct admit_item *head, const struct admit_item *it)
{
	return head->run->passed < PASS_LIMIT - TINY &&
	    (it->run == head->run || charged(a, it->run) - charged(a, head->run) < LAG_LIMIT * usual(a, NULL));
}

/* Who goes next, were so much free? */
static struct admit_item *
choose(struct admit *a, double *limit)
{
	struct admit_run *run = behind(a);
	struct admit_item *head, *it;

	if (!run)
		return NULL;
	if (!a->reserved) {
		head = lane_head(&run->lane[COSTS]);
		it = first_within(a, limit);
		if (!it || it == head || may_pass(a, head, it)) {
			if (it && it != head)
				run->passed += it->shape->cost;
			return it;
		}
		a->reserved = head;
	}
	if (fits(a, a->reserved->shape, limit))
		return a->reserved;
	for (unsigned i = 0; i < a->ndims; i++)
		limit[i] -= a->reserved->shape->share[i];
	return first_within(a, limit);
}

static void
charge(struct admit *a, struct admit_item *it)
{
	it->state = ADMIT_RUNNING;
	if (kind_of(it) == FREE) {
		a->nfree++;
		return;
	}
	for (unsigned i = 0; i < a->ndims; i++)
		a->avail[i] -= it->shape->share[i];
	it->fit.key = it->fit.tie = 0;
	fit_insert(&a->running, &it->fit);
}

/* What went ahead enters the account, in order, as room comes: from now on it is charged. */
static void
charge_ahead(struct admit *a)
{
	struct admit_item *it;

	while ((it = TAILQ_FIRST(&a->ahead)) != NULL && fits(a, it->shape, a->avail)) {
		TAILQ_REMOVE(&a->ahead, it, link);
		a->nahead--;
		it->run->begun += it->shape->cost * (a->now - it->since);
		it->since = a->now;
		charge(a, it);
	}
}

static struct admit_item *
take(struct admit *a, struct admit_item *it)
{
	struct admit_run *run = it->run;

	if (kind_of(it) == COSTS) {
		a->vnow = fmax(a->vnow, charged(a, run));
		if (a->reserved == it || lane_head(&run->lane[COSTS]) == it)
			run->passed = 0;
	}
	lane_take(a, it);
	hold(a, run, it);
	run->volume += it->shape->cost;
	lane_replace(a, run, kind_of(it));
	a->nrunning++;
	return it;
}

static struct admit_item *
next_free(struct admit *a)
{
	struct fit *f = a->nfree < a->free_max ? fit_min(a->runs[FREE]) : NULL;

	return f ? lane_head(container_of(f, struct admit_lane, fit)) : NULL;
}

/* What is free, and beyond it what will be when any one of those that run ends. */
static double *
limit_of(struct admit *a, bool ahead)
{
	memcpy(a->scratch, a->avail, a->ndims * sizeof *a->avail);
	for (unsigned i = 0; ahead && a->running && i < FIT_DIMS; i++)
		a->scratch[i] += a->running->least[i];
	return a->scratch;
}

struct admit_item *
admit_next(struct admit *a, int64_t now)
{
	struct admit_item *it;

	set_now(a, now);
	charge_ahead(a);
	it = next_free(a);
	if (!it && a->nahead == 0)
		it = choose(a, limit_of(a, false));
	if (it) {
		charge(a, take(a, it));
		return it;
	}
	if (a->nahead < a->lookahead && (it = choose(a, limit_of(a, true))) != NULL) {
		take(a, it)->state = ADMIT_AHEAD;
		a->nahead++;
		TAILQ_INSERT_TAIL(&a->ahead, it, link);
	}
	return it;
}

static void
discharge(struct admit *a, struct admit_item *it)
{
	if (kind_of(it) == FREE) {
		a->nfree--;
		return;
	}
	fit_remove(&a->running, &it->fit);
	for (unsigned i = 0; i < a->ndims; i++)
		a->avail[i] += it->shape->share[i];
}

/* It has ended, or is not to be: its run has it no longer, and may now stand elsewhere. */
static void
let_go(struct admit *a, struct admit_item *it)
{
	struct admit_run *run = it->run;
	bool ran = it->state == ADMIT_RUNNING && kind_of(it) == COSTS;
	double took = unhold(a, it);

	a->nrunning--;
	if (ran) {
		remember(&run->spent, &run->ended, took, it->shape->cost);
		remember(&a->spent, &a->ended, took, it->shape->cost);
	}
	lane_replace(a, run, COSTS);
}

void
admit_remove(struct admit *a, int64_t now, struct admit_item *it)
{
	set_now(a, now);
	switch (it->state) {
	case ADMIT_OUT:
		return;
	case ADMIT_WAITING:
		lane_take(a, it);
		break;
	case ADMIT_AHEAD:
		TAILQ_REMOVE(&a->ahead, it, link);
		a->nahead--;
		it->run->begun += it->shape->cost * (a->now - it->since);
		it->since = a->now;
		let_go(a, it);
		break;
	case ADMIT_RUNNING:
		discharge(a, it);
		let_go(a, it);
		break;
	}
	it->state = ADMIT_OUT;
	shape_put(a, it->shape);
	it->shape = NULL;
	it->run = NULL;
	for (unsigned i = 0; a->nrunning == 0 && i < a->ndims; i++)
		a->avail[i] = 1;
}
