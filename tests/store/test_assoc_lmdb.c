/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include "base/buf.h"
#include "store/assoc_lmdb.h"
#include "store/db_mark.h"
#include "store/db_proto.h"
#include "store/db_read.h"
#include "tests/iface/conform_assoc.h"
#include "tests/loop/torture.h"

/* The assoc of a root with a real writer: the suite of all assocs, deaths of the writer, a full disk, nobody there. */

static struct testroot t;
static struct loop *loop;
static struct assoc *assoc;
static pid_t writer;

struct answer {
	bool	    done;
	struct err *err;
};

static void
done_cb(struct err *err, void *arg)
{
	struct answer *a = arg;

	a->err = err;
	a->done = true;
}

static int
setup(void **state unused_arg)
{
	testroot_new(&t);
	loop = loop_new(NULL);
	assoc = assoc_lmdb_new(loop, &t.root);
	test_limit(60);
	return 0;
}

static int
teardown(void **state unused_arg)
{
	assoc_free(assoc);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	testroot_free(&t);
	alarm(0);
	return 0;
}

static struct assoc *
make_assoc(struct loop *l, void *arg unused_arg)
{
	testroot_new(&t);
	writer = writer_start(&t.root, NULL);
	return assoc_lmdb_new(l, &t.root);
}

static void
end_assoc(void *arg unused_arg)
{
	assert_int_equal(writer_stop(writer), 0);
	testroot_free(&t);
}

static void
test_conform(void **state unused_arg)
{
	conform_assoc(&(struct conform_assoc){ make_assoc, end_assoc, true, NULL });
}

static void
key_of(int i, struct digest *d)
{
	sha256_of(&i, sizeof i, d);
}

static void
put_n(int from, int n)
{
	struct answer ignored[64];
	struct digest k;

	assert_true(n <= 64);
	for (int i = 0; i < n; i++) {
		struct op *op;

		key_of(from + i, &k);
		op = assoc_put(assoc, ASSOC_FILESET, &k, &k, sizeof k, done_cb, &ignored[i]);
		op_cancel(&op);		/* nobody waits for it: flush does */
	}
}

static void
assert_all(int n)
{
	struct buf got = BUF_INIT;
	struct digest k;

	for (int i = 0; i < n; i++) {
		key_of(i, &k);
		buf_clear(&got);
		assert_ok(sync_assoc_get(assoc, ASSOC_FILESET, &k, &got));
		assert_int_equal(got.len, sizeof k);
		assert_memory_equal(got.p, &k, sizeof k);
	}
	buf_release(&got);
}

static void
flush(void)
{
	struct answer a = { false };

	assoc_lmdb_flush_start(assoc, done_cb, &a);
	test_until(loop, &a.done);
	assert_ok(a.err);
	assert_int_equal(assoc_lmdb_npending(assoc), 0);
}

static void
test_flush(void **state unused_arg)
{
	writer = writer_start(&t.root, NULL);
	flush();	/* nothing to wait for */
	put_n(0, 50);
	assert_int_equal(assoc_lmdb_npending(assoc), 50);
	flush();
	assert_all(50);
	assert_int_equal(writer_stop(writer), 0);
}

static bool
there(int i)
{
	struct digest k;
	const void *p;
	size_t len;

	key_of(i, &k);
	assert_true(assoc_peek(assoc, ASSOC_FILESET, &k, &p, &len));
	assert_true(p == NULL || (len == sizeof k && memcmp(p, &k, len) == 0));
	return p != NULL;
}

static void
there_cb(struct err *err, void *arg)
{
	*(bool *)arg = there(0);
	assert_ok(err);
}

/* What a look holds for the others of its turn never hides a put from whoever is told of it. */
static void
test_peek(void **state unused_arg)
{
	bool seen = false;
	struct digest k;

	assert_false(there(0));		/* no database yet */
	writer = writer_start(&t.root, NULL);
	key_of(0, &k);
	assoc_put(assoc, ASSOC_FILESET, &k, &k, sizeof k, there_cb, &seen);
	while (assoc_lmdb_npending(assoc) > 0) {
		assert_true(loop_turn(loop, true));
		there(1);
	}
	loop_turn(loop, false);
	assert_true(seen);
	put_n(1, 40);
	flush();
	for (int i = 0; i < 41; i++)
		assert_true(there(i));
	assert_false(there(41));
	loop_turn(loop, false);
	assert_int_equal(loop_nlive(loop), 0);	/* nothing is held any more */
	assert_int_equal(writer_stop(writer), 0);
}

/* The writer dies at each of its steps with puts under way, and another one comes: none is lost. */
static void
kill_at(const char *point)
{
	struct answer a = { false };

	writer = writer_start(&t.root, &(struct writer_args){ .crash = point });
	put_n(0, 20);
	assoc_lmdb_flush_start(assoc, done_cb, &a);
	for (int i = 0; i < 10; i++)
		loop_turn(loop, false);
	writer_wait_killed(writer);
	assert_false(a.done);
	put_n(20, 10);
	writer = writer_start(&t.root, NULL);
	test_until(loop, &a.done);
	assert_ok(a.err);
	flush();
	assert_all(30);
	assert_int_equal(writer_stop(writer), 0);
}

static void
test_kill_before_sync(void **state unused_arg)
{
	kill_at("store-before-objects-sync");
}

static void
test_kill_before_commit(void **state unused_arg)
{
	kill_at("store-before-db-commit");
}

static void
test_kill_after_commit(void **state unused_arg)
{
	kill_at("store-after-db-commit");
}

static void
test_kill_before_answer(void **state unused_arg)
{
	kill_at("store-before-db-answer");
}

/* The next writer drops what another boot left: gets must not read the old file any longer. */
static void
test_dropped_under_us(void **state unused_arg)
{
	char *dirty = xasprintf("%s/%s", t.root.db, DB_DIRTY);
	struct buf got = BUF_INIT;
	struct err *err;
	struct digest k;

	writer = writer_start(&t.root, NULL);
	put_n(0, 1);
	flush();
	assert_all(1);
	writer_kill(writer);
	overwrite_file(dirty, "another boot\n");
	writer = writer_start(&t.root, NULL);
	put_n(7, 1);
	flush();
	key_of(0, &k);
	err = sync_assoc_get(assoc, ASSOC_FILESET, &k, &got);
	assert_true(err_is(err, ERR_NOT_EXIST));
	err_free(err);
	key_of(7, &k);
	assert_ok(sync_assoc_get(assoc, ASSOC_FILESET, &k, &got));
	buf_release(&got);
	assert_int_equal(writer_stop(writer), 0);
	free(dirty);
}

static void
count_down(void *arg)
{
	++*(int *)arg;
}

/* On a clock that can be moved: nobody ever listens. */
static void
test_patience(void **state unused_arg)
{
	struct clock *clock = clock_virtual_new(0);
	struct loop *l = loop_new(clock);
	struct testroot r;
	struct answer put = { false }, fl = { false };
	struct assoc *a;
	struct digest k;
	int downs = 0;
	char *want;

	testroot_new(&r);
	a = assoc_lmdb_new(l, &r.root);
	assoc_lmdb_on_down(a, count_down, &downs);
	key_of(1, &k);
	assoc_put(a, ASSOC_FILESET, &k, "v", 1, done_cb, &put);
	assoc_lmdb_flush_start(a, done_cb, &fl);
	test_until(l, &put.done);
	test_until(l, &fl.done);
	want = xasprintf("assoc %s: its writer (%s/db) does not answer", r.root.db, r.root.keeper);
	assert_true(err_is(put.err, ERR_UNAVAILABLE));
	assert_err(put.err, want);
	assert_err(fl.err, want);
	assert_in_range(downs, 40, 70);
	assert_in_range(loop_now(l), SECONDS(60), SECONDS(65));
	assoc_free(a);
	loop_free(l);
	clock_virtual_free(clock);
	free(want);
	testroot_free(&r);
}

static void
start_writer(void *arg)
{
	if (++*(int *)arg == 1)
		writer = writer_start(&t.root, NULL);
}

/* The owner is told that nobody listens, and starts a keeper. */
static void
test_owner_starts_it(void **state unused_arg)
{
	int downs = 0;

	assoc_lmdb_on_down(assoc, start_writer, &downs);
	put_n(0, 3);
	flush();
	assert_int_equal(downs, 1);
	assert_all(3);
	assert_int_equal(writer_stop(writer), 0);
}

static void
test_meta(void **state unused_arg)
{
	struct answer a = { false };
	struct buf got = BUF_INIT;
	bool found;

	writer = writer_start(&t.root, NULL);
	assoc_lmdb_meta_put(assoc, "indexed", 7, "17", 2, done_cb, &a);
	test_until(loop, &a.done);
	assert_ok(a.err);
	assert_ok(db_read_get(assoc_lmdb_reader(assoc), DB_META, "indexed", 7, &got, &found));
	assert_true(found);
	assert_string_equal(buf_str(&got), "17");
	buf_release(&got);
	assert_int_equal(writer_stop(writer), 0);
}

static void
test_full_disk(void **state unused_arg)
{
	char *big = xcalloc(1, 3 << 20), *path, *want;
	struct answer put = { false }, fl = { false };
	struct assoc *a;
	struct root inner;
	struct digest k;

	if (!tmpfs_mount(t.root.path, "2m")) {
		free(big);
		skip();
	}
	path = xasprintf("%s/inner", t.root.path);
	assert_ok(root_open(path, NULL, true, &inner));
	writer = writer_start(&inner, NULL);
	a = assoc_lmdb_new(loop, &inner);
	key_of(1, &k);
	assoc_put(a, ASSOC_FILESET, &k, big, 3 << 20, done_cb, &put);
	assoc_lmdb_flush_start(a, done_cb, &fl);
	test_until(loop, &put.done);
	test_until(loop, &fl.done);
	want = xasprintf("write %s: No space left on device", inner.db);
	assert_true(err_transient(put.err));
	assert_err(put.err, want);
	assert_err(fl.err, want);
	assert_ok(sync_assoc_put(a, ASSOC_FILESET, &k, "small", 5));
	assoc_free(a);
	assert_int_equal(writer_stop(writer), 0);
	tmpfs_umount(t.root.path);
	root_release(&inner);
	free(path);
	free(want);
	free(big);
}

/* ---- torture: cancel a put and a flush at each turn, with a real writer ---- */

struct world {
	struct assoc *assoc;
	struct op    *put, *flush;
	struct torture *t;
};

static void
world_setup(struct torture *tt)
{
	struct world *w = xcalloc(1, sizeof *w);

	w->assoc = make_assoc(tt->loop, NULL);
	tt->world = w;
}

static void
world_flushed(struct err *err, void *arg)
{
	struct torture *tt = arg;

	((struct world *)tt->world)->flush = NULL;
	torture_done(tt, err);
}

static void
world_put(struct err *err, void *arg)
{
	struct torture *tt = arg;
	struct world *w = tt->world;

	w->put = NULL;
	assert_ok(err);
	w->flush = assoc_lmdb_flush_start(w->assoc, world_flushed, tt);
}

static void
world_make(struct torture *tt)
{
	struct world *w = tt->world;
	struct digest k;

	key_of(1, &k);
	w->put = assoc_put(w->assoc, ASSOC_FILESET, &k, "v", 1, world_put, tt);
}

/* A cancelled put is still sent: wait until it is decided, so that the loop can be as it was. */
static void
world_cancel(struct torture *tt)
{
	struct world *w = tt->world;

	op_cancel(&w->put);
	op_cancel(&w->flush);
	while (assoc_lmdb_npending(w->assoc) > 0)
		loop_turn(tt->loop, true);
}

static void
world_teardown(struct torture *tt)
{
	assoc_free(((struct world *)tt->world)->assoc);
	free(tt->world);
	end_assoc(NULL);
}

static void
test_torture(void **state unused_arg)
{
	torture(&(struct torture_spec){
	    .name = "assoc-lmdb",
	    .real_clock = true,
	    .setup = world_setup,
	    .make = world_make,
	    .cancel = world_cancel,
	    .teardown = world_teardown,
	});
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conform),
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill_before_sync, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill_before_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill_after_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill_before_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped_under_us, setup, teardown),
		cmocka_unit_test(test_patience),
		cmocka_unit_test_setup_teardown(test_owner_starts_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meta, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test(test_torture),
	};
	int status;

	if (writer_child_main(argc, argv, &status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
