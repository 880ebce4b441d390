/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "eval/eval_priv.h"
#include "eval/heal.h"

/*
 * The work of one node: look it up, run it, read it, store it. A result is acted on only when its
 * record is durable; what a journal already knows is acted on at once.
 */

#define RETRIES 3	/* of one exec within a try, after its memory was too small or it failed for a while */
#define LOSSES 3	/* attempts that may be lost before the trouble is the run's */
#define WIDE   1000	/* inputs: the configuration is made in the slice, before the exec is submitted */
#define AHEAD  1000000	/* of such, that may wait to be started: a hundred bytes each */

static void work_submit(struct work *);

static struct work *
work_new(struct eval *e, struct window *win, struct flow *f)
{
	struct work *w = spare_take(&e->spares, sizeof *w);

	w->eval = e;
	w->window = win;
	w->node = f;
	queue_init(&w->twins);
	if (win)
		win->out++;
	e->nworks++;
	TAILQ_INSERT_TAIL(&e->works, w, link);
	return w;
}

/* Those who waited for it are taken up again. */
static void
leave_keys(struct work *w)
{
	struct eval *e = w->eval;
	struct flow *f;

	if (!w->keyed)
		return;
	HASH_DEL(e->keys, w);
	while ((f = queue_pop(&w->twins)) != NULL)
		core_enqueue(&e->core, f);
}

/*
 * Two nodes may turn out to be the same exec once their inputs are known. The second waits for the first one's record:
 * what is known of a key before that is only in memory, and nothing is acted on on its strength.
 */
static bool
wait_for_twin(struct eval *e, struct flow *f)
{
	struct work *w;

	if (f->op != FLOW_EXEC || !f->has_pkey || f->state == FLOW_LOOKUP)
		return false;
	HASH_FIND(hh, e->keys, &f->pkey, sizeof f->pkey, w);
	if (!w)
		return false;
	queue_push(&w->twins, f);
	return true;
}

void
eval_twins_empty(struct eval *e)
{
	struct work *w;
	struct flow *f;

	TAILQ_FOREACH(w, &e->works, link)
		while ((f = queue_pop(&w->twins)) != NULL)
			f->state = FLOW_INIT;
}

void
work_free(struct work *w)
{
	struct eval *e = w->eval;

	assert(w->task == NULL);
	op_cancel(&w->op);
	if (w->in_wide)
		TAILQ_REMOVE(&e->wide, w, wide_link);
	if (e->preparing == w)
		e->preparing = NULL;
	e->ahead -= w->ahead;
	leave_keys(w);
	TAILQ_REMOVE(&e->works, w, link);
	e->nworks--;
	if (w->window)
		window_left(e, w->window);
	if (w->window && w->window->shape && w->started)
		e->stats.running--;
	else if (w->window && w->window->shape)
		e->stats.waiting--;
	if (w->has_result)
		exec_result_release(&w->result);
	node_config_release(&w->nc);
	spare_give(&e->spares, w);
	op_wake(&e->op);
}

void
work_stop(struct work *w, bool kill)
{
	if (w->task && kill) {
		task_kill(w->task);
		return;
	}
	if (kill && w->has_result)	/* its record is on its way */
		return;
	task_detach(&w->task);
	work_free(w);
}

static void
note(struct eval *e, struct eval_event ev)
{
	e->args.host.note(&ev, e->args.host.arg);
}

bool
eval_writes(const struct eval *e)
{
	return (e->config.cache & CACHE_WRITE) != 0;
}

unsigned
eval_keys(const struct flow *f, struct digest keys[2])
{
	unsigned n = 0;

	if (f->has_pkey)
		keys[n++] = f->pkey;
	if (f->has_lkey)
		keys[n++] = f->lkey;
	return n;
}

static bool
is_local(const struct flow *f)
{
	return f->op == FLOW_INTERN && flow_is_local_intern(f);
}

/* The node has this result, and may say so: false if it does not read as its value. */
static bool
take_result(struct eval *e, struct flow *f, const struct exec_result *r, struct err **err)
{
	struct value *v = NULL;

	*err = node_value(f, r->fileset, &v);
	if (*err)
		return false;
	if (is_local(f))
		origin_add(e->origin, f, r->fileset);
	heal_done(e, f, v);
	return true;
}

/* Bytes that worked before for execs like this one, or 0. */
static double
learned(const struct eval *e, const struct flow *f)
{
	const struct eval_host *h = &e->args.host;

	return h->memory ? h->memory(f->place->ident, node_memory(f), h->arg) : 0;
}

/* Of an exec that has failed: would a try that was its retry-th be followed by another? */
static bool
worth_a_retry(const struct exec_result *r, unsigned retry)
{
	return r->state == ATTEMPT_FAILED && retry < RETRIES && (err_is(r->err, ERR_OOM) || err_is(r->err, ERR_TEMPORARY));
}

/* What a record says of an exec or input. A failure that would have been retried is not the last word. */
static bool
use_known(struct eval *e, struct flow *f, const struct exec_result *r)
{
	struct err *err;

	if (!r || r->state == ATTEMPT_LOST || worth_a_retry(r, 0))
		return false;
	if (r->state == ATTEMPT_FAILED) {
		core_failed(&e->core, f, err_copy(r->err));
	} else if (!take_result(e, f, r, &err)) {
		err_free(err);
		return false;
	} else if (f->op == FLOW_EXEC) {
		eval_remember(e, f, r);
	}
	e->stats.known++;
	return true;
}

static void
looked_up(struct eval *e, struct flow *f, const struct lookup_answer *a)
{
	bool logical = f->state == FLOW_LOOKUP || a->at == 1;
	struct digest *other = f->state == FLOW_LOOKUP ? NULL : logical ? &f->pkey : f->has_lkey ? &f->lkey : NULL;
	struct err *err = NULL;

	if (a->found && take_result(e, f, &a->result, &err)) {
		f->cached = true;
		e->stats.hits++;
		note(e, (struct eval_event){ .kind = EV_HIT, .node = f, .result = &a->result, .raw = a->raw, .nraw = a->nraw,
		    .logical = logical });
		if (other && eval_writes(e))
			eval_put(e, other, 1, &a->result);
	} else {
		err_free(err);
		core_missed(&e->core, f);
	}
}

static void
lookup_done(struct exec_result *r, unsigned at, void *arg)
{
	struct lookup_answer a = { .found = r != NULL, .at = at };
	struct work *w = arg;

	w->op = NULL;
	if (r)
		a.result = *r;
	looked_up(w->eval, w->node, &a);
	if (r)
		exec_result_release(r);
	work_free(w);
}

/* Most caches answer at once, and then there is nothing to be kept of it. */
static void
lookup_begin(struct eval *e, struct window *win, struct flow *f)
{
	struct lookup_args args = { .timeout = e->config.lookup_timeout, .recompute_empty = e->config.recompute_empty };
	struct lookup_answer a;
	struct work *w;

	if (f->state == FLOW_LOOKUP)
		args.keys[args.nkeys++] = f->lkey;
	else
		args.keys[args.nkeys++] = f->pkey;
	if (f->state == FLOW_PLOOKUP && e->config.bottomup && f->has_lkey)
		args.keys[args.nkeys++] = f->lkey;
	e->stats.lookups++;
	if (!lookup_peek(e->args.assoc, &args, &a)) {
		w = work_new(e, win, f);
		w->op = lookup_start(e->args.assoc, &args, lookup_done, w);
		return;
	}
	win->answered++;
	looked_up(e, f, &a);
	if (a.found)
		exec_result_release(&a.result);
}

struct alloc *
eval_alloc(struct eval *e)
{
	return sched_alloc_get(sched_run_alloc(e->args.run));
}

/* An error of the engine: what may be tried again ends this try; anything else is the node's own. */
static void
work_trouble(struct work *w, struct err *err)
{
	if (w->eval->state == EVAL_STOP)
		err_free(err);
	else if (err_restartable(err) || !w->node)
		eval_trouble(w->eval, w->node ? core_located(w->node, err) : err);
	else
		core_failed(&w->eval->core, w->node, err);
	work_free(w);
}

static void
store_done(const struct file *file, struct err *err, void *arg)
{
	struct work *w = arg;

	w->op = NULL;
	if (err) {
		work_trouble(w, err);
		return;
	}
	heal_done(w->eval, w->node, value_file(&(struct file){ file->id, w->node->u.data.len }));
	work_free(w);
}

static void
store_begin(struct work *w)
{
	struct flow *f = w->node;
	struct digest want;

	sha256_of(f->u.data.p, f->u.data.len, &want);
	w->op = repo_put(executor_repo(alloc_executor(eval_alloc(w->eval))),
	    source_from_bytes(w->eval->op.loop, f->u.data.p, f->u.data.len), &want, store_done, w);
}

/* Not when it has had all the memory there is. */
static bool
will_retry(const struct work *w)
{
	return worth_a_retry(&w->result, w->retry) && !(err_is(w->result.err, ERR_OOM) &&
	    w->nc.config.resources.mem >= eval_alloc(w->eval)->resources.mem);
}

/* The record of its end is durable: the node is done, or tries again. */
static void
work_settle(struct work *w)
{
	struct eval *e = w->eval;
	struct exec_result *r = &w->result;
	struct err *err;

	if (e->state == EVAL_STOP) {
		if (r->state == ATTEMPT_OK && !is_local(w->node))	/* it is acknowledged: others need not run it */
			eval_remember(e, w->node, r);
		work_free(w);
		return;
	}
	if (w->node->op == FLOW_EXEC && will_retry(w)) {
		w->grown += err_is(r->err, ERR_OOM);
		w->retry++;
		work_submit(w);
		return;
	}
	if (r->state == ATTEMPT_FAILED)
		core_failed(&e->core, w->node, err_copy(r->err));
	else if (!take_result(e, w->node, r, &err))
		core_failed(&e->core, w->node, err);
	else if (!is_local(w->node))
		eval_remember(e, w->node, r);
	work_free(w);
}

static void
commit_done(struct err *err, void *arg)
{
	struct work *w = arg;

	w->op = NULL;
	if (err) {
		eval_trouble(w->eval, err);
		work_free(w);
		return;
	}
	work_settle(w);
}

static void
work_commit(struct work *w)
{
	struct eval *e = w->eval;
	struct eval_event ev = { .kind = w->node->op == FLOW_EXEC ? EV_ENDED : EV_INTERN, .node = w->node,
		.config = &w->nc.config, .result = &w->result };
	struct resources again = RESOURCES_INIT;

	if (ev.kind == EV_ENDED)
		ev.asked = node_memory(w->node);
	if (ev.kind == EV_ENDED && will_retry(w)) {
		node_resources(w->node, w->learned, w->grown + err_is(w->result.err, ERR_OOM), &eval_alloc(e)->resources, &again);
		ev.again = &again;
	}
	w->node->state = FLOW_COMMIT;
	w->op = e->args.host.commit(&ev, commit_done, w, e->args.host.arg);
	resources_release(&again);
}

/* The attempt is gone and says nothing about the command. */
static void
work_lost(struct work *w)
{
	struct eval *e = w->eval;
	struct err *err = w->result.err ? err_copy(w->result.err) : err_new(ERR_UNAVAILABLE, "exec", NULL);

	if (w->node->op == FLOW_EXEC)
		note(e, (struct eval_event){ .kind = EV_LOST, .node = w->node, .config = &w->nc.config,
		    .result = &w->result });
	if (e->state == EVAL_RUN && w->result.missing) {
		err_free(err);
		heal_work(e, w);
		work_free(w);
		return;
	}
	if (e->state == EVAL_RUN && err_is(err, ERR_UNAVAILABLE) && ++w->losses <= LOSSES) {
		err_free(err);
		work_submit(w);
		return;
	}
	work_trouble(w, err);
}

static struct err *
changed(const struct work *w)
{
	return err_msg(ERR_TEMPORARY, "input %s changed while the run was going on", w->nc.config.url);
}

static void
install_over(struct work *w, const struct exec_result *r)
{
	struct file file;

	if (r->state == ATTEMPT_LOST)
		eval_trouble(w->eval, err_copy(r->err));
	else if (r->state == ATTEMPT_FAILED || !fileset_as_file(r->fileset, &file) ||
	    !digest_equal(&file.id, &w->file.id))
		eval_trouble(w->eval, changed(w));
	work_free(w);
}

static void
work_done(struct exec_result *r, struct err *err, void *arg)
{
	struct work *w = arg;

	w->task = NULL;
	if (err) {
		work_trouble(w, err);
		return;
	}
	w->result = *r;
	w->has_result = true;
	if (!w->node)
		install_over(w, r);
	else if (r->state == ATTEMPT_LOST)
		work_lost(w);
	else if (r->state == ATTEMPT_FAILED && w->node->op == FLOW_INTERN)
		work_settle(w);		/* nothing to be remembered */
	else
		work_commit(w);
}

static void
note_started(struct work *w, bool joined)
{
	struct eval *e = w->eval;
	struct flow *f = w->node;
	struct digest *in = xcalloc(f->ndeps + 1, sizeof *in);
	struct flow_exec x = flow_exec_of(f);
	struct key_components parts;

	for (uint32_t i = 0; i < f->ndeps; i++)
		value_digest(f->deps[i]->value, &in[i]);
	flow_exec_components(graph_universe(e->core.graph), &x, in, &parts);
	note(e, (struct eval_event){ .kind = EV_STARTED, .node = f, .config = &w->nc.config, .components = &parts,
	    .joined = joined });
	key_components_release(&parts);
	free(in);
}

/* May another run's attempt answer for this node? Only one that could have been looked up, and would have been trusted. */
static bool
may_join(const struct eval *e, const struct flow *f)
{
	return core_may_lookup(&e->core, f) && !e->config.recompute_empty;
}

static const struct exec_config *
work_starting(bool joined, void *arg)
{
	struct work *w = arg;
	struct eval *e = w->eval;
	struct exec_config *c = &w->nc.config;

	if (w->node && w->node->op == FLOW_EXEC && !w->nc.arena)
		node_config_exec(&w->nc, e->origin, w->node);
	c->claim = e->config.claim;
	c->claim.retry = w->retry;
	c->claim.join = w->node && may_join(e, w->node);
	if (!w->node)
		return c;
	w->node->state = FLOW_RUNNING;
	if (w->node->op == FLOW_INTERN) {
		e->stats.interns++;
		return c;
	}
	node_resources(w->node, w->learned, w->grown, &eval_alloc(e)->resources, &c->resources);
	if (w->ahead > 0) {
		e->ahead -= w->ahead;
		w->ahead = 0;
		op_wake(&e->op);
	}
	w->started = true;
	w->healed = heal_now(e);
	e->stats.waiting--;
	e->stats.running++;
	e->stats.execs += !joined;
	note_started(w, joined);
	return c;
}

static const struct task_events work_events = { work_starting, NULL, work_done };

/* To the scheduler; again after a loss, or with more memory. */
static void
work_submit(struct work *w)
{
	struct eval *e = w->eval;
	struct resources res = RESOURCES_INIT;
	struct task_want want = { .join = false };	/* an input is to be read now, not as somebody found it before */
	bool exec = w->node && w->node->op == FLOW_EXEC;

	if (w->has_result)
		exec_result_release(&w->result);
	w->has_result = false;
	if (exec) {
		if (w->started)
			e->stats.running--;
		e->stats.waiting += w->started;
		w->started = false;
		w->node->state = FLOW_READY;
		if (w->grown == 0)
			w->learned = learned(e, w->node);
		node_resources(w->node, w->learned, w->grown, &eval_alloc(e)->resources, &res);
		want.key = w->node->pkey;
		want.rank = core_rank(w->node);
		want.join = may_join(e, w->node);
		want.resources = &res;
	} else {
		want.key = w->nc.config.key;
	}
	w->task = sched_submit(e->args.run, &want, &work_events, w);
	resources_release(&res);
}

static void
light_begin(struct eval *e, struct window *win, struct flow *f)
{
	struct work *w = work_new(e, win, f);

	if (f->op == FLOW_DATA) {
		store_begin(w);
		return;
	}
	node_config_intern(&w->nc, e->origin, f->u.intern.url, f->u.intern.dir, false, f->place->ident);
	work_submit(w);
}

static void
exec_begin(struct eval *e, struct window *win, struct flow *f)
{
	struct work *w;

	if (wait_for_twin(e, f)) {
		e->stats.waiting--;
		return;
	}
	w = work_new(e, win, f);
	w->key = f->pkey;
	w->keyed = true;
	HASH_ADD(hh, e->keys, key, sizeof w->key, w);
	if (node_width(f) <= WIDE) {
		work_submit(w);
		return;
	}
	w->in_wide = true;
	TAILQ_INSERT_TAIL(&e->wide, w, wide_link);
	op_wake(&e->op);
}

/* One whose configuration is long; those that are made wait for room with it, so that there are not too many of them. */
bool
work_prepare(struct eval *e)
{
	struct work *w = TAILQ_FIRST(&e->wide);
	struct node_config nc;

	if (!w || e->ahead >= AHEAD)
		return false;
	TAILQ_REMOVE(&e->wide, w, wide_link);
	w->in_wide = false;
	e->preparing = w;
	node_config_exec(&nc, e->origin, w->node);
	if (!slice_breathe(1) || e->preparing != w) {	/* it was given up meanwhile */
		node_config_release(&nc);
		return true;
	}
	e->preparing = NULL;
	w->nc = nc;
	w->ahead = nc.config.ninputs;
	e->ahead += w->ahead;
	work_submit(w);
	return true;
}

void
work_install(struct eval *e, const struct file *file)
{
	struct work *w = work_new(e, &e->light, NULL);
	struct buf path = BUF_INIT;

	w->file = *file;
	origin_path(e->origin, &file->id, &path);
	node_config_intern(&w->nc, e->origin, buf_str(&path), false, true, NULL);
	buf_release(&path);
	work_submit(w);
}

/* By its size too: what a power cut took is not to be seen otherwise. */
static void
check_done(const struct file *file, struct err *err, void *arg)
{
	struct work *w = arg;
	struct eval *e = w->eval;

	w->op = NULL;
	if (err && !err_is(err, ERR_NOT_EXIST) && !err_is(err, ERR_INTEGRITY)) {
		work_trouble(w, err);
		return;
	}
	if (err || file->size != w->file.size)
		result_missing(e, &w->file);
	err_free(err);
	work_free(w);
}

void
work_check(struct eval *e, const struct file *file)
{
	struct repo *repo = executor_repo(alloc_executor(eval_alloc(e)));
	struct work *w;
	struct file is;

	if (repo_peek(repo, &file->id, &is) && is.size == file->size) {
		e->light.answered++;
		return;
	}
	w = work_new(e, &e->light, NULL);
	w->file = *file;
	w->op = repo_stat(repo, &file->id, check_done, w);
}

static void
window_init(struct window *w, void (*start)(struct eval *, struct window *, struct flow *))
{
	for (unsigned i = 0; i < WINDOW_RANKS; i++)
		queue_init(&w->waiting[i]);
	w->start = start;
}

void
eval_windows_init(struct eval *e)
{
	window_init(&e->lookups, lookup_begin);
	window_init(&e->light, light_begin);
}

void
eval_windows_empty(struct eval *e)
{
	struct window *win, *tmp;
	struct flow *f;

	while ((f = batch_pop(&e->batch, &e->lookups)) != NULL)
		f->state = FLOW_INIT;
	HASH_ITER(hh, e->shapes, win, tmp) {
		while ((f = window_pop(win)) != NULL) {
			f->state = FLOW_INIT;
			e->stats.waiting--;
		}
	}
}

/* The amounts as they stand in memory: to print them would cost more than all the rest of the queueing. */
static void
shape_key(const struct resources *res, struct buf *key)
{
	const double amounts[] = { res->mem, res->cpu, res->disk };

	buf_add(key, amounts, sizeof amounts);
	for (unsigned i = 0; i < res->nfeatures; i++)
		buf_addf(key, " %s=%a", res->features[i].label, res->features[i].amount);
}

static struct window *
shape_window(struct eval *e, const struct flow *f)
{
	struct resources res = RESOURCES_INIT;
	struct buf key = BUF_INIT;
	struct window *win;

	node_resources(f, learned(e, f), 0, &eval_alloc(e)->resources, &res);
	shape_key(&res, &key);
	resources_release(&res);
	HASH_FIND(hh, e->shapes, key.p, key.len, win);
	if (!win) {
		size_t len = key.len;

		win = xcalloc(1, sizeof *win);
		win->shape = buf_take(&key, NULL);
		window_init(win, exec_begin);
		HASH_ADD_KEYPTR(hh, e->shapes, win->shape, len, win);
	}
	buf_release(&key);
	return win;
}

static const struct exec_result *
known(const struct eval *e, const struct flow *f)
{
	const struct eval_host *h = &e->args.host;

	if (f->op == FLOW_EXEC && f->state != FLOW_LOOKUP)
		return h->known_exec ? h->known_exec(&f->pkey, h->arg) : NULL;
	if (is_local(f))
		return h->known_intern ? h->known_intern(f->u.intern.url, h->arg) : NULL;
	return NULL;
}

void
eval_act(struct eval *e, struct flow *f)
{
	struct err *err;

	if (wait_for_twin(e, f) || use_known(e, f, known(e, f)))
		return;
	if (f->state == FLOW_LOOKUP || f->state == FLOW_PLOOKUP) {
		window_push(e, &e->lookups, f);
	} else if (f->op != FLOW_EXEC) {
		window_push(e, &e->light, f);
	} else if ((err = node_operands_check(f)) != NULL) {
		core_failed(&e->core, f, err);
	} else {
		e->stats.waiting++;
		window_push(e, shape_window(e, f), f);
	}
}
