/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_XALLOC_H
#define WEIR_BASE_XALLOC_H

#include <stdarg.h>
#include <stddef.h>

#include "base/attr.h"

/*
 * Small allocations abort when memory is gone: nothing useful can be done then. Sizes that come
 * from a file, a wire or a user are bounded by their reader first.
 */
void *xmalloc(size_t);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *, size_t);
void *xreallocarray(void *, size_t n, size_t size);
char *xstrdup(const char *);
char *xstrndup(const char *, size_t);
void *xmemdup(const void *, size_t);
char *xasprintf(const char *fmt, ...) printf_like(1, 2);
char *xvasprintf(const char *fmt, va_list) printf_like(1, 0);

#endif
