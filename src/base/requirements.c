/* SPDX-License-Identifier: Apache-2.0 */
#include "base/requirements.h"

#include <limits.h>

/*
 * Requirements on top of the arithmetic of resources. What is easy to get wrong: min is never a sum.
 * Two execs of 2 and 8 cores want 8; only the width says that both could run at once.
 */

void
requirements_release(struct requirements *r)
{
	resources_release(&r->min);
	r->width = 0;
}

void
requirements_copy(struct requirements *dst, const struct requirements *src)
{
	resources_copy(&dst->min, &src->min);
	dst->width = src->width;
}

bool
requirements_wide(const struct requirements *r)
{
	return r->width > 0;
}

void
requirements_max(const struct requirements *r, struct resources *out)
{
	resources_copy(out, &r->min);
	resources_scale(out, 1.0 + r->width);
}

void
requirements_add(struct requirements *r, const struct requirements *s)
{
	resources_max(&r->min, &s->min);
	if (__builtin_add_overflow(r->width, s->width, &r->width))
		r->width = INT_MAX;	/* nodes that share a dependency count it twice: sums double with depth */
}

void
requirements_add_serial(struct requirements *r, const struct resources *s)
{
	resources_max(&r->min, s);
}

void
requirements_add_parallel(struct requirements *r, const struct resources *s)
{
	static const struct resources none = RESOURCES_INIT;

	if (r->width < INT_MAX && (r->width > 0 || !resources_equal(&r->min, &none)))
		r->width++;
	resources_max(&r->min, s);
}

bool
requirements_equal(const struct requirements *r, const struct requirements *s)
{
	return r->width == s->width && resources_equal(&r->min, &s->min);
}

void
requirements_str(const struct requirements *r, struct buf *out)
{
	resources_str(&r->min, out);
	if (r->width > 1)
		buf_addf(out, "#%d", r->width);
}
