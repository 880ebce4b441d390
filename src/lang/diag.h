/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LANG_DIAG_H
#define WEIR_LANG_DIAG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "lang/source.h"

/*
 * What the front end has to say about a program: errors and warnings, each with a span, collected
 * in the order in which they were found. Lexer, parser, checker and lowering all report here and go on;
 * whoever drives them asks diags_errors() afterwards.
 *
 *	align.rf:1:14: cannot use type file as type string in argument to f (type func(s string) int)
 *	val n = f(ref)
 *	          ^~~
 *	hint: file("…") gives a file; its path is only known inside an exec
 *
 * The first line is exact text that users and tests rely on; position = span.pos (see source.h). The source
 * line and carets follow for terminals (diag_print with DIAG_CARETS), then a next step when there is one.
 */
#define DIAG_MAX_ERRORS 20	/* then one line says that there are more, and work stops */

enum diag_level {
	DIAG_ERROR,
	DIAG_WARNING,	/* printed as `POS: warning: …` */
};

struct diag {
	enum diag_level level;
	struct span	span;
	char	       *msg;	/* owned; one line */
	char	       *hint;	/* owned or NULL: what to do next */
};

struct diags {
	struct diag *v;		/* in the order found */
	size_t	     n;
	size_t	     cap;
	size_t	     nerrors;	/* errors found, also those beyond the limit */
	bool	     hintable;	/* the last report was kept: a hint belongs to it */
};
#define DIAGS_INIT { NULL, 0, 0, 0, false }

void diags_release(struct diags *);	/* frees all; empty and usable again */

/*
 * Reports. A second error at the same position is dropped (it is nearly always an echo), as is all past the
 * limit.
 */
void diag_error(struct diags *, const struct span *, const char *fmt, ...) printf_like(3, 4);
void diag_warn(struct diags *, const struct span *, const char *fmt, ...) printf_like(3, 4);
/* Adds the next step to the diagnostic reported last; does nothing if that one was dropped. */
void diag_hint(struct diags *, const char *fmt, ...) printf_like(2, 3);

static inline size_t
diags_errors(const struct diags *d)
{
	return d->nerrors;
}
bool diags_full(const struct diags *);	/* the limit is reached: stop looking */

#define DIAG_CARETS   1	/* add the source line, the caret line and the hint */
#define DIAG_NO_WARN  2	/* errors only */
#define DIAG_NO_ERROR 4	/* warnings only */
void diag_print(const struct diag *, int flags, struct buf *);	/* appends; each line ends in a newline */
void diags_print(const struct diags *, int flags, struct buf *);	/* all, errors and warnings in order found */

/* Gives ERR_INVALID whose message is the errors' first lines, joined by semicolons; NULL if there is none. */
must_check struct err *diags_err(const struct diags *);

/* Appends `file:line:col` of span.pos; `<input>` without a file. */
void span_add_pos(const struct span *, struct buf *);

#endif
