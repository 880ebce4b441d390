/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/torture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * The harness on a small operation, and proof that it finds what it is there to find: the operation
 * has a switch for each of the mistakes, and a forked child must fail with it.
 */
enum mistake { NONE, LEAKS_TIMER, LEAKS_CHILD, CALLS_TWICE, CALLS_IN_START, CALLS_AFTER_CANCEL, FORGETS_ERROR };
static enum mistake mistake;

/* Two fakes one after the other, then a pause; a Temporary error starts over once. */
struct pair {
	struct op op;
	enum {
		PAIR_FIRST,	/* start the first */
		PAIR_SECOND,	/* start the second */
		PAIR_WAITING,	/* for pair_child_cb */
		PAIR_PAUSE,	/* for pair_pause_cb */
		PAIR_DONE,
	} state, next;
	struct torture *t;
	struct fake_op *child;
	struct timer	pause;
	struct err     *err;
	bool		retried;
};
static struct timer stray;

static void
pair_child_cb(struct err *err, void *arg)
{
	struct pair *p = arg;

	p->child = NULL;
	p->state = p->next;
	if (err_is(err, ERR_TEMPORARY) && !p->retried) {
		err_free(err);
		p->retried = true;
		p->state = PAIR_FIRST;
	} else if (err != NULL) {
		if (mistake == FORGETS_ERROR)
			return;
		p->err = err_wrap(err, "pair", NULL);
		p->state = PAIR_DONE;
	}
	op_wake(&p->op);
}

static void
pair_pause_cb(void *arg)
{
	struct pair *p = arg;

	p->state = PAIR_DONE;
	op_wake(&p->op);
}

static void
pair_finish(struct pair *p)
{
	struct torture *t = p->t;
	struct err *err = p->err;

	p->err = NULL;
	op_release(&p->op);
	torture_done(t, err);
	if (mistake == CALLS_TWICE)
		torture_done(t, NULL);
}

static void
pair_advance(struct op *op)
{
	struct pair *p = op_owner(op, struct pair, op);

	switch (p->state) {
	case PAIR_FIRST:
		p->state = PAIR_WAITING;
		p->next = PAIR_SECOND;
		p->child = fake_op_start(p->t, "first", 2, pair_child_cb, p);
		return;
	case PAIR_SECOND:
		p->state = PAIR_WAITING;
		p->next = PAIR_PAUSE;
		p->child = fake_op_start(p->t, "second", 0, pair_child_cb, p);
		return;
	case PAIR_WAITING:
		return;
	case PAIR_PAUSE:
		if (!timer_is_set(&p->pause))
			timer_set(&p->pause, SECONDS(5));
		return;
	case PAIR_DONE:
		pair_finish(p);
		return;
	}
}

static void
pair_stray_cb(void *arg)
{
	if (mistake == CALLS_AFTER_CANCEL)
		torture_done(arg, NULL);
}

static void
pair_release(struct op *op)
{
	struct pair *p = op_owner(op, struct pair, op);

	if (mistake == LEAKS_TIMER || mistake == CALLS_AFTER_CANCEL)
		timer_set(&stray, 0);
	if (mistake != LEAKS_CHILD)
		fake_op_cancel(&p->child);
	timer_clear(&p->pause);
	err_free(p->err);
	free(p);
}

static const struct op_type pair_type = { "pair", pair_advance, pair_release };

static void
pair_make(struct torture *t)
{
	struct pair *p = xcalloc(1, sizeof *p);

	op_init(&p->op, t->loop, &pair_type);
	p->t = t;
	timer_init(&p->pause, t->loop, "pair_pause", pair_pause_cb, p);
	timer_init(&stray, t->loop, "stray", pair_stray_cb, t);
	op_wake(&p->op);
	t->world = p;
	if (mistake == CALLS_IN_START)
		torture_done(t, NULL);
}

static void
pair_cancel(struct torture *t)
{
	struct pair *p = t->world;

	op_release(&p->op);
}

static void
pair_check(struct torture *t)
{
	if (t->fault_at == -1 || t->fault_kind == ERR_TEMPORARY)
		assert_null(t->err);
	else
		assert_true(err_is(t->err, t->fault_kind));
}

static const struct torture_spec pair_spec = {
	.name = "pair", .make = pair_make, .cancel = pair_cancel, .check = pair_check,
};

static void
test_survives(void **state unused_arg)
{
	torture(&pair_spec);
}

static int rounds, failures, ends;

static void
counting_setup(struct torture *t)
{
	rounds++;
	failures += t->fault_at != -1;
}

static void
counting_check(struct torture *t)
{
	pair_check(t);
	ends++;
}

/* Every turn is cut and both children fail in every kind: the numbers say that no round is left out. */
static void
test_is_complete(void **state unused_arg)
{
	struct torture_spec spec = pair_spec;

	spec.setup = counting_setup;
	spec.check = counting_check;
	torture(&spec);
	assert_int_equal(rounds, 1 + 9 + 2 * ERR_NKINDS + 6 + 8);
	assert_int_equal(failures, 2 * ERR_NKINDS + 6 + 8);
	assert_int_equal(ends, 1 + 1 + 2 * ERR_NKINDS + 1 + 1);
}

static void
assert_found(enum mistake m)
{
	int status, null;
	pid_t pid = fork();

	if (pid == 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, 1);
		dup2(null, 2);
		mistake = m;
		const struct CMUnitTest tests[] = { cmocka_unit_test(test_survives) };
		_exit(cmocka_run_group_tests(tests, NULL, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

static void
test_finds_mistakes(void **state unused_arg)
{
	assert_found(LEAKS_TIMER);
	assert_found(LEAKS_CHILD);
	assert_found(CALLS_TWICE);
	assert_found(CALLS_IN_START);
	assert_found(CALLS_AFTER_CANCEL);
	assert_found(FORGETS_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survives),
		cmocka_unit_test(test_is_complete),
		cmocka_unit_test(test_finds_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
