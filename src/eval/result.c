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
 * The result is gone through part by part as works become free: a list of a million files must not hold the loop.
 */
struct result_files {
	size_t	     at;	/* of the value's own parts, the next */
	struct file *v;		/* of the part before, still to be seen to */
	size_t	     n, cap;
	const struct file **seen;	/* open addressing, a power of two; they stand in the value */
	size_t	     nseen, size;
	struct seen *before;	/* owned: those that need no look, or NULL */
	bool	     asked;	/* before knows which */
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

	for (size_t i = 0; i < r->size; i++)
		if (r->seen[i] != NULL)
			*seen_slot(seen, size, r->seen[i]) = r->seen[i];
	free(r->seen);
	r->seen = seen;
	r->size = size;
}

static void
gather_file(unused_arg const char *path, const struct file *file, void *arg)
{
	struct result_files *r = arg;
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
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 16;
		r->v = xreallocarray(r->v, r->cap, sizeof *r->v);
	}
	r->v[r->n++] = *file;
}

void
result_release(struct eval *e)
{
	if (e->files == NULL)
		return;
	free(e->files->v);
	free(e->files->seen);
	seen_free(e->files->before);
	free(e->files);
	e->files = NULL;
}

void
result_plan(struct eval *e)
{
	struct result_files *r = xcalloc(1, sizeof *r);

	result_release(e);
	e->files = r;
	r->before = seen_begin(e->root->value);
	/* Room for a file a part at once: to move a large table takes too long. */
	for (r->size = 64; 3 * r->size < 4 * (value_nparts(e->root->value) + 1);)
		r->size *= 2;
	r->seen = xcalloc(r->size, sizeof *r->seen);
}

/* One file more to be seen to; false: no more. */
static bool
next_file(struct eval *e, struct file *out)
{
	struct result_files *r = e->files;
	const struct value *v = e->root->value;
	size_t n = value_nparts(v);

	while (r->n == 0 && r->at < (n > 0 ? n : 1)) {
		value_each_file(n > 0 ? value_part(v, r->at) : v, gather_file, r);
		r->at++;
	}
	if (r->n == 0)
		return false;
	*out = r->v[--r->n];
	return true;
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
	struct result_files *r = e->files;
	struct file file;
	bool full;

	if (r->before && !r->asked) {
		r->asked = seen_ask(e, r->before);
		op_wake(&e->op);
		return;
	}
	while (e->light.out + e->light.answered < WINDOW_MAX && !e->trouble && next_file(e, &file))
		see_to(e, &file);
	full = e->light.answered > 0 && e->light.out + e->light.answered >= WINDOW_MAX;
	e->light.answered = 0;
	if (full)
		op_wake(&e->op);
	if (full || e->nworks > 0 || e->trouble)
		return;
	if (e->missing) {
		heal_result(e, fileset_builder_finish(e->missing));
		e->missing = NULL;
		eval_to(e, EVAL_RUN);
	} else {
		if (r->before)
			seen_remember(e, r->before);
		eval_to(e, EVAL_DRAIN);
	}
	op_wake(&e->op);
}
