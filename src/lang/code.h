/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_CODE_H
#define WEIR_LANG_CODE_H

#include "lang/unit.h"

/*
 * Code as data. When evaluation has to wait, some code is left to run later: a piece. Its digest says
 * what the code does, apart from the names of variables, its place in the file and its layout; with the values
 * of its free variables, in order, it says what it computes. Pieces are found once and kept by the program.
 */
enum {
	PIECE_ALL,   /* the whole expression */
	PIECE_CODE,  /* the same, but its variables have been read: none are free */
	PIECE_RIGHT, /* what follows the first operand: of && and ||, of if */
	PIECE_FROM,  /* PIECE_FROM + i: cases of a switch or clauses of a comprehension from i on, and the body */
};
struct piece {
	struct digest	      digest;
	size_t		      nfree;
	const struct binding **free;	/* in order of first use */
};
const struct piece *piece_get(struct program *, const struct expr *, unsigned part);

#endif
