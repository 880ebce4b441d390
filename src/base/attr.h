/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_ATTR_H
#define WEIR_BASE_ATTR_H

/* Compiler attributes under readable names, and the few macros that every room uses. */
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define must_check __attribute__((warn_unused_result))
#define unused_arg __attribute__((unused))
#define no_return __attribute__((noreturn))

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#endif
