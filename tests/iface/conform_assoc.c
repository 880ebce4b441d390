/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iface/conform_assoc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

struct answer {
	bool	    done;
	struct buf *out;
	struct err *err;
};

static void
get_cb(const void *value, size_t n, struct err *err, void *arg)
{
	struct answer *a = arg;

	assert_true((value == NULL) == (err != NULL));
	if (n)
		buf_add(a->out, value, n);
	a->err = err;
	a->done = true;
}

static void
put_cb(struct err *err, void *arg)
{
	struct answer *a = arg;

	a->err = err;
	a->done = true;
}

struct err *
sync_assoc_put(struct assoc *assoc, enum assoc_kind kind, const struct digest *key, const void *p, size_t n)
{
	struct answer a = { false };

	assoc_put(assoc, kind, key, p, n, put_cb, &a);
	assert_false(a.done);
	test_until(assoc->loop, &a.done);
	return a.err;
}

struct err *
sync_assoc_get(struct assoc *assoc, enum assoc_kind kind, const struct digest *key, struct buf *out)
{
	struct answer a = { .out = out };

	assoc_get(assoc, kind, key, get_cb, &a);
	assert_false(a.done);
	test_until(assoc->loop, &a.done);
	return a.err;
}

static void
must_have(struct assoc *a, enum assoc_kind kind, const struct digest *key, const void *p, size_t n)
{
	struct buf got = BUF_INIT;

	assert_ok(sync_assoc_get(a, kind, key, &got));
	assert_int_equal(got.len, n);
	assert_memory_equal(got.p, p, n);
	buf_release(&got);
}

static void
must_lack(struct assoc *a, enum assoc_kind kind, const struct digest *key)
{
	struct buf got = BUF_INIT;
	struct err *err = sync_assoc_get(a, kind, key, &got);

	assert_true(err_is(err, ERR_NOT_EXIST));
	err_free(err);
	buf_release(&got);
}

static void
puts_and_gets(struct assoc *a)
{
	char *big = xcalloc(1, 1 << 20);
	struct digest k, other;

	sha256_of("k", 1, &k);
	sha256_of("other", 5, &other);
	must_lack(a, ASSOC_FILESET, &k);
	assert_ok(sync_assoc_put(a, ASSOC_FILESET, &k, "one", 3));
	must_have(a, ASSOC_FILESET, &k, "one", 3);
	must_lack(a, ASSOC_LOGS, &k);	/* kinds do not mix */
	must_lack(a, ASSOC_FILESET, &other);
	assert_ok(sync_assoc_put(a, ASSOC_LOGS, &k, "log", 3));
	assert_ok(sync_assoc_put(a, ASSOC_FILESET, &k, "two\0two", 7));
	must_have(a, ASSOC_FILESET, &k, "two\0two", 7);
	must_have(a, ASSOC_LOGS, &k, "log", 3);
	assert_ok(sync_assoc_put(a, ASSOC_FILESET, &k, NULL, 0));
	must_lack(a, ASSOC_FILESET, &k);
	must_have(a, ASSOC_LOGS, &k, "log", 3);
	assert_ok(sync_assoc_put(a, ASSOC_FILESET, &k, NULL, 0));	/* deleting what is not there */
	memset(big, 'b', 1 << 20);
	assert_ok(sync_assoc_put(a, ASSOC_BUNDLE, &k, big, 1 << 20));
	must_have(a, ASSOC_BUNDLE, &k, big, 1 << 20);
	free(big);
}

/* Many at once; the last put of a key is the one that stays. */
static void
many_at_once(struct assoc *assoc)
{
	enum { N = 200 };
	struct answer a[N] = { { false } };
	struct digest k[N];
	char value[16];

	for (int i = 0; i < N; i++) {
		int key = i % (N / 2);

		sha256_of(&key, sizeof key, &k[i]);
		snprintf(value, sizeof value, "v%d", i);
		assoc_put(assoc, ASSOC_FILESET, &k[i], value, strlen(value), put_cb, &a[i]);
	}
	for (int i = 0; i < N; i++) {
		test_until(assoc->loop, &a[i].done);
		assert_ok(a[i].err);
	}
	for (int i = N / 2; i < N; i++) {
		snprintf(value, sizeof value, "v%d", i);
		must_have(assoc, ASSOC_FILESET, &k[i], value, strlen(value));
	}
}

static void
cancels(struct assoc *assoc)
{
	struct answer a = { false };
	struct buf out = BUF_INIT;
	struct digest k;
	struct op *op;

	sha256_of("cancel", 6, &k);
	a.out = &out;
	op = assoc_get(assoc, ASSOC_FILESET, &k, get_cb, &a);
	op_cancel(&op);
	op = assoc_put(assoc, ASSOC_FILESET, &k, "x", 1, put_cb, &a);
	op_cancel(&op);
	assert_ok(sync_assoc_put(assoc, ASSOC_FILESET, &k, "y", 1));	/* in order, also after a cancelled one */
	must_have(assoc, ASSOC_FILESET, &k, "y", 1);
	test_turns(assoc->loop, 4);
	assert_false(a.done);
	buf_release(&out);
}

void
conform_assoc(const struct conform_assoc *c)
{
	struct clock *clock = c->real ? NULL : clock_virtual_new(SECONDS(1700000000));
	struct loop *loop = loop_new(clock);
	struct assoc *a = c->make(loop, c->arg);

	test_limit(120);
	puts_and_gets(a);
	many_at_once(a);
	cancels(a);
	assoc_free(a);
	assert_int_equal(loop_nlive(loop), 0);
	loop_free(loop);
	clock_virtual_free(clock);
	if (c->end)
		c->end(c->arg);
	alarm(0);
}
