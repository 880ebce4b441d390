/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/fake_assoc.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/xalloc.h"

struct entry {
	LIST_ENTRY(entry) entry;
	enum assoc_kind	  kind;
	struct digest	  key;
	struct buf	  value;
};
struct fake_assoc {
	struct assoc assoc;
	struct fake *f;		/* kept */
	LIST_HEAD(, entry) entries;
	size_t	     n;
};

static struct fake_assoc *
fake_of(struct assoc *a)
{
	return container_of(a, struct fake_assoc, assoc);
}

static struct entry *
find(struct fake_assoc *a, enum assoc_kind kind, const struct digest *key)
{
	struct entry *e;

	LIST_FOREACH(e, &a->entries, entry)
		if (e->kind == kind && digest_equal(&e->key, key))
			return e;
	return NULL;
}

static void
entry_free(struct fake_assoc *a, struct entry *e)
{
	LIST_REMOVE(e, entry);
	a->n--;
	buf_release(&e->value);
	free(e);
}

void
fake_assoc_set(struct assoc *assoc, enum assoc_kind kind, const struct digest *key, const void *p, size_t n)
{
	struct fake_assoc *a = fake_of(assoc);
	struct entry *e = find(a, kind, key);

	if (e)
		entry_free(a, e);
	if (n == 0)
		return;
	e = xcalloc(1, sizeof *e);
	e->kind = kind;
	e->key = *key;
	buf_add(&e->value, p, n);
	LIST_INSERT_HEAD(&a->entries, e, entry);
	a->n++;
}

bool
fake_assoc_has(struct assoc *a, enum assoc_kind kind, const struct digest *key)
{
	return find(fake_of(a), kind, key) != NULL;
}

size_t
fake_assoc_count(struct assoc *a)
{
	return fake_of(a)->n;
}

struct call {
	struct fake_assoc *a;
	enum assoc_kind	   kind;
	struct digest	   key;
	struct buf	   value;
	assoc_get_cb	  *get;
	assoc_done_cb	  *done;
	void		  *arg;
};

static void
call_drop(void *data)
{
	buf_release(&((struct call *)data)->value);
	free(data);
}

static void
get_run(struct err *err, void *data)
{
	struct call c = *(struct call *)data;
	struct entry *e = find(c.a, c.kind, &c.key);
	char name[DIGEST_STR + 1];

	free(data);
	if (!err && e)
		buf_add(&c.value, e->value.p, e->value.len);
	digest_str(&c.key, name);
	if (!err && !e)
		err = err_new(ERR_NOT_EXIST, "assoc", "%s", name);
	c.get(err ? NULL : buf_str(&c.value), c.value.len, err, c.arg);
	buf_release(&c.value);
}

static struct op *
fake_get(struct assoc *a, enum assoc_kind kind, const struct digest *key, assoc_get_cb *cb, void *arg)
{
	struct call *c = xmalloc(sizeof *c);

	*c = (struct call){ fake_of(a), kind, *key, BUF_INIT, cb, NULL, arg };
	return fake_call(fake_of(a)->f, "assoc-get", get_run, call_drop, c);
}

static void
put_run(struct err *err, void *data)
{
	struct call c = *(struct call *)data;

	free(data);
	if (!err)
		fake_assoc_set(&c.a->assoc, c.kind, &c.key, c.value.p, c.value.len);
	buf_release(&c.value);
	c.done(err, c.arg);
}

static struct op *
fake_put(struct assoc *a, enum assoc_kind kind, const struct digest *key, const void *p, size_t n, assoc_done_cb *cb,
    void *arg)
{
	struct call *c = xmalloc(sizeof *c);

	*c = (struct call){ fake_of(a), kind, *key, BUF_INIT, NULL, cb, arg };
	if (n)
		buf_add(&c->value, p, n);
	return fake_call(fake_of(a)->f, "assoc-put", put_run, call_drop, c);
}

static void
fake_free(struct assoc *assoc)
{
	struct fake_assoc *a = fake_of(assoc);

	while (!LIST_EMPTY(&a->entries))
		entry_free(a, LIST_FIRST(&a->entries));
	free(a);
}

static const struct assoc_ops fake_assoc_ops = { .get = fake_get, .put = fake_put, .free = fake_free };

struct assoc *
fake_assoc_new(struct fake *f)
{
	struct fake_assoc *a = xcalloc(1, sizeof *a);

	a->assoc = (struct assoc){ &fake_assoc_ops, f->loop };
	a->f = f;
	LIST_INIT(&a->entries);
	return &a->assoc;
}
