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
 * inotify says when the journals grow; a slow timer finds out that the controller is gone (a lock that
 * is let go wakes nobody). Each look reads the run's records and hands out those it has not seen.
 */
#define LOOK_EVERY MILLIS(200)
#define LOOK_PAUSE MILLIS(20)	/* a burst of records is read once */

struct follow_op {
	struct op	   op;
	const struct root *root;
	struct digest	   run;
	struct io	   grown;
	int		   fd;		/* inotify, or -1: only the timer */
	struct timer	   look;
	uint64_t	   seen;	/* n of the newest record handed out */
	char		  *watched;	/* controller whose folder is watched */
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
	timer_set(&f->look, LOOK_PAUSE);
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

	if (f->fd < 0 || (f->watched != NULL && strcmp(f->watched, controller) == 0))
		return;
	free(f->watched);
	f->watched = xstrdup(controller);
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

static void
follow_advance(struct op *op)
{
	struct follow_op *f = op_owner(op, struct follow_op, op);
	struct rundb *db = NULL;
	struct err *err = rundb_open(f->root, RUNDB_RECORDS, &f->run, NULL, NULL, &db);
	struct run_entry *e = NULL;
	follow_cb *cb = f->cb;
	void *arg = f->arg;
	size_t n = 0;

	if (err == NULL)
		e = rundb_runs(db, &n);
	if (err == NULL && n == 0)
		err = err_new(ERR_NOT_EXIST, "follow", "the run has no record");
	if (err == NULL) {
		hand_out(f, e);
		if (e->live && e->state.Phase != PHASE_DONE) {
			watch(f, e->controller);
			timer_set(&f->look, LOOK_EVERY);
			rundb_free(db);
			return;
		}
	}
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
follow_start(struct loop *loop, const struct root *root, const struct digest *run, follow_record_cb *record, follow_cb *cb, void *arg)
{
	struct follow_op *f = xcalloc(1, sizeof *f);

	op_init(&f->op, loop, &follow_type);
	f->root = root;
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
