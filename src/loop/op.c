/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/op.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>

#include "base/log.h"
#include "loop/loop_priv.h"

/*
 * Operations: the live list, the wake queue and the trace. After advance or release the op may be
 * gone, so nothing here looks at it again.
 */

void
op_init(struct op *op, struct loop *l, const struct op_type *type)
{
	assert(type->name != NULL && type->advance != NULL && type->release != NULL);
	op->loop = l;
	op->type = type;
	op->id = ++l->last_id;
	op->queued = false;
	TAILQ_INSERT_TAIL(&l->live, op, live);
	l->nops++;
	log_debug("%s#%" PRIu64 " born", type->name, op->id);
}

void
op_wake(struct op *op)
{
	if (op->queued)
		return;
	op->queued = true;
	TAILQ_INSERT_TAIL(&op->loop->wake, op, wake);
}

void
op_release(struct op *op)
{
	struct loop *l = op->loop;

	assert(l != NULL && l->nops > 0);
	log_debug("%s#%" PRIu64 " gone", op->type->name, op->id);
	if (op->queued)
		TAILQ_REMOVE(&l->wake, op, wake);
	op->queued = false;
	TAILQ_REMOVE(&l->live, op, live);
	l->nops--;
	op->type->release(op);
}

void
op_cancel(struct op **opp)
{
	struct op *op = opp ? *opp : NULL;

	if (!op)
		return;
	*opp = NULL;
	op_release(op);
}

void
op_trace(struct op *op, const char *from, const char *to)
{
	log_debug("%s#%" PRIu64 " %s -> %s", op->type->name, op->id, from, to);
}

/* What is woken meanwhile lands behind the mark and waits for the next turn. */
void
ops_run(struct loop *l)
{
	struct op *op;
	const char *name;

	TAILQ_INSERT_TAIL(&l->wake, &l->mark, wake);
	while ((op = TAILQ_FIRST(&l->wake)) != &l->mark) {
		TAILQ_REMOVE(&l->wake, op, wake);
		op->queued = false;
		name = op->type->name;
		op->type->advance(op);
		lag_charge(l, name);
	}
	TAILQ_REMOVE(&l->wake, &l->mark, wake);
}

void
ops_report(const struct loop *l)
{
	const struct op *op;

	TAILQ_FOREACH(op, &l->live, live)
		log_error("alive in the loop: operation %s#%" PRIu64 "%s", op->type->name, op->id,
		    op->queued ? " (woken)" : "");
}
