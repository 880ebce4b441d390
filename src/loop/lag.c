/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/lag.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "loop/loop_priv.h"

/*
 * Who holds the loop up. Each callback is charged with the thread CPU used since the callback before it ended, so that
 * a machine that is busy with others' work blames nobody. That clock is a system call, half a microsecond, and most
 * callbacks take no longer themselves: short ones are charged with the time that has gone by, which costs nothing to
 * ask and is never less, and the CPU clock is read only when they add up to LAG_FINE, or one alone does.
 */
struct lag_entry {
	struct lag_row row;	/* row.name owned, and the key */
	UT_hash_handle hh;
};

#define LAG_WORTH_A_LINE MILLIS(50)
#define LAG_FINE	 (MILLIS(1) / 4)

static int64_t
clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* What went by outside of callbacks is nobody's, but the CPU clock may have moved meanwhile. */
void
lag_tick(struct loop *l)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	l->unread += now - l->charged;
	l->charged = now;
}

/* What was used since the last charge; at most the time that went by. */
static int64_t
lag_used(struct loop *l)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC), used = now - l->charged, cpu;

	l->charged = now;
	l->unread += used;
	if (l->unread < LAG_FINE)
		return used;
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	if (cpu - l->cpu < used)
		used = cpu - l->cpu;
	l->cpu = cpu;
	l->unread = 0;
	return used;
}

/* A name mostly stands where it stood before: the hash is asked once for each, and again when it was another's place. */
static struct lag_entry *
lag_entry_get(struct loop *l, const char *name)
{
	struct lag_entry **recent = &l->lag_recent[(uintptr_t)name / 8 % LAG_RECENT], *e = *recent;

	if (e != NULL && strcmp(e->row.name, name) == 0)
		return e;
	HASH_FIND_STR(l->lag, name, e);
	if (e == NULL) {
		e = xcalloc(1, sizeof *e);
		e->row.name = xstrdup(name);
		HASH_ADD_KEYPTR(hh, l->lag, e->row.name, strlen(e->row.name), e);
	}
	*recent = e;
	return e;
}

void
lag_charge(struct loop *l, const char *name)
{
	struct lag_entry *e = lag_entry_get(l, name);
	int64_t used = lag_used(l);

	e->row.calls++;
	e->row.total_ns += used;
	if (used > e->row.max_ns)
		e->row.max_ns = used;
	if (used > l->lag_max) {
		l->lag_max = used;
		l->lag_max_name = e->row.name;
	}
	if (used > LAG_WORTH_A_LINE)
		log_debug("%s held the loop for %lld ms", name, (long long)(used / 1000000));
}

static int
lag_row_cmp(const void *a, const void *b)
{
	const struct lag_row *x = a, *y = b;

	if (x->max_ns != y->max_ns)
		return x->max_ns < y->max_ns ? 1 : -1;
	return strcmp(x->name, y->name);
}

const struct lag_row *
loop_lag(struct loop *l, size_t *n)
{
	struct lag_entry *e, *tmp;

	*n = 0;
	l->rows = xreallocarray(l->rows, HASH_COUNT(l->lag) + 1, sizeof *l->rows);
	HASH_ITER(hh, l->lag, e, tmp)
		l->rows[(*n)++] = e->row;
	qsort(l->rows, *n, sizeof *l->rows, lag_row_cmp);
	return l->rows;
}

int64_t
loop_lag_max(const struct loop *l, const char **name)
{
	if (name != NULL)
		*name = l->lag_max_name != NULL ? l->lag_max_name : "";
	return l->lag_max;
}

void
lag_release(struct loop *l)
{
	struct lag_entry *e, *tmp;

	HASH_ITER(hh, l->lag, e, tmp) {
		HASH_DEL(l->lag, e);
		free((char *)e->row.name);
		free(e);
	}
	free(l->rows);
}
