/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sched/list.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* List schedules: plain, and as slow as they are simple. Several flows at once are one with many ends. */

struct node {
	const struct ftask *t;
	unsigned  pending, *outs, nouts;
	double	  path, end;	/* to the last end, with itself; < 0: not started */
	double	  prio;
};
struct list {
	struct node *v;
	unsigned     n;
	unsigned    *ready, nready;
	unsigned    *running, nrunning;
	double	     avail[NAMOUNTS], now;
};

double
flow_share(const struct ftask *t, const double *host)
{
	double most = 0;

	for (unsigned d = 0; d < NAMOUNTS; d++)
		if (host[d] > 0)
			most = fmax(most, t->amount[d] / host[d]);
	return most;
}

static void
list_link(struct list *l, unsigned from, unsigned to)
{
	struct node *f = &l->v[from];

	f->outs = xreallocarray(f->outs, f->nouts + 1, sizeof *f->outs);
	f->outs[f->nouts++] = to;
	l->v[to].pending++;
}

static void
list_init(struct list *l, const struct flow_case *const *flows, unsigned n)
{
	unsigned at = 0;

	memset(l, 0, sizeof *l);
	for (unsigned i = 0; i < n; i++)
		l->n += flows[i]->n;
	l->v = xcalloc(l->n, sizeof *l->v);
	l->ready = xcalloc(l->n, sizeof *l->ready);
	l->running = xcalloc(l->n, sizeof *l->running);
	for (unsigned i = 0; i < n; at += flows[i++]->n) {
		for (unsigned k = 0; k < flows[i]->n; k++) {
			const struct ftask *t = &flows[i]->tasks[k];

			l->v[at + k] = (struct node){ .t = t, .end = -1 };
			for (unsigned d = 0; d < t->ndeps; d++)
				list_link(l, at + t->deps[d], at + k);
		}
	}
	for (unsigned i = l->n; i-- > 0;) {
		struct node *v = &l->v[i];

		for (unsigned k = 0; k < v->nouts; k++)
			v->path = fmax(v->path, l->v[v->outs[k]].path);
		v->path += (double)v->t->ns;
	}
}

static void
list_release(struct list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->v[i].outs);
	free(l->v);
	free(l->ready);
	free(l->running);
}

double
list_lower_bound(const struct flow_case *const *flows, unsigned n, const double *host)
{
	double work[NAMOUNTS] = { 0 }, most = 0;
	struct list l;

	list_init(&l, flows, n);
	for (unsigned i = 0; i < l.n; i++) {
		most = fmax(most, l.v[i].path);
		for (unsigned d = 0; d < NAMOUNTS; d++)
			work[d] += (double)l.v[i].t->ns * l.v[i].t->amount[d];
	}
	for (unsigned d = 0; d < NAMOUNTS; d++)
		if (host[d] > 0)
			most = fmax(most, work[d] / host[d]);
	list_release(&l);
	return most;
}

static bool
fits(const struct list *l, const struct node *v)
{
	for (unsigned d = 0; d < NAMOUNTS; d++)
		if (v->t->amount[d] > l->avail[d] + 1e-6)
			return false;
	return true;
}

static void
account(struct list *l, const struct node *v, double sign)
{
	for (unsigned d = 0; d < NAMOUNTS; d++)
		l->avail[d] += sign * v->t->amount[d];
}

static void
start_what_fits(struct list *l)
{
	for (;;) {
		unsigned best = l->nready;

		for (unsigned r = 0; r < l->nready; r++)
			if (fits(l, &l->v[l->ready[r]]) && (best == l->nready || l->v[l->ready[r]].prio > l->v[l->ready[best]].prio))
				best = r;
		if (best == l->nready)
			return;
		l->running[l->nrunning++] = l->ready[best];
		account(l, &l->v[l->ready[best]], -1);
		l->v[l->ready[best]].end = l->now + (double)l->v[l->ready[best]].t->ns;
		memmove(&l->ready[best], &l->ready[best + 1], (l->nready - best - 1) * sizeof *l->ready);
		l->nready--;
	}
}

static void
end_the_next(struct list *l)
{
	l->now = INFINITY;
	for (unsigned r = 0; r < l->nrunning; r++)
		l->now = fmin(l->now, l->v[l->running[r]].end);
	for (unsigned r = 0; r < l->nrunning;) {
		struct node *v = &l->v[l->running[r]];

		if (v->end > l->now) {
			r++;
			continue;
		}
		l->running[r] = l->running[--l->nrunning];
		account(l, v, 1);
		for (unsigned k = 0; k < v->nouts; k++)
			if (--l->v[v->outs[k]].pending == 0)
				l->ready[l->nready++] = v->outs[k];
	}
}

static double
priority(const struct node *v, enum list_order order, const double *host)
{
	switch (order) {
	case LIST_CRITICAL:
		return v->path;
	case LIST_CRITICAL_LARGE:
		return v->path * (0.5 + flow_share(v->t, host));
	case LIST_LONGEST:
		return (double)v->t->ns;
	case LIST_FIFO:
	case NLISTS:
		break;
	}
	return 0;	/* of equals the first that is ready */
}

double
list_makespan(const struct flow_case *const *flows, unsigned n, const double *host, enum list_order order)
{
	struct list l;

	list_init(&l, flows, n);
	memcpy(l.avail, host, sizeof l.avail);
	for (unsigned i = 0; i < l.n; i++) {
		l.v[i].prio = priority(&l.v[i], order, host);
		if (l.v[i].pending == 0)
			l.ready[l.nready++] = i;
	}
	for (start_what_fits(&l); l.nrunning > 0; start_what_fits(&l))
		end_the_next(&l);
	list_release(&l);
	return l.now;
}

unsigned *
flow_ranks(const struct flow_case *c)
{
	unsigned *rank = xcalloc(c->n + 1, sizeof *rank), *queue = xcalloc(c->n + 1, sizeof *queue), head = 0, tail = 0;
	bool *wanted = xcalloc(c->n + 1, sizeof *wanted), *seen = xcalloc(c->n + 1, sizeof *seen);

	for (unsigned i = 0; i < c->n; i++)
		for (unsigned k = 0; k < c->tasks[i].ndeps; k++)
			wanted[c->tasks[i].deps[k]] = true;
	for (unsigned i = 0; i < c->n; i++)
		if (!wanted[i])
			queue[tail++] = i;
	while (head < tail) {
		const struct ftask *t = &c->tasks[queue[head]];
		unsigned next = rank[queue[head++]] + 1;

		for (unsigned k = 0; k < t->ndeps; k++) {
			if (rank[t->deps[k]] < next)
				rank[t->deps[k]] = next;
			if (!seen[t->deps[k]])
				queue[tail++] = t->deps[k];
			seen[t->deps[k]] = true;
		}
	}
	free(queue);
	free(wanted);
	free(seen);
	return rank;
}
