/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_LOOP_LOOPTEST_H
#define WEIR_TESTS_LOOP_LOOPTEST_H

#include "loop/loop.h"
#include "tests/check.h"

/* What tests of things on a loop share. A program that waits sets a limit, so that a hang is a failure. */
void test_limit(unsigned seconds);			/* from now; then the program says so and exits with 1 */
void test_until(struct loop *, const bool *done);	/* blocking turns; fails when nothing could wake it */
void test_turns(struct loop *, int n);			/* n turns that do not block */

#endif
