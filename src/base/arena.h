/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include <stddef.h>

#include "base/attr.h"

/*
 * Many small things with one end of life: flow nodes, syntax trees. An arena object that owns
 * something shared registers a cleanup; cleanups run in reverse order when the arena is freed.
 */
struct arena;

struct arena *arena_new(void);
void   arena_free(struct arena *);				/* NULL is fine */
void  *arena_alloc(struct arena *, size_t);			/* zeroed, aligned for pointers and 64-bit numbers */
char  *arena_strdup(struct arena *, const char *);
char  *arena_strndup(struct arena *, const char *, size_t);
void  *arena_memdup(struct arena *, const void *, size_t);
char  *arena_printf(struct arena *, const char *fmt, ...) printf_like(2, 3);
void   arena_cleanup(struct arena *, void (*fn)(void *), void *arg);
size_t arena_bytes(const struct arena *);			/* memory held, for the figures */

#endif
