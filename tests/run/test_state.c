/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xalloc.h"
#include "run/state.h"

/* The State: its codec keeps every field, its string form is the documented one, Reset forgets what it must. */

static void
fill(struct run_state *s)
{
	state_init(s);
	memset(s->ID.b, 0xab, sizeof s->ID.b);
	memset(s->Bundle.b, 0xcd, sizeof s->Bundle.b);
	s->Program = xstrdup("flow.rf");
	labels_set(&s->Params, "chunks", "4");
	labels_set(&s->Params, "genome", "a b");
	s->Args = xcalloc(2, sizeof *s->Args);
	s->Args[s->nArgs++] = xstrdup("one");
	s->Args[s->nArgs++] = xstrdup("");
	s->Phase = PHASE_RETRY;
	s->AllocID = xstrdup("local/0011223344556677");
	s->AllocInspect = xcalloc(1, sizeof *s->AllocInspect);
	s->AllocInspect->id = xstrdup(s->AllocID);
	resources_set(&s->AllocInspect->resources, "cpu", 2);
	s->AllocInspect->meta.owner = xstrdup("<unknown>");
	labels_set(&s->AllocInspect->meta.labels, "program", "flow.rf");
	s->AllocInspect->created = 1700000000000000001;
	s->Result = xstrdup("[1, 2]");
	s->ResultJSON = xstrdup("[1,2]");
	s->ResultType = xstrdup("[int]");
	s->Err = err_wrap(err_new(ERR_UNAVAILABLE, "keepalive", "local/1"), "eval", "flow");
	s->NumTries = 2;
	s->Stalled = 1;
	s->Resets = 3;
	s->LastTry = 1700000000500000000;
	s->Created = 1700000000000000000;
	s->Completion = 1700000001000000000;
	resources_set(&s->TotalResources, "cpu", 0.125);
	s->Dir = xstrdup("/data");
	s->Cause = xstrdup("the try failed");
	labels_set(&s->Labels, "team", "lambda");
	s->Config.cache = CACHE_READ;
	s->Config.bottomup = s->Config.no_cache_extern = s->Config.recompute_empty = s->Config.fail_fast = true;
	s->Config.invalidate = xstrdup("align.*");
	s->Config.lookup_timeout = 7;
	s->Config.retain = 8;
	s->Config.universe = xstrdup("u");
	s->Config.cluster = xstrdup("local");
}

static void
encode(const struct run_state *s, struct buf *b)
{
	struct mpk_w w;

	mpk_w_init(&w, b);
	state_mpk(s, &w);
}

static void
test_codec_keeps_every_field(void **arg)
{
	struct run_state a, b, c;
	struct buf one = BUF_INIT, two = BUF_INIT, three = BUF_INIT;
	struct mpk_doc doc;

	(void)arg;
	fill(&a);
	encode(&a, &one);
	assert_null(mpk_parse(&doc, one.p, one.len));
	assert_null(state_from_mpk(mpk_root(&doc), &b));
	encode(&b, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.p, two.p, one.len);
	state_copy(&c, &b);
	encode(&c, &three);
	assert_int_equal(one.len, three.len);
	assert_memory_equal(one.p, three.p, one.len);
	assert_string_equal(b.Config.invalidate, "align.*");
	assert_int_equal(b.Config.cache, CACHE_READ);
	assert_string_equal(labels_get(&b.Params, "genome"), "a b");
	assert_true(err_is(b.Err, ERR_UNAVAILABLE));
	mpk_doc_release(&doc);
	buf_release(&one);
	buf_release(&two);
	buf_release(&three);
	state_release(&a);
	state_release(&b);
	state_release(&c);
}

static void
test_codec_refuses_what_is_no_state(void **arg)
{
	struct run_state s;
	struct buf b = BUF_INIT;
	struct mpk_doc doc;
	struct mpk_w w;
	struct err *err;
	char *text;

	(void)arg;
	mpk_w_init(&w, &b);
	mpk_map(&w, 1);
	mpk_key(&w, "Phase");
	mpk_str(&w, "Init");
	assert_null(mpk_parse(&doc, b.p, b.len));
	err = state_from_mpk(mpk_root(&doc), &s);
	text = err_str(err);
	assert_string_equal(text, "not a State: no run ID");
	free(text);
	err_free(err);
	mpk_doc_release(&doc);
	buf_release(&b);
}

static void
expect_str(const struct run_state *s, const char *want)
{
	struct buf b = BUF_INIT;

	state_str(s, &b);
	assert_string_equal(buf_str(&b), want);
	buf_release(&b);
}

static void
test_string_form(void **arg)
{
	struct run_state s;

	(void)arg;
	fill(&s);
	expect_str(&s, "retry error eval flow: unavailable: keepalive local/1 try 3/5 last 2023-11-14T22:13:20Z");
	s.Stalled = 3;
	expect_str(&s, "retry error eval flow: unavailable: keepalive local/1 try 3/3 last 2023-11-14T22:13:20Z");
	s.Phase = PHASE_EVAL;
	expect_str(&s, "eval alloc local/0011223344556677");
	s.Phase = PHASE_DONE;
	expect_str(&s, "done error eval flow: unavailable: keepalive local/1");
	err_free(s.Err);
	s.Err = NULL;
	expect_str(&s, "done result [1, 2]");
	s.Phase = PHASE_INIT;
	expect_str(&s, "init");
	state_release(&s);
}

static void
test_reset(void **arg)
{
	struct run_state s;
	uint32_t before;

	(void)arg;
	fill(&s);
	before = state_try(&s);
	state_reset(&s);
	assert_int_equal(s.Phase, PHASE_INIT);
	assert_null(s.AllocID);
	assert_null(s.AllocInspect);
	assert_null(s.Result);
	assert_null(s.Err);
	assert_int_equal(s.NumTries, 0);
	assert_int_equal(s.Created, 0);
	assert_int_equal(s.Completion, 0);
	assert_string_equal(s.Program, "flow.rf");
	assert_int_equal(s.nArgs, 2);
	assert_true(s.TotalResources.cpu == 0.125);
	assert_true(state_try(&s) > before);	/* or the new try would attach to the failures of the old one */
	state_release(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codec_keeps_every_field),
		cmocka_unit_test(test_codec_refuses_what_is_no_state),
		cmocka_unit_test(test_string_form),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
