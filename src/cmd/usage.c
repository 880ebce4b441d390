/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/usage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "cmd/text.h"

/*
 * A command may consist of several processes, and only its largest is known: so less memory is advised only across a wide
 * gap, and never less than twice what was seen. More is advised where less has failed.
 */
#define SAY_MAX	    5
#define MEM_LEAST   (500.0 * (1 << 20))	/* what an exec gets whatever it asks for */
#define MEM_WORTH   (1024.0 * (1 << 20))	/* less is not worth a word */
#define MEM_STEP    (100.0 * (1 << 20))	/* advice is a round figure */
#define MEM_GAP	    4
#define MEM_SPARE   2
#define CPU_GAP	    2
#define WALL_WORTH  INT64_C(1000000000)	/* ns: shorter ones say nothing of cores */
#define WALL_LONG   INT64_C(60000000000)	/* ns of commands: worth a table without advice */

static struct usage_row *
row_of(struct usage *u, const char *ident, size_t n)
{
	struct usage_row *row;

	HASH_FIND(hh, u->rows, ident, n, row);
	if (row == NULL) {
		row = xcalloc(1, sizeof *row);
		row->ident = xstrndup(ident, n);
		HASH_ADD_KEYPTR(hh, u->rows, row->ident, n, row);
	}
	return row;
}

static double
more(double a, double b)
{
	return a > b ? a : b;
}

void
usage_add(struct usage *u, const char *ident, size_t n, double asked, const struct exec_result *r)
{
	const struct exec_usage *x = &r->usage;
	struct usage_row *row;

	if (ident == NULL || r->attached || r->state == ATTEMPT_LOST || x->admitted.present == 0)
		return;
	row = row_of(u, ident, n);
	if ((row->execs & (row->execs - 1)) == 0)	/* grows at each power of two */
		row->each = xreallocarray(row->each, row->execs == 0 ? 1 : row->execs * 2, sizeof *row->each);
	row->each[row->execs++] = (uint32_t)(x->max_rss >> 10 < UINT32_MAX ? x->max_rss >> 10 : UINT32_MAX);
	row->killed += err_is(r->err, ERR_OOM);
	row->asked = more(row->asked, asked);
	row->mem = more(row->mem, x->admitted.mem);
	row->worked = r->state == ATTEMPT_OK ? more(row->worked, x->admitted.mem) : row->worked;
	row->cpu = more(row->cpu, x->admitted.cpu);
	row->used = more(row->used, (double)x->max_rss);
	row->wall_ns += x->wall_ns;
	row->cpu_ns += x->cpu_ns;
	row->mem_ns += x->admitted.mem * (double)x->wall_ns;
	row->used_ns += fmin((double)x->max_rss, x->admitted.mem) * (double)x->wall_ns;
	row->cores_ns += x->admitted.cpu * (double)x->wall_ns;
}

void
usage_release(struct usage *u)
{
	struct usage_row *row, *tmp;

	HASH_ITER(hh, u->rows, row, tmp) {
		HASH_DEL(u->rows, row);
		free(row->ident);
		free(row->each);
		free(row);
	}
}

/* Figures. */

static double
cores(const struct usage_row *row)
{
	return row->wall_ns > 0 ? (double)row->cpu_ns / (double)row->wall_ns : 0;
}

static int
cmp_kib(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* What half of them did with. */
static double
median(const struct usage_row *row)
{
	qsort(row->each, row->execs, sizeof *row->each, cmp_kib);
	return (double)row->each[(row->execs - 1) / 2] * 1024;
}

/* The part of what was set aside, over its time, that nobody used: 0 to 1. */
static double
in_vain(double set_aside, double used)
{
	return set_aside > 0 && used < set_aside ? 1 - used / set_aside : 0;
}

/* Bytes to ask for instead, or 0. */
static double
better_memory(const struct usage_row *row)
{
	double least = more(ceil(row->used * MEM_SPARE / MEM_STEP) * MEM_STEP, MEM_LEAST);

	if (row->asked > 0 && row->worked > row->asked)
		return row->worked;
	if (row->used > 0 && row->killed == 0 && row->asked >= MEM_WORTH && row->used * MEM_GAP <= row->asked &&
	    least < row->asked)
		return least;
	return 0;
}

/* Cores likewise. */
static double
better_cores(const struct usage_row *row)
{
	double least = more(ceil(cores(row)), 1);

	return row->wall_ns >= WALL_WORTH && cores(row) * CPU_GAP <= row->cpu && least < row->cpu ? least : 0;
}

/* JSON. */

static json_t *
better_json(double value)
{
	return value > 0 ? json_integer((json_int_t)value) : json_null();
}

static json_t *
row_json(const struct usage_row *row)
{
	json_t *j = json_object(), *mem = json_object(), *cpu = json_object();

	json_object_set_new(j, "ident", json_text(row->ident, strlen(row->ident)));
	json_object_set_new(j, "execs", json_integer((json_int_t)row->execs));
	json_object_set_new(j, "killed", json_integer((json_int_t)row->killed));
	json_object_set_new(j, "wall", json_real((double)row->wall_ns / 1e9));
	json_object_set_new(mem, "asked", json_integer((json_int_t)row->asked));
	json_object_set_new(mem, "admitted", json_integer((json_int_t)row->mem));
	json_object_set_new(mem, "used", json_integer((json_int_t)row->used));
	json_object_set_new(mem, "median", json_integer((json_int_t)median(row)));
	json_object_set_new(mem, "in_vain", json_real(in_vain(row->mem_ns, row->used_ns)));
	json_object_set_new(mem, "better", better_json(better_memory(row)));
	json_object_set_new(j, "memory", mem);
	json_object_set_new(cpu, "admitted", json_real(row->cpu));
	json_object_set_new(cpu, "used", json_real(cores(row)));
	json_object_set_new(cpu, "in_vain", json_real(in_vain(row->cores_ns, (double)row->cpu_ns)));
	json_object_set_new(cpu, "better", better_json(better_cores(row)));
	json_object_set_new(j, "cpu", cpu);
	return j;
}

json_t *
usage_json(const struct usage *u)
{
	json_t *a = json_array();

	for (const struct usage_row *row = u->rows; row != NULL; row = row->hh.next)
		json_array_append_new(a, row_json(row));
	return a;
}

/* For people. */

static void
add_cell(struct table *t, struct buf *b)
{
	table_add(t, buf_str(b));
	buf_clear(b);
}

static void
add_size_cell(struct table *t, double bytes, struct buf *b)
{
	if (bytes > 0)
		buf_add_size(b, bytes);
	else
		buf_addch(b, '-');
	add_cell(t, b);
}

/* As a program writes it: `mem := 700*MiB, cpu := 2`. */
static void
add_better(const struct usage_row *row, struct buf *b)
{
	double mem = better_memory(row), cpu = better_cores(row);

	if (mem > 0)
		buf_addf(b, "mem := %.0f*MiB", ceil(mem / (1 << 20)));
	if (cpu > 0)
		buf_addf(b, "%scpu := %.0f", mem > 0 ? ", " : "", cpu);
	if (b->len == 0)
		buf_addch(b, '-');
}

static void
table_begin(struct table *t)
{
	static const char *const heads[] = {
		"execs", "mem", "most", "median", "in vain", "cpu", "used", "in vain", "time", "better", "ident",
	};

	memset(t, 0, sizeof *t);
	t->ncols = nitems(heads);
	for (size_t i = 0; i < nitems(heads); i++)
		table_add(t, heads[i]);
}

static void
table_row(struct table *t, const struct usage_row *row)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%zu", row->execs);
	add_cell(t, &b);
	add_size_cell(t, row->asked, &b);
	add_size_cell(t, row->used, &b);
	add_size_cell(t, median(row), &b);
	buf_addf(&b, "%.0f%%", 100 * in_vain(row->mem_ns, row->used_ns));
	add_cell(t, &b);
	buf_addf(&b, "%g", row->cpu);
	add_cell(t, &b);
	buf_addf(&b, "%.1f", cores(row));
	add_cell(t, &b);
	buf_addf(&b, "%.0f%%", 100 * in_vain(row->cores_ns, (double)row->cpu_ns));
	add_cell(t, &b);
	duration_text(row->wall_ns, &b);
	add_cell(t, &b);
	add_better(row, &b);
	add_cell(t, &b);
	table_add(t, row->ident);
	buf_release(&b);
}

void
usage_table(const struct usage *u, struct buf *out)
{
	struct table t;

	if (u->rows == NULL)
		return;
	table_begin(&t);
	for (const struct usage_row *row = u->rows; row != NULL; row = row->hh.next)
		table_row(&t, row);
	table_print(&t, out);
	table_release(&t);
}

static bool
has_advice(const struct usage_row *row)
{
	return better_memory(row) > 0 || better_cores(row) > 0;
}

static int64_t
whole_time(const struct usage *u)
{
	int64_t sum = 0;

	for (const struct usage_row *row = u->rows; row != NULL; row = row->hh.next)
		sum += row->wall_ns;
	return sum;
}

static void
say_lines(const struct buf *b)
{
	const char *end = b->p + b->len;

	for (const char *p = b->p, *nl; p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL; p = nl + 1)
		log_info("  %.*s", (int)(nl - p), p);
}

void
usage_say(const struct usage *u)
{
	bool all = HASH_COUNT(u->rows) <= SAY_MAX && whole_time(u) >= WALL_LONG;
	size_t said = 0, left = 0;
	struct buf b = BUF_INIT;
	struct table t;

	table_begin(&t);
	for (const struct usage_row *row = u->rows; row != NULL; row = row->hh.next) {
		if (!all && !has_advice(row))
			continue;
		if (said == SAY_MAX) {
			left++;
			continue;
		}
		table_row(&t, row);
		said++;
	}
	if (said > 0) {
		log_info("asked for and used:");
		table_print(&t, &b);
		say_lines(&b);
	}
	if (left > 0)
		log_info("  and %zu more; weir info has all", left);
	table_release(&t);
	buf_release(&b);
}
