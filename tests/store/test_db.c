/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/storetest.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "store/db_client.h"
#include "store/db_env.h"
#include "store/db_mark.h"
#include "store/db_read.h"
#include "store/db_writer.h"
#include "store/sock.h"

/* The writer of the databases, as a real process: batches, deaths at each crash point, a full disk, bad clients. */

#define FLUSH_MS 20000

static void
put(struct db_client *c, int sub, const char *key, const char *value)
{
	db_client_put(c, (enum db_sub)sub, key, strlen(key), value, strlen(value));
}

static void
test_put_get_delete(void **state unused_arg)
{
	struct testroot t;
	struct db_client *c;
	pid_t pid;

	testroot_new(&t);
	assert_db(&t.root, DB_ASSOC, "k", "");	/* before there is a database */
	pid = writer_start(&t.root, NULL);
	c = db_client_new(t.root.keeper);
	put(c, DB_ASSOC, "k", "v1");
	put(c, DB_ASSOC, "k", "v2");
	put(c, DB_META, "k", "m");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_ASSOC, "k", "v2");
	assert_db(&t.root, DB_META, "k", "m");
	db_client_delete(c, DB_ASSOC, "k", 1);
	db_client_delete(c, DB_ASSOC, "never there", 11);
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_ASSOC, "k", "");
	assert_db(&t.root, DB_META, "k", "m");
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	assert_false(db_mark_is_dirty(t.root.db));
	assert_db(&t.root, DB_META, "k", "m");
	testroot_free(&t);
}

/* Values on both sides of the limit between packet and descriptor. */
static void
test_long_values(void **state unused_arg)
{
	static const size_t lens[] = { DB_INLINE_MAX - 1, DB_INLINE_MAX, DB_INLINE_MAX + 1, 5u << 20 };
	struct testroot t;
	struct db_client *c;
	struct db_read *r;
	struct buf got = BUF_INIT;
	bool found;
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, NULL);
	c = db_client_new(t.root.keeper);
	r = db_read_open(t.root.db);
	for (size_t i = 0; i < nitems(lens); i++) {
		char *v = xmalloc(lens[i]);

		memset(v, 'a' + (int)i, lens[i]);
		db_client_put(c, DB_ASSOC, &i, sizeof i, v, lens[i]);
		assert_ok(db_client_flush(c, FLUSH_MS));
		buf_clear(&got);
		assert_ok(db_read_get(r, DB_ASSOC, &i, sizeof i, &got, &found));
		assert_true(found);
		assert_int_equal(got.len, lens[i]);
		assert_memory_equal(got.p, v, lens[i]);
		free(v);
	}
	buf_release(&got);
	db_read_close(r);
	db_client_free(c);
	writer_kill(pid);
	testroot_free(&t);
}

struct walk {
	struct buf keys;
	int	   left;
};

static bool
walk_cb(const void *key, size_t klen, const void *value unused_arg, size_t vlen unused_arg, void *arg)
{
	struct walk *w = arg;

	buf_add(&w->keys, key, klen);
	buf_addch(&w->keys, ' ');
	return --w->left > 0;
}

static void
test_each(void **state unused_arg)
{
	struct walk all = { BUF_INIT, 99 }, some = { BUF_INIT, 2 };
	struct testroot t;
	struct db_client *c;
	struct db_read *r;
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, NULL);
	c = db_client_new(t.root.keeper);
	put(c, DB_META, "b", "1");
	put(c, DB_META, "c", "1");
	put(c, DB_META, "a", "1");
	assert_ok(db_client_flush(c, FLUSH_MS));
	r = db_read_open(t.root.db);
	assert_ok(db_read_each(r, DB_META, NULL, 0, walk_cb, &all));
	assert_string_equal(buf_str(&all.keys), "a b c ");
	assert_ok(db_read_each(r, DB_META, "aa", 2, walk_cb, &some));
	assert_string_equal(buf_str(&some.keys), "b c ");
	buf_release(&all.keys);
	buf_release(&some.keys);
	db_read_close(r);
	db_client_free(c);
	writer_kill(pid);
	testroot_free(&t);
}

static void
test_two_clients(void **state unused_arg)
{
	struct testroot t;
	struct db_client *a, *b;
	char key[16];
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, NULL);
	a = db_client_new(t.root.keeper);
	b = db_client_new(t.root.keeper);
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof key, "a%d", i);
		put(a, DB_ASSOC, key, key);
		snprintf(key, sizeof key, "b%d", i);
		put(b, DB_ASSOC, key, key);
	}
	assert_ok(db_client_flush(b, FLUSH_MS));
	assert_ok(db_client_flush(a, FLUSH_MS));
	for (int i = 0; i < 3000; i += 101) {
		snprintf(key, sizeof key, "a%d", i);
		assert_db(&t.root, DB_ASSOC, key, key);
		snprintf(key, sizeof key, "b%d", i);
		assert_db(&t.root, DB_ASSOC, key, key);
	}
	db_client_free(a);
	db_client_free(b);
	writer_kill(pid);
	testroot_free(&t);
}

/* Killed at each step, on the second passage: what was acknowledged before is there, what was not is sent again. */
static void
kill_at(const char *point)
{
	char *crash = xasprintf("%s:2", point);
	struct testroot t;
	struct db_client *c;
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, &(struct writer_args){ .crash = crash });
	c = db_client_new(t.root.keeper);
	put(c, DB_ASSOC, "first", "1");
	assert_ok(db_client_flush(c, FLUSH_MS));
	put(c, DB_ASSOC, "second", "2");
	put(c, DB_ASSOC, "first", "3");
	writer_wait_killed(pid);
	assert_true(db_mark_is_dirty(t.root.db));
	pid = writer_start(&t.root, NULL);
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_ASSOC, "second", "2");
	assert_db(&t.root, DB_ASSOC, "first", "3");
	assert_false(db_mark_wants_rebuild(t.root.db));
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	assert_false(db_mark_is_dirty(t.root.db));
	testroot_free(&t);
	free(crash);
}

static void
test_kills(void **state unused_arg)
{
	kill_at("store-before-objects-sync");
	kill_at("store-before-db-commit");
	kill_at("store-after-db-commit");
	kill_at("store-before-db-answer");
}

/* Killed between the sync and the lifting of the mark: the mark stays, the data too. */
static void
test_kill_before_clean(void **state unused_arg)
{
	struct testroot t;
	struct db_client *c;
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, &(struct writer_args){ .crash = "store-before-db-clean", .idle_ms = 20 });
	c = db_client_new(t.root.keeper);
	put(c, DB_META, "k", "v");
	err_free(db_client_flush(c, FLUSH_MS));
	writer_wait_killed(pid);
	assert_true(db_mark_is_dirty(t.root.db));
	pid = writer_start(&t.root, NULL);
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_META, "k", "v");
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	testroot_free(&t);
}

/* Dirty under another boot: dropped, and `rebuild` says so. Clean under whatever boot: kept. */
static void
test_power_cut(void **state unused_arg)
{
	struct testroot t;
	struct db_client *c;
	char *dirty;
	pid_t pid;

	testroot_new(&t);
	dirty = xasprintf("%s/%s", t.root.db, DB_DIRTY);
	pid = writer_start(&t.root, NULL);
	c = db_client_new(t.root.keeper);
	put(c, DB_META, "k", "v");
	assert_ok(db_client_flush(c, FLUSH_MS));
	writer_kill(pid);
	overwrite_file(dirty, "another boot\n");
	assert_true(db_mark_is_stale(t.root.db));
	assert_db(&t.root, DB_META, "k", "");	/* a reader does not trust it either */
	pid = writer_start(&t.root, NULL);
	assert_db(&t.root, DB_META, "k", "");
	assert_true(db_mark_wants_rebuild(t.root.db));
	put(c, DB_META, "k", "w");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_META, "k", "w");
	assert_ok(db_mark_rebuilt(t.root.db));
	assert_false(db_mark_wants_rebuild(t.root.db));
	assert_int_equal(writer_stop(pid), 0);
	assert_false(db_mark_is_stale(t.root.db));
	assert_db(&t.root, DB_META, "k", "w");
	db_client_free(c);
	free(dirty);
	testroot_free(&t);
}

static void
test_damaged_file(void **state unused_arg)
{
	char *data, *garbage = xcalloc(1, 100000);
	struct testroot t;
	struct db_client *c;
	pid_t pid;

	testroot_new(&t);
	data = xasprintf("%s/data.mdb", t.root.db);
	memset(garbage, 0x5a, 100000);
	write_file(data, garbage, 100000);
	pid = writer_start(&t.root, NULL);
	assert_true(db_mark_wants_rebuild(t.root.db));
	c = db_client_new(t.root.keeper);
	put(c, DB_META, "k", "v");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_META, "k", "v");
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	free(data);
	free(garbage);
	testroot_free(&t);
}

/* A process of its own, which a missing page would kill: reads all there is, then writes. */
static void
use_short_file(const char *dir, off_t length, off_t whole)
{
	struct db_req req = { .op = DB_PUT, .sub = DB_META, .key = "k", .klen = 1, .value = "v", .vlen = 1 };
	const struct db_req *reqs[] = { &req };
	struct db_read *r = db_read_open(dir);
	struct db_env *e = db_env_new(dir, 0);
	struct buf got = BUF_INIT;
	struct err *err;
	bool found = false;

	/* An empty file is no database yet, and what lacks less than a page may lack nothing. */
	if (length > 0 && length <= whole - 4096 && !db_read_damaged(dir))
		_exit(2);
	for (int i = 0; i < 200; i++)
		err_free(db_read_get(r, DB_ASSOC, &i, sizeof i, &got, &found));
	db_read_close(r);
	if ((err = db_env_commit(e, reqs, 1)) != NULL)
		_exit(3);
	if (length > 0 && length <= whole - 4096 && !db_mark_wants_rebuild(dir))
		_exit(4);
	db_env_free(e);
	_exit(0);
}

/* Cut short at every length: never a crash, and what is not whole is dropped. */
static void
test_short_file(void **state unused_arg)
{
	char *data, *v = xcalloc(1, 20000), *lock;
	struct buf whole = BUF_INIT;
	struct testroot t;
	struct db_client *c;
	pid_t pid;
	int status;

	testroot_new(&t);
	data = xasprintf("%s/data.mdb", t.root.db);
	lock = xasprintf("%s/lock.mdb", t.root.db);
	pid = writer_start(&t.root, NULL);
	c = db_client_new(t.root.keeper);
	for (int i = 0; i < 200; i++)
		db_client_put(c, DB_ASSOC, &i, sizeof i, v, i % 20 == 0 ? 20000 : 300);
	assert_ok(db_client_flush(c, FLUSH_MS));
	for (int i = 0; i < 200; i += 3)
		db_client_delete(c, DB_ASSOC, &i, sizeof i);
	assert_ok(db_client_flush(c, FLUSH_MS));
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	assert_ok(buf_read_file(&whole, data, 64 << 20));
	assert_false(db_read_damaged(t.root.db));
	for (size_t n = 0; n < whole.len; n += n < 3 * 4096 ? 509 : 4096 + 1021) {
		unlink(lock);
		err_free(db_mark_rebuilt(t.root.db));
		write_file(data, whole.p, n);
		pid = fork();
		if (pid == 0)
			use_short_file(t.root.db, (off_t)n, (off_t)whole.len);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("%zu of %zu bytes: wait status 0x%x", n, whole.len, (unsigned)status);
	}
	buf_release(&whole);
	free(data);
	free(lock);
	free(v);
	testroot_free(&t);
}

/* A map that is too small grows, and a reader that has it open follows. */
static void
test_map_grows(void **state unused_arg)
{
	struct testroot t;
	struct db_client *c;
	struct db_read *r;
	struct buf got = BUF_INIT;
	char *v = xcalloc(1, 100000);
	bool found;
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, &(struct writer_args){ .map_size = 1 << 20 });
	c = db_client_new(t.root.keeper);
	r = db_read_open(t.root.db);
	put(c, DB_ASSOC, "small", "s");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_ok(db_read_get(r, DB_ASSOC, "small", 5, &got, &found));
	for (int i = 0; i < 60; i++)
		db_client_put(c, DB_ASSOC, &i, sizeof i, v, 100000);
	assert_ok(db_client_flush(c, FLUSH_MS));
	for (int i = 0; i < 60; i++) {
		buf_clear(&got);
		assert_ok(db_read_get(r, DB_ASSOC, &i, sizeof i, &got, &found));
		assert_true(found && got.len == 100000);
	}
	buf_release(&got);
	free(v);
	db_read_close(r);
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	testroot_free(&t);
}

/* The disk is full: the put is refused and says why; with room again, the next one goes through. */
static void
test_full_disk(void **state unused_arg)
{
	struct testroot t;
	struct db_client *c;
	char *v = xcalloc(1, 3 << 20), *want, *root;
	struct root inner;
	struct err *err;
	pid_t pid;

	testroot_new(&t);
	if (!tmpfs_mount(t.root.path, "2m")) {
		testroot_free(&t);
		free(v);
		skip();
	}
	root = xasprintf("%s/inner", t.root.path);
	assert_ok(root_open(root, NULL, true, &inner));
	pid = writer_start(&inner, NULL);
	c = db_client_new(inner.keeper);
	put(c, DB_META, "k", "v");
	assert_ok(db_client_flush(c, FLUSH_MS));
	db_client_put(c, DB_META, "big", 3, v, 3 << 20);
	err = db_client_flush(c, FLUSH_MS);
	assert_true(err_is(err, ERR_TEMPORARY));
	want = xasprintf("write %s: No space left on device", inner.db);
	assert_err(err, want);
	free(want);
	assert_db(&inner, DB_META, "k", "v");
	assert_db(&inner, DB_META, "big", "");
	put(c, DB_META, "k", "w");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&inner, DB_META, "k", "w");
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	tmpfs_umount(t.root.path);
	root_release(&inner);
	free(root);
	free(v);
	testroot_free(&t);
}

/* A client that talks nonsense is dropped; the others go on. */
static void
test_bad_client(void **state unused_arg)
{
	static const char nonsense[] = "this is not a request, but long enough to be one";
	struct testroot t;
	struct db_client *c;
	char byte;
	int fd;
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, NULL);
	c = db_client_new(t.root.keeper);
	put(c, DB_META, "a", "1");
	assert_ok(unix_connect(t.root.keeper, DB_SOCKET, SOCK_SEQPACKET, false, &fd));
	assert_int_equal(send(fd, nonsense, sizeof nonsense, MSG_NOSIGNAL), sizeof nonsense);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	put(c, DB_META, "b", "2");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_META, "a", "1");
	assert_db(&t.root, DB_META, "b", "2");
	db_client_free(c);
	assert_int_equal(writer_stop(pid), 0);
	testroot_free(&t);
}

/* A long value whose descriptor does not come, or is shorter than announced. */
static void
test_bad_descriptor(void **state unused_arg)
{
	struct db_req r = { DB_PUT, DB_META, 1, "k", NULL, 1, DB_INLINE_MAX + 1 };
	struct buf packet = BUF_INIT;
	struct testroot t;
	char byte;
	int fd;
	pid_t pid;

	testroot_new(&t);
	pid = writer_start(&t.root, NULL);
	db_req_encode(&r, &packet);
	assert_ok(unix_connect(t.root.keeper, DB_SOCKET, SOCK_SEQPACKET, false, &fd));
	assert_int_equal(send(fd, packet.p, packet.len, MSG_NOSIGNAL), (ssize_t)packet.len);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	buf_release(&packet);
	assert_int_equal(writer_stop(pid), 0);
	testroot_free(&t);
}

/* A second writer waits for the first; no lifeline is open any more: it ends. */
static void
test_lifeline(void **state unused_arg)
{
	struct testroot t;
	struct db_client *c;
	pid_t first, second;
	int life[2], status;

	testroot_new(&t);
	first = writer_start(&t.root, NULL);
	c = db_client_new(t.root.keeper);
	put(c, DB_META, "k", "v");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_int_equal(pipe2(life, O_CLOEXEC), 0);
	second = fork();
	if (second == 0) {
		close(life[1]);
		_exit(db_writer_main(&t.root, life[0]));
	}
	close(life[0]);
	close(life[1]);	/* the keeper of the second is gone: it gives up waiting for the lock */
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	put(c, DB_META, "k", "w");
	assert_ok(db_client_flush(c, FLUSH_MS));
	assert_db(&t.root, DB_META, "k", "w");
	db_client_free(c);
	assert_int_equal(writer_stop(first), 0);
	testroot_free(&t);
}

static void
test_no_writer(void **state unused_arg)
{
	struct testroot t;
	struct db_client *c;
	char *want;

	testroot_new(&t);
	c = db_client_new(t.root.keeper);
	assert_ok(db_client_flush(c, 0));	/* nothing to wait for */
	put(c, DB_META, "k", "v");
	want = xasprintf("write %s/db: no writer answers", t.root.keeper);
	assert_err(db_client_flush(c, 50), want);
	free(want);
	db_client_free(c);
	testroot_free(&t);
}

static void
test_protocol(void **state unused_arg)
{
	struct db_req r = { DB_PUT, DB_ASSOC, 7, "key", "value", 3, 5 }, got;
	struct db_reply ok = { 9, NULL }, bad = { 10, err_msg(ERR_TEMPORARY, "write: full") }, reply;
	struct buf b = BUF_INIT;

	db_req_encode(&r, &b);
	assert_ok(db_req_decode(b.p, b.len, &got));
	assert_int_equal(got.number, 7);
	assert_int_equal(got.klen, 3);
	assert_memory_equal(got.value, "value", 5);
	for (size_t n = 0; n < b.len; n++) {
		struct err *err = db_req_decode(b.p, n, &got);

		assert_non_null(err);
		err_free(err);
	}
	buf_clear(&b);
	db_reply_encode(&ok, &b);
	assert_ok(db_reply_decode(b.p, b.len, &reply));
	assert_int_equal(reply.number, 9);
	assert_null(reply.err);
	buf_clear(&b);
	db_reply_encode(&bad, &b);
	assert_ok(db_reply_decode(b.p, b.len, &reply));
	assert_true(err_is(reply.err, ERR_TEMPORARY));
	assert_err(reply.err, "write: full");
	assert_err(db_reply_decode(b.p, 20, &reply), "a reply with half an error");
	err_free(bad.err);
	buf_release(&b);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocol),
		cmocka_unit_test(test_put_get_delete),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_two_clients),
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_kill_before_clean),
		cmocka_unit_test(test_power_cut),
		cmocka_unit_test(test_damaged_file),
		cmocka_unit_test(test_short_file),
		cmocka_unit_test(test_map_grows),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_bad_client),
		cmocka_unit_test(test_bad_descriptor),
		cmocka_unit_test(test_lifeline),
		cmocka_unit_test(test_no_writer),
	};
	int status;

	if (writer_child_main(argc, argv, &status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
