/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_PROGRAM_PRIV_H
#define WEIR_LANG_PROGRAM_PRIV_H

#include "lang/lower.h"

/* Between program.c and program_flags.c. */
struct lower *program_lower(struct program *, struct graph *, const char *dir);	/* in the graph's arena */
bool program_is_args(const struct param *);	/* `args [string]`: takes the positional arguments */
/* The value that a flag's text means for a param. */
must_check struct err *program_param_value(struct lower *, const struct param *, const char *text, struct value **out);

#endif
