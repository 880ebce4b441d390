/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/xalloc.h"

/* The evaluator over the scheduler and a cluster in memory. */

/* Of what says how an exec goes. */
#define RUN_ARGS \
	unused_arg struct fake *f, unused_arg const struct exec_config *c, unused_arg struct exec_result *r, \
	    unused_arg int64_t *ns, unused_arg void *arg

static const char *contents_x = "x";

static const char *
content(unused_arg struct fake *f, const char *url, unused_arg void *arg)
{
	if (strcmp(url, "/work/x") == 0)
		return contents_x;
	if (strcmp(url, "/work/y") == 0 || strcmp(url, "/data/d") == 0 || strcmp(url, "/data/d/x") == 0)
		return "y";
	return NULL;
}

static void
begin(struct world *w)
{
	world_init(w, "cpu=2,mem=8GiB,disk=10GiB");
	w->fake.content = content;
	contents_x = "x";
}

/* x -> a -> c, y -> b -> c; c is the result. */
static struct flow *
small(struct world *w)
{
	struct flow *a = n_exec(w, "a", 1, 1, n_file(w, "x")), *b = n_exec(w, "b", 1, 1, n_file(w, "y"));

	return n_exec(w, "c", 1, 2, a, b);
}

static void
test_one(unused_arg void **state)
{
	struct world w;
	struct flow *f;

	begin(&w);
	f = n_exec(&w, "a", 1, 1, n_file(&w, "x"));
	world_run(&w, f);
	assert_ok(w.err);
	assert_int_equal(value_kind(w.value), VAL_FILE);
	assert_said(&w, "intern x\nstarted a\nended a\n");
	assert_put(&w, "put -\nput a\n");
	assert_true(f->has_lkey && f->has_pkey && !f->cached);
	assert_true(fake_assoc_has(&w.fake, &f->lkey) && fake_assoc_has(&w.fake, &f->pkey));
	assert_int_equal(fake_assoc_n(&w.fake), 2);
	assert_int_equal(w.stats.execs, 1);
	assert_int_equal(w.stats.interns, 1);
	world_release(&w);
}

static void
test_second_run_is_one_lookup(unused_arg void **state)
{
	struct world w;
	struct flow *c;

	begin(&w);
	world_run(&w, small(&w));
	assert_ok(w.err);
	buf_clear(&w.said);
	buf_clear(&w.fake.log);
	w.fake.ngets = w.fake.nputs = 0;
	world_graph(&w);
	c = small(&w);
	world_run(&w, c);
	assert_ok(w.err);
	assert_said(&w, "intern x\nintern y\nhit c logical\n");
	assert_put(&w, "put -\nput -\n");
	assert_int_equal(w.fake.ngets, 1);
	assert_int_equal(w.fake.nputs, 0);
	assert_true(c->cached && c->deps[0]->state == FLOW_INIT);
	assert_int_equal(w.stats.hits, 1);
	world_release(&w);
}

/* One byte of one input: only what depends on it runs again. */
static void
test_changed_input(unused_arg void **state)
{
	struct world w;

	begin(&w);
	world_run(&w, small(&w));
	buf_clear(&w.said);
	contents_x = "X";
	world_graph(&w);
	world_run(&w, small(&w));
	assert_ok(w.err);
	assert_said(&w, "intern x\nintern y\nhit b logical\nstarted a\nended a\nstarted c\nended c\n");
	world_release(&w);
}

/* What a gives does not depend on its command: c is found by its inputs, and then by name. */
static void
same_output(RUN_ARGS)
{
	struct file file = { .size = 1 };
	struct fileset *fs;

	if (!c->ident || c->ident[0] != 'a')
		return;
	sha256_of("same", 4, &file.id);
	fs = fileset_file(&file);
	fileset_unref(r->fileset);
	r->fileset = fileset_list(&fs, 1);
	fileset_unref(fs);
}

static void
test_physical_hit_and_read_repair(unused_arg void **state)
{
	struct world w;
	struct flow *c;

	begin(&w);
	w.fake.run = same_output;
	world_run(&w, n_exec(&w, "c", 1, 1, n_exec(&w, "a", 1, 0)));
	buf_clear(&w.said);
	world_graph(&w);
	c = n_exec(&w, "c", 1, 1, n_exec(&w, "a2", 1, 0));
	world_run(&w, c);
	assert_ok(w.err);
	assert_said(&w, "started a2\nended a2\nhit c physical\n");
	assert_true(fake_assoc_has(&w.fake, &c->lkey));
	world_graph(&w);
	world_run(&w, n_exec(&w, "c", 1, 1, n_exec(&w, "a2", 1, 0)));
	assert_said(&w, "hit c logical\n");
	world_release(&w);
}

static void
test_bottom_up(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.args.config.bottomup = true;
	world_run(&w, small(&w));
	assert_said(&w, "intern x\nintern y\nstarted a\nstarted b\nended a\nended b\nstarted c\nended c\n");
	world_graph(&w);
	world_run(&w, small(&w));
	assert_said(&w, "intern x\nintern y\nhit a physical\nhit b physical\nhit c physical\n");
	world_release(&w);
}

static void
test_cache_modes(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.args.config.cache = CACHE_OFF;
	world_run(&w, small(&w));
	assert_ok(w.err);
	assert_int_equal(w.fake.ngets + w.fake.nputs, 0);
	w.args.config.cache = CACHE_READ;
	world_graph(&w);
	buf_clear(&w.said);
	world_run(&w, n_exec(&w, "new", 1, 0));
	assert_said(&w, "started new\nended new\n");
	assert_int_equal(w.fake.ngets, 2);
	assert_int_equal(w.fake.nputs, 0);
	w.args.config.cache = CACHE_WRITE;
	world_graph(&w);
	world_run(&w, small(&w));
	assert_int_equal(w.fake.ngets, 2);
	assert_int_equal(w.fake.nputs, 6);
	world_graph(&w);
	buf_clear(&w.said);
	w.args.config.cache = CACHE_READ;
	world_run(&w, small(&w));
	assert_said(&w, "intern x\nintern y\nhit c logical\n");
	w.args.assoc = NULL;
	world_graph(&w);
	world_run(&w, small(&w));
	assert_ok(w.err);
	world_release(&w);
}

static void
test_diamond(unused_arg void **state)
{
	struct world w;
	struct flow *top, *l, *r, *bottom;

	begin(&w);
	top = n_exec(&w, "top", 2, 0);
	l = n_exec(&w, "l", 1, 1, n_k(&w, "left", k_list, &top, 1, NULL));
	r = n_exec(&w, "r", 1, 1, n_k(&w, "right", k_list, &top, 1, NULL));
	bottom = n_exec(&w, "bottom", 1, 2, l, r);
	world_run(&w, bottom);
	/* A tuple in a list is no argument of a command. */
	assert_err(w.err, "2 failures, the first: l t.rf:3:5: invalid: argument in is no file, no directory and no "
	    "list of them");
	w.err = NULL;
	assert_string_equal(buf_str(&w.failed), "l r");
	world_graph(&w);
	top = n_exec(&w, "top", 1, 0);
	bottom = n_exec(&w, "bottom", 1, 2, n_exec(&w, "l", 1, 1, top), n_exec(&w, "r", 1, 2, top, top));
	world_run(&w, bottom);
	assert_ok(w.err);
	assert_int_equal(w.stats.execs, 4);
	world_release(&w);
}

static struct err *
k_fork(struct world *w, struct value *const *in, size_t n, struct value **out)
{
	(void)in;
	(void)n;
	*out = value_flow(n_exec(w, "forked", 1, 0));
	return NULL;
}

/* Counts down: each step is a continuation over nothing, by name. */
static struct err *
k_down(struct world *w, unused_arg struct value *const *in, size_t n, struct value **out)
{
	static int left;
	char name[32];

	assert_int_equal(n, 0);
	left = left ? left : 1001;
	if (--left == 1) {
		left = 0;
		*out = value_str("end");
		return NULL;
	}
	snprintf(name, sizeof name, "down%d", left);
	*out = value_flow(n_k(w, name, k_down, NULL, 0, NULL));
	return NULL;
}

static struct err *
k_open(struct world *w, unused_arg struct value *const *in, unused_arg size_t n, struct value **out)
{
	struct value *v[2] = { value_flow(n_exec(w, "p", 1, 0)), value_flow(n_exec(w, "q", 1, 0)) };

	*out = value_list(v, 2);
	return NULL;
}

static struct err *
k_self(struct world *w, unused_arg struct value *const *in, unused_arg size_t n, struct value **out)
{
	*out = value_flow(n_k(w, "self", k_self, NULL, 0, NULL));
	return NULL;
}

static struct err *
k_panic(unused_arg struct world *w, unused_arg struct value *const *in, unused_arg size_t n,
    unused_arg struct value **out)
{
	return err_msg(ERR_EVAL, "panic: no");
}

static void
test_forks(unused_arg void **state)
{
	struct world w;
	struct flow *k, *c;

	begin(&w);
	k = n_k(&w, "k", k_fork, NULL, 0, NULL);
	c = n_exec(&w, "c", 1, 1, k);
	world_run(&w, c);
	assert_ok(w.err);
	assert_said(&w, "started forked\nended forked\nstarted c\nended c\n");
	assert_true(value_equal(k->value, k->forked->value));
	/* Again: c is found although nobody called k, and k alone is found through its fork. */
	world_graph(&w);
	world_run(&w, n_exec(&w, "c", 1, 1, n_k(&w, "k", k_fork, NULL, 0, NULL)));
	assert_said(&w, "hit c logical\n");
	world_graph(&w);
	world_run(&w, n_k(&w, "k", k_fork, NULL, 0, NULL));
	assert_said(&w, "hit forked logical\n");
	world_graph(&w);
	world_run(&w, n_k(&w, "down", k_down, NULL, 0, NULL));
	assert_string_equal(value_get_string(w.value, NULL), "end");
	assert_int_equal(w.stats.nodes, 1000);
	world_graph(&w);
	world_run(&w, n_k(&w, "self", k_self, NULL, 0, NULL));
	assert_err(w.err, "self: fatal: a node waits for itself, for ever");
	w.err = NULL;
	world_graph(&w);
	world_run(&w, n_exec(&w, "c", 1, 1, n_k(&w, "boom", k_panic, NULL, 0, NULL)));
	assert_err(w.err, "evaluation error: boom: panic: no");
	w.err = NULL;
	world_release(&w);
}

/* Delayed parts of a value are forced for an exec, and for the result; a continuation gets them as they are. */
static void
test_open_values(unused_arg void **state)
{
	struct world w;
	struct flow *k;

	begin(&w);
	k = n_k(&w, "open", k_open, NULL, 0, NULL);
	world_run(&w, n_exec(&w, "c", 1, 1, k));
	assert_ok(w.err);
	assert_said(&w, "started p\nstarted q\nended p\nended q\nstarted c\nended c\n");
	world_graph(&w);
	world_run(&w, n_exec(&w, "c", 1, 1, n_k(&w, "open", k_open, NULL, 0, NULL)));
	assert_said(&w, "hit c logical\n");
	world_graph(&w);
	world_run(&w, n_k(&w, "open", k_open, NULL, 0, NULL));
	assert_true(value_is_strict(w.value));
	assert_int_equal(value_len(w.value), 2);
	world_release(&w);
}

/* What a continuation mentions is part of its key, and is not run for it. */
static void
test_captured(unused_arg void **state)
{
	struct world w;

	begin(&w);
	for (int i = 0; i < 3; i++) {
		struct flow *seen = n_exec(&w, "seen", 1, 1, n_file(&w, "x"));

		contents_x = i < 2 ? "x" : "X";
		world_run(&w, n_exec(&w, "c", 1, 1, n_k(&w, "k", k_fork, NULL, 0, seen)));
		assert_ok(w.err);
		/* c's inputs have not changed: it is found by them. */
		assert_said(&w, i == 0 ? "intern x\nstarted forked\nended forked\nstarted c\nended c\n" :
		    i == 1 ? "intern x\nhit c logical\n" : "intern x\nhit forked logical\nhit c physical\n");
		world_graph(&w);
	}
	/* It cannot be read, and nobody needs it. */
	world_run(&w, n_exec(&w, "c", 1, 1, n_k(&w, "k", k_fork, NULL, 0, n_file(&w, "gone"))));
	assert_ok(w.err);
	assert_said(&w, "hit forked logical\nhit c physical\n");
	assert_int_equal(w.stats.failed, 0);
	world_release(&w);
}

static void
fails(RUN_ARGS)
{
	if (!c->ident || strncmp(c->ident, "bad", 3) != 0)
		return;
	r->state = ATTEMPT_FAILED;
	r->err = err_msg(ERR_EXEC, "exited with status 3");
}

static struct flow *
half_bad(struct world *w)
{
	struct flow *a = n_exec(w, "bad1", 1, 0), *b = n_exec(w, "good", 1, 0), *c = n_exec(w, "bad2", 1, 1, b);

	return n_exec(w, "end", 1, 3, n_exec(w, "then", 1, 1, a), n_exec(w, "more", 1, 1, b), c);
}

static void
test_failures(unused_arg void **state)
{
	struct world w;
	struct flow *f;

	begin(&w);
	w.fake.run = fails;
	f = half_bad(&w);
	world_run(&w, f);
	assert_true(err_is(w.err, ERR_EVAL) && !err_restartable(w.err));
	assert_err(w.err, "2 failures, the first: bad1 t.rf:3:5: exec failed: exited with status 3");
	w.err = NULL;
	/* The independent work is finished; what depends on a failure is not begun, and not listed. */
	assert_said(&w, "started bad1\nstarted good\nended bad1 failed\nended good\nstarted more\nstarted bad2\n"
	    "ended more\nended bad2 failed\n");
	assert_string_equal(buf_str(&w.failed), "bad1 bad2");
	assert_int_equal(w.stats.failed, 2);
	assert_non_null(f->err);
	/* Failures are not remembered; the good ones are. */
	world_graph(&w);
	world_run(&w, half_bad(&w));
	err_free(w.err);
	w.err = NULL;
	assert_said(&w, "hit more logical\nhit good logical\nstarted bad1\nstarted bad2\nended bad1 failed\n"
	    "ended bad2 failed\n");
	world_release(&w);
}

static void
slow_but_bad(RUN_ARGS)
{
	fails(f, c, r, ns, arg);
	*ns = r->state == ATTEMPT_FAILED ? SECONDS(1) : SECONDS(100);
}

static void
test_fail_fast(unused_arg void **state)
{
	struct world w;
	int64_t t0;

	begin(&w);
	w.fake.run = slow_but_bad;
	w.args.config.fail_fast = true;
	t0 = loop_now(w.loop);
	world_run(&w, half_bad(&w));
	assert_err(w.err, "evaluation error: bad1 t.rf:3:5: exec failed: exited with status 3");
	w.err = NULL;
	assert_true(loop_now(w.loop) - t0 < SECONDS(2));
	assert_said(&w, "started bad1\nstarted good\nended bad1 failed\nlost good\n");
	assert_int_equal(w.fake.nrunning, 0);
	world_release(&w);
}

static void
test_missing_input(unused_arg void **state)
{
	struct world w;

	begin(&w);
	world_run(&w, n_exec(&w, "c", 1, 2, n_file(&w, "gone"), n_file(&w, "file:///data/gone")));
	assert_err(w.err, "2 failures, the first: intern: resource does not exist: open /work/gone");
	w.err = NULL;
	assert_put(&w, "put -\nput -\n");
	world_release(&w);
}

static void
no_output(RUN_ARGS)
{
	struct fileset *none = fileset_empty();

	if (c->type == EXEC_COMMAND) {
		fileset_unref(r->fileset);
		r->fileset = fileset_list(&none, 1);
	}
	fileset_unref(none);
}

static void
test_missing_output(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.fake.run = no_output;
	world_run(&w, n_exec(&w, "c", 1, 0));
	assert_err(w.err, "evaluation error: c t.rf:3:5: exec failed: output o0 is missing");
	w.err = NULL;
	assert_int_equal(fake_assoc_n(&w.fake), 0);
	world_release(&w);
}

static void
test_too_large(unused_arg void **state)
{
	struct world w;
	struct flow *v[2];

	begin(&w);
	v[0] = n_exec_res(&w, "huge", "cpu=3,mem=1GiB");
	v[1] = n_exec_res(&w, "tiny", NULL);
	world_run(&w, n_k(&w, "all", k_list, v, 2, NULL));
	assert_err(w.err, "evaluation error: huge t.rf:3:5: resources exhausted: requested resources "
	    "{mem:1.0GiB cpu:3 disk:0B} exceed the total available {mem:8.0GiB cpu:2 disk:10.0GiB}");
	w.err = NULL;
	assert_said(&w, "started tiny\nended tiny\n");
	world_release(&w);
}

static void
check_config(RUN_ARGS)
{
	if (c->type != EXEC_COMMAND || strcmp(c->ident, "c") != 0)
		return;
	*(bool *)arg = true;
	assert_string_equal(c->cmd, "c %s %s %s %s %s %s");
	assert_string_equal(c->image, "host");
	assert_int_equal(c->nholes, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_true(c->holes[i].output == (i >= 3));
		assert_int_equal(c->holes[i].index, i % 3);
		assert_int_equal(c->holes[i].n, i == 1 ? 2 : 1);
	}
	assert_int_equal(c->ninputs, 5);
	assert_string_equal(c->inputs[0].path, "0/0");
	assert_string_equal(c->inputs[0].origin, "/work/x");
	assert_string_equal(c->inputs[1].path, "1/0");
	assert_string_equal(c->inputs[2].path, "1/1/a");
	assert_string_equal(c->inputs[3].path, "1/1/b");
	assert_null(c->inputs[1].origin);
	assert_string_equal(c->inputs[4].path, "2/0/x");
	assert_string_equal(c->inputs[4].origin, "/data/d/x");
	assert_true(c->outputs[2].dir && !c->outputs[1].dir);
	assert_true(c->resources.cpu == 1 && c->resources.mem == 500 << 20);
	assert_true(c->claim.join && c->claim.run.b[0] == 7 && c->claim.retry == 0);
}

static struct err *
k_pick(unused_arg struct world *w, struct value *const *in, unused_arg size_t n, struct value **out)
{
	struct value *v[2] = { value_ref(value_at(in[0], 1)), value_ref(value_at(in[0], 2)) };

	*out = value_list(v, 2);
	return NULL;
}

static void
test_configuration(unused_arg void **state)
{
	struct world w;
	struct flow *made;
	bool seen = false;

	begin(&w);
	w.fake.run = check_config;
	w.fake.arg = &seen;
	made = n_exec(&w, "made", 3, 0);
	world_run(&w, n_exec(&w, "c", 3, 3, n_file(&w, "x"), n_k(&w, "pick", k_pick, &made, 1, NULL),
	    n_dir(&w, "file:///data/d")));
	assert_ok(w.err);
	assert_true(seen);
	assert_int_equal(value_kind(w.value), VAL_TUPLE);
	assert_int_equal(value_kind(value_at(w.value, 2)), VAL_DIR);
	world_release(&w);
}

static void
check_empty(RUN_ARGS)
{
	if (strcmp(c->ident, "c") != 0)
		return;
	assert_int_equal(c->ninputs, 1);
	assert_string_equal(c->inputs[0].path, "0/0");
	assert_true(c->inputs[0].dir);
	assert_int_equal(c->holes[1].n, 0);
}

static void
test_empty_arguments(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.fake.run = check_empty;
	world_run(&w, n_exec(&w, "c", 1, 2, flow_val(w.graph, value_dir(fileset_empty())),
	    flow_val(w.graph, value_list(NULL, 0))));
	assert_ok(w.err);
	world_release(&w);
}

static struct flow *
hello(struct world *w)
{
	struct requirements req = REQUIREMENTS_INIT;

	return flow_requirements(w->graph, &req, n_exec(w, "c", 1, 1, flow_data(w->graph, "hello", 5, NULL, NULL)));
}

static void
test_data_and_requirements(unused_arg void **state)
{
	struct world w;

	begin(&w);
	world_run(&w, hello(&w));
	assert_ok(w.err);
	assert_int_equal(w.fake.nrepo_put, 1);
	world_graph(&w);
	world_run(&w, hello(&w));
	assert_int_equal(w.fake.nrepo_put, 1);
	world_release(&w);
}

static void
test_known(unused_arg void **state)
{
	struct world w;
	struct flow *c;
	struct fileset *fs;
	struct file file = { .size = 3 };

	begin(&w);
	w.args.config.cache = CACHE_OFF;
	c = n_exec(&w, "c", 1, 1, n_file(&w, "x"));
	world_run(&w, c);
	w.known_key = c->pkey;
	w.known.state = ATTEMPT_OK;
	file.id = value_get_file(w.value)->id;
	fs = fileset_file(&file);
	w.known.fileset = fileset_list(&fs, 1);
	fileset_unref(fs);
	w.known_url = "x";
	w.known_input.state = ATTEMPT_OK;
	sha256_of("x", 1, &file.id);
	file.size = 1;
	w.known_input.fileset = fileset_file(&file);
	buf_clear(&w.said);
	buf_clear(&w.fake.log);
	world_graph(&w);
	world_run(&w, n_exec(&w, "d", 1, 1, n_exec(&w, "c", 1, 1, n_file(&w, "x"))));
	assert_ok(w.err);
	assert_said(&w, "started d\nended d\n");
	assert_put(&w, "put d\n");
	assert_int_equal(w.stats.known, 2);
	/* What the journal knows and the cache does not is written there. */
	w.args.config.cache = CACHE_READ_WRITE;
	world_graph(&w);
	c = n_exec(&w, "c", 1, 1, n_file(&w, "x"));
	world_run(&w, c);
	assert_true(fake_assoc_has(&w.fake, &c->lkey) && fake_assoc_has(&w.fake, &c->pkey));
	/* A failure is the last word within its try, but for those that are retried. */
	w.args.config.cache = CACHE_OFF;
	fileset_unref(w.known.fileset);
	w.known.fileset = NULL;
	w.known.state = ATTEMPT_FAILED;
	w.known.err = err_msg(ERR_EXEC, "exited with status 1");
	world_graph(&w);
	world_run(&w, n_exec(&w, "c", 1, 1, n_file(&w, "x")));
	assert_err(w.err, "evaluation error: c t.rf:3:5: exec failed: exited with status 1");
	w.err = NULL;
	err_free(w.known.err);
	w.known.err = err_new(ERR_OOM, NULL, NULL);
	world_graph(&w);
	world_run(&w, n_exec(&w, "c", 1, 1, n_file(&w, "x")));
	assert_ok(w.err);
	world_release(&w);
}

static void
hungry(RUN_ARGS)
{
	if (c->resources.mem >= *(double *)arg)
		return;
	r->state = ATTEMPT_FAILED;
	r->err = err_new(ERR_OOM, "exec", "c");
}

static void
test_more_memory(unused_arg void **state)
{
	struct world w;
	double need = 3.0 * (1 << 30);

	begin(&w);
	w.fake.run = hungry;
	w.fake.arg = &need;
	world_run(&w, n_exec_res(&w, "c", "cpu=1,mem=2GiB"));
	assert_ok(w.err);
	assert_said(&w, "started c\nended c failed\nstarted c\nended c\n");
	/* Never more than there is, and not for ever. */
	need = 100.0 * (1 << 30);
	world_graph(&w);
	world_run(&w, n_exec_res(&w, "d", "cpu=1,mem=7GiB"));
	assert_err(w.err, "evaluation error: d t.rf:3:5: out of memory: exec c");
	w.err = NULL;
	assert_int_equal(w.stats.execs, 4);
	assert_int_equal(w.stats.waiting, 0);
	world_release(&w);
}

static unsigned loses;

static void
lossy(RUN_ARGS)
{
	if (c->type != EXEC_COMMAND || loses == 0)
		return;
	loses--;
	r->state = ATTEMPT_LOST;
	r->err = err_new(ERR_UNAVAILABLE, "keeper", NULL);
}

static void
test_lost_attempts(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.fake.run = lossy;
	loses = 2;
	world_run(&w, n_exec(&w, "c", 1, 0));
	assert_ok(w.err);
	assert_said(&w, "started c\nlost c\nstarted c\nlost c\nstarted c\nended c\n");
	loses = 100;
	world_graph(&w);
	world_run(&w, n_exec(&w, "d", 1, 0));
	assert_true(err_restartable(w.err));
	assert_err(w.err, "d t.rf:3:5: unavailable: keeper");
	w.err = NULL;
	world_release(&w);
}

static void
test_lost_lease(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.fake.takes = SECONDS(3600);
	world_start(&w, small(&w));
	while (w.fake.nrunning < 2)
		loop_turn(w.loop, true);
	w.fake.no_lease = true;
	world_until(&w);
	assert_true(err_restartable(w.err) && !err_is(w.err, ERR_EVAL));
	assert_int_equal(w.fake.nkilled, 0);
	world_release(&w);
}

/* Two runs of one program at once: each exec starts once. */
static void
test_two_runs(unused_arg void **state)
{
	struct world a, b;

	begin(&a);
	memset(&b, 0, sizeof b);
	b.loop = a.loop;
	b.fake = a.fake;		/* only for its fault hook: none */
	b.args = a.args;
	b.args.host.arg = &b;
	b.args.run = sched_run_new(a.sched, &(struct digest){ { 8 } }, a.hold);
	b.args.config.claim.run.b[0] = 8;
	world_graph(&b);
	world_start(&a, small(&a));
	world_start(&b, small(&b));
	world_until(&a);
	world_until(&b);
	assert_ok(a.err);
	assert_ok(b.err);
	assert_true(value_equal(a.value, b.value));
	assert_int_equal(a.stats.execs + b.stats.execs, 3);
	assert_put(&a, "put -\nput -\nput -\nput -\nput a\nput b\nput c\n");
	assert_said(&b, "intern x\nintern y\nstarted a joined\nstarted b joined\nended a\nended b\nstarted c joined\n"
	    "ended c\n");
	world_graph(&b);
	graph_free(b.graph);
	sched_run_free(b.args.run);
	buf_release(&b.said);
	buf_release(&b.failed);
	world_release(&a);
}

static void
test_installs(unused_arg void **state)
{
	struct world w;
	struct flow *v[3];

	begin(&w);
	v[0] = n_file(&w, "x");
	v[1] = n_dir(&w, "/data/d");
	v[2] = n_file(&w, "x");
	world_run(&w, n_k(&w, "all", k_tuple, v, 3, NULL));
	assert_ok(w.err);
	assert_int_equal(w.fake.nstarted, 4);
	assert_said(&w, "intern x\nintern /data/d\n");
	world_release(&w);
}

static void
changes_meanwhile(RUN_ARGS)
{
	if (!c->install)
		contents_x = "changed";
}

static void
test_input_changes_meanwhile(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.fake.run = changes_meanwhile;
	world_run(&w, n_file(&w, "x"));
	assert_true(err_restartable(w.err));
	assert_err(w.err, "input /work/x changed while the run was going on");
	w.err = NULL;
	world_release(&w);
}

static void
test_invalidate(unused_arg void **state)
{
	struct world w;

	begin(&w);
	world_run(&w, small(&w));
	buf_clear(&w.said);
	w.args.config.invalidate = "^[bc]$";
	world_graph(&w);
	world_run(&w, small(&w));
	assert_said(&w, "intern x\nintern y\nstarted b\nhit a logical\nended b\nstarted c\nended c\n");
	w.args.config.invalidate = "(a";
	world_graph(&w);
	world_run(&w, small(&w));
	assert_err(w.err, "regular expression \"(a\": at byte 2: missing closing parenthesis");
	w.err = NULL;
	world_release(&w);
}

static void
test_no_cache_extern(unused_arg void **state)
{
	struct world w;
	struct flow *c, *copy;

	begin(&w);
	w.args.config.no_cache_extern = true;
	world_run(&w, small(&w));
	buf_clear(&w.said);
	world_graph(&w);
	world_run(&w, small(&w));
	/* The root is not looked up. */
	assert_said(&w, "intern x\nintern y\nhit a logical\nhit b logical\nstarted c\nended c\n");
	world_graph(&w);
	c = small(&w);
	copy = flow_extern(w.graph, "s3://bucket/k", c, "copy", NULL);
	world_run(&w, copy);
	assert_err(w.err, "evaluation error: copy: operation not supported: copying to s3://bucket/k");
	w.err = NULL;
	world_release(&w);
}

static void
empty_dir(RUN_ARGS)
{
	struct fileset *v[3];

	if (c->type != EXEC_COMMAND)
		return;
	v[0] = fileset_ref(fileset_elem(r->fileset, 0));
	v[1] = fileset_ref(fileset_elem(r->fileset, 1));
	v[2] = fileset_empty();
	fileset_unref(r->fileset);
	r->fileset = fileset_list(v, 3);
	for (int i = 0; i < 3; i++)
		fileset_unref(v[i]);
}

static void
test_recompute_empty(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.fake.run = empty_dir;
	world_run(&w, n_exec(&w, "c", 3, 0));
	world_graph(&w);
	buf_clear(&w.said);
	world_run(&w, n_exec(&w, "c", 3, 0));
	assert_said(&w, "hit c logical\n");
	w.args.config.recompute_empty = true;
	world_graph(&w);
	world_run(&w, n_exec(&w, "c", 3, 0));
	assert_said(&w, "started c\nended c\n");
	world_release(&w);
}

static void
test_slow_and_broken_cache(unused_arg void **state)
{
	struct world w;
	int64_t t0;

	begin(&w);
	w.fake.assoc_hangs = true;
	w.fake.assoc_put_fails = true;
	t0 = loop_now(w.loop);
	world_run(&w, n_exec(&w, "c", 1, 0));
	assert_ok(w.err);
	assert_int_equal((loop_now(w.loop) - t0) / SECONDS(1), 121);
	world_release(&w);
}

static void
test_kill(unused_arg void **state)
{
	for (int turns = 0; turns < 30; turns++) {
		struct world w;
		int i;

		begin(&w);
		world_start(&w, small(&w));
		for (i = 0; i < turns && !w.over; i++)
			loop_turn(w.loop, true);
		if (!w.over) {
			eval_kill(w.eval);
			world_until(&w);
			if (w.err)
				assert_true(err_is(w.err, ERR_CANCELED));
		}
		assert_int_equal(w.fake.nrunning, 0);
		world_release(&w);
	}
}

/* A run that is cancelled leaves its execs alone: the next one attaches. */
static void
test_cancel_and_again(unused_arg void **state)
{
	struct world w;

	begin(&w);
	w.args.config.cache = CACHE_OFF;
	world_start(&w, small(&w));
	while (w.fake.nrunning < 2 || w.fake.nstarted < 4)
		loop_turn(w.loop, true);
	eval_cancel(&w.eval);
	world_graph(&w);
	world_run(&w, small(&w));
	assert_ok(w.err);
	/* Inputs are read again; a and b are not started again. */
	assert_int_equal(w.fake.nstarted, 4 + 2 + 1);
	assert_int_equal(w.fake.nkilled, 0);
	world_release(&w);
}

static void
test_many_shapes_and_windows(unused_arg void **state)
{
	struct world w;
	struct flow *v[700];
	char name[16];

	begin(&w);
	for (int i = 0; i < 700; i++) {
		snprintf(name, sizeof name, "e%d", i);
		v[i] = n_exec_res(&w, name, i % 2 ? "cpu=2,mem=1GiB" : "cpu=1,mem=1GiB");
	}
	world_run(&w, n_k(&w, "all", k_list, v, 700, NULL));
	assert_ok(w.err);
	assert_int_equal(w.stats.execs, 700);
	assert_int_equal(w.fake.max_running, 2);
	world_release(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_second_run_is_one_lookup),
		cmocka_unit_test(test_changed_input),
		cmocka_unit_test(test_physical_hit_and_read_repair),
		cmocka_unit_test(test_bottom_up),
		cmocka_unit_test(test_cache_modes),
		cmocka_unit_test(test_diamond),
		cmocka_unit_test(test_forks),
		cmocka_unit_test(test_open_values),
		cmocka_unit_test(test_captured),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_fail_fast),
		cmocka_unit_test(test_missing_input),
		cmocka_unit_test(test_missing_output),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_empty_arguments),
		cmocka_unit_test(test_data_and_requirements),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_more_memory),
		cmocka_unit_test(test_lost_attempts),
		cmocka_unit_test(test_lost_lease),
		cmocka_unit_test(test_two_runs),
		cmocka_unit_test(test_installs),
		cmocka_unit_test(test_input_changes_meanwhile),
		cmocka_unit_test(test_invalidate),
		cmocka_unit_test(test_no_cache_extern),
		cmocka_unit_test(test_recompute_empty),
		cmocka_unit_test(test_slow_and_broken_cache),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_cancel_and_again),
		cmocka_unit_test(test_many_shapes_and_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
