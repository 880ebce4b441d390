/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/conform_assoc.h"
#include "tests/iface/conform_repo.h"
#include "tests/iface/fake_assoc.h"
#include "tests/iface/fake_repo.h"

#include "base/xalloc.h"

/* The fakes keep the contracts that the real ones keep, and fail when they are told to. */

static struct fake script;

static struct repo *
make_repo(struct loop *loop, void *arg unused_arg)
{
	fake_init(&script, loop);
	return fake_repo_new(&script, "fake");
}

static void
damage(struct repo *r, const struct digest *d, void *arg unused_arg)
{
	fake_repo_damage(r, d);
}

static void
test_repo(void **state unused_arg)
{
	conform_repo(&(struct conform_repo){ make_repo, damage, NULL, NULL });
}

static struct assoc *
make_assoc(struct loop *loop, void *arg unused_arg)
{
	fake_init(&script, loop);
	return fake_assoc_new(&script);
}

static void
test_assoc(void **state unused_arg)
{
	conform_assoc(&(struct conform_assoc){ make_assoc, NULL, false, NULL });
}

/* The nth call fails, and calls take their time on the virtual clock. */
static void
test_script(void **state unused_arg)
{
	struct clock *clock = clock_virtual_new(0);
	struct loop *loop = loop_new(clock);
	struct assoc *a = make_assoc(loop, NULL);
	struct buf out = BUF_INIT;
	struct digest k;
	int64_t start;

	sha256_of("k", 1, &k);
	script.latency = SECONDS(5);
	fake_fail(&script, "assoc-get", 2, ERR_NET);
	fake_fail(&script, "assoc-put", 0, ERR_TIMEOUT);
	fake_assoc_set(a, ASSOC_FILESET, &k, "v", 1);
	start = loop_now(loop);
	assert_ok(sync_assoc_get(a, ASSOC_FILESET, &k, &out));
	assert_true(loop_now(loop) - start >= SECONDS(5));
	assert_err(sync_assoc_get(a, ASSOC_FILESET, &k, &out), "assoc-get injected: network error");
	assert_ok(sync_assoc_get(a, ASSOC_FILESET, &k, &out));
	assert_err(sync_assoc_put(a, ASSOC_FILESET, &k, "w", 1), "assoc-put injected: timeout");
	assert_int_equal(fake_calls(&script, "assoc-get"), 3);
	assert_int_equal(fake_calls(&script, "assoc-put"), 1);
	buf_release(&out);
	assoc_free(a);
	loop_free(loop);
	clock_virtual_free(clock);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repo),
		cmocka_unit_test(test_assoc),
		cmocka_unit_test(test_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
