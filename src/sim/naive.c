/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/naive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"
#include "eval/config.h"
#include "sim/command.h"
#include "sim/disk.h"
#include "sim/host.h"
#include "sim/watch.h"

/* Recursion over the graph, one visit a node. Its programs are small: no depth is too much for the stack. */

#define MEM_LEAST (500.0 * 1048576)
#define MEM_GROWTH 3.375	/* three retries, each with half as much again */

struct visited {
	struct flow   *node;
	struct value  *value;	/* owned; NULL: it failed */
	struct flow   *forked;	/* the flow that a continuation gave, or NULL */
	struct digest  pkey;	/* of an exec */
	bool	       busy, explained;
	UT_hash_handle hh;
};
struct distinct {
	struct digest  pkey;
	UT_hash_handle hh;
};
struct naive {
	struct world *world;
	const struct sim_run *run;
	struct graph *graph;
	struct value *main;
	struct flow  *root;
	struct visited *nodes;
	struct distinct *execs;
	bool	      failed;
	char	     *result;
	struct value *value;	/* likewise */
	struct resources most;	/* that an exec asks for, of each */
};

static struct value *visit(struct naive *, struct flow *);

/* A value without delayed parts; NULL if one of them fails. Gives. */
static struct value *
strict(struct naive *n, struct value *v)
{
	if (!v)
		return NULL;
	if (value_is_strict(v))
		return value_ref(v);
	v = visit(n, flow_force(n->graph, value_ref(v)));
	return v ? strict(n, v) : NULL;
}

struct contents {
	struct digest *v;
	size_t	       n, cap;
};

static void
contents_add(struct contents *c, const struct digest *d)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 16;
		c->v = xreallocarray(c->v, c->cap, sizeof *c->v);
	}
	c->v[c->n++] = *d;
}

static bool
contents_of(struct contents *c, const struct value *v)
{
	bool ok = true;

	switch (value_kind(v)) {
	case VAL_FILE:
		contents_add(c, &value_get_file(v)->id);
		return true;
	case VAL_DIR:
		for (size_t i = 0; i < fileset_nmap(value_get_dir(v)); i++)
			contents_add(c, &fileset_at(value_get_dir(v), i)->file.id);
		return true;
	case VAL_LIST:
		for (size_t i = 0; ok && i < value_len(v); i++)
			ok = value_kind(value_at(v, i)) != VAL_LIST && contents_of(c, value_at(v, i));
		return ok;
	default:
		return false;
	}
}

static bool
can_run(struct naive *n, const struct flow *f)
{
	double mem = f->u.exec.form->resources.mem > MEM_LEAST ? f->u.exec.form->resources.mem : MEM_LEAST;
	const struct host *h = TAILQ_FIRST(&n->world->hosts);
	struct command c;

	command_parse(f->u.exec.cmd, &c);
	resources_max(&n->most, &f->u.exec.form->resources);
	if (c.needs > mem)	/* it is tried with more */
		resources_set(&n->most, "mem", fmax(n->most.mem, mem * MEM_GROWTH));
	else
		resources_set(&n->most, "mem", fmax(n->most.mem, mem));
	while (h && !resources_available(&h->total, &f->u.exec.form->resources))
		h = TAILQ_NEXT(h, link);
	if (!h && !TAILQ_EMPTY(&n->world->hosts))
		return false;
	return c.fails != UINT32_MAX && c.needs <= mem * MEM_GROWTH;
}

static void
count_exec(struct naive *n, struct visited *x, struct value *const *in)
{
	const struct flow *f = x->node;
	struct flow_exec all = flow_exec_of(f);
	struct digest *digests = xcalloc(f->ndeps + 1, sizeof *digests);
	struct distinct *d;

	for (uint32_t i = 0; i < f->ndeps; i++)
		value_digest(in[i], &digests[i]);
	flow_exec_key(graph_universe(n->graph), KEY_PHYSICAL, &all, digests, &x->pkey);
	free(digests);
	HASH_FIND(hh, n->execs, &x->pkey, sizeof x->pkey, d);
	if (d)
		return;
	d = xcalloc(1, sizeof *d);
	d->pkey = x->pkey;
	HASH_ADD(hh, n->execs, pkey, sizeof d->pkey, d);
}

/* Gives the outputs; NULL: an operand is no file. */
static struct fileset *
outputs_of(const struct flow *f, struct value *const *in)
{
	const struct flow_exec *e = f->u.exec.form;
	struct command_input *holes = xcalloc(e->nargs + 1, sizeof *holes);
	struct command_output *outs = xcalloc(e->nouts + 1, sizeof *outs);
	struct contents c = { NULL, 0, 0 };
	struct fileset *fs = NULL;
	bool ok = true;
	size_t at = 0;

	for (size_t i = 0; ok && i < e->nargs; i++) {
		size_t before = c.n;

		holes[i].output = e->args[i].out;
		holes[i].index = e->args[i].out ? e->args[i].index : (unsigned)i;
		ok = e->args[i].out || contents_of(&c, in[e->args[i].index]);
		holes[i].n = c.n - before;
	}
	for (size_t i = 0; i < e->nargs; at += holes[i++].n)
		holes[i].content = c.v + at;
	for (size_t k = 0; k < e->nouts; k++)
		outs[k].dir = e->outs[k].dir;
	if (ok)
		fs = command_run(f->u.exec.cmd, holes, e->nargs, outs, e->nouts);
	free(holes);
	free(outs);
	free(c.v);
	return fs;
}

static struct value *
visit_exec(struct naive *n, struct visited *x)
{
	struct flow *f = x->node;
	struct value **in = xcalloc(f->ndeps + 1, sizeof *in), *v = NULL;
	struct fileset *fs = NULL;
	bool ok = true;

	for (uint32_t i = 0; i < f->ndeps; i++) {
		in[i] = strict(n, visit(n, f->deps[i]));
		ok = ok && in[i];
	}
	if (ok)
		count_exec(n, x, in);
	if (ok && can_run(n, f))
		fs = outputs_of(f, in);
	if (fs)
		err_free(node_value(f, fs, &v));
	fileset_unref(fs);
	for (uint32_t i = 0; i < f->ndeps; i++)
		value_unref(in[i]);
	free(in);
	return v;
}

static struct value *
visit_intern(struct naive *n, struct flow *f)
{
	const char *path = strncmp(f->u.intern.url, "file://", 7) == 0 ? f->u.intern.url + 7 : f->u.intern.url;
	struct fileset *fs = NULL;
	struct value *v = NULL;
	struct file file;

	if (f->u.intern.dir)
		fs = files_dir(n->world->files, path);
	else if (files_read(n->world->files, path, &file))
		fs = fileset_file(&file);
	if (fs)
		err_free(node_value(f, fs, &v));
	fileset_unref(fs);
	return v;
}

static struct value *
visit_k(struct naive *n, struct visited *x)
{
	struct flow *f = x->node;
	struct value **in = xcalloc(f->ndeps + 1, sizeof *in), *v = NULL, *out = NULL;
	struct err *err = NULL;
	bool ok = true;

	for (uint32_t i = 0; i < f->ndeps; i++)
		ok = (in[i] = visit(n, f->deps[i])) != NULL && ok;
	if (ok)
		err = f->u.k.cont->ops->call(f->u.k.cont, n->graph, in, f->ndeps, &out);
	free(in);
	if (!ok || err) {
		err_free(err);
		return NULL;
	}
	if (value_kind(out) != VAL_FLOW)
		return out;
	x->forked = value_get_flow(out);
	value_unref(out);
	v = visit(n, x->forked);
	return v ? value_ref(v) : NULL;
}

static struct value *
make(struct naive *n, struct visited *x)
{
	struct flow *f = x->node;
	struct value *v;
	struct file file;

	switch (f->op) {
	case FLOW_EXEC:
		return visit_exec(n, x);
	case FLOW_INTERN:
		return visit_intern(n, f);
	case FLOW_K:
		return visit_k(n, x);
	case FLOW_VAL:
		return value_ref(f->u.val.value);
	case FLOW_DATA:
		file.size = f->u.data.len;
		sha256_of(f->u.data.p, f->u.data.len, &file.id);
		return value_file(&file);
	case FLOW_REQUIREMENTS:
		v = visit(n, f->deps[0]);
		return v ? value_ref(v) : NULL;
	case FLOW_EXTERN:
		return NULL;
	}
	return NULL;
}

/* Borrowed; NULL: it failed. */
static struct value *
visit(struct naive *n, struct flow *f)
{
	struct visited *x;

	HASH_FIND_PTR(n->nodes, &f, x);
	if (x)
		return x->value;
	x = xcalloc(1, sizeof *x);
	x->node = f;
	HASH_ADD_PTR(n->nodes, node, x);
	x->value = make(n, x);
	n->failed = n->failed || !x->value;
	return x->value;
}

struct naive *
naive_new(struct world *w, const struct sim_run *run)
{
	struct naive *n = xcalloc(1, sizeof *n);
	struct graph_config config = { .universe = run->config.universe ? run->config.universe : "" };
	struct value *v = NULL;
	struct buf text = BUF_INIT;
	struct err *err;

	n->world = w;
	n->run = run;
	resources_set(&n->most, "cpu", 1);
	n->graph = graph_new(&config);
	err = program_instantiate(run->program->program, n->graph, SIM_DIR, &run->params, &n->main);
	if (!err) {
		n->root = value_kind(n->main) == VAL_FLOW ? value_get_flow(n->main) : flow_val(n->graph, value_ref(n->main));
		v = strict(n, visit(n, n->root));
	}
	err_free(err);
	n->failed = !v;
	if (v) {
		value_print(v, program_main_type(run->program->program), &text);
		n->result = buf_take(&text, NULL);
	}
	n->value = v;
	return n;
}

void
naive_free(struct naive *n)
{
	struct visited *x, *xt;
	struct distinct *d, *dt;

	if (!n)
		return;
	HASH_ITER(hh, n->nodes, x, xt) {
		HASH_DEL(n->nodes, x);
		value_unref(x->value);
		free(x);
	}
	resources_release(&n->most);
	HASH_ITER(hh, n->execs, d, dt) {
		HASH_DEL(n->execs, d);
		free(d);
	}
	value_unref(n->value);
	value_unref(n->main);
	graph_free(n->graph);
	free(n->result);
	free(n);
}

bool
naive_failed(const struct naive *n)
{
	return n->failed;
}

const char *
naive_result(const struct naive *n)
{
	return n->result;
}

size_t
naive_nexecs(const struct naive *n)
{
	return HASH_COUNT(n->execs);
}

struct there {
	const struct sim_objects *objects;
	bool all;
};

static void
there_cb(unused_arg const char *path, const struct file *f, void *arg)
{
	struct there *t = arg;

	t->all = t->all && objects_has(t->objects, &f->id);
}

bool
naive_result_there(const struct naive *n, const struct sim_objects *objects)
{
	struct there t = { objects, true };

	if (n->value)
		value_each_file(n->value, there_cb, &t);
	return t.all;
}

void
naive_most(const struct naive *n, struct resources *out)
{
	resources_copy(out, &n->most);
}

/* Explanations. */

struct explaining {
	struct naive *n;
	const struct watch_run *r;
	const char   *missing;
};

static void explain(struct explaining *, struct flow *);

static void
explain_cb(struct flow *f, void *arg)
{
	explain(arg, f);
}

static void
explain(struct explaining *e, struct flow *f)
{
	struct visited *x;

	HASH_FIND_PTR(e->n->nodes, &f, x);
	if (!x || x->explained || e->missing)	/* not visited: its value was not needed */
		return;
	x->explained = true;
	if (f->op == FLOW_EXEC) {
		if (!watch_run_explains(e->r, &f->digest, &x->pkey))
			e->missing = f->place->ident ? f->place->ident : "an exec";
		return;
	}
	for (uint32_t i = 0; i < f->ndeps; i++)
		explain(e, f->deps[i]);
	if (x->forked)
		explain(e, x->forked);
	if (x->value && !value_is_strict(x->value)) {
		value_each_flow(x->value, explain_cb, e);
		explain(e, flow_force(e->n->graph, value_ref(x->value)));
	}
}

const char *
naive_unexplained(struct naive *n, const struct watch_run *r)
{
	struct explaining e = { n, r, NULL };

	if (n->root)
		explain(&e, n->root);
	return e.missing;
}

/* Programs. */

struct sim_program *
sim_program_new(const char *name, const char *text, struct buf *diag)
{
	struct sim_program *p = xcalloc(1, sizeof *p);
	struct sources *s = sources_new();
	char *path = xasprintf("%s.rf", name);
	struct err *err = sources_add(s, path, text, strlen(text), NULL);

	p->name = xstrdup(name);
	p->text = xstrdup(text);
	if (err) {
		sources_free(s);
	} else {
		err = program_open(path, s, diag, &p->program);
	}
	free(path);
	if (err) {
		char *why = err_str(err);

		buf_addf(diag, "%s\n", why);
		free(why);
		err_free(err);
		sim_program_free(p);
		return NULL;
	}
	return p;
}

void
sim_program_free(struct sim_program *p)
{
	if (!p)
		return;
	program_free(p->program);
	free(p->name);
	free(p->text);
	free(p);
}
