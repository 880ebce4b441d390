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
 *
 * The result is gone through in the slice, as works become free: a list of a million files must not hold the loop.
 */
struct result_files {
	const struct file **seen;	/* open addressing, a power of two; they stand in the value */
	size_t	     nseen, size;
	struct seen *before;	/* owned: those that need no look, or NULL */
};

static const struct file **
seen_slot(const struct file **seen, size_t size, const struct file *file)
{
	uint64_t h;
	size_t i;

	memcpy(&h, file->id.b, sizeof h);
	for (i = h & (size - 1); seen[i] != NULL && !digest_equal(&seen[i]->id, &file->id); i = (i + 1) & (size - 1))
		;
	return &seen[i];
}

static void
seen_grow(struct result_files *r)
{
	size_t size = 2 * r->size;
	const struct file **seen = xcalloc(size, sizeof *seen);

	for (size_t i = 0; i < r->size; i++) {
		if (r->seen[i] != NULL)
			*seen_slot(seen, size, r->seen[i]) = r->seen[i];
		slice_breathe(1);
	}
	free(r->seen);
	r->seen = seen;
	r->size = size;
}

void
result_release(struct eval *e)
{
	if (e->files == NULL)
		return;
	free(e->files->seen);
	seen_free(e->files->before);
	free(e->files);
	e->files = NULL;
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

static bool
window_full(const struct eval *e)
{
	return e->light.out + e->light.answered >= WINDOW_MAX || e->trouble;
}

static void
see_file(unused_arg const char *path, const struct file *file, void *arg)
{
	struct eval *e = arg;
	struct result_files *r = e->files;
	const struct file **slot;

	if (r->before && seen_has(r->before, &file->id))
		return;
	if (4 * (r->nseen + 1) > 3 * r->size)
		seen_grow(r);
	slot = seen_slot(r->seen, r->size, file);
	if (*slot != NULL)
		return;
	*slot = file;
	r->nseen++;
	while (window_full(e))
		if (!slice_pause())
			return;
	if (slice_breathe(1))
		see_to(e, file);
}

static void
see_all(void *arg)
{
	struct eval *e = arg;

	e->files->before = seen_ask(e);
	value_each_file(e->root->value, see_file, e);
}

void
result_plan(struct eval *e)
{
	struct result_files *r = xcalloc(1, sizeof *r);

	result_release(e);
	e->files = r;
	for (r->size = 64; 3 * r->size < 4 * (value_nparts(e->root->value) + 1);)	/* mostly a file each */
		r->size *= 2;
	r->seen = xcalloc(r->size, sizeof *r->seen);
	slice_begin(e->slice, see_all, e);
}

void
result_step(struct eval *e)
{
	bool over;

	e->light.answered = 0;
	over = !slice_busy(e->slice) || slice_go(e->slice);
	if (!over && e->light.out < WINDOW_MAX && !e->trouble)
		op_wake(&e->op);
	if (!over || e->nworks > 0 || e->trouble)
		return;
	if (e->missing) {
		heal_result(e, fileset_builder_finish(e->missing));
		e->missing = NULL;
		eval_to(e, EVAL_RUN);
	} else {
		if (e->files->before)
			seen_remember(e, e->files->before);
		eval_to(e, EVAL_DRAIN);
	}
	op_wake(&e->op);
}
