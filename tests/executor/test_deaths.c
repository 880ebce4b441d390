/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "executor/proctree.h"
#include "tests/executor/keepertest.h"

/* test_deaths: whoever dies, worker, keeper or controller, and at whatever step: what the others make of it. */

/* The worker that runs an exec: the parent of its command. */
static pid_t
worker_of(struct world *w, const char *pidfile)
{
	char text[64];
	pid_t worker = 0;
	FILE *f;
	char *path;
	int pid = 0;

	until_file(w, pidfile);
	while (pid == 0) {
		f = fopen(pidfile, "re");
		assert_non_null(f);
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
	}
	path = xasprintf("/proc/%d/status", pid);
	f = fopen(path, "re");
	free(path);
	assert_non_null(f);
	while (fgets(text, sizeof text, f) != NULL) {
		if (sscanf(text, "PPid: %d", &worker) == 1)
			break;
	}
	fclose(f);
	assert_true(worker > 1);
	return worker;
}

static int
pid_in(const char *file)
{
	FILE *f = fopen(file, "re");
	int pid = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void
test_worker_dies(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *pids, *cmd, *deep;

	world_open(&w, NULL);
	pids = xasprintf("%s/pid", w.dir);
	deep = xasprintf("%s/deep", w.dir);
	cmd = xasprintf("setsid sh -c 'echo $$ > %s.new; mv %s.new %s; exec sleep 300' & while ! test -e %s; do sleep 0.01; done; "
	    "echo $$ > %s; sleep 300", deep, deep, deep, deep, pids);
	struct spec s = { .cmd = cmd, .claim = claim_of('a', 0, 0, false) };
	start(&w, &s, &g);
	kill(worker_of(&w, pids), SIGKILL);
	finish(&w, &g);
	assert_failed(&g, ATTEMPT_LOST, "its slot worker died");
	assert_true(err_is(g.result.err, ERR_UNAVAILABLE));
	assert_int_equal(g.result.attempt, 1);
	assert_true(process_gone(pid_in(pids)));
	assert_true(process_gone(pid_in(deep)));
	drop(&g);
	s.cmd = "true";
	for (unsigned i = 0; i < 6; i++) {	/* all slots work */
		run(&w, &s, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		assert_int_equal(g.result.attempt, 2);
		drop(&g);
	}
	free(cmd);
	free(pids);
	free(deep);
	world_close(&w);
}

/* Runs it; expects success and that its directory was this one. */
static void
check_place(struct world *w, struct spec *s, const char *name)
{
	char *text, *want = xasprintf("%s/work/%s/tmp\n", w->root.keeper, name);
	struct running g;

	run(w, s, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	text = object_text(w, &g.result.out);
	assert_string_equal(text, want);
	free(text);
	free(want);
	drop(&g);
}

static size_t
entries_of(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

/* It is told of its end before the worker has moved back: the next exec of every slot comes after that. */
static void
wait_for_place(struct world *w, const char *dir)
{
	for (unsigned i = 0; i < 20 && entries_of(dir) > 0; i++) {
		struct spec s = { .cmd = "true" };
		struct running g;

		run(w, &s, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		drop(&g);
		loop_turn(w->loop, false);
	}
	assert_int_equal(entries_of(dir), 0);
}

/* Without isolation the path is the key's: also after its worker died there, and nothing of it stays. */
static void
test_worker_dies_in_the_open(void **state unused_arg)
{
	struct keeper_options o = { .no_isolation = true };
	char *pids, *cmd, *dir, hex[DIGEST_HEX + 1];
	struct running g;
	struct world w;

	world_open(&w, &o);
	pids = xasprintf("%s/pid", w.dir);
	dir = xasprintf("%s/work", w.root.keeper);
	cmd = xasprintf("echo left > left; echo $$ > %s.new; mv %s.new %s; sleep 300", pids, pids, pids);
	struct spec s = { .cmd = cmd, .claim = claim_of('a', 0, 0, false) };
	start(&w, &s, &g);
	kill(worker_of(&w, pids), SIGKILL);
	finish(&w, &g);
	assert_failed(&g, ATTEMPT_LOST, "its slot worker died");
	drop(&g);
	digest_hex(&s.key, hex);
	s.cmd = "pwd; test ! -e left";
	check_place(&w, &s, hex);
	wait_for_place(&w, dir);
	s.claim = claim_of('b', 0, 0, false);
	check_place(&w, &s, hex);
	wait_for_place(&w, dir);
	free(cmd);
	free(pids);
	free(dir);
	world_close(&w);
}

static void
test_keeper_dies(void **state unused_arg)
{
	struct world w;
	struct running g;
	char *pids, *cmd;
	int old;

	world_open(&w, NULL);
	pids = xasprintf("%s/pid", w.dir);
	/* The second time the file is there, and it ends. */
	cmd = xasprintf("if test -e %s; then exit 0; fi; setsid sh -c 'echo $$ > %s.new; mv %s.new %s; exec sleep 300' & sleep 300", pids,
	    pids, pids, pids);
	struct spec s = { .cmd = cmd, .claim = claim_of('a', 0, 0, false) };
	start(&w, &s, &g);
	until_file(&w, pids);
	started(&w, &g);
	old = pid_in(pids);
	kill(keeper_pid(&w), SIGKILL);
	finish(&w, &g);
	assert_failed(&g, ATTEMPT_OK, "");
	assert_int_equal(g.result.attempt, 2);
	assert_true(process_gone(old));
	/* What happened is on record: the first was lost. */
	char hex[DIGEST_HEX + 1];
	digest_hex(&s.key, hex);
	char *path = xasprintf("%s/%s/1/manifest", w.root.execs, hex);
	struct buf b = BUF_INIT;
	struct manifest m;
	assert_ok(buf_read_file(&b, path, 1 << 20));
	assert_ok(manifest_decode(b.p, b.len, &m));
	assert_int_equal(m.result.state, ATTEMPT_LOST);
	assert_string_equal(m.ident, "test");
	manifest_release(&m);
	buf_release(&b);
	free(path);
	drop(&g);
	free(cmd);
	free(pids);
	world_close(&w);
}

/* A controller goes; what it started goes on, and the next one with its run attaches. */
static void
test_controller_goes(void **state unused_arg)
{
	struct running g, again;
	struct world w, second;
	struct gate gate;

	world_open(&w, NULL);
	world_join(&second, &w);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .claim = claim_of('a', 0, 0, false) };
	start(&second, &s, &g);
	until_file(&second, gate.path);
	started(&second, &g);
	drop(&g);
	world_leave(&second);
	start(&w, &s, &again);
	started(&w, &again);
	gate_lift(&gate);
	finish(&w, &again);
	assert_failed(&again, ATTEMPT_OK, "");
	assert_int_equal(again.result.attempt, 1);
	assert_true(again.result.attached);
	drop(&again);
	gate_free(&gate);
	world_close(&w);
}

static void
test_retain(void **state unused_arg)
{
	struct running g, again;
	struct world w, second;
	struct gate gate;

	world_open(&w, NULL);
	world_join(&second, &w);
	gate_open(&w, &gate);
	struct spec s = { .cmd = gate.cmd, .claim = claim_of('a', 0, 0, false) };
	s.claim.retain_ns = 200000000;
	start(&second, &s, &g);
	until_file(&second, gate.path);
	started(&second, &g);
	struct digest key = s.key;
	drop(&g);
	world_leave(&second);
	/* Nobody came back in time. */
	char hex[DIGEST_HEX + 1];
	digest_hex(&key, hex);
	char *path = xasprintf("%s/%s/1/manifest", w.root.execs, hex);
	until_file(&w, path);
	struct buf b = BUF_INIT;
	struct manifest m;
	assert_ok(buf_read_file(&b, path, 1 << 20));
	assert_ok(manifest_decode(b.p, b.len, &m));
	assert_int_equal(m.result.state, ATTEMPT_LOST);
	assert_err(err_copy(m.result.err), "ended: its controller did not come back in time");
	manifest_release(&m);
	buf_release(&b);
	free(path);
	s.cmd = "true";
	run(&w, &s, &again);
	assert_failed(&again, ATTEMPT_OK, "");
	assert_int_equal(again.result.attempt, 2);
	drop(&again);
	gate_free(&gate);
	world_close(&w);
}

/* Two controllers on one host: who came first is admitted first, and never more than there is. */
/* Whatever step a worker dies at: the put says LOST or the result, and the same put again brings the result. */
static void
test_crash_points(void **state unused_arg)
{
	static const char *const points[] = {
		"keeper-attempt-created", "keeper-staged", "keeper-before-spawn", "keeper-after-exit", "keeper-outputs-renamed",
		"keeper-before-manifest", "keeper-after-manifest",
	};
	struct spec s = { .cmd = "echo x > %s", .holes = { OUT(0) }, .nholes = 1, .outputs = { { "out", false } }, .noutputs = 1,
		.claim = claim_of('a', 0, 0, false), .cpu = 1 };
	struct running g;
	struct world w;
	char *once;

	for (size_t i = 0; i < nitems(points); i++) {
		struct keeper_options o = { .slots = 2 };

		resources_set(&o.resources, "mem", 1 << 30);
		resources_set(&o.resources, "cpu", 1);
		world_open(&w, &o);
		once = xasprintf("%s/once", w.dir);
		setenv("WEIR_CRASH", points[i], 1);
		setenv("WEIR_CRASH_ONCE", once, 1);
		run(&w, &s, &g);
		unsetenv("WEIR_CRASH");
		unsetenv("WEIR_CRASH_ONCE");
		assert_int_equal(access(once, F_OK), 0);
		if (g.result.state == ATTEMPT_LOST)
			assert_failed(&g, ATTEMPT_LOST, "its slot worker died");
		drop(&g);
		/* The ledger has got everything back, or these would wait for ever. */
		for (unsigned n = 0; n < 4; n++) {
			struct spec t = { .cmd = "true", .cpu = 1 };

			run(&w, &t, &g);
			assert_failed(&g, ATTEMPT_OK, "");
			drop(&g);
		}
		run(&w, &s, &g);
		assert_failed(&g, ATTEMPT_OK, "");
		assert_non_null(output_file(&g, 0, "."));
		drop(&g);
		free(once);
		world_close(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker_dies),
		cmocka_unit_test(test_worker_dies_in_the_open),
		cmocka_unit_test(test_keeper_dies),
		cmocka_unit_test(test_controller_goes),
		cmocka_unit_test(test_retain),
		cmocka_unit_test(test_crash_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
