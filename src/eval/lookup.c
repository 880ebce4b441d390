/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/lookup.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "loop/loop.h"

/*
 * The evaluator's side of the cache. A hit trusts the assoc: no object is looked at. An entry that
 * does not read is passed over like one that is not there.
 */

struct lookup {
	struct op	   op;
	enum {
		LOOK_ASK,	/* by the key at `at` */
		LOOK_ASKING,	/* waits for the assoc, or for the limit */
		LOOK_OVER,	/* found or not: tell the owner */
	} state;
	struct assoc	  *assoc;	/* kept */
	struct lookup_args args;
	unsigned	   at;
	struct op	  *child;
	struct timer	   limit;
	struct exec_result result;
	bool		   found;
	lookup_cb	  *cb;
	void		  *arg;
};

static void
say_trouble(struct err *err)	/* takes */
{
	char *text = err_str(err);

	log_debug("cache: %s", text);
	free(text);
	err_free(err);
}

/* Does the entry answer the question? Then *r is its result. */
static bool
take_entry(const struct lookup_args *args, const void *p, size_t len, struct exec_result *r)
{
	if (!exec_result_scan(p, len, r)) {
		log_debug("cache: an entry of %zu bytes that is no result", len);
		return false;
	}
	if (r->state == ATTEMPT_OK && r->fileset && !(args->recompute_empty && fileset_any_empty(r->fileset)))
		return true;
	exec_result_release(r);
	return false;
}

static void
lookup_get_cb(const void *p, size_t len, struct err *err, void *arg)
{
	struct lookup *l = arg;

	l->child = NULL;
	if (!err)
		l->found = take_entry(&l->args, p, len, &l->result);
	else if (!err_is(err, ERR_NOT_EXIST))
		say_trouble(err);
	else
		err_free(err);
	if (!l->found)
		l->at++;
	l->state = l->found || l->at == l->args.nkeys ? LOOK_OVER : LOOK_ASK;
	op_wake(&l->op);
}

static void
lookup_limit(void *arg)
{
	struct lookup *l = arg;

	log_info("warning: the cache does not answer: going on without");
	op_cancel(&l->child);
	l->state = LOOK_OVER;
	op_wake(&l->op);
}

static void
lookup_advance(struct op *op)
{
	struct lookup *l = op_owner(op, struct lookup, op);
	struct exec_result result = l->result;
	bool found = l->found;
	unsigned at = l->at;
	lookup_cb *cb = l->cb;
	void *arg = l->arg;

	switch (l->state) {
	case LOOK_ASK:
		l->state = LOOK_ASKING;
		l->child = assoc_get(l->assoc, ASSOC_FILESET, &l->args.keys[l->at], lookup_get_cb, l);
		return;
	case LOOK_ASKING:
		return;
	case LOOK_OVER:
		l->found = false;
		op_release(op);
		cb(found ? &result : NULL, at, arg);
		return;
	}
}

static void
lookup_release(struct op *op)
{
	struct lookup *l = op_owner(op, struct lookup, op);

	op_cancel(&l->child);
	timer_clear(&l->limit);
	if (l->found)
		exec_result_release(&l->result);
	free(l);
}

static const struct op_type lookup_type = { "cache_lookup", lookup_advance, lookup_release };

bool
lookup_peek(struct assoc *assoc, const struct lookup_args *args, struct lookup_answer *a)
{
	a->found = false;
	for (a->at = 0; a->at < args->nkeys; a->at++) {
		if (!assoc_peek(assoc, ASSOC_FILESET, &args->keys[a->at], &a->raw, &a->nraw))
			return false;
		a->found = a->raw && take_entry(args, a->raw, a->nraw, &a->result);
		if (a->found)
			break;
	}
	return true;
}

struct op *
lookup_start(struct assoc *assoc, const struct lookup_args *args, lookup_cb *cb, void *arg)
{
	struct lookup *l = xcalloc(1, sizeof *l);

	op_init(&l->op, assoc->loop, &lookup_type);
	l->assoc = assoc;
	l->args = *args;
	l->cb = cb;
	l->arg = arg;
	l->state = args->nkeys > 0 ? LOOK_ASK : LOOK_OVER;
	timer_init(&l->limit, assoc->loop, "cache_lookup_limit", lookup_limit, l);
	if (args->timeout > 0)
		timer_set(&l->limit, args->timeout);
	op_wake(&l->op);
	return &l->op;
}

struct cache_put {
	struct op     op;	/* woken when nothing is pending any more */
	struct assoc *assoc;	/* kept */
	struct digest keys[2];
	unsigned      nkeys, pending;
	bool	      started;
	struct buf    value;
	struct op    *child[2];
	struct err   *err;	/* the first one */
	cache_put_cb *cb;
	void	     *arg;
};

static void
put_answer(struct cache_put *p, unsigned i, struct err *err)
{
	p->child[i] = NULL;
	if (!p->err)
		p->err = err;
	else
		err_free(err);
	if (--p->pending == 0)
		op_wake(&p->op);
}

static void
put_first_cb(struct err *err, void *arg)
{
	put_answer(arg, 0, err);
}

static void
put_second_cb(struct err *err, void *arg)
{
	put_answer(arg, 1, err);
}

static void
put_send(struct cache_put *p)
{
	static assoc_done_cb *const answers[2] = { put_first_cb, put_second_cb };

	p->started = true;
	p->pending = p->nkeys;
	for (unsigned i = 0; i < p->nkeys; i++)
		p->child[i] = assoc_put(p->assoc, ASSOC_FILESET, &p->keys[i], p->value.p, p->value.len, answers[i], p);
}

static void
put_advance(struct op *op)
{
	struct cache_put *p = op_owner(op, struct cache_put, op);
	cache_put_cb *cb = p->cb;
	struct err *err = p->err;
	void *arg = p->arg;

	if (!p->started) {
		put_send(p);
		return;
	}
	if (p->pending > 0)
		return;
	p->err = NULL;
	op_release(op);
	cb(err, arg);
}

static void
put_release(struct op *op)
{
	struct cache_put *p = op_owner(op, struct cache_put, op);

	op_cancel(&p->child[0]);
	op_cancel(&p->child[1]);
	buf_release(&p->value);
	err_free(p->err);
	free(p);
}

static const struct op_type put_type = { "cache_put", put_advance, put_release };

struct op *
cache_put_start(struct assoc *assoc, const struct digest *keys, unsigned nkeys, const struct exec_result *result,
    cache_put_cb *cb, void *arg)
{
	struct cache_put *p = xcalloc(1, sizeof *p);
	struct mpk_w w;

	op_init(&p->op, assoc->loop, &put_type);
	p->assoc = assoc;
	memcpy(p->keys, keys, nkeys * sizeof *keys);
	p->nkeys = nkeys;
	p->cb = cb;
	p->arg = arg;
	mpk_w_init(&w, &p->value);
	if (result)
		exec_result_brief_mpk(result, &w);
	op_wake(&p->op);
	return &p->op;
}
