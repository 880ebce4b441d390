/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_SHRINK_H
#define WEIR_SIM_SHRINK_H

#include "base/buf.h"

/*
 * Makes a scenario smaller while it still fails: drops runs of lines, then lines, then words, again and
 * again until nothing can go. What is left cannot lose a word and still show the same thing.
 */
typedef bool shrink_fails_fn(const char *text, void *arg);
void shrink(struct buf *text, shrink_fails_fn *, void *arg);

#endif
