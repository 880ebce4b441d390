/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/run/fake_journal.h"

#include <fcntl.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/frame.h"
#include "base/wal.h"
#include "base/xalloc.h"

/*
 * See the header. The operation lives as long as the journal: a sync under way is the journal's affair
 * and must not look as if whoever appended had left something behind.
 */
#define SYNC_TURNS 2

TAILQ_HEAD(journal_waiters, journal_wait);

struct journal {
	struct op	    op;
	int		    turns;	/* until the sync is over; 0: none under way */
	bool		    held;
	bool		    fails;
	enum err_kind	    kind;
	struct torture	   *torture;
	struct fake_record *records;
	size_t		    nrecords;
	uint64_t	    durable;
	struct journal_waiters waiters;
	char		   *path;	/* of the segment, or NULL */
	int		    dirfd;
};
struct journal_wait {
	struct op	 op;
	struct journal	*journal;
	uint64_t	 seq;
	bool		 waiting;	/* in the journal's list */
	struct err	*err;
	journal_wait_cb *cb;
	void		*arg;
	TAILQ_ENTRY(journal_wait) link;
};

static void
wait_over(struct journal_wait *w, struct err *err)
{
	TAILQ_REMOVE(&w->journal->waiters, w, link);
	w->waiting = false;
	w->err = err;
	op_wake(&w->op);
}

static void
write_records(struct journal *j)
{
	struct buf b = BUF_INIT;
	int fd;

	for (size_t i = j->durable; i < j->nrecords; i++)
		frame_add(&b, j->records[i].p, j->records[i].len);
	if (j->path != NULL) {
		fd = open(j->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, b.p, b.len), b.len);
		close(fd);
	}
	buf_release(&b);
	j->durable = j->nrecords;
}

static void
sync_over(struct journal *j)
{
	struct err *err = j->torture != NULL ? torture_fault(j->torture, "journal-sync") : NULL;
	struct journal_wait *w, *next;

	if (err == NULL && j->fails)
		err = err_new(j->kind, "journal-sync", "injected");
	j->fails = false;
	if (err == NULL)
		write_records(j);
	for (w = TAILQ_FIRST(&j->waiters); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (err != NULL || w->seq <= j->durable)
			wait_over(w, err == NULL ? NULL : err_copy(err));
	}
	err_free(err);
}

static void
journal_advance(struct op *op)
{
	struct journal *j = op_owner(op, struct journal, op);

	if (j->held || j->durable == j->nrecords) {
		j->turns = 0;
		return;
	}
	if (j->turns == 0)
		j->turns = SYNC_TURNS;
	else if (--j->turns == 0) {
		sync_over(j);
		return;
	}
	op_wake(op);
}

static void
journal_release(struct op *op)
{
	struct journal *j = op_owner(op, struct journal, op);

	assert_true(TAILQ_EMPTY(&j->waiters));
	for (size_t i = 0; i < j->nrecords; i++)
		free((char *)j->records[i].p);
	free(j->records);
	free(j->path);
	if (j->dirfd >= 0)
		close(j->dirfd);
	free(j);
}

static const struct op_type journal_type = { "fake_journal", journal_advance, journal_release };

struct journal *
fake_journal_new(struct loop *loop, const char *dir)
{
	struct journal *j = xcalloc(1, sizeof *j);

	op_init(&j->op, loop, &journal_type);
	TAILQ_INIT(&j->waiters);
	j->dirfd = -1;
	if (dir == NULL)
		return j;
	assert_int_equal(mkdir(dir, 0700), 0);
	j->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(j->dirfd >= 0);
	assert_int_equal(wal_lock(j->dirfd), 0);
	j->path = xasprintf("%s/000001.wal", dir);
	return j;
}

void
fake_journal_hold(struct journal *j, bool hold)
{
	j->held = hold;
	op_wake(&j->op);
}

void
fake_journal_fail(struct journal *j, enum err_kind kind)
{
	j->fails = true;
	j->kind = kind;
}

void
fake_journal_torture(struct journal *j, struct torture *t)
{
	j->torture = t;
}

const struct fake_record *
fake_journal_records(const struct journal *j, size_t *n)
{
	*n = j->nrecords;
	return j->records;
}

/* As loop/journal.h has it. */

struct err *
journal_open(struct loop *loop unused_arg, const char *dir, const char *program unused_arg,
    journal_header_cb *header unused_arg, void *arg unused_arg, struct journal **out unused_arg)
{
	return err_new(ERR_NOT_SUPPORTED, "journal", "%s", dir);
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	write_records(j);
	op_release(&j->op);
}

void
journal_set_segment_size(struct journal *j unused_arg, size_t n unused_arg)
{
}

pid_t
journal_pid(const struct journal *j unused_arg)
{
	return 0;
}

uint64_t
journal_next_seq(const struct journal *j)
{
	return j->nrecords + 1;
}

uint64_t
journal_durable_seq(const struct journal *j)
{
	return j->durable;
}

uint64_t
journal_append(struct journal *j, const void *p, size_t len)
{
	j->records = xreallocarray(j->records, j->nrecords + 1, sizeof *j->records);
	j->records[j->nrecords++] = (struct fake_record){ xmemdup(p, len), len };
	op_wake(&j->op);
	return j->nrecords;
}

uint64_t
journal_append_lazy(struct journal *j, const void *p, size_t len)
{
	return journal_append(j, p, len);
}

static void
wait_advance(struct op *op)
{
	struct journal_wait *w = op_owner(op, struct journal_wait, op);
	journal_wait_cb *cb = w->cb;
	struct err *err = w->err;
	void *arg = w->arg;

	if (w->waiting)
		return;
	w->err = NULL;
	op_release(op);
	cb(err, arg);
}

static void
wait_release(struct op *op)
{
	struct journal_wait *w = op_owner(op, struct journal_wait, op);

	if (w->waiting)
		TAILQ_REMOVE(&w->journal->waiters, w, link);
	err_free(w->err);
	free(w);
}

static const struct op_type wait_type = { "fake_journal_wait", wait_advance, wait_release };

struct journal_wait *
journal_wait_start(struct journal *j, uint64_t seq, journal_wait_cb *cb, void *arg)
{
	struct journal_wait *w = xcalloc(1, sizeof *w);

	assert_true(seq <= j->nrecords);
	op_init(&w->op, j->op.loop, &wait_type);
	w->journal = j;
	w->seq = seq;
	w->cb = cb;
	w->arg = arg;
	w->waiting = true;
	TAILQ_INSERT_TAIL(&j->waiters, w, link);
	if (seq <= j->durable)
		wait_over(w, NULL);
	else
		op_wake(&j->op);
	return w;
}

void
journal_wait_cancel(struct journal_wait **wp)
{
	struct journal_wait *w = wp == NULL ? NULL : *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	op_release(&w->op);
}
