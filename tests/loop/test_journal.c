/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/journaltest.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/frame.h"
#include "base/wal.h"
#include "loop/journal_wire.h"
#include "loop/spawn.h"
#include "tests/loop/torture.h"

/* The journal on an ordinary day, its protocol when abused, and torture of journal_wait. */

static void
test_appends_and_reads(void **state)
{
	struct world *w = *state;
	struct reading r;
	int i;

	assert_ok(world_open(w));
	assert_int_equal(journal_next_seq(w->journal), 1);
	assert_int_equal(journal_durable_seq(w->journal), 0);
	for (i = 0; i < 1000; i++)
		append(w->journal, 200);
	assert_ok(wait_for(w, 1000));
	assert_ok(wait_for(w, 3));	/* long durable: comes all the same, from the loop */
	assert_true(wal_is_live(w->dir));
	append(w->journal, 1 << 20);	/* not waited for: close drains */
	world_close(w);
	assert_false(wal_is_live(w->dir));
	r = read_all(w->dir);
	assert_int_equal(r.last, 1001);
	assert_int_equal(r.repeated + (uint64_t)r.damages, 0);
	assert_int_equal(r.segments, 1);
}

static uint64_t
append_lazy(struct journal *j)
{
	char text[64];
	uint64_t seq = journal_next_seq(j);

	snprintf(text, sizeof text, "record %llu", (unsigned long long)seq);
	assert_int_equal(journal_append_lazy(j, text, strlen(text)), seq);
	return seq;
}

/* Sent a turn later, or with what is not lazy, or at the end; in the same order, whatever they are mixed with. */
static void
test_lazy(void **state)
{
	struct world *w = *state;
	struct reading r;

	assert_ok(world_open(w));
	for (int i = 0; i < 3; i++)
		append_lazy(w->journal);
	assert_ok(wait_for(w, 3));	/* it is the turn that sends them */
	append_lazy(w->journal);
	append(w->journal, 10);
	append_lazy(w->journal);
	append(w->journal, 200 << 10);
	for (int i = 0; i < 10000; i++)
		append_lazy(w->journal);
	assert_ok(wait_for(w, 8000));
	assert_int_equal(append_lazy(w->journal), 10008);
	world_close(w);
	r = read_all(w->dir);
	assert_int_equal(r.last, 10008);
	assert_int_equal(r.repeated + (uint64_t)r.damages, 0);
	assert_int_equal(loop_nlive(w->loop), 0);
}

static void
test_next_number(void **state)
{
	struct world *w = *state;
	struct stat st;
	char *path;
	int i;

	for (i = 0; i < 2; i++) {
		assert_ok(world_open(w));
		journal_close(w->journal);
		w->journal = NULL;
	}
	path = xasprintf("%s/000002.wal", w->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	free(path);
	assert_int_equal(read_all(w->dir).segments, 2);
}

static void
test_rotates(void **state)
{
	struct world *w = *state;
	struct reading r;
	struct stat st;
	char *path;
	int i;

	assert_ok(world_open(w));
	journal_set_segment_size(w->journal, 1000);
	for (i = 0; i < 100; i++)
		append(w->journal, 80);	/* each about 99 bytes: ten a segment */
	append(w->journal, 5000);	/* larger than a segment: has one to itself */
	append(w->journal, 80);
	assert_ok(wait_for(w, 102));
	world_close(w);
	r = read_all(w->dir);
	assert_int_equal(r.last, 102);
	assert_int_equal(r.repeated, 0);
	assert_int_equal(r.segments, 12);
	path = xasprintf("%s/000005.wal", w->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= 1100);
	free(path);
}

/* Two waiters on one seq, one canceled from the other's callback. */
static struct journal_wait *sibling;

static void
cancel_sibling_cb(struct err *err, void *arg)
{
	journal_wait_cancel(&sibling);
	wait_cb(err, arg);
}

static void
never_cb(struct err *err unused_arg, void *arg unused_arg)
{
	fail_msg("called after cancel");
}

static void
test_cancel_in_callback(void **state)
{
	struct world *w = *state;
	uint64_t seq;

	assert_ok(world_open(w));
	seq = append(w->journal, 10);
	w->wait = journal_wait_start(w->journal, seq, cancel_sibling_cb, w);
	sibling = journal_wait_start(w->journal, seq, never_cb, w);
	test_until(w->loop, &w->done);
	assert_null(sibling);
	journal_wait_cancel(&sibling);
	test_turns(w->loop, 3);
}

/* Signals of a terminal or a service manager do not end it; and it leads a session of its own. */
static void
test_signals(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct world *w = *state;
	pid_t pid;
	size_t i;

	assert_ok(world_open(w));
	pid = journal_pid(w->journal);
	assert_int_equal(getsid(pid), pid);
	for (i = 0; i < nitems(signals); i++)
		kill(pid, signals[i]);
	assert_ok(wait_for(w, append(w->journal, 10)));
	assert_int_equal(journal_pid(w->journal), pid);
}

static void
test_open_errors(void **state)
{
	struct world *w = *state, other = *w;
	char *text;

	assert_ok(world_open(w));
	other.loop = w->loop;
	text = xasprintf("journal %s: another process writes it", w->dir);
	assert_err(world_open(&other), text);
	free(text);
	world_close(w);
	text = xasprintf("%s/file", w->tmp);
	copy_program("/dev/null", text);
	free(text);
	text = xasprintf("create journal %s/file/c1: Not a directory", w->tmp);
	assert_open_error(w, "file/c1", text);
	free(text);
	text = xasprintf("open journal %s/file: Not a directory", w->tmp);
	assert_open_error(w, "file", text);
	free(text);
	w->program = "/no/weir-journal";
	assert_err(world_open(w), "start /no/weir-journal: No such file or directory");
}

/* Raw bytes to the process: gives its exit status, and its last answer. */
static int
raw(struct world *w, const struct buf *in, struct journal_answer *a, struct buf *answers)
{
	char name[] = "weir-journal", *argv[] = { name, w->dir, NULL };
	struct child_spec spec = { .path = w->program, .argv = argv, .fds = { -1, -1, 2 } };
	int sv[2], status;
	size_t next, off = 0;
	pid_t pid;

	mkdir(w->dir, 0700);
	spec.fds[0] = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	spec.pass_fd = sv[1];
	assert_ok(spawn(&spec, &pid));
	close(sv[1]);
	close(spec.fds[0]);
	assert_int_equal(send(sv[0], in->p, in->len, MSG_NOSIGNAL), in->len);
	shutdown(sv[0], SHUT_WR);
	err_free(buf_read_fd(answers, sv[0], "answers", 1 << 20));
	close(sv[0]);
	waitpid(pid, &status, 0);
	while (journal_answer_next(answers->p + off, answers->len - off, a, &next))
		off += next;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
raw_round(struct world *w, const struct buf *in, int status, int eno, uint64_t count, uint64_t readable)
{
	struct journal_answer a = { 0 };
	struct buf answers = BUF_INIT;

	free(w->dir);
	w->dir = temp_dir_new();
	assert_int_equal(raw(w, in, &a, &answers), status);
	assert_int_equal(a.eno, eno);
	assert_int_equal(a.count, count);
	assert_int_equal(read_all(w->dir).last, readable);
	buf_release(&answers);
	temp_dir_free(w->dir);
	w->dir = NULL;
}

static void
test_protocol(void **state)
{
	struct world *w = *state;
	struct buf good = BUF_INIT, b = BUF_INIT;

	raw_round(w, &good, 0, 0, 0, 0);			/* nothing at all: nothing is made */
	journal_command_add(&good, JOURNAL_SEGMENT);
	frame_add(&good, "header 1", 8);
	frame_add(&good, "record 1", 8);
	raw_round(w, &good, 0, 0, 1, 1);
	buf_add(&b, good.p, good.len);
	frame_add(&b, "record 2", 8);
	b.len -= 3;						/* the controller died in the middle of it */
	raw_round(w, &b, 0, 0, 1, 1);
	b.p[b.len - 1] ^= 1;
	buf_add(&b, "xyz", 3);					/* whole, and not what it was */
	raw_round(w, &b, 1, EPROTO, 1, 1);
	buf_clear(&b);
	frame_add(&b, "record 1", 8);				/* no segment yet */
	raw_round(w, &b, 1, EPROTO, 0, 0);
	buf_clear(&b);
	buf_add(&b, good.p, good.len);
	journal_command_add(&b, (enum journal_command)77);
	raw_round(w, &b, 1, EPROTO, 1, 1);
	buf_clear(&b);
	buf_add(&b, good.p, good.len);
	buf_add(&b, "\xff\xff\xff\xff....", 8);			/* an impossible length */
	raw_round(w, &b, 1, EPROTO, 1, 1);
	buf_release(&b);
	buf_release(&good);
}

/* Torture of journal_wait, on a journal of the round. */

static void
torture_setup(struct torture *t)
{
	struct world *w;

	world_setup((void **)&w);
	loop_free(w->loop);
	w->loop = t->loop;
	t->world = w;
	assert_ok(world_open(w));
}

static void
torture_teardown(struct torture *t)
{
	struct world *w = t->world;

	journal_close(w->journal);
	temp_dir_free(w->tmp);
	free(w->dir);
	free(w);
}

static void
torture_wait_cb(struct err *err, void *arg)
{
	struct torture *t = arg;

	((struct world *)t->world)->wait = NULL;
	torture_done(t, err);
}

static void
torture_make(struct torture *t)
{
	struct world *w = t->world;

	w->wait = journal_wait_start(w->journal, append(w->journal, 100), torture_wait_cb, t);
}

static void
torture_make_killed(struct torture *t)
{
	struct world *w = t->world;

	kill(journal_pid(w->journal), SIGKILL);
	torture_make(t);
}

/* The process dies and no other can be started. */
static void
torture_make_lost(struct torture *t)
{
	struct world *w = t->world;

	unlink(w->program);
	torture_make_killed(t);
}

/* Three that are put off belong to the journal; that the last of them is durable can be waited for. */
static void
torture_setup_lazy(struct torture *t)
{
	torture_setup(t);
	for (int i = 0; i < 3; i++)
		append_lazy(((struct world *)t->world)->journal);
}

static void
torture_make_lazy(struct torture *t)
{
	struct world *w = t->world;

	w->wait = journal_wait_start(w->journal, journal_next_seq(w->journal) - 1, torture_wait_cb, t);
}

static void
torture_make_lazy_killed(struct torture *t)
{
	kill(journal_pid(((struct world *)t->world)->journal), SIGKILL);
	torture_make_lazy(t);
}

/* They are on disk when the journal is closed, wherever in the turn it was. */
static void
torture_teardown_lazy(struct torture *t)
{
	struct world *w = t->world;
	struct reading r;

	journal_close(w->journal);
	w->journal = NULL;
	r = read_all(w->dir);
	assert_int_equal(r.last, 3);
	assert_int_equal(r.repeated + (uint64_t)r.damages, 0);
	torture_teardown(t);
}

static void
torture_setup_copy(struct torture *t)
{
	struct world *w;
	char *program;

	world_setup((void **)&w);
	program = xasprintf("%s/weir-journal", w->tmp);
	copy_program(journal_program(), program);
	w->program = program;
	loop_free(w->loop);
	w->loop = t->loop;
	t->world = w;
	assert_ok(world_open(w));
}

static void
torture_teardown_copy(struct torture *t)
{
	struct world *w = t->world;
	char *program = (char *)(uintptr_t)w->program;

	torture_teardown(t);
	free(program);
}

static void
torture_check_lost(struct torture *t)
{
	assert_true(err_is(t->err, ERR_NOT_EXIST));
}

static void
torture_cancel_wait(struct torture *t)
{
	journal_wait_cancel(&((struct world *)t->world)->wait);
}

static void
torture_check(struct torture *t)
{
	assert_null(t->err);
}

static void
test_torture(void **state unused_arg)
{
	struct torture_spec spec = {
		.name = "journal_wait", .real_clock = true, .setup = torture_setup, .make = torture_make,
		.cancel = torture_cancel_wait, .check = torture_check, .teardown = torture_teardown,
	};

	torture(&spec);
	spec.make = torture_make_killed;
	torture(&spec);
	spec.setup = torture_setup_lazy;
	spec.make = torture_make_lazy_killed;
	torture(&spec);
	spec.make = torture_make_lazy;
	spec.teardown = torture_teardown_lazy;
	torture(&spec);
	spec.setup = torture_setup_copy;
	spec.make = torture_make_lost;
	spec.check = torture_check_lost;
	spec.teardown = torture_teardown_copy;
	torture(&spec);
	test_limit(120);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_appends_and_reads),
		TEST(test_lazy),
		TEST(test_next_number),
		TEST(test_rotates),
		TEST(test_cancel_in_callback),
		TEST(test_signals),
		TEST(test_open_errors),
		TEST(test_protocol),
		cmocka_unit_test(test_torture),
	};

	test_limit(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
