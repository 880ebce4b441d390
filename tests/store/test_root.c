/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include <sys/mount.h>

/* Opening roots: where they are, what is refused, and in which words. */

static char *dir;

static int
setup(void **state unused_arg)
{
	dir = temp_dir_new();
	unsetenv("WEIR_ROOT");
	unsetenv("XDG_DATA_HOME");
	return 0;
}

static int
teardown(void **state unused_arg)
{
	temp_dir_free(dir);
	return 0;
}

static char *
in_dir(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void
assert_mode(const char *path, unsigned mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void
test_create(void **state unused_arg)
{
	char *path = in_dir("a/b/root"), *want;
	struct root r;
	struct digest d = { { 0xab, 0xcd } };
	char object[4096], *attempt;

	assert_ok(root_open(path, NULL, true, &r));
	assert_string_equal(r.path, path);
	assert_string_equal(r.node, path);
	assert_mode(r.path, 0700);
	assert_mode(r.journal, 0700);
	assert_mode(r.objects, 0700);
	assert_mode(r.execs, 0700);
	assert_mode(r.db, 0700);
	object_path(r.objects, &d, object, sizeof object);
	want = xasprintf("%s/objects/ab/cd%060d", path, 0);
	assert_string_equal(object, want);
	free(want);
	attempt = attempt_path(r.execs, &d, 3);
	want = xasprintf("%s/keeper/execs/abcd%060d/3", path, 0);
	assert_string_equal(attempt, want);
	free(attempt);
	free(want);
	root_release(&r);
	assert_ok(root_open(path, NULL, true, &r));	/* again */
	root_release(&r);
	assert_ok(root_open(path, NULL, false, &r));
	root_release(&r);
	free(path);
}

static void
test_defaults(void **state unused_arg)
{
	char *weir = in_dir("W"), *xdg = in_dir("X"), *home = in_dir("H"), *old = getenv("HOME"), *want;
	struct root r;

	old = old ? xstrdup(old) : NULL;
	setenv("HOME", home, 1);
	assert_ok(root_open(NULL, NULL, true, &r));
	want = in_dir("H/.local/share/weir");
	assert_string_equal(r.path, want);
	free(want);
	root_release(&r);
	setenv("XDG_DATA_HOME", xdg, 1);
	assert_ok(root_open(NULL, NULL, true, &r));
	want = in_dir("X/weir");
	assert_string_equal(r.path, want);
	free(want);
	root_release(&r);
	setenv("WEIR_ROOT", weir, 1);
	assert_ok(root_open(NULL, NULL, true, &r));
	assert_string_equal(r.path, weir);
	root_release(&r);
	unsetenv("WEIR_ROOT");
	unsetenv("XDG_DATA_HOME");
	unsetenv("HOME");
	assert_err(
	    root_open(NULL, NULL, true, &r), "neither WEIR_ROOT nor HOME is set: say where the root is with --root");
	if (old)
		setenv("HOME", old, 1);
	free(old);
	free(weir);
	free(xdg);
	free(home);
}

static void
test_relative_and_links(void **state unused_arg)
{
	char cwd[4096], *real = in_dir("real"), *link = in_dir("link");
	struct root r;

	assert_non_null(getcwd(cwd, sizeof cwd));
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink(real, link), 0);
	assert_int_equal(chdir(dir), 0);
	assert_ok(root_open("link", NULL, true, &r));
	assert_string_equal(r.path, real);	/* one root has one name */
	root_release(&r);
	assert_int_equal(chdir(cwd), 0);
	free(real);
	free(link);
}

static void
test_refusals(void **state unused_arg)
{
	char *none = in_dir("none"), *file = in_dir("file"), *below = in_dir("file/root"), *want;
	struct root r;

	want = xasprintf("there is no root at %s: nothing has run there yet, or choose another with --root", none);
	assert_err(root_open(none, NULL, false, &r), want);
	free(want);
	write_file(file, "x", 1);
	want = xasprintf("root %s is not a directory: choose another with --root", file);
	assert_err(root_open(file, NULL, true, &r), want);
	free(want);
	want = xasprintf("make %s: Not a directory: choose another with --root", below);
	assert_err(root_open(below, NULL, true, &r), want);
	free(want);
	assert_err(root_open("", NULL, true, &r), "the path of the root is empty: choose another with --root");
	free(none);
	free(file);
	free(below);
}

static void
test_foreign_owner(void **state unused_arg)
{
	char *path = in_dir("root"), *want;
	struct root r;

	if (geteuid() != 0) {
		free(path);
		skip();
	}
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chown(path, 4711, 4711), 0);
	want = xasprintf("root %s belongs to uid 4711, not to you (uid 0): choose another with --root", path);
	assert_err(root_open(path, NULL, true, &r), want);
	free(want);
	free(path);
}

static void
test_read_only(void **state unused_arg)
{
	char *path = in_dir("ro"), *below = in_dir("ro/new"), *want;
	struct root r;

	assert_int_equal(mkdir(path, 0700), 0);
	if (!tmpfs_mount(path, "1m") || mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == -1) {
		free(path);
		free(below);
		skip();
	}
	want = xasprintf("root %s cannot be written: Read-only file system: choose another with --root", path);
	assert_err(root_open(path, NULL, true, &r), want);
	free(want);
	assert_ok(root_open(path, NULL, false, &r));	/* reading it is fine */
	root_release(&r);
	want = xasprintf("make %s: Read-only file system: choose another with --root", below);
	assert_err(root_open(below, NULL, true, &r), want);
	free(want);
	tmpfs_umount(path);
	free(path);
	free(below);
}

static void
test_scratch(void **state unused_arg)
{
	char *path = in_dir("root"), *other = in_dir("root2"), *scratch = in_dir("scratch"), *want;
	struct root a, b;

	assert_int_equal(mkdir(scratch, 0700), 0);
	assert_ok(root_open(path, scratch, true, &a));
	assert_ok(root_open(other, scratch, true, &b));
	assert_int_equal(strncmp(a.node, scratch, strlen(scratch)), 0);
	assert_string_not_equal(a.node, b.node);	/* two roots on one scratch */
	assert_mode(a.execs, 0700);
	root_release(&a);
	root_release(&b);
	if (tmpfs_mount(scratch, "1m")) {	/* on another file system */
		assert_ok(root_open(path, scratch, true, &a));
		assert_mode(a.execs, 0700);
		want = xasprintf("scratch %s is not a folder of yours alone: choose another with --scratch", a.node);
		assert_int_equal(chmod(a.node, 0755), 0);
		assert_err(root_open(path, scratch, true, &b), want);
		free(want);
		root_release(&a);
		tmpfs_umount(scratch);
	}
	free(scratch);
	scratch = in_dir("none");
	want = xasprintf("scratch %s: No such file or directory", scratch);
	assert_err(root_open(path, scratch, true, &a), want);
	free(want);
	free(path);
	free(other);
	free(scratch);
}

/* The node's part of a root that hosts share. */
static void
test_network(void **state unused_arg)
{
	char *path = in_dir("net/root"), *net = in_dir("net"), *other = in_dir("net-not/root"), *want, *place, *scratch;
	struct root r, again;

	setenv(ROOT_NETWORK_ENV, net, 1);
	place = xasprintf("/var/tmp/weir-%u/", (unsigned)geteuid());
	want = xasprintf("there is no root at %s: nothing has run there yet, or choose another with --root", path);
	assert_err(root_open(path, NULL, false, &r), want);
	free(want);
	assert_ok(root_open(path, NULL, true, &r));
	assert_string_equal(r.path, path);
	assert_int_equal(strncmp(r.node, place, strlen(place)), 0);
	assert_int_equal(strlen(r.node), strlen(place) + 16);
	assert_mode(r.node, 0700);
	assert_mode(r.execs, 0700);
	assert_int_equal(strncmp(r.objects, path, strlen(path)), 0);
	assert_int_equal(strncmp(r.journal, path, strlen(path)), 0);
	assert_ok(root_open(path, NULL, false, &again));
	assert_string_equal(again.node, r.node);
	root_release(&again);
	/* Somebody else was there before. */
	want = xasprintf("scratch %s is not a folder of yours alone: choose another with --scratch", r.node);
	assert_int_equal(chmod(r.node, 0755), 0);
	assert_err(root_open(path, NULL, false, &again), want);
	assert_err(root_open(path, NULL, true, &again), want);
	free(want);
	want = xasprintf("rm -rf %s", r.node);
	assert_int_equal(system(want), 0);
	free(want);
	root_release(&r);
	(void)rmdir(place);	/* unless it is in use */
	scratch = in_dir("net/scratch");
	want = xasprintf("scratch %s is on a network file system (NFS): choose a local directory with --scratch", scratch);
	assert_err(root_open(path, scratch, true, &r), want);
	free(want);
	assert_ok(root_open(other, NULL, true, &r));	/* its name begins alike */
	assert_string_equal(r.node, other);
	root_release(&r);
	want = xasprintf("root %s is on a network file system (NFS), and so is /var/tmp (NFS): choose a local directory with "
	    "--scratch", path);
	setenv(ROOT_NETWORK_ENV, "/", 1);	/* a host without a disk */
	assert_err(root_open(path, NULL, true, &r), want);
	free(want);
	unsetenv(ROOT_NETWORK_ENV);
	free(scratch);
	free(place);
	free(other);
	free(net);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative_and_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scratch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_network, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
