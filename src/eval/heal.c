/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/heal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "eval/makers.h"

/*
 * Nobody remembers who made an object until one is missing: then the graph is walked once, in parts, and from there on
 * the table of makers is kept up with every value. Equal bytes may have several makers; any will do.
 *
 * What a reader would get wrong: a producer that gives other bytes than before (it is not deterministic) changes what
 * nodes above it were told. Then all that was worked out from values is worked out again (core_restart). An exec that
 * has run keeps its result; one that has not sees the new bytes.
 */

#define HEALS_MAX 3		/* times that one node is made anew before its loss is an error */
#define WALK_PART 2000		/* places of the graph's table, in one turn */
#define LOSSES_PART 50		/* losses, likewise */

struct healed {			/* a node that was made anew */
	struct flow   *node;
	unsigned       times;
	uint64_t       done;	/* the moment; 0: under way */
	UT_hash_handle hh;
};
struct loss {			/* somebody waits for missing objects */
	struct flow    *node;	/* NULL: the result */
	struct fileset *missing;	/* owned */
	uint64_t	since;	/* an object made after this moment is there */
	TAILQ_ENTRY(loss) link;
};
struct heal {
	TAILQ_HEAD(, loss) losses;
	struct makers	*makers;	/* NULL until something is missing */
	struct healed	*healed;
	struct graph_walk walk;
	bool		 walked;
	bool		 changed;	/* a restart is due */
	uint64_t	 now;		/* counts what was made anew, and restarts */
	uint64_t	 restarted;	/* when the last one was */
};

void
heal_init(struct eval *e)
{
	e->heal = xcalloc(1, sizeof *e->heal);
	TAILQ_INIT(&e->heal->losses);
}

static void
loss_free(struct heal *h, struct loss *l)
{
	TAILQ_REMOVE(&h->losses, l, link);
	fileset_unref(l->missing);
	free(l);
}

void
heal_release(struct eval *e)
{
	struct heal *h = e->heal;
	struct healed *d, *tmp;

	while (!TAILQ_EMPTY(&h->losses))
		loss_free(h, TAILQ_FIRST(&h->losses));
	makers_free(h->makers);
	HASH_ITER(hh, h->healed, d, tmp) {
		HASH_DEL(h->healed, d);
		free(d);
	}
	free(h);
	e->heal = NULL;
}

uint64_t
heal_now(const struct eval *e)
{
	return e->heal->now;
}

/* The parts of the walk. */
static void
enter_node(struct flow *f, void *arg)
{
	makers_enter(arg, f);
}

static struct healed *
healed_of(struct heal *h, struct flow *f)
{
	struct healed *d;

	HASH_FIND_PTR(h->healed, &f, d);
	if (!d) {
		d = xcalloc(1, sizeof *d);
		d->node = f;
		HASH_ADD_PTR(h->healed, node, d);
	}
	return d;
}

/* Losses. */

static struct loss *
loss_new(struct eval *e, struct flow *f, struct fileset *missing, uint64_t since)
{
	struct loss *l = xcalloc(1, sizeof *l);

	l->node = f;
	l->missing = missing;
	l->since = since;
	TAILQ_INSERT_TAIL(&e->heal->losses, l, link);
	op_wake(&e->op);
	return l;
}

void
heal_work(struct eval *e, struct work *w)
{
	loss_new(e, w->node, fileset_ref(w->result.missing), w->healed);
}

void
heal_result(struct eval *e, struct fileset *missing)
{
	/* The files were looked at when everything was done. */
	loss_new(e, NULL, missing, e->heal->now);
}

bool
heal_pending(const struct eval *e)
{
	return e->heal->changed || !TAILQ_EMPTY(&e->heal->losses);
}

static struct err *
nobody_makes(const struct digest *id)
{
	char text[DIGEST_STR + 1];

	digest_str(id, text);
	return err_msg(ERR_NOT_EXIST, "object %s is gone, and nothing in this run makes it", text);
}

static struct err *
vanishes(const struct digest *id, const struct flow *f)
{
	char text[DIGEST_STR + 1];

	digest_str(id, text);
	return err_msg(ERR_INTEGRITY, "object %s, made by %s, is gone again after it was made anew %d times", text,
	    f->place->ident ? f->place->ident : flow_op_name(f->op), HEALS_MAX);
}

/* It is made anew, and what was remembered of it does not count any more. */
static void
make_anew(struct eval *e, struct flow *f, const struct digest *object)
{
	struct eval_event ev = { .kind = EV_LOST, .node = f, .object = object };
	struct digest keys[2];

	e->stats.healed++;
	if (f->op == FLOW_EXEC)
		e->args.host.note(&ev, e->args.host.arg);
	if (f->op != FLOW_DATA && eval_writes(e))
		eval_put(e, keys, eval_keys(f, keys), NULL);
	core_again(&e->core, f);
}

/* The node to be waited for, or NULL: the object has been made since, or an error, or *bad, whose failure it is. */
static struct flow *
heal_object(struct eval *e, const struct loss *l, const struct digest *id, const struct flow **bad, struct err **err)
{
	struct flow *f = makers_find(e->heal->makers, id, l->node);
	struct healed *d;

	if (!f) {
		*err = nobody_makes(id);
		return NULL;
	}
	if (f->err) {
		*bad = f;
		return NULL;
	}
	if (f->state != FLOW_DONE)	/* at it already */
		return f;
	d = healed_of(e->heal, f);
	if (d->done > l->since)
		return NULL;
	if (d->times == HEALS_MAX) {
		*err = vanishes(id, f);
		return NULL;
	}
	d->times++;
	make_anew(e, f, id);
	return f;
}

/* Who needed them failed: by its own account, or because a maker did when it was to do so once more. */
static void
loss_failed(struct eval *e, const struct loss *l, const struct flow *bad, struct err *err)
{
	if (!l->node)
		eval_failed(e, bad ? err_copy(bad->err) : err);
	else if (bad)
		core_inherit(&e->core, l->node, bad);
	else
		core_failed(&e->core, l->node, err);
}

static void
heal_loss(struct eval *e, const struct loss *l)
{
	struct flow **on = xcalloc(fileset_nmap(l->missing) + 1, sizeof(struct flow *)), *f;
	const struct flow *bad = NULL;
	struct err *err = NULL;
	size_t n = 0;

	if (l->node)
		makers_near(e->heal->makers, l->node->deps, l->node->ndeps);
	else
		makers_near(e->heal->makers, &e->root, 1);
	for (size_t i = 0; i < fileset_nmap(l->missing) && !bad && !err; i++) {
		f = heal_object(e, l, &fileset_at(l->missing, i)->file.id, &bad, &err);
		if (f && (n == 0 || on[n - 1] != f))
			on[n++] = f;
	}
	makers_near_end(e->heal->makers);
	if (bad || err)
		loss_failed(e, l, bad, err);
	else if (l->node)
		core_back(&e->core, l->node, on, n);
	free(on);
}

/* What is missing may be no concern of its any more: its operands may be others now. */
static void
loss_settle(struct eval *e, const struct loss *l)
{
	if (l->node && !(l->node->flags & CORE_WANTED))
		l->node->state = FLOW_INIT;
	else if (l->node && l->since < e->heal->restarted)
		core_back(&e->core, l->node, NULL, 0);
	else
		heal_loss(e, l);
}

/* Work that has not begun stands for operands that may have changed. */
static void
take_back(struct eval *e)
{
	struct work *w, *next;

	eval_twins_empty(e);
	for (w = TAILQ_FIRST(&e->works); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (!w->node || w->node->op != FLOW_EXEC || w->started || w->node->state == FLOW_LOOKUP ||
		    w->node->state == FLOW_COMMIT)
			continue;
		task_cancel(&w->task);
		w->node->state = FLOW_INIT;
		work_free(w);
	}
	eval_windows_empty(e);
}

static void
heal_restart(struct eval *e)
{
	e->heal->changed = false;
	e->heal->restarted = ++e->heal->now;
	take_back(e);
	e->root = e->args.root;
	core_restart(&e->core);
}

void
heal_step(struct eval *e)
{
	struct heal *h = e->heal;
	struct loss *l;

	assert(core_idle(&e->core));
	if (h->changed) {
		heal_restart(e);
		return;
	}
	if (!h->makers)
		h->makers = makers_new();
	if (!h->walked) {
		h->walked = !graph_walk(e->core.graph, &h->walk, WALK_PART, enter_node, h->makers);
		return;
	}
	for (unsigned i = 0; i < LOSSES_PART && (l = TAILQ_FIRST(&h->losses)) != NULL && e->state == EVAL_RUN; i++) {
		loss_settle(e, l);
		loss_free(h, l);
	}
}

/* It was made anew: is it the same? */
static struct value *
made_again(struct eval *e, struct flow *f, struct value *v)
{
	struct digest was, is;

	f->flags &= (uint16_t)~CORE_LOST;
	healed_of(e->heal, f)->done = ++e->heal->now;
	value_digest(f->value, &was);
	value_digest(v, &is);
	if (digest_equal(&was, &is)) {
		value_unref(v);
		return value_ref(f->value);
	}
	log_info("%s gives other bytes than before: what has not run yet sees those", f->place->ident ? f->place->ident : "an input");
	makers_leave(e->heal->makers, f);
	e->heal->changed = true;
	return v;
}

void
heal_done(struct eval *e, struct flow *f, struct value *v)
{
	if (f->flags & CORE_LOST)
		v = made_again(e, f, v);
	core_done(&e->core, f, v);
	if (e->heal->makers)
		makers_enter(e->heal->makers, f);
}
