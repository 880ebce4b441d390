/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/fileset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * Filesets: shared, never changed after they are built. What is easy to get wrong: an empty map and an
 * empty list are both `void`, and both count as an empty leaf.
 */
struct fileset {	/* one piece of memory, since there are very many small ones */
	unsigned refs;
	bool	 list;
	size_t	 n;
	union {
		struct fileset	    **elems;	/* list: counted; behind us */
		struct fileset_entry *entries;	/* map: in path order; behind us, and the paths behind them, each with its NUL */
	} u;
};

struct fileset_builder {
	struct pending {
		size_t	    path;	/* offset in chars */
		size_t	    seq;
		struct file file;
	} *v;
	size_t	   n, cap;
	struct buf chars;
};

static struct fileset *
fileset_alloc(bool list, size_t n, size_t bytes)
{
	struct fileset *fs = xmalloc(sizeof *fs + bytes);

	*fs = (struct fileset){ .refs = 1, .list = list, .n = n };
	if (list)
		fs->u.elems = (struct fileset **)(fs + 1);
	else
		fs->u.entries = (struct fileset_entry *)(fs + 1);
	return fs;
}

struct fileset *
fileset_ref(struct fileset *fs)
{
	fs->refs++;
	return fs;
}

void
fileset_unref(struct fileset *fs)
{
	if (fs == NULL || --fs->refs > 0)
		return;
	for (size_t i = 0; fs->list && i < fs->n; i++)
		fileset_unref(fs->u.elems[i]);
	free(fs);
}

struct fileset_builder *
fileset_builder_new(void)
{
	return xcalloc(1, sizeof(struct fileset_builder));
}

void
fileset_builder_free(struct fileset_builder *b)
{
	if (b == NULL)
		return;
	free(b->v);
	buf_release(&b->chars);
	free(b);
}

void
fileset_builder_add(struct fileset_builder *b, const char *path, const struct file *file)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? 4 * b->cap : 1;	/* mostly it is one */
		b->v = xreallocarray(b->v, b->cap, sizeof *b->v);
	}
	b->v[b->n] = (struct pending){ .path = b->chars.len, .seq = b->n, .file = *file };
	b->n++;
	buf_add(&b->chars, path, strlen(path) + 1);
}

static int
pending_cmp(const void *pa, const void *pb, void *chars)
{
	const struct pending *a = pa, *b = pb;
	int c = strcmp((char *)chars + a->path, (char *)chars + b->path);

	return c != 0 ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

struct fileset *
fileset_builder_finish(struct fileset_builder *b)
{
	struct fileset *fs = fileset_alloc(false, 0, b->n * sizeof *fs->u.entries + b->chars.len);
	char *chars = (char *)(fs->u.entries + b->n);

	if (b->n > 0) {
		qsort_r(b->v, b->n, sizeof *b->v, pending_cmp, b->chars.p);
		memcpy(chars, b->chars.p, b->chars.len);
	}
	for (size_t i = 0; i < b->n; i++) {
		struct fileset_entry *e = &fs->u.entries[fs->n];

		e->path = chars + b->v[i].path;
		e->file = b->v[i].file;
		/* Of equal paths the last added one stands last, and wins. */
		if (i + 1 == b->n || strcmp(e->path, chars + b->v[i + 1].path) != 0)
			fs->n++;
	}
	fileset_builder_free(b);
	return fs;
}

struct fileset *
fileset_in_order(size_t n, size_t bytes, fileset_next_cb *next, void *arg)
{
	struct fileset *fs = fileset_alloc(false, n, n * sizeof *fs->u.entries + bytes + n);
	char *chars = (char *)(fs->u.entries + n);

	for (size_t i = 0; i < n; i++) {
		struct fileset_entry *e = &fs->u.entries[i];
		size_t len;
		const char *path = next(&e->file, &len, arg);

		e->path = memcpy(chars, path, len);
		chars[len] = '\0';
		chars += len + 1;
	}
	return fs;
}

struct fileset *
fileset_empty(void)
{
	return fileset_alloc(false, 0, 0);
}

static const char *
next_file(struct file *file, size_t *len, void *arg)
{
	*file = *(const struct file *)arg;
	*len = 1;
	return ".";
}

struct fileset *
fileset_file(const struct file *file)
{
	return fileset_in_order(1, 1, next_file, (void *)(uintptr_t)file);
}

struct fileset *
fileset_list(struct fileset *const *elems, size_t n)
{
	struct fileset *fs = fileset_alloc(true, n, n * sizeof *fs->u.elems);

	for (size_t i = 0; i < n; i++)
		fs->u.elems[i] = fileset_ref(elems[i]);
	return fs;
}

bool
fileset_is_list(const struct fileset *fs)
{
	return fs->list;
}

size_t
fileset_nlist(const struct fileset *fs)
{
	return fs->list ? fs->n : 0;
}

struct fileset *
fileset_elem(const struct fileset *fs, size_t i)
{
	assert(fs->list && i < fs->n);
	return fs->u.elems[i];
}

size_t
fileset_nmap(const struct fileset *fs)
{
	return fs->list ? 0 : fs->n;
}

const struct fileset_entry *
fileset_at(const struct fileset *fs, size_t i)
{
	assert(!fs->list && i < fs->n);
	return &fs->u.entries[i];
}

static int
entry_path_cmp(const void *path, const void *entry)
{
	return strcmp(path, ((const struct fileset_entry *)entry)->path);
}

const struct fileset_entry *
fileset_find(const struct fileset *fs, const char *path)
{
	if (fs->list)
		return NULL;
	return bsearch(path, fs->u.entries, fs->n, sizeof *fs->u.entries, entry_path_cmp);
}

bool
fileset_as_file(const struct fileset *fs, struct file *file)
{
	if (fs->list || fs->n != 1 || strcmp(fs->u.entries[0].path, ".") != 0)
		return false;
	*file = fs->u.entries[0].file;
	return true;
}

void
fileset_each(const struct fileset *fs, fileset_file_cb *cb, void *arg)
{
	for (size_t i = 0; i < fs->n; i++) {
		if (fs->list)
			fileset_each(fs->u.elems[i], cb, arg);
		else
			cb(fs->u.entries[i].path, &fs->u.entries[i].file, arg);
		slice_breathe(1);
	}
}

struct tally {
	size_t	 n;
	uint64_t size;
};

static void
tally_cb(const char *path unused_arg, const struct file *file, void *arg)
{
	struct tally *t = arg;

	t->n++;
	t->size += file->size;
}

size_t
fileset_n(const struct fileset *fs)
{
	struct tally t = { 0, 0 };

	fileset_each(fs, tally_cb, &t);
	return t.n;
}

uint64_t
fileset_size(const struct fileset *fs)
{
	struct tally t = { 0, 0 };

	fileset_each(fs, tally_cb, &t);
	return t.size;
}

bool
fileset_any_empty(const struct fileset *fs)
{
	if (fs->n == 0)
		return true;
	for (size_t i = 0; fs->list && i < fs->n; i++)
		if (fileset_any_empty(fs->u.elems[i]))
			return true;
	return false;
}

bool
fileset_equal(const struct fileset *a, const struct fileset *b)
{
	if (a == b)
		return true;
	if (a->list != b->list || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (a->list) {
			if (!fileset_equal(a->u.elems[i], b->u.elems[i]))
				return false;
		} else if (strcmp(a->u.entries[i].path, b->u.entries[i].path) != 0 ||
		    !digest_equal(&a->u.entries[i].file.id, &b->u.entries[i].file.id)) {
			return false;
		}
	}
	return true;
}

void
fileset_digest(const struct fileset *fs, struct digest *out)
{
	struct digest d;
	struct w1 w;

	w1_init(&w, "fileset");
	w1_add_str(&w, W1_TEXT, 0, fs->list ? "list" : "map");
	w1_add_u64(&w, 0, fs->n);
	for (size_t i = 0; i < fs->n; i++) {
		if (fs->list) {
			fileset_digest(fs->u.elems[i], &d);
			w1_add_digest(&w, W1_DIGEST, (uint32_t)i, &d);
		} else {
			w1_add_str(&w, W1_NAME, (uint32_t)i, fs->u.entries[i].path);
			w1_add_digest(&w, W1_DIGEST, (uint32_t)i, &fs->u.entries[i].file.id);
		}
		slice_breathe(2);
	}
	w1_final(&w, out);
}

static void
pullup_cb(const char *path, const struct file *file, void *arg)
{
	fileset_builder_add(arg, path, file);
}

struct fileset *
fileset_pullup(const struct fileset *fs)
{
	struct fileset_builder *b = fileset_builder_new();

	fileset_each(fs, pullup_cb, b);
	return fileset_builder_finish(b);
}
