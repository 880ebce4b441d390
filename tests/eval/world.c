/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/xalloc.h"
#include "iface/later.h"

static void
say(struct world *w, const char *what, const struct flow *f, const char *more)
{
	buf_addf(&w->said, "%s %s%s\n", what, f->place->ident ? f->place->ident : f->op == FLOW_INTERN ? f->u.intern.url : "?", more);
}

static void
note(const struct eval_event *ev, void *arg)
{
	struct world *w = arg;

	switch (ev->kind) {
	case EV_STARTED:
		assert_non_null(ev->config);
		assert_true(ev->components->n > 0);
		say(w, "started", ev->node, ev->joined ? " joined" : "");
		return;
	case EV_HIT:
		say(w, "hit", ev->node, ev->logical ? " logical" : " physical");
		return;
	case EV_LOST:
		assert_true(!ev->object != !ev->result);
		say(w, "lost", ev->node, ev->object ? "'s object" : "");
		if (ev->object && digest_equal(&ev->node->pkey, &w->known_key))
			exec_result_release(&w->known);
		return;
	case EV_INTERN:
	case EV_ENDED:
		fail_msg("an end is not merely noted");
	}
}

struct commit {
	struct world *w;
	char	     *text;
	void (*cb)(struct err *, void *);
	void	     *cbarg;
	struct err   *err;
};

static void
commit_run(void *data)
{
	struct commit c = *(struct commit *)data;

	free(data);
	buf_addstr(&c.w->said, c.err ? "" : c.text);
	free(c.text);
	c.cb(c.err, c.cbarg);
}

static void
commit_drop(void *data)
{
	struct commit *c = data;

	err_free(c->err);
	free(c->text);
	free(c);
}

static struct op *
commit(const struct eval_event *ev, void (*cb)(struct err *, void *), void *cbarg, void *arg)
{
	struct world *w = arg;
	struct commit *c = xcalloc(1, sizeof *c);
	struct flow *f = (struct flow *)ev->node;

	assert_true(ev->kind == EV_INTERN || ev->kind == EV_ENDED);
	assert_int_not_equal(f->state, FLOW_DONE);
	c->w = w;
	c->text = xasprintf("%s %s%s\n", ev->kind == EV_INTERN ? "intern" : "ended",
	    f->place->ident ? f->place->ident : f->u.intern.url, ev->result->state == ATTEMPT_FAILED ? " failed" : "");
	c->cb = cb;
	c->cbarg = cbarg;
	c->err = fake_fault(&w->fake, "commit");
	w->ncommits++;
	return later_start(w->loop, "commit", commit_run, commit_drop, c);
}

static const struct exec_result *
known_exec(const struct digest *pkey, void *arg)
{
	struct world *w = arg;

	return w->known.state && digest_equal(pkey, &w->known_key) ? &w->known : NULL;
}

static const struct exec_result *
known_intern(const char *url, void *arg)
{
	struct world *w = arg;

	return w->known_url && strcmp(url, w->known_url) == 0 ? &w->known_input : NULL;
}

static double
memory(const char *ident, double asked, void *arg)
{
	struct world *w = arg;

	return w->learned_ident && strcmp(ident, w->learned_ident) == 0 && asked <= w->learned ? w->learned : 0;
}

static void
hold_cb(struct sched_alloc *hold, struct err *err, void *arg)
{
	assert_ok(err);
	((struct world *)arg)->hold = hold;
}

void
world_on(struct world *w, struct loop *loop, const char *resources)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct torture *torture;
	struct digest id = { { 7 } };

	memset(w, 0, sizeof *w);
	w->loop = loop;
	fake_init(&w->fake, loop, resources);
	torture = w->fake.torture;
	w->fake.torture = NULL;
	w->sched = sched_new(loop, &w->fake.cluster);
	sched_allocate_start(w->sched, &req, NULL, NULL, hold_cb, w);
	while (!w->hold)
		loop_turn(loop, true);
	w->fake.torture = torture;
	w->run = sched_run_new(w->sched, &id, w->hold);
	w->args.config.cache = CACHE_READ_WRITE;
	w->args.config.claim.run = id;
	w->args.config.lookup_timeout = SECONDS(60);
	w->args.run = w->run;
	w->args.assoc = &w->fake.assoc;
	w->args.dir = "/home";
	w->args.host = (struct eval_host){ note, commit, known_exec, known_intern, memory, NULL, w };
	world_graph(w);
}

void
world_init(struct world *w, const char *resources)
{
	struct clock *clock = clock_virtual_new(SECONDS(1700000000));

	world_on(w, loop_new(clock), resources);
	w->clock = clock;
}

static void
world_forget(struct world *w)
{
	value_unref(w->value);
	err_free(w->err);
	w->value = NULL;
	w->err = NULL;
	w->over = false;
	buf_clear(&w->failed);
}

void
world_graph(struct world *w)
{
	static const struct graph_config config = { "" };

	world_forget(w);
	graph_free(w->graph);
	w->graph = graph_new(&config);
	w->args.graph = w->graph;
}

static void
over(struct value *value, struct err *err, void *arg)
{
	struct world *w = arg;
	size_t n;
	struct flow *const *fails = eval_failures(w->eval, &n);

	assert_true(!value != !err);
	w->stats = *eval_stats(w->eval);
	for (size_t i = 0; i < n; i++)
		buf_addf(&w->failed, "%s%s", i ? " " : "", fails[i]->place->ident ? fails[i]->place->ident : "?");
	w->eval = NULL;
	w->over = true;
	w->value = value;
	w->err = err;
}

void
world_start(struct world *w, struct flow *root)
{
	w->args.root = root;
	w->eval = eval_start(w->loop, &w->args, over, w);
}

void
world_until(struct world *w)
{
	while (!w->over)
		assert_true(loop_turn(w->loop, true) || w->over);
	assert_int_equal(w->stats.running, 0);
	assert_in_range(w->stats.visits, 0, w->stats.nodes + w->stats.edges);
	assert_in_range(w->stats.key_visits, 0, w->stats.nodes + w->stats.edges);
}

void
world_run(struct world *w, struct flow *root)
{
	world_start(w, root);
	world_until(w);
}

static void
released_cb(struct err *err, void *arg)
{
	err_free(err);
	*(bool *)arg = true;
}

void
world_close(struct world *w)
{
	bool released = false;

	eval_cancel(&w->eval);
	world_forget(w);
	graph_free(w->graph);
	w->fake.torture = NULL;
	sched_run_free(w->run);
	sched_alloc_release_start(w->hold, 0, released_cb, &released);
	while (!released)
		loop_turn(w->loop, true);
	sched_free(w->sched);
	exec_result_release(&w->known);
	exec_result_release(&w->known_input);
	fake_release(&w->fake);
	buf_release(&w->said);
	buf_release(&w->failed);
}

void
world_release(struct world *w)
{
	struct loop *loop = w->loop;
	struct clock *clock = w->clock;

	world_close(w);
	loop_report_live(loop);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock);
}

void
assert_text(struct buf *b, const char *text, const char *file, int line)
{
	if (strcmp(buf_str(b), text) != 0) {
		print_error("it says:\n%sexpected:\n%s", buf_str(b), text);
		_fail(file, line);
	}
	buf_clear(b);
}

static struct flow *
exec_node(struct world *w, const char *ident, unsigned nouts, struct flow *const *deps, unsigned ndeps,
    const char *resources)
{
	static const char *const names[] = { "o0", "o1", "o2", "o3" };
	struct flow_exec x = { .image = "host" };
	struct flow_arg *args = xcalloc(ndeps + nouts + 1, sizeof *args);
	struct flow_out *outs = xcalloc(nouts + 1, sizeof *outs);
	struct src_pos pos = { "t.rf", 3, 5 };
	struct buf cmd = BUF_INIT;
	struct flow *f;

	buf_addstr(&cmd, ident);
	for (uint32_t i = 0; i < ndeps; i++)
		args[i] = (struct flow_arg){ false, i, "in" };
	for (uint32_t i = 0; i < nouts; i++) {
		args[ndeps + i] = (struct flow_arg){ true, i, NULL };
		outs[i] = (struct flow_out){ names[i], i == 2 };
	}
	for (unsigned i = 0; i < ndeps + nouts; i++)
		buf_addstr(&cmd, " %s");
	x.cmd = buf_str(&cmd);
	x.args = args;
	x.nargs = ndeps + nouts;
	x.outs = outs;
	x.nouts = nouts;
	if (resources)
		assert_ok(resources_parse(&x.resources, resources));
	f = flow_exec(w->graph, &x, deps, ndeps, ident, &pos);
	resources_release(&x.resources);
	buf_release(&cmd);
	free(args);
	free(outs);
	return f;
}

struct flow *
n_execv(struct world *w, const char *ident, unsigned nouts, struct flow *const *deps, unsigned ndeps)
{
	return exec_node(w, ident, nouts, deps, ndeps, NULL);
}

struct flow *
n_exec_res(struct world *w, const char *ident, const char *resources)
{
	return exec_node(w, ident, 1, NULL, 0, resources);
}

struct flow *
n_exec(struct world *w, const char *ident, unsigned nouts, unsigned ndeps, ...)
{
	struct flow *deps[16];
	va_list ap;

	va_start(ap, ndeps);
	for (unsigned i = 0; i < ndeps; i++)
		deps[i] = va_arg(ap, struct flow *);
	va_end(ap);
	return n_execv(w, ident, nouts, deps, ndeps);
}

struct flow *
n_file(struct world *w, const char *url)
{
	return flow_intern(w->graph, url, false, NULL, NULL);
}

struct flow *
n_dir(struct world *w, const char *url)
{
	return flow_intern(w->graph, url, true, NULL, NULL);
}

struct test_cont {
	struct cont   cont;
	struct world *w;
	k_fn	     *fn;
};

static struct err *
cont_call(struct cont *c, unused_arg struct graph *g, struct value *const *in, size_t n, struct value **out)
{
	struct test_cont *t = container_of(c, struct test_cont, cont);

	return t->fn(t->w, in, n, out);
}

static void
cont_free(struct cont *c)
{
	free(container_of(c, struct test_cont, cont));
}

static const struct cont_ops cont_ops = { .name = "test", .call = cont_call, .free = cont_free };

struct flow *
n_k(struct world *w, const char *name, k_fn *fn, struct flow *const *deps, unsigned ndeps, struct flow *captured)
{
	struct test_cont *t = xcalloc(1, sizeof *t);
	struct digest own;

	t->cont.refs = 1;
	t->cont.ops = &cont_ops;
	t->w = w;
	t->fn = fn;
	sha256_of(name, strlen(name), &own);
	return flow_k(w->graph, &own, deps, ndeps, &captured, captured ? 1 : 0, &t->cont, name, NULL);
}

static struct value **
refs(struct value *const *in, size_t n)
{
	struct value **v = xcalloc(n + 1, sizeof *v);

	for (size_t i = 0; i < n; i++)
		v[i] = value_ref(in[i]);
	return v;
}

struct err *
k_tuple(unused_arg struct world *w, struct value *const *in, size_t n, struct value **out)
{
	struct value **v = refs(in, n);

	*out = value_tuple(v, n);
	free(v);
	return NULL;
}

struct err *
k_list(unused_arg struct world *w, struct value *const *in, size_t n, struct value **out)
{
	struct value **v = refs(in, n);

	*out = value_list(v, n);
	free(v);
	return NULL;
}

const char *world_x = "x";

static const char *
content(unused_arg struct fake *f, const char *url, unused_arg void *arg)
{
	if (strcmp(url, "/home/x") == 0)
		return world_x;
	if (strcmp(url, "/home/y") == 0 || strcmp(url, "/data/d") == 0 || strcmp(url, "/data/d/x") == 0)
		return "y";
	return NULL;
}

void
world_begin(struct world *w)
{
	world_init(w, "cpu=2,mem=8GiB,disk=10GiB");
	w->fake.content = content;
	world_x = "x";
}

struct flow *
n_small(struct world *w)
{
	struct flow *a = n_exec(w, "a", 1, 1, n_file(w, "x")), *b = n_exec(w, "b", 1, 1, n_file(w, "y"));

	return n_exec(w, "c", 1, 2, a, b);
}
