/* SPDX-License-Identifier: Apache-2.0 */
#include "run/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/xalloc.h"

/*
 * What a reader would get wrong: the lock covers reading and the durable epoch record, nothing more.
 * Afterwards the epoch speaks for itself: this controller's journal is live and names the run. But a
 * controller that dies with the record on its way loses the lock while its journal process still writes:
 * so it leaves its name beside the journals, and whoever finds that waits until its folder is free.
 */
#define TAKING	   ".taking"
#define AGAIN	   MILLIS(10)
#define READ_STEP  (256u << 10)		/* well below 5 ms */
#define DRAIN_TIME SECONDS(2)	/* an orphaned journal process has its last sync done by then */

struct takeover_op {
	struct op op;
	enum {
		T_LOCK,		/* try the lock of the journals' folder */
		T_AGAIN,	/* waits a moment: somebody else has it, or the old journal drains */
		T_READ,		/* reads its records, a piece in each turn */
		T_EPOCH,	/* waits until the epoch record is durable */
		T_DONE,
	} step;
	struct controller *c;
	struct digest	   run;
	int		   lock;	/* descriptor that holds it, or -1 */
	int64_t		   began;
	struct timer	   again;
	struct journal_wait *wait;
	struct rundb_reading *reading;
	struct rundb	  *db;
	struct run_knowledge *known;
	struct takeover	   result;
	struct err	  *err;
	takeover_cb	  *cb;
	void		  *arg;
};

static void
takeover_again_cb(void *arg)
{
	struct takeover_op *t = arg;

	t->step = T_LOCK;
	op_wake(&t->op);
}

static void
unlock(struct takeover_op *t)
{
	if (t->lock >= 0)
		close(t->lock);
	t->lock = -1;
}

static void
fail(struct takeover_op *t, struct err *err)
{
	unlock(t);
	t->err = err;
	t->step = T_DONE;
}

static void
again(struct takeover_op *t)
{
	unlock(t);
	t->step = T_AGAIN;
	timer_set(&t->again, AGAIN);
}

static char *
taking_path(const struct takeover_op *t)
{
	return xasprintf("%s/%s", t->c->root.journal, TAKING);
}

/* Is there one whose epoch record may still come to the disk? */
static bool
another_takes(const struct takeover_op *t)
{
	char *path = taking_path(t), *dir;
	struct buf name = BUF_INIT;
	bool live = false;

	err_free(buf_read_file(&name, path, sizeof t->c->id));	/* none: nobody */
	if (name.len > 0 && strchr(buf_str(&name), '/') == NULL && strcmp(buf_str(&name), t->c->id) != 0) {
		dir = xasprintf("%s/%s", t->c->root.journal, buf_str(&name));
		live = wal_is_live(dir);
		free(dir);
	}
	buf_release(&name);
	free(path);
	return live;
}

static struct err *
taking_begins(const struct takeover_op *t)
{
	char *path = taking_path(t);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, t->c->id, strlen(t->c->id)) == (ssize_t)strlen(t->c->id);
	struct err *err = ok ? NULL : err_errno(errno, "write", "%s", path);

	if (fd >= 0)
		close(fd);
	free(path);
	return err;
}

static void
taking_ends(const struct takeover_op *t)
{
	char *path = taking_path(t);

	(void)unlink(path);
	free(path);
}

static void
takeover_durable_cb(struct err *err, void *arg)
{
	struct takeover_op *t = arg;

	t->wait = NULL;
	t->err = err;
	if (err == NULL)
		taking_ends(t);
	t->step = T_DONE;
	op_wake(&t->op);
}

static void
raise_epoch(struct takeover_op *t)
{
	struct record_head h = { .kind = REC_EPOCH, .time = loop_wall(t->op.loop), .run = t->run };
	struct buf b = BUF_INIT;
	struct err *err = taking_begins(t);

	if (err != NULL) {
		fail(t, err);
		return;
	}
	h.seq = journal_next_seq(t->c->journal);
	h.epoch = t->result.epoch = t->result.entry->epoch + 1;
	h.n = t->result.n = t->result.entry->n + 1;
	record_epoch(&b, &h, t->c->id, "takeover");
	crash_point("takeover-before-epoch");
	t->step = T_EPOCH;
	t->wait = journal_wait_start(t->c->journal, journal_append(t->c->journal, b.p, b.len), takeover_durable_cb, t);
	buf_release(&b);
}

static bool
may_wait(const struct takeover_op *t)
{
	return loop_now(t->op.loop) - t->began < DRAIN_TIME;
}

static void
takeover_record(const struct journal_item *item, void *arg)
{
	struct takeover_op *t = arg;

	run_knowledge_record(t->known, item->peek, item->payload, item->len);
}

static void
forget(struct takeover_op *t)
{
	rundb_abandon(t->reading);
	rundb_free(t->db);
	run_knowledge_free(t->known);
	t->reading = NULL;
	t->db = NULL;
	t->known = NULL;
}

static void
begin_reading(struct takeover_op *t)
{
	forget(t);
	t->known = run_knowledge_new(&t->run, NULL, 0);
	t->reading = rundb_begin(&t->c->root, &t->run, takeover_record, t);
	t->step = T_READ;
}

static void
take(struct takeover_op *t)
{
	t->lock = open(t->c->root.journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->lock < 0) {
		fail(t, err_errno(errno, "open", "%s", t->c->root.journal));
		return;
	}
	if (flock(t->lock, LOCK_EX | LOCK_NB) != 0) {
		again(t);
		return;
	}
	if (another_takes(t)) {
		if (may_wait(t))
			again(t);
		else
			fail(t, err_new(ERR_UNAVAILABLE, "resume", "another controller has begun to take a run over"));
		return;
	}
	begin_reading(t);
}

/* What was read: whose is it, and may we have it? */
static void
decide(struct takeover_op *t)
{
	size_t n;

	t->result.entry = rundb_runs(t->db, &n);
	if (n == 0)
		fail(t, err_new(ERR_NOT_EXIST, "resume", "the run has no record"));
	else if (t->result.entry->state.Phase == PHASE_DONE && t->result.entry->state.Err == NULL)
		t->step = T_DONE;	/* it has come to its end meanwhile: nothing to take over */
	else if (!t->result.entry->live)
		raise_epoch(t);
	else if (may_wait(t) && strcmp(t->result.entry->controller, t->c->id) != 0)
		again(t);
	else
		fail(t, err_new(ERR_UNAVAILABLE, "resume", "controller %s has the run", t->result.entry->controller));
}

/* Journals whose names are not in the order of the epochs: the clock was turned back. */
static struct err *
read_in_order(struct takeover_op *t)
{
	struct run_entry *e;
	struct rundb *db;
	struct err *err = rundb_open(&t->c->root, RUNDB_RECORDS, &t->run, NULL, NULL, &db);
	size_t n;

	if (err != NULL)
		return err;
	run_knowledge_free(t->known);
	e = rundb_runs(db, &n);
	t->known = run_knowledge_new(&t->run, n > 0 ? e->records : NULL, n > 0 ? e->nrecords : 0);
	rundb_free(db);
	return NULL;
}

static void
read_piece(struct takeover_op *t)
{
	bool more, disordered;
	struct err *err = rundb_read_some(t->reading, READ_STEP, &more);

	if (err == NULL && more) {
		op_wake(&t->op);
		return;
	}
	if (err == NULL) {
		t->db = rundb_end(t->reading, &disordered);
		t->reading = NULL;
		if (disordered)
			err = read_in_order(t);
	}
	if (err == NULL)
		decide(t);
	else
		fail(t, err);
}

static void
takeover_advance(struct op *op)
{
	struct takeover_op *t = op_owner(op, struct takeover_op, op);
	struct takeover result;
	struct run_knowledge *known;
	struct rundb *db;
	struct err *err;
	takeover_cb *cb;
	void *arg;

	if (t->step == T_LOCK)
		take(t);
	if (t->step == T_READ)
		read_piece(t);
	if (t->step != T_DONE)
		return;
	cb = t->cb;
	arg = t->arg;
	result = t->result;
	err = t->err;
	db = t->db;
	known = t->known;
	result.known = &known;
	t->db = NULL;
	t->known = NULL;
	t->err = NULL;
	op_release(op);
	cb(err == NULL ? &result : NULL, err, arg);
	run_knowledge_free(known);
	rundb_free(db);
}

static void
takeover_release(struct op *op)
{
	struct takeover_op *t = op_owner(op, struct takeover_op, op);

	timer_clear(&t->again);
	journal_wait_cancel(&t->wait);
	unlock(t);
	forget(t);
	err_free(t->err);
	free(t);
}

static const struct op_type takeover_type = { "takeover", takeover_advance, takeover_release };

struct op *
takeover_start(struct controller *c, const struct digest *run, takeover_cb *cb, void *arg)
{
	struct takeover_op *t = xcalloc(1, sizeof *t);

	op_init(&t->op, c->loop, &takeover_type);
	timer_init(&t->again, c->loop, "takeover_again", takeover_again_cb, t);
	t->c = c;
	t->run = *run;
	t->lock = -1;
	t->began = loop_now(c->loop);
	t->cb = cb;
	t->arg = arg;
	op_wake(&t->op);
	return &t->op;
}
