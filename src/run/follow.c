/* SPDX-License-Identifier: Apache-2.0 */
#include "run/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "loop/loop.h"

/*
 * inotify says when the journal grows; a slow timer finds out that the controller is gone (a lock that
 * is let go wakes nobody). Each look reads the run's records in the journal of the controller that had
 * it, and hands out those it has not seen; only when there is none, or it is gone, or the run is over,
 * all journals are read.
 */
#define LOOK_EVERY  MILLIS(200)
#define LOOK_PAUSE  MILLIS(20)		/* a burst of records is read once */
#define LOOK_RECORD 10000		/* ns more for each record that a look reads: it costs a tenth of that */

struct follow_op {
	struct op	   op;
	const struct root *root;
	struct digest	   run;
	struct io	   grown;
	int		   fd;		/* inotify, or -1: only the timer */
	struct timer	   look;
	uint64_t	   seen;	/* n of the newest record handed out */
	char		  *watched;	/* controller whose folder is watched; NULL: all are read */
	int64_t		   pause;	/* before what has grown is read */
	bool		   soon;	/* look is set to that */
	follow_record_cb  *record;
	follow_cb	  *cb;
	void		  *arg;
};

static void
follow_grown_cb(int what unused_arg, void *arg)
{
	struct follow_op *f = arg;
	char buf[4096];

	while (read(f->fd, buf, sizeof buf) > 0)
		;
	if (f->soon)		/* or a journal that never rests is never read */
		return;
	f->soon = true;
	timer_set(&f->look, f->pause);
}

static void
follow_look_cb(void *arg)
{
	struct follow_op *f = arg;

	op_wake(&f->op);
}

static void
watch(struct follow_op *f, const char *controller)
{
	char *dir;

	if (f->watched != NULL && strcmp(f->watched, controller) == 0)
		return;
	free(f->watched);
	f->watched = xstrdup(controller);
	if (f->fd < 0)
		return;
	dir = xasprintf("%s/%s", f->root->journal, controller);
	(void)inotify_add_watch(f->fd, dir, IN_MODIFY | IN_CREATE);
	free(dir);
}

static void
hand_out(struct follow_op *f, const struct run_entry *e)
{
	for (size_t i = 0; i < e->nrecords; i++) {
		if (e->records[i].head.n <= f->seen)
			continue;
		f->seen = e->records[i].head.n;
		if (f->record != NULL)
			f->record(&e->records[i], f->arg);
	}
}

/* Is it still at work? Then there is no more to do but to look again. */
static bool
goes_on(struct follow_op *f, struct rundb *db)
{
	struct run_entry *e;
	size_t n;

	e = rundb_runs(db, &n);
	if (n == 0)
		return false;
	hand_out(f, e);
	if (!e->live || e->state.Phase == PHASE_DONE)
		return false;
	watch(f, e->controller);
	f->pause = LOOK_PAUSE + (int64_t)e->nrecords * LOOK_RECORD;
	timer_set(&f->look, f->pause > LOOK_EVERY ? f->pause : LOOK_EVERY);
	return true;
}

static struct err *
read_journals(struct follow_op *f, bool all, struct rundb **db)
{
	return all ? rundb_open(f->root, RUNDB_RECORDS, &f->run, NULL, NULL, db) :
	    rundb_open_one(f->root, f->watched, &f->run, db);
}

/* Gives what was read unless the run goes on. */
static struct err *
look(struct follow_op *f, struct rundb **db)
{
	bool all = f->watched == NULL;
	struct err *err;

	timer_clear(&f->look);
	f->soon = false;
	for (;;) {
		err = read_journals(f, all, db);
		if (err != NULL)
			return err;
		if (goes_on(f, *db))
			break;
		if (all)
			return NULL;
		rundb_free(*db);
		*db = NULL;
		all = true;
	}
	rundb_free(*db);
	*db = NULL;
	return NULL;
}

static void
follow_advance(struct op *op)
{
	struct follow_op *f = op_owner(op, struct follow_op, op);
	struct run_entry *e = NULL;
	struct rundb *db = NULL;
	struct err *err = look(f, &db);
	follow_cb *cb = f->cb;
	void *arg = f->arg;
	size_t n = 0;

	if (err == NULL && db == NULL)
		return;
	if (err == NULL)
		e = rundb_runs(db, &n);
	if (err == NULL && n == 0)
		err = err_new(ERR_NOT_EXIST, "follow", "the run has no record");
	op_release(op);
	cb(err == NULL ? e : NULL, err, arg);
	rundb_free(db);
}

static void
follow_release(struct op *op)
{
	struct follow_op *f = op_owner(op, struct follow_op, op);

	timer_clear(&f->look);
	io_clear(&f->grown);
	if (f->fd >= 0)
		close(f->fd);
	free(f->watched);
	free(f);
}

static const struct op_type follow_type = { "follow", follow_advance, follow_release };

struct op *
follow_start(struct loop *loop, const struct root *root, const struct digest *run, follow_record_cb *record, follow_cb *cb,
    void *arg)
{
	struct follow_op *f = xcalloc(1, sizeof *f);

	op_init(&f->op, loop, &follow_type);
	f->root = root;
	f->pause = LOOK_PAUSE;
	f->run = *run;
	f->record = record;
	f->cb = cb;
	f->arg = arg;
	timer_init(&f->look, loop, "follow_look", follow_look_cb, f);
	f->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	io_init(&f->grown, loop, f->fd, "follow_grown", follow_grown_cb, f);
	if (f->fd >= 0)
		io_want(&f->grown, IO_READ);
	op_wake(&f->op);
	return &f->op;
}
