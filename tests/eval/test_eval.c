/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/xalloc.h"
#include "eval/core.h"

/* The evaluator over the scheduler and a cluster in memory: its course and its faults. See also test_eval_cache. */

static void
test_one(unused_arg void **state)
{
	struct world w;
	struct flow *f;

	world_begin(&w);
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
test_diamond(unused_arg void **state)
{
	struct world w;
	struct flow *top, *l, *r, *bottom;

	world_begin(&w);
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

	world_begin(&w);
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

	world_begin(&w);
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

	world_begin(&w);
	for (int i = 0; i < 3; i++) {
		struct flow *seen = n_exec(&w, "seen", 1, 1, n_file(&w, "x"));

		world_x = i < 2 ? "x" : "X";
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

	world_begin(&w);
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

	world_begin(&w);
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

	world_begin(&w);
	world_run(&w, n_exec(&w, "c", 1, 2, n_file(&w, "gone"), n_file(&w, "file:///data/gone")));
	assert_err(w.err, "2 failures, the first: intern: resource does not exist: open /home/gone");
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

	world_begin(&w);
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

	world_begin(&w);
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
	assert_string_equal(c->inputs[0].origin, "/home/x");
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

	world_begin(&w);
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

	world_begin(&w);
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

	world_begin(&w);
	world_run(&w, hello(&w));
	assert_ok(w.err);
	assert_int_equal(w.fake.nrepo_put, 1);
	world_graph(&w);
	world_run(&w, hello(&w));
	assert_int_equal(w.fake.nrepo_put, 1);
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

	world_begin(&w);
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
	assert_int_equal(w.stats.execs, 2);
	assert_int_equal(w.stats.waiting, 0);
	/* What is known to work is where the next one begins; others begin as they ask. */
	need = 3.0 * (1 << 30);
	w.learned_ident = "f";
	w.learned = need;
	buf_clear(&w.said);
	world_graph(&w);
	world_run(&w, n_exec_res(&w, "f", "cpu=1,mem=1GiB"));
	assert_said(&w, "started f\nended f\n");
	world_graph(&w);
	world_run(&w, n_exec_res(&w, "e", "cpu=1,mem=2GiB"));
	assert_said(&w, "started e\nended e failed\nstarted e\nended e\n");
	/* It is never more than there is. */
	w.learned = 100.0 * (1 << 30);
	need = 8.0 * (1 << 30);
	w.learned_ident = "g";
	world_graph(&w);
	world_run(&w, n_exec_res(&w, "g", "cpu=1,mem=3GiB"));
	assert_said(&w, "started g\nended g\n");
	world_release(&w);
}

static void
flaky(RUN_ARGS)
{
	unsigned *fails = arg;

	if (c->type != EXEC_COMMAND || *fails == 0)
		return;
	--*fails;
	r->state = ATTEMPT_FAILED;
	r->err = err_new(ERR_TEMPORARY, "exec", "c");
}

/* What fails for a while is tried again thrice within a try, and no more. */
static void
test_retries_are_few(unused_arg void **state)
{
	struct world w;
	unsigned fails = 3;

	world_begin(&w);
	w.fake.run = flaky;
	w.fake.arg = &fails;
	world_run(&w, n_exec_res(&w, "c", "cpu=1,mem=1GiB"));
	assert_ok(w.err);
	assert_int_equal(w.stats.execs, 4);
	fails = 40;
	world_graph(&w);
	world_run(&w, n_exec_res(&w, "d", "cpu=1,mem=1GiB"));
	assert_err(w.err, "evaluation error: d t.rf:3:5: temporary: exec c");
	w.err = NULL;
	assert_int_equal(w.stats.execs, 4);
	assert_int_equal(fails, 36);
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

	world_begin(&w);
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

	world_begin(&w);
	w.fake.takes = SECONDS(3600);
	world_start(&w, n_small(&w));
	while (w.fake.nrunning < 2)
		loop_turn(w.loop, true);
	w.fake.no_lease = true;
	world_until(&w);
	assert_true(err_restartable(w.err) && !err_is(w.err, ERR_EVAL));
	assert_int_equal(w.fake.nkilled, 0);
	world_release(&w);
}

static void
test_installs(unused_arg void **state)
{
	struct world w;
	struct flow *v[3];

	world_begin(&w);
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
		world_x = "changed";
}

static void
test_input_changes_meanwhile(unused_arg void **state)
{
	struct world w;

	world_begin(&w);
	w.fake.run = changes_meanwhile;
	world_run(&w, n_file(&w, "x"));
	assert_true(err_restartable(w.err));
	assert_err(w.err, "input /home/x changed while the run was going on");
	w.err = NULL;
	world_release(&w);
}

static void
test_kill(unused_arg void **state)
{
	for (int turns = 0; turns < 30; turns++) {
		struct world w;
		int i;

		world_begin(&w);
		world_start(&w, n_small(&w));
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

	world_begin(&w);
	w.args.config.cache = CACHE_OFF;
	world_start(&w, n_small(&w));
	while (w.fake.nrunning < 2 || w.fake.nstarted < 4)
		loop_turn(w.loop, true);
	eval_cancel(&w.eval);
	world_graph(&w);
	world_run(&w, n_small(&w));
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

	world_begin(&w);
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

/* Who has the longest way to go is started first, wherever he waits. */
static void
test_longest_way_first(unused_arg void **state)
{
	struct world w;
	struct flow *v[300], *all;
	const char *p;
	char name[16];
	unsigned n;

	world_init(&w, "cpu=1,mem=4GiB");
	w.fake.takes = SECONDS(1);
	for (int i = 1; i < 300; i++) {
		snprintf(name, sizeof name, "e%d", i);
		v[i] = n_exec_res(&w, name, "cpu=1,mem=1GiB");
	}
	v[0] = n_exec_res(&w, "long1", "cpu=1,mem=1GiB");
	v[0] = n_exec(&w, "long2", 1, 1, v[0]);
	v[0] = n_exec(&w, "long3", 1, 1, v[0]);
	all = v[0];
	memmove(v, v + 1, 299 * sizeof(struct flow *));
	v[299] = all;
	all = n_execv(&w, "all", 1, v, 300);
	assert_int_equal(core_rank(all), 0);
	world_run(&w, all);
	assert_ok(w.err);
	assert_int_equal(core_rank(v[0]), 1);
	assert_int_equal(core_rank(v[299]), 1);
	assert_int_equal(core_rank(v[299]->deps[0]->deps[0]), 3);
	/* Between the two something else may go, while the record of the first is on its way; the third is like the others. */
	for (p = buf_str(&w.fake.log), n = 0; strncmp(p, "put long2", 9) != 0; p = strchr(p, '\n') + 1)
		n++;
	assert_in_range(n, 2, 8);
	world_release(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
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
		cmocka_unit_test(test_more_memory),
		cmocka_unit_test(test_retries_are_few),
		cmocka_unit_test(test_lost_attempts),
		cmocka_unit_test(test_lost_lease),
		cmocka_unit_test(test_installs),
		cmocka_unit_test(test_input_changes_meanwhile),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_cancel_and_again),
		cmocka_unit_test(test_many_shapes_and_windows),
		cmocka_unit_test(test_longest_way_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
