/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/alloc_req.h"

#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * Allocate, as an operation. An offer is only a snapshot: losing a race for it is the ordinary case,
 * and then the offers are fetched anew, since what they said is known to be wrong; and another pool is
 * asked first, lest one that offers and never grants stands in the way of all others.
 */

#define ROUNDS 6

struct alloc_req {
	struct op op;
	enum {
		AR_LIST,	/* ask the pool for its offers */
		AR_LISTING,	/* waits for alloc_req_offers_cb */
		AR_PICK,	/* choose an offer and ask for it */
		AR_ACCEPTING,	/* waits for alloc_req_accept_cb */
		AR_DONE,	/* alloc or err is set: tell the owner */
	} state;
	int		    rounds;	/* so many were lost, each to one of these pools */
	const struct pool  *refused[ROUNDS];
	const struct pool  *asked;	/* whose offer it was last */
	struct pool	   *pool;	/* kept */
	struct requirements req;
	struct labels	    labels;
	bool		    whole;
	struct op	   *child;	/* owned: the one call in flight, or NULL */
	struct offers	    offers;	/* owned */
	struct alloc	   *alloc;	/* result, ours until cb takes it */
	struct err	   *err;	/* result, ours until cb takes it */
	pool_alloc_cb	   *cb;
	void		   *arg;
};

static bool
has_refused(const struct alloc_req *r, const struct pool *p)
{
	for (int i = 0; i < r->rounds; i++)
		if (r->refused[i] == p)
			return true;
	return false;
}

/* r: not of pools that have refused it; NULL: of all. */
static const struct offer *
pick_from(const struct offers *o, const struct resources *min, const struct resources *max, const struct alloc_req *r)
{
	const struct offer *best = NULL;
	double least = INFINITY;

	for (size_t i = 0; i < o->n; i++) {
		double d;

		if (!resources_available(&o->v[i].available, min) || (r && has_refused(r, o->v[i].pool)))
			continue;
		d = resources_scaled_distance(&o->v[i].available, max);
		if (d < least) {
			least = d;
			best = &o->v[i];
		}
	}
	return best;
}

const struct offer *
offers_pick(const struct offers *o, const struct resources *min, const struct resources *max)
{
	return pick_from(o, min, max, NULL);
}

/* The files of this host only: asking a directory service could hold up the loop. */
char *
alloc_owner(void)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *pw = NULL;
	char *owner = NULL;

	while (f && (pw = fgetpwent(f)))
		if (pw->pw_uid == geteuid())
			break;
	if (pw) {
		size_t n = strcspn(pw->pw_gecos, ",");

		owner = n ? xasprintf("%.*s <%s>", (int)n, pw->pw_gecos, pw->pw_name) : xasprintf("<%s>", pw->pw_name);
	}
	if (f)
		fclose(f);
	return owner ? owner : xstrdup("<unknown>");
}

static void
finish_with(struct alloc_req *r, struct err *err)
{
	r->err = err;
	r->state = AR_DONE;
}

static struct err *
unavailable(const char *why)
{
	struct err *err = err_new(ERR_UNAVAILABLE, "allocate", NULL);

	err->msg = xstrdup(why);
	return err;
}

static void
alloc_req_offers_cb(struct offers *offers, struct err *err, void *arg)
{
	struct alloc_req *r = arg;

	r->child = NULL;
	if (err) {
		finish_with(r, err_wrap(err, "allocate", NULL));
	} else {
		r->offers = *offers;
		r->state = AR_PICK;
	}
	op_wake(&r->op);
}

static void
alloc_req_accept_cb(struct alloc *alloc, struct err *err, void *arg)
{
	struct alloc_req *r = arg;

	r->child = NULL;
	if (err_is(err, ERR_NOT_EXIST)) {	/* somebody was faster */
		err_free(err);
		r->refused[r->rounds] = r->asked;
		if (++r->rounds < ROUNDS)
			r->state = AR_LIST;
		else
			finish_with(r, unavailable("too many tries"));
	} else {
		r->alloc = alloc;
		finish_with(r, err_wrap(err, "accept", NULL));
	}
	op_wake(&r->op);
}

/* What to ask of an offer: up to max, and the rest of it too if nobody could use that alone. */
static void
want_of(const struct alloc_req *r, const struct offer *o, const struct resources *max, struct resources *want)
{
	struct resources rest = RESOURCES_INIT;

	resources_copy(want, max);
	resources_min(want, &o->available);
	resources_copy(&rest, &o->available);
	resources_sub(&rest, want);
	if (r->whole || requirements_wide(&r->req) || rest.cpu <= 0 || rest.mem <= 0 || rest.disk <= 0)
		resources_copy(want, &o->available);
	resources_release(&rest);
}

static void
pick(struct alloc_req *r)
{
	struct resources max = RESOURCES_INIT;
	struct alloc_meta meta = { .owner = NULL };
	const struct offer *o;

	requirements_max(&r->req, &max);
	o = pick_from(&r->offers, &r->req.min, &max, r);
	if (!o)
		o = offers_pick(&r->offers, &r->req.min, &max);
	if (!o) {
		finish_with(r, unavailable("no allocs available in pool"));
	} else {
		want_of(r, o, &max, &meta.want);
		meta.owner = alloc_owner();
		labels_copy(&meta.labels, &r->labels);
		r->state = AR_ACCEPTING;
		r->asked = o->pool;
		r->child = pool_accept(o->pool, o->id, &meta, alloc_req_accept_cb, r);
	}
	alloc_meta_release(&meta);
	resources_release(&max);
}

static void
alloc_req_finish(struct alloc_req *r)
{
	pool_alloc_cb *cb = r->cb;
	void *arg = r->arg;
	struct alloc *alloc = r->alloc;
	struct err *err = r->err;

	r->alloc = NULL;
	r->err = NULL;
	op_release(&r->op);
	cb(alloc, err, arg);
}

static void
alloc_req_advance(struct op *op)
{
	struct alloc_req *r = op_owner(op, struct alloc_req, op);

	for (;;) {
		switch (r->state) {
		case AR_LIST:
			offers_release(&r->offers);
			r->state = AR_LISTING;
			r->child = pool_offers(r->pool, alloc_req_offers_cb, r);
			return;
		case AR_PICK:
			pick(r);
			continue;
		case AR_DONE:
			alloc_req_finish(r);
			return;
		case AR_LISTING:
		case AR_ACCEPTING:
			return;		/* the child is still out */
		}
	}
}

static void
alloc_req_release(struct op *op)
{
	struct alloc_req *r = op_owner(op, struct alloc_req, op);

	op_cancel(&r->child);
	offers_release(&r->offers);
	requirements_release(&r->req);
	labels_release(&r->labels);
	alloc_drop(r->alloc);
	err_free(r->err);
	free(r);
}

static const struct op_type alloc_req_type = { "alloc-req", alloc_req_advance, alloc_req_release };

struct op *
alloc_req_start(struct pool *pool, const struct requirements *req, const struct labels *labels, bool whole,
    pool_alloc_cb *cb, void *arg)
{
	struct alloc_req *r = xcalloc(1, sizeof *r);

	r->pool = pool;
	requirements_copy(&r->req, req);
	if (labels)
		labels_copy(&r->labels, labels);
	r->whole = whole;
	r->cb = cb;
	r->arg = arg;
	op_init(&r->op, pool->loop, &alloc_req_type);
	op_wake(&r->op);
	return &r->op;
}
