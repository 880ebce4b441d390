/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/loop/journaltest.h"

#include "base/wal.h"

const char *
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

struct err *
world_open(struct world *w)
{
	return journal_open(w->loop, w->dir, w->program, header_cb, NULL, &w->journal);
}

int
world_setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	w->tmp = temp_dir_new();
	w->dir = xasprintf("%s/journal/c1", w->tmp);
	w->program = journal_program();
	w->loop = loop_new(NULL);
	*state = w;
	return 0;
}

void
world_close(struct world *w)
{
	journal_close(w->journal);
	w->journal = NULL;
}

int
world_teardown(void **state)
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

uint64_t
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

void
wait_cb(struct err *err, void *arg)
{
	struct world *w = arg;

	assert_false(w->done);
	w->wait = NULL;
	w->done = true;
	w->err = err;
}

struct err *
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
read_damage(const struct wal_pos *pos unused_arg, enum frame_state state unused_arg, uint64_t skipped unused_arg,
    void *arg)
{
	((struct reading *)arg)->damages++;
}

struct reading
read_all(const char *dir)
{
	struct reading r = { 0 };

	assert_ok(wal_scan_dir(dir, read_record, read_damage, &r));
	return r;
}

void
copy_program(const char *from, const char *to)
{
	struct buf b = BUF_INIT;
	int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	assert_ok(buf_read_file(&b, from, 64 << 20));
	assert_int_equal(write(fd, b.p, b.len), b.len);
	close(fd);
	buf_release(&b);
}

void
assert_open_error(struct world *w, const char *dir, const char *text)
{
	char *old = w->dir;

	w->dir = xasprintf("%s/%s", w->tmp, dir);
	assert_err(world_open(w), text);
	assert_null(w->journal);
	free(w->dir);
	w->dir = old;
}
