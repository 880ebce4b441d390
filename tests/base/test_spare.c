/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "base/spare.h"

/* What is taken is zeroed, whoever had it before; and nothing is left in the end, which a leak checker sees. */
static void
test_spare(unused_arg void **state)
{
	struct spare s = { NULL, 0 };
	char *p[600];

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < nitems(p); i++) {
			p[i] = spare_take(&s, 64);
			for (size_t k = 0; k < 64; k++)
				assert_int_equal(p[i][k], 0);
			memset(p[i], 0x5a, 64);
		}
		for (size_t i = 0; i < nitems(p); i++)
			spare_give(&s, p[i]);
		assert_in_range(s.n, 0, 512);
	}
	spare_give(&s, NULL);
	spare_release(&s);
	assert_null(s.list);
	spare_release(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_spare) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
