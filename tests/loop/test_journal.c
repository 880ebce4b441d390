/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/torture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/wal.h"
#include "base/xalloc.h"
#include "loop/journal.h"
#include "loop/journal_wire.h"
#include "loop/spawn.h"

/*
 * The journal against its promises: whatever dies and whenever, no acknowledged record is lost, none is
 * out of order, and a reader that drops the seqs it has seen finds no gap. Run with the arguments
 * `client DIR N` this program is a controller of its own, to be killed.
 */

/* A world: one folder, one loop, one journal. */
struct world {
	char	       *tmp, *dir;
	const char     *program;
	struct loop    *loop;
	struct journal *journal;
	struct journal_wait *wait;
	bool		done;
	struct err     *err;
};

static const char *
journal_program(void)
{
	const char *p = getenv("WEIR_JOURNAL");

	return p != NULL ? p : "./weir-journal";
}

static void
header_cb(struct buf *out, uint64_t first_seq, void *arg unused_arg)
{
	buf_addf(out, "header %llu", (unsigned long long)first_seq);
}

static struct err *
world_open(struct world *w)
{
	return journal_open(w->loop, w->dir, w->program, header_cb, NULL, &w->journal);
}

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	w->tmp = temp_dir_new();
	w->dir = xasprintf("%s/journal/c1", w->tmp);
	w->program = journal_program();
	w->loop = loop_new(NULL);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	journal_wait_cancel(&w->wait);
	journal_close(w->journal);
	loop_free(w->loop);
	unsetenv("WEIR_CRASH");
	unsetenv("WEIR_CRASH_ONCE");
	temp_dir_free(w->tmp);
	free(w->dir);
	free(w);
	return 0;
}

/* Appends the next record; its text says its seq and has some length. */
static uint64_t
append(struct journal *j, size_t padding)
{
	struct buf b = BUF_INIT;
	uint64_t seq = journal_next_seq(j);

	buf_addf(&b, "record %llu ", (unsigned long long)seq);
	while (padding-- > 0)
		buf_addch(&b, '.');
	assert_int_equal(journal_append(j, b.p, b.len), seq);
	buf_release(&b);
	return seq;
}

static void
wait_cb(struct err *err, void *arg)
{
	struct world *w = arg;

	assert_false(w->done);
	w->wait = NULL;
	w->done = true;
	w->err = err;
}

/* Gives the error. */
static struct err *
wait_for(struct world *w, uint64_t seq)
{
	w->done = false;
	w->err = NULL;
	w->wait = journal_wait_start(w->journal, seq, wait_cb, w);
	assert_false(w->done);
	test_until(w->loop, &w->done);
	if (w->err == NULL)
		assert_true(journal_durable_seq(w->journal) >= seq);
	return w->err;
}

/* A reader. */
struct reading {
	uint64_t    last;	/* seqs 1..last were read, without a gap */
	uint64_t    repeated;
	int	    headers, segments, damages;
	const char *segment;
	char	    path[512];
};

static struct err *
read_record(const struct wal_pos *pos, const char *payload, size_t n, void *arg)
{
	struct reading *r = arg;
	char text[64] = "";
	unsigned long long seq;

	memcpy(text, payload, n < sizeof text - 1 ? n : sizeof text - 1);
	if (strcmp(r->path, pos->path) != 0) {
		snprintf(r->path, sizeof r->path, "%s", pos->path);
		r->segments++;
		assert_int_equal(sscanf(text, "header %llu", &seq), 1);
		assert_true(seq <= r->last + 1);
		r->headers++;
		return NULL;
	}
	assert_int_equal(sscanf(text, "record %llu", &seq), 1);
	assert_true(seq <= r->last + 1);
	r->repeated += seq <= r->last;
	if (seq > r->last)
		r->last = seq;
	return NULL;
}

static void
read_damage(const struct wal_pos *pos unused_arg, enum frame_state st unused_arg, uint64_t skipped unused_arg, void *arg)
{
	((struct reading *)arg)->damages++;
}

static struct reading
read_all(const char *dir)
{
	struct reading r = { 0 };

	assert_ok(wal_scan_dir(dir, read_record, read_damage, &r));
	return r;
}

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
	journal_close(w->journal);
	w->journal = NULL;
	assert_false(wal_is_live(w->dir));
	r = read_all(w->dir);
	assert_int_equal(r.last, 1001);
	assert_int_equal(r.repeated + (uint64_t)r.damages, 0);
	assert_int_equal(r.segments, 1);
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
	journal_close(w->journal);
	w->journal = NULL;
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
	journal_close(w->journal);
	w->journal = NULL;
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
	journal_close(w->journal);
	w->journal = NULL;
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
	journal_close(w->journal);
	w->journal = NULL;
	assert_int_equal(read_all(w->dir).last, 2);
	free(text);
}

static void
copy_file(const char *from, const char *to)
{
	struct buf b = BUF_INIT;
	int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	assert_ok(buf_read_file(&b, from, 64 << 20));
	assert_int_equal(write(fd, b.p, b.len), b.len);
	close(fd);
	buf_release(&b);
}

/* No process can be started any more: every waiter gets the error; later the same records are written. */
static void
test_restart_fails(void **state)
{
	struct world *w = *state;
	char *program = xasprintf("%s/weir-journal", w->tmp), *text = xasprintf("start %s: No such file or directory", program);
	uint64_t seq;
	int i;

	copy_file(journal_program(), program);
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
	copy_file(journal_program(), program);
	assert_ok(wait_for(w, seq + 1));
	journal_close(w->journal);
	w->journal = NULL;
	assert_int_equal(read_all(w->dir).last, 502);
	free(program);
	free(text);
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
open_error(struct world *w, const char *dir, const char *text)
{
	char *old = w->dir;

	w->dir = xasprintf("%s/%s", w->tmp, dir);
	assert_err(world_open(w), text);
	assert_null(w->journal);
	free(w->dir);
	w->dir = old;
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
	journal_close(w->journal);
	w->journal = NULL;
	text = xasprintf("%s/file", w->tmp);
	copy_file("/dev/null", text);
	free(text);
	text = xasprintf("create journal %s/file/c1: Not a directory", w->tmp);
	open_error(w, "file/c1", text);
	free(text);
	text = xasprintf("open journal %s/file: Not a directory", w->tmp);
	open_error(w, "file", text);
	free(text);
	w->program = "/no/weir-journal";
	assert_err(world_open(w), "start /no/weir-journal: No such file or directory");
}

/* Fills the file system or meets the limit, then makes room. The journal must go on without a gap. */
static void
full_disk(struct world *w, enum err_kind kind, const char *strerr, void (*make_room)(void *), void *arg)
{
	char *text = xasprintf("write journal %s/000001.wal: %s", w->dir, strerr);
	struct reading r;
	struct err *err;
	uint64_t seq, ok = 0;

	do {
		seq = append(w->journal, 3000);
		err = wait_for(w, seq);
		if (err == NULL)
			ok = seq;
	} while (err == NULL);
	assert_true(ok > 5);
	assert_true(err_is(err, kind));
	assert_err(err, text);
	assert_int_equal(journal_durable_seq(w->journal), ok);
	r = read_all(w->dir);
	assert_int_equal(r.last, ok);
	assert_int_equal(r.damages, 0);		/* cut back to the last whole record */
	make_room(arg);
	assert_ok(wait_for(w, append(w->journal, 3000)));
	journal_close(w->journal);
	w->journal = NULL;
	r = read_all(w->dir);
	assert_int_equal(r.last, seq + 1);
	assert_int_equal(r.repeated, 0);
	assert_int_equal(r.damages, 0);
	free(text);
}

static void
set_file_size(rlim_t n)
{
	struct rlimit lim;

	getrlimit(RLIMIT_FSIZE, &lim);
	lim.rlim_cur = n;
	setrlimit(RLIMIT_FSIZE, &lim);
}

static void
lift_limit(void *arg unused_arg)
{
	set_file_size(RLIM_INFINITY);
}

static void
test_file_size_limit(void **state)
{
	struct world *w = *state;

	set_file_size(100000);
	assert_ok(world_open(w));
	full_disk(w, ERR_INVALID, "File too large", lift_limit, NULL);
}

/* A small tmpfs on the test's folder; skips where mounting is not allowed. */
static void
mount_small(struct world *w)
{
	if (mount("weir-test", w->tmp, "tmpfs", 0, "size=512k") == -1) {
		print_message("skipped: a tmpfs cannot be mounted here: %s\n", strerror(errno));
		skip();
	}
}

static void
remove_ballast(void *arg)
{
	unlink(arg);
}

static void
fill(const char *path, size_t n)
{
	static char zeros[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd != -1);
	while (n > 0 && write(fd, zeros, sizeof zeros) == sizeof zeros)
		n = n > sizeof zeros ? n - sizeof zeros : 0;
	close(fd);
}

static int
teardown_mounted(void **state)
{
	struct world *w = *state;
	char *tmp = xstrdup(w->tmp);

	journal_close(w->journal);
	w->journal = NULL;
	umount(tmp);
	free(tmp);
	return teardown(state);
}

static void
test_full_disk(void **state)
{
	struct world *w = *state;
	char *ballast = xasprintf("%s/ballast", w->tmp);

	mount_small(w);
	fill(ballast, 300000);
	assert_ok(world_open(w));
	full_disk(w, ERR_TEMPORARY, "No space left on device", remove_ballast, ballast);
	free(ballast);
}

/* Not even a header has room: an error that names the segment, and no litter. */
static void
test_full_disk_at_open(void **state)
{
	struct world *w = *state;
	char *ballast = xasprintf("%s/ballast", w->tmp);
	char *text = xasprintf("write journal %s/000001.wal: No space left on device", w->dir);
	char *segment = xasprintf("%s/000001.wal", w->dir);

	mount_small(w);
	fill(ballast, 1 << 20);
	assert_err(world_open(w), text);
	assert_int_equal(access(segment, F_OK), -1);
	unlink(ballast);
	assert_ok(world_open(w));
	journal_close(w->journal);
	w->journal = NULL;
	assert_int_equal(access(segment, F_OK), 0);
	free(ballast);
	free(segment);
	free(text);
}

static void
test_read_only(void **state)
{
	struct world *w = *state;
	char *text = xasprintf("create journal segment %s/000001.wal: Read-only file system", w->dir);

	mount_small(w);
	assert_ok(world_open(w));
	journal_close(w->journal);
	w->journal = NULL;
	free(text);
	text = xasprintf("create journal segment %s/000002.wal: Read-only file system", w->dir);
	assert_int_equal(mount(NULL, w->tmp, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_err(world_open(w), text);
	free(text);
	text = xasprintf("create journal %s/new: Read-only file system", w->tmp);
	open_error(w, "new", text);
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

	setup((void **)&w);
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

static void
torture_setup_copy(struct torture *t)
{
	struct world *w;
	char *program;

	setup((void **)&w);
	program = xasprintf("%s/weir-journal", w->tmp);
	copy_file(journal_program(), program);
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
	spec.setup = torture_setup_copy;
	spec.make = torture_make_lost;
	spec.check = torture_check_lost;
	spec.teardown = torture_teardown_copy;
	torture(&spec);
	test_limit(120);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define TEST_MOUNTED(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown_mounted)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_appends_and_reads),
		TEST(test_next_number),
		TEST(test_rotates),
		TEST(test_cancel_in_callback),
		TEST(test_process_killed),
		TEST(test_process_crash_points),
		TEST(test_process_cannot_live),
		TEST(test_restart_fails),
		TEST(test_signals),
		TEST(test_open_errors),
		TEST(test_file_size_limit),
		TEST_MOUNTED(test_full_disk),
		TEST_MOUNTED(test_full_disk_at_open),
		TEST_MOUNTED(test_read_only),
		TEST(test_client_crash_points),
		TEST(test_lock_until_drained),
		TEST(test_protocol),
		cmocka_unit_test(test_torture),
	};

	self = argv[0];
	if (argc == 4 && strcmp(argv[1], "client") == 0)
		return client_main(argv[2], atoi(argv[3]));
	test_limit(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
