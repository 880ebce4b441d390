/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sched/fake.h"

#include "base/xalloc.h"
#include "iface/later.h"

/* The assoc of the fake, a table; and its repository, which swallows what it is given. */

struct fake_entry {
	struct digest  key;
	struct buf     value;
	UT_hash_handle hh;
};
struct fake_object {
	struct file    file;
	UT_hash_handle hh;
};
struct call {
	struct fake  *fake;
	struct digest key;
	struct buf    value;
	struct err   *err;
	assoc_get_cb *get;
	assoc_done_cb *done;
	void	     *arg;
};

static void
call_drop(void *data)
{
	struct call *c = data;

	buf_release(&c->value);
	err_free(c->err);
	free(c);
}

static void
get_run(void *data)
{
	struct call *c = data;
	struct fake_entry *e = NULL;

	if (!c->err)
		HASH_FIND(hh, c->fake->entries, &c->key, sizeof c->key, e);
	if (!c->err && !e)
		c->err = err_new(ERR_NOT_EXIST, "assoc", NULL);
	/* A copy: the callback may change the table. */
	if (!c->err)
		buf_add(&c->value, e->value.p, e->value.len);
	c->get(c->err ? NULL : c->value.p, c->value.len, c->err, c->arg);
	c->err = NULL;
	call_drop(c);
}

static void
entry_drop(struct fake *f, struct fake_entry *e)
{
	HASH_DEL(f->entries, e);
	buf_release(&e->value);
	free(e);
}

static void
put_run(void *data)
{
	struct call *c = data;
	struct fake_entry *e;

	if (!c->err) {
		HASH_FIND(hh, c->fake->entries, &c->key, sizeof c->key, e);
		if (!e) {
			e = xcalloc(1, sizeof *e);
			e->key = c->key;
			HASH_ADD(hh, c->fake->entries, key, sizeof e->key, e);
		}
		buf_clear(&e->value);
		buf_add(&e->value, c->value.p, c->value.len);
		if (c->value.len == 0)
			entry_drop(c->fake, e);
	}
	c->done(c->err, c->arg);
	c->err = NULL;
	call_drop(c);
}

/* A call that nobody answers. */
static void
hang_advance(unused_arg struct op *op)
{
}

static void
hang_release(struct op *op)
{
	free(op);
}

static const struct op_type hang_type = { "fake_hang", hang_advance, hang_release };

static struct op *
assoc_get_start(struct assoc *a, unused_arg enum assoc_kind kind, const struct digest *key, assoc_get_cb *cb, void *arg)
{
	struct fake *f = container_of(a, struct fake, assoc);
	struct call *c;
	struct op *op;

	f->ngets++;
	if (f->assoc_hangs) {
		op = xcalloc(1, sizeof *op);
		op_init(op, f->loop, &hang_type);
		return op;
	}
	c = xcalloc(1, sizeof *c);
	*c = (struct call){ .fake = f, .key = *key, .get = cb, .arg = arg };
	c->err = fake_fault(f, "assoc get");
	return later_start(f->loop, "fake_get", get_run, call_drop, c);
}

static struct op *
assoc_put_start(struct assoc *a, unused_arg enum assoc_kind kind, const struct digest *key, const void *p, size_t n,
    assoc_done_cb *cb, void *arg)
{
	struct fake *f = container_of(a, struct fake, assoc);
	struct call *c = xcalloc(1, sizeof *c);

	f->nputs++;
	*c = (struct call){ .fake = f, .key = *key, .done = cb, .arg = arg };
	buf_add(&c->value, p, n);
	c->err = fake_fault(f, "assoc put");
	if (!c->err && f->assoc_put_fails)
		c->err = err_new(ERR_UNAVAILABLE, "assoc", NULL);
	return later_start(f->loop, "fake_put", put_run, call_drop, c);
}

static bool
assoc_peek_now(struct assoc *a, unused_arg enum assoc_kind kind, const struct digest *key, const void **p, size_t *len)
{
	struct fake *f = container_of(a, struct fake, assoc);
	struct fake_entry *e;

	if (!f->quick)
		return false;
	HASH_FIND(hh, f->entries, key, sizeof *key, e);
	*p = e ? buf_str(&e->value) : NULL;
	*len = e ? e->value.len : 0;
	return true;
}

static const struct assoc_ops assoc_ops = { .peek = assoc_peek_now, .get = assoc_get_start, .put = assoc_put_start };

struct stored {
	struct file  file;
	struct err  *err;
	repo_put_cb *cb;
	void	    *arg;
};

static void
stored_run(void *data)
{
	struct stored s = *(struct stored *)data;

	free(data);
	s.cb(s.err ? NULL : &s.file, s.err, s.arg);
}

static void
stored_drop(void *data)
{
	struct stored *s = data;

	err_free(s->err);
	free(s);
}

static struct op *
repo_put_start(struct repo *r, struct source *src, const struct digest *want, repo_put_cb *cb, void *arg)
{
	struct fake *f = container_of(r, struct fake, repo);
	struct stored *s = xcalloc(1, sizeof *s);

	source_close(src);
	f->nrepo_put++;
	fake_object_add(f, &(struct file){ *want, 1 });
	*s = (struct stored){ { *want, 1 }, fake_fault(f, "repo put"), cb, arg };
	return later_start(f->loop, "fake_repo_put", stored_run, stored_drop, s);
}

struct looked {
	struct file   file;
	struct err   *err;
	repo_stat_cb *cb;
	void	     *arg;
};

static void
looked_run(void *data)
{
	struct looked l = *(struct looked *)data;

	free(data);
	l.cb(l.err ? NULL : &l.file, l.err, l.arg);
}

static void
looked_drop(void *data)
{
	struct looked *l = data;

	err_free(l->err);
	free(l);
}

static struct op *
repo_stat_start(struct repo *r, const struct digest *id, repo_stat_cb *cb, void *arg)
{
	struct fake *f = container_of(r, struct fake, repo);
	struct looked *l = xcalloc(1, sizeof *l);
	struct fake_object *o;

	*l = (struct looked){ { *id, 0 }, fake_fault(f, "repo stat"), cb, arg };
	HASH_FIND(hh, f->objects, id, sizeof *id, o);
	if (o)
		l->file = o->file;
	else if (!l->err)
		l->err = err_new(ERR_NOT_EXIST, "object", NULL);
	return later_start(f->loop, "fake_repo_stat", looked_run, looked_drop, l);
}

static bool
repo_peek_now(struct repo *r, const struct digest *id, struct file *out)
{
	struct fake *f = container_of(r, struct fake, repo);
	struct fake_object *o;

	f->nlooks++;
	HASH_FIND(hh, f->objects, id, sizeof *id, o);
	if (!f->quick || !o)
		return false;
	*out = o->file;
	return true;
}

static bool
repo_stamps_now(struct repo *r, uint64_t stamp[REPO_PARTS])
{
	struct fake *f = container_of(r, struct fake, repo);

	memcpy(stamp, f->stamps, sizeof f->stamps);
	return f->quick;
}

static const struct repo_ops repo_ops = { .peek = repo_peek_now, .stamps = repo_stamps_now, .stat = repo_stat_start, .put = repo_put_start };

void
fake_object_add(struct fake *f, const struct file *file)
{
	struct fake_object *o;

	HASH_FIND(hh, f->objects, &file->id, sizeof file->id, o);
	if (o)
		return;
	o = xcalloc(1, sizeof *o);
	o->file = *file;
	HASH_ADD(hh, f->objects, file.id, sizeof o->file.id, o);
}

void
fake_object_lose(struct fake *f, const struct digest *id)
{
	struct fake_object *o;

	HASH_FIND(hh, f->objects, id, sizeof *id, o);
	assert_non_null(o);
	f->stamps[id->b[0]]++;
	HASH_DEL(f->objects, o);
	free(o);
}

bool
fake_object_lose_nth(struct fake *f, unsigned n)
{
	struct fake_object *o, *tmp;

	HASH_ITER(hh, f->objects, o, tmp) {
		if (o->file.id.b[7] % n == 0) {
			f->stamps[o->file.id.b[0]]++;
			HASH_DEL(f->objects, o);
			free(o);
			return true;
		}
	}
	return false;
}

bool
fake_object_has(const struct fake *f, const struct digest *id)
{
	struct fake_object *o;

	HASH_FIND(hh, f->objects, id, sizeof *id, o);
	return o != NULL;
}

void
fake_store_init(struct fake *f)
{
	f->assoc = (struct assoc){ &assoc_ops, f->loop };
	f->repo = (struct repo){ &repo_ops, f->loop, "fake" };
}

bool
fake_assoc_has(const struct fake *f, const struct digest *key)
{
	struct fake_entry *e;

	HASH_FIND(hh, f->entries, key, sizeof *key, e);
	return e != NULL;
}

size_t
fake_assoc_n(const struct fake *f)
{
	return HASH_COUNT(f->entries);
}

void
fake_assoc_clear(struct fake *f)
{
	fake_assoc_drop(f, 1);
}

void
fake_assoc_drop(struct fake *f, unsigned n)
{
	struct fake_entry *e, *tmp;

	HASH_ITER(hh, f->entries, e, tmp) {
		if (e->key.b[7] % n != 0)
			continue;
		entry_drop(f, e);
	}
}

void
fake_store_release(struct fake *f)
{
	struct fake_object *o, *tmp;

	HASH_ITER(hh, f->objects, o, tmp) {
		HASH_DEL(f->objects, o);
		free(o);
	}
	fake_assoc_clear(f);
}

void
fake_init(struct fake *f, struct loop *loop, const char *resources)
{
	memset(f, 0, sizeof *f);
	f->loop = loop;
	assert_null(resources_parse(&f->capacity, resources));
	fake_cluster_init(f);
	fake_executor_init(f);
	fake_store_init(f);
}

void
fake_release(struct fake *f)
{
	fake_executor_release(f);
	fake_store_release(f);
	resources_release(&f->capacity);
	resources_release(&f->room);
	buf_release(&f->log);
}
