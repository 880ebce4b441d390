/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * The life of a node, from the moment somebody wants it: its logical key, a look-up by it, its
 * operands, a look-up by what they are, the work itself, and its dependents are told. Which of these
 * steps there are depends on the operation and on the cache; what is missing is skipped.
 */

#define STEP_COST 10	/* a node taken up; who goes over its operands breathes with each */
#define FEW	  8	/* operands: room for those is on the stack */

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

void
core_release(struct core *c)
{
	regexp_free(c->invalidate);
	free(c->walk.v);
	free(c->settled.v);
	free(c->failures.v);
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
explore(struct core *c, struct flow *f)
{
	f->state = FLOW_DEPS;
	f->npending = 0;
	f->flags &= (uint16_t)~CORE_DEPFAILED;
	for (uint32_t i = 0; i < f->ndeps; i++) {
		if (!await(c, f, f->deps[i]))
			c->stats->visits++;	/* what the dep's end would have told */
		slice_breathe(1);
	}
	if (f->npending == 0)
		core_enqueue(c, f);
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
	for (uint32_t i = 0; i < f->ndeps; i++) {
		if (f->deps[i]->err)
			return f->deps[i];
		slice_breathe(1);
	}
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

	if (err_is(err, ERR_CANCELED)) {	/* it had to give up: there is nobody left to be told */
		err_free(err);
	} else if (err) {
		core_failed(c, f, err);
	} else if (value_kind(out) == VAL_FLOW) {
		g = value_get_flow(out);
		value_unref(out);
		fork_into(c, f, g);
	} else {
		core_done(c, f, out);
	}
}

/*
 * The values of its operands, each with a reference: while it is over them one may be made anew. NULL stands where that
 * has failed. few: room for FEW of them.
 */
static struct value **
operands_take(const struct flow *f, struct value **few)
{
	struct value **v = f->ndeps <= FEW ? few : xcalloc(f->ndeps, sizeof *v);

	for (uint32_t i = 0; i < f->ndeps; i++) {
		v[i] = f->deps[i]->value ? value_ref(f->deps[i]->value) : NULL;
		slice_breathe(1);
	}
	return v;
}

static void
operands_give(const struct flow *f, struct value **v, struct value **few)
{
	for (uint32_t i = 0; i < f->ndeps; i++) {
		value_unref(v[i]);
		slice_breathe(1);
	}
	if (v != few)
		free(v);
}

static void
call(struct core *c, struct flow *f)
{
	struct value *few[FEW], **in = operands_take(f, few), *out = NULL;
	const struct flow *bad = failed_dep(c, f);
	struct err *err;

	if (bad) {
		core_inherit(c, f, bad);
	} else {
		err = f->u.k.cont->ops->call(f->u.k.cont, c->graph, in, f->ndeps, &out);
		called(c, f, out, err);
	}
	operands_give(f, in, few);
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
		if (f->deps[i]->value && !value_is_strict(f->deps[i]->value))
			force_operand(c, f, i);
	return f->npending > 0;
}

static void
exec_keyed(struct core *c, struct flow *f, const struct digest *in)
{
	struct flow_exec x = flow_exec_of(f);

	flow_exec_key(graph_universe(c->graph), KEY_PHYSICAL, &x, in, &f->pkey);
	f->has_pkey = true;
	f->state = !(f->flags & CORE_LOST) && core_may_lookup(c, f) ? FLOW_PLOOKUP : FLOW_READY;
	core_enqueue(c, f);
}

/* Its physical key can be known now. */
static void
exec_ready(struct core *c, struct flow *f)
{
	struct value *few_values[FEW], **v = operands_take(f, few_values);
	struct digest few[FEW], *in = f->ndeps <= FEW ? few : xcalloc(f->ndeps, sizeof *in);
	const struct flow *bad = failed_dep(c, f);

	for (uint32_t i = 0; i < f->ndeps && !bad; i++)
		value_digest(v[i], &in[i]);
	if (bad)
		core_inherit(c, f, bad);
	else
		exec_keyed(c, f, in);
	if (in != few)
		free(in);
	operands_give(f, v, few_values);
}

/* The logical key comes first: forcing changes what the operands are, not what they are called. */
static void
exec_operands(struct core *c, struct flow *f)
{
	if (c->config->cache != CACHE_OFF && !(f->flags & CORE_KEYED)) {
		f->flags |= CORE_DEPSDONE;
		await_keys(c, f);
	} else if (!force_operands(c, f)) {
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
		slice_breathe(1);
	}
	return head;
}

static void
tell_dependents(struct core *c, struct flow *f)
{
	struct flow_edge *e = f->on_done;

	f->on_done = NULL;
	for (e = core_edges_in_order(e); e; e = e->next) {
		c->stats->visits++;
		slice_breathe(1);
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
	return c->queue.head == NULL && c->walk.n == 0 && c->settled.n == 0;
}

struct flow *
core_next(struct core *c)
{
	struct flow *f;

	while (slice_breathe(STEP_COST)) {
		if (keys_step(c))
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
			return f;
		}
	}
	return NULL;
}
