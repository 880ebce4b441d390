/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"

/*
 * The system knows the resident memory of the largest process of an exec, and not what all of them had together: so
 * what is said of memory is careful, and only a wide gap is spoken of.
 */
#define SAY_MAX	    3
#define MEM_WORTH   (1024.0 * (1 << 20))	/* less is not worth a word */
#define MEM_GAP	    4
#define CPU_GAP	    2
#define WALL_WORTH  INT64_C(1000000000)	/* ns: shorter ones say nothing of cores */

static struct usage_row *
row_of(struct usage *u, const char *ident, size_t n)
{
	for (size_t i = 0; i < u->nrows; i++)
		if (strncmp(u->rows[i].ident, ident, n) == 0 && u->rows[i].ident[n] == '\0')
			return &u->rows[i];
	if ((u->nrows & (u->nrows - 1)) == 0)	/* grows at each power of two */
		u->rows = xreallocarray(u->rows, u->nrows == 0 ? 1 : u->nrows * 2, sizeof *u->rows);
	memset(&u->rows[u->nrows], 0, sizeof *u->rows);
	u->rows[u->nrows].ident = xstrndup(ident, n);
	return &u->rows[u->nrows++];
}

static double
more(double a, double b)
{
	return a > b ? a : b;
}

void
usage_add(struct usage *u, const char *ident, size_t n, double asked, const struct exec_result *r)
{
	struct usage_row *row;

	if (ident == NULL || r->attached || r->state == ATTEMPT_LOST || r->usage.admitted.present == 0)
		return;
	row = row_of(u, ident, n);
	row->execs++;
	row->asked = more(row->asked, asked);
	row->mem = more(row->mem, r->usage.admitted.mem);
	row->cpu = more(row->cpu, r->usage.admitted.cpu);
	row->used = more(row->used, (double)r->usage.max_rss);
	row->wall_ns += r->usage.wall_ns;
	row->cpu_ns += r->usage.cpu_ns;
}

void
usage_release(struct usage *u)
{
	for (size_t i = 0; i < u->nrows; i++)
		free(u->rows[i].ident);
	free(u->rows);
	memset(u, 0, sizeof *u);
}

static double
cores(const struct usage_row *row)
{
	return row->wall_ns > 0 ? (double)row->cpu_ns / (double)row->wall_ns : 0;
}

static json_t *
row_json(const struct usage_row *row)
{
	json_t *j = json_object(), *mem = json_object(), *cpu = json_object();

	json_object_set_new(j, "ident", json_text(row->ident, strlen(row->ident)));
	json_object_set_new(j, "execs", json_integer((json_int_t)row->execs));
	json_object_set_new(mem, "asked", json_integer((json_int_t)row->asked));
	json_object_set_new(mem, "admitted", json_integer((json_int_t)row->mem));
	json_object_set_new(mem, "used", json_integer((json_int_t)row->used));
	json_object_set_new(j, "memory", mem);
	json_object_set_new(cpu, "admitted", json_real(row->cpu));
	json_object_set_new(cpu, "used", json_real(cores(row)));
	json_object_set_new(j, "cpu", cpu);
	return j;
}

json_t *
usage_json(const struct usage *u)
{
	json_t *a = json_array();

	for (size_t i = 0; i < u->nrows; i++)
		json_array_append_new(a, row_json(&u->rows[i]));
	return a;
}

static bool
spare_memory(const struct usage_row *row)
{
	return row->used > 0 && row->mem >= MEM_WORTH && row->used * MEM_GAP <= row->mem;
}

static bool
spare_cores(const struct usage_row *row)
{
	return row->cpu > 1 && row->wall_ns >= WALL_WORTH && cores(row) * CPU_GAP <= row->cpu;
}

static void
say_row(const struct usage_row *row)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s: ", row->ident);
	if (spare_memory(row)) {
		buf_add_size(&b, row->mem);
		buf_addstr(&b, " of memory set aside, and no process used more than ");
		buf_add_size(&b, row->used);
	}
	if (spare_cores(row))
		buf_addf(&b, "%s%g cores set aside, and %.1f of them used", spare_memory(row) ? "; " : "", row->cpu,
		    cores(row));
	log_info("%s", buf_str(&b));
	buf_release(&b);
}

void
usage_say(const struct usage *u)
{
	size_t said = 0;

	for (size_t i = 0; i < u->nrows && said < SAY_MAX; i++) {
		if (!spare_memory(&u->rows[i]) && !spare_cores(&u->rows[i]))
			continue;
		say_row(&u->rows[i]);
		said++;
	}
}
