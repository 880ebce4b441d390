/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/journaltest.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/resource.h>

/*
 * Full and read-only disks: the waiters hear which file it was, what was acknowledged stays readable, and
 * with room again the journal goes on without a gap.
 */

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
	world_close(w);
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

	world_close(w);
	umount(tmp);
	free(tmp);
	return world_teardown(state);
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
	world_close(w);
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
	world_close(w);
	free(text);
	text = xasprintf("create journal segment %s/000002.wal: Read-only file system", w->dir);
	assert_int_equal(mount(NULL, w->tmp, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_err(world_open(w), text);
	free(text);
	text = xasprintf("create journal %s/new: Read-only file system", w->tmp);
	assert_open_error(w, "new", text);
	free(text);
}

#define TEST_MOUNTED(fn) cmocka_unit_test_setup_teardown(fn, world_setup, teardown_mounted)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file_size_limit),
		TEST_MOUNTED(test_full_disk),
		TEST_MOUNTED(test_full_disk_at_open),
		TEST_MOUNTED(test_read_only),
	};

	test_limit(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
