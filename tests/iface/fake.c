/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/fake.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct fake_call {
	struct op      op;
	struct op_type type;
	struct timer   answer;
	bool	       due;
	struct fake   *f;	/* kept */
	struct err    *fault;	/* owned */
	void (*run)(struct err *, void *);
	void (*drop)(void *);
	void	      *data;	/* owned until run or drop */
};

void
fake_init(struct fake *f, struct loop *loop)
{
	memset(f, 0, sizeof *f);
	f->loop = loop;
}

void
fake_fail(struct fake *f, const char *call, unsigned nth, enum err_kind kind)
{
	struct fake_fault *at = NULL;

	for (size_t i = 0; i < f->nfaults; i++)
		if (strcmp(f->faults[i].call, call) == 0 && f->faults[i].nth == nth)
			at = &f->faults[i];
	if (!at) {
		assert_true(f->nfaults < FAKE_FAULTS);
		at = &f->faults[f->nfaults++];
	}
	*at = (struct fake_fault){ call, nth, kind };
}

static unsigned *
counter(struct fake *f, const char *call)
{
	for (size_t i = 0; i < f->ncounts; i++)
		if (strcmp(f->counts[i].call, call) == 0)
			return &f->counts[i].n;
	assert_true(f->ncounts < FAKE_CALLS);
	f->counts[f->ncounts].call = call;
	return &f->counts[f->ncounts++].n;
}

unsigned
fake_calls(const struct fake *f, const char *call)
{
	for (size_t i = 0; i < f->ncounts; i++)
		if (strcmp(f->counts[i].call, call) == 0)
			return f->counts[i].n;
	return 0;
}

static struct err *
fault_of(const struct fake *f, const char *call, unsigned nth)
{
	for (size_t i = 0; i < f->nfaults; i++)
		if (strcmp(f->faults[i].call, call) == 0 && (f->faults[i].nth == nth || f->faults[i].nth == 0))
			return err_new(f->faults[i].kind, call, "injected");
	return NULL;
}

static void
call_advance(struct op *op)
{
	struct fake_call *c = op_owner(op, struct fake_call, op);
	void (*run)(struct err *, void *) = c->run;
	struct err *fault = c->fault;
	void *data = c->data;

	if (!c->due)
		return;
	if (!fault && c->f->torture)
		fault = torture_fault(c->f->torture, c->type.name);
	c->fault = NULL;
	c->drop = NULL;
	op_release(op);
	run(fault, data);
}

static void
call_release(struct op *op)
{
	struct fake_call *c = op_owner(op, struct fake_call, op);

	timer_clear(&c->answer);
	if (c->drop)
		c->drop(c->data);
	err_free(c->fault);
	free(c);
}

static void
call_answer(void *arg)
{
	struct fake_call *c = arg;

	c->due = true;
	op_wake(&c->op);
}

struct op *
fake_call(struct fake *f, const char *call, void (*run)(struct err *, void *), void (*drop)(void *), void *data)
{
	struct fake_call *c = xcalloc(1, sizeof *c);

	c->type = (struct op_type){ call, call_advance, call_release };
	c->f = f;
	c->fault = fault_of(f, call, ++*counter(f, call));
	c->run = run;
	c->drop = drop;
	c->data = data;
	op_init(&c->op, f->loop, &c->type);
	timer_init(&c->answer, f->loop, call, call_answer, c);
	if (f->latency > 0)
		timer_set(&c->answer, f->latency);
	else
		call_answer(c);
	return &c->op;
}
