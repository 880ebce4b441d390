/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/log.h"
#include "base/xalloc.h"

/*
 * Random graphs: whatever the mode of evaluation and whatever the cache remembers, the value is the
 * one that a naive evaluator finds, and the execs are those that it must run. And torture: the
 * evaluation is cancelled, and each call below it fails, at every turn.
 */

#define MAX_NODES 40

static uint64_t rng;

static unsigned
rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 33) % n;
}

/* What a local input holds: few different contents, so that different paths meet. */
static const char *
content(unused_arg struct fake *f, const char *url, unused_arg void *arg)
{
	static const char *const texts[] = { "one", "two", "three" };
	unsigned n = (unsigned)strlen(url) ? (unsigned char)url[strlen(url) - 1] : 0;

	return n % 7 == 0 ? NULL : texts[n % 3];
}

/* A command fails if its name says so. */
static bool
is_bad(const char *ident)
{
	return ident && strncmp(ident, "bad", 3) == 0;
}

static void
run_cb(unused_arg struct fake *f, const struct exec_config *c, struct exec_result *r, int64_t *ns, unused_arg void *arg)
{
	*ns = MILLIS(1 + c->key.b[0]);
	if (!is_bad(c->ident))
		return;
	r->state = ATTEMPT_FAILED;
	r->err = err_msg(ERR_EXEC, "exited with status 1");
}

static struct err *
k_exec_over(struct world *w, struct value *const *in, size_t n, struct value **out)
{
	struct flow *deps[4];

	for (size_t i = 0; i < n; i++)
		deps[i] = flow_val(w->graph, value_ref(in[i]));
	*out = value_flow(n_execv(w, "inner", 1, deps, (unsigned)n));
	return NULL;
}

static struct err *
k_delay(struct world *w, struct value *const *in, size_t n, struct value **out)
{
	struct value *v[5];

	for (size_t i = 0; i < n; i++)
		v[i] = value_ref(in[i]);
	v[n] = value_flow(n_exec(w, "late", 1, 0));
	*out = value_list(v, n + 1);
	return NULL;
}

/* Files only, for execs' operands: execs, interns, and forks into execs; lists as the top. */
static struct flow *
random_graph(struct world *w, uint64_t seed)
{
	struct flow *v[MAX_NODES], *deps[4], *made;
	unsigned n = 0, want, nd;
	char name[32];

	rng = seed * 0x9e3779b97f4a7c15u + 1;
	want = 3 + rnd(MAX_NODES - 6);
	while (n < want) {
		nd = n == 0 ? 0 : rnd(4);
		for (unsigned i = 0; i < nd; i++)
			deps[i] = v[n - 1 - rnd(n < 6 ? n : 6)];
		snprintf(name, sizeof name, "%s%u", rnd(40) == 0 ? "bad" : "e", rnd(30));
		switch (rnd(5)) {
		case 0:
			snprintf(name, sizeof name, "in%u", seed % 4 == 0 ? rnd(10) : 2 + rnd(5));
			made = n_file(w, name);
			break;
		case 1:
			snprintf(name, sizeof name, "k%u", rnd(30));
			made = n_k(w, name, k_exec_over, deps, nd, rnd(3) == 0 && n ? v[rnd(n)] : NULL);
			break;
		default:
			made = n_execv(w, name, 1, deps, nd);
		}
		v[n++] = made;
	}
	for (unsigned i = 0; i < 3; i++)
		deps[i] = v[n - 1 - i];
	return n_execv(w, "top", 2, &(struct flow *){ n_k(w, "delay", k_delay, deps, 3, NULL) }, 1);
}

/* The naive evaluator: recursion and a table. */
struct naive {
	struct world *w;
	struct flow  *node[1000];
	struct value *value[1000];	/* NULL: it failed */
	size_t	      n;
	struct digest ran[1000];	/* keys of execs that must run, without a cache */
	size_t	      nran;
};

static struct value *naive_eval(struct naive *, struct flow *);

static struct value *
naive_force(struct naive *nv, const struct value *v)
{
	struct value *e[16], *x;
	size_t n = 0;

	if (value_is_strict(v))
		return value_ref(v);
	if (value_kind(v) == VAL_FLOW) {
		x = naive_eval(nv, value_get_flow(v));
		return x ? naive_force(nv, x) : NULL;
	}
	for (size_t i = 0; i < value_len(v); i++) {
		x = naive_force(nv, value_at(v, i));
		if (x) {
			e[n++] = x;
		} else {
			while (n > 0)
				value_unref(e[--n]);
			return NULL;
		}
	}
	return value_list(e, n);
}

static struct value *
naive_output(const struct digest *key, unsigned k)
{
	struct file f = { .size = 10 + k };
	struct w1 w;

	w1_init(&w, "fake-output");
	w1_add_digest(&w, W1_DIGEST, 0, key);
	w1_add_u64(&w, 0, k);
	w1_add_u64(&w, 1, 0);
	w1_final(&w, &f.id);
	return value_file(&f);
}

static struct value *
naive_exec(struct naive *nv, const struct flow *f, struct value *const *in)
{
	struct flow_exec x = flow_exec_of(f);
	struct digest d[4], key;
	struct value *out[2];
	size_t i;

	for (i = 0; i < f->ndeps; i++)
		value_digest(in[i], &d[i]);
	flow_exec_key("", KEY_PHYSICAL, &x, d, &key);
	for (i = 0; i < nv->nran && !digest_equal(&nv->ran[i], &key); i++)
		;
	if (i == nv->nran)
		nv->ran[nv->nran++] = key;
	if (is_bad(f->place->ident))
		return NULL;
	if (f->u.exec.form->nouts == 1)
		return naive_output(&key, 0);
	out[0] = naive_output(&key, 0);
	out[1] = naive_output(&key, 1);
	return value_tuple(out, 2);
}

static struct value *
naive_one(struct naive *nv, struct flow *f)
{
	struct value *in[4] = { NULL }, *out = NULL, *got;
	bool ok = true;
	struct file file;
	const char *text;

	for (uint32_t i = 0; i < f->ndeps; i++) {
		got = naive_eval(nv, f->deps[i]);
		if (got)
			in[i] = f->op == FLOW_EXEC ? naive_force(nv, got) : value_ref(got);
		ok = ok && in[i] != NULL;
	}
	if (ok && f->op == FLOW_VAL) {
		out = value_ref(f->u.val.value);
	} else if (ok && f->op == FLOW_INTERN) {
		text = content(NULL, f->u.intern.url, NULL);
		if (text) {
			sha256_of(text, strlen(text), &file.id);
			file.size = strlen(text);
			out = value_file(&file);
		}
	} else if (ok && f->op == FLOW_EXEC) {
		out = naive_exec(nv, f, in);
	} else if (ok) {
		assert_ok(f->u.k.cont->ops->call(f->u.k.cont, nv->w->graph, in, f->ndeps, &out));
		if (value_kind(out) == VAL_FLOW) {
			got = naive_eval(nv, value_get_flow(out));
			value_unref(out);
			out = got ? value_ref(got) : NULL;
		}
	}
	for (uint32_t i = 0; i < f->ndeps; i++)
		value_unref(in[i]);
	return out;
}

/* Borrows. */
static struct value *
naive_eval(struct naive *nv, struct flow *f)
{
	struct value *v;

	for (size_t i = 0; i < nv->n; i++)
		if (nv->node[i] == f)
			return nv->value[i];
	v = naive_one(nv, f);
	nv->node[nv->n] = f;
	nv->value[nv->n++] = v;
	return v;
}

static void
naive_free(struct naive *nv)
{
	for (size_t i = 0; i < nv->n; i++)
		value_unref(nv->value[i]);
	free(nv);
}

static void
compare(struct world *w, const struct value *want)
{
	if (w->value)
		assert_true(want && value_equal(w->value, want));
	else
		assert_null(want);
	if (w->err)
		assert_true(err_is(w->err, ERR_EVAL));
}

/* Forgets about half of what the cache knows. */
static void
forget_some(struct world *w)
{
	fake_assoc_drop(&w->fake, 2);
}

static unsigned nwell;
static uint64_t healed;

static void
try_seed(uint64_t seed)
{
	struct world w;
	struct naive *nv = xcalloc(1, sizeof *nv);
	struct value *want;
	unsigned before;

	world_init(&w, "cpu=3,mem=8GiB");
	w.fake.content = content;
	w.fake.run = run_cb;
	nv->w = &w;
	want = naive_eval(nv, random_graph(&w, seed));
	nwell += want != NULL;
	if (want)
		want = value_ref(want);

	/* Without a cache: exactly what the naive one ran. */
	w.args.config.cache = CACHE_OFF;
	world_graph(&w);
	world_run(&w, random_graph(&w, seed));
	compare(&w, want);
	assert_int_equal(w.fake.nstarted - w.stats.interns, nv->nran);

	/* Another run with an empty cache, top-down or bottom-up: the same. */
	w.args.config.claim.run.b[1] = 1;
	w.args.config.claim.join = false;
	w.args.config.cache = CACHE_READ_WRITE;
	w.args.config.bottomup = seed % 3 == 1;
	world_graph(&w);
	world_run(&w, random_graph(&w, seed));
	compare(&w, want);

	/* With a cache that remembers: nothing that succeeded runs again. */
	before = w.fake.nstarted;
	w.args.config.claim.run.b[1] = 2;
	w.args.config.bottomup = seed % 2;
	world_graph(&w);
	world_run(&w, random_graph(&w, seed));
	compare(&w, want);
	if (want)
		assert_int_equal(w.fake.nstarted - before, w.stats.interns);

	/* With one that forgot half. */
	forget_some(&w);
	w.args.config.claim.run.b[1] = 3;
	world_graph(&w);
	world_run(&w, random_graph(&w, seed));
	compare(&w, want);

	/* And with all of it, but a part of the objects: what is gone and needed comes back. */
	while (fake_object_lose_nth(&w.fake, 3))
		;
	w.args.config.claim.run.b[1] = 4;
	world_graph(&w);
	world_run(&w, random_graph(&w, seed));
	compare(&w, want);
	healed += w.stats.healed;

	value_unref(want);
	naive_free(nv);
	world_release(&w);
}

static void
test_random(unused_arg void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++)
		try_seed(seed);
	/* Both kinds must be there, or the test says little. */
	assert_in_range(nwell, 100, 250);
	assert_true(healed > 100);
}

/* Torture. */
static struct flow *
story(struct world *w)
{
	struct flow *x = n_file(w, "in2"), *a = n_exec(w, "a", 1, 1, x), *deps[2];

	deps[0] = a;
	deps[1] = flow_data(w->graph, "text", 4, NULL, NULL);
	deps[0] = n_exec(w, "top", 1, 1, n_k(w, "k", k_exec_over, deps, 2, NULL));
	deps[1] = x;
	return n_k(w, "all", k_list, deps, 2, NULL);
}

static void
story_over(struct value *value, struct err *err, void *arg)
{
	struct torture *t = arg;
	struct world *w = t->world;

	w->eval = NULL;
	assert_true(!value != !err);
	value_unref(value);
	fake_quiet(&w->fake);		/* what trouble has left running goes on without us */
	torture_done(t, err);
}

static void
story_setup(struct torture *t)
{
	struct world *w = xcalloc(1, sizeof *w);

	t->world = w;
	world_on(w, t->loop, "cpu=2,mem=8GiB");
	w->fake.content = content;
	w->fake.takes = 1;
}

/* Likewise with all of it in the cache, and most objects gone. */
static void
heal_setup(struct torture *t)
{
	struct world *w;

	story_setup(t);
	w = t->world;
	world_run(w, story(w));
	assert_ok(w->err);
	while (fake_object_lose_nth(&w->fake, 1))
		;
	w->args.config.claim.run.b[1]++;
	world_graph(w);
}

static void
story_make(struct torture *t)
{
	struct world *w = t->world;

	w->fake.torture = t;
	w->args.root = story(w);
	w->eval = eval_start(t->loop, &w->args, story_over, t);
}

static void
story_cancel(struct torture *t)
{
	struct world *w = t->world;

	eval_cancel(&w->eval);
	fake_quiet(&w->fake);
}

static void
story_teardown(struct torture *t)
{
	world_close(t->world);
	free(t->world);
}

/* A fault of the cache is no error; one of the engine that is retried may be none, either. */
static void
story_check(struct torture *t)
{
	if (t->fault_at < 0)
		assert_null(t->err);
}

static void
test_torture(unused_arg void **state)
{
	static const struct torture_spec spec = { .name = "eval", .setup = story_setup, .make = story_make,
		.cancel = story_cancel, .check = story_check, .teardown = story_teardown };

	log_init("test", LOG_ERROR);	/* each fault of the cache is a warning */
	torture(&spec);
}

static void
test_torture_of_healing(unused_arg void **state)
{
	static const struct torture_spec spec = { .name = "eval-heal", .setup = heal_setup, .make = story_make,
		.cancel = story_cancel, .check = story_check, .teardown = story_teardown };

	torture(&spec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_torture_of_healing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
