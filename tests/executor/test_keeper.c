/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "store/db_client.h"
#include "tests/executor/keepertest.h"

/* test_keeper: which attempt answers a put, who ends what, and who may be asked. Deaths are in test_deaths. */

/* Puts key for a claim; expects this attempt, attached or not, and this end. */
static void
check_put(struct world *w, const struct digest *key, const char *cmd, struct exec_claim claim, unsigned attempt,
    bool attached, enum attempt_state state)
{
	struct spec s = { .cmd = cmd, .key = *key, .claim = claim };
	struct running g;

	run(w, &s, &g);
	assert_null(g.err);
	assert_int_equal(g.result.state, state);
	assert_int_equal(g.result.attempt, attempt);
	assert_int_equal(g.result.attached, attached);
	drop(&g);
}

static void
test_claims_over(void **state unused_arg)
{
	struct world w;
	struct digest k;

	world_open(&w, NULL);
	/* A success answers its run whatever it says, another run only if that may join. */
	key_of(&w, &k);
	check_put(&w, &k, "true", claim_of('a', 0, 0, false), 1, false, ATTEMPT_OK);
	check_put(&w, &k, "true", claim_of('a', 0, 0, false), 1, true, ATTEMPT_OK);
	check_put(&w, &k, "true", claim_of('a', 1, 2, false), 1, true, ATTEMPT_OK);
	check_put(&w, &k, "true", claim_of('b', 0, 0, true), 1, true, ATTEMPT_OK);
	check_put(&w, &k, "true", claim_of('b', 0, 0, false), 2, false, ATTEMPT_OK);
	check_put(&w, &k, "true", claim_of('c', 0, 0, true), 2, true, ATTEMPT_OK);
	check_put(&w, &k, "true", claim_of('a', 0, 0, false), 1, true, ATTEMPT_OK);
	/* A failure stands for its (try, retry) in its run, and for nobody else. */
	key_of(&w, &k);
	check_put(&w, &k, "false", claim_of('a', 0, 0, true), 1, false, ATTEMPT_FAILED);
	check_put(&w, &k, "false", claim_of('a', 0, 0, true), 1, true, ATTEMPT_FAILED);
	check_put(&w, &k, "false", claim_of('a', 0, 1, true), 2, false, ATTEMPT_FAILED);
	check_put(&w, &k, "false", claim_of('a', 1, 0, true), 3, false, ATTEMPT_FAILED);
	check_put(&w, &k, "false", claim_of('a', 0, 1, true), 2, true, ATTEMPT_FAILED);
	check_put(&w, &k, "false", claim_of('b', 0, 0, true), 4, false, ATTEMPT_FAILED);
	world_close(&w);
}

static void
test_success_without_objects(void **state unused_arg)
{
	struct spec s = { .cmd = "echo x > %s", .holes = { OUT(0) }, .nholes = 1, .outputs = { { "out", false } }, .noutputs = 1,
		.claim = claim_of('a', 0, 0, false) };
	struct world w;
	struct running g;
	char path[4096];

	world_open(&w, NULL);
	run(&w, &s, &g);
	object_path(w.root.objects, &output_file(&g, 0, ".")->id, path, sizeof path);
	drop(&g);
	assert_int_equal(unlink(path), 0);
	run(&w, &s, &g);
	assert_int_equal(g.result.attempt, 2);
	assert_false(g.result.attached);
	assert_int_equal(access(path, F_OK), 0);
	drop(&g);
	world_close(&w);
}

static void
test_claims_living(void **state unused_arg)
{
	struct running first, same, other, joins;
	struct gate gate;
	struct world w;

	world_open(&w, NULL);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .claim = claim_of('a', 0, 0, false) };
	start(&w, &s, &first);
	until_file(&w, gate.path);
	started(&w, &first);
	s.claim = claim_of('a', 3, 1, false);
	start(&w, &s, &same);
	started(&w, &same);
	s.claim = claim_of('b', 0, 0, true);
	start(&w, &s, &joins);
	started(&w, &joins);
	s.claim = claim_of('c', 0, 0, false);
	start(&w, &s, &other);
	until_state(&w, &other, ATTEMPT_RUNNING);
	gate_lift(&gate);
	finish(&w, &first);
	finish(&w, &same);
	finish(&w, &joins);
	finish(&w, &other);
	assert_int_equal(first.result.attempt, 1);
	assert_false(first.result.attached);
	assert_int_equal(same.result.attempt, 1);
	assert_true(same.result.attached);
	assert_int_equal(joins.result.attempt, 1);
	assert_true(joins.result.attached);
	assert_int_equal(other.result.attempt, 2);
	assert_false(other.result.attached);
	drop(&first);
	drop(&same);
	drop(&joins);
	drop(&other);
	gate_free(&gate);
	world_close(&w);
}

static void
test_epochs(void **state unused_arg)
{
	struct spec s = { .cmd = "true", .claim = claim_of('a', 0, 0, false) };
	struct world w;
	struct running g;

	world_open(&w, NULL);
	s.claim.epoch = 2;
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	s.claim.epoch = 1;
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	assert_null(g.exec);
	assert_true(err_is(g.err, ERR_PRECONDITION));
	assert_failed(&g, ATTEMPT_LOST, "run:61616161 was taken over: epoch 1 is older than 2");
	drop(&g);
	s.claim = claim_of('b', 0, 0, false);
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	world_close(&w);
}

static void
test_kill(void **state unused_arg)
{
	struct running g, other;
	struct gate gate;
	struct world w;

	world_open(&w, NULL);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .claim = claim_of('a', 0, 0, false) };
	start(&w, &s, &g);
	until_file(&w, gate.path);
	started(&w, &g);
	exec_kill(g.exec);
	finish(&w, &g);
	assert_failed(&g, ATTEMPT_LOST, "killed");
	assert_true(err_is(g.result.err, ERR_CANCELED));
	drop(&g);
	/* What was killed answers nobody: the next put runs. */
	unlink(gate.path);
	start(&w, &s, &g);
	until_file(&w, gate.path);
	started(&w, &g);
	s.claim = claim_of('b', 0, 0, true);
	start(&w, &s, &other);
	started(&w, &other);
	/* The first leaves: the other still waits for it, so it lives. */
	exec_kill(g.exec);
	finish(&w, &g);
	assert_failed(&g, ATTEMPT_LOST, "killed");
	assert_false(other.done);
	gate_lift(&gate);
	finish(&w, &other);
	assert_failed(&other, ATTEMPT_OK, "");
	assert_int_equal(other.result.attempt, 2);
	drop(&g);
	drop(&other);
	gate_free(&gate);
	world_close(&w);
}

static void
followed_cb(const void *data, size_t len, struct err *err, void *arg)
{
	struct buf *b = arg;

	assert_ok(err);
	buf_add(b, data, len);
	buf_addch(b, '.');
}

static void
follow_cb(struct source *s, struct err *err, void *arg)
{
	assert_ok(err);
	*(struct source **)arg = s;
}

/* The log of an exec that waits for its turn begins when the exec does. */
static void
test_follow_queued(void **state unused_arg)
{
	struct keeper_options o = { .slots = 4 };
	struct running busy, waits;
	struct source *source = NULL;
	struct buf text = BUF_INIT;
	struct gate gate;
	struct world w;

	resources_set(&o.resources, "mem", 1 << 30);
	resources_set(&o.resources, "cpu", 1);
	world_open(&w, &o);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .cpu = 1 };
	start(&w, &s, &busy);
	until_file(&w, gate.path);
	struct spec t = { .cmd = "echo mine", .cpu = 1 };
	start(&w, &t, &waits);
	started(&w, &waits);
	exec_logs(waits.exec, EXEC_STDOUT, true, follow_cb, &source);
	while (source == NULL)
		loop_turn(w.loop, true);
	source_read(source, followed_cb, &text);
	test_turns(w.loop, 3);
	assert_int_equal(text.len, 0);
	gate_lift(&gate);
	while (text.len == 0)
		loop_turn(w.loop, true);
	assert_string_equal(buf_str(&text), "mine\n.");
	finish(&w, &waits);
	finish(&w, &busy);
	source_close(source);
	buf_release(&text);
	drop(&busy);
	drop(&waits);
	gate_free(&gate);
	world_close(&w);
}

/* Killed before anybody has heard of it, and while it waits behind others. */
static void
test_kill_early(void **state unused_arg)
{
	struct keeper_options o = { .slots = 4 };
	struct running g, busy[2], waits;
	struct gate gate;
	struct world w;

	resources_set(&o.resources, "mem", 1 << 30);
	resources_set(&o.resources, "cpu", 1);
	world_open(&w, &o);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .cpu = 1 };
	start(&w, &s, &busy[0]);
	until_file(&w, gate.path);
	started(&w, &busy[0]);
	struct spec t = { .cmd = "true", .cpu = 1 };
	start(&w, &t, &waits);
	started(&w, &waits);
	assert_false(waits.done);
	exec_kill(waits.exec);
	finish(&w, &waits);
	assert_failed(&waits, ATTEMPT_LOST, "killed");
	drop(&waits);
	/* A put that is cancelled is given up. */
	t.key = (struct digest){ { 0 } };
	start(&w, &t, &g);
	op_cancel(&g.op);
	assert_false(g.put);
	drop(&g);
	gate_lift(&gate);
	finish(&w, &busy[0]);
	drop(&busy[0]);
	gate_free(&gate);
	world_close(&w);
}

/* One that does not hear TERM is killed after five seconds. */
static void
test_kill_deaf(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *ready;

	world_open(&w, NULL);
	ready = xasprintf("%s/ready", w.dir);
	char *cmd = xasprintf("trap '' TERM; touch %s; while :; do sleep 0.05 || true; done", ready);
	struct spec s = { .cmd = cmd };
	start(&w, &s, &g);
	until_file(&w, ready);
	started(&w, &g);
	int64_t begin = loop_now(w.loop);
	exec_kill(g.exec);
	finish(&w, &g);
	assert_failed(&g, ATTEMPT_LOST, "killed");
	assert_true(loop_now(w.loop) - begin > SECONDS(4));
	drop(&g);
	free(cmd);
	free(ready);
	world_close(&w);
}

static void
test_ledger_order(void **state unused_arg)
{
	struct keeper_options o = { .slots = 8 };
	struct running busy, big, small;
	struct world w, second;
	struct gate gate;

	resources_set(&o.resources, "mem", 1 << 30);
	resources_set(&o.resources, "cpu", 4);
	world_open(&w, &o);
	world_join(&second, &w);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .cpu = 2 };
	start(&w, &s, &busy);
	until_file(&w, gate.path);
	started(&w, &busy);
	struct spec b = { .cmd = "true", .cpu = 4 };
	start(&w, &b, &big);
	started(&w, &big);		/* waits: two cores of four are taken */
	struct spec t = { .cmd = "true", .cpu = 1 };
	start(&second, &t, &small);	/* would fit, but does not overtake */
	started(&second, &small);
	assert_false(big.done);
	assert_false(small.done);
	gate_lift(&gate);
	finish(&w, &big);
	finish(&w, &small);
	finish(&w, &busy);
	assert_failed(&big, ATTEMPT_OK, "");
	assert_failed(&small, ATTEMPT_OK, "");
	assert_true(big.result.usage.started >= busy.result.usage.ended);
	assert_true(small.result.usage.started >= big.result.usage.ended);
	drop(&busy);
	drop(&big);
	drop(&small);
	gate_free(&gate);
	world_leave(&second);
	world_close(&w);
}

/* A controller that does not listen: its reports wait in the keeper, and no slot waits with them. */
static void
test_slow_controller(void **state unused_arg)
{
	struct keeper_options o = { .slots = 8, .idle = 0.3 };
	struct running slow[10], g;
	struct world w, second;
	struct gate gate;

	resources_set(&o.resources, "mem", 1 << 30);
	resources_set(&o.resources, "cpu", 8);
	world_open(&w, &o);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd };
	start(&w, &s, &g);
	until_file(&w, gate.path);
	started(&w, &g);
	/* Ten more are sent, each with two reports to come, and a socket holds about eleven. */
	for (size_t i = 0; i < nitems(slow); i++) {
		struct spec t = { .cmd = "true" };

		start(&w, &t, &slow[i]);
	}
	loop_turn(w.loop, false);
	second = (struct world){ .loop = loop_new(NULL), .options = w.options, .next = 1000 };
	assert_ok(root_open(w.dir, NULL, true, &second.root));
	world_connect(&second);
	for (unsigned i = 0; i < 30; i++) {
		struct running mine;
		struct spec t = { .cmd = "true" };

		run(&second, &t, &mine);
		assert_failed(&mine, ATTEMPT_OK, "");
		drop(&mine);
	}
	world_leave(&second);
	loop_free(second.loop);
	gate_lift(&gate);
	finish(&w, &g);
	drop(&g);
	for (size_t i = 0; i < nitems(slow); i++) {
		finish(&w, &slow[i]);
		assert_failed(&slow[i], ATTEMPT_OK, "");
		drop(&slow[i]);
	}
	gate_free(&gate);
	world_close(&w);
}

static void
test_forget(void **state unused_arg)
{
	struct spec s = { .cmd = "true", .claim = claim_of('a', 0, 0, false) };
	struct exec_claim other = claim_of('b', 0, 0, false);
	struct world w;
	struct running g;
	char *dir;

	world_open(&w, NULL);
	run(&w, &s, &g);
	drop(&g);
	dir = attempt_path(w.root.execs, &s.key, 1);
	/* Another run's word does not count: the next exec on the same connection comes after it. */
	keeper_client_forget(w.client, &other.run, &s.key, 1);
	check_put(&w, &s.key, "true", s.claim, 1, true, ATTEMPT_OK);
	assert_int_equal(access(dir, F_OK), 0);
	keeper_client_forget(w.client, &s.claim.run, &s.key, 1);
	while (access(dir, F_OK) == 0)
		loop_turn(w.loop, false);
	free(dir);
	/* Its number is not given again. */
	check_put(&w, &s.key, "true", s.claim, 2, false, ATTEMPT_OK);
	world_close(&w);
}

static void
test_two_at_once(void **state unused_arg)
{
	struct world w;
	struct running g;
	pid_t pids[6];
	int status;

	world_open(&w, NULL);
	struct spec s = { .cmd = "true" };
	run(&w, &s, &g);
	drop(&g);
	/* All of these find the lock held by one that answers, and end well. */
	for (size_t i = 0; i < nitems(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			execl("./weir-keeper", "weir-keeper", "--root", w.dir, "--idle", "0.3", (char *)NULL);
			_exit(127);
		}
	}
	for (size_t i = 0; i < nitems(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	world_close(&w);
}

static void
until_db_answers(const struct root *root)
{
	struct db_client *db = db_client_new(root->keeper);

	db_client_put(db, DB_META, "k", 1, "v", 1);
	assert_ok(db_client_flush(db, 20000));
	db_client_free(db);
}

/* A keeper may be what is started first: it makes the root, and everything in it that its children need. */
static void
test_bare_root(void **state unused_arg)
{
	struct world w = { .next = 0 };
	struct running g;
	char *dir, *cmd;

	test_limit(60);
	dir = temp_dir_new();
	w.loop = loop_new(NULL);
	w.dir = xasprintf("%s/bare", dir);
	cmd = xasprintf("./weir-keeper --root %s --idle 5", w.dir);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	assert_ok(root_open(w.dir, NULL, false, &w.root));
	until_db_answers(&w.root);
	world_connect(&w);
	struct spec s = { .cmd = "echo x > %s", .holes = { OUT(0) }, .nholes = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	world_close(&w);
	temp_dir_free(dir);
}

/* It leaves when nothing is left to do, and is there again when needed. */
static void
test_idle(void **state unused_arg)
{
	struct keeper_options o = { .idle = 0.05 };
	struct world w, second;
	struct running g;
	pid_t first;
	char *lock;
	int fd;

	world_open(&w, &o);
	world_join(&second, &w);
	struct spec s = { .cmd = "true" };
	run(&second, &s, &g);
	first = keeper_pid(&second);
	assert_true(first > 0);
	drop(&g);
	world_leave(&second);
	lock = xasprintf("%s/lock", w.root.keeper);
	fd = open(lock, O_RDONLY | O_CLOEXEC);
	free(lock);
	assert_int_equal(flock(fd, LOCK_EX), 0);	/* it has gone, with its workers */
	close(fd);
	s.key = (struct digest){ { 0 } };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_true(keeper_pid(&w) != first);
	drop(&g);
	world_close(&w);
}

/* The group of the keeper's slots: gives its path, NULL where the host has none. */
static char *
group_of(struct world *w)
{
	struct buf path = BUF_INIT;
	char *file = xasprintf("%s/cgroup", w->root.keeper);

	assert_ok(buf_read_file(&path, file, 4096));
	free(file);
	if (path.len > 0)
		return buf_take(&path, NULL);
	buf_release(&path);
	return NULL;
}

/* However a keeper ends, its groups go with it; one that died goes with the next keeper's start, of whatever root. */
static void
check_groups(int signo, bool with_exec)
{
	struct keeper_options o = { .idle = 0.05 };
	struct world w;
	struct running g;
	char *group;

	if (signo != 0)
		o.idle = 20;
	world_open(&w, &o);
	struct spec s = { .cmd = "setsid sleep 300 & true" };
	if (with_exec)
		s.cmd = "(setsid sleep 300 &) ; sleep 300";
	start(&w, &s, &g);
	if (with_exec)
		until_state(&w, &g, ATTEMPT_RUNNING);
	else
		finish(&w, &g);
	group = group_of(&w);
	if (group != NULL) {
		assert_int_equal(access(group, F_OK), 0);
		if (signo != 0)
			kill(keeper_pid(&w), signo);
		drop(&g);
		world_leave(&w);
		keeper_gone(&w);
		if (signo == SIGKILL) {
			struct world other;

			world_open(&other, NULL);
			run(&other, &(struct spec){ .cmd = "true" }, &g);
			drop(&g);
			world_close(&other);
		}
		assert_int_equal(access(group, F_OK), -1);
		world_connect(&w);
	} else {
		drop(&g);
	}
	free(group);
	world_close(&w);
}

static void
test_groups(void **state unused_arg)
{
	check_groups(0, false);
	check_groups(SIGTERM, false);
	check_groups(SIGTERM, true);
	check_groups(SIGKILL, false);
}

/* Sockets are reached by name: no path of theirs is too long. */
static void
test_long_root(void **state unused_arg)
{
	struct world w;
	struct running g;
	struct buf deep = BUF_INIT;
	char *top;

	memset(&w, 0, sizeof w);
	test_limit(60);
	w.loop = loop_new(NULL);
	top = temp_dir_new();
	buf_addstr(&deep, top);
	for (unsigned i = 0; i < 4; i++) {
		buf_addf(&deep, "/%0100u", i);
		assert_int_equal(mkdir(buf_str(&deep), 0700), 0);
	}
	w.dir = buf_take(&deep, NULL);
	w.options.idle = 0.3;
	assert_ok(root_open(w.dir, NULL, true, &w.root));
	world_connect(&w);
	struct spec s = { .cmd = "echo x > %s", .holes = { OUT(0) }, .nholes = 1, .outputs = { { "out", false } }, .noutputs = 1 };
	run(&w, &s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	drop(&g);
	world_close(&w);
	temp_dir_free(top);
}

struct asked {
	struct keeper_attempts got;
	bool done;
};

static void
ask_cb(struct keeper_attempts *got, struct err *err, void *arg)
{
	struct asked *a = arg;

	assert_ok(err);
	a->got = *got;
	a->done = true;
}

static void
test_ask(void **state unused_arg)
{
	struct asked a = { .done = false };
	struct world w;
	struct running g;
	struct gate gate;

	world_open(&w, NULL);
	/* No keeper: nothing lives, and none is started for the question. */
	keeper_ask(w.client, NULL, ask_cb, &a);
	test_until(w.loop, &a.done);
	assert_int_equal(a.got.n, 0);
	assert_int_equal(keeper_pid(&w), 0);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .claim = claim_of('a', 0, 0, false) };
	start(&w, &s, &g);
	until_file(&w, gate.path);
	started(&w, &g);
	a.done = false;
	keeper_ask(w.client, &s.key, ask_cb, &a);
	test_until(w.loop, &a.done);
	assert_int_equal(a.got.n, 1);
	assert_string_equal(a.got.a[0].ident, "test");
	assert_string_equal(a.got.a[0].cmd, gate.cmd);
	assert_int_equal(a.got.a[0].state, ATTEMPT_RUNNING);
	assert_true(digest_equal(&a.got.a[0].run, &s.claim.run));
	keeper_attempts_release(&a.got);
	keeper_client_kill_run(w.client, &s.claim.run);
	finish(&w, &g);
	assert_failed(&g, ATTEMPT_LOST, "killed");
	drop(&g);
	gate_free(&gate);
	world_close(&w);
}

static void
get_cb(struct exec *exec, struct err *err, void *arg)
{
	struct running *g = arg;

	g->op = NULL;
	g->exec = exec;
	g->err = err;
	g->put = true;
}

static void
get_wait_cb(struct exec_result *r, struct err *err, void *arg)
{
	struct running *g = arg;

	g->op = NULL;
	assert_ok(err);
	g->result = *r;
	g->done = true;
}

static void
test_get(void **state unused_arg)
{
	struct spec s = { .cmd = "true", .claim = claim_of('a', 0, 0, false) };
	struct running g, got = { .put = false };
	struct world w;

	world_open(&w, NULL);
	key_of(&w, &s.key);
	got.op = executor_get(w.executor, &s.key, get_cb, &got);
	started(&w, &got);
	assert_null(got.exec);
	assert_true(err_is(got.err, ERR_NOT_EXIST));
	drop(&got);
	run(&w, &s, &g);
	drop(&g);
	got.op = executor_get(w.executor, &s.key, get_cb, &got);
	started(&w, &got);
	assert_non_null(got.exec);
	got.op = exec_wait(got.exec, get_wait_cb, &got);
	finish(&w, &got);
	assert_int_equal(got.result.state, ATTEMPT_OK);
	assert_int_equal(got.result.attempt, 1);
	drop(&got);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claims_over),
		cmocka_unit_test(test_success_without_objects),
		cmocka_unit_test(test_claims_living),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_follow_queued),
		cmocka_unit_test(test_kill_early),
		cmocka_unit_test(test_kill_deaf),
		cmocka_unit_test(test_ledger_order),
		cmocka_unit_test(test_slow_controller),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_bare_root),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_long_root),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
