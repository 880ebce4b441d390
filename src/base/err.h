/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_ERR_H
#define WEIR_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

/*
 * Errors are values: kind, operation, argument, message, cause. NULL is no error.
 *
 * A synchronous function that can fail returns `struct err *` and leaves its outputs untouched on
 * failure; a callback gets (result, err, arg), never both. Whoever receives an error owns it and
 * either passes it on, wraps it or frees it. Wrap where knowledge is added, not at each return.
 *
 * Text: `OP ARG: MSG: CAUSE`; where MSG is missing the kind's text stands in its place, unless the
 * kind is OTHER. Example: `accept node7/3: network error: connection reset`.
 */
enum err_kind {
#define ERR_KIND(sym, name, text, restart) ERR_##sym,
#include "base/err_kinds.def"
#undef ERR_KIND
	ERR_NKINDS
};

struct err {
	enum err_kind	 kind;
	char		*op;	/* owned or NULL */
	char		*arg;	/* owned or NULL */
	char		*msg;	/* owned or NULL: says more than the kind's text */
	struct err	*cause;	/* owned or NULL */
};

/* Gives an error with an argument: err_new(ERR_NOT_EXIST, "open", "%s", path). argfmt may be NULL. */
struct err *err_new(enum err_kind, const char *op, const char *argfmt, ...) printf_like(3, 4);
/* Gives an error that is a sentence: err_msg(ERR_INVALID, "bad digest %s", s). */
struct err *err_msg(enum err_kind, const char *fmt, ...) printf_like(2, 3);
/* Gives an error for an errno value (positive): kind from the table in err.c, message from strerror. */
struct err *err_errno(int eno, const char *op, const char *argfmt, ...) printf_like(3, 4);
/* Takes cause (NULL gives NULL); the cause's kind moves outwards. op, arg (copied) may be NULL. */
struct err *err_wrap(struct err *cause, const char *op, const char *arg);
/* As err_wrap, and the outer error gets this kind (the cause keeps its own). */
struct err *err_wrap_kind(struct err *cause, enum err_kind, const char *op, const char *arg);
struct err *err_copy(const struct err *);	/* gives a deep copy */
void	    err_free(struct err *);

bool	      err_is(const struct err *, enum err_kind);	/* first kind along the chain that is not OTHER */
enum err_kind err_kind(const struct err *);			/* that kind; OTHER if none. NULL is a bug */
bool	      err_transient(const struct err *);	/* Timeout, Temporary, TooManyTries, Unavailable at the top */
bool	      err_restartable(const struct err *);	/* may the run be tried again? asks causes too */

const char   *err_kind_name(enum err_kind);			/* "NotExist" */
const char   *err_kind_text(enum err_kind);			/* "resource does not exist" */
enum err_kind err_kind_from_name(const char *name, size_t n);	/* unknown: ERR_OTHER */

char *err_str(const struct err *);			/* gives the text on one line; NULL gives "" */

#endif
