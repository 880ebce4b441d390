/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/admit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"

/*
 * Admission to one alloc. The only loops are over the shapes that have somebody waiting or running,
 * which are few; items and runs are never scanned.
 */

#define SLACK 1e-6		/* fractions of a core are added and taken for days */
#define PASS_LIMIT 2.0		/* shares of the alloc that may pass by an older item */

struct admit_shape {
	char		*name;		/* owned: key of the table */
	struct resources res;		/* without disk */
	double		 cost;		/* the largest share of the alloc among its labels; 0: needs nothing */
	unsigned	 running;	/* charged */
	unsigned	 nitems;	/* in any state */
	double		 passed;	/* cost of younger items admitted while ours did not fit */
	struct admit_lane **heap;	/* the runs waiting here, the one furthest behind on top */
	size_t		 nheap, cap;
	TAILQ_ENTRY(admit_shape) link;
	UT_hash_handle	 hh;
};
struct lane_key {
	struct admit_shape *shape;
	struct admit_run   *run;
};
struct admit_lane {
	struct lane_key	key;
	TAILQ_HEAD(, admit_item) items;
	size_t		at;	/* in the heap */
	double		vtime;	/* of the run when it was placed: it may have moved on since, never back */
	uint64_t	seq;	/* and breaks ties: who was placed first */
	UT_hash_handle	hh;
};
struct admit {
	struct resources total, avail;
	unsigned	 lookahead, free_max;
	unsigned	 nfree, nahead;
	size_t		 nwaiting, nrunning;
	uint64_t	 seq;
	double		 vnow;		/* virtual time of the run served last */
	struct admit_item *reserved;	/* waiting: room is being kept for it */
	TAILQ_HEAD(, admit_item) ahead;
	TAILQ_HEAD(, admit_shape) shapes;	/* with somebody waiting or running */
	struct admit_shape *by_name;
	struct admit_lane  *by_run;
};

struct admit *
admit_new(const struct resources *total, unsigned lookahead, unsigned free_max)
{
	struct admit *a = xcalloc(1, sizeof *a);

	resources_copy(&a->total, total);
	resources_copy(&a->avail, total);
	a->lookahead = lookahead;
	a->free_max = free_max;
	TAILQ_INIT(&a->ahead);
	TAILQ_INIT(&a->shapes);
	return a;
}

void
admit_free(struct admit *a)
{
	if (!a)
		return;
	assert(a->by_name == NULL && a->by_run == NULL && a->nwaiting == 0 && a->nrunning == 0);
	resources_release(&a->total);
	resources_release(&a->avail);
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
	run->vtime = 0;
	run->waiting = 0;
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

/* Does have cover want, but for what is held back of it? */
static bool
fits(const struct resources *have, const struct resources *held, const struct resources *want)
{
	if (want->mem > have->mem - (held ? held->mem : 0) + SLACK ||
	    want->cpu > have->cpu - (held ? held->cpu : 0) + SLACK)
		return false;
	for (unsigned i = 0; i < want->nfeatures; i++) {
		const struct res_feature *f = &want->features[i];
		double left = resources_get(have, f->label) - (held ? resources_get(held, f->label) : 0);

		if (f->amount > left + SLACK)
			return false;
	}
	return true;
}

static double
share(double want, double total)
{
	return total > 0 ? want / total : 0;
}

static double
cost_of(const struct admit *a, const struct resources *res)
{
	double cost = share(res->mem, a->total.mem), c = share(res->cpu, a->total.cpu);

	if (c > cost)
		cost = c;
	for (unsigned i = 0; i < res->nfeatures; i++) {
		c = share(res->features[i].amount, resources_get(&a->total, res->features[i].label));
		if (c > cost)
			cost = c;
	}
	return cost;
}

static char *
shape_name(const struct resources *res)
{
	struct buf b = BUF_INIT;

	if (res) {
		buf_addf(&b, "%a %a", res->mem, res->cpu);
		for (unsigned i = 0; i < res->nfeatures; i++)
			buf_addf(&b, " %s=%a", res->features[i].label, res->features[i].amount);
	} else {
		buf_addstr(&b, "0");
	}
	return buf_take(&b, NULL);
}

static struct admit_shape *
shape_get(struct admit *a, const struct resources *res)
{
	struct admit_shape *s;
	char *name = shape_name(res);

	HASH_FIND_STR(a->by_name, name, s);
	if (s) {
		free(name);
		return s;
	}
	s = xcalloc(1, sizeof *s);
	s->name = name;
	if (res)
		resources_copy(&s->res, res);
	s->res.disk = 0;
	s->res.present &= ~RES_DISK;
	s->cost = cost_of(a, &s->res);
	HASH_ADD_KEYPTR(hh, a->by_name, s->name, strlen(s->name), s);
	TAILQ_INSERT_TAIL(&a->shapes, s, link);
	return s;
}

static void
shape_put(struct admit *a, struct admit_shape *s)
{
	if (--s->nitems > 0)
		return;
	assert(s->nheap == 0 && s->running == 0);
	HASH_DEL(a->by_name, s);
	TAILQ_REMOVE(&a->shapes, s, link);
	resources_release(&s->res);
	free(s->heap);
	free(s->name);
	free(s);
}

static bool
lane_before(const struct admit_lane *a, const struct admit_lane *b)
{
	return a->vtime < b->vtime || (a->vtime <= b->vtime && a->seq < b->seq);
}

static void
heap_set(struct admit_shape *s, size_t i, struct admit_lane *l)
{
	s->heap[i] = l;
	l->at = i;
}

static void
heap_up(struct admit_shape *s, struct admit_lane *l)
{
	size_t i = l->at;

	for (; i > 0 && lane_before(l, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap_set(s, i, s->heap[(i - 1) / 2]);
	heap_set(s, i, l);
}

static void
heap_down(struct admit_shape *s, struct admit_lane *l)
{
	size_t i = l->at, child;

	for (; (child = 2 * i + 1) < s->nheap; i = child) {
		if (child + 1 < s->nheap && lane_before(s->heap[child + 1], s->heap[child]))
			child++;
		if (!lane_before(s->heap[child], l))
			break;
		heap_set(s, i, s->heap[child]);
	}
	heap_set(s, i, l);
}

static void
heap_add(struct admit_shape *s, struct admit_lane *l)
{
	if (s->nheap == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 4;
		s->heap = xreallocarray(s->heap, s->cap, sizeof(struct admit_lane *));
	}
	heap_set(s, s->nheap++, l);
	heap_up(s, l);
}

static void
heap_del(struct admit_shape *s, struct admit_lane *l)
{
	struct admit_lane *last = s->heap[--s->nheap];

	if (last == l)
		return;
	heap_set(s, l->at, last);
	heap_up(s, last);
	heap_down(s, last);
}

/* Where its run now stands in time. */
static void
lane_place(struct admit *a, struct admit_lane *l)
{
	l->vtime = l->key.run->vtime;
	l->seq = ++a->seq;
	heap_down(l->key.shape, l);
}

static struct admit_lane *
lane_get(struct admit *a, struct admit_shape *s, struct admit_run *run)
{
	struct lane_key key = { s, run };
	struct admit_lane *l;

	HASH_FIND(hh, a->by_run, &key, sizeof key, l);
	if (l)
		return l;
	l = xcalloc(1, sizeof *l);
	l->key = key;
	l->vtime = run->vtime;
	l->seq = ++a->seq;
	TAILQ_INIT(&l->items);
	HASH_ADD(hh, a->by_run, key, sizeof l->key, l);
	heap_add(s, l);
	return l;
}

/* Takes a waiting item out of its lane; an empty lane goes. */
static void
lane_take(struct admit *a, struct admit_item *it)
{
	struct admit_lane *l = it->lane;
	struct admit_shape *s = it->shape;

	TAILQ_REMOVE(&l->items, it, link);
	l->key.run->waiting--;
	a->nwaiting--;
	it->lane = NULL;
	if (a->reserved == it) {
		a->reserved = NULL;
		s->passed = 0;
	}
	if (!TAILQ_EMPTY(&l->items))
		return;
	heap_del(s, l);
	HASH_DEL(a->by_run, l);
	free(l);
}

/* A run that slept has no claim on the time it did not use. */
static void
lane_join(struct admit *a, struct admit_run *run, struct admit_item *it)
{
	if (run->waiting == 0 && run->vtime < a->vnow)
		run->vtime = a->vnow;
	it->lane = lane_get(a, it->shape, run);
	TAILQ_INSERT_TAIL(&it->lane->items, it, link);
	run->waiting++;
	a->nwaiting++;
}

void
admit_push(struct admit *a, struct admit_run *run, struct admit_item *it, const struct resources *res)
{
	assert(it->state == ADMIT_OUT && admit_could(a, res));
	it->shape = shape_get(a, res);
	it->shape->nitems++;
	lane_join(a, run, it);
	it->seq = ++a->seq;
	it->state = ADMIT_WAITING;
}

void
admit_move(struct admit *a, struct admit_run *run, struct admit_item *it)
{
	bool reserved = a->reserved == it;
	double passed;

	if (it->state != ADMIT_WAITING || it->lane->key.run == run)
		return;
	passed = it->shape->passed;
	lane_take(a, it);
	lane_join(a, run, it);
	if (reserved) {		/* the room that is kept for it stays kept */
		a->reserved = it;
		it->shape->passed = passed;
	}
}

/* The next item of the shape. A run that was served elsewhere meanwhile is put in its place first. */
static struct admit_item *
shape_head(struct admit *a, const struct admit_shape *s)
{
	struct admit_lane *l;

	while (s->nheap > 0) {
		l = s->heap[0];
		if (l->vtime >= l->key.run->vtime)
			return TAILQ_FIRST(&l->items);
		lane_place(a, l);
	}
	return NULL;
}

static void
charge(struct admit *a, struct admit_item *it)
{
	it->state = ADMIT_RUNNING;
	it->shape->running++;
	if (it->shape->cost > 0)
		resources_sub(&a->avail, &it->shape->res);
	else
		a->nfree++;
}

/* What went ahead enters the account, in order, as room comes. */
static void
charge_ahead(struct admit *a)
{
	struct admit_item *it;

	while ((it = TAILQ_FIRST(&a->ahead)) != NULL && fits(&a->avail, NULL, &it->shape->res)) {
		TAILQ_REMOVE(&a->ahead, it, link);
		a->nahead--;
		charge(a, it);
	}
}

static bool
may_run(const struct admit *a, const struct admit_shape *s)
{
	if (s->cost <= 0)
		return a->nfree < a->free_max;
	if (a->nahead > 0)
		return false;
	if (a->reserved && a->reserved->shape != s)
		return fits(&a->avail, &a->reserved->shape->res, &s->res);
	return fits(&a->avail, NULL, &s->res);
}

/* Would it fit whichever running item ends first? */
static bool
may_go_ahead(const struct admit *a, const struct admit_shape *s)
{
	struct resources after = RESOURCES_INIT;
	const struct admit_shape *r;
	bool ok = a->nahead < a->lookahead && s->cost > 0 && (!a->reserved || a->reserved->shape == s);

	if (!ok)
		return false;
	TAILQ_FOREACH(r, &a->shapes, link) {
		if (r->running == 0 || r->cost <= 0)
			continue;
		resources_copy(&after, &a->avail);
		resources_add(&after, &r->res);
		ok = ok && fits(&after, NULL, &s->res);
	}
	resources_release(&after);
	return ok;
}

/* Of the shapes that may: the one whose next run is furthest behind; the older item breaks a tie. */
static struct admit_shape *
choose(struct admit *a, bool (*may)(const struct admit *, const struct admit_shape *))
{
	struct admit_shape *s, *best = NULL;
	struct admit_item *it, *b = NULL;

	TAILQ_FOREACH(s, &a->shapes, link) {
		it = shape_head(a, s);
		if (!it || !may(a, s))
			continue;
		if (!b || it->lane->key.run->vtime < b->lane->key.run->vtime ||
		    (it->lane->key.run->vtime <= b->lane->key.run->vtime && it->seq < b->seq)) {
			best = s;
			b = it;
		}
	}
	return best;
}

/* An item of this cost was let by: those older ones that do not fit have waited for it, too. */
static void
note_passing(struct admit *a, const struct admit_item *by)
{
	struct admit_shape *s;
	struct admit_item *it;

	if (by->shape->cost <= 0)
		return;
	TAILQ_FOREACH(s, &a->shapes, link) {
		it = shape_head(a, s);
		if (!it || it->seq > by->seq || s == by->shape || fits(&a->avail, NULL, &s->res))
			continue;
		s->passed += by->shape->cost;
		if (s->passed >= PASS_LIMIT && !a->reserved)
			a->reserved = it;
	}
}

static struct admit_item *
take(struct admit *a, struct admit_shape *s)
{
	struct admit_item *it = a->reserved && a->reserved->shape == s ? a->reserved : shape_head(a, s);
	struct admit_lane *l = it->lane;
	struct admit_run *run = l->key.run;
	bool more = TAILQ_NEXT(it, link) != NULL || TAILQ_FIRST(&l->items) != it;

	a->vnow = run->vtime;
	run->vtime += s->cost;
	lane_take(a, it);
	if (more)		/* also at no cost: runs take turns */
		lane_place(a, l);
	a->nrunning++;
	return it;
}

struct admit_item *
admit_next(struct admit *a)
{
	struct admit_shape *s;
	struct admit_item *it;

	charge_ahead(a);
	s = choose(a, may_run);
	if (s) {
		it = take(a, s);
		charge(a, it);
		note_passing(a, it);
		return it;
	}
	s = a->nahead < a->lookahead ? choose(a, may_go_ahead) : NULL;
	if (!s)
		return NULL;
	it = take(a, s);
	it->state = ADMIT_AHEAD;
	a->nahead++;
	TAILQ_INSERT_TAIL(&a->ahead, it, link);
	return it;
}

static void
discharge(struct admit *a, struct admit_item *it)
{
	it->shape->running--;
	if (it->shape->cost > 0)
		resources_add(&a->avail, &it->shape->res);
	else
		a->nfree--;
}

void
admit_remove(struct admit *a, struct admit_item *it)
{
	switch (it->state) {
	case ADMIT_OUT:
		return;
	case ADMIT_WAITING:
		lane_take(a, it);
		break;
	case ADMIT_AHEAD:
		TAILQ_REMOVE(&a->ahead, it, link);
		a->nahead--;
		a->nrunning--;
		break;
	case ADMIT_RUNNING:
		discharge(a, it);
		a->nrunning--;
		break;
	}
	it->state = ADMIT_OUT;
	shape_put(a, it->shape);
	it->shape = NULL;
	if (a->nrunning == 0)		/* rounding does not add up */
		resources_copy(&a->avail, &a->total);
}
