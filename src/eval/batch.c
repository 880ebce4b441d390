/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "eval/eval_priv.h"

/*
 * The order of look-ups. A key is as good as a random number, and a cache keeps its entries in the order of their keys: what
 * a look-up costs, when a hundred thousand are known, is waiting for memory that none before it has touched. When many wait
 * they are made in the order of their keys, roughly; few keep the order in which they came. So none is made before a batch
 * has come together or the core, which takes some milliseconds for one, has nothing left to do.
 */
#define BATCH_MAX 16384
#define BATCH_MIN 512	/* fewer are not put in order */
#define BITS	  12
#define AHEAD	  8	/* nodes */

static unsigned
bucket_of(const struct flow *f)
{
	const struct digest *key = f->state == FLOW_LOOKUP ? &f->lkey : &f->pkey;

	return (unsigned)(key->b[0] << 8 | key->b[1]) >> (16 - BITS);
}

/* By the first bits alone: neighbours need only be near each other. */
static void
put_in_order(struct lookup_batch *b)
{
	struct flow **sorted = xcalloc(BATCH_MAX, sizeof *sorted);
	uint32_t at[(1u << BITS) + 1] = { 0 };

	for (size_t i = 0; i < b->n; i++)
		at[bucket_of(b->v[i]) + 1]++;
	for (unsigned i = 1; i < 1u << BITS; i++)
		at[i] += at[i - 1];
	for (size_t i = 0; i < b->n; i++)
		sorted[at[bucket_of(b->v[i])]++] = b->v[i];
	free(b->v);
	b->v = sorted;
}

static void
fill(struct lookup_batch *b, struct window *w)
{
	struct flow *f;

	b->n = b->at = 0;
	if (b->v == NULL)
		b->v = xcalloc(BATCH_MAX, sizeof *b->v);
	while (b->n < BATCH_MAX && (f = window_pop(w)) != NULL)
		b->v[b->n++] = f;
	if (b->n >= BATCH_MIN)
		put_in_order(b);
}

bool
batch_due(const struct lookup_batch *b, const struct window *w, bool idle)
{
	return idle || b->at < b->n || w->nwaiting >= BATCH_MAX;
}

struct flow *
batch_pop(struct lookup_batch *b, struct window *w)
{
	if (b->at == b->n)
		fill(b, w);
	if (b->at == b->n)
		return NULL;
	if (b->at + AHEAD < b->n) {
		const char *next = (const char *)b->v[b->at + AHEAD];

		for (size_t i = 0; i < sizeof(struct flow); i += 64)
			__builtin_prefetch(next + i, 1);
	}
	return b->v[b->at++];
}

void
batch_release(struct lookup_batch *b)
{
	free(b->v);
	*b = (struct lookup_batch){ NULL, 0, 0 };
}
