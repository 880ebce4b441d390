/* SPDX-License-Identifier: Apache-2.0 */
#include "base/resources.h"

#include "tests/check.h"

/* The arithmetic of resources, written as text: `cpu=4,mem=8GiB` in, `{mem:8.0GiB cpu:4 disk:0B}` out. */

static struct resources
parsed(const char *text)
{
	struct resources r = RESOURCES_INIT;

	if (*text)
		assert_ok(resources_parse(&r, text));
	return r;
}

static void
assert_str(const struct resources *r, const char *text)
{
	struct buf b = BUF_INIT;

	resources_str(r, &b);
	assert_string_equal(buf_str(&b), text);
	buf_release(&b);
}

static void
strings(void **state unused_arg)
{
	static const char *const cases[][2] = {
		{ "", "{}" },
		{ "cpu=0", "{}" },
		{ "intel_avx=0", "{}" },
		{ "mem=10GiB,cpu=4,disk=1TiB,intel_avx=4", "{mem:10.0GiB cpu:4 disk:1.0TiB intel_avx:4}" },
		{ "cpu=0.5", "{mem:0B cpu:0.5 disk:0B}" },
		{ "disk=512", "{mem:0B cpu:0 disk:512B}" },
		{ "zeta=1,alpha=2,mid=0", "{ alpha:2 zeta:1}" },
		{ "cpu=0.1", "{mem:0B cpu:0.1 disk:0B}" },
		{ "cpu=0.0001", "{mem:0B cpu:0.0001 disk:0B}" },
		{ "cpu=0.00001", "{mem:0B cpu:1e-05 disk:0B}" },
		{ "cpu=100", "{mem:0B cpu:100 disk:0B}" },
		{ "cpu=123456.25", "{mem:0B cpu:123456.25 disk:0B}" },
		{ "cpu=1000000", "{mem:0B cpu:1e+06 disk:0B}" },
	};

	for (size_t i = 0; i < nitems(cases); i++) {
		struct resources r = parsed(cases[i][0]);

		assert_str(&r, cases[i][1]);
		resources_release(&r);
	}
}

static void
set_get_copy(void **state unused_arg)
{
	struct resources r = RESOURCES_INIT, c = RESOURCES_INIT;

	resources_set(&r, "b", 2);
	resources_set(&r, "a", 1);
	resources_set(&r, "c", 3);
	resources_set(&r, "b", 20);
	resources_set(&r, "mem", 5);
	assert_int_equal(r.nfeatures, 3);
	assert_string_equal(r.features[0].label, "a");
	assert_true(resources_get(&r, "b") == 20);
	assert_true(resources_get(&r, "mem") == 5);
	assert_true(resources_get(&r, "cpu") == 0);
	assert_true(resources_get(&r, "none") == 0);
	assert_int_equal(r.present, RES_MEM);
	resources_set(&c, "old", 1);
	resources_copy(&c, &r);
	resources_copy(&c, &c);
	resources_release(&r);
	assert_str(&c, "{mem:5B cpu:0 disk:0B a:1 b:20 c:3}");
	assert_true(resources_get(&c, "old") == 0);
	resources_release(&c);
}

static void
operations(void **state unused_arg)
{
	static void (*const ops[])(struct resources *, const struct resources *) = {
		resources_add, resources_sub, resources_min, resources_max,
	};
	static const struct {
		const char *x, *y;
		const char *results[4];	/* add, sub, min, max */
	} table[] = {
		{ "", "", { "{}", "{}", "{}", "{}" } },
		{ "cpu=2,mem=4", "cpu=8,mem=2",
		    { "{mem:6B cpu:10 disk:0B}", "{mem:2B cpu:-6 disk:0B}", "{mem:2B cpu:2 disk:0B}",
			"{mem:4B cpu:8 disk:0B}" } },
		/* only x: Min keeps it */
		{ "cpu=2", "", { "{mem:0B cpu:2 disk:0B}", "{mem:0B cpu:2 disk:0B}", "{mem:0B cpu:2 disk:0B}",
			"{mem:0B cpu:2 disk:0B}" } },
		/* only y: Min does not take it */
		{ "", "cpu=2",
		    { "{mem:0B cpu:2 disk:0B}", "{mem:0B cpu:-2 disk:0B}", "{}", "{mem:0B cpu:2 disk:0B}" } },
		{ "intel_avx=4", "intel_avx2=2",
		    { "{ intel_avx:4 intel_avx2:2}", "{ intel_avx:4 intel_avx2:-2}", "{ intel_avx:4}",
			"{ intel_avx:4 intel_avx2:2}" } },
		{ "intel_avx=4,cpu=1", "intel_avx=1,cpu=0",
		    { "{mem:0B cpu:1 disk:0B intel_avx:5}", "{mem:0B cpu:1 disk:0B intel_avx:3}", "{ intel_avx:1}",
			"{mem:0B cpu:1 disk:0B intel_avx:4}" } },
	};

	for (size_t i = 0; i < nitems(table); i++)
		for (size_t op = 0; op < nitems(ops); op++) {
			struct resources x = parsed(table[i].x), y = parsed(table[i].y);

			ops[op](&x, &y);
			assert_str(&x, table[i].results[op]);
			resources_release(&x);
			resources_release(&y);
		}
}

/* A negative amount of y is smaller than what x lacks. */
static void
min_of_a_negative(void **state unused_arg)
{
	struct resources x = RESOURCES_INIT, y = RESOURCES_INIT;

	resources_set(&y, "cpu", -1);
	resources_min(&x, &y);
	assert_true(resources_get(&x, "cpu") == -1);
	resources_max(&x, &(struct resources)RESOURCES_INIT);
	assert_true(resources_get(&x, "cpu") == -1);
	resources_release(&x);
	resources_release(&y);
}

static void
available_and_equal(void **state unused_arg)
{
	static const struct {
		const char *r, *s;
		bool available, equal;
	} table[] = {
		{ "", "", true, true },
		{ "cpu=4,mem=8GiB", "cpu=4,mem=8GiB", true, true },
		{ "cpu=4,mem=8GiB", "cpu=4", true, false },
		{ "cpu=4", "cpu=4,mem=1", false, false },
		{ "cpu=4", "cpu=4,mem=0", true, true },
		{ "cpu=4", "cpu=4,intel_avx=4", false, false },
		{ "cpu=4,intel_avx=4", "intel_avx=2", true, false },
		{ "cpu=3.5", "cpu=4", false, false },
		{ "intel_avx=0", "", true, true },
	};

	for (size_t i = 0; i < nitems(table); i++) {
		struct resources r = parsed(table[i].r), s = parsed(table[i].s);

		assert_int_equal(resources_available(&r, &s), table[i].available);
		assert_int_equal(resources_equal(&r, &s), table[i].equal);
		assert_int_equal(resources_equal(&s, &r), table[i].equal);
		resources_release(&r);
		resources_release(&s);
	}
}

static void
scale_and_distance(void **state unused_arg)
{
	struct resources a = parsed("cpu=4,mem=8GiB,disk=1KiB,intel_avx=4"), b = parsed("cpu=2.5,mem=2GiB,disk=9TiB");

	assert_true(resources_scaled_distance(&a, &b) == 2.5);
	assert_true(resources_scaled_distance(&b, &a) == 2.5);
	resources_scale(&a, 1.5);
	assert_str(&a, "{mem:12.0GiB cpu:6 disk:1.5KiB intel_avx:6}");
	resources_release(&a);
	resources_release(&b);
}

static void
sizes(void **state unused_arg)
{
	static const struct {
		const char *text;
		double bytes;
	} good[] = {
		{ "0", 0 }, { "512", 512 }, { "512B", 512 }, { "1K", 1024 }, { "1KiB", 1024 }, { "1.5G", 1610612736.0 },
		{ "8GiB", 8589934592.0 }, { "2M", 2097152 }, { "1T", 1099511627776.0 }, { ".5K", 512 },
	};
	static const char *const bad[] = {
		"", "G", "-1", "1e3", "0x10", "inf", "nan", "1.2.3", ".", "8Gi", "8GB", "8giB", "8 GiB", " 8", "8GiBx",
		"8P",
	};
	double v;

	for (size_t i = 0; i < nitems(good); i++) {
		assert_ok(size_parse(good[i].text, &v));
		assert_true(v == good[i].bytes);
	}
	for (size_t i = 0; i < nitems(bad); i++) {
		char *text = xasprintf("bad size \"%s\": a number with K, M, G or T is expected, such as 8GiB", bad[i]);

		assert_err(size_parse(bad[i], &v), text);
		free(text);
	}
}

static void
bad_texts(void **state unused_arg)
{
	static const char *const bad[][2] = {
		{ "", "bad resource \"\": label=amount is expected, such as cpu=4" },
		{ "cpu", "bad resource \"cpu\": label=amount is expected, such as cpu=4" },
		{ "cpu=4,=3", "bad resource \"=3\": label=amount is expected, such as cpu=4" },
		{ "cpu=4,", "bad resource \"\": label=amount is expected, such as cpu=4" },
		{ "cpu=4,mem=8Q", "bad resource \"mem=8Q\": a size such as 8GiB is expected" },
		{ "cpu=4K", "bad resource \"cpu=4K\": a number is expected" },
		{ "cpu=-4", "bad resource \"cpu=-4\": a number is expected" },
		{ "a b=1", "bad resource \"a b=1\": a label has letters, digits and _" },
		{ "cpu=4,mem=1G,cpu=2", "bad resource \"cpu=2\": cpu is given twice" },
	};
	struct resources r = parsed("cpu=7");

	for (size_t i = 0; i < nitems(bad); i++)
		assert_err(resources_parse(&r, bad[i][0]), bad[i][1]);
	assert_str(&r, "{mem:0B cpu:7 disk:0B}");	/* untouched on failure */
	resources_release(&r);
}

static void
msgpack_round_trip(void **state unused_arg)
{
	static const char *const texts[] = { "", "cpu=0", "cpu=4,mem=8GiB,disk=1TiB,b=2,a=1", "mem=1", "zeta=0.5" };

	for (size_t i = 0; i < nitems(texts); i++) {
		struct resources r = parsed(texts[i]), back = parsed("old=1,cpu=9");
		struct buf b = BUF_INIT;
		struct mpk_w w;
		struct mpk_doc d;

		mpk_w_init(&w, &b);
		resources_mpk(&r, &w);
		assert_ok(mpk_parse(&d, b.p, b.len));
		resources_from_mpk(&back, mpk_root(&d));
		assert_true(resources_equal(&r, &back));
		assert_int_equal(r.present, back.present);
		assert_int_equal(r.nfeatures, back.nfeatures);
		mpk_doc_release(&d);
		buf_release(&b);
		resources_release(&r);
		resources_release(&back);
	}
}

static void
msgpack_of_others(void **state unused_arg)
{
	/* {"cpu": 4, "mem": "much", 7: 8, "disk": -1.5} */
	static const char doc[] = "\x84\xa3" "cpu\x04\xa3" "mem\xa4" "much\x07\x08\xa4" "disk\xcb\xbf\xf8\0\0\0\0\0\0";
	struct resources r = RESOURCES_INIT;
	struct mpk_doc d;

	assert_ok(mpk_parse(&d, doc, sizeof doc - 1));
	resources_from_mpk(&r, mpk_root(&d));
	assert_int_equal(r.present, RES_CPU | RES_DISK);
	assert_true(r.cpu == 4 && r.disk == -1.5);
	assert_int_equal(r.nfeatures, 0);
	mpk_doc_release(&d);
	resources_from_mpk(&r, NULL);
	assert_int_equal(r.present, 0);
	resources_release(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(set_get_copy),
		cmocka_unit_test(operations),
		cmocka_unit_test(min_of_a_negative),
		cmocka_unit_test(available_and_equal),
		cmocka_unit_test(scale_and_distance),
		cmocka_unit_test(sizes),
		cmocka_unit_test(bad_texts),
		cmocka_unit_test(msgpack_round_trip),
		cmocka_unit_test(msgpack_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
