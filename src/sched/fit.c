/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/fit.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/*
 * A treap: in order of the keys, and a heap by a number that is drawn of seq, which keeps it as deep as a tree of random
 * insertions: about twice the logarithm. So it may recurse. The search for the first that fits takes the left side
 * before the right one and leaves out every part whose least amounts are too much in one of them. With one amount that
 * decides, it never turns back; with several it may, when one part has an item that is small here and another that is
 * small there. The caller keeps items that differ much in different trees.
 */

#define SLACK 1e-9	/* shares of the whole are added and taken for days */

static uint64_t
weight(const struct fit *n)
{
	uint64_t x = n->seq * 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
	return x ^ (x >> 32);
}

bool
fit_before(const struct fit *a, const struct fit *b)
{
	if (a->key < b->key || b->key < a->key)
		return a->key < b->key;
	if (a->tie < b->tie || b->tie < a->tie)
		return a->tie < b->tie;
	return a->seq < b->seq;
}

bool
fit_within(const double *amount, const double *limit)
{
	for (unsigned i = 0; i < FIT_DIMS; i++)
		if (amount[i] > limit[i] + SLACK)
			return false;
	return true;
}

static void
lower(double *least, const struct fit *child)
{
	for (unsigned i = 0; child && i < FIT_DIMS; i++)
		if (child->least[i] < least[i])
			least[i] = child->least[i];
}

static struct fit *
pull(struct fit *t)
{
	memcpy(t->least, t->own, sizeof t->least);
	lower(t->least, t->left);
	lower(t->least, t->right);
	return t;
}

/* What comes before n, and what after. */
static void
split(struct fit *t, const struct fit *n, struct fit **before, struct fit **after)
{
	if (!t) {
		*before = *after = NULL;
	} else if (fit_before(t, n)) {
		split(t->right, n, &t->right, after);
		*before = pull(t);
	} else {
		split(t->left, n, before, &t->left);
		*after = pull(t);
	}
}

static struct fit *
merge(struct fit *a, struct fit *b)
{
	if (!a || !b)
		return a ? a : b;
	if (weight(a) > weight(b)) {
		a->right = merge(a->right, b);
		return pull(a);
	}
	b->left = merge(a, b->left);
	return pull(b);
}

static struct fit *
inserted(struct fit *t, struct fit *n)
{
	if (!t || weight(n) > weight(t)) {
		split(t, n, &n->left, &n->right);
		return pull(n);
	}
	if (fit_before(n, t))
		t->left = inserted(t->left, n);
	else
		t->right = inserted(t->right, n);
	return pull(t);
}

static struct fit *
removed(struct fit *t, struct fit *n)
{
	assert(t);
	if (t == n)
		return merge(t->left, t->right);
	if (fit_before(n, t))
		t->left = removed(t->left, n);
	else
		t->right = removed(t->right, n);
	return pull(t);
}

void
fit_insert(struct fit **root, struct fit *n)
{
	*root = inserted(*root, n);
}

void
fit_remove(struct fit **root, struct fit *n)
{
	*root = removed(*root, n);
	n->left = n->right = NULL;
}

void
fit_changed(struct fit *t, struct fit *n)
{
	assert(t);
	if (t != n)
		fit_changed(fit_before(n, t) ? t->left : t->right, n);
	pull(t);
}

struct fit *
fit_min(struct fit *t)
{
	while (t && t->left)
		t = t->left;
	return t;
}

struct fit *
fit_first(struct fit *t, const double *limit, fit_ok *ok, void *arg)
{
	struct fit *found;

	while (t && fit_within(t->least, limit)) {
		found = fit_first(t->left, limit, ok, arg);
		if (found)
			return found;
		if (fit_within(t->own, limit) && (!ok || ok(t, arg)))
			return t;
		t = t->right;
	}
	return NULL;
}
