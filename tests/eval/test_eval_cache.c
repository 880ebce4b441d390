/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/xalloc.h"

/* What an evaluation looks up, takes from others and leaves behind: the cache, the journal's knowledge, other runs. */

static void
test_second_run_is_one_lookup(unused_arg void **state)
{
	struct world w;
	struct flow *c;

	world_begin(&w);
	world_run(&w, n_small(&w));
	assert_ok(w.err);
	buf_clear(&w.said);
	buf_clear(&w.fake.log);
	w.fake.ngets = w.fake.nputs = 0;
	world_graph(&w);
	c = n_small(&w);
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

	world_begin(&w);
	world_run(&w, n_small(&w));
	buf_clear(&w.said);
	world_x = "X";
	world_graph(&w);
	world_run(&w, n_small(&w));
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

	world_begin(&w);
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

	world_begin(&w);
	w.args.config.bottomup = true;
	world_run(&w, n_small(&w));
	assert_said(&w, "intern x\nintern y\nstarted a\nstarted b\nended a\nended b\nstarted c\nended c\n");
	world_graph(&w);
	world_run(&w, n_small(&w));
	assert_said(&w, "intern x\nintern y\nhit a physical\nhit b physical\nhit c physical\n");
	world_release(&w);
}

static void
test_cache_modes(unused_arg void **state)
{
	struct world w;

	world_begin(&w);
	w.args.config.cache = CACHE_OFF;
	world_run(&w, n_small(&w));
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
	world_run(&w, n_small(&w));
	assert_int_equal(w.fake.ngets, 2);
	assert_int_equal(w.fake.nputs, 6);
	world_graph(&w);
	buf_clear(&w.said);
	w.args.config.cache = CACHE_READ;
	world_run(&w, n_small(&w));
	assert_said(&w, "intern x\nintern y\nhit c logical\n");
	w.args.assoc = NULL;
	world_graph(&w);
	world_run(&w, n_small(&w));
	assert_ok(w.err);
	world_release(&w);
}

static void
test_known(unused_arg void **state)
{
	struct world w;
	struct flow *c;
	struct fileset *fs;
	struct file file = { .size = 3 };

	world_begin(&w);
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

/* Two runs of one program at once: each exec starts once. */
static void
test_two_runs(unused_arg void **state)
{
	struct world a, b;

	world_begin(&a);
	memset(&b, 0, sizeof b);
	b.loop = a.loop;
	b.fake = a.fake;		/* only for its fault hook: none */
	b.args = a.args;
	b.args.host.arg = &b;
	b.args.run = sched_run_new(a.sched, &(struct digest){ { 8 } }, a.hold);
	b.args.config.claim.run.b[0] = 8;
	world_graph(&b);
	world_start(&a, n_small(&a));
	world_start(&b, n_small(&b));
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
test_invalidate(unused_arg void **state)
{
	struct world w;

	world_begin(&w);
	world_run(&w, n_small(&w));
	buf_clear(&w.said);
	w.args.config.invalidate = "^[bc]$";
	world_graph(&w);
	world_run(&w, n_small(&w));
	assert_said(&w, "intern x\nintern y\nstarted b\nhit a logical\nended b\nstarted c\nended c\n");
	w.args.config.invalidate = "(a";
	world_graph(&w);
	world_run(&w, n_small(&w));
	assert_err(w.err, "regular expression \"(a\": at byte 2: missing closing parenthesis");
	w.err = NULL;
	world_release(&w);
}

static void
test_no_cache_extern(unused_arg void **state)
{
	struct world w;
	struct flow *c, *copy;

	world_begin(&w);
	w.args.config.no_cache_extern = true;
	world_run(&w, n_small(&w));
	buf_clear(&w.said);
	world_graph(&w);
	world_run(&w, n_small(&w));
	/* The root is not looked up. */
	assert_said(&w, "intern x\nintern y\nhit a logical\nhit b logical\nstarted c\nended c\n");
	world_graph(&w);
	c = n_small(&w);
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

	world_begin(&w);
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

	world_begin(&w);
	w.fake.assoc_hangs = true;
	w.fake.assoc_put_fails = true;
	t0 = loop_now(w.loop);
	world_run(&w, n_exec(&w, "c", 1, 0));
	assert_ok(w.err);
	assert_int_equal((loop_now(w.loop) - t0) / SECONDS(1), 121);
	world_release(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_run_is_one_lookup),
		cmocka_unit_test(test_changed_input),
		cmocka_unit_test(test_physical_hit_and_read_repair),
		cmocka_unit_test(test_bottom_up),
		cmocka_unit_test(test_cache_modes),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_two_runs),
		cmocka_unit_test(test_invalidate),
		cmocka_unit_test(test_no_cache_extern),
		cmocka_unit_test(test_recompute_empty),
		cmocka_unit_test(test_slow_and_broken_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
