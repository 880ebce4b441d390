/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_FUZZ_FUZZ_H
#define WEIR_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * One target per byte format. It must accept any input; what it finds wrong it says by must(), which
 * aborts. Built twice: with fuzz_main.c as a test, and with libFuzzer by --enable-fuzz.
 */
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define must(cond) ((cond) ? (void)0 : must_failed(#cond, __FILE__, __LINE__))

static inline void
must_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, cond);
	abort();
}

#endif
