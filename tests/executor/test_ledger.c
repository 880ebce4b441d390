/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <poll.h>
#include <sys/wait.h>

#include "base/attr.h"
#include "executor/ledger.h"

/*
 * The ledger by itself, of each thing that a host can be short of: what does not fit waits until what holds it has left.
 * Who waits is a process of its own, as a slot worker is; it says on a pipe that it waits, and then that it was let in.
 */
struct world {
	char	      *dir;
	struct ledger *l;
	int	       pipe[2];
	pid_t	       child;
};

static void
begin(struct world *w, const char *total)
{
	struct resources res = RESOURCES_INIT;
	char *path;

	memset(w, 0, sizeof *w);
	w->dir = temp_dir_new();
	path = xasprintf("%s/ledger", w->dir);
	assert_ok(resources_parse(&res, total));
	assert_ok(ledger_create(path, &res, 8, &w->l));
	assert_int_equal(pipe(w->pipe), 0);
	resources_release(&res);
	free(path);
}

static void
finish(struct world *w)
{
	close(w->pipe[0]);
	close(w->pipe[1]);
	ledger_free(w->l);
	temp_dir_free(w->dir);
}

static void
says(void *arg)
{
	struct world *w = arg;

	if (write(w->pipe[1], "w", 1) != 1)
		_exit(3);
}

static enum ledger_kill
enter(struct world *w, unsigned slot, const char *want)
{
	struct exec_config config = { 0 };
	struct ledger_sub sub = { .name = "nobody" };
	struct resources res = RESOURCES_INIT;
	enum ledger_kill why;

	assert_ok(resources_parse(&res, want));
	ledger_open(w->l, slot, &config, 1, &sub);
	why = ledger_admit(w->l, slot, &res, says, w);
	resources_release(&res);
	return why;
}

static void
enter_in_child(struct world *w, unsigned slot, const char *want)
{
	w->child = fork();
	assert_true(w->child != -1);
	if (w->child == 0)
		_exit(enter(w, slot, want) == LEDGER_LIVE && write(w->pipe[1], "in", 2) == 2 ? 0 : 4);
}

static void
expect_said(struct world *w, const char *text)
{
	struct pollfd p = { .fd = w->pipe[0], .events = POLLIN };
	char got[8] = "";

	for (size_t n = 0; n < strlen(text); n++) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(read(w->pipe[0], got + n, 1), 1);
	}
	assert_string_equal(got, text);
}

static void
expect_waits(const char *total, const char *first, const char *second)
{
	struct world w;
	int status;

	begin(&w, total);
	assert_int_equal(enter(&w, 0, first), LEDGER_LIVE);
	enter_in_child(&w, 1, second);
	expect_said(&w, "w");
	assert_int_equal(ledger_leave(w.l, 0), LEDGER_LIVE);
	expect_said(&w, "in");
	assert_int_equal(waitpid(w.child, &status, 0), w.child);
	assert_int_equal(status, 0);
	finish(&w);
}

static void
test_what_does_not_fit_waits(unused_arg void **state)
{
	expect_waits("cpu=4,mem=4GiB", "cpu=3,mem=1GiB", "cpu=2,mem=1GiB");
	expect_waits("cpu=4,mem=4GiB", "cpu=1,mem=3GiB", "cpu=1,mem=2GiB");
	expect_waits("cpu=4,mem=4GiB,gpu=1", "cpu=1,mem=1GiB,gpu=1", "cpu=1,mem=1GiB,gpu=1");
	expect_waits("cpu=4,mem=4GiB,gpu=1,tape=3", "cpu=1,gpu=1,tape=2", "cpu=1,tape=2");
	expect_waits("cpu=4,mem=4GiB,gpu=3,tape=1", "cpu=1,gpu=2", "cpu=1,tape=1,gpu=2");
}

/* And nothing waits for what it does not ask for, or for the last that is free. */
static void
test_what_fits_does_not_wait(unused_arg void **state)
{
	struct world w;

	begin(&w, "cpu=1,mem=4GiB,gpu=2,tape=1");
	assert_int_equal(enter(&w, 0, "cpu=0.1,gpu=1"), LEDGER_LIVE);
	assert_int_equal(enter(&w, 1, "cpu=0.1,gpu=1"), LEDGER_LIVE);
	assert_int_equal(enter(&w, 2, "cpu=0.1,tape=1"), LEDGER_LIVE);
	for (unsigned slot = 3; slot < 8; slot++)
		assert_int_equal(enter(&w, slot, "cpu=0.1"), LEDGER_LIVE);
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_does_not_fit_waits),
		cmocka_unit_test(test_what_fits_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
