/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * An arena is a list of chunks, each filled from its start, and by texts from its end, which need no
 * alignment; the newest one that is not oversized is at the head. Nothing is freed one by one: an object that owns a shared thing must register a
 * cleanup, or the thing leaks.
 */

#define ARENA_ALIGN alignof(int64_t)	/* and of pointers: no object of ours needs more */
#define CHUNK_FIRST 984u	/* with its head a kilobyte: most arenas need no more, and malloc keeps those at hand */
#define CHUNK_MAX   (256u << 10)

struct chunk {
	struct chunk *next;
	size_t	      used, size;	/* of data: what lies between is free */
	alignas(ARENA_ALIGN) char data[];
};

struct cleanup {
	struct cleanup *next;
	void (*fn)(void *);
	void *arg;
};

struct arena {
	struct chunk   *chunks;
	struct cleanup *cleanups;	/* the last registered first; they live in the chunks */
	size_t		chunk_size, bytes;
};

struct arena *
arena_new(void)
{
	struct arena *a = xcalloc(1, sizeof *a);

	a->chunk_size = CHUNK_FIRST;
	a->bytes = sizeof *a;
	return a;
}

void
arena_free(struct arena *a)
{
	struct chunk *c, *next;

	if (!a)
		return;
	while (a->cleanups) {	/* a cleanup may register another: always take the head */
		struct cleanup *k = a->cleanups;

		a->cleanups = k->next;
		k->fn(k->arg);
	}
	for (c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a);
}

static struct chunk *
chunk_new(struct arena *a, size_t size)
{
	struct chunk *c = xcalloc(1, sizeof *c + size);

	c->size = size;
	a->bytes += sizeof *c + size;
	return c;
}

/* A big object gets a chunk of its own behind the head, so that the head's rest is not lost. */
static void *
alloc_big(struct arena *a, size_t n)
{
	struct chunk *c = chunk_new(a, n);

	c->used = n;
	if (a->chunks) {
		c->next = a->chunks->next;
		a->chunks->next = c;
	} else {
		a->chunks = c;
	}
	return c->data;
}

/* A chunk at the head with room for n; NULL: too much for one that is shared. */
static struct chunk *
room_for(struct arena *a, size_t n)
{
	struct chunk *c = a->chunks;

	if (n > SIZE_MAX / 2)
		abort();
	if (c && c->size - c->used >= n)
		return c;
	if (n > a->chunk_size / 4)
		return NULL;
	c = chunk_new(a, a->chunk_size);
	c->next = a->chunks;
	a->chunks = c;
	a->chunk_size = a->chunk_size < CHUNK_MAX / 2 ? 2 * a->chunk_size : CHUNK_MAX;
	return c;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct chunk *c;

	n = n ? (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
	c = room_for(a, n);
	if (!c)
		return alloc_big(a, n);
	c->used += n;
	return c->data + c->used - n;
}

/* Zeroed, like the rest. What is left of the chunk may be of any size. */
static char *
alloc_text(struct arena *a, size_t n)
{
	struct chunk *c = room_for(a, n);

	if (!c)
		return alloc_big(a, n);
	c->size -= n;
	return c->data + c->size;
}

void *
arena_memdup(struct arena *a, const void *src, size_t n)
{
	void *p = arena_alloc(a, n);

	if (n)
		memcpy(p, src, n);
	return p;
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = alloc_text(a, len + 1);	/* zeroed: ends with NUL */

	memcpy(p, s, len);
	return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, SIZE_MAX);
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char small[128], *s, *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof small)
		return arena_strndup(a, small, (size_t)n);
	va_start(ap, fmt);
	s = xvasprintf(fmt, ap);
	va_end(ap);
	p = arena_strdup(a, s);
	free(s);
	return p;
}

void
arena_cleanup(struct arena *a, void (*fn)(void *), void *arg)
{
	struct cleanup *k = arena_alloc(a, sizeof *k);

	k->fn = fn;
	k->arg = arg;
	k->next = a->cleanups;
	a->cleanups = k;
}

size_t
arena_bytes(const struct arena *a)
{
	return a->bytes;
}
