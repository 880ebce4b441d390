/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "flow/flow.h"

/* Graphs: interning, forcing, and keys that two different computations never share. */

struct noop {
	struct cont cont;
	int	   *freed;
};

static struct err *
noop_call(struct cont *c unused_arg, struct graph *g unused_arg, struct value *const *in, size_t n unused_arg,
    struct value **out)
{
	*out = value_ref(in[0]);
	return NULL;
}

static void
noop_free(struct cont *c)
{
	++*container_of(c, struct noop, cont)->freed;
	free(container_of(c, struct noop, cont));
}

static const struct cont_ops noop_ops = { "noop", false, noop_call, noop_free };

static struct cont *
noop(int *freed)
{
	struct noop *k = xcalloc(1, sizeof *k);

	k->cont.refs = 1;
	k->cont.ops = &noop_ops;
	k->freed = freed;
	return &k->cont;
}

static struct digest
D(const char *text)
{
	struct digest d;

	sha256_of(text, strlen(text), &d);
	return d;
}

static void
test_interning(void **state unused_arg)
{
	struct graph *g = graph_new(NULL);
	struct digest minus = D("minus");
	struct flow *a = flow_intern(g, "/a", false, "x.A", NULL), *b = flow_intern(g, "/b", false, NULL, NULL);
	struct flow *ab[] = { a, b }, *ba[] = { b, a }, *k;
	int freed = 0;

	assert_ptr_equal(a, flow_intern(g, "/a", false, NULL, NULL));
	assert_ptr_not_equal(a, flow_intern(g, "/a", true, NULL, NULL));
	assert_string_equal(a->place->ident, "x.A");
	k = flow_k(g, &minus, ab, 2, NULL, 0, noop(&freed), NULL, NULL);
	assert_ptr_equal(k, flow_k(g, &minus, ab, 2, NULL, 0, noop(&freed), NULL, NULL));
	assert_int_equal(freed, 1);
	assert_ptr_not_equal(k, flow_k(g, &minus, ba, 2, NULL, 0, noop(&freed), NULL, NULL));
	assert_ptr_not_equal(k, flow_k(g, &minus, ab, 1, ab + 1, 1, noop(&freed), NULL, NULL));
	assert_int_equal(graph_nnodes(g), 6);
	assert_int_equal(graph_nedges(g), 6);
	graph_free(g);
	assert_int_equal(freed, 4);
}

static const struct flow_exec plain = {.image = "host",
    .cmd = "cat %s > %s",
    .args = (struct flow_arg[]){{false, 0, "f"}, {true, 0, "out"}},
    .nargs = 2,
    .outs = (struct flow_out[]){{"out", false}},
    .nouts = 1};

/* Each part changes the key; resources and names do not. */
static void
test_exec_keys(void **state unused_arg)
{
	struct digest in[2] = { D("one"), D("two") }, base, d;
	struct flow_arg swapped[] = {{true, 0, "out"}, {false, 0, "f"}}, second[] = {{false, 1, "f"}, {true, 0, "o"}};
	struct flow_out dir[] = { { "out", true } }, two[] = { { "out", false }, { "b", false } };
	static const char *const env[] = { "A=1", NULL };
	struct flow_exec v[8];
	size_t n = 0;

	flow_exec_key("", KEY_PHYSICAL, &plain, in, &base);
	v[n] = plain, v[n++].image = "host:2";
	v[n] = plain, v[n++].image_digest = "sha256:1";
	v[n] = plain, v[n++].cmd = "cat %s >%s";
	v[n] = plain, v[n++].args = swapped;
	v[n] = plain, v[n++].args = second;
	v[n] = plain, v[n++].outs = dir;
	v[n] = plain, v[n].nouts = 2, v[n++].outs = two;
	v[n] = plain, v[n++].env = env;
	for (size_t i = 0; i < n; i++) {
		flow_exec_key("", KEY_PHYSICAL, &v[i], in, &d);
		if (digest_equal(&d, &base))
			fail_msg("variation %zu has the same key", i);
	}
	flow_exec_key("", KEY_LOGICAL, &plain, in, &d);
	assert_false(digest_equal(&d, &base));
	flow_exec_key("u", KEY_PHYSICAL, &plain, in, &d);
	assert_false(digest_equal(&d, &base));
	v[0] = plain;
	v[0].resources.mem = 1e9;
	v[0].nondeterministic = true;
	v[0].args = (struct flow_arg[]){ { false, 0, "g" }, { true, 0, NULL } };
	flow_exec_key("", KEY_PHYSICAL, &v[0], in, &d);
	assert_true(digest_equal(&d, &base));
}

static void
test_components(void **state unused_arg)
{
	static const char *const want[] = { "universe", "image", "cmd", "arg[0] f", "arg[1] output out", "env" };
	struct digest in[1] = { D("one") };
	struct key_components c;

	flow_exec_components("", &plain, in, &c);
	assert_int_equal(c.n, nitems(want));
	for (size_t i = 0; i < c.n; i++)
		assert_string_equal(c.v[i].name, want[i]);
	assert_true(digest_equal(&c.v[3].digest, &in[0]));
	key_components_release(&c);
}

static struct value *
file_value(const char *text)
{
	struct file f = { .size = strlen(text) };

	sha256_of(text, strlen(text), &f.id);
	return value_file(&f);
}

static void
test_content_keys(void **state unused_arg)
{
	struct graph *g = graph_new(NULL);
	struct flow *a = flow_intern(g, "/a", false, NULL, NULL), *b = flow_intern(g, "file:///b", false, NULL, NULL);
	struct flow *data = flow_data(g, "hello", 5, NULL, NULL), *val = flow_val(g, file_value("hello"));
	struct flow *far = flow_intern(g, "s3://a/b", false, NULL, NULL);
	struct digest ka, kb, kd, kv;

	assert_true(flow_is_local_intern(a) && flow_is_local_intern(b) && !flow_is_local_intern(far));
	a->value = file_value("hello");
	b->value = file_value("hello");
	flow_logical_key("", a, NULL, &ka);
	flow_logical_key("", b, NULL, &kb);
	flow_logical_key("", data, NULL, &kd);
	flow_logical_key("", val, NULL, &kv);
	assert_true(digest_equal(&ka, &kb) && digest_equal(&ka, &kd) && digest_equal(&ka, &kv));
	value_unref(b->value);
	b->value = file_value("other");
	flow_logical_key("", b, NULL, &kb);
	assert_false(digest_equal(&ka, &kb));
	graph_free(g);
}

/* The key of a continuation follows the content of what it only mentions, and never holds a path. */
static void
test_captured_keys(void **state unused_arg)
{
	struct graph *g = graph_new(NULL), *h = graph_new(NULL);
	struct flow *a = flow_intern(g, "/a", false, NULL, NULL), *b = flow_intern(h, "/b", false, NULL, NULL);
	struct flow *va, *vb;
	struct digest one = D("one"), two = D("two"), ka, kb;
	struct value *parts[2] = { value_int(1), value_flow(a) }, *other[2] = { value_int(1), value_flow(b) };

	va = flow_val(g, value_list(parts, 2));
	vb = flow_val(h, value_list(other, 2));
	assert_int_equal(va->ndeps, 0);
	assert_int_equal(va->ncaptured, 1);
	assert_ptr_equal(va->deps[0], a);
	assert_false(digest_equal(&va->digest, &vb->digest));
	flow_logical_key("", va, &one, &ka);
	flow_logical_key("", vb, &one, &kb);
	assert_true(digest_equal(&ka, &kb));
	flow_logical_key("", vb, &two, &kb);
	assert_false(digest_equal(&ka, &kb));
	graph_free(g);
	graph_free(h);
}

static void
test_force(void **state unused_arg)
{
	static const char *const xy[] = { "x", "y" }, *const yx[] = { "y", "x" };
	struct graph *g = graph_new(NULL);
	struct flow *a = flow_intern(g, "/a", false, NULL, NULL), *b = flow_intern(g, "/b", false, NULL, NULL), *f, *f2;
	struct value *p[2] = { value_flow(a), value_flow(b) }, *q[2] = { value_flow(a), value_flow(b) };
	struct value *in[2] = { value_int(1), value_int(2) }, *out = NULL;
	struct buf text = BUF_INIT;

	assert_ptr_equal(flow_force(g, value_flow(a)), a);
	assert_int_equal(flow_force(g, value_int(3))->op, FLOW_VAL);
	f = flow_force(g, value_struct(xy, p, 2));
	f2 = flow_force(g, value_struct(yx, q, 2));
	assert_ptr_not_equal(f, f2);
	assert_int_equal(f->ndeps, 2);
	assert_null(f->u.k.cont->ops->call(f->u.k.cont, g, in, 2, &out));
	value_print(out, NULL, &text);
	assert_string_equal(buf_str(&text), "{x: 1, y: 2}");
	value_unref(out);
	/* What is forced twice is forced once. */
	assert_ptr_equal(flow_force(g, value_flow(f)), f);
	buf_release(&text);
	value_unref(in[0]);
	value_unref(in[1]);
	graph_free(g);
}

static struct flow *
exec_of(struct graph *g, const char *cmd, double cpu, double mem, struct flow *dep)
{
	struct flow_exec x = plain;

	x.cmd = cmd;
	resources_set(&x.resources, "cpu", cpu);
	resources_set(&x.resources, "mem", mem);
	return flow_exec(g, &x, &dep, 1, NULL, NULL);
}

static void
test_requirements(void **state unused_arg)
{
	struct graph *g = graph_new(NULL);
	struct flow *in = flow_intern(g, "/a", false, NULL, NULL), *x = exec_of(g, "a %s %s", 2, 4e9, in);
	struct flow *y = exec_of(g, "b %s %s", 8, 2e9, x), *w;
	struct requirements req = REQUIREMENTS_INIT, got = REQUIREMENTS_INIT;

	resources_set(&req.min, "cpu", 3);
	req.width = 1;
	w = flow_requirements(g, &req, y);
	assert_ptr_equal(w, flow_requirements(g, &req, y));
	flow_requirements_of(w, &got);
	assert_true(got.min.cpu == 8 && got.min.mem == 4e9 && got.width == 1);
	flow_requirements_of(w, &got);
	assert_int_equal(got.width, 1);
	requirements_release(&req);
	requirements_release(&got);
	graph_free(g);
}

/* A chain as deep as it gets: walks and the end of the graph need no stack. */
static void
test_deep_and_small(void **state unused_arg)
{
	struct graph *g = graph_new(NULL);
	struct flow *f = flow_intern(g, "/a", false, NULL, NULL);
	struct requirements req = REQUIREMENTS_INIT;
	size_t n = 100000;
	int freed = 0;

	for (size_t i = 0; i < n; i++) {
		struct digest own = D("k");

		f = flow_k(g, &own, &f, 1, NULL, 0, noop(&freed), NULL, NULL);
	}
	flow_requirements_of(f, &req);
	assert_int_equal(graph_nnodes(g), n + 1);
	assert_true(arena_bytes(graph_arena(g)) / n + 16 + sizeof(struct flow_edge) <= 400);
	graph_free(g);
	assert_int_equal(freed, n);
	requirements_release(&req);
}

/* Nodes of one place share what it says; what differs is each one's own. */
static void
test_shared_form(void **state unused_arg)
{
	static const char *const cmds[] = { "cat %s > %s", "cat  %s > %s", "cat -n %s > %s" };
	static const struct src_pos here = { "a.rf", 3, 9 };
	struct graph *g = graph_new(NULL);
	struct flow *in = flow_intern(g, "/a", false, NULL, NULL), *f[5];
	struct flow_exec x = plain, all;

	for (size_t i = 0; i < 3; i++) {
		x.cmd = cmds[i];
		f[i] = flow_exec(g, &x, &in, 1, "a.F", &here);
	}
	resources_set(&x.resources, "intel_avx", 2);
	x.cmd = "cat -b %s > %s";
	f[3] = flow_exec(g, &x, &in, 1, "a.G", &here);
	resources_release(&x.resources);
	x.image = "host:2";
	f[4] = flow_exec(g, &x, &in, 1, "a.G", &here);
	for (size_t i = 0; i < 3; i++) {
		assert_ptr_equal(f[i]->u.exec.form, f[0]->u.exec.form);
		assert_ptr_equal(f[i]->place, f[0]->place);
		all = flow_exec_of(f[i]);
		assert_string_equal(all.cmd, cmds[i]);
		assert_string_equal(all.image, "host");
	}
	assert_ptr_equal(f[3]->place, f[4]->place);
	assert_string_equal(f[3]->place->ident, "a.G");
	assert_string_equal(f[0]->place->ident, "a.F");
	assert_int_equal(f[0]->place->pos.line, 3);
	assert_true(resources_get(&f[3]->u.exec.form->resources, "intel_avx") == 2);
	assert_true(resources_get(&f[4]->u.exec.form->resources, "intel_avx") == 0);
	assert_string_equal(flow_exec_of(f[3]).image, "host");
	assert_string_equal(flow_exec_of(f[4]).image, "host:2");
	assert_string_equal(flow_exec_of(f[4]).cmd, x.cmd);
	graph_free(g);
}

/* Execs without text of their own: what a node costs in the arena. */
static void
test_exec_size(void **state unused_arg)
{
	struct graph *g = graph_new(NULL);
	struct flow *in = flow_intern(g, "/a", false, NULL, NULL);
	size_t n = 20000;

	for (size_t i = 0; i < n; i++) {
		struct flow_exec x = plain;

		resources_set(&x.resources, "cpu", (double)i);
		in = flow_exec(g, &x, &in, 1, "x.Main", NULL);
	}
	assert_int_equal(graph_nnodes(g), n + 1);
	assert_true(arena_bytes(graph_arena(g)) / n <= 400);
	graph_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interning),
		cmocka_unit_test(test_exec_keys),
		cmocka_unit_test(test_components),
		cmocka_unit_test(test_content_keys),
		cmocka_unit_test(test_captured_keys),
		cmocka_unit_test(test_force),
		cmocka_unit_test(test_requirements),
		cmocka_unit_test(test_deep_and_small),
		cmocka_unit_test(test_shared_form),
		cmocka_unit_test(test_exec_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
