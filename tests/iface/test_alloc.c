/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "iface/alloc.h"

/* Labels, and what a snapshot keeps of an alloc. */

static void
test_labels(void **state unused_arg)
{
	struct labels l = { NULL, 0 }, copy = { NULL, 0 };

	labels_set(&l, "b", "2");
	labels_set(&l, "a", "1");
	labels_set(&l, "c", "");
	labels_set(&l, "b", "3");
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[0].name, "a");
	assert_string_equal(l.v[1].name, "b");
	assert_string_equal(l.v[2].name, "c");
	assert_string_equal(labels_get(&l, "b"), "3");
	assert_string_equal(labels_get(&l, "c"), "");
	assert_null(labels_get(&l, "d"));
	labels_set(&l, "b", labels_get(&l, "b"));	/* from itself */
	assert_string_equal(labels_get(&l, "b"), "3");
	labels_copy(&copy, &l);
	labels_release(&l);
	assert_null(labels_get(&l, "a"));
	assert_string_equal(labels_get(&copy, "a"), "1");
	labels_copy(&copy, &copy);			/* onto itself */
	assert_int_equal(copy.n, 3);
	labels_release(&copy);
}

static void
fill(struct alloc_inspect *i)
{
	*i = (struct alloc_inspect){ .id = xstrdup("local/00112233aabbccdd") };
	resources_set(&i->resources, "cpu", 4);
	resources_set(&i->resources, "mem", 1e10);
	resources_set(&i->resources, "intel_avx", 4);
	resources_set(&i->meta.want, "cpu", 2.5);
	i->meta.owner = xstrdup("A B <ab>");
	labels_set(&i->meta.labels, "user", "ab");
	labels_set(&i->meta.labels, "x", "");
	i->created = 1700000000123456789;
	i->last_keepalive = 1700000001000000000;
	i->expires = 1700000060000000001;
}

static void
assert_same(const struct alloc_inspect *a, const struct alloc_inspect *b)
{
	assert_string_equal(a->id, b->id);
	assert_true(resources_equal(&a->resources, &b->resources));
	assert_true(resources_equal(&a->meta.want, &b->meta.want));
	assert_string_equal(a->meta.owner, b->meta.owner);
	assert_int_equal(a->meta.labels.n, b->meta.labels.n);
	for (size_t i = 0; i < a->meta.labels.n; i++) {
		assert_string_equal(a->meta.labels.v[i].name, b->meta.labels.v[i].name);
		assert_string_equal(a->meta.labels.v[i].value, b->meta.labels.v[i].value);
	}
	assert_true(a->created == b->created && a->last_keepalive == b->last_keepalive && a->expires == b->expires);
}

static void
test_inspect(void **state unused_arg)
{
	struct alloc_inspect i, back = { .id = NULL }, copy = { .id = NULL };
	struct buf b = BUF_INIT;
	struct mpk_doc doc;
	struct mpk_w w;

	fill(&i);
	mpk_w_init(&w, &b);
	alloc_inspect_mpk(&i, &w);
	assert_ok(mpk_parse(&doc, b.p, b.len));
	assert_non_null(mpk_get(mpk_root(&doc), "LastKeepalive"));
	assert_ok(alloc_inspect_from_mpk(mpk_root(&doc), &back));
	assert_same(&i, &back);
	alloc_inspect_copy(&copy, &back);
	alloc_inspect_copy(&copy, &copy);
	assert_same(&i, &copy);
	assert_ok(alloc_inspect_from_mpk(mpk_root(&doc), &back));	/* what was there is released */
	mpk_doc_release(&doc);
	buf_release(&b);
	alloc_inspect_release(&i);
	alloc_inspect_release(&back);
	alloc_inspect_release(&copy);
}

/* An older or a broken document: what is missing or of another type reads as empty; without an ID it is none. */
static void
test_inspect_partial(void **state unused_arg)
{
	struct alloc_inspect back = { .id = xstrdup("before") };
	struct buf b = BUF_INIT;
	struct mpk_doc doc;
	struct mpk_w w;

	mpk_w_init(&w, &b);
	mpk_map(&w, 3);
	mpk_key(&w, "ID"), mpk_str(&w, "local/1");
	mpk_key(&w, "Meta"), mpk_map(&w, 1);
	mpk_key(&w, "Labels"), mpk_map(&w, 2);
	mpk_u64(&w, 7), mpk_str(&w, "number as a name");
	mpk_str(&w, "ok"), mpk_str(&w, "yes");
	mpk_key(&w, "Created"), mpk_str(&w, "yesterday");
	assert_ok(mpk_parse(&doc, b.p, b.len));
	assert_ok(alloc_inspect_from_mpk(mpk_root(&doc), &back));
	assert_string_equal(back.id, "local/1");
	assert_null(back.meta.owner);
	assert_int_equal(back.meta.labels.n, 1);
	assert_string_equal(labels_get(&back.meta.labels, "ok"), "yes");
	assert_true(back.created == 0);
	mpk_doc_release(&doc);
	buf_clear(&b);
	mpk_w_init(&w, &b);
	mpk_map(&w, 0);
	assert_ok(mpk_parse(&doc, b.p, b.len));
	assert_err(alloc_inspect_from_mpk(mpk_root(&doc), &back), "the inspect of an alloc has no ID");
	assert_string_equal(back.id, "local/1");	/* untouched */
	mpk_doc_release(&doc);
	buf_release(&b);
	alloc_inspect_release(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_inspect_partial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
