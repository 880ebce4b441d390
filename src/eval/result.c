/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "eval/eval_priv.h"
#include "eval/heal.h"

/*
 * The files of the result. Whoever reads it later finds them in the repository: inputs that are part of it enter only
 * now, and of the others a look says whether they are there, for a hit has trusted the cache. What is missing is made
 * anew, and then this begins again.
 */
struct gather {
	struct eval *eval;
	size_t	     cap;
};

static void
gather_file(unused_arg const char *path, const struct file *file, void *arg)
{
	struct gather *g = arg;
	struct eval *e = g->eval;

	if (e->nfiles == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 16;
		e->files = xreallocarray(e->files, g->cap, sizeof *e->files);
	}
	e->files[e->nfiles++] = *file;
}

static int
file_cmp(const void *a, const void *b)
{
	return digest_cmp(&((const struct file *)a)->id, &((const struct file *)b)->id);
}

void
result_plan(struct eval *e)
{
	struct gather g = { e, 0 };
	size_t n = 0;

	free(e->files);
	e->files = NULL;
	e->nfiles = 0;
	value_each_file(e->root->value, gather_file, &g);
	if (e->nfiles > 0)
		qsort(e->files, e->nfiles, sizeof *e->files, file_cmp);
	for (size_t i = 0; i < e->nfiles; i++)
		if (n == 0 || file_cmp(&e->files[n - 1], &e->files[i]) != 0)
			e->files[n++] = e->files[i];
	e->nfiles = n;
}

static void
see_to(struct eval *e, const struct file *file)
{
	struct buf from = BUF_INIT;

	if (origin_path(e->origin, &file->id, &from))
		work_install(e, file);
	else
		work_check(e, file);
	buf_release(&from);
}

void
result_missing(struct eval *e, const struct file *file)
{
	char name[DIGEST_HEX + 1];

	digest_hex(&file->id, name);
	if (!e->missing)
		e->missing = fileset_builder_new();
	fileset_builder_add(e->missing, name, file);
}

void
result_step(struct eval *e)
{
	while (e->nfiles > 0 && e->light.out < WINDOW_MAX && !e->trouble)
		see_to(e, &e->files[--e->nfiles]);
	if (e->nworks > 0 || e->trouble)
		return;
	if (e->missing) {
		heal_result(e, fileset_builder_finish(e->missing));
		e->missing = NULL;
		eval_to(e, EVAL_RUN);
	} else {
		eval_to(e, EVAL_DRAIN);
	}
	op_wake(&e->op);
}
