/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * The life of a node, from the moment somebody wants it: its logical key, a look-up by it, its
 * operands, a look-up by what they are, the work itself, and its dependents are told. Which of these
 * steps there are depends on the operation and on the cache; what is missing is skipped.
 */

#define WIDE 256	/* operands that one step goes over */
#define CALL_COST 16	/* steps that a part of a call counts for; the last one a quarter */

void
queue_init(struct flow_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

void
queue_push(struct flow_queue *q, struct flow *f)
{
	assert(!f->queued);
	f->queued = true;
	f->next = NULL;
	*q->tail = f;
	q->tail = &f->next;
}

struct flow *
queue_pop(struct flow_queue *q)
{
	struct flow *f = q->head;

	if (!f)
		return NULL;
	q->head = f->next;
	if (!q->head)
		q->tail = &q->head;
	f->next = NULL;
	f->queued = false;
	return f;
}

void
flow_vec_push(struct flow_vec *v, struct flow *f)
{
	if (v->n == v->cap) {
		v->cap = v->cap ? 2 * v->cap : 64;
		v->v = xreallocarray(v->v, v->cap, sizeof(struct flow *));
	}
	v->v[v->n++] = f;
}

struct err *
core_init(struct core *c, struct graph *graph, struct flow *root, const struct eval_config *config,
    struct eval_stats *stats)
{
	memset(c, 0, sizeof *c);
	c->graph = graph;
	c->root = root;
	c->config = config;
	c->stats = stats;
	queue_init(&c->queue);
	return config->invalidate ? regexp_compile(config->invalidate, &c->invalidate) : NULL;
}

/* Its operands may be made anew before it is through with them, so it holds the values itself. */
static void
wide_release(struct wide *w)
{
	for (uint32_t i = 0; w->in && i < w->at; i++)
		value_unref(w->in[i]);
	free(w->in);
}

static void
run_free(struct cont_run *run)
{
	run->ops->free(run);
}

void
core_release(struct core *c)
{
	regexp_free(c->invalidate);
	while (c->nwides > 0)
		wide_release(&c->wides[--c->nwides]);
	free(c->wides);
	while (c->ncalls > 0)
		run_free(c->calls[--c->ncalls].run);
	free(c->calls);
	free(c->walk.v);
	free(c->settled.v);
	free(c->failures.v);
	free(c->in);
}

void
core_enqueue(struct core *c, struct flow *f)
{
	if (!f->queued)
		queue_push(&c->queue, f);
}

void
core_edge(struct core *c, struct flow_edge **list, struct flow *dependent)
{
	struct flow_edge *e = arena_alloc(graph_arena(c->graph), sizeof *e);

	e->node = dependent;
	e->next = *list;
	*list = e;
}

struct digest *
core_in(struct core *c, size_t n)
{
	if (n > c->nin) {
		c->nin = 2 * n;
		free(c->in);
		c->in = xcalloc(c->nin, sizeof *c->in);
	}
	return c->in;
}

static void
list_failure(struct core *c, struct flow *f)
{
	if (f->flags & CORE_LISTED)
		return;
	f->flags |= CORE_LISTED;
	c->stats->failed++;
	flow_vec_push(&c->failures, f);
}

static void
done(struct core *c, struct flow *f)
{
	f->state = FLOW_DONE;
	if (f->op == FLOW_INTERN)
		keys_resolved(c, f);
	if (f->on_done)
		core_enqueue(c, f);
}

void
core_done(struct core *c, struct flow *f, struct value *v)
{
	assert(f->state != FLOW_DONE);
	value_unref(f->value);		/* of before, when it was made anew */
	f->value = v;
	done(c, f);
}

/* `align.Bam align.rf:12:3: cause`. What a continuation says of itself has its own, more exact position. */
struct err *
core_located(const struct flow *f, struct err *err)
{
	struct buf pos = BUF_INIT;

	if (f->place->pos.name && f->op != FLOW_K)
		buf_addf(&pos, "%s:%d:%d", f->place->pos.name, f->place->pos.line, f->place->pos.col);
	err = err_wrap(err, f->place->ident ? f->place->ident : flow_op_name(f->op), pos.len ? buf_str(&pos) : NULL);
	buf_release(&pos);
	return err;
}

void
core_failed(struct core *c, struct flow *f, struct err *err)
{
	assert(f->state != FLOW_DONE);
	f->err = core_located(f, err);
	value_unref(f->value);		/* of before, when it was made anew */
	f->value = NULL;
	if (f->flags & CORE_WANTED)
		list_failure(c, f);
	c->doubtful = c->doubtful || (f->flags & CORE_LOST);
	done(c, f);
}

/* Not its own failure: it is not listed. */
void
core_inherit(struct core *c, struct flow *f, const struct flow *from)
{
	f->err = err_copy(from->err);
	f->flags |= CORE_INHERITED;
	c->doubtful = c->doubtful || (f->flags & CORE_LOST);
	done(c, f);
}

void
core_want(struct core *c, struct flow *f)
{
	if (f->flags & CORE_WANTED)
		return;
	f->flags |= CORE_WANTED;
	if (f->state == FLOW_DONE) {	/* an input that was read for its key alone */
		if (f->err)
			list_failure(c, f);
	} else if (f->op == FLOW_VAL) {
		c->stats->visits++;
		core_done(c, f, value_ref(f->u.val.value));
	} else if (f->state == FLOW_INIT) {
		core_enqueue(c, f);
	}
}

static bool
invalidated(const struct core *c, const struct flow *f)
{
	struct err *err;
	bool found = false;

	if (!c->invalidate || !f->place->ident)
		return false;
	err = regexp_find(c->invalidate, f->place->ident, strlen(f->place->ident), 0, NULL, &found);
	err_free(err);		/* takes too long on an identifier: not to be trusted, so recompute */
	return found || err != NULL;
}

bool
core_may_lookup(const struct core *c, const struct flow *f)
{
	if (!(c->config->cache & CACHE_READ) || invalidated(c, f))
		return false;
	return !c->config->no_cache_extern || (!f->dirty && f->op != FLOW_EXTERN && f != c->root);
}

#define RANK_MAX 31

unsigned
core_rank(const struct flow *f)
{
	return f->flags / CORE_RANK;
}

/*
 * d is wanted by a node of that rank. When d has told its own operands already they keep what they were told: whoever
 * would pass it on would walk the graph again.
 */
static void
raise_rank(struct flow *d, unsigned rank)
{
	if (rank > RANK_MAX)
		rank = RANK_MAX;
	if (rank > core_rank(d))
		d->flags = (uint16_t)(d->flags % CORE_RANK + rank * CORE_RANK);
}

static void
told_of(struct flow *f, const struct flow *d)
{
	if (d->err)
		f->flags |= CORE_DEPFAILED;
}

/* Wants f's operand d; true if it is not there yet. */
static bool
await(struct core *c, struct flow *f, struct flow *d)
{
	raise_rank(d, core_rank(f) + (f->op == FLOW_EXEC));
	core_want(c, d);
	if (d->state == FLOW_DONE) {
		told_of(f, d);
		return false;
	}
	core_edge(c, &d->on_done, f);
	f->npending++;
	return true;
}

static void
wide_push(struct core *c, struct flow *f, struct value **in)
{
	if (c->nwides == c->wides_cap) {
		c->wides_cap = c->wides_cap ? 2 * c->wides_cap : 4;
		c->wides = xreallocarray(c->wides, c->wides_cap, sizeof *c->wides);
	}
	c->wides[c->nwides++] = (struct wide){ f, 0, in };
}

/* Asks for the operands from *at on, WIDE at most; true: for all. */
static bool
explore_some(struct core *c, struct flow *f, uint32_t *at)
{
	uint32_t end = f->ndeps - *at > WIDE ? *at + WIDE : f->ndeps;

	for (; *at < end; ++*at)
		if (!await(c, f, f->deps[*at]))
			c->stats->visits++;	/* what the dep's end would have told */
	if (end < f->ndeps)
		return false;
	if (f->npending == 0)
		core_enqueue(c, f);
	return true;
}

static void
explore(struct core *c, struct flow *f)
{
	uint32_t at = 0;

	f->state = FLOW_DEPS;
	f->npending = 0;
	f->flags &= (uint16_t)~CORE_DEPFAILED;
	if (f->ndeps > WIDE)
		wide_push(c, f, NULL);
	else
		explore_some(c, f, &at);
}

static void
await_keys(struct core *c, struct flow *f)
{
	f->state = FLOW_KEYS;
	if (f->flags & CORE_KEYED)
		core_enqueue(c, f);
	else
		keys_start(c, f);
}

static void
take_up(struct core *c, struct flow *f)
{
	bool local = f->op == FLOW_INTERN && flow_is_local_intern(f);

	c->stats->visits++;
	switch (f->op) {
	case FLOW_EXTERN:
		core_failed(c, f, err_msg(ERR_NOT_SUPPORTED, "copying to %s", f->u.intern.url));
		return;
	case FLOW_EXEC:
	case FLOW_INTERN:
		if (!local && !(f->flags & CORE_LOST) && core_may_lookup(c, f) &&
		    (!c->config->bottomup || f->op == FLOW_INTERN)) {
			await_keys(c, f);
			return;
		}
		break;
	case FLOW_K:
	case FLOW_VAL:
	case FLOW_DATA:
	case FLOW_REQUIREMENTS:
		break;
	}
	if (f->op == FLOW_INTERN || f->op == FLOW_DATA)
		core_ready(c, f);
	else
		explore(c, f);
}

void
core_missed(struct core *c, struct flow *f)
{
	if (f->op == FLOW_INTERN || f->state == FLOW_PLOOKUP)
		core_ready(c, f);
	else
		explore(c, f);
}

void
core_ready(struct core *c, struct flow *f)
{
	f->state = FLOW_READY;
	core_enqueue(c, f);
}

static const struct flow *
failed_dep(const struct core *c, const struct flow *f)
{
	if (!c->doubtful && !(f->flags & CORE_DEPFAILED))
		return NULL;
	for (uint32_t i = 0; i < f->ndeps; i++)
		if (f->deps[i]->err)
			return f->deps[i];
	return NULL;
}

/* What a continuation gave is the node's value, or a flow that will have it. */
static void
fork_into(struct core *c, struct flow *f, struct flow *g)
{
	f->state = FLOW_FORKED;
	f->forked = g;
	c->more_edges++;
	raise_rank(g, core_rank(f));
	core_want(c, g);
	if (g->state == FLOW_DONE)
		core_enqueue(c, f);
	else
		core_edge(c, &g->on_done, f);
}

static void
take_over(struct core *c, struct flow *f)
{
	if (f->forked->err)
		core_inherit(c, f, f->forked);
	else
		core_done(c, f, value_ref(f->forked->value));
}

/* Takes what a continuation gave, or its error. */
static void
called(struct core *c, struct flow *f, struct value *out, struct err *err)
{
	struct flow *g;

	if (err) {
		core_failed(c, f, err);
	} else if (value_kind(out) == VAL_FLOW) {
		g = value_get_flow(out);
		value_unref(out);
		fork_into(c, f, g);
	} else {
		core_done(c, f, out);
	}
}

/* A part of the call that was begun last; false: there is none. */
static bool
call_step(struct core *c, unsigned *budget)
{
	struct value *out = NULL;
	struct err *err = NULL;
	struct call *call;
	struct flow *f;
	unsigned cost;
	bool over;

	if (c->ncalls == 0)
		return false;
	call = &c->calls[c->ncalls - 1];
	over = call->run->ops->step(call->run, &out, &err);
	cost = over ? CALL_COST / 4 : CALL_COST;
	*budget = *budget > cost ? *budget - cost : 1;	/* the last is the caller's to take */
	if (!over)
		return true;
	f = call->node;
	run_free(call->run);
	c->ncalls--;
	called(c, f, out, err);
	return true;
}

static void
call_with(struct core *c, struct flow *f, struct value *const *in)
{
	struct cont *cont = f->u.k.cont;
	struct value *out = NULL;
	struct err *err;

	if (cont->ops->start == NULL) {
		err = cont->ops->call(cont, c->graph, in, f->ndeps, &out);
		called(c, f, out, err);
		return;
	}
	if (c->ncalls == c->calls_cap) {
		c->calls_cap = c->calls_cap ? 2 * c->calls_cap : 4;
		c->calls = xreallocarray(c->calls, c->calls_cap, sizeof *c->calls);
	}
	c->calls[c->ncalls++] = (struct call){ f, cont->ops->start(cont, c->graph, in, f->ndeps) };
}

static void
call(struct core *c, struct flow *f)
{
	struct value **in = xcalloc(f->ndeps ? f->ndeps : 1, sizeof *in);

	if (f->ndeps > WIDE) {
		wide_push(c, f, in);
		return;
	}
	for (uint32_t i = 0; i < f->ndeps; i++)
		in[i] = f->deps[i]->value;
	call_with(c, f, in);
	free(in);
}

/* Takes up the operands' values from w->at on, WIDE at most; true: all of them. */
static bool
gather_some(struct wide *w)
{
	const struct flow *f = w->node;
	uint32_t end = f->ndeps - w->at > WIDE ? w->at + WIDE : f->ndeps;

	for (; w->at < end; w->at++)
		w->in[w->at] = f->deps[w->at]->value ? value_ref(f->deps[w->at]->value) : NULL;
	return end == f->ndeps;
}

/* False: there is none. */
static bool
wide_step(struct core *c)
{
	const struct flow *bad;
	struct wide w;

	if (c->nwides == 0)
		return false;
	w = c->wides[--c->nwides];
	if (w.in ? !gather_some(&w) : !explore_some(c, w.node, &w.at)) {
		c->wides[c->nwides++] = w;
		return true;
	}
	if (w.in && (bad = failed_dep(c, w.node)) != NULL)
		core_inherit(c, w.node, bad);
	else if (w.in)
		call_with(c, w.node, w.in);
	wide_release(&w);
	return true;
}

/* A restart takes the operands of before: the forced one stands for a value, not for where it comes from. */
static void
force_operand(struct core *c, struct flow *f, uint32_t i)
{
	struct flow **deps;

	if (!(f->flags & CORE_FORCED)) {
		deps = arena_alloc(graph_arena(c->graph), 2 * f->ndeps * sizeof(struct flow *));
		memcpy(deps, f->deps, f->ndeps * sizeof(struct flow *));
		memcpy(deps + f->ndeps, f->deps, f->ndeps * sizeof(struct flow *));
		f->deps = deps;
		f->flags |= CORE_FORCED;
	}
	f->deps[i] = flow_force(c->graph, value_ref(f->deps[i]->value));
	c->more_edges++;
	await(c, f, f->deps[i]);
}

/* An exec's operands have no delayed parts: those that have are forced, in the node's place of them. */
static bool
force_operands(struct core *c, struct flow *f)
{
	for (uint32_t i = 0; i < f->ndeps; i++)
		if (!value_is_strict(f->deps[i]->value))
			force_operand(c, f, i);
	return f->npending > 0;
}

/* Its physical key is known now. */
static void
exec_ready(struct core *c, struct flow *f)
{
	struct digest *in = core_in(c, f->ndeps);
	struct flow_exec x = flow_exec_of(f);

	for (uint32_t i = 0; i < f->ndeps; i++)
		value_digest(f->deps[i]->value, &in[i]);
	flow_exec_key(graph_universe(c->graph), KEY_PHYSICAL, &x, in, &f->pkey);
	f->has_pkey = true;
	f->state = !(f->flags & CORE_LOST) && core_may_lookup(c, f) ? FLOW_PLOOKUP : FLOW_READY;
	core_enqueue(c, f);
}

/* The logical key comes first: forcing changes what the operands are, not what they are called. */
static void
exec_operands(struct core *c, struct flow *f)
{
	const struct flow *bad;

	if (c->config->cache != CACHE_OFF && !(f->flags & CORE_KEYED)) {
		f->flags |= CORE_DEPSDONE;
		await_keys(c, f);
	} else if (force_operands(c, f)) {
		return;
	} else if ((bad = failed_dep(c, f)) != NULL) {
		core_inherit(c, f, bad);
	} else {
		exec_ready(c, f);
	}
}

static void
operands_known(struct core *c, struct flow *f)
{
	const struct flow *bad = failed_dep(c, f);

	if (bad) {
		core_inherit(c, f, bad);
		return;
	}
	switch (f->op) {
	case FLOW_REQUIREMENTS:
		core_done(c, f, value_ref(f->deps[0]->value));
		return;
	case FLOW_K:
		call(c, f);
		return;
	case FLOW_EXEC:
		exec_operands(c, f);
		return;
	case FLOW_INTERN:
	case FLOW_EXTERN:
	case FLOW_VAL:
	case FLOW_DATA:
		assert(!"no operands to wait for");
	}
}

/* Its key is known, or known not to come. */
static void
keyed(struct core *c, struct flow *f)
{
	if (f->flags & CORE_DEPSDONE) {
		operands_known(c, f);
	} else if (f->has_lkey && core_may_lookup(c, f)) {
		f->state = FLOW_LOOKUP;
		core_enqueue(c, f);
	} else {
		core_missed(c, f);
	}
}

/* Edges were added in front: in the order of those that wait, things happen as in the program. */
struct flow_edge *
core_edges_in_order(struct flow_edge *e)
{
	struct flow_edge *head = NULL, *next;

	for (; e; e = next) {
		next = e->next;
		e->next = head;
		head = e;
	}
	return head;
}

static void
tell_dependents(struct core *c, struct flow *f)
{
	struct flow_edge *e = core_edges_in_order(f->on_done);

	f->on_done = NULL;
	for (; e; e = e->next) {
		c->stats->visits++;
		told_of(e->node, f);
		if (e->node->state == FLOW_FORKED)
			take_over(c, e->node);
		else if (--e->node->npending == 0)
			core_enqueue(c, e->node);
	}
}

void
core_again(struct core *c, struct flow *f)
{
	assert(f->state == FLOW_DONE && !f->queued);
	f->flags |= CORE_LOST | CORE_WANTED;
	c->more_edges += f->ndeps + 1;
	if (f->op == FLOW_EXEC)
		explore(c, f);
	else
		core_ready(c, f);
}

void
core_back(struct core *c, struct flow *f, struct flow *const *on, size_t n)
{
	c->more_edges += f->ndeps + n;
	explore(c, f);
	for (size_t i = 0; i < n; i++)
		await(c, f, on[i]);
}

/* What a restart leaves of a node: it is as if nobody had asked for it, but for what only work can give. */
static void
restart_node(struct flow *f, unused_arg void *arg)
{
	bool made = f->op == FLOW_EXEC || f->op == FLOW_INTERN || f->op == FLOW_DATA;
	bool under_way = f->state == FLOW_LOOKUP || f->state == FLOW_READY || f->state == FLOW_RUNNING ||
	    f->state == FLOW_COMMIT;

	f->on_done = NULL;
	f->flags &= (uint16_t)~(CORE_WANTED | CORE_LISTED);
	if (f->op == FLOW_VAL || under_way || (f->state == FLOW_DONE && made && !(f->flags & CORE_INHERITED)))
		return;
	f->state = FLOW_INIT;
	f->npending = 0;
	if (f->op == FLOW_K)
		f->forked = NULL;
	err_free(f->err);
	f->err = NULL;
	if (!made) {
		value_unref(f->value);
		f->value = NULL;
	}
	if (f->flags & CORE_FORCED)
		memcpy(f->deps, f->deps + f->ndeps, f->ndeps * sizeof(struct flow *));
	f->flags &= (uint16_t)~(CORE_DEPSDONE | CORE_INHERITED | CORE_DEPFAILED);
}

void
core_restart(struct core *c)
{
	struct graph_walk walk = { 0, 0 };

	assert(core_idle(c));
	c->failures.n = 0;
	c->stats->failed = 0;
	c->more_edges += c->stats->visits;
	graph_walk(c->graph, &walk, SIZE_MAX, restart_node, NULL);
	core_want(c, c->root);
}

bool
core_idle(const struct core *c)
{
	return c->queue.head == NULL && c->nwides == 0 && c->ncalls == 0 && c->walk.n == 0 && c->settled.n == 0;
}

struct flow *
core_next(struct core *c, unsigned *budget)
{
	struct flow *f;

	for (; *budget > 0; --*budget) {
		if (call_step(c, budget) || wide_step(c) || keys_step(c))
			continue;
		f = queue_pop(&c->queue);
		if (!f)
			return NULL;
		switch (f->state) {
		case FLOW_INIT:
			take_up(c, f);
			break;
		case FLOW_KEYS:
			keyed(c, f);
			break;
		case FLOW_DEPS:
			operands_known(c, f);
			break;
		case FLOW_FORKED:
			take_over(c, f);
			break;
		case FLOW_DONE:
			tell_dependents(c, f);
			break;
		default:
			--*budget;
			return f;
		}
	}
	return NULL;
}
