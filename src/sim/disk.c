/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/disk.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"

/* Objects and files: tables. Journals are in journal.c. */

struct object {
	struct file    file;
	struct unsynced on_disk;
	enum { O_WHOLE, O_FLIPPED, O_SHORT } bytes;
	struct buf     data;	/* mostly none */
	UT_hash_handle hh;
};
struct sim_objects {
	struct world  *world;
	struct object *all;
};

struct sim_objects *
objects_new(struct world *w)
{
	struct sim_objects *o = xcalloc(1, sizeof *o);

	o->world = w;
	return o;
}

static void
object_free(struct sim_objects *o, struct object *x)
{
	HASH_DEL(o->all, x);
	buf_release(&x->data);
	free(x);
}

void
objects_free(struct sim_objects *o)
{
	struct object *x, *tmp;

	HASH_ITER(hh, o->all, x, tmp)
		object_free(o, x);
	free(o);
}

static struct object *
object_find(const struct sim_objects *o, const struct digest *d)
{
	struct object *x;

	HASH_FIND(hh, o->all, d, sizeof *d, x);
	return x;
}

void
objects_add(struct sim_objects *o, const struct file *f)
{
	struct object *x = object_find(o, &f->id);

	if (x && x->bytes == O_WHOLE)
		return;
	if (!x) {
		x = xcalloc(1, sizeof *x);
		x->file = *f;
		HASH_ADD(hh, o->all, file.id, sizeof f->id, x);
	}
	x->bytes = O_WHOLE;
	world_writes(o->world, &x->on_disk);
}

static void
add_cb(unused_arg const char *path, const struct file *f, void *arg)
{
	objects_add(arg, f);
}

void
objects_add_all(struct sim_objects *o, const struct fileset *fs)
{
	fileset_each(fs, add_cb, o);
}

bool
objects_has(const struct sim_objects *o, const struct digest *d)
{
	const struct object *x = object_find(o, d);

	return x && x->bytes == O_WHOLE;
}

struct err *
objects_stat(const struct sim_objects *o, const struct digest *d, struct file *out)
{
	const struct object *x = object_find(o, d);

	if (!x)
		return err_new(ERR_NOT_EXIST, "stat", "object");
	if (x->bytes == O_FLIPPED)
		return err_new(ERR_INTEGRITY, "stat", "object");
	*out = x->file;
	if (x->bytes == O_SHORT)
		out->size /= 2;
	return NULL;
}

void
objects_set_bytes(struct sim_objects *o, const struct digest *d, const void *p, size_t n)
{
	struct object *x = object_find(o, d);

	if (x && x->data.len == 0)
		buf_add(&x->data, p, n);
}

void
objects_get_bytes(const struct sim_objects *o, const struct digest *d, struct buf *out)
{
	const struct object *x = object_find(o, d);

	if (x)
		buf_add(out, x->data.p, x->bytes == O_SHORT ? x->data.len / 2 : x->data.len);
}

unsigned
objects_lose(struct world *w, struct sim_objects *o, unsigned percent)
{
	struct object *x, *tmp;
	unsigned n = 0, i = 0;

	HASH_ITER(hh, o->all, x, tmp) {
		if (world_dice(w, "object", w->turns, i++) % 100 >= percent)
			continue;
		object_free(o, x);
		n++;
	}
	return n;
}

unsigned
objects_damage(struct world *w, struct sim_objects *o, unsigned percent)
{
	struct object *x;
	unsigned n = 0, i = 0;

	for (x = o->all; x; x = x->hh.next) {
		uint64_t dice = world_dice(w, "damage", w->turns, i++);

		if (dice % 100 >= percent)
			continue;
		x->bytes = dice >> 32 & 1 && x->file.size > 1 ? O_SHORT : O_FLIPPED;
		n++;
	}
	return n;
}

void
objects_damage_one(struct sim_objects *o, const struct digest *d)
{
	struct object *x = object_find(o, d);

	if (x)
		x->bytes = O_FLIPPED;
}

/* A name that has made it to the disk may have done so before its bytes. */
void
objects_cut(struct world *w, struct sim_objects *o, uint64_t cut)
{
	struct object *x, *tmp;

	HASH_ITER(hh, o->all, x, tmp) {
		if (world_synced(w, &x->on_disk))
			continue;
		if (x->on_disk.order > cut)
			object_free(o, x);
		else if (world_chance(w, 0.3, "bytes", w->turns, x->on_disk.order) && x->file.size > 1)
			x->bytes = O_SHORT;
	}
}

struct presence {
	const struct sim_objects *o;
	bool all;
};

static void
presence_cb(unused_arg const char *path, const struct file *f, void *arg)
{
	struct presence *p = arg;

	p->all = p->all && objects_has(p->o, &f->id);
}

bool
objects_has_all(const struct sim_objects *o, const struct fileset *fs)
{
	struct presence p = { o, true };

	if (fs)
		fileset_each(fs, presence_cb, &p);
	return p.all;
}

/* Files. */

struct local {
	char	      *path;
	struct file    file;
	UT_hash_handle hh;
};
struct sim_files {
	struct local *all;
};

struct sim_files *
files_new(void)
{
	return xcalloc(1, sizeof(struct sim_files));
}

static void
local_free(struct sim_files *f, struct local *l)
{
	HASH_DEL(f->all, l);
	free(l->path);
	free(l);
}

void
files_free(struct sim_files *f)
{
	struct local *l, *tmp;

	HASH_ITER(hh, f->all, l, tmp)
		local_free(f, l);
	free(f);
}

static struct local *
local_find(const struct sim_files *f, const char *path)
{
	struct local *l;

	HASH_FIND_STR(f->all, path, l);
	return l;
}

void
files_write(struct sim_files *f, const char *path, const char *text)
{
	struct local *l = local_find(f, path);

	if (l)
		local_free(f, l);
	if (!text)
		return;
	l = xcalloc(1, sizeof *l);
	l->path = xstrdup(path);
	l->file.size = strlen(text);
	sha256_of(text, l->file.size, &l->file.id);
	HASH_ADD_KEYPTR(hh, f->all, l->path, strlen(l->path), l);
}

bool
files_read(const struct sim_files *f, const char *path, struct file *out)
{
	const struct local *l = local_find(f, path);

	if (l)
		*out = l->file;
	return l != NULL;
}

struct fileset *
files_dir(const struct sim_files *f, const char *path)
{
	struct fileset_builder *b = fileset_builder_new();
	const struct local *l;
	size_t n = strlen(path), found = 0;

	for (l = f->all; l; l = l->hh.next) {
		if (strncmp(l->path, path, n) != 0 || l->path[n] != '/')
			continue;
		fileset_builder_add(b, l->path + n + 1, &l->file);
		found++;
	}
	if (found > 0)
		return fileset_builder_finish(b);
	fileset_builder_free(b);
	return NULL;
}
