/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * Identities and keys. Three domains keep them apart: a node's digest never equals a key, and a logical
 * key never equals a physical one. What is easy to get wrong: identity tells local inputs by path and
 * keys by content, so nothing that enters a key may hold a node's digest.
 */

static void
add_exec(struct w1 *w, const char *universe, const struct flow_exec *x, const struct digest *in)
{
	uint32_t nenv = 0;

	w1_add_str(w, W1_TEXT, 0, universe);
	w1_add_str(w, W1_TEXT, 1, x->image);
	w1_add_str(w, W1_TEXT, 2, x->image_digest);
	w1_add_str(w, W1_TEXT, 3, x->cmd);
	w1_add_u64(w, 0, x->nargs);
	for (uint32_t i = 0; i < x->nargs; i++) {
		const struct flow_arg *a = &x->args[i];
		uint32_t index = a->index;

		if (a->out)
			w1_add(w, W1_OUTPUT, i, &index, sizeof index);
		else
			w1_add_digest(w, W1_INPUT, i, &in[a->index]);
		slice_breathe(1);
	}
	w1_add_u64(w, 1, x->nouts);
	for (uint32_t i = 0; i < x->nouts; i++)
		w1_add_str(w, W1_OUTPUT, i, x->outs[i].dir ? "dir" : "file");
	while (x->env != NULL && x->env[nenv] != NULL) {
		w1_add_str(w, W1_NAME, nenv, x->env[nenv]);
		nenv++;
	}
}

/* The outputs' index enters as little endian bytes on every machine we run on. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are little endian");

/*
 * Two execs that differ only in nondeterminism are two nodes, though they have one key. Deps that no
 * hole mentions enter too: they are waited for.
 */
void
node_digest_exec(
    const char *universe, const struct flow_exec *x, struct flow *const *deps, size_t n, struct digest *out)
{
	struct digest few[8], *in = n <= nitems(few) ? few : xcalloc(n, sizeof *in);
	struct w1 w;

	for (size_t i = 0; i < n; i++) {
		in[i] = deps[i]->digest;
		slice_breathe(1);
	}
	w1_init(&w, "node-exec");
	add_exec(&w, universe, x, in);
	w1_add_u64(&w, 2, x->nondeterministic);
	for (size_t i = 0; i < n; i++) {
		w1_add_digest(&w, W1_DIGEST, (uint32_t)i, &in[i]);
		slice_breathe(1);
	}
	w1_final(&w, out);
	if (in != few)
		free(in);
}

void
node_digest_url(const char *domain, const char *url, bool dir, const struct flow *dep, struct digest *out)
{
	struct w1 w;

	w1_init(&w, domain);
	w1_add_str(&w, W1_TEXT, 0, url);
	w1_add_u64(&w, 0, dir);
	if (dep != NULL)
		w1_add_digest(&w, W1_INPUT, 0, &dep->digest);
	w1_final(&w, out);
}

static void
add_k(struct w1 *w, const struct digest *own, size_t ndeps, size_t ncaptured)
{
	w1_add_digest(w, W1_DIGEST, 0, own);
	w1_add_u64(w, 0, ndeps);
	w1_add_u64(w, 1, ncaptured);
}

void
node_digest_k(const struct digest *own, struct flow *const *deps, size_t ndeps, struct flow *const *captured,
    size_t ncaptured, struct digest *out)
{
	struct w1 w;

	w1_init(&w, "node-k");
	add_k(&w, own, ndeps, ncaptured);
	for (size_t i = 0; i < ndeps + ncaptured; i++) {
		if (i < ndeps)
			w1_add_digest(&w, W1_INPUT, (uint32_t)i, &deps[i]->digest);
		else
			w1_add_digest(&w, W1_DELAYED, (uint32_t)(i - ndeps), &captured[i - ndeps]->digest);
		slice_breathe(2);
	}
	w1_final(&w, out);
}

void
node_digest_requirements(const struct requirements *req, const struct flow *dep, struct digest *out)
{
	struct buf text = BUF_INIT;
	struct w1 w;

	buf_addf(&text, "%a %a %a %d", req->min.mem, req->min.cpu, req->min.disk, req->width);
	for (unsigned i = 0; i < req->min.nfeatures; i++)
		buf_addf(&text, " %s=%a", req->min.features[i].label, req->min.features[i].amount);
	w1_init(&w, "node-requirements");
	w1_add_str(&w, W1_TEXT, 0, buf_str(&text));
	w1_add_digest(&w, W1_INPUT, 0, &dep->digest);
	w1_final(&w, out);
	buf_release(&text);
}

void
flow_exec_key(const char *universe, enum key_domain domain, const struct flow_exec *x, const struct digest *in,
    struct digest *out)
{
	struct w1 w;

	w1_init(&w, domain == KEY_LOGICAL ? "exec-logical" : "exec-physical");
	add_exec(&w, universe, x, in);
	w1_final(&w, out);
}

static void
k_key(const char *universe, const struct flow *f, const struct digest *in, struct digest *out)
{
	struct w1 w;

	w1_init(&w, "k-logical");
	w1_add_str(&w, W1_TEXT, 0, universe);
	add_k(&w, f->u.k.own, f->ndeps, f->ncaptured);
	for (uint32_t i = 0; i < f->ndeps + f->ncaptured; i++) {
		w1_add_digest(&w, i < f->ndeps ? W1_INPUT : W1_DELAYED, i, &in[i]);
		slice_breathe(1);
	}
	w1_final(&w, out);
}

/* What is known by its content has one key, whether it was read, made from text, or written into the program. */
static void
content_key(const struct value *v, const struct digest *in, size_t n, struct digest *out)
{
	struct digest d;
	struct w1 w;

	value_skeleton(v, &d);
	w1_init(&w, "content");
	w1_add_digest(&w, W1_DIGEST, 0, &d);
	for (size_t i = 0; i < n; i++) {
		w1_add_digest(&w, W1_DELAYED, (uint32_t)i, &in[i]);
		slice_breathe(1);
	}
	w1_final(&w, out);
}

static void
data_key(const struct flow *f, struct digest *out)
{
	struct file file = { .size = f->u.data.len };
	struct value *v;

	sha256_of(f->u.data.p, f->u.data.len, &file.id);
	v = value_file(&file);
	content_key(v, NULL, 0, out);
	value_unref(v);
}

static void
url_key(const char *domain, const char *universe, const struct flow *f, const struct digest *in, struct digest *out)
{
	struct w1 w;

	w1_init(&w, domain);
	w1_add_str(&w, W1_TEXT, 0, universe);
	w1_add_str(&w, W1_TEXT, 1, f->u.intern.url);
	w1_add_u64(&w, 0, f->u.intern.dir);
	if (f->ndeps > 0)
		w1_add_digest(&w, W1_INPUT, 0, &in[0]);
	w1_final(&w, out);
}

void
flow_logical_key(const char *universe, const struct flow *f, const struct digest *in, struct digest *out)
{
	struct flow_exec x;

	switch (f->op) {
	case FLOW_EXEC:
		x = flow_exec_of(f);
		flow_exec_key(universe, KEY_LOGICAL, &x, in, out);
		return;
	case FLOW_INTERN:
		if (flow_is_local_intern(f) && f->value != NULL)
			content_key(f->value, NULL, 0, out);
		else
			url_key("intern-logical", universe, f, in, out);
		return;
	case FLOW_EXTERN:
		url_key("extern-logical", universe, f, in, out);
		return;
	case FLOW_K:
		k_key(universe, f, in, out);
		return;
	case FLOW_VAL:
		content_key(f->u.val.value, in, f->ncaptured, out);
		return;
	case FLOW_DATA:
		data_key(f, out);
		return;
	case FLOW_REQUIREMENTS:
		*out = in[0];
		return;
	}
}

static struct key_component *
component_add(struct key_components *c, const char *name)
{
	struct key_component *k;

	c->v = xreallocarray(c->v, c->n + 1, sizeof *c->v);
	k = &c->v[c->n++];
	k->name = xstrdup(name);
	memset(&k->digest, 0, sizeof k->digest);
	return k;
}

static void
component_text(struct key_components *c, const char *name, const char *text)
{
	if (text != NULL)
		sha256_of(text, strlen(text), &component_add(c, name)->digest);
}

static void
component_env(struct key_components *c, const char *const *env)
{
	struct buf text = BUF_INIT;

	for (; env != NULL && *env != NULL; env++)
		buf_addf(&text, "%s\n", *env);
	component_text(c, "env", buf_str(&text));
	buf_release(&text);
}

void
flow_exec_components(
    const char *universe, const struct flow_exec *x, const struct digest *in, struct key_components *out)
{
	memset(out, 0, sizeof *out);
	component_text(out, "universe", universe);
	component_text(out, "image", x->image);
	component_text(out, "image digest", x->image_digest);
	component_text(out, "cmd", x->cmd);
	for (size_t i = 0; i < x->nargs; i++) {
		const struct flow_arg *a = &x->args[i];
		char *name =
		    xasprintf("arg[%zu]%s%s%s", i, a->out ? " output" : "", a->name ? " " : "", a->name ? a->name : "");
		struct key_component *k = component_add(out, name);
		const struct flow_out *o = a->out ? &x->outs[a->index] : NULL;
		char *text = o ? xasprintf("%u %s", a->index, o->dir ? "dir" : "file") : NULL;

		if (o != NULL)
			sha256_of(text, strlen(text), &k->digest);
		else
			k->digest = in[a->index];
		free(text);
		free(name);
	}
	component_env(out, x->env);
}

void
key_components_release(struct key_components *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].name);
	free(c->v);
	memset(c, 0, sizeof *c);
}
