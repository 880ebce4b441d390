/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "base/log.h"
#include "eval/lookup.h"
#include "loop/loop.h"
#include "tests/sched/fake.h"

/* The evaluator's operations on the cache: two keys, one after the other; and torture of both. */

static const struct digest first = { { 1 } }, second = { { 2 } };

struct world {
	struct clock *clock;
	struct loop  *loop;
	struct fake   fake;
	struct op    *op;
	bool	      over, found;
	unsigned      at;
	uint32_t      attempt;
	struct err   *err;
};

static void
put_cb(struct err *err, void *arg)
{
	struct world *w = arg;

	w->op = NULL;
	w->err = err;
	w->over = true;
}

static void
until_over(struct world *w)
{
	while (!w->over)
		assert_true(loop_turn(w->loop, true) || w->over);
}

static struct op *
put(struct world *w, const struct digest *keys, unsigned n, uint32_t attempt, cache_put_cb *cb, void *arg)
{
	struct exec_result r = { .state = ATTEMPT_OK, .attempt = attempt };
	struct op *op;

	r.fileset = fileset_list(NULL, 0);
	op = cache_put_start(&w->fake.assoc, keys, n, &r, cb, arg);
	exec_result_release(&r);
	return op;
}

static void
remember(struct world *w, const struct digest *keys, unsigned n, uint32_t attempt)
{
	w->over = false;
	w->op = put(w, keys, n, attempt, put_cb, w);
	until_over(w);
	assert_ok(w->err);
}

static void
begin(struct world *w)
{
	memset(w, 0, sizeof *w);
	w->clock = clock_virtual_new(SECONDS(1700000000));
	w->loop = loop_new(w->clock);
	fake_init(&w->fake, w->loop, "cpu=1,mem=1GiB");
}

static void
finish(struct world *w)
{
	fake_release(&w->fake);
	assert_int_equal(loop_nlive(w->loop), 0);
	loop_free(w->loop);
	clock_virtual_free(w->clock);
}

static void
found_cb(struct exec_result *r, unsigned at, void *arg)
{
	struct world *w = arg;

	w->op = NULL;
	w->over = true;
	w->found = r != NULL;
	w->at = at;
	if (r)
		w->attempt = r->attempt;
	if (r)
		exec_result_release(r);
}

static void
look(struct world *w, unsigned nkeys)
{
	struct lookup_args args = { .keys = { first, second }, .nkeys = nkeys, .timeout = SECONDS(60) };

	w->over = false;
	w->fake.ngets = 0;
	w->op = lookup_start(&w->fake.assoc, &args, found_cb, w);
	until_over(w);
}

static void
test_two_keys(unused_arg void **state)
{
	struct world w;

	begin(&w);
	look(&w, 2);
	assert_false(w.found);
	assert_int_equal(w.fake.ngets, 2);
	remember(&w, &second, 1, 7);
	look(&w, 1);
	assert_false(w.found);
	assert_int_equal(w.fake.ngets, 1);
	look(&w, 2);	/* the first key says nothing, the second does */
	assert_true(w.found);
	assert_int_equal(w.at, 1);
	assert_int_equal(w.attempt, 7);
	assert_int_equal(w.fake.ngets, 2);
	remember(&w, &first, 1, 8);
	look(&w, 2);	/* and is not asked when the first one does */
	assert_true(w.found);
	assert_int_equal(w.at, 0);
	assert_int_equal(w.attempt, 8);
	assert_int_equal(w.fake.ngets, 1);
	finish(&w);
}

static void
test_put_of_two_keys(unused_arg void **state)
{
	struct world w;
	struct digest both[] = { first, second };

	begin(&w);
	remember(&w, both, 2, 3);
	assert_true(fake_assoc_has(&w.fake, &first) && fake_assoc_has(&w.fake, &second));
	assert_int_equal(fake_assoc_n(&w.fake), 2);
	finish(&w);
}

/* A cache that never answers: each question waits until it is given up. */
static void
mute_advance(unused_arg struct op *op)
{
}

static void
mute_release(struct op *op)
{
	free(op);
}

static struct op *
mute_get(struct assoc *a, unused_arg enum assoc_kind kind, unused_arg const struct digest *key, unused_arg assoc_get_cb *cb,
    unused_arg void *arg)
{
	static const struct op_type type = { "mute_get", mute_advance, mute_release };
	struct op *op = xcalloc(1, sizeof *op);

	op_init(op, a->loop, &type);
	return op;
}

static void
test_timeout_is_a_miss(unused_arg void **state)
{
	static const struct assoc_ops ops = { .get = mute_get };
	struct lookup_args args = { .keys = { first, second }, .nkeys = 2, .timeout = SECONDS(7) };
	struct world w;
	struct assoc mute;
	int64_t since;

	begin(&w);
	mute = (struct assoc){ .ops = &ops, .loop = w.loop };
	since = loop_now(w.loop);
	w.op = lookup_start(&mute, &args, found_cb, &w);
	until_over(&w);
	assert_false(w.found);
	assert_int_equal(loop_now(w.loop) - since, SECONDS(7));	/* of all keys together, not of each */
	finish(&w);
}

/* A cache that answers at once, with one document for the second key. */
static struct buf document;
static bool answers;

static bool
quick_peek(unused_arg struct assoc *a, unused_arg enum assoc_kind kind, const struct digest *key, const void **value,
    size_t *len)
{
	bool has = digest_equal(key, &second);

	*value = has ? document.p : NULL;
	*len = has ? document.len : 0;
	return answers;
}

static void
set_document(unsigned attempt, enum attempt_state state)
{
	struct exec_result r = { .state = state, .attempt = attempt, .fileset = fileset_list(NULL, 0) };
	struct mpk_w w;

	buf_clear(&document);
	mpk_w_init(&w, &document);
	exec_result_mpk(&r, &w);
	exec_result_release(&r);
}

static void
test_peek(unused_arg void **state)
{
	static const struct assoc_ops quick = { .peek = quick_peek }, slow = { NULL };
	struct lookup_args args = { .keys = { first, second }, .nkeys = 2 };
	struct assoc assoc = { .ops = &slow };
	struct lookup_answer a;

	assert_false(lookup_peek(&assoc, &args, &a));
	assoc.ops = &quick;
	set_document(5, ATTEMPT_OK);
	assert_false(lookup_peek(&assoc, &args, &a));	/* it cannot now */
	answers = true;
	assert_true(lookup_peek(&assoc, &args, &a));
	assert_true(a.found);
	assert_int_equal(a.at, 1);
	assert_int_equal(a.result.attempt, 5);
	assert_true(a.raw == document.p && a.nraw == document.len);
	exec_result_release(&a.result);
	args.recompute_empty = true;
	assert_true(lookup_peek(&assoc, &args, &a));
	assert_false(a.found);
	args.recompute_empty = false;
	set_document(5, ATTEMPT_FAILED);
	assert_true(lookup_peek(&assoc, &args, &a));
	assert_false(a.found);
	document.len--;			/* does not read: as if it were not there */
	assert_true(lookup_peek(&assoc, &args, &a));
	assert_false(a.found);
	buf_release(&document);
}

/* An entry is short, reads in one pass, and as a whole or not at all; so does a result in full. */
static void
test_brief(unused_arg void **state)
{
	struct exec_result r = { .state = ATTEMPT_OK, .attempt = 3, .out = first, .out_size = 9, .exec = second };
	struct file file = { first, 7 };
	struct fileset *one = fileset_file(&file);
	struct exec_result got;
	struct mpk_w w;

	r.fileset = fileset_list(&one, 1);
	r.host = xstrdup("h");
	for (int full = 0; full < 2; full++) {
		buf_clear(&document);
		mpk_w_init(&w, &document);
		if (full)
			exec_result_mpk(&r, &w);
		else
			exec_result_brief_mpk(&r, &w);
		assert_true(full ? document.len > 250 : document.len < 200);
		assert_true(exec_result_scan(document.p, document.len, &got));
		assert_int_equal(got.state, ATTEMPT_OK);
		assert_int_equal(got.attempt, 3);
		assert_int_equal(got.out_size, 9);
		assert_true(digest_equal(&got.out, &first) && digest_is_zero(&got.errlog) && digest_equal(&got.exec, &second));
		assert_string_equal(got.host, "h");
		assert_true(fileset_equal(got.fileset, r.fileset));
		exec_result_release(&got);
		for (size_t n = 0; n < document.len; n++)
			assert_false(exec_result_scan(document.p, n, &got));
		buf_addch(&document, '\0');
		assert_false(exec_result_scan(document.p, document.len, &got));
	}
	buf_release(&document);
	fileset_unref(one);
	exec_result_release(&r);
}

/* Torture. */

static void
setup(struct torture *t)
{
	struct world *w = xcalloc(1, sizeof *w);

	t->world = w;
	w->loop = t->loop;
	fake_init(&w->fake, t->loop, "cpu=1,mem=1GiB");
	remember(w, &second, 1, 7);
	w->fake.torture = t;
}

static void
tortured_found_cb(struct exec_result *r, unsigned at, void *arg)
{
	struct torture *t = arg;

	found_cb(r, at, t->world);
	torture_done(t, NULL);
}

static void
make_lookup(struct torture *t)
{
	struct world *w = t->world;
	struct lookup_args args = { .keys = { first, second }, .nkeys = 2, .timeout = SECONDS(60) };

	w->op = lookup_start(&w->fake.assoc, &args, tortured_found_cb, t);
}

/* Whatever fails is a miss of that key. */
static void
check_lookup(struct torture *t)
{
	struct world *w = t->world;

	assert_int_equal(w->found, t->fault_at != 1);
	assert_int_equal(w->at, w->found ? 1 : 2);
}

static void
tortured_put_cb(struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct world *)t->world)->op = NULL;
	torture_done(t, err);
}

static void
make_put(struct torture *t)
{
	struct digest both[] = { first, second };
	struct world *w = t->world;

	w->op = put(w, both, 2, 3, tortured_put_cb, t);
}

static void
check_put(struct torture *t)
{
	struct world *w = t->world;

	if (t->fault_at < 0) {
		assert_ok(t->err);
		assert_true(fake_assoc_has(&w->fake, &first));
	} else {
		assert_int_equal(err_kind(t->err), t->fault_kind);
	}
}

static void
cancel(struct torture *t)
{
	op_cancel(&((struct world *)t->world)->op);
}

static void
teardown(struct torture *t)
{
	struct world *w = t->world;

	fake_release(&w->fake);
	free(w);
}

static void
test_torture(unused_arg void **state)
{
	static const struct torture_spec lookup = { "cache_lookup", .setup = setup, .make = make_lookup, .cancel = cancel,
		.check = check_lookup, .teardown = teardown };
	static const struct torture_spec putting = { "cache_put", .setup = setup, .make = make_put, .cancel = cancel,
		.check = check_put, .teardown = teardown };

	log_init("test_lookup", LOG_ERROR);
	torture(&lookup);
	torture(&putting);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_keys),
		cmocka_unit_test(test_put_of_two_keys),
		cmocka_unit_test(test_timeout_is_a_miss),
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_brief),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
