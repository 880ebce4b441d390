/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/eval/world.h"

#include "base/xalloc.h"

/*
 * Objects that are gone when they are needed. Between two runs of the same flow some are lost; what must run again then
 * is told by what the second run says.
 */
#define RUN_ARGS \
	unused_arg struct fake *f, unused_arg const struct exec_config *c, unused_arg struct exec_result *r, \
	    unused_arg int64_t *ns, unused_arg void *arg

static const char *
content(unused_arg struct fake *f, unused_arg const char *url, unused_arg void *arg)
{
	return "x";
}

static void
begin(struct world *w)
{
	world_init(w, "cpu=2,mem=8GiB,disk=10GiB");
	w->fake.content = content;
}

static struct digest
object_of(const struct flow *f)
{
	assert_int_equal(f->state, FLOW_DONE);
	return value_get_file(f->value)->id;
}

static void
lose(struct world *w, struct digest id)
{
	fake_object_lose(&w->fake, &id);
}

/* From here on as a second run. */
static void
again(struct world *w)
{
	world_graph(w);
	w->args.config.claim.run.b[1]++;
	buf_clear(&w->said);
	buf_clear(&w->fake.log);
}

struct chain {
	struct flow *a, *b, *c;
};

static struct flow *
chain(struct world *w, struct chain *ch)
{
	ch->a = n_exec(w, "a", 1, 1, n_file(w, "x"));
	ch->b = n_exec(w, "b", 1, 1, ch->a);
	return ch->c = n_exec(w, "c", 1, 1, ch->b);
}

/* Runs the chain twice and loses, in between, of a, b and c those that are named. */
static void
run_chain(struct world *w, struct chain *ch, const char *lost)
{
	world_run(w, chain(w, ch));
	assert_ok(w->err);
	if (strchr(lost, 'a'))
		lose(w, object_of(ch->a));
	if (strchr(lost, 'b'))
		lose(w, object_of(ch->b));
	if (strchr(lost, 'c'))
		lose(w, object_of(ch->c));
	again(w);
	world_run(w, chain(w, ch));
	assert_ok(w->err);
}

static void
test_result(unused_arg void **state)
{
	struct world w;
	struct chain ch;
	struct digest id;

	begin(&w);
	run_chain(&w, &ch, "c");
	assert_said(&w, "intern x\nhit c logical\nlost c's object\nhit b logical\nstarted c\nended c\n");
	assert_int_equal(w.stats.healed, 1);
	assert_int_equal(ch.a->state, FLOW_INIT);
	id = object_of(ch.c);
	assert_true(fake_object_has(&w.fake, &id));
	assert_true(fake_assoc_has(&w.fake, &ch.c->lkey) && fake_assoc_has(&w.fake, &ch.c->pkey));
	/* And a third time nothing is missing. */
	again(&w);
	world_run(&w, chain(&w, &ch));
	assert_said(&w, "intern x\nhit c logical\n");
	world_release(&w);
}

#define MANY 1000

static struct flow *
many(struct world *w)
{
	struct flow *x[MANY];
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "x%d", i);
		x[i] = n_exec(w, name, 1, 0);
	}
	return n_k(w, "all", k_list, x, MANY, NULL);
}

static unsigned
looks(struct world *w)
{
	unsigned n;

	again(w);
	w->fake.nlooks = 0;
	world_run(w, many(w));
	assert_ok(w->err);
	n = w->fake.nlooks;
	return n;
}

/* Files of a long result are looked at once: while nothing has left a part of the repository, they need not be again. */
static void
test_long_result(unused_arg void **state)
{
	struct digest id;
	struct world w;
	struct flow *root;
	unsigned in_part = 0;

	begin(&w);
	w.fake.quick = true;
	for (int i = 0; i < REPO_PARTS; i++)
		w.fake.stamps[i] = 1;
	w.fake.stamps[7] = 0;		/* none, as of a part that has changed just now */
	world_run(&w, root = many(&w));
	assert_ok(w.err);
	assert_int_equal(w.fake.nlooks, MANY);
	id = value_get_file(value_at(root->value, 5))->id;
	assert_int_not_equal(id.b[0], 7);
	for (int i = 0; i < MANY; i++)
		in_part += value_get_file(value_at(root->value, (size_t)i))->id.b[0] == 7;
	assert_int_equal(looks(&w), in_part);
	w.fake.stamps[7] = 1;
	assert_int_equal(looks(&w), in_part);	/* that it was there then was not said */
	assert_int_equal(looks(&w), 0);
	lose(&w, id);
	assert_in_range(looks(&w), 2, 40);	/* those of its part, and all of the part once more when it is there again */
	assert_int_equal(w.stats.healed, 1);
	assert_true(fake_object_has(&w.fake, &id));
	assert_int_equal(looks(&w), 0);
	w.args.config.cache = CACHE_OFF;
	assert_int_equal(looks(&w), MANY);	/* what the cache remembers is not asked for */
	world_release(&w);
}

static void
test_all_of_a_chain(unused_arg void **state)
{
	struct world w;
	struct chain ch;

	begin(&w);
	run_chain(&w, &ch, "abc");
	assert_said(&w, "intern x\nhit c logical\nlost c's object\nhit b logical\nstarted c\nlost c\nlost b's object\n"
	    "hit a logical\nstarted b\nlost b\nlost a's object\nstarted a\nended a\nstarted b\nended b\nstarted c\n"
	    "ended c\n");
	assert_int_equal(w.stats.healed, 3);
	world_release(&w);
}

/* What nobody needs may be gone. */
static void
test_ends_of_a_chain(unused_arg void **state)
{
	struct world w;
	struct chain ch;

	begin(&w);
	run_chain(&w, &ch, "ac");
	assert_said(&w, "intern x\nhit c logical\nlost c's object\nhit b logical\nstarted c\nended c\n");
	world_release(&w);
	begin(&w);
	run_chain(&w, &ch, "ab");
	assert_said(&w, "intern x\nhit c logical\n");
	world_release(&w);
}

static void
test_bottom_up(unused_arg void **state)
{
	struct world w;
	struct chain ch;

	begin(&w);
	w.args.config.bottomup = true;
	run_chain(&w, &ch, "bc");
	assert_said(&w, "intern x\nhit a physical\nhit b physical\nhit c physical\nlost c's object\nstarted c\nlost c\n"
	    "lost b's object\nstarted b\nended b\nstarted c\nended c\n");
	world_release(&w);
}

/* A run that may not write to the cache leaves it as it is. */
static void
test_read_only_cache(unused_arg void **state)
{
	struct world w;
	struct chain ch;

	begin(&w);
	world_run(&w, chain(&w, &ch));
	lose(&w, object_of(ch.c));
	again(&w);
	w.args.config.cache = CACHE_READ;
	w.fake.nputs = 0;
	world_run(&w, chain(&w, &ch));
	assert_ok(w.err);
	assert_said(&w, "intern x\nhit c logical\nlost c's object\nhit b logical\nstarted c\nended c\n");
	assert_int_equal(w.fake.nputs, 0);
	world_release(&w);
}

/* The entries go before the node is made anew: a run that dies in between leaves none that promises too much. */
static void
test_entries_are_dropped(unused_arg void **state)
{
	struct world w;
	struct chain ch;
	struct digest lkey;

	begin(&w);
	world_run(&w, chain(&w, &ch));
	lose(&w, object_of(ch.c));
	again(&w);
	world_start(&w, chain(&w, &ch));
	while (w.fake.nrunning == 0 || w.fake.nstarted < 6)	/* x, a, b, c, x, c */
		loop_turn(w.loop, true);
	lkey = ch.c->lkey;
	assert_true(fake_assoc_has(&w.fake, &ch.b->lkey));
	assert_false(fake_assoc_has(&w.fake, &lkey));
	world_until(&w);
	assert_true(fake_assoc_has(&w.fake, &lkey));
	world_release(&w);
}

struct diamond {
	struct flow *top, *l, *r, *bottom;
};

static struct flow *
diamond(struct world *w, struct diamond *d)
{
	d->top = n_exec(w, "top", 1, 0);
	d->l = n_exec(w, "l", 1, 1, d->top);
	d->r = n_exec(w, "r", 1, 1, d->top);
	return d->bottom = n_exec(w, "bottom", 1, 2, d->l, d->r);
}

/* Both sides wait for the same top, which runs once. */
static void
test_diamond(unused_arg void **state)
{
	struct world w;
	struct diamond d;

	begin(&w);
	world_run(&w, diamond(&w, &d));
	lose(&w, object_of(d.top));
	lose(&w, object_of(d.l));
	lose(&w, object_of(d.r));
	lose(&w, object_of(d.bottom));
	again(&w);
	world_run(&w, diamond(&w, &d));
	assert_ok(w.err);
	assert_said(&w, "hit bottom logical\nlost bottom's object\nhit l logical\nhit r logical\nstarted bottom\nlost bottom\n"
	    "lost l's object\nlost r's object\nhit top logical\nstarted l\nstarted r\nlost l\nlost r\nlost top's object\n"
	    "started top\nended top\nstarted l\nstarted r\nended l\nended r\nstarted bottom\nended bottom\n");
	assert_int_equal(w.stats.healed, 4);
	world_release(&w);
}

static void
test_one_side(unused_arg void **state)
{
	struct world w;
	struct diamond d;

	begin(&w);
	world_run(&w, diamond(&w, &d));
	lose(&w, object_of(d.r));
	lose(&w, object_of(d.bottom));
	again(&w);
	world_run(&w, diamond(&w, &d));
	assert_said(&w, "hit bottom logical\nlost bottom's object\nhit l logical\nhit r logical\nstarted bottom\nlost bottom\n"
	    "lost r's object\nhit top logical\nstarted r\nended r\nstarted bottom\nended bottom\n");
	world_release(&w);
}

/* One node's many files, some of them gone, each needed by somebody else: it runs once. */
static struct err *
k_pair_execs(struct world *w, struct value *const *in, unused_arg size_t n, struct value **out)
{
	struct flow *f[2];

	for (int i = 0; i < 2; i++)
		f[i] = n_exec(w, i ? "second" : "first", 1, 1, flow_val(w->graph, value_ref(value_at(in[0], (size_t)i))));
	*out = value_flow(n_exec(w, "both", 1, 2, f[0], f[1]));
	return NULL;
}

static struct flow *
fan(struct world *w, struct flow **maker)
{
	*maker = n_exec(w, "maker", 2, 0);
	return n_k(w, "fan", k_pair_execs, maker, 1, NULL);
}

static void
test_by_way_of_values(unused_arg void **state)
{
	struct world w;
	struct flow *maker;

	begin(&w);
	world_run(&w, fan(&w, &maker));
	assert_ok(w.err);
	lose(&w, value_get_file(value_at(maker->value, 0))->id);
	lose(&w, value_get_file(value_at(maker->value, 1))->id);
	w.args.config.invalidate = "first|second|both";
	again(&w);
	world_run(&w, fan(&w, &maker));
	assert_ok(w.err);
	assert_said(&w, "hit maker logical\nstarted first\nstarted second\nlost first\nlost second\nlost maker's object\n"
	    "started maker\nended maker\nstarted first\nstarted second\nended first\nended second\nstarted both\n"
	    "ended both\n");
	assert_int_equal(w.stats.healed, 1);
	world_release(&w);
}

/* A literal is stored again. */
static struct digest literal;
static bool literal_lost;

static struct err *
lose_literal(struct fake *f, const struct exec_config *c, unused_arg void *arg)
{
	if (!literal_lost && c->ident && strcmp(c->ident, "c") == 0)
		fake_object_lose(f, &literal);
	literal_lost = true;
	return NULL;
}

static void
test_data(unused_arg void **state)
{
	struct world w;

	begin(&w);
	sha256_of("hello", 5, &literal);
	literal_lost = false;
	w.fake.put_fault = lose_literal;
	world_run(&w, n_exec(&w, "c", 1, 1, flow_data(w.graph, "hello", 5, NULL, NULL)));
	assert_ok(w.err);
	assert_said(&w, "started c\nlost c\nstarted c\nended c\n");
	assert_int_equal(w.fake.nrepo_put, 2);
	world_release(&w);
}

/* A record of the run's own that names what is gone. */
static void
test_known(unused_arg void **state)
{
	struct world w;
	struct chain ch;
	struct fileset *fs;
	struct file file = { .size = 10 };

	begin(&w);
	w.args.config.cache = CACHE_OFF;
	world_run(&w, chain(&w, &ch));
	w.known_key = ch.b->pkey;
	w.known.state = ATTEMPT_OK;
	file.id = object_of(ch.b);
	fs = fileset_file(&file);
	w.known.fileset = fileset_list(&fs, 1);
	fileset_unref(fs);
	lose(&w, file.id);
	again(&w);
	world_run(&w, chain(&w, &ch));
	assert_ok(w.err);
	assert_int_equal(w.stats.known, 1);
	assert_said(&w, "intern x\nstarted a\nended a\nstarted c\nlost c\nlost b's object\nstarted b\nended b\nstarted c\n"
	    "ended c\n");
	world_release(&w);
}

/* For ever gone. */
static struct err *
eats(struct fake *f, const struct exec_config *c, unused_arg void *arg)
{
	if (c->ident && strcmp(c->ident, "c") == 0 && fake_object_has(f, &c->inputs[0].file.id))
		fake_object_lose(f, &c->inputs[0].file.id);
	return NULL;
}

static void
test_vanishes_again(unused_arg void **state)
{
	struct world w;
	struct chain ch;
	struct digest gone;
	char id[DIGEST_STR + 1], *want;

	begin(&w);
	w.fake.put_fault = eats;
	world_run(&w, chain(&w, &ch));
	gone = object_of(ch.b);
	digest_str(&gone, id);
	want = xasprintf("evaluation error: c t.rf:3:5: integrity error: object %s, made by b, is gone again after it was made "
			 "anew 3 times", id);
	assert_err(w.err, want);
	w.err = NULL;
	free(want);
	assert_int_equal(w.stats.healed, 3);
	assert_string_equal(buf_str(&w.failed), "c");
	world_release(&w);
}

static void
test_nobody_makes_it(unused_arg void **state)
{
	struct world w;
	struct file file = { .size = 5 };
	char id[DIGEST_STR + 1], *want;

	begin(&w);
	sha256_of("?", 1, &file.id);
	digest_str(&file.id, id);
	world_run(&w, n_exec(&w, "c", 1, 1, flow_val(w.graph, value_file(&file))));
	want = xasprintf("evaluation error: c t.rf:3:5: resource does not exist: object %s is gone, and nothing in this run makes it", id);
	assert_err(w.err, want);
	w.err = NULL;
	free(want);
	again(&w);
	world_run(&w, flow_val(w.graph, value_file(&file)));
	want = xasprintf("evaluation error: object %s is gone, and nothing in this run makes it", id);
	assert_err(w.err, want);
	w.err = NULL;
	free(want);
	world_release(&w);
}

/* A maker that fails when it is to do it once more. */
static void
b_fails(RUN_ARGS)
{
	if (!c->ident || strcmp(c->ident, "b") != 0)
		return;
	fileset_unref(r->fileset);
	r->fileset = NULL;
	r->state = ATTEMPT_FAILED;
	r->err = err_msg(ERR_EXEC, "exited with code 1");
}

static void
test_maker_fails(unused_arg void **state)
{
	struct world w;
	struct chain ch;

	begin(&w);
	world_run(&w, chain(&w, &ch));
	lose(&w, object_of(ch.b));
	lose(&w, object_of(ch.c));
	again(&w);
	w.fake.run = b_fails;
	world_run(&w, chain(&w, &ch));
	assert_err(w.err, "evaluation error: b t.rf:3:5: exec failed: exited with code 1");
	w.err = NULL;
	assert_string_equal(buf_str(&w.failed), "b");
	assert_said(&w, "intern x\nhit c logical\nlost c's object\nhit b logical\nstarted c\nlost c\nlost b's object\n"
	    "hit a logical\nstarted b\nended b failed\n");
	world_release(&w);
}

/* Likewise where the consumer has it by way of a value: it is not told of the end. */
static void
test_maker_of_values_fails(unused_arg void **state)
{
	struct world w;
	struct flow *b, *k;

	begin(&w);
	b = n_exec(&w, "b", 1, 0);
	k = n_k(&w, "list", k_list, &b, 1, NULL);
	world_run(&w, n_exec(&w, "c", 1, 1, k));
	lose(&w, object_of(b));
	again(&w);
	w.fake.run = b_fails;
	w.args.config.invalidate = "c";
	b = n_exec(&w, "b", 1, 0);
	k = n_k(&w, "list", k_list, &b, 1, NULL);
	world_run(&w, n_exec(&w, "c", 1, 1, k));
	assert_err(w.err, "evaluation error: b t.rf:3:5: exec failed: exited with code 1");
	w.err = NULL;
	again(&w);
	/* And where the result holds it. */
	b = n_exec(&w, "b", 1, 0);
	world_run(&w, n_k(&w, "list", k_list, &b, 1, NULL));
	assert_err(w.err, "evaluation error: b t.rf:3:5: exec failed: exited with code 1");
	w.err = NULL;
	world_release(&w);
}

/*
 * Equal bytes by chance: what the end gives is what the middle reads. The middle must not wait for the end, which waits
 * for it.
 */
static void
same_bytes(RUN_ARGS)
{
	struct file file = { .size = 0 };
	struct fileset *fs;

	if (!c->ident || (strcmp(c->ident, "a") != 0 && strcmp(c->ident, "c") != 0))
		return;
	sha256_of("", 0, &file.id);
	fs = fileset_file(&file);
	fileset_unref(r->fileset);
	r->fileset = fileset_list(&fs, 1);
	fileset_unref(fs);
}

static void
test_equal_bytes(unused_arg void **state)
{
	struct world w;
	struct chain ch;

	begin(&w);
	w.fake.run = same_bytes;
	run_chain(&w, &ch, "ab");
	assert_said(&w, "intern x\nhit c logical\nlost c's object\nhit b logical\nstarted c\nlost c\nlost b's object\n"
	    "hit a logical\nstarted b\nlost b\nlost a's object\nstarted a\nended a\nstarted b\nended b\nstarted c\n"
	    "ended c\n");
	world_release(&w);
}

/* Not the same bytes again. */
static unsigned generation;
static struct digest read_by[2];	/* what x and y read last */

static void
varies(RUN_ARGS)
{
	struct file file = { .size = 1 };
	struct fileset *fs;
	char text[16];

	if (c->ident && (strcmp(c->ident, "x") == 0 || strcmp(c->ident, "y") == 0))
		read_by[c->ident[0] == 'y'] = c->inputs[0].file.id;
	if (!c->ident || strcmp(c->ident, "a") != 0)
		return;
	snprintf(text, sizeof text, "a%u", generation);
	sha256_of(text, strlen(text), &file.id);
	fs = fileset_file(&file);
	fileset_unref(r->fileset);
	r->fileset = fileset_list(&fs, 1);
	fileset_unref(fs);
}

/* y is made from the value, inside of the continuation: other bytes make another y. */
static struct err *
k_make_y(struct world *w, struct value *const *in, unused_arg size_t n, struct value **out)
{
	*out = value_flow(n_exec(w, "y", 1, 1, flow_val(w->graph, value_ref(in[0]))));
	return NULL;
}

struct varied {
	struct flow *a, *kept, *list, *x, *y, *all;
};

static struct flow *
varied(struct world *w, struct varied *v)
{
	struct flow *all[3];

	v->a = n_exec(w, "a", 1, 0);
	v->kept = all[0] = n_exec(w, "kept", 1, 1, v->a);
	v->list = n_k(w, "list", k_list, &v->a, 1, NULL);
	v->x = all[1] = n_exec(w, "x", 1, 1, v->list);
	v->y = all[2] = n_k(w, "make_y", k_make_y, &v->a, 1, NULL);
	return v->all = n_k(w, "all", k_tuple, all, 3, NULL);
}

static void
test_other_bytes(unused_arg void **state)
{
	struct world w;
	struct varied v;
	struct digest kept, now;

	begin(&w);
	w.fake.run = varies;
	generation = 1;
	world_run(&w, varied(&w, &v));
	assert_ok(w.err);
	kept = object_of(v.kept);
	lose(&w, object_of(v.a));
	again(&w);
	generation = 2;
	w.args.config.invalidate = "^[xy]$";
	world_run(&w, varied(&w, &v));
	assert_ok(w.err);
	assert_said(&w, "hit kept logical\nhit a logical\nstarted y\nstarted x\nlost y\nlost x\nlost a's object\nstarted a\n"
	    "ended a\nstarted x\nstarted y\nended x\nended y\n");
	/* Who has run keeps what it has; who has not sees the new bytes, and its key says so. */
	sha256_of("a2", 2, &now);
	assert_true(digest_equal(&read_by[0], &now) && digest_equal(&read_by[1], &now));
	assert_true(digest_equal(&kept, &value_get_file(value_at(w.value, 0))->id));
	assert_int_equal(v.kept->state, FLOW_DONE);
	assert_true(value_get_file(value_at(v.list->value, 0))->size == 1);
	assert_true(digest_equal(&value_get_file(value_at(v.list->value, 0))->id, &now));
	world_release(&w);
}

/* The result itself is one of these: what is handed out is what there is. */
static void
test_result_of_other_bytes(unused_arg void **state)
{
	struct world w;
	struct flow *a;
	struct digest now;

	begin(&w);
	w.fake.run = varies;
	generation = 1;
	a = n_exec(&w, "a", 1, 0);
	world_run(&w, n_k(&w, "list", k_list, &a, 1, NULL));
	lose(&w, object_of(a));
	again(&w);
	generation = 2;
	a = n_exec(&w, "a", 1, 0);
	world_run(&w, n_k(&w, "list", k_list, &a, 1, NULL));
	assert_ok(w.err);
	sha256_of("a2", 2, &now);
	assert_true(digest_equal(&value_get_file(value_at(w.value, 0))->id, &now));
	assert_said(&w, "hit a logical\nlost a's object\nstarted a\nended a\n");
	world_release(&w);
}

/* What waits for room when other bytes come is taken back; what runs goes on. */
static void
test_other_bytes_while_others_wait(unused_arg void **state)
{
	struct world w;
	struct varied v;
	struct flow *all[12];
	struct digest now;

	begin(&w);
	w.fake.run = varies;
	generation = 1;
	world_run(&w, varied(&w, &v));
	lose(&w, object_of(v.a));
	again(&w);
	generation = 2;
	w.args.config.invalidate = "^[xy]$|^long";
	all[0] = varied(&w, &v);
	for (int i = 1; i < 12; i++) {
		char name[16];

		snprintf(name, sizeof name, "long%d", i);
		all[i] = n_exec(&w, name, 1, 1, i % 2 ? v.list : v.a);
	}
	world_run(&w, n_k(&w, "everything", k_tuple, all, 12, NULL));
	assert_ok(w.err);
	sha256_of("a2", 2, &now);
	assert_true(digest_equal(&read_by[0], &now) && digest_equal(&read_by[1], &now));
	assert_int_equal(w.stats.healed, 1);
	assert_int_equal(w.stats.waiting, 0);
	world_release(&w);
}

/* Delayed parts of operands are forced in their place; a restart begins from what they stood for. */
static struct err *
k_delayed(struct world *w, struct value *const *in, unused_arg size_t n, struct value **out)
{
	struct value *v[2] = { value_ref(in[0]), value_flow(n_exec(w, "late", 1, 0)) };

	*out = value_list(v, 2);
	return NULL;
}

static void
test_forced_operands(unused_arg void **state)
{
	struct world w;
	struct digest now;

	for (int i = 0; i < 2; i++) {
		struct flow *a, *k;

		if (i == 0)
			begin(&w);
		else
			again(&w);
		w.fake.run = varies;
		generation = (unsigned)i + 1;
		w.args.config.invalidate = "^x$";
		a = n_exec(&w, "a", 1, 0);
		k = n_k(&w, "delayed", k_delayed, &a, 1, NULL);
		world_run(&w, n_exec(&w, "x", 1, 1, k));
		assert_ok(w.err);
		if (i == 0)
			lose(&w, object_of(a));
	}
	sha256_of("a2", 2, &now);
	assert_true(digest_equal(&read_by[0], &now));
	assert_said(&w, "hit a logical\nhit late logical\nstarted x\nlost x\nlost a's object\nstarted a\nended a\nstarted x\n"
	    "ended x\n");
	world_release(&w);
}

/* Every n-th object of a random flow is gone: the second run ends, with the same value. */
static void
lose_some(struct world *w, struct flow *const *f, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245 + 12345;
		if (f[i]->state == FLOW_DONE && f[i]->value && (seed >> 16) % 3 == 0) {
			struct digest id = object_of(f[i]);

			if (fake_object_has(&w->fake, &id))
				fake_object_lose(&w->fake, &id);
		}
	}
}

static struct flow *
random_flow(struct world *w, struct flow **f, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		struct flow *deps[3];
		unsigned nd = 0;
		char name[16];

		for (; nd < 3 && nd < i; nd++) {
			seed = seed * 1103515245 + 12345;
			deps[nd] = f[(seed >> 16) % i];
		}
		if (i % 5 == 4) {
			deps[0] = n_k(w, "pass", k_list, deps, nd, NULL);
			nd = 1;
		}
		snprintf(name, sizeof name, "e%zu", i);
		f[i] = n_execv(w, name, 1, deps, nd);
	}
	return f[n - 1];
}

static void
test_random_flows(unused_arg void **state)
{
	struct flow *f[60];

	for (unsigned seed = 1; seed < 40; seed++) {
		struct world w;
		struct value *first;

		begin(&w);
		world_run(&w, random_flow(&w, f, 60, seed));
		assert_ok(w.err);
		lose_some(&w, f, 60, seed);
		first = value_ref(w.value);
		again(&w);
		if (seed % 2)
			w.args.config.invalidate = "[37]$";
		world_run(&w, random_flow(&w, f, 60, seed));
		assert_ok(w.err);
		assert_true(value_equal(w.value, first));
		value_unref(first);
		world_release(&w);
	}
}

static void
test_cancel_and_kill(unused_arg void **state)
{
	for (int turns = 0; turns < 60; turns++) {
		struct world w;
		struct diamond d;
		int i;

		begin(&w);
		world_run(&w, diamond(&w, &d));
		lose(&w, object_of(d.top));
		lose(&w, object_of(d.l));
		lose(&w, object_of(d.bottom));
		again(&w);
		world_start(&w, diamond(&w, &d));
		for (i = 0; i < turns && !w.over; i++)
			loop_turn(w.loop, true);
		if (turns % 2 && !w.over) {
			eval_kill(w.eval);
			world_until(&w);
		}
		world_release(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_long_result),
		cmocka_unit_test(test_all_of_a_chain),
		cmocka_unit_test(test_ends_of_a_chain),
		cmocka_unit_test(test_bottom_up),
		cmocka_unit_test(test_read_only_cache),
		cmocka_unit_test(test_entries_are_dropped),
		cmocka_unit_test(test_diamond),
		cmocka_unit_test(test_one_side),
		cmocka_unit_test(test_by_way_of_values),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_vanishes_again),
		cmocka_unit_test(test_nobody_makes_it),
		cmocka_unit_test(test_maker_fails),
		cmocka_unit_test(test_maker_of_values_fails),
		cmocka_unit_test(test_equal_bytes),
		cmocka_unit_test(test_other_bytes),
		cmocka_unit_test(test_result_of_other_bytes),
		cmocka_unit_test(test_other_bytes_while_others_wait),
		cmocka_unit_test(test_forced_operands),
		cmocka_unit_test(test_random_flows),
		cmocka_unit_test(test_cancel_and_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
