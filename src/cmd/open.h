/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_OPEN_H
#define WEIR_CMD_OPEN_H

#include "lang/program.h"

/*
 * Opens and checks a program, and says on stderr what there is to say about it; but warnings about one that can be run
 * go to later, unless that is NULL. NULL: code is the exit status.
 */
struct program *open_program(const char *path, struct buf *later, int *code);

#endif
