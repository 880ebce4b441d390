/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_REGEXP_H
#define WEIR_BASE_REGEXP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Regular expressions as RE2 has them, matched by PCRE2: what only PCRE2 knows (backreferences,
 * lookaround, possessive and atomic groups, recursion, verbs) is refused, so that a pattern means
 * the same wherever it is read. Matching is unanchored; the leftmost match is found.
 */
struct regexp;
must_check struct err *regexp_compile(const char *pattern, struct regexp **);	/* INVALID: names pattern and place */
void regexp_free(struct regexp *);		/* NULL is fine */
unsigned regexp_ngroups(const struct regexp *);	/* not counting the whole */
int regexp_group(const struct regexp *, const char *name, size_t len);	/* number of a named group, or -1 */

/*
 * A match at or after from: at[2i], at[2i + 1] are where group i begins and ends (0: the whole), SIZE_MAX for one
 * that took no part. at has room for 2 * (ngroups + 1), or is NULL. *found is false without one.
 * An error only when the pattern takes too long on this text.
 */
must_check struct err *regexp_find(const struct regexp *, const char *s, size_t len, size_t from, size_t *at,
    bool *found);

#endif
