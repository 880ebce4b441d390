/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include "store/db_client.h"
#include "store/memo.h"

/* The memo: trusted only where a change could not go unseen. */

static struct testroot t;
static struct db_client *client;
static struct memo *memo;
static pid_t writer;
static char *path;
static int fd;

static int
setup(void **state unused_arg)
{
	testroot_new(&t);
	writer = writer_start(&t.root, NULL);
	client = db_client_new(t.root.keeper);
	memo = memo_open(t.root.db);
	path = xasprintf("%s/file", t.dir);
	write_file(path, "contents", 8);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0;
}

static int
teardown(void **state unused_arg)
{
	close(fd);
	memo_close(memo);
	db_client_free(client);
	writer_kill(writer);
	free(path);
	testroot_free(&t);
	return 0;
}

static void
remember(const struct memo_entry *e)
{
	db_client_put(client, DB_MEMO, e->key, sizeof e->key, e->value, sizeof e->value);
	assert_ok(db_client_flush(client, 20000));
}

static int64_t
ns_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

/* As if it had been hashed long after it was written. */
static void
remember_late(struct stat *st, const struct digest *d, int64_t after)
{
	struct memo_entry e;

	assert_int_equal(fstat(fd, st), 0);
	memo_entry_make(&e, st, ns_of(&st->st_ctim) + after, d);
	remember(&e);
}

static void
test_hit(void **state unused_arg)
{
	struct memo_entry entry;
	struct digest d, want, fake;
	struct stat st;
	uint64_t size;
	bool fresh;

	sha256_of("contents", 8, &want);
	assert_ok(memo_digest_fd(memo, fd, path, &d, &size, &fresh, &entry));
	assert_true(fresh);
	assert_true(digest_equal(&d, &want));
	assert_int_equal(size, 8);
	sha256_of("marker", 6, &fake);	/* so that a hit can be told from hashing */
	remember_late(&st, &fake, MEMO_MARGIN + 1000000000);
	assert_ok(memo_digest_fd(memo, fd, path, &d, &size, &fresh, &entry));
	assert_false(fresh);
	assert_true(digest_equal(&d, &fake));
	assert_int_equal(size, 8);
}

/* Written a moment before it was hashed: not trusted, however often it is asked for. */
static void
test_racy(void **state unused_arg)
{
	struct memo_entry entry;
	struct digest d, fake;
	struct stat st;
	uint64_t size;
	bool fresh;

	sha256_of("marker", 6, &fake);
	remember_late(&st, &fake, MEMO_MARGIN / 2);
	assert_false(memo_lookup(memo, &st, &d));
	assert_ok(memo_digest_fd(memo, fd, path, &d, &size, &fresh, &entry));
	assert_true(fresh);
	remember(&entry);	/* what a fresh file gives is racy too */
	assert_false(memo_lookup(memo, &st, &d));
}

/*
 * Rewritten with the same size within one tick of the clock after it was hashed, and mtime set back: device, inode,
 * size and both times are as they were. Only that ctime is too young for the entry tells of it.
 */
static void
test_racy_with_an_old_mtime(void **state unused_arg)
{
	struct digest d, fake;
	struct memo_entry e;
	struct stat st;

	sha256_of("marker", 6, &fake);
	assert_int_equal(fstat(fd, &st), 0);
	st.st_mtim.tv_sec -= 1000;
	memo_entry_make(&e, &st, ns_of(&st.st_ctim) + MEMO_MARGIN / 2, &fake);
	remember(&e);
	assert_false(memo_lookup(memo, &st, &d));
	memo_entry_make(&e, &st, ns_of(&st.st_ctim) + 2 * MEMO_MARGIN, &fake);
	remember(&e);
	assert_true(memo_lookup(memo, &st, &d));
}

static void
test_changes(void **state unused_arg)
{
	struct digest d, fake;
	struct stat st, now;

	sha256_of("marker", 6, &fake);
	remember_late(&st, &fake, 10 * MEMO_MARGIN);
	assert_true(memo_lookup(memo, &st, &d));
	now = st;
	now.st_size++;
	assert_false(memo_lookup(memo, &now, &d));
	now = st;
	now.st_mtim.tv_nsec ^= 1;
	assert_false(memo_lookup(memo, &now, &d));
	now = st;
	now.st_ctim.tv_nsec ^= 1;	/* mtime was set back: ctime tells */
	assert_false(memo_lookup(memo, &now, &d));
	now = st;
	now.st_ino++;
	assert_false(memo_lookup(memo, &now, &d));
}

static void
test_without_database(void **state unused_arg)
{
	char *empty = xasprintf("%s/empty", t.dir);
	struct memo *m = memo_open(empty);
	struct memo_entry entry;
	struct digest d;
	uint64_t size;
	bool fresh;

	assert_ok(memo_digest_fd(m, fd, path, &d, &size, &fresh, &entry));
	assert_true(fresh);
	memo_close(m);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_ok(memo_digest_fd(NULL, fd, path, &d, &size, &fresh, &entry));
	assert_true(fresh);
	free(empty);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_racy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_racy_with_an_old_mtime, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_database, setup, teardown),
	};
	int status;

	if (writer_child_main(argc, argv, &status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
