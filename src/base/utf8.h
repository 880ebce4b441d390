/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_UTF8_H
#define WEIR_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decodes the character at p. Gives its length, or 0 if the bytes are no UTF-8 (truncated, overlong,
 * a surrogate, beyond U+10FFFF) or n is 0. cp may be NULL.
 */
size_t utf8_next(const char *p, size_t n, uint32_t *cp);

#endif
