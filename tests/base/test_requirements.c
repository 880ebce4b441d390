/* SPDX-License-Identifier: Apache-2.0 */
#include "base/requirements.h"

#include <limits.h>

#include "tests/check.h"

/* Requirements: what is a maximum, what is a sum, and which AddParallel widens. */

static struct resources
parsed(const char *text)
{
	struct resources r = RESOURCES_INIT;

	assert_ok(resources_parse(&r, text));
	return r;
}

static void
assert_req(const struct requirements *r, const char *text, int width)
{
	struct buf b = BUF_INIT;

	requirements_str(r, &b);
	assert_string_equal(buf_str(&b), text);
	assert_int_equal(r->width, width);
	assert_int_equal(requirements_wide(r), width > 0);
	buf_release(&b);
}

static void
serial_takes_the_maximum(void **state unused_arg)
{
	struct requirements r = REQUIREMENTS_INIT;
	struct resources a = parsed("cpu=2,mem=4GiB"), b = parsed("cpu=8,mem=2GiB");

	assert_req(&r, "{}", 0);
	requirements_add_serial(&r, &a);
	requirements_add_serial(&r, &b);
	assert_req(&r, "{mem:4.0GiB cpu:8 disk:0B}", 0);
	requirements_release(&r);
	resources_release(&a);
	resources_release(&b);
}

static void
parallel_widens_from_the_second(void **state unused_arg)
{
	struct requirements r = REQUIREMENTS_INIT;
	struct resources a = parsed("cpu=2"), max = RESOURCES_INIT;

	requirements_add_parallel(&r, &a);
	assert_req(&r, "{mem:0B cpu:2 disk:0B}", 0);
	requirements_add_parallel(&r, &a);
	assert_req(&r, "{mem:0B cpu:2 disk:0B}", 1);
	requirements_add_parallel(&r, &a);
	assert_req(&r, "{mem:0B cpu:2 disk:0B}#2", 2);
	requirements_max(&r, &max);
	assert_true(max.cpu == 6);
	r.width = INT_MAX;
	requirements_add_parallel(&r, &a);
	assert_int_equal(r.width, INT_MAX);
	requirements_release(&r);
	resources_release(&a);
	resources_release(&max);
}

/* A merge of one exec of 2 cores and 4 GiB with a map over execs of 8 cores and 2 GiB. */
static void
merge_with_a_map(void **state unused_arg)
{
	struct requirements r = REQUIREMENTS_INIT, map = REQUIREMENTS_INIT, copy = REQUIREMENTS_INIT;
	struct resources a = parsed("cpu=2,mem=4GiB"), b = parsed("cpu=8,mem=2GiB"), max = RESOURCES_INIT;

	requirements_add_serial(&r, &a);
	requirements_add_serial(&map, &b);
	map.width = 1;
	requirements_add(&r, &map);
	assert_req(&r, "{mem:4.0GiB cpu:8 disk:0B}", 1);
	requirements_max(&r, &max);
	assert_true(max.cpu == 16 && max.mem == 8.0 * (1 << 30));
	requirements_copy(&copy, &r);
	assert_true(requirements_equal(&copy, &r));
	copy.width++;
	assert_false(requirements_equal(&copy, &r));
	requirements_release(&copy);
	requirements_release(&map);
	requirements_release(&r);
	resources_release(&a);
	resources_release(&b);
	resources_release(&max);
}

/* Shared dependencies count once per path, so widths double with depth: they saturate. */
static void
widths_saturate(void **state unused_arg)
{
	struct requirements r = { .width = 1 }, s;

	for (int i = 0; i < 70; i++) {
		s = r;
		requirements_add(&r, &s);
	}
	assert_int_equal(r.width, INT_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serial_takes_the_maximum),
		cmocka_unit_test(parallel_widens_from_the_second),
		cmocka_unit_test(merge_with_a_map),
		cmocka_unit_test(widths_saturate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
