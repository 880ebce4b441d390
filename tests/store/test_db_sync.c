/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include <errno.h>

#include "store/db_client.h"

/*
 * Objects are on the disk before an entry that names them is. The syncfs of this program, which is the writer too,
 * takes the place of the C library's: it writes down that it was called, and fails when it is told to.
 */
#define FLUSH_MS 20000

static const char *
seam(const char *name)
{
	static char path[4096];
	const char *dir = getenv("TEST_SYNCFS");

	snprintf(path, sizeof path, "%s/%s", dir ? dir : "/nonexistent", name);
	return path;
}

int
syncfs(int fd)
{
	struct stat st;
	int called;

	if (fstat(fd, &st) == -1)
		return -1;
	if (access(seam("sync-fails"), F_OK) == 0) {
		errno = EIO;
		return -1;
	}
	called = open(seam("synced"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (called == -1)
		return -1;
	/* Which folder: the inode of what was synced. */
	dprintf(called, "%llu\n", (unsigned long long)st.st_ino);
	return close(called);
}

static bool
was_synced(const struct testroot *t)
{
	unsigned long long ino = 0;
	struct stat st;
	FILE *f = fopen(seam("synced"), "r");

	if (f == NULL)
		return false;
	assert_int_equal(fscanf(f, "%llu", &ino), 1);
	fclose(f);
	assert_int_equal(stat(t->root.objects, &st), 0);
	return ino == st.st_ino;
}

static void
put(struct db_client *c, enum db_sub sub, const char *key)
{
	db_client_put(c, sub, key, strlen(key), "v", 1);
}

static struct db_client *
begin(struct testroot *t, const char *crash, pid_t *pid)
{
	testroot_new(t);
	setenv("TEST_SYNCFS", t->dir, 1);
	*pid = writer_start(&t->root, &(struct writer_args){ .crash = crash });
	return db_client_new(t->root.keeper);
}

/* When the commit begins, the objects' file system has been synced. */
static void
test_synced_before_commit(void **state unused_arg)
{
	struct testroot t;
	pid_t pid;
	struct db_client *c = begin(&t, "store-before-db-commit", &pid);

	assert_false(was_synced(&t));
	put(c, DB_ASSOC, "k");
	writer_wait_killed(pid);
	assert_true(was_synced(&t));
	assert_db(&t.root, DB_ASSOC, "k", "");
	db_client_free(c);
	testroot_free(&t);
}

/* An entry whose objects could not be synced is refused, not written; what names no objects needs no sync. */
static void
test_sync_fails(void **state unused_arg)
{
	struct testroot t;
	pid_t pid;
	struct db_client *c = begin(&t, NULL, &pid);
	char *text = xasprintf("sync %s: Input/output error", t.root.objects);

	write_file(seam("sync-fails"), "", 0);
	put(c, DB_META, "m");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_META, "m", "v");
	put(c, DB_ASSOC, "k");
	assert_err(db_client_flush(c, FLUSH_MS), text);
	assert_db(&t.root, DB_ASSOC, "k", "");
	assert_false(was_synced(&t));
	unlink(seam("sync-fails"));
	put(c, DB_ASSOC, "k");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_ASSOC, "k", "v");
	assert_true(was_synced(&t));
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	free(text);
	testroot_free(&t);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_synced_before_commit),
		cmocka_unit_test(test_sync_fails),
	};
	int status;

	if (writer_child_main(argc, argv, &status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
