/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_LANG_RFT_H
#define WEIR_TESTS_LANG_RFT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Cases as data. A case is
 *
 *	KIND: first line of the program
 *	more lines, which may be blank
 *	-> a line of the result        `->` alone is an empty line
 *	=                              instead: the result is the program as written
 *	! a line of the messages       file:line:col: text
 *	? a line of the messages with carets and hints
 *
 * and ends at the blank line after its expectations. Lines that begin with # between cases are comments.
 */
struct rft_case {
	const char *file;	/* borrowed */
	int	    line;	/* of the KIND */
	char	   *kind;
	struct buf  program;	/* without a final newline */
	struct buf  result;	/* lines after ->, each with a newline */
	struct buf  errors;	/* after ! */
	struct buf  carets;	/* after ? */
	bool	    has_result, same, has_errors, has_carets;
};

struct rft {
	struct rft_case *v;
	size_t		 n;
};

/* Reads tests/lang/NAME from the source folder; fails the test if it cannot. */
void rft_read(struct rft *, const char *name);
void rft_release(struct rft *);
/* Compares; prints the case, what came and what was expected. False if they differ. */
bool rft_same(const struct rft_case *, const char *what, const struct buf *got, const struct buf *expected);
/* The path of a file below the source folder. Gives (free). */
char *source_path(const char *below);

#endif
