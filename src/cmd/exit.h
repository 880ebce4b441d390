/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_EXIT_H
#define WEIR_CMD_EXIT_H

#include "base/err.h"

/* What a process says with its exit status; weir(1) explains them to people. */
enum {
	EXIT_DONE = 0,
	EXIT_OTHER = 1,		/* busy or read-only root, unknown id, missing or damaged object */
	EXIT_USAGE = 2,		/* usage, configuration, parameters */
	EXIT_PROGRAM = 3,	/* not UTF-8, does not parse or type-check, no Main */
	EXIT_AGAIN = 10,	/* may pass: safe to run again */
	EXIT_EVAL = 11,		/* the evaluation failed */
	EXIT_NO = 12,		/* ran well, and the answer is no */
	EXIT_FAULT = 20,	/* our own fault */
	EXIT_INTERRUPTED = 130,
};

/* Where an error came up: the same kind does not mean the same everywhere. */
enum stage {
	STAGE_USAGE,	/* options, configuration, the program's parameters */
	STAGE_PROGRAM,	/* opening and checking a program */
	STAGE_EVAL,	/* the run itself, also before its first exec */
	STAGE_OTHER,	/* the root, ids, objects, files */
};
int exit_code(enum stage, const struct err *);	/* NULL: 0 */
/* Says it on stderr, frees it, and gives its exit code. NULL: nothing, 0. */
must_check int exit_with(enum stage, struct err *);

#endif
