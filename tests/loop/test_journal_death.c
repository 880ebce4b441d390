/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/journaltest.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/wal.h"
#include "loop/spawn.h"

/*
 * The journal against its promises: whatever dies and whenever, no acknowledged record is lost, none is
 * out of order, and a reader that drops the seqs it has seen finds no gap. Run with the arguments
 * `client DIR N` this program is a controller of its own, to be killed.
 */

/* kill -9, at rest and under load, again and again. */
static void
test_process_killed(void **state)
{
	struct world *w = *state;
	struct reading r;
	uint64_t seq = 0;
	int i, k;

	assert_ok(world_open(w));
	for (i = 0; i < 25; i++) {
		for (k = 0; k < 200; k++)
			seq = append(w->journal, (size_t)k * 7);
		if (i % 3 != 0)
			loop_turn(w->loop, i % 3 == 1);
		kill(journal_pid(w->journal), SIGKILL);
		if (i % 2 == 0)
			assert_ok(wait_for(w, seq));
	}
	kill(journal_pid(w->journal), SIGKILL);	/* the last one is noticed by close */
	seq = append(w->journal, 10);
	world_close(w);
	r = read_all(w->dir);
	assert_int_equal(r.last, seq);
	assert_true(r.segments > 13);
}

static void
crash_once(struct world *w, const char *name, int nth)
{
	char *once = xasprintf("%s/crashed", w->tmp), *value = xasprintf("%s:%d", name, nth);

	unlink(once);
	setenv("WEIR_CRASH", value, 1);
	setenv("WEIR_CRASH_ONCE", once, 1);
	free(once);
	free(value);
}

static bool
has_crashed(struct world *w)
{
	char *once = xasprintf("%s/crashed", w->tmp);
	bool yes = access(once, F_OK) == 0;

	free(once);
	return yes;
}

static void
crash_round(struct world *w, const char *name, int nth)
{
	struct reading r;
	uint64_t seq = 0;
	int i, k;

	crash_once(w, name, nth);
	free(w->dir);
	w->dir = xasprintf("%s/journal/%s-%d", w->tmp, name, nth);
	assert_ok(world_open(w));
	journal_set_segment_size(w->journal, 4000);
	for (i = 0; i < 12; i++) {
		for (k = 0; k < 10; k++)
			seq = append(w->journal, 100);
		assert_ok(wait_for(w, seq));
		assert_true(read_all(w->dir).last >= seq);
	}
	world_close(w);
	assert_true(has_crashed(w));
	r = read_all(w->dir);
	assert_int_equal(r.last, 120);
	if (nth > 1 && strcmp(name, "journal-before-sync") != 0)
		assert_true(r.repeated > 0);	/* durable, not acknowledged: sent again */
}

/* The process dies at each of its durable steps, from the first one on. */
static void
test_process_crash_points(void **state)
{
	static const char *const names[] = { "journal-before-sync", "journal-after-sync", "journal-before-ack" };
	struct world *w = *state;
	size_t i;
	int nth;

	for (i = 0; i < nitems(names); i++)
		for (nth = 1; nth <= 6; nth++)
			crash_round(w, names[i], nth);
}

/* It dies every time, at the first record or already at its header: the waiter hears of it in the end. */
static void
test_process_cannot_live(void **state)
{
	struct world *w = *state;
	char *text = xasprintf("journal process of %s: killed by signal 9", w->dir);
	struct err *err;

	setenv("WEIR_CRASH", "journal-before-ack:1", 1);
	assert_err(world_open(w), text);
	assert_false(wal_is_live(w->dir));
	unsetenv("WEIR_CRASH");
	assert_ok(world_open(w));
	setenv("WEIR_CRASH", "journal-before-sync:1", 1);
	kill(journal_pid(w->journal), SIGKILL);
	err = wait_for(w, append(w->journal, 10));
	assert_true(err_is(err, ERR_UNAVAILABLE));
	assert_err(err, text);
	assert_int_equal(journal_pid(w->journal), 0);
	assert_true(wal_is_live(w->dir));	/* the controller lives, and holds the folder */
	unsetenv("WEIR_CRASH");
	assert_ok(wait_for(w, append(w->journal, 10)));
	world_close(w);
	assert_int_equal(read_all(w->dir).last, 2);
	free(text);
}

/* No process can be started any more: every waiter gets the error; later the same records are written. */
static void
test_restart_fails(void **state)
{
	struct world *w = *state;
	char *program = xasprintf("%s/weir-journal", w->tmp);
	char *text = xasprintf("start %s: No such file or directory", program);
	uint64_t seq;
	int i;

	copy_program(journal_program(), program);
	w->program = program;
	assert_ok(world_open(w));
	for (i = 0; i < 500; i++)
		append(w->journal, 100);
	assert_ok(wait_for(w, 500));
	unlink(program);
	kill(journal_pid(w->journal), SIGKILL);
	seq = append(w->journal, 100);
	assert_err(wait_for(w, seq), text);
	append(w->journal, 100);
	assert_err(wait_for(w, seq + 1), text);	/* tried again, and failed again */
	assert_ok(wait_for(w, 500));
	copy_program(journal_program(), program);
	assert_ok(wait_for(w, seq + 1));
	world_close(w);
	assert_int_equal(read_all(w->dir).last, 502);
	free(program);
	free(text);
}

/* A controller of its own. */

enum { CLIENT_SHORT = 36, CLIENT_FLOOD = 5000 };

/* When told to: far more than the socket holds, and then not a step further. */
static void
client_flood(struct journal *j)
{
	int i;

	getchar();
	for (i = 0; i < CLIENT_FLOOD; i++)
		append(j, 50);
	printf("%d 0\n", i);
	fflush(stdout);
	for (;;)
		pause();
}

static int
client_main(const char *dir, int n)
{
	struct world w = { .dir = xstrdup(dir), .program = journal_program() };
	uint64_t seq = 0;
	int i;

	w.loop = loop_new(NULL);
	if (world_open(&w) != NULL)
		return 1;
	for (i = 0; i < n; i++) {
		seq = append(w.journal, 50);
		if (i % 7 == 0 || i == n - 1) {
			if (wait_for(&w, seq) != NULL)
				return 1;
			printf("%llu %d\n", (unsigned long long)seq, (int)journal_pid(w.journal));
			fflush(stdout);
		}
	}
	if (n == CLIENT_SHORT)
		client_flood(w.journal);
	journal_close(w.journal);
	loop_free(w.loop);
	free(w.dir);
	return 0;
}

static char *self;

/* Starts this program as a client with this end of a pipe as its input; gives the other of its output. */
static pid_t
client_start(struct world *w, int n, int in, FILE **out)
{
	char mode[] = "client", *count = xasprintf("%d", n), *argv[] = { self, mode, w->dir, count, NULL };
	struct child_spec spec = { .path = self, .argv = argv, .fds = { in, -1, 2 }, .pass_fd = -1 };
	int fd[2];
	pid_t pid;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	spec.fds[1] = fd[1];
	assert_ok(spawn(&spec, &pid));
	close(fd[1]);
	free(count);
	*out = fdopen(fd[0], "r");
	return pid;
}

static void
wait_not_live(struct world *w)
{
	while (wal_is_live(w->dir))
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

/* The controller kills itself at its own steps: what it was told is durable is there. */
static void
client_crash_round(struct world *w, const char *name, int nth)
{
	unsigned long long seq, acked = 0;
	char *once;
	FILE *out;
	int pid, status;
	pid_t client;

	crash_once(w, name, nth);
	free(w->dir);
	w->dir = xasprintf("%s/journal/%s-%d", w->tmp, name, nth);
	client = client_start(w, 100, -1, &out);
	while (fscanf(out, "%llu %d", &seq, &pid) == 2)
		acked = seq;
	fclose(out);
	assert_int_equal(waitpid(client, &status, 0), client);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	wait_not_live(w);
	if (nth > 1)
		assert_true(read_all(w->dir).last >= acked);
	once = xasprintf("%s/crashed", w->tmp);
	assert_int_equal(unlink(once), 0);
	free(once);
}

static void
test_client_crash_points(void **state)
{
	static const int nths[] = { 1, 2, 5, 11 };
	struct world *w = *state;
	size_t i;

	for (i = 0; i < nitems(nths); i++) {
		client_crash_round(w, "journal-client-appended", nths[i]);
		client_crash_round(w, "journal-client-answered", nths[i]);
	}
}

static bool
is_stopped(int pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f == NULL || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		fail_msg("cannot read %s", path);
	fclose(f);
	return state == 'T';
}

/*
 * The journal process is held up, its controller killed with the socket full: the folder counts as live
 * until all that was sent has been written.
 */
static void
test_lock_until_drained(void **state)
{
	struct world *w = *state;
	unsigned long long n;
	int journal = 0, in[2], status;
	uint64_t after;
	pid_t client;
	FILE *out;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	client = client_start(w, CLIENT_SHORT, in[0], &out);
	do
		assert_int_equal(fscanf(out, "%llu %d", &n, &journal), 2);
	while (n < CLIENT_SHORT);
	kill(journal, SIGSTOP);
	while (!is_stopped(journal))
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(write(in[1], "\n", 1), 1);
	assert_int_equal(fscanf(out, "%llu %d", &n, &status), 2);
	kill(client, SIGKILL);
	assert_int_equal(waitpid(client, &status, 0), client);
	assert_true(wal_is_live(w->dir));
	assert_int_equal(read_all(w->dir).last, CLIENT_SHORT);
	kill(journal, SIGCONT);
	wait_not_live(w);
	after = read_all(w->dir).last;
	assert_true(after >= CLIENT_SHORT + 100);	/* what the socket held */
	assert_true(after < CLIENT_SHORT + CLIENT_FLOOD);
	fclose(out);
	close(in[0]);
	close(in[1]);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_process_killed),
		TEST(test_process_crash_points),
		TEST(test_process_cannot_live),
		TEST(test_restart_fails),
		TEST(test_client_crash_points),
		TEST(test_lock_until_drained),
	};

	self = argv[0];
	if (argc == 4 && strcmp(argv[1], "client") == 0)
		return client_main(argv[2], atoi(argv[3]));
	test_limit(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
