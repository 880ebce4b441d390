/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_GEN_H
#define WEIR_SIM_GEN_H

#include "base/buf.h"

/* The scenario of a seed: programs, runs and misfortunes, as a text that can be read, kept and played again. */
void gen_scenario(uint64_t seed, struct buf *out);

#endif
