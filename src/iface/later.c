/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/later.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/xalloc.h"

/*
 * Outcomes known at once, delivered on the next turn: the contract of operations forbids a callback
 * from inside the start. The type is part of the operation, because each has its own name.
 */

struct later {
	struct op      op;
	struct op_type type;
	void (*run)(void *);
	void (*drop)(void *);
	void	      *data;	/* owned until run or drop takes it */
};

static void
later_advance(struct op *op)
{
	struct later *l = op_owner(op, struct later, op);
	void (*run)(void *) = l->run;
	void *data = l->data;

	l->data = NULL;
	l->drop = NULL;
	op_release(op);
	run(data);
}

static void
later_release(struct op *op)
{
	struct later *l = op_owner(op, struct later, op);

	if (l->drop)
		l->drop(l->data);
	free(l);
}

struct op *
later_start(struct loop *loop, const char *name, void (*run)(void *), void (*drop)(void *), void *data)
{
	struct later *l = xcalloc(1, sizeof *l);

	l->type = (struct op_type){ name, later_advance, later_release };
	l->run = run;
	l->drop = drop;
	l->data = data;
	op_init(&l->op, loop, &l->type);
	op_wake(&l->op);
	return &l->op;
}

struct done {
	struct err    *err;	/* owned */
	later_done_cb *cb;
	void	      *arg;
};

static void
done_run(void *data)
{
	struct done d = *(struct done *)data;

	free(data);
	d.cb(d.err, d.arg);
}

static void
done_drop(void *data)
{
	struct done *d = data;

	err_free(d->err);
	free(d);
}

struct op *
later_done(struct loop *loop, const char *name, struct err *err, later_done_cb *cb, void *arg)
{
	struct done *d = xmalloc(sizeof *d);

	*d = (struct done){ err, cb, arg };
	return later_start(loop, name, done_run, done_drop, d);
}
