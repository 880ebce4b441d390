/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <limits.h>
#include <stdlib.h>

#include "base/xalloc.h"

/*
 * The stack of an evaluation: frames on the heap, so that how deep a program calls itself is a matter of memory and of
 * CALLS_MAX, not of the process's stack. What is easy to get wrong: a step owns its frame, which is not on the stack
 * meanwhile; it puts it back by frame_await, or frees it.
 */
#define CALLS_MAX  2000000	/* calls of functions under way: half a gigabyte or so */
#define PART_STEPS 16	/* a few microseconds each, at most */
#define NESTED_MAX 500		/* evaluations within evaluations, which do recurse: of parameters of @requires */

struct frame *
frame_new(const struct expr *e, const struct place *place, frame_fn *step, size_t room)
{
	struct frame *f = xcalloc(1, offsetof(struct frame, v) + room * sizeof(struct value *));

	f->step = step;
	f->e = e;
	f->place.env = env_ref(place->env);
	f->place.ident = place->ident;
	return f;
}

void
frame_free(struct frame *f)
{
	values_unref(f->v, f->n);
	value_unref(f->held);
	env_unref(f->place.env);
	free(f);
}

void
frame_push(struct lower *lo, struct frame *f)
{
	f->below = lo->top;
	lo->top = f;
}

static struct frame *
frame_pop(struct lower *lo)
{
	struct frame *f = lo->top;

	lo->top = f->below;
	return f;
}

struct err *
frame_await(struct lower *lo, struct frame *f, const struct expr *e, const struct place *place, struct value **out)
{
	struct err *err;

	frame_push(lo, f);
	err = lower_go(lo, e, place, out);
	if (err == NULL && *out != NULL)
		(void)frame_pop(lo);
	return err;
}

/* Where a function comes back to: there for the count of calls. */
static struct err *
return_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	lo->calls--;
	frame_free(f);
	*out = got;
	return NULL;
}

static struct err *
too_deep(const struct span *span)
{
	return lower_err(span, "evaluation is nested too deeply: does a function call itself without end?");
}

struct err *
frame_call(struct lower *lo, const struct span *span, const struct expr *body, const struct place *place,
    struct value **out)
{
	static const struct place nowhere = { NULL, NULL };
	struct frame *f;
	struct err *err;

	if (lo->calls == CALLS_MAX)
		return too_deep(span);
	f = frame_new(NULL, &nowhere, return_step, 0);
	lo->calls++;
	err = frame_await(lo, f, body, place, out);
	return err == NULL && *out != NULL ? return_step(lo, f, *out, out) : err;
}

/* After an error: what stands above base is given up. */
static void
unwind(struct lower *lo, const struct frame *base)
{
	while (lo->top != base) {
		struct frame *f = frame_pop(lo);

		lo->calls -= f->step == return_step;
		frame_free(f);
	}
}

/* *v is what the frame on top waits for. After an error the stack is down to base. */
static struct err *
run_some(struct lower *lo, const struct frame *base, struct value **v, unsigned *steps)
{
	for (; lo->top != base && *steps > 0; --*steps) {
		struct frame *f = frame_pop(lo);
		struct value *got = *v;
		struct err *err;

		*v = NULL;
		if ((err = f->step(lo, f, got, v)) != NULL) {
			unwind(lo, base);
			return err;
		}
	}
	return NULL;
}

struct err *
lower_run(struct lower *lo, struct frame *base, struct value **out)
{
	struct err *err = NULL;

	while (err == NULL && lo->top != base) {
		unsigned steps = UINT_MAX;

		err = run_some(lo, base, out, &steps);
	}
	return err;
}

static void
swap_stacks(struct lower_part *p)
{
	struct frame *top = p->lo->top;
	unsigned calls = p->lo->calls;

	p->lo->top = p->top;
	p->lo->calls = p->calls;
	p->top = top;
	p->calls = calls;
}

void
lower_part_begin(struct lower_part *p, struct lower *lo)
{
	*p = (struct lower_part){ .lo = lo };
	swap_stacks(p);
}

void
lower_part_begun(struct lower_part *p, struct value *v, struct err *err)
{
	p->got = v;
	p->err = err;
	if (err != NULL)
		unwind(p->lo, NULL);
	swap_stacks(p);
}

bool
lower_part_step(struct lower_part *p, struct value **out, struct err **err)
{
	unsigned steps = PART_STEPS;

	swap_stacks(p);
	if (p->err == NULL)
		p->err = run_some(p->lo, NULL, &p->got, &steps);
	swap_stacks(p);
	if (p->top != NULL)
		return false;
	*out = p->got;
	*err = p->err;
	p->got = NULL;
	p->err = NULL;
	return true;
}

void
lower_part_release(struct lower_part *p)
{
	swap_stacks(p);
	unwind(p->lo, NULL);
	swap_stacks(p);
	value_unref(p->got);
	err_free(p->err);
}

struct err *
lower_expr(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	struct frame *base = lo->top;
	struct err *err;

	if (lo->nested == NESTED_MAX)
		return too_deep(&e->span);
	lo->nested++;
	*out = NULL;
	if ((err = lower_go(lo, e, place, out)) == NULL)
		err = lower_run(lo, base, out);
	lo->nested--;
	return err;
}
