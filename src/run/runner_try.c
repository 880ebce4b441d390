/* SPDX-License-Identifier: Apache-2.0 */
#include "run/runner_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/xalloc.h"

/*
 * What one try needs and gives: graph, alloc, evaluation, result. Nothing here decides; the phases in
 * runner_do.c do. What a reader would get wrong: a graph is evaluated once, so an evaluation that is
 * cancelled takes it along.
 */
#define MIN_CPU		1.0	/* what a run asks for at least. No disk: a full one is met when it is full */
#define MIN_MEM		(500.0 * 1048576)
#define RETRY_FIRST	SECONDS(1)	/* doubled with each stalled try */
#define RETRY_MAX	SECONDS(60)

void
try_drop_graph(struct runner *r)
{
	free(r->failures);
	r->failures = NULL;
	r->nfailures = 0;
	slice_free(r->slice);
	r->slice = NULL;
	err_free(r->made);
	r->made = NULL;
	if (r->asks != NULL)
		requirements_release(r->asks);
	free(r->asks);
	r->asks = NULL;
	value_unref(r->main);
	r->main = NULL;
	graph_free(r->graph);
	r->graph = NULL;
}

static struct flow *
root_flow(struct runner *r)
{
	return value_kind(r->main) == VAL_FLOW ? value_get_flow(r->main) : flow_val(r->graph, value_ref(r->main));
}

/* A share; true: it is over, and the slice is gone. */
static bool
go_on(struct runner *r)
{
	if (!slice_go(r->slice))
		return false;
	slice_free(r->slice);
	r->slice = NULL;
	return true;
}

static void
begin(struct runner *r, slice_fn *fn)
{
	r->slice = slice_new();
	slice_begin(r->slice, fn, r);
}

static void
make(void *arg)
{
	struct runner *r = arg;
	struct requirements *asks;

	if (r->main == NULL)
		r->made = program_instantiate(r->program, r->graph, r->state.Dir, r->params, &r->main);
	if (r->made != NULL)
		return;
	asks = xcalloc(1, sizeof *asks);
	flow_requirements_of(root_flow(r), asks);
	r->asks = asks;
}

bool
try_graph(struct runner *r, struct err **err)
{
	struct graph_config config = { .universe = r->state.Config.universe != NULL ? r->state.Config.universe : "" };

	*err = NULL;
	if (r->asks != NULL)
		return true;
	if (r->graph == NULL)
		r->graph = graph_new(&config);
	if (r->slice == NULL)
		begin(r, make);
	if (!go_on(r))
		return false;
	*err = r->made;
	r->made = NULL;
	if (*err != NULL)
		try_drop_graph(r);
	return true;
}

void
try_requirements(struct runner *r, struct requirements *req)
{
	requirements_copy(req, r->asks);
	if (req->min.cpu < MIN_CPU)
		resources_set(&req->min, "cpu", MIN_CPU);
	if (req->min.mem < MIN_MEM)
		resources_set(&req->min, "mem", MIN_MEM);
	resources_max(&req->min, &r->need);
}

static void
set_label(struct labels *out, char *name, const char *value)	/* takes name */
{
	labels_set(out, name, value);
	free(name);
}

/* The run's own labels, and what says whose the alloc is. */
void
try_labels(const struct runner *r, struct labels *out)
{
	const struct run_state *s = &r->state;
	char hex[DIGEST_HEX + 1];

	labels_copy(out, &s->Labels);
	digest_hex(&s->ID, hex);
	labels_set(out, "ID", hex);
	labels_set(out, "program", s->Program == NULL ? "" : s->Program);
	for (size_t i = 0; i < s->Params.n; i++)
		set_label(out, xasprintf("param[%s]", s->Params.v[i].name), s->Params.v[i].value);
	for (size_t i = 0; i < s->nArgs; i++)
		set_label(out, xasprintf("arg[%zu]", i), s->Args[i]);
}

void
try_set_inspect(struct runner *r, struct alloc_inspect *inspect)
{
	struct run_state *s = &r->state;

	if (s->AllocInspect != NULL)
		alloc_inspect_release(s->AllocInspect);
	free(s->AllocInspect);
	s->AllocInspect = inspect == NULL ? NULL : xmemdup(inspect, sizeof *inspect);
}

void
try_set_alloc(struct runner *r, const char *uri)
{
	free(r->state.AllocID);
	r->state.AllocID = xstrdup(uri);
	try_set_inspect(r, NULL);
}

/* The evaluator's tasks get the same news; it is their error that ends the try. */
static void
runner_lost_cb(struct err *err, void *arg)
{
	struct runner *r = arg;

	err_free(r->lost);
	r->lost = err;
	log_info("alloc %s: its lease is lost", sched_alloc_get(r->hold)->uri);
}

void
try_hold(struct runner *r, struct sched_alloc *hold)
{
	r->hold = hold;
	sched_alloc_watch(hold, runner_lost_cb, r);
}

static struct sched_alloc *
unhold(struct runner *r)
{
	struct sched_alloc *hold = r->hold;

	r->hold = NULL;
	err_free(r->lost);
	r->lost = NULL;
	return hold;
}

/*
 * Kept for `retain` when the run has failed: it may be looked at, or resumed. Not between tries, where the reference
 * keeps it too: the next try would wait for the room that this one still holds.
 */
struct op *
try_release_start(struct runner *r, alloc_done_cb *cb, void *arg)
{
	bool keep = r->has_stats && r->state.Phase == PHASE_DONE && r->state.Err != NULL;

	return sched_alloc_release_start(unhold(r), keep ? r->state.Config.retain : 0, cb, arg);
}

void
try_let_go(struct runner *r)
{
	if (r->hold != NULL)
		(void)sched_alloc_release_start(unhold(r), 0, NULL, NULL);
}

static void
eval_config_of(const struct runner *r, struct eval_config *c)
{
	const struct run_config *rc = &r->state.Config;

	memset(c, 0, sizeof *c);
	c->cache = rc->cache;
	c->bottomup = rc->bottomup;
	c->no_cache_extern = rc->no_cache_extern;
	c->recompute_empty = rc->recompute_empty;
	c->fail_fast = rc->fail_fast;
	c->invalidate = rc->invalidate;
	c->lookup_timeout = rc->lookup_timeout;
	c->claim.run = r->state.ID;
	c->claim.epoch = r->epoch;
	c->claim.try_ = state_try(&r->state);
	c->claim.join = (rc->cache & CACHE_READ) != 0;
	c->claim.retain_ns = (uint64_t)rc->retain;
}

struct eval *
try_eval_start(struct runner *r, eval_cb *cb, void *arg)
{
	struct eval_args a = { 0 };

	r->srun = sched_run_new(r->controller->sched, &r->state.ID, r->hold);
	r->has_stats = true;
	a.graph = r->graph;
	a.root = root_flow(r);
	a.dir = r->state.Dir;
	eval_config_of(r, &a.config);
	a.run = r->srun;
	a.assoc = r->state.Config.cache == CACHE_OFF ? NULL : r->controller->assoc;
	a.host = runner_host(r);
	return eval_start(r->controller->loop, &a, cb, arg);
}

static void
end_eval(struct runner *r)
{
	r->eval = NULL;
	resources_max(&r->need, sched_run_need(r->srun));
	sched_run_free(r->srun);
	r->srun = NULL;
}

void
try_eval_over(struct runner *r)
{
	struct flow *const *f;

	r->stats = *eval_stats(r->eval);
	log_debug("evaluator: %llu nodes, %llu edges, %llu visits", (unsigned long long)r->stats.nodes,
	    (unsigned long long)r->stats.edges, (unsigned long long)r->stats.visits);
	f = eval_failures(r->eval, &r->nfailures);
	free(r->failures);
	r->failures = r->nfailures == 0 ? NULL : xmemdup(f, r->nfailures * sizeof *f);
	end_eval(r);
}

void
try_eval_cancel(struct runner *r)
{
	if (r->eval == NULL)
		return;
	eval_cancel(&r->eval);
	end_eval(r);
	try_drop_graph(r);
}

static void
print(void *arg)
{
	struct runner *r = arg;
	struct run_state *s = &r->state;
	const struct type *type = program_main_type(r->program);
	struct buf text = BUF_INIT, as_json = BUF_INIT, name = BUF_INIT;

	value_print(r->result, type, &text);
	value_json_text(r->result, &as_json);
	type_str(type, &name);
	s->Result = buf_take(&text, NULL);
	s->ResultJSON = buf_take(&as_json, NULL);
	s->ResultType = buf_take(&name, NULL);
}

bool
try_result(struct runner *r, const struct value *value)
{
	if (r->slice == NULL) {
		r->result = value;
		begin(r, print);
	}
	return go_on(r);
}

int64_t
retry_pause(uint32_t stalled)
{
	int64_t pause = RETRY_FIRST;

	for (uint32_t i = 1; i < stalled && pause < RETRY_MAX; i++)
		pause *= 2;
	return pause < RETRY_MAX ? pause : RETRY_MAX;
}
