/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/executor/keepertest.h"
#include "tests/loop/torture.h"

/*
 * test_torture: each operation on execs, cancelled at each turn of its life, over a real keeper that
 * lives through all rounds. The world of a round is a client that has its connection already.
 */
static struct world keeper;	/* holds the keeper: its own connection */

struct round {
	struct world w;
	struct running g;	/* an exec that is over, or lives */
	struct op *op;
	struct source *source;
};

static void
round_open(struct torture *t, const char *cmd, bool wait)
{
	struct round *r = xcalloc(1, sizeof *r);
	struct spec first = { .cmd = "true" }, s = { .cmd = cmd };
	static unsigned rounds;

	t->world = r;
	r->w = (struct world){ .loop = t->loop, .options = keeper.options, .next = 1000 + 10 * ++rounds };
	assert_ok(root_open(keeper.dir, NULL, true, &r->w.root));
	world_connect(&r->w);
	run(&r->w, &first, &r->g);
	drop(&r->g);
	if (cmd == NULL)
		return;
	start(&r->w, &s, &r->g);
	if (wait)
		finish(&r->w, &r->g);
	else
		started(&r->w, &r->g);
	op_cancel(&r->g.op);
}

static void
setup_idle(struct torture *t)
{
	round_open(t, NULL, false);
}

static void
setup_living(struct torture *t)
{
	round_open(t, "echo hello; sleep 0.05; echo bye", false);
}

static void
setup_over(struct torture *t)
{
	round_open(t, "echo hello", true);
}

static void
teardown(struct torture *t)
{
	struct round *r = t->world;

	source_close(r->source);
	drop(&r->g);
	world_leave(&r->w);
	free(r);
}

static void
cancel(struct torture *t)
{
	struct round *r = t->world;

	op_cancel(&r->op);
}

static void
exec_cb(struct exec *exec, struct err *err, void *arg)
{
	struct torture *t = arg;
	struct round *r = t->world;

	r->op = NULL;
	exec_free(exec);	/* from inside its own callback: what a late owner does */
	torture_done(t, err);
}

static void
make_put(struct torture *t)
{
	struct round *r = t->world;
	struct exec_config c = { .type = EXEC_COMMAND, .ident = "torture", .image = "host", .cmd = "true" };

	key_of(&r->w, &c.key);
	r->op = executor_put(r->w.executor, &c, exec_cb, t);
}

static void
make_intern(struct torture *t)
{
	struct round *r = t->world;
	struct exec_config c = { .type = EXEC_INTERN, .ident = "torture", .url = "/nowhere/to/be/found" };

	key_of(&r->w, &c.key);
	r->op = executor_put(r->w.executor, &c, exec_cb, t);
}

static void
make_get(struct torture *t)
{
	struct round *r = t->world;

	r->op = executor_get(r->w.executor, &r->g.exec->key, exec_cb, t);
}

static void
result_cb(struct exec_result *res, struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct round *)t->world)->op = NULL;
	if (res != NULL)
		exec_result_release(res);
	torture_done(t, err);
}

static void
make_wait(struct torture *t)
{
	struct round *r = t->world;

	r->op = exec_wait(r->g.exec, result_cb, t);
}

static void
inspect_cb(struct exec_inspect *i, struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct round *)t->world)->op = NULL;
	exec_inspect_release(i);
	torture_done(t, err);
}

static void
make_inspect(struct torture *t)
{
	struct round *r = t->world;

	r->op = exec_inspect_start(r->g.exec, inspect_cb, t);
}

static void
ask_cb(struct keeper_attempts *got, struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct round *)t->world)->op = NULL;
	keeper_attempts_release(got);
	torture_done(t, err);
}

static void
make_ask(struct torture *t)
{
	struct round *r = t->world;

	r->op = keeper_ask(r->w.client, NULL, ask_cb, t);
}

static void read_next(struct torture *);

static void
read_cb(const void *data unused_arg, size_t len, struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct round *)t->world)->op = NULL;
	if (err != NULL || len == 0)
		torture_done(t, err);
	else
		read_next(t);
}

static void
read_next(struct torture *t)
{
	struct round *r = t->world;

	r->op = source_read(r->source, read_cb, t);
}

static void
logs_cb(struct source *s, struct err *err, void *arg)
{
	struct torture *t = arg;
	struct round *r = t->world;

	r->op = NULL;
	assert_ok(err);
	r->source = s;
	read_next(t);
}

static void
make_logs(struct torture *t)
{
	struct round *r = t->world;

	r->op = exec_logs(r->g.exec, EXEC_STDOUT, true, logs_cb, t);
}

static void
test_operations(void **state unused_arg)
{
	const struct torture_spec specs[] = {
		{ .name = "put", .setup = setup_idle, .make = make_put },
		{ .name = "intern", .setup = setup_idle, .make = make_intern },
		{ .name = "get living", .setup = setup_living, .make = make_get },
		{ .name = "get over", .setup = setup_over, .make = make_get },
		{ .name = "wait living", .setup = setup_living, .make = make_wait },
		{ .name = "wait over", .setup = setup_over, .make = make_wait },
		{ .name = "inspect", .setup = setup_living, .make = make_inspect },
		{ .name = "ask", .setup = setup_living, .make = make_ask },
		{ .name = "logs living", .setup = setup_living, .make = make_logs },
		{ .name = "logs over", .setup = setup_over, .make = make_logs },
	};

	for (size_t i = 0; i < nitems(specs); i++) {
		struct torture_spec s = specs[i];

		s.real_clock = true;
		s.cancel = cancel;
		s.teardown = teardown;
		torture(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_operations) };
	struct spec s = { .cmd = "true" };
	struct running g;
	int failed;

	world_open(&keeper, NULL);
	run(&keeper, &s, &g);
	drop(&g);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_close(&keeper);
	return failed;
}
