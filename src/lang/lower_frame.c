/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdlib.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * The stack of an evaluation: frames on the heap, so that how deep a program calls itself is a matter of memory and of
 * CALLS_MAX, not of the process's stack. What is easy to get wrong: a step owns its frame, which is not on the stack
 * meanwhile; it puts it back by frame_await, or frees it.
 */
#define CALLS_MAX  2000000	/* calls of functions under way: half a gigabyte or so */
#define STEP_COST  15	/* a microsecond or two: what goes over many elements at once breathes itself */
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
		slice_breathe(2);
	}
}

struct err *
lower_run(struct lower *lo, struct frame *base, struct err *err, struct value **out)
{
	while (err == NULL && lo->top != base) {
		struct frame *f = frame_pop(lo);
		struct value *got = *out;

		*out = NULL;
		err = f->step(lo, f, got, out);
		if (err == NULL && !slice_breathe(STEP_COST)) {
			err = err_new(ERR_CANCELED, NULL, NULL);
			value_unref(*out);
		}
	}
	if (err != NULL) {
		unwind(lo, base);
		*out = NULL;
	}
	return err;
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
	err = lower_run(lo, base, lower_go(lo, e, place, out), out);
	lo->nested--;
	return err;
}
