/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_LOOP_LOOPTEST_H
#define WEIR_TESTS_LOOP_LOOPTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "loop/loop.h"

/* What tests of things on a loop share. Every test program that waits is ended after a while by SIGALRM. */

void test_limit(unsigned seconds);			/* from now; also says so on stderr */
void test_until(struct loop *, const bool *done);	/* blocking turns until *done; fails when nothing could wake */
void test_turns(struct loop *, int n);			/* n turns that do not block */

char *test_dir_new(void);				/* gives a fresh directory */
void  test_dir_free(char *);				/* removes it with all that is in it */

/* Takes err; fails the test unless its text is this. */
void test_err_is(struct err *, const char *text);
/* Takes err; fails the test, with its text, unless it is NULL. */
void test_no_err(struct err *);

#endif
