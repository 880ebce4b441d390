/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "tests/check.h"

/* Arenas: zeroed and aligned memory of any size that does not overlap, cleanups in reverse order. */

static void
sizes_do_not_overlap(void **state unused_arg)
{
	struct arena *a = arena_new();
	unsigned char *p[600];
	size_t total = 0;

	for (size_t i = 0; i < nitems(p); i++) {
		size_t n = i * i % 30011;	/* small ones and some beyond a chunk's quarter */

		p[i] = arena_alloc(a, n);
		total += n;
		assert_int_equal((uintptr_t)p[i] % _Alignof(int64_t), 0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(p[i][k], 0);
		memset(p[i], (int)(i % 251) + 1, n);
	}
	for (size_t i = 0; i < nitems(p); i++)
		for (size_t k = 0; k < i * i % 30011; k++)
			assert_int_equal(p[i][k], i % 251 + 1);
	assert_true(arena_bytes(a) >= total);
	assert_true(arena_bytes(a) < total + total / 2 + 600000);
	arena_free(a);
	arena_free(NULL);
}

static void
strings(void **state unused_arg)
{
	struct arena *a = arena_new();

	assert_string_equal(arena_strdup(a, "weir"), "weir");
	assert_string_equal(arena_strdup(a, ""), "");
	assert_string_equal(arena_strndup(a, "weir", 2), "we");
	assert_string_equal(arena_strndup(a, "we", 20), "we");
	assert_string_equal(arena_printf(a, "%s/%d", "n", 7), "n/7");
	assert_memory_equal(arena_memdup(a, "a\0b", 3), "a\0b", 3);
	arena_free(a);
}

struct mark {
	struct arena *arena;
	char	     *log;
	char	      name;
};

static void
note(void *arg)
{
	struct mark *m = arg;

	m->log[strlen(m->log)] = m->name;
}

static void
note_and_add(void *arg)
{
	struct mark *m = arg;

	note(m);
	m->name = 'x';
	arena_cleanup(m->arena, note, m);
}

static void
cleanups_run_backwards(void **state unused_arg)
{
	struct arena *a = arena_new();
	char log[8] = "";
	struct mark marks[] = { { a, log, 'a' }, { a, log, 'b' }, { a, log, 'c' } };

	arena_cleanup(a, note, &marks[0]);
	arena_cleanup(a, note_and_add, &marks[1]);
	arena_cleanup(a, note, &marks[2]);
	arena_free(a);
	assert_string_equal(log, "cbxa");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_do_not_overlap),
		cmocka_unit_test(strings),
		cmocka_unit_test(cleanups_run_backwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
