/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wal.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "tests/check.h"

/*
 * Reading journals: what a scan says is written down as text and compared. A segment is cut at every
 * byte and has every bit flipped: a record is delivered whole and right, or not at all.
 */

static const char *const records[] = { "alpha", "b", "gamma ray" };
static const size_t ends[] = { 13, 22, 39 };	/* offset behind each */

struct seen {
	struct buf text;	/* `OFFSET:PAYLOAD ` per record, `torn OFFSET+SKIPPED ` or `bad …` per damage */
	const char *stop_at;	/* this payload gets an error */
};

static struct err *
record_cb(const struct wal_pos *pos, const char *payload, size_t n, void *arg)
{
	struct seen *s = arg;

	buf_addf(&s->text, "%llu:%.*s ", (unsigned long long)pos->offset, (int)n, payload);
	if (s->stop_at && n == strlen(s->stop_at) && memcmp(payload, s->stop_at, n) == 0)
		return err_msg(ERR_CANCELED, "enough");
	return NULL;
}

static void
damage_cb(const struct wal_pos *pos, enum frame_state state, uint64_t skipped, void *arg)
{
	struct seen *s = arg;

	assert_true(state == FRAME_TORN || state == FRAME_BAD);
	buf_addf(&s->text, "%s %llu+%llu ", state == FRAME_TORN ? "torn" : "bad", (unsigned long long)pos->offset,
	    (unsigned long long)skipped);
}

static void
fill_segment(struct buf *b)
{
	for (size_t i = 0; i < nitems(records); i++)
		frame_add(b, records[i], strlen(records[i]));
}

static void
assert_scan(const char *path, const char *text)
{
	struct seen s = { .text = BUF_INIT };

	assert_ok(wal_scan_file(path, record_cb, damage_cb, &s));
	assert_string_equal(buf_str(&s.text), text);
	buf_release(&s.text);
}

/* The text of a scan that reads n whole records, and then finds `damage` (NULL: a clean end) up to size. */
static char *
expected(size_t n, const char *damage, size_t size)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "%zu:%s ", i ? ends[i - 1] : 0, records[i]);
	if (damage)
		buf_addf(&b, "%s %zu+%zu ", damage, n ? ends[n - 1] : 0, size - (n ? ends[n - 1] : 0));
	return buf_take(&b, NULL);
}

static void
every_cut(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/000001.wal", dir);
	struct buf b = BUF_INIT;

	fill_segment(&b);
	assert_int_equal(b.len, ends[2]);
	for (size_t n = 0; n <= b.len; n++) {
		size_t whole = 0;
		bool clean = n == 0;
		char *text;

		while (whole < nitems(ends) && ends[whole] <= n)
			clean = ends[whole++] == n;
		text = expected(whole, clean ? NULL : "torn", n);
		write_file(path, b.p, n);
		assert_scan(path, text);
		free(text);
	}
	buf_release(&b);
	free(path);
	temp_dir_free(dir);
}

static void
every_flipped_bit(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/000001.wal", dir);
	struct buf b = BUF_INIT;

	fill_segment(&b);
	for (size_t bit = 0; bit < 8 * b.len; bit++) {
		struct seen s = { .text = BUF_INIT };
		size_t whole = 0;
		char *bad, *torn;

		while (ends[whole] <= bit / 8)
			whole++;
		bad = expected(whole, "bad", b.len);
		torn = expected(whole, "torn", b.len);
		b.p[bit / 8] ^= (char)(1 << bit % 8);
		write_file(path, b.p, b.len);
		b.p[bit / 8] ^= (char)(1 << bit % 8);
		assert_ok(wal_scan_file(path, record_cb, damage_cb, &s));
		if (strcmp(buf_str(&s.text), torn) != 0)	/* a length may now point beyond the end */
			assert_string_equal(buf_str(&s.text), bad);
		buf_release(&s.text);
		free(bad);
		free(torn);
	}
	buf_release(&b);
	free(path);
	temp_dir_free(dir);
}

static void
zeros_and_rubbish(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/000001.wal", dir);
	char *zeros = xcalloc(1, 1 << 20);
	struct buf b = BUF_INIT;

	write_file(path, zeros, 1 << 20);
	assert_scan(path, "bad 0+1048576 ");
	fill_segment(&b);
	buf_add(&b, zeros, 1000);
	write_file(path, b.p, b.len);
	assert_scan(path, "0:alpha 13:b 22:gamma ray bad 39+1000 ");
	buf_release(&b);
	free(zeros);
	free(path);
	temp_dir_free(dir);
}

static struct err *
count_cb(const struct wal_pos *pos unused_arg, const char *payload, size_t n, void *arg)
{
	uint64_t *sums = arg;

	sums[0]++;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)payload[i] != (unsigned char)(sums[0] * 31))
			return err_msg(ERR_INTEGRITY, "record %llu differs at %zu", (unsigned long long)sums[0], i);
	sums[1] += n;
	return NULL;
}

/* Frames longer than one read and across its ends. */
static void
long_records(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/000001.wal", dir), *payload = xmalloc(1 << 20);
	uint64_t sums[2] = { 0, 0 }, total = 0;
	struct buf b = BUF_INIT;

	for (size_t i = 1; i <= 40; i++) {
		size_t n = i * i * 617 % (1 << 20) + 1;

		memset(payload, (int)(i * 31 & 0xff), n);
		frame_add(&b, payload, n);
		total += n;
	}
	write_file(path, b.p, b.len);
	assert_ok(wal_scan_file(path, count_cb, damage_cb, sums));
	assert_int_equal(sums[0], 40);
	assert_int_equal(sums[1], total);
	buf_release(&b);
	free(payload);
	free(path);
	temp_dir_free(dir);
}

static void
write_record(const char *dir, const char *name, const char *payload, const char *tail)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct buf b = BUF_INIT;

	frame_add(&b, payload, strlen(payload));
	buf_addstr(&b, tail);
	write_file(path, b.p, b.len);
	buf_release(&b);
	free(path);
}

static void
segments_in_order_past_damage(void **state unused_arg)
{
	char *dir = temp_dir_new();
	struct seen s = { .text = BUF_INIT };

	write_record(dir, "000010.wal", "ten", "");
	write_record(dir, "000002.wal", "two", "??");
	write_record(dir, "1000000.wal", "million", "");
	write_record(dir, "000003.wal", "three", "????????");
	write_record(dir, "000001.wal.tmp", "no", "");
	write_record(dir, "1.wal", "no", "");
	write_record(dir, "000000.wal", "no", "");
	write_record(dir, "lock", "no", "");
	assert_ok(wal_scan_dir(dir, record_cb, damage_cb, &s));
	assert_string_equal(buf_str(&s.text), "0:two torn 11+2 0:three bad 13+8 0:ten 0:million ");
	buf_clear(&s.text);
	s.stop_at = "three";
	assert_err(wal_scan_dir(dir, record_cb, damage_cb, &s), "enough");
	assert_string_equal(buf_str(&s.text), "0:two torn 11+2 0:three ");
	buf_release(&s.text);
	temp_dir_free(dir);
}

static void
missing(void **state unused_arg)
{
	char *dir = temp_dir_new(), *path = xasprintf("%s/none", dir);
	char *text = xasprintf("open %s: No such file or directory", path);

	assert_err(wal_scan_dir(path, record_cb, damage_cb, NULL), text);
	assert_err(wal_scan_file(path, record_cb, damage_cb, NULL), text);
	assert_ok(wal_scan_dir(dir, record_cb, damage_cb, NULL));
	free(text);
	free(path);
	temp_dir_free(dir);
}

/* Live while another process holds the lock, and no longer. */
static void
live(void **state unused_arg)
{
	char *dir = temp_dir_new(), c;
	int up[2], down[2], status;
	pid_t pid;

	assert_false(wal_is_live(dir));
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(dir, O_RDONLY | O_DIRECTORY);

		close(down[1]);
		if (flock(fd, LOCK_EX) < 0 || write(up[1], "l", 1) != 1 || read(down[0], &c, 1) != 0)
			_exit(1);
		_exit(0);
	}
	close(down[0]);
	assert_int_equal(read(up[0], &c, 1), 1);
	assert_true(wal_is_live(dir));
	close(down[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(wal_is_live(dir));
	close(up[0]);
	close(up[1]);
	temp_dir_free(dir);
	assert_false(wal_is_live("/nonexistent"));
}

/* Readers that look whether a journal is live never make its writer fail. */
static void
probes_do_not_refuse_a_writer(void **state unused_arg)
{
	char *dir = temp_dir_new();
	int status, go[2], other;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(go[1]);
		fcntl(go[0], F_SETFL, O_NONBLOCK);
		while (read(go[0], &status, 1) != 0)
			wal_is_live(dir);
		_exit(0);
	}
	close(go[0]);
	for (int i = 0; i < 3000; i++) {
		int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_true(fd >= 0);
		assert_int_equal(wal_lock(fd), 0);
		close(fd);
	}
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);

	go[0] = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	other = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(wal_lock(go[0]), 0);
	assert_int_equal(wal_lock(other), EWOULDBLOCK);
	close(go[0]);
	assert_int_equal(wal_lock(other), 0);
	close(other);
	temp_dir_free(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut),
		cmocka_unit_test(every_flipped_bit),
		cmocka_unit_test(zeros_and_rubbish),
		cmocka_unit_test(long_records),
		cmocka_unit_test(segments_in_order_past_damage),
		cmocka_unit_test(missing),
		cmocka_unit_test(live),
		cmocka_unit_test(probes_do_not_refuse_a_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
