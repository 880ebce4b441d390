/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/fileset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mpk_scan.h"
#include "base/xalloc.h"

/*
 * Filesets as text, JSON (the reference's shape: members List and Fileset, empty ones left out) and
 * msgpack. Readers trust nothing: a wrong shape is ERR_INVALID that says where. Nesting is bounded,
 * since the readers recurse.
 */
#define FILESET_MAX_DEPTH 64
#define SCAN_MAX_DEPTH	  10	/* each is two containers, and msgpack is read to a depth of 30 */

void
fileset_str(const struct fileset *fs, struct buf *out)
{
	size_t n = fileset_is_list(fs) ? fileset_nlist(fs) : fileset_nmap(fs);
	char id[DIGEST_STR + 1];

	if (n == 0) {
		buf_addstr(out, "void");
		return;
	}
	buf_addstr(out, fileset_is_list(fs) ? "list<" : "obj<");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_addstr(out, ", ");
		if (fileset_is_list(fs)) {
			fileset_str(fileset_elem(fs, i), out);
		} else {
			digest_str(&fileset_at(fs, i)->file.id, id);
			buf_addf(out, "%s=%s", fileset_at(fs, i)->path, id);
		}
	}
	buf_addch(out, '>');
}

static json_t *
file_json(const struct file *file)
{
	return json_pack("{s:o, s:I}", "ID", json_digest(&file->id), "Size", (json_int_t)file->size);
}

json_t *
fileset_json(const struct fileset *fs)
{
	json_t *o = json_object(), *inner;

	if (fileset_is_list(fs)) {
		inner = json_array();
		for (size_t i = 0; i < fileset_nlist(fs); i++)
			json_array_append_new(inner, fileset_json(fileset_elem(fs, i)));
		json_object_set_new(o, "List", inner);
	} else if (fileset_nmap(fs) > 0) {
		inner = json_object();
		for (size_t i = 0; i < fileset_nmap(fs); i++) {
			const struct fileset_entry *e = fileset_at(fs, i);

			json_object_set_new_nocheck(inner, e->path, file_json(&e->file));
		}
		json_object_set_new(o, "Fileset", inner);
	}
	return o;
}

static struct err *
file_from_json(const json_t *j, const char *path, struct file *file)
{
	json_t *size = json_object_get(j, "Size");

	if (!json_as_digest(json_object_get(j, "ID"), &file->id) || !json_is_integer(size) ||
	    json_integer_value(size) < 0)
		return err_msg(ERR_INVALID, "fileset: bad file at %s", path);
	file->size = (uint64_t)json_integer_value(size);
	return NULL;
}

static struct err *
map_from_json(const json_t *j, struct fileset **out)
{
	struct fileset_builder *b = fileset_builder_new();
	struct err *err = NULL;
	const char *path;
	struct file file;
	json_t *v;

	json_object_foreach((json_t *)j, path, v) {
		if ((err = file_from_json(v, path, &file)) != NULL) {
			fileset_builder_free(b);
			return err;
		}
		fileset_builder_add(b, path, &file);
	}
	*out = fileset_builder_finish(b);
	return NULL;
}

/* Takes the elements and the array. */
static struct fileset *
list_of(struct fileset **elems, size_t n)
{
	struct fileset *fs = fileset_list(elems, n);

	for (size_t i = 0; i < n; i++)
		fileset_unref(elems[i]);
	free(elems);
	return fs;
}

static struct err *json_read(const json_t *, unsigned depth, struct fileset **);

static struct err *
list_from_json(const json_t *j, unsigned depth, struct fileset **out)
{
	size_t n = json_array_size(j), i;
	struct fileset **elems = xcalloc(n ? n : 1, sizeof *elems);
	struct err *err = NULL;

	for (i = 0; i < n && err == NULL; i++)
		err = json_read(json_array_get(j, i), depth + 1, &elems[i]);
	if (err == NULL) {
		*out = list_of(elems, n);
		return NULL;
	}
	while (i-- > 0)
		fileset_unref(elems[i]);
	free(elems);
	return err;
}

static struct err *
json_read(const json_t *j, unsigned depth, struct fileset **out)
{
	json_t *list = json_object_get(j, "List"), *map = json_object_get(j, "Fileset");

	if (!json_is_object(j) || (list != NULL && map != NULL))
		return err_msg(ERR_INVALID, "fileset: neither a list nor a map of files");
	if (depth > FILESET_MAX_DEPTH)
		return err_msg(ERR_INVALID, "fileset: nested deeper than %d", FILESET_MAX_DEPTH);
	if (json_is_array(list))
		return list_from_json(list, depth, out);
	if (json_is_object(map))
		return map_from_json(map, out);
	if (list != NULL || map != NULL)
		return err_msg(ERR_INVALID, "fileset: List must be an array and Fileset an object");
	*out = fileset_empty();
	return NULL;
}

struct err *
fileset_from_json(const json_t *j, struct fileset **out)
{
	return json_read(j, 0, out);
}

void
fileset_mpk(const struct fileset *fs, struct mpk_w *w)
{
	if (fileset_is_list(fs)) {
		mpk_map(w, 1);
		mpk_key(w, "l");
		mpk_array(w, fileset_nlist(fs));
		for (size_t i = 0; i < fileset_nlist(fs); i++)
			fileset_mpk(fileset_elem(fs, i), w);
		return;
	}
	mpk_array(w, fileset_nmap(fs));
	for (size_t i = 0; i < fileset_nmap(fs); i++) {
		const struct fileset_entry *e = fileset_at(fs, i);

		mpk_array(w, 3);
		mpk_str(w, e->path);
		mpk_digest(w, &e->file.id);
		mpk_u64(w, e->file.size);
	}
}

static bool
entry_from_mpk(const msgpack_object *o, struct fileset_builder *b)
{
	struct file file;
	const msgpack_object *f;
	char *path;

	if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != 3)
		return false;
	f = o->via.array.ptr;
	if (f[0].type != MSGPACK_OBJECT_STR || f[2].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return false;
	if (memchr(f[0].via.str.ptr, '\0', f[0].via.str.size) != NULL)
		return false;
	if (f[1].type == MSGPACK_OBJECT_BIN && f[1].via.bin.size == DIGEST_LEN)
		memcpy(file.id.b, f[1].via.bin.ptr, DIGEST_LEN);
	else if (f[1].type == MSGPACK_OBJECT_NIL)
		memset(&file.id, 0, sizeof file.id);
	else
		return false;
	file.size = f[2].via.u64;
	path = xstrndup(f[0].via.str.ptr, f[0].via.str.size);
	fileset_builder_add(b, path, &file);
	free(path);
	return true;
}

static struct err *
map_from_mpk(const msgpack_object *o, struct fileset **out)
{
	struct fileset_builder *b = fileset_builder_new();

	for (uint32_t i = 0; i < o->via.array.size; i++) {
		if (!entry_from_mpk(&o->via.array.ptr[i], b)) {
			fileset_builder_free(b);
			return err_msg(ERR_INVALID, "fileset: entry %u is not [path, id, size]", i);
		}
	}
	*out = fileset_builder_finish(b);
	return NULL;
}

static struct err *
mpk_read(const msgpack_object *o, unsigned depth, struct fileset **out)
{
	const msgpack_object *list = mpk_get(o, "l");
	struct err *err = NULL;
	struct fileset **elems;
	uint32_t n, i;

	if (depth > FILESET_MAX_DEPTH)
		return err_msg(ERR_INVALID, "fileset: nested deeper than %d", FILESET_MAX_DEPTH);
	if (o != NULL && o->type == MSGPACK_OBJECT_ARRAY)
		return map_from_mpk(o, out);
	if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY)
		return err_msg(ERR_INVALID, "fileset: neither a list nor a map of files");
	n = list->via.array.size;
	elems = xcalloc(n ? n : 1, sizeof *elems);
	for (i = 0; i < n && err == NULL; i++)
		err = mpk_read(&list->via.array.ptr[i], depth + 1, &elems[i]);
	if (err == NULL) {
		*out = list_of(elems, n);
		return NULL;
	}
	while (i-- > 0)
		fileset_unref(elems[i]);
	free(elems);
	return err;
}

struct err *
fileset_from_mpk(const msgpack_object *o, struct fileset **out)
{
	return mpk_read(o, 0, out);
}

/* In place: most are one file, or a list of few, and there are very many of them. */

static bool
scan_entry(struct mpk_scan *s, const char **path, size_t *len, struct file *file)
{
	uint64_t n;

	if (!mpk_take_array(s, &n) || n != 3 || !mpk_take_str(s, path, len) || memchr(*path, '\0', *len) != NULL)
		return false;
	if (mpk_take_nil(s))
		memset(&file->id, 0, sizeof file->id);
	else if (!mpk_take_digest(s, &file->id))
		return false;
	return mpk_take_u64(s, &file->size);
}

static const char *
scan_next(struct file *file, size_t *len, void *arg)
{
	const char *path = NULL;

	(void)scan_entry(arg, &path, len, file);	/* it has been looked at */
	return path;
}

static struct fileset *
scan_unordered(struct mpk_scan *s, uint64_t n)
{
	struct fileset_builder *b = fileset_builder_new();

	for (uint64_t i = 0; i < n; i++) {
		struct file file;
		size_t len = 0;
		const char *p = scan_next(&file, &len, s);
		char *path = xstrndup(p, len);

		fileset_builder_add(b, path, &file);
		free(path);
	}
	return fileset_builder_finish(b);
}

static int
path_cmp(const char *a, size_t na, const char *b, size_t nb)
{
	size_t n = na < nb ? na : nb;
	int c = n > 0 ? memcmp(a, b, n) : 0;

	return c != 0 ? c : (na > nb) - (na < nb);
}

/* Twice: to see that it is good, how long its paths are and whether they are in order, as we write them; then for good. */
static bool
scan_map(struct mpk_scan *s, uint64_t n, struct fileset **out)
{
	const char *path, *before = NULL;
	struct mpk_scan again = *s;
	size_t len, nbefore = 0, bytes = 0;
	bool ordered = true;
	struct file file;

	for (uint64_t i = 0; i < n; i++) {
		if (!scan_entry(s, &path, &len, &file))
			return false;
		ordered = ordered && (before == NULL || path_cmp(before, nbefore, path, len) < 0);
		before = path;
		nbefore = len;
		bytes += len;
	}
	*out = ordered ? fileset_in_order((size_t)n, bytes, scan_next, &again) : scan_unordered(&again, n);
	return true;
}

static bool scan_any(struct mpk_scan *, unsigned depth, struct fileset **);

static bool
scan_list(struct mpk_scan *s, unsigned depth, struct fileset **out)
{
	struct fileset *one[4], **elems = one;
	bool good = true;
	uint64_t n, i;

	if (!mpk_take_array(s, &n))
		return false;
	if (n > nitems(one))
		elems = xcalloc(n, sizeof *elems);	/* each has a byte at least */
	for (i = 0; i < n && good; i++)
		good = scan_any(s, depth + 1, &elems[i]);
	if (good)
		*out = fileset_list(elems, (size_t)n);
	else
		i--;
	while (i-- > 0)
		fileset_unref(elems[i]);
	if (elems != one)
		free(elems);
	return good;
}

static bool
scan_any(struct mpk_scan *s, unsigned depth, struct fileset **out)
{
	const char *key;
	uint64_t n;
	size_t len;

	if (depth > SCAN_MAX_DEPTH)
		return false;
	if (mpk_take_array(s, &n))
		return scan_map(s, n, out);
	return mpk_take_map(s, &n) && n == 1 && mpk_take_str(s, &key, &len) && len == 1 && *key == 'l' &&
	    scan_list(s, depth, out);
}

bool
fileset_scan(struct mpk_scan *s, struct fileset **out)
{
	return scan_any(s, 0, out);
}
