/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"

/*
 * Labels, what an alloc says of itself, and calls of allocs through their tables. The msgpack form
 * is part of State: its names are the seed's, and what is missing reads as empty, so that old
 * snapshots load for ever.
 */

static size_t
labels_place(const struct labels *l, const char *name, bool *found)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(l->v[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < l->n && strcmp(l->v[lo].name, name) == 0;
	return lo;
}

void
labels_set(struct labels *l, const char *name, const char *value)
{
	bool found;
	size_t at = labels_place(l, name, &found);

	if (found) {
		char *old = l->v[at].value;

		l->v[at].value = xstrdup(value);	/* value may be the old one */
		free(old);
		return;
	}
	l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
	memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof *l->v);
	l->v[at] = (struct label){ xstrdup(name), xstrdup(value) };
	l->n++;
}

const char *
labels_get(const struct labels *l, const char *name)
{
	bool found;
	size_t at = labels_place(l, name, &found);

	return found ? l->v[at].value : NULL;
}

void
labels_copy(struct labels *dst, const struct labels *src)
{
	struct labels copy = { NULL, 0 };

	if (src->n > 0)
		copy.v = xreallocarray(NULL, src->n, sizeof *copy.v);
	for (; copy.n < src->n; copy.n++)
		copy.v[copy.n] = (struct label){ xstrdup(src->v[copy.n].name), xstrdup(src->v[copy.n].value) };
	labels_release(dst);
	*dst = copy;
}

void
labels_release(struct labels *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].name);
		free(l->v[i].value);
	}
	free(l->v);
	*l = (struct labels){ NULL, 0 };
}

void
alloc_meta_release(struct alloc_meta *m)
{
	resources_release(&m->want);
	free(m->owner);
	m->owner = NULL;
	labels_release(&m->labels);
}

static char *
dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

void
alloc_meta_copy(struct alloc_meta *dst, const struct alloc_meta *src)
{
	char *owner = dup_or_null(src->owner);

	resources_copy(&dst->want, &src->want);
	labels_copy(&dst->labels, &src->labels);
	free(dst->owner);
	dst->owner = owner;
}

void
alloc_inspect_release(struct alloc_inspect *i)
{
	free(i->id);
	resources_release(&i->resources);
	alloc_meta_release(&i->meta);
	*i = (struct alloc_inspect){ .id = NULL };
}

void
alloc_inspect_copy(struct alloc_inspect *dst, const struct alloc_inspect *src)
{
	char *id = dup_or_null(src->id);

	resources_copy(&dst->resources, &src->resources);
	alloc_meta_copy(&dst->meta, &src->meta);
	free(dst->id);
	dst->id = id;
	dst->created = src->created;
	dst->last_keepalive = src->last_keepalive;
	dst->expires = src->expires;
}

static void
meta_mpk(const struct alloc_meta *m, struct mpk_w *w)
{
	mpk_map(w, 3);
	mpk_key(w, "Want");
	resources_mpk(&m->want, w);
	mpk_key(w, "Owner");
	mpk_str(w, m->owner);
	mpk_key(w, "Labels");
	mpk_map(w, m->labels.n);
	for (size_t i = 0; i < m->labels.n; i++) {
		mpk_str(w, m->labels.v[i].name);
		mpk_str(w, m->labels.v[i].value);
	}
}

void
alloc_inspect_mpk(const struct alloc_inspect *i, struct mpk_w *w)
{
	mpk_map(w, 6);
	mpk_key(w, "ID");
	mpk_str(w, i->id);
	mpk_key(w, "Resources");
	resources_mpk(&i->resources, w);
	mpk_key(w, "Meta");
	meta_mpk(&i->meta, w);
	mpk_key(w, "Created");
	mpk_time(w, i->created);
	mpk_key(w, "LastKeepalive");
	mpk_time(w, i->last_keepalive);
	mpk_key(w, "Expires");
	mpk_time(w, i->expires);
}

static bool
text_of(const msgpack_object *o, char **out)
{
	if (o->type != MSGPACK_OBJECT_STR || memchr(o->via.str.ptr, '\0', o->via.str.size))
		return false;
	*out = xstrndup(o->via.str.ptr, o->via.str.size);
	return true;
}

static void
labels_from_mpk(struct labels *l, const msgpack_object *map)
{
	if (!map || map->type != MSGPACK_OBJECT_MAP)
		return;
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];
		char *name = NULL, *value = NULL;

		if (text_of(&kv->key, &name) && text_of(&kv->val, &value))
			labels_set(l, name, value);
		free(name);
		free(value);
	}
}

struct err *
alloc_inspect_from_mpk(const msgpack_object *o, struct alloc_inspect *out)
{
	struct alloc_inspect i = { .id = mpk_get_strdup(o, "ID") };
	const msgpack_object *meta = mpk_get(o, "Meta"), *part;

	if (!i.id)
		return err_msg(ERR_INVALID, "the inspect of an alloc has no ID");
	if ((part = mpk_get(o, "Resources")))
		resources_from_mpk(&i.resources, part);
	if ((part = mpk_get(meta, "Want")))
		resources_from_mpk(&i.meta.want, part);
	i.meta.owner = mpk_get_strdup(meta, "Owner");
	labels_from_mpk(&i.meta.labels, mpk_get(meta, "Labels"));
	mpk_get_time(o, "Created", &i.created);
	mpk_get_time(o, "LastKeepalive", &i.last_keepalive);
	mpk_get_time(o, "Expires", &i.expires);
	alloc_inspect_release(out);
	*out = i;
	return NULL;
}

struct op *
alloc_keepalive(struct alloc *a, int64_t interval, alloc_keepalive_cb *cb, void *arg)
{
	assert(a && interval >= 0 && cb);
	log_debug("alloc %s: keepalive %lld s", a->uri, (long long)(interval / 1000000000));
	return a->ops->keepalive(a, interval, cb, arg);
}

struct op *
alloc_inspect_start(struct alloc *a, alloc_inspect_cb *cb, void *arg)
{
	assert(a && cb);
	log_debug("alloc %s: inspect", a->uri);
	return a->ops->inspect(a, cb, arg);
}

struct op *
alloc_free_start(struct alloc *a, alloc_done_cb *cb, void *arg)
{
	assert(a && cb);
	log_debug("alloc %s: free", a->uri);
	return a->ops->free_alloc(a, cb, arg);
}

struct executor *
alloc_executor(struct alloc *a)
{
	return a->ops->executor(a);
}

void
alloc_drop(struct alloc *a)
{
	if (a)
		a->ops->drop(a);
}
