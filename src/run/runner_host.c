/* SPDX-License-Identifier: Apache-2.0 */
#include "run/runner_priv.h"

#include <stdlib.h>

#include "base/xalloc.h"
#include "executor/keeper_client.h"
#include "run/sizes.h"

/*
 * The runner's records, and its side of the evaluator's host interface. What a reader would get wrong:
 * an event is learned when its record is appended, not when it is durable; only a crash tells the two
 * apart, and after a crash the journal is read again.
 */
static struct record_head
next_head(struct runner *r, enum record_kind kind)
{
	struct record_head h = { .kind = kind, .n = ++r->n, .epoch = r->epoch };

	h.seq = journal_next_seq(r->controller->journal);
	h.time = loop_wall(r->controller->loop);
	h.run = r->state.ID;
	return h;
}

static uint64_t
append(struct runner *r, struct buf *payload)
{
	uint64_t seq = journal_append(r->controller->journal, payload->p, payload->len);

	buf_release(payload);
	return seq;
}

uint64_t
runner_append_snapshot(struct runner *r)
{
	struct record_head h = next_head(r, REC_SNAPSHOT);
	struct buf b = BUF_INIT;

	run_knowledge_total(r->known, &r->state.TotalResources);
	record_snapshot(&b, &h, &r->state);
	run_knowledge_state(r->known, &r->state);
	r->snapshot = append(r, &b);
	return r->snapshot;
}

static uint64_t
append_exec(struct runner *r, const struct eval_event *ev)
{
	struct journal *journal = r->controller->journal;
	struct record_head h = next_head(r, REC_EXEC);
	struct buf *b = &r->scratch;
	bool components = ev->kind == EV_STARTED && !run_knowledge_has_components(r->known, &ev->node->pkey);

	buf_clear(b);
	record_exec(b, &h, ev, components);
	run_knowledge_learn(r->known, ev);
	return ev->kind == EV_HIT ? journal_append_lazy(journal, b->p, b->len) : journal_append(journal, b->p, b->len);
}

uint64_t
runner_append_note(struct runner *r, const char *text)
{
	struct record_head h = next_head(r, REC_NOTE);
	struct buf b = BUF_INIT;

	record_note(&b, &h, text);
	return append(r, &b);
}

/* The evaluator's host. */

static void
host_note(const struct eval_event *ev, void *arg)
{
	struct runner *r = arg;

	(void)append_exec(r, ev);
	if (r->events.exec != NULL)
		r->events.exec(r, ev, r->events.arg);
}

/*
 * A success that the journal and the cache have is asked of no attempt any more: its directory can go. A failure's
 * stays, because a resume within the same try puts the exec again, and finds its answer there.
 */
static void
host_settled(const struct digest *pkey, const struct digest *owner, uint32_t attempt, void *arg)
{
	struct runner *r = arg;

	/* A controller over other executors has no keeper; and what another run started is that run's to forget. */
	if (r->controller->keeper != NULL && digest_equal(owner, &r->state.ID))
		keeper_client_forget(r->controller->keeper, &r->state.ID, pkey, attempt);
}

struct commit_op {		/* an exec record on its way to the disk */
	struct op	     op;
	struct journal_wait *wait;
	struct err	    *err;
	void (*cb)(struct err *, void *);
	void		    *arg;
};

static void
commit_advance(struct op *op)
{
	struct commit_op *c = op_owner(op, struct commit_op, op);
	void (*cb)(struct err *, void *) = c->cb;
	struct err *err = c->err;
	void *arg = c->arg;

	c->err = NULL;
	op_release(op);
	cb(err, arg);
}

static void
commit_release(struct op *op)
{
	struct commit_op *c = op_owner(op, struct commit_op, op);

	journal_wait_cancel(&c->wait);
	err_free(c->err);
	free(c);
}

static const struct op_type commit_type = { "record_commit", commit_advance, commit_release };

static void
commit_durable_cb(struct err *err, void *arg)
{
	struct commit_op *c = arg;

	c->wait = NULL;
	c->err = err;
	op_wake(&c->op);
}

static struct op *
host_commit(const struct eval_event *ev, void (*cb)(struct err *, void *), void *cbarg, void *arg)
{
	struct runner *r = arg;
	struct commit_op *c = xcalloc(1, sizeof *c);

	op_init(&c->op, r->controller->loop, &commit_type);
	c->cb = cb;
	c->arg = cbarg;
	if (ev->kind == EV_ENDED)
		sizes_learn(r->controller->sizes, ev->node->place->ident, ev->asked, ev->result);
	c->wait = journal_wait_start(r->controller->journal, append_exec(r, ev), commit_durable_cb, c);
	if (r->events.exec != NULL)
		r->events.exec(r, ev, r->events.arg);
	return &c->op;
}

static const struct exec_result *
host_known_exec(const struct digest *pkey, void *arg)
{
	struct runner *r = arg;

	return run_knowledge_exec(r->known, pkey);
}

static const struct exec_result *
host_known_intern(const char *url, void *arg)
{
	struct runner *r = arg;

	return run_knowledge_intern(r->known, url);
}

static double
host_memory(const char *ident, double asked, void *arg)
{
	struct runner *r = arg;

	return sizes_get(r->controller->sizes, ident, asked);
}

struct eval_host
runner_host(struct runner *r)
{
	return (struct eval_host){ host_note, host_commit, host_known_exec, host_known_intern, host_memory, host_settled, r };
}
