/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/xalloc.h"

/*
 * Bundles: ZIP in memory, both ways. Files are stored, not deflated: equal sources must give equal bytes
 * whatever the version of the library, and programs are small. A bundle that is read may come from anywhere: the
 * table of files is built only from entries whose bytes hash to their names.
 */
#define MANIFEST     "manifest"
#define MANIFEST_MAX (64u << 20)

struct blob {			/* an entry, verified */
	struct digest digest;
	char	     *p;
	size_t	      len;
};

struct file {			/* of the manifest */
	char	      *path;
	struct digest  digest;
	const char    *p;	/* borrowed from a blob */
	size_t	       len;
};

struct bundle {
	struct blob *blob;	/* sorted by digest */
	size_t	     nblobs, capblobs;
	struct file *file;	/* sorted by path */
	size_t	     nfiles;
	char	    *entry;
	char	   **arg;
	size_t	     nargs;
};

/* ---- Writing ---- */

struct zip_out {
	struct archive *a;
	struct buf     *buf;	/* borrowed: the archive goes there */
};

static la_ssize_t
write_cb(struct archive *a unused_arg, void *arg, const void *p, size_t n)
{
	struct zip_out *out = arg;

	buf_add(out->buf, p, n);
	return (la_ssize_t)n;
}

static struct err *
archive_err(struct archive *a, const char *what)
{
	const char *why = archive_error_string(a);

	return err_msg(ERR_INVALID, "%s: %s", what, why == NULL ? "unknown error" : why);
}

static struct err *
zip_add(struct zip_out *out, const char *name, const void *p, size_t n)
{
	struct archive_entry *e = archive_entry_new();
	struct err *err = NULL;

	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0444);
	archive_entry_set_size(e, (la_int64_t)n);
	archive_entry_set_mtime(e, 0, 0);	/* ZIP's local time then is its first in every time zone */
	if (archive_write_header(out->a, e) != ARCHIVE_OK || archive_write_data(out->a, p, n) != (la_ssize_t)n ||
	    archive_write_finish_entry(out->a) != ARCHIVE_OK)
		err = archive_err(out->a, "cannot write bundle");
	archive_entry_free(e);
	return err;
}

struct picked {			/* the sources that go into a bundle */
	const struct source_text **v;
	size_t n;
};

static void
pick_cb(const struct source_text *src, void *arg)
{
	struct picked *s = arg;

	if (!src->system)
		s->v[s->n++] = src;
}

static int
digest_order(const void *a, const void *b)
{
	const struct source_text *const *x = a, *const *y = b;

	return digest_cmp(&(*x)->digest, &(*y)->digest);
}

static json_t *
digest_json(const struct digest *d)
{
	char s[DIGEST_STR + 1];

	digest_str(d, s);
	return json_string(s);
}

/* `a/b.rf` → `a`, `b.rf` → `.`, `/b.rf` → `/`. Gives (free). */
static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* Sources are in order of their paths. Gives; NULL if a path or argument is not UTF-8. */
static json_t *
manifest_json(const struct picked *s, const struct source_text *entry, char *const *args, size_t nargs)
{
	json_t *m = json_object(), *list = json_array(), *files = json_object();
	char *dir = directory_of(entry->path);
	int bad = 0;

	for (size_t i = 0; i < nargs; i++)
		bad |= json_array_append_new(list, json_string(args[i]));
	for (size_t i = 0; i < s->n; i++)
		bad |= json_object_set_new(files, s->v[i]->path, digest_json(&s->v[i]->digest));
	bad |= json_object_set_new(m, "Entrypoint", digest_json(&entry->digest));
	bad |= json_object_set_new(m, "EntrypointPath", json_string(dir));
	bad |= json_object_set_new(m, "Args", list);
	bad |= json_object_set_new(m, "Files", files);
	free(dir);
	if (bad == 0)
		return m;
	json_decref(m);
	return NULL;
}

static struct err *
write_entries(struct zip_out *out, struct picked *s, json_t *manifest)
{
	struct buf text = BUF_INIT;
	struct err *err = NULL;

	qsort(s->v, s->n, sizeof *s->v, digest_order);
	for (size_t i = 0; i < s->n && err == NULL; i++) {
		char name[DIGEST_STR + 1];

		if (i > 0 && digest_equal(&s->v[i]->digest, &s->v[i - 1]->digest))
			continue;	/* two paths, one text */
		digest_str(&s->v[i]->digest, name);
		err = zip_add(out, name, s->v[i]->raw, s->v[i]->rawlen);
	}
	if (err == NULL) {
		json_dump_buf(manifest, &text);
		err = zip_add(out, MANIFEST, text.p, text.len);
	}
	buf_release(&text);
	return err;
}

static struct err *
write_zip(struct zip_out *out, struct picked *s, json_t *manifest)
{
	struct err *err = NULL;

	out->a = archive_write_new();
	if (archive_write_set_format_zip(out->a) != ARCHIVE_OK ||
	    archive_write_set_options(out->a, "zip:compression=store") != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(out->a, 1) != ARCHIVE_OK ||
	    archive_write_open(out->a, out, NULL, write_cb, NULL) != ARCHIVE_OK)
		err = archive_err(out->a, "cannot write bundle");
	if (err == NULL)
		err = write_entries(out, s, manifest);
	if (archive_write_close(out->a) != ARCHIVE_OK && err == NULL)
		err = archive_err(out->a, "cannot write bundle");
	archive_write_free(out->a);
	return err;
}

static const struct source_text *
picked_entry(const struct picked *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i]->path, path) == 0)
			return s->v[i];
	return NULL;
}

struct err *
bundle_write(const struct sources *sources, const char *entry, char *const *args, size_t nargs, struct buf *out)
{
	struct picked s = { xcalloc(sources_count(sources) + 1, sizeof *s.v), 0 };
	struct zip_out zip = { NULL, out };
	const struct source_text *main;
	struct err *err;
	json_t *manifest;
	size_t start = out->len;

	sources_each(sources, pick_cb, &s);
	main = picked_entry(&s, entry);
	if (main == NULL) {
		free(s.v);
		return err_msg(ERR_INVALID, "bundle: %s was not read", entry);
	}
	manifest = manifest_json(&s, main, args, nargs);
	err = manifest == NULL ? err_msg(ERR_INVALID, "bundle: a path or an argument is not UTF-8") :
	    write_zip(&zip, &s, manifest);
	json_decref(manifest);
	free(s.v);
	if (err != NULL)
		out->len = start;
	return err;
}

/* ---- Reading ---- */

void
bundle_free(struct bundle *b)
{
	if (b == NULL)
		return;
	for (size_t i = 0; i < b->nblobs; i++)
		free(b->blob[i].p);
	for (size_t i = 0; i < b->nfiles; i++)
		free(b->file[i].path);
	for (size_t i = 0; i < b->nargs; i++)
		free(b->arg[i]);
	free(b->blob);
	free(b->file);
	free(b->arg);
	free(b->entry);
	free(b);
}

static struct err *
invalid(const char *what)
{
	return err_msg(ERR_INVALID, "invalid bundle: %s", what);
}

/* An entry's bytes, at most max: the size that its header claims is not believed. */
static struct err *
read_data(struct archive *a, size_t max, struct buf *out)
{
	for (;;) {
		char chunk[16384];
		la_ssize_t n = archive_read_data(a, chunk, sizeof chunk);

		if (n == 0)
			return NULL;
		if (n < 0)
			return archive_err(a, "invalid bundle");
		if (out->len + (size_t)n > max)
			return invalid("too large");
		buf_add(out, chunk, (size_t)n);
	}
}

static struct err *
add_blob(struct bundle *b, const char *name, struct buf *data)
{
	struct blob blob;
	struct err *err = digest_parse(name, strlen(name), &blob.digest);
	struct digest is;

	if (err != NULL) {
		err_free(err);
		return invalid("an entry is not named by a digest");
	}
	sha256_of(data->p, data->len, &is);
	if (!digest_equal(&is, &blob.digest))
		return err_msg(ERR_INTEGRITY, "invalid bundle: entry %s is damaged", name);
	if (b->nblobs == b->capblobs) {
		b->capblobs = b->capblobs == 0 ? 8 : 2 * b->capblobs;
		b->blob = xreallocarray(b->blob, b->capblobs, sizeof *b->blob);
	}
	buf_reserve(data, 1);
	blob.p = buf_take(data, &blob.len);
	blob.p[blob.len] = '\0';
	b->blob[b->nblobs++] = blob;
	return NULL;
}

/* One entry: the manifest's text into manifest, else a blob. */
static struct err *
read_entry(struct bundle *b, struct archive *a, struct archive_entry *e, size_t *total, struct buf *manifest)
{
	const char *name = archive_entry_pathname(e);
	struct buf data = BUF_INIT;
	struct err *err;

	if (name == NULL)
		return invalid("an entry has no name");
	if (strcmp(name, MANIFEST) == 0) {
		if (manifest->len > 0)
			return invalid("two manifests");
		return read_data(a, MANIFEST_MAX, manifest);
	}
	err = read_data(a, BUNDLE_MAX_BYTES - *total, &data);
	*total += data.len;
	if (err == NULL)
		err = add_blob(b, name, &data);
	buf_release(&data);
	return err;
}

static struct err *
read_entries(struct bundle *b, struct archive *a, struct buf *manifest)
{
	struct archive_entry *e;
	size_t total = 0, n = 0;
	struct err *err = NULL;
	int rc;

	while (err == NULL && (rc = archive_read_next_header(a, &e)) != ARCHIVE_EOF) {
		if (rc != ARCHIVE_OK)
			err = n == 0 ? invalid("not a ZIP archive") : archive_err(a, "invalid bundle");
		else if (++n > BUNDLE_MAX_ENTRIES)
			err = invalid("too many entries");
		else
			err = read_entry(b, a, e, &total, manifest);
	}
	return err;
}

static struct err *
read_zip(struct bundle *b, const void *p, size_t n, struct buf *manifest)
{
	struct archive *a = archive_read_new();
	struct err *err;

	if (archive_read_support_format_zip(a) != ARCHIVE_OK || archive_read_open_memory(a, p, n) != ARCHIVE_OK)
		err = invalid("not a ZIP archive");
	else
		err = read_entries(b, a, manifest);
	archive_read_free(a);
	return err;
}

static int
blob_cmp(const void *a, const void *b)
{
	const struct blob *x = a, *y = b;

	return digest_cmp(&x->digest, &y->digest);
}

static int
file_cmp(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static const struct blob *
find_blob(const struct bundle *b, const struct digest *d)
{
	struct blob key = { .digest = *d };

	return b->nblobs == 0 ? NULL : bsearch(&key, b->blob, b->nblobs, sizeof *b->blob, blob_cmp);
}

static struct err *
add_file(struct bundle *b, const char *path, const json_t *value)
{
	struct digest d;
	const struct blob *blob;

	if (!json_is_string(value) || !json_as_digest(value, &d))
		return invalid("a file has no digest");
	blob = find_blob(b, &d);
	if (blob == NULL)
		return err_msg(ERR_INTEGRITY, "invalid bundle: file %s is missing", path);
	b->file[b->nfiles++] = (struct file){ xstrdup(path), d, blob->p, blob->len };
	return NULL;
}

static struct err *
read_files(struct bundle *b, json_t *files)
{
	const char *path;
	json_t *value;
	struct err *err = NULL;

	if (!json_is_object(files))
		return invalid("no table of files");
	b->file = xcalloc(json_object_size(files) + 1, sizeof *b->file);	/* one more: see read_entrypoint */
	json_object_foreach(files, path, value) {
		if (err == NULL)
			err = add_file(b, path, value);
	}
	qsort(b->file, b->nfiles, sizeof *b->file, file_cmp);
	return err;
}

static struct err *
read_args(struct bundle *b, const json_t *args)
{
	if (args == NULL || json_is_null(args))
		return NULL;
	if (!json_is_array(args))
		return invalid("arguments are no list");
	b->arg = xcalloc(json_array_size(args) + 1, sizeof *b->arg);
	for (size_t i = 0; i < json_array_size(args); i++) {
		const char *s = json_string_value(json_array_get(args, i));

		if (s == NULL)
			return invalid("an argument is no string");
		b->arg[b->nargs++] = xstrdup(s);
	}
	return NULL;
}

/* True if the file lies directly in dir. */
static bool
lies_in(const char *path, const char *dir)
{
	char *d = directory_of(path);
	bool same = strcmp(d, dir) == 0;

	free(d);
	return same;
}

/*
 * The manifest names the program by its digest and the directory that its imports are relative to. Its own path is
 * the one with this digest there; a bundle made by another program need not list one.
 */
static struct err *
read_entrypoint(struct bundle *b, const json_t *digest, const json_t *path)
{
	const char *dir = json_string_value(path);
	const struct blob *blob;
	struct digest d;

	if (!json_is_string(digest) || !json_as_digest(digest, &d) || digest_is_zero(&d) || dir == NULL)
		return invalid("no entry point");
	blob = find_blob(b, &d);
	if (blob == NULL)
		return err_msg(ERR_INTEGRITY, "invalid bundle: the entry point is missing");
	for (size_t i = 0; i < b->nfiles && b->entry == NULL; i++)
		if (digest_equal(&b->file[i].digest, &d) && lies_in(b->file[i].path, dir))
			b->entry = xstrdup(b->file[i].path);
	if (b->entry != NULL)
		return NULL;
	b->entry = xasprintf("%s/main.rf", dir);
	if (bundle_find(b, b->entry, NULL, NULL) != NULL)
		return invalid("the entry point has no path");
	b->file[b->nfiles++] = (struct file){ xstrdup(b->entry), d, blob->p, blob->len };
	qsort(b->file, b->nfiles, sizeof *b->file, file_cmp);
	return NULL;
}

static struct err *
read_manifest(struct bundle *b, const struct buf *text)
{
	json_error_t why;
	json_t *m = json_loadb(buf_str(text), text->len, JSON_REJECT_DUPLICATES, &why);
	struct err *err;

	if (m == NULL)
		return err_msg(ERR_INVALID, "invalid bundle: manifest: %s", why.text);
	err = json_is_object(m) ? NULL : invalid("manifest is no object");
	if (err == NULL)
		err = read_files(b, json_object_get(m, "Files"));
	if (err == NULL)
		err = read_args(b, json_object_get(m, "Args"));
	if (err == NULL)
		err = read_entrypoint(b, json_object_get(m, "Entrypoint"), json_object_get(m, "EntrypointPath"));
	json_decref(m);
	return err;
}

struct err *
bundle_read(const void *p, size_t n, struct bundle **out)
{
	struct bundle *b = xcalloc(1, sizeof *b);
	struct buf manifest = BUF_INIT;
	struct err *err = read_zip(b, p, n, &manifest);

	if (err == NULL && manifest.len == 0)
		err = invalid("no manifest");
	if (err == NULL) {
		if (b->nblobs > 0)
			qsort(b->blob, b->nblobs, sizeof *b->blob, blob_cmp);
		err = read_manifest(b, &manifest);
	}
	buf_release(&manifest);
	if (err != NULL)
		bundle_free(b);
	else
		*out = b;
	return err;
}

/* ---- Asking ---- */

const char *
bundle_entry(const struct bundle *b)
{
	return b->entry;
}

size_t
bundle_nargs(const struct bundle *b)
{
	return b->nargs;
}

const char *
bundle_arg(const struct bundle *b, size_t i)
{
	return b->arg[i];
}

size_t
bundle_nfiles(const struct bundle *b)
{
	return b->nfiles;
}

const char *
bundle_path(const struct bundle *b, size_t i)
{
	return b->file[i].path;
}

const char *
bundle_find(const struct bundle *b, const char *path, size_t *len, struct digest *digest)
{
	struct file key = { .path = (char *)path };
	const struct file *f;

	f = b->nfiles == 0 ? NULL : bsearch(&key, b->file, b->nfiles, sizeof *b->file, file_cmp);
	if (f == NULL)
		return NULL;
	if (len != NULL)
		*len = f->len;
	if (digest != NULL)
		*digest = f->digest;
	return f->p;
}
