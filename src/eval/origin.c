/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/origin.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/xalloc.h"

/*
 * Paths are put together only when somebody asks: an entry holds the two strings they are made of.
 * The first source of a content stays; any will do.
 */

struct entry {
	struct digest  id;
	const char    *url;	/* of the intern; kept */
	const char    *rel;	/* below it, or NULL for the file itself; kept */
	UT_hash_handle hh;
};
struct origin {
	char	     *dir;
	struct entry *entries;
};

struct origin *
origin_new(const char *dir)
{
	struct origin *o = xcalloc(1, sizeof *o);

	o->dir = xstrdup(dir);
	return o;
}

void
origin_free(struct origin *o)
{
	struct entry *e, *tmp;

	if (!o)
		return;
	HASH_ITER(hh, o->entries, e, tmp) {
		HASH_DEL(o->entries, e);
		free(e);
	}
	free(o->dir);
	free(o);
}

void
origin_add(struct origin *o, const struct flow *intern, const struct fileset *fs)
{
	struct entry *e;

	for (size_t i = 0; i < fileset_nmap(fs); i++) {
		const struct fileset_entry *f = fileset_at(fs, i);

		HASH_FIND(hh, o->entries, &f->file.id, sizeof f->file.id, e);
		if (e)
			continue;
		e = xcalloc(1, sizeof *e);
		e->id = f->file.id;
		e->url = intern->u.intern.url;
		e->rel = intern->u.intern.dir ? f->path : NULL;
		HASH_ADD(hh, o->entries, id, sizeof e->id, e);
	}
}

void
origin_url(const struct origin *o, const char *url, struct buf *out)
{
	if (strncmp(url, "file://", 7) == 0)
		url += 7;
	if (*url != '/')
		buf_addf(out, "%s/", o->dir);
	buf_addstr(out, url);
}

bool
origin_path(const struct origin *o, const struct digest *id, struct buf *out)
{
	struct entry *e;

	HASH_FIND(hh, o->entries, id, sizeof *id, e);
	if (!e)
		return false;
	origin_url(o, e->url, out);
	if (e->rel)
		buf_addf(out, "%s%s", out->len && out->p[out->len - 1] == '/' ? "" : "/", e->rel);
	return true;
}
