/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_NUMBERS_H
#define WEIR_EXECUTOR_NUMBERS_H

#include "base/digest.h"

/*
 * The numbers of attempts grow even after the last attempt of a key was forgotten and its folder is
 * gone: (key, number) names one attempt for ever. A table by a part of the key remembers the highest
 * number given up; keys that share a place leave gaps in each other's numbers, which mean nothing.
 */
unsigned numbers_last(const struct digest *key);	/* 0: none */
void numbers_keep(const struct digest *key, unsigned n);

#endif
