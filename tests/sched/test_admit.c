/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include "sched/admit.h"

/* Admission: what is chosen, in which order, told as a line of names. */

struct it {
	struct admit_item item;
	const char	 *name;
};
struct world {
	struct admit	*a;
	struct admit_run run[4];
	struct it	 items[64];
	size_t		 n;
	unsigned	 rank;		/* of what is pushed */
	int64_t		 now;
};
#define SECOND ((int64_t)1000000000)

static void
begin(struct world *w, const char *total, unsigned lookahead)
{
	struct resources res = RESOURCES_INIT;

	memset(w, 0, sizeof *w);
	assert_ok(resources_parse(&res, total));
	w->a = admit_new(&res, lookahead, 3);
	for (size_t i = 0; i < 4; i++)
		admit_run_init(&w->run[i]);
	resources_release(&res);
}

static struct it *
push(struct world *w, unsigned run, const char *name, const char *want)
{
	struct it *it = &w->items[w->n++];
	struct resources res = RESOURCES_INIT;

	it->name = name;
	if (want)
		assert_ok(resources_parse(&res, want));
	admit_push(w->a, w->now, &w->run[run], &it->item, want ? &res : NULL, w->rank);
	resources_release(&res);
	return it;
}

static void
push_many(struct world *w, unsigned run, const char *name, const char *want, int n)
{
	while (n-- > 0)
		push(w, run, name, want);
}

/* Everything that may start now; an item that went ahead has a plus. */
static void
assert_next(struct world *w, const char *names)
{
	struct buf b = BUF_INIT;
	struct admit_item *item;

	while ((item = admit_next(w->a, w->now)) != NULL)
		buf_addf(&b, "%s%s%s", b.len ? " " : "", container_of(item, struct it, item)->name,
		    item->state == ADMIT_AHEAD ? "+" : "");
	assert_string_equal(buf_str(&b), names);
	buf_release(&b);
}

/* A second later the first item of that name that is running ends. */
static void
end(struct world *w, const char *name)
{
	w->now += SECOND;
	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(w->items[i].name, name) == 0 && w->items[i].item.state == ADMIT_RUNNING) {
			admit_remove(w->a, w->now, &w->items[i].item);
			return;
		}
	}
	fail_msg("%s is not running", name);
}

static void
finish(struct world *w)
{
	for (size_t i = 0; i < w->n; i++)
		admit_remove(w->a, w->now, &w->items[i].item);
	assert_int_equal(admit_nwaiting(w->a), 0);
	assert_int_equal(admit_nrunning(w->a), 0);
	admit_free(w->a);
}

static void
test_fits(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=4,mem=4GiB,disk=1GiB", 0);
	push(&w, 0, "a", "cpu=2,mem=1GiB");
	push(&w, 0, "b", "cpu=1,mem=3GiB");
	push(&w, 0, "c", "cpu=1,mem=1GiB");
	push(&w, 0, "d", "cpu=1,mem=100MiB");
	/* c has no memory left; d, smaller and later, goes by. */
	assert_next(&w, "b a");
	end(&w, "b");
	assert_next(&w, "c d");
	finish(&w);
}

static void
test_disk_is_not_admitted_on(unused_arg void **state)
{
	struct world w;
	struct resources big = RESOURCES_INIT;

	begin(&w, "cpu=4,mem=4GiB,disk=10GiB", 0);
	push(&w, 0, "a", "cpu=1,mem=1GiB,disk=8GiB");
	push(&w, 0, "b", "cpu=1,mem=1GiB,disk=8GiB");
	assert_next(&w, "a b");
	assert_ok(resources_parse(&big, "cpu=1,disk=11GiB"));
	assert_false(admit_could(w.a, &big));
	resources_release(&big);
	finish(&w);
}

static void
test_features(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=4,mem=4GiB,intel_avx=2", 0);
	push(&w, 0, "a", "cpu=1,intel_avx=1");
	push(&w, 0, "b", "cpu=1,intel_avx=1");
	push(&w, 0, "c", "cpu=1,intel_avx=1");
	push(&w, 0, "d", "cpu=1");
	assert_next(&w, "a b d");
	end(&w, "a");
	assert_next(&w, "c");
	finish(&w);
}

/* Ten tenths make one, and a core given and taken a thousand times is still whole. */
static void
test_fractions(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=1,mem=1GiB", 0);
	push_many(&w, 0, "x", "cpu=0.1", 12);
	assert_next(&w, "x x x x x x x x x x");
	for (int i = 0; i < 2; i++)
		end(&w, "x");
	assert_next(&w, "x x");
	finish(&w);
}

static void
test_runs_take_turns(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=1,mem=1GiB", 0);
	push_many(&w, 0, "a", "cpu=1", 4);
	assert_next(&w, "a");
	push_many(&w, 1, "b", "cpu=1", 2);
	push_many(&w, 2, "c", "cpu=1", 2);
	end(&w, "a");
	assert_next(&w, "b");
	end(&w, "b");
	assert_next(&w, "c");
	end(&w, "c");
	assert_next(&w, "a");
	end(&w, "a");
	assert_next(&w, "b");
	finish(&w);
}

/* Two runs with shapes of their own: the one that asks for twice as much is served half as often. */
static void
test_fair_by_share(unused_arg void **state)
{
	struct world w;
	int big = 0, small = 0;

	begin(&w, "cpu=4,mem=4GiB", 0);
	for (int i = 0; i < 20; i++) {
		push(&w, 0, "big", "cpu=4");
		push(&w, 1, "small", "cpu=2");
	}
	for (int i = 0; i < 12; i++) {
		struct admit_item *item, *got[4];
		int n = 0;

		while ((item = admit_next(w.a, w.now)) != NULL)
			got[n++] = item;
		w.now += SECOND;
		for (int k = 0; k < n; k++) {
			if (strcmp(container_of(got[k], struct it, item)->name, "big") == 0)
				big++;
			else
				small++;
			admit_remove(w.a, w.now, got[k]);
		}
	}
	assert_int_equal(big, 6);
	assert_in_range(small, 11, 12);
	finish(&w);
}

static void
test_a_big_one_is_not_passed_for_ever(unused_arg void **state)
{
	struct world w;
	int passed = 0;

	begin(&w, "cpu=4,mem=4GiB", 0);
	push_many(&w, 0, "s", "cpu=1", 4);
	assert_next(&w, "s s s s");
	push(&w, 0, "BIG", "cpu=4");
	push_many(&w, 0, "s", "cpu=1", 50);
	for (; passed < 50; passed++) {
		struct admit_item *item;

		end(&w, "s");
		item = admit_next(w.a, w.now);
		if (!item)
			break;
		assert_null(admit_next(w.a, w.now));
	}
	/* Sixteen quarters are four times the alloc. */
	assert_int_equal(passed, 16);
	end(&w, "s");
	end(&w, "s");
	assert_next(&w, "");
	end(&w, "s");
	assert_next(&w, "BIG");
	end(&w, "BIG");
	assert_next(&w, "s s s s");
	finish(&w);
}

/* While room is kept for three cores, the fourth may be used. */
static void
test_reserved_room(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=4,mem=4GiB", 0);
	push_many(&w, 0, "s", "cpu=1", 4);
	assert_next(&w, "s s s s");
	push(&w, 0, "BIG", "cpu=3");
	push_many(&w, 0, "s", "cpu=1", 20);
	for (int i = 0; i < 16; i++) {
		end(&w, "s");
		assert_next(&w, "s");
	}
	end(&w, "s");
	assert_next(&w, "");
	end(&w, "s");
	assert_next(&w, "");
	end(&w, "s");
	assert_next(&w, "BIG");
	end(&w, "s");
	assert_next(&w, "s");
	finish(&w);
}

static void
test_reserved_is_cancelled(unused_arg void **state)
{
	struct world w;
	struct it *big;

	begin(&w, "cpu=4,mem=4GiB", 0);
	push_many(&w, 0, "s", "cpu=1", 4);
	assert_next(&w, "s s s s");
	big = push(&w, 0, "BIG", "cpu=4");
	push_many(&w, 0, "s", "cpu=1", 20);
	for (int i = 0; i < 16; i++) {
		end(&w, "s");
		assert_next(&w, "s");
	}
	end(&w, "s");
	assert_next(&w, "");
	admit_remove(w.a, w.now, &big->item);
	assert_next(&w, "s");
	finish(&w);
}

static void
test_lookahead(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=2,mem=4GiB", 2);
	push_many(&w, 0, "a", "cpu=1", 6);
	assert_next(&w, "a a a+ a+");
	end(&w, "a");
	assert_next(&w, "a+");
	finish(&w);
	/* What two ends must free would block the host's queue: it does not go ahead. */
	begin(&w, "cpu=2,mem=4GiB", 2);
	push_many(&w, 0, "a", "cpu=1", 2);
	assert_next(&w, "a a");
	push(&w, 0, "B", "cpu=2");
	push(&w, 0, "c", "cpu=1");
	assert_next(&w, "c+");
	finish(&w);
}

/* What went ahead is not charged before there is room in every respect: the second of two that need the one GPU. */
static void
test_lookahead_of_each_label(unused_arg void **state)
{
	static const char *const labels[] = { "cpu", "mem", "a", "b", "c", "d", "e" };
	struct world w;

	for (size_t i = 0; i < nitems(labels); i++) {
		char *want = xasprintf("%s=1", labels[i]);
		struct it *first, *second;

		begin(&w, "cpu=1,mem=1,a=1,b=1,c=1,d=1,e=1", 1);
		first = push(&w, 0, "a", want);
		assert_next(&w, "a");
		/* As far as they can be searched for; what a host has beyond that stays behind. */
		second = push(&w, 0, "b", want);
		assert_next(&w, i < FIT_DIMS ? "b+" : "");
		assert_next(&w, "");
		assert_int_equal(second->item.state, i < FIT_DIMS ? ADMIT_AHEAD : ADMIT_WAITING);
		admit_remove(w.a, w.now, &first->item);
		assert_next(&w, i < FIT_DIMS ? "" : "b");
		assert_int_equal(second->item.state, ADMIT_RUNNING);
		finish(&w);
		free(want);
	}
}

/* Also when all that passes it goes ahead. */
static void
test_a_big_one_and_lookahead(unused_arg void **state)
{
	struct world w;
	int passed = 0;

	begin(&w, "cpu=4,mem=4GiB", 2);
	push_many(&w, 0, "s", "cpu=1", 6);
	assert_next(&w, "s s s s s+ s+");
	push(&w, 0, "BIG", "cpu=4");
	push_many(&w, 0, "s", "cpu=1", 40);
	for (;; passed++) {
		end(&w, "s");
		if (!admit_next(w.a, w.now))
			break;
		assert_null(admit_next(w.a, w.now));
	}
	assert_int_equal(passed, 16);
	for (int i = 0; i < 4; i++) {
		assert_next(&w, "");
		end(&w, "s");
	}
	/* The one that is left is the last: its end is enough. The small one that is put after BIG waits for it. */
	assert_next(&w, "BIG+ s+");
	end(&w, "s");
	assert_next(&w, "s+");
	assert_int_equal(w.items[6].item.state, ADMIT_RUNNING);
	finish(&w);
}

/* Another run's small ones let a big one wait no longer. */
static void
test_a_big_one_of_another_run(unused_arg void **state)
{
	struct world w;
	int passed = 0;

	begin(&w, "cpu=4,mem=4GiB", 0);
	push_many(&w, 0, "s", "cpu=1", 50);
	assert_next(&w, "s s s s");
	push(&w, 1, "BIG", "cpu=4");
	for (;; passed++) {
		end(&w, "s");
		if (!admit_next(w.a, w.now))
			break;
	}
	assert_in_range(passed, 1, 16);
	for (int i = 0; i < 3; i++)
		end(&w, "s");
	assert_next(&w, "BIG");
	finish(&w);
}

/* Whoever has the longer way to go is first, and for the rest the larger, and the older. */
static void
test_order_within_a_run(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=1,mem=1GiB", 0);
	push(&w, 0, "a", "cpu=0.6");
	push(&w, 0, "b", "cpu=0.6");
	push(&w, 0, "c", "cpu=1");
	w.rank = 1;
	push(&w, 0, "d", "cpu=0.6");
	assert_next(&w, "d");
	end(&w, "d");
	assert_next(&w, "c");
	end(&w, "c");
	assert_next(&w, "a");
	end(&w, "a");
	assert_next(&w, "b");
	finish(&w);
}

/* But a step is worth sixteen times the alloc, and no more. */
static void
test_a_short_way_waits_for_so_long(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=1,mem=1GiB", 0);
	push(&w, 0, "short", "cpu=1");
	w.rank = 1;
	for (int i = 0; i < 16; i++) {
		push(&w, 0, "long", "cpu=1");
		assert_next(&w, "long");
		end(&w, "long");
	}
	push(&w, 0, "long", "cpu=1");
	assert_next(&w, "short");
	finish(&w);
}

/* Who holds the alloc for longer is charged more, whatever was expected. */
static void
test_fair_by_time(unused_arg void **state)
{
	struct world w;
	int64_t used[2] = { 0, 0 };

	begin(&w, "cpu=1,mem=1GiB", 0);
	push_many(&w, 0, "slow", "cpu=1", 20);
	push_many(&w, 1, "fast", "cpu=1", 40);
	for (int i = 0; i < 40; i++) {
		struct admit_item *item = admit_next(w.a, w.now);
		bool slow = strcmp(container_of(item, struct it, item)->name, "slow") == 0;

		w.now += slow ? 3 * SECOND : SECOND;
		used[slow] += slow ? 3 : 1;
		admit_remove(w.a, w.now, item);
	}
	assert_in_range(used[1], 29, 31);
	assert_in_range(used[0], 29, 31);
	finish(&w);
}

/* One that runs on and on is charged while it does. */
static void
test_what_runs_is_charged(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=2,mem=1GiB", 0);
	push(&w, 0, "endless", "cpu=1");
	push_many(&w, 0, "a", "cpu=1", 20);
	push_many(&w, 1, "b", "cpu=1", 20);
	assert_next(&w, "endless b");
	end(&w, "b");
	assert_next(&w, "a");
	end(&w, "a");
	assert_next(&w, "b");
	for (int i = 0; i < 6; i++) {
		end(&w, "b");
		assert_next(&w, "b");
	}
	finish(&w);
}

/* What goes on is charged to the run that it is moved to. */
static void
test_moved_while_it_runs(unused_arg void **state)
{
	struct world w;
	struct it *it;

	begin(&w, "cpu=2,mem=1GiB", 0);
	it = push(&w, 0, "x", "cpu=1");
	assert_next(&w, "x");
	admit_move(w.a, w.now, &w.run[1], &it->item);
	assert_ptr_equal(it->item.run, &w.run[1]);
	assert_int_equal(w.run[0].nheld, 0);
	push_many(&w, 0, "a", "cpu=2", 2);
	push_many(&w, 1, "b", "cpu=2", 2);
	w.now += 10 * SECOND;
	end(&w, "x");
	assert_next(&w, "a");
	end(&w, "a");
	assert_next(&w, "a");
	finish(&w);
}

static void
test_free_items(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=1,mem=1GiB", 0);
	push(&w, 0, "a", "cpu=1");
	push_many(&w, 0, "i", NULL, 4);
	assert_next(&w, "i i i a");
	end(&w, "i");
	assert_next(&w, "i");
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_disk_is_not_admitted_on),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_fractions),
		cmocka_unit_test(test_runs_take_turns),
		cmocka_unit_test(test_fair_by_share),
		cmocka_unit_test(test_a_big_one_is_not_passed_for_ever),
		cmocka_unit_test(test_reserved_room),
		cmocka_unit_test(test_reserved_is_cancelled),
		cmocka_unit_test(test_lookahead),
		cmocka_unit_test(test_lookahead_of_each_label),
		cmocka_unit_test(test_a_big_one_and_lookahead),
		cmocka_unit_test(test_a_big_one_of_another_run),
		cmocka_unit_test(test_order_within_a_run),
		cmocka_unit_test(test_a_short_way_waits_for_so_long),
		cmocka_unit_test(test_fair_by_time),
		cmocka_unit_test(test_what_runs_is_charged),
		cmocka_unit_test(test_moved_while_it_runs),
		cmocka_unit_test(test_free_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
