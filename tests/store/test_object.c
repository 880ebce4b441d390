/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include "base/buf.h"
#include "store/object.h"

/* Objects without a loop: nothing damaged is ever visible at a destination, and errors name object and path. */

static struct testroot t;
static const char *objects;

static int
setup(void **state unused_arg)
{
	testroot_new(&t);
	objects = t.root.objects;
	return 0;
}

static int
teardown(void **state unused_arg)
{
	testroot_free(&t);
	return 0;
}

static void
put(const char *text, struct digest *d)
{
	assert_ok(object_put_bytes(objects, text, strlen(text), true, d));
}

static char *
error_of(const struct digest *d, const char *what)
{
	char name[DIGEST_STR + 1], path[4096];

	digest_str(d, name);
	object_path(objects, d, path, sizeof path);
	return xasprintf("object %s: %s (at %s)", name, what, path);
}

static void
damage(const struct digest *d)
{
	char path[4096];

	object_path(objects, d, path, sizeof path);
	overwrite_file(path, "damaged");
}

static void
assert_tmp_empty(void)
{
	char *tmp = xasprintf("%s/tmp", objects);

	assert_int_equal(rmdir(tmp), 0);
	assert_int_equal(mkdir(tmp, 0700), 0);
	free(tmp);
}

static void
assert_file(const char *path, const char *want)
{
	struct buf got = BUF_INIT;

	assert_ok(buf_read_file(&got, path, 1 << 20));
	assert_string_equal(buf_str(&got), want);
	buf_release(&got);
}

static void
test_put(void **state unused_arg)
{
	char path[4096];
	struct digest d, want;
	struct stat st;
	uint64_t size;

	put("hello", &d);
	sha256_of("hello", 5, &want);
	assert_true(digest_equal(&d, &want));
	object_path(objects, &d, path, sizeof path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_ok(object_stat(objects, &d, &size, NULL));
	assert_int_equal(size, 5);
	assert_ok(object_verify(objects, &d));
	put("hello", &d);
	assert_tmp_empty();
}

/* What is there and whole stays, and nothing is written; what is damaged is replaced, whatever its size. */
static void
test_put_again(void **state unused_arg)
{
	struct stat before, after;
	struct digest d;
	char path[4096];

	put("whole..", &d);
	object_path(objects, &d, path, sizeof path);
	assert_int_equal(stat(path, &before), 0);
	put("whole..", &d);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	overwrite_file(path, "damaged");
	put("whole..", &d);
	assert_ok(object_verify(objects, &d));
	overwrite_file(path, "short");
	put("whole..", &d);
	assert_ok(object_verify(objects, &d));
	assert_tmp_empty();
}

static void
test_missing(void **state unused_arg)
{
	struct digest d;
	uint64_t size;
	char *want, *dest = xasprintf("%s/out", t.dir);
	int fd;

	sha256_of("never put", 9, &d);
	want = error_of(&d, "missing");
	assert_err(object_stat(objects, &d, &size, NULL), want);
	assert_err(object_open(objects, &d, &fd, NULL), want);
	assert_err(object_verify(objects, &d), want);
	assert_err(object_copy_path(objects, &d, dest, 0644), want);
	assert_int_equal(access(dest, F_OK), -1);
	free(want);
	free(dest);
}

static void
test_damaged(void **state unused_arg)
{
	char *want, *dest = xasprintf("%s/out", t.dir), *pipe_out;
	struct digest d;
	int fd;

	put("precious", &d);
	damage(&d);
	want = error_of(&d, "damaged");
	assert_err(object_verify(objects, &d), want);
	write_file(dest, "before", 6);
	assert_err(object_copy_path(objects, &d, dest, 0644), want);
	assert_file(dest, "before");
	pipe_out = xasprintf("%s/pipe", t.dir);
	fd = open(pipe_out, O_RDWR | O_CREAT, 0600);
	assert_err(object_copy_fd(objects, &d, fd, "stdout"), want);
	close(fd);
	assert_file(pipe_out, "");	/* not one byte of it */
	put("precious", &d);		/* putting it again mends it */
	assert_ok(object_verify(objects, &d));
	free(pipe_out);
	free(want);
	free(dest);
}

static void
test_not_a_file(void **state unused_arg)
{
	struct digest d;
	char path[4096], *want;
	uint64_t size;

	put("link", &d);
	object_path(objects, &d, path, sizeof path);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	want = error_of(&d, "damaged");
	assert_err(object_stat(objects, &d, &size, NULL), want);
	free(want);
}

static void
test_copy(void **state unused_arg)
{
	char *dest = xasprintf("%s/out", t.dir), *nowhere = xasprintf("%s/no/out", t.dir), *want;
	struct digest d;
	struct stat st;
	int fd;

	put("copied", &d);
	umask(022);
	assert_ok(object_copy_path(objects, &d, dest, 0755));
	assert_file(dest, "copied");
	assert_int_equal(stat(dest, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	want = xasprintf("create %s: No such file or directory", nowhere);
	assert_err(object_copy_path(objects, &d, nowhere, 0644), want);
	fd = open(dest, O_WRONLY | O_TRUNC);
	assert_ok(object_copy_fd(objects, &d, fd, dest));
	close(fd);
	assert_file(dest, "copied");
	free(want);
	free(nowhere);
	free(dest);
}

static void
test_put_fd(void **state unused_arg)
{
	char *src = xasprintf("%s/src", t.dir), *want, name[DIGEST_STR + 1];
	struct digest d, other;
	uint64_t size;
	int fd;

	write_file(src, "from a file", 11);
	fd = open(src, O_RDONLY);
	assert_ok(object_put_fd(objects, fd, src, NULL, &d, &size));
	assert_int_equal(size, 11);
	assert_ok(object_verify(objects, &d));
	sha256_of("another", 7, &other);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	digest_str(&other, name);
	want = xasprintf("%s does not have the digest %s", src, name);
	assert_err(object_put_fd(objects, fd, src, &other, &d, &size), want);
	close(fd);
	assert_tmp_empty();
	free(want);
	free(src);
}

static void
test_quarantine(void **state unused_arg)
{
	struct digest d;
	char *want;

	put("suspect", &d);
	assert_ok(object_quarantine(objects, &d));
	want = error_of(&d, "missing");
	assert_err(object_verify(objects, &d), want);
	assert_err(object_quarantine(objects, &d), want);
	free(want);
}

/* What a writer that was killed left goes; what one is writing stays, also when it is sealed and about to be renamed. */
static void
test_tmp_sweep(void **state unused_arg)
{
	const struct timespec sealed[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = OBJECT_MTIME } };
	char *path;
	int fd;

	assert_ok(object_tmp(objects, &fd, &path));
	assert_int_equal(futimens(fd, sealed), 0);
	close(fd);
	object_tmp_sweep(objects, time(NULL) - 60);
	assert_int_equal(access(path, F_OK), 0);
	object_tmp_sweep(objects, time(NULL) + 60);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
}

static void
test_full_disk(void **state unused_arg)
{
	char *big = xcalloc(1, 1 << 20), *want, *path;
	struct digest d;
	struct root r;

	if (!tmpfs_mount(t.root.path, "512k")) {
		free(big);
		skip();
	}
	path = xasprintf("%s/r", t.root.path);
	assert_ok(root_open(path, NULL, true, &r));
	want = xasprintf("write %s: No space left on device", r.objects);
	assert_err(object_put_bytes(r.objects, big, 1 << 20, false, &d), want);
	assert_ok(object_put_bytes(r.objects, "small", 5, true, &d));	/* nothing was left behind */
	assert_ok(object_verify(r.objects, &d));
	root_release(&r);
	tmpfs_umount(t.root.path);
	free(path);
	free(want);
	free(big);
}

/* A folder's stamp stays while nothing leaves it, and tells when something has; of one that has changed just now there is none. */
static void
test_stamps(void **state unused_arg)
{
	uint64_t one[OBJECT_PARTS], two[OBJECT_PARTS];
	char path[4096], *away = xasprintf("%s/away", t.root.path);
	int dir = open(objects, O_PATH | O_DIRECTORY | O_CLOEXEC);
	time_t now = time(NULL);
	struct digest d;
	unsigned part;

	put("stamped", &d);
	part = d.b[0];
	object_path(objects, &d, path, sizeof path);
	object_stamps(dir, 5, now, one);
	assert_int_equal(one[part], 0);
	assert_int_equal(one[part ^ 1], 0);	/* it is not even there */
	object_stamps(dir, 5, now + 60, one);
	object_stamps(dir, 5, now + 90, two);
	assert_true(one[part] != 0 && one[part] == two[part]);
	object_stamps(dir, 6, now + 90, two);	/* of another boot */
	assert_true(two[part] != 0 && one[part] != two[part]);
	memcpy(two, one, sizeof two);
	for (int i = 0; i < 100000 && one[part] == two[part]; i++) {	/* until the clock of the files has gone on */
		assert_int_equal(rename(path, away), 0);
		assert_int_equal(rename(away, path), 0);
		object_stamps(dir, 5, now + 90, two);
	}
	assert_true(two[part] != 0 && one[part] != two[part]);
	object_stamps(dir, 5, now - 60, two);	/* the clock was set back: it has changed in what is to come */
	assert_int_equal(two[part], 0);
	close(dir);
	free(away);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_put, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stamps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_fd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quarantine, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tmp_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
