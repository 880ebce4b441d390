/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/torture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "loop/child.h"

/* Children: exit and signals, descriptors, what they inherit, start errors, cancel, and torture. */
struct result {
	struct child *child;
	bool	      done;
	int	      status;
	struct err   *err;
};

static void
result_cb(int status, struct err *err, void *arg)
{
	struct result *r = arg;

	assert_false(r->done);
	r->child = NULL;
	r->done = true;
	r->status = status;
	r->err = err;
}

static char *
strs(const char *s)
{
	return (char *)(uintptr_t)s;
}

#define SPEC(...) { .fds = { -1, -1, -1 }, .pass_fd = -1, __VA_ARGS__ }

/* Runs a shell command to its end, its output in out. */
static int
run_shell(struct loop *l, const char *script, int pass_fd, struct buf *out)
{
	char *argv[] = { strs("sh"), strs("-c"), strs(script), NULL };
	struct child_spec spec = SPEC(.path = "sh", .argv = argv);
	struct result r = { 0 };
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	spec.fds[1] = fd[1];
	spec.pass_fd = pass_fd;
	r.child = child_start(l, &spec, result_cb, &r);
	close(fd[1]);
	assert_true(child_pid(r.child) > 0);
	assert_ok(buf_read_fd(out, fd[0], "pipe", 1 << 16));
	close(fd[0]);
	test_until(l, &r.done);
	assert_ok(r.err);
	assert_int_equal(loop_nlive(l), 0);
	return r.status;
}

static void
test_exit(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct buf out = BUF_INIT;
	int status = run_shell(l, "echo here; exit 7", -1, &out);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_string_equal(buf_str(&out), "here\n");
	buf_clear(&out);
	status = run_shell(l, "kill -TERM $$", -1, &out);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	buf_release(&out);
	loop_free(l);
}

/* Nothing but 0, 1, 2 and, if asked for, 3; no ignored SIGPIPE, no blocked signal. */
static void
test_inherits_nothing(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct buf out = BUF_INIT;
	int leaky = open("/dev/null", O_RDONLY);	/* not close-on-exec, as if inherited from a shell */
	unsigned long long blocked, ignored;
	sigset_t set, old;

	assert_true(leaky > 2);
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	run_shell(l, "exec ls /proc/self/fd", -1, &out);
	assert_string_equal(buf_str(&out), "0\n1\n2\n3\n");	/* 3: ls reading the folder */
	buf_clear(&out);
	run_shell(l, "readlink /proc/self/fd/0 /proc/self/fd/2;"
	    "sed -n 's/SigBlk://p; s/SigIgn://p' /proc/self/status", -1, &out);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(sscanf(buf_str(&out), "/dev/null /dev/null %llx %llx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & ((1u << 31) - 1), 0);	/* above: glibc's own */
	close(leaky);
	buf_release(&out);
	loop_free(l);
}

/* Sources that lie on each other's targets: 0..3 crosswise. */
static void
test_crossed_descriptors(void **state unused_arg)
{
	int three = dup2(0, 3);		/* so that nothing of the loop's has this number */
	struct loop *l = loop_new(NULL);
	const char *script = "echo one; echo two >&2; read x; echo $x; read x <&3; echo $x";
	char *argv[] = { strs("sh"), strs("-c"), strs(script), NULL };
	struct child_spec spec = SPEC(.path = "/bin/sh", .argv = argv);
	struct result r = { 0 };
	int save[4], in[2], extra[2], out[2], err[2], i;
	struct buf got = BUF_INIT, got_err = BUF_INIT;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(extra, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], "three\n", 6), 6);
	assert_int_equal(write(extra[1], "four\n", 5), 5);
	for (i = 0; i < 4; i++)
		save[i] = fcntl(i, F_DUPFD_CLOEXEC, 50);
	dup2(in[0], 3);
	dup2(extra[0], 1);
	dup2(out[1], 2);
	dup2(err[1], 0);
	memcpy(spec.fds, (int[]){ 3, 2, 0 }, sizeof spec.fds);
	spec.pass_fd = 1;
	r.child = child_start(l, &spec, result_cb, &r);
	for (i = 0; i < 4; i++) {
		dup2(save[i], i);
		close(save[i]);
	}
	close(out[1]);
	close(err[1]);
	test_until(l, &r.done);
	assert_ok(r.err);
	assert_ok(buf_read_fd(&got, out[0], "out", 1000));
	assert_ok(buf_read_fd(&got_err, err[0], "err", 1000));
	assert_string_equal(buf_str(&got), "one\nthree\nfour\n");
	assert_string_equal(buf_str(&got_err), "two\n");
	for (i = 0; i < 2; i++) {
		close(in[i]);
		close(extra[i]);
	}
	close(out[0]);
	close(err[0]);
	buf_release(&got);
	buf_release(&got_err);
	loop_free(l);
	close(three);
}

static void
test_environment_and_session(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	const char *script = "test \"$A$HOME\" = 1 && read pid comm state ppid pgrp sid rest </proc/self/stat &&"
	    "test $sid = $$";
	char *argv[] = { strs("sh"), strs("-c"), strs(script), NULL };
	char *envp[] = { strs("A=1"), strs("PATH=/usr/bin:/bin"), NULL };
	struct child_spec spec = SPEC(.path = "/bin/sh", .argv = argv, .envp = envp, .new_session = true);
	struct result r = { 0 };

	r.child = child_start(l, &spec, result_cb, &r);
	test_until(l, &r.done);
	assert_int_equal(r.status, 0);
	loop_free(l);
}

static void
assert_start_error(struct loop *l, const char *path, const char *text)
{
	char *argv[] = { strs("x"), NULL };
	struct child_spec spec = SPEC(.path = path, .argv = argv);
	struct result r = { 0 };

	r.child = child_start(l, &spec, result_cb, &r);
	assert_non_null(r.child);
	assert_int_equal(child_pid(r.child), 0);
	child_kill(r.child, SIGKILL);	/* nobody there */
	assert_false(r.done);
	test_until(l, &r.done);
	assert_err(r.err, text);
}

static void
test_start_errors(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	struct rlimit old, few;
	char *dir = temp_dir_new();
	char text[300];

	assert_start_error(l, "/no/such/program", "start /no/such/program: No such file or directory");
	assert_start_error(l, "no-such-program-in-path", "start no-such-program-in-path: No such file or directory");
	snprintf(text, sizeof text, "start %s: Permission denied", dir);
	assert_start_error(l, dir, text);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)dup(0);		/* the lowest number that is free: none is left for a pidfd */
	close((int)few.rlim_cur);
	setrlimit(RLIMIT_NOFILE, &few);
	assert_start_error(l, "/bin/true", "watch child process: Too many open files");
	setrlimit(RLIMIT_NOFILE, &old);
	temp_dir_free(dir);
	loop_free(l);
}

static void
test_kill_and_cancel(void **state unused_arg)
{
	struct loop *l = loop_new(NULL);
	char *argv[] = { strs("sleep"), strs("1000"), NULL };
	struct child_spec spec = SPEC(.path = "sleep", .argv = argv);
	struct result r = { 0 };
	pid_t pid;

	r.child = child_start(l, &spec, result_cb, &r);
	child_kill(r.child, SIGUSR1);
	test_until(l, &r.done);
	assert_int_equal(WTERMSIG(r.status), SIGUSR1);

	r = (struct result){ 0 };
	r.child = child_start(l, &spec, result_cb, &r);
	pid = child_pid(r.child);
	child_cancel(&r.child);
	assert_null(r.child);
	assert_int_equal(kill(pid, 0), -1);	/* gone and reaped */
	assert_int_equal(errno, ESRCH);
	child_cancel(&r.child);
	child_cancel(NULL);
	assert_false(loop_turn(l, false));
	assert_false(r.done);
	loop_free(l);
}

/* Some parents leave SIGCHLD ignored; the kernel would then throw the wait status away. */
static void
test_sigchld_ignored_by_parent(void **state unused_arg)
{
	struct loop *l;
	struct buf out = BUF_INIT;

	signal(SIGCHLD, SIG_IGN);
	l = loop_new(NULL);
	assert_int_equal(WEXITSTATUS(run_shell(l, "exit 9", -1, &out)), 9);
	buf_release(&out);
	loop_free(l);
}

/* Many at once, ending in any order. */
static void
test_many(void **state unused_arg)
{
	enum { N = 60 };
	struct loop *l = loop_new(NULL);
	struct result r[N] = { 0 };
	char script[32];
	char *argv[] = { strs("sh"), strs("-c"), script, NULL };
	struct child_spec spec = SPEC(.path = "/bin/sh", .argv = argv);
	int i;

	for (i = 0; i < N; i++) {
		snprintf(script, sizeof script, "exit %d", i);
		r[i].child = child_start(l, &spec, result_cb, &r[i]);
	}
	for (i = N - 1; i >= 0; i--)
		test_until(l, &r[i].done);
	for (i = 0; i < N; i++)
		assert_int_equal(WEXITSTATUS(r[i].status), i);
	assert_int_equal(loop_nlive(l), 0);
	loop_free(l);
}

static struct child *tortured;

static void
torture_child_cb(int status unused_arg, struct err *err, void *arg)
{
	tortured = NULL;
	torture_done(arg, err);
}

static void
torture_make(struct torture *t)
{
	char *argv[] = { strs("true"), NULL };
	struct child_spec spec = SPEC(.path = "true", .argv = argv);

	tortured = child_start(t->loop, &spec, torture_child_cb, t);
}

static void
torture_make_failing(struct torture *t)
{
	char *argv[] = { strs("x"), NULL };
	struct child_spec spec = SPEC(.path = "/no/such/program", .argv = argv);

	tortured = child_start(t->loop, &spec, torture_child_cb, t);
}

static void
torture_cancel_child(struct torture *t unused_arg)
{
	child_cancel(&tortured);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);	/* no zombie stays */
}

static void
test_torture(void **state unused_arg)
{
	struct torture_spec spec = {
		.name = "child", .real_clock = true, .make = torture_make, .cancel = torture_cancel_child,
	};

	torture(&spec);
	spec.make = torture_make_failing;
	torture(&spec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_inherits_nothing),
		cmocka_unit_test(test_crossed_descriptors),
		cmocka_unit_test(test_environment_and_session),
		cmocka_unit_test(test_start_errors),
		cmocka_unit_test(test_kill_and_cancel),
		cmocka_unit_test(test_sigchld_ignored_by_parent),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_torture),
	};

	test_limit(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
