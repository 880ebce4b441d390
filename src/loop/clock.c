/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/clock.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "base/attr.h"
#include "base/xalloc.h"

/* Clocks. The real one counts while the host is suspended: a lease that was slept through has lapsed. */

static int64_t
clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t
clock_real_mono(struct clock *c unused_arg)
{
	return clock_ns(CLOCK_BOOTTIME);
}

static int64_t
clock_real_wall(struct clock *c unused_arg)
{
	return clock_ns(CLOCK_REALTIME);
}

struct clock *
clock_real(void)
{
	static struct clock real = { clock_real_mono, clock_real_wall, NULL };

	return &real;
}

struct virtual_clock {
	struct clock clock;
	int64_t	     mono;
	int64_t	     wall_offset;	/* wall minus mono */
};

static int64_t
clock_virtual_mono(struct clock *c)
{
	return container_of(c, struct virtual_clock, clock)->mono;
}

static int64_t
clock_virtual_wall(struct clock *c)
{
	struct virtual_clock *v = container_of(c, struct virtual_clock, clock);

	return v->mono + v->wall_offset;
}

static void
clock_virtual_advance(struct clock *c, int64_t to_mono)
{
	struct virtual_clock *v = container_of(c, struct virtual_clock, clock);

	assert(to_mono >= v->mono);
	v->mono = to_mono;
}

struct clock *
clock_virtual_new(int64_t wall)
{
	struct virtual_clock *v = xcalloc(1, sizeof *v);

	v->clock = (struct clock){ clock_virtual_mono, clock_virtual_wall, clock_virtual_advance };
	v->mono = 1000000000;
	v->wall_offset = wall - v->mono;
	return &v->clock;
}

void
clock_virtual_free(struct clock *c)
{
	if (c != NULL)
		free(container_of(c, struct virtual_clock, clock));
}
