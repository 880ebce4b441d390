/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_OPEN_H
#define WEIR_CMD_OPEN_H

#include "lang/program.h"

/* Opens and checks a program, and says on stderr what there is to say about it. NULL: code is the exit status. */
struct program *open_program(const char *path, int *code);

#endif
