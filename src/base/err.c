/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xalloc.h"

/*
 * Errors: chains of (kind, op, arg, msg). A kind stands once in a chain: wrapping moves it to the
 * outermost error and leaves OTHER behind, so the text names it once and the predicates find it
 * first. Decisions ask the predicates; only edges (errno, HTTP status) choose kinds.
 */

enum restart { R_YES, R_CAUSE, R_NEVER };

static const struct {
	const char  *name;
	const char  *text;
	enum restart restart;
} kinds[ERR_NKINDS] = {
#define ERR_KIND(sym, name, text, restart) [ERR_##sym] = { name, text, restart },
#include "base/err_kinds.def"
#undef ERR_KIND
};

/*
 * A full disk or quota is TEMPORARY: the same run may succeed once somebody has made room.
 * What is not listed is OTHER, which is restartable only if its cause is.
 */
static const struct {
	int	      eno;
	enum err_kind kind;
} errnos[] = {
	{ ENOENT, ERR_NOT_EXIST }, { ENOTDIR, ERR_NOT_EXIST }, { ENXIO, ERR_NOT_EXIST }, { ESRCH, ERR_NOT_EXIST },
	{ EACCES, ERR_NOT_ALLOWED }, { EPERM, ERR_NOT_ALLOWED }, { EROFS, ERR_NOT_ALLOWED },
	{ ENOSYS, ERR_NOT_SUPPORTED }, { EOPNOTSUPP, ERR_NOT_SUPPORTED }, { EAFNOSUPPORT, ERR_NOT_SUPPORTED },
	{ EINVAL, ERR_INVALID }, { ENAMETOOLONG, ERR_INVALID }, { ELOOP, ERR_INVALID }, { EISDIR, ERR_INVALID },
	{ E2BIG, ERR_INVALID }, { EFBIG, ERR_INVALID }, { EMSGSIZE, ERR_INVALID },
	{ EEXIST, ERR_PRECONDITION }, { ENOTEMPTY, ERR_PRECONDITION },
	{ EAGAIN, ERR_TEMPORARY }, { EINTR, ERR_TEMPORARY }, { EBUSY, ERR_TEMPORARY }, { ENOMEM, ERR_TEMPORARY },
	{ EMFILE, ERR_TEMPORARY }, { ENFILE, ERR_TEMPORARY }, { ENOSPC, ERR_TEMPORARY }, { EDQUOT, ERR_TEMPORARY },
	{ ETIMEDOUT, ERR_TIMEOUT }, { ECANCELED, ERR_CANCELED }, { EBADMSG, ERR_INTEGRITY },
	{ ECONNREFUSED, ERR_NET }, { ECONNRESET, ERR_NET }, { ECONNABORTED, ERR_NET }, { EPIPE, ERR_NET },
	{ ENETUNREACH, ERR_NET }, { EHOSTUNREACH, ERR_NET }, { ENETDOWN, ERR_NET }, { EHOSTDOWN, ERR_NET },
	{ ENOTCONN, ERR_NET }, { EADDRINUSE, ERR_NET }, { EADDRNOTAVAIL, ERR_NET },
};

static struct err *
err_alloc(enum err_kind kind, const char *op)
{
	struct err *e = xcalloc(1, sizeof *e);

	e->kind = kind;
	e->op = op ? xstrdup(op) : NULL;
	return e;
}

struct err *
err_new(enum err_kind kind, const char *op, const char *argfmt, ...)
{
	struct err *e = err_alloc(kind, op);
	va_list ap;

	if (argfmt) {
		va_start(ap, argfmt);
		e->arg = xvasprintf(argfmt, ap);
		va_end(ap);
	}
	return e;
}

struct err *
err_msg(enum err_kind kind, const char *fmt, ...)
{
	struct err *e = err_alloc(kind, NULL);
	va_list ap;

	va_start(ap, fmt);
	e->msg = xvasprintf(fmt, ap);
	va_end(ap);
	return e;
}

static enum err_kind
kind_of_errno(int eno)
{
	for (size_t i = 0; i < nitems(errnos); i++)
		if (errnos[i].eno == eno)
			return errnos[i].kind;
	return ERR_OTHER;
}

struct err *
err_errno(int eno, const char *op, const char *argfmt, ...)
{
	struct err *e = err_alloc(kind_of_errno(eno), op);
	va_list ap;

	if (argfmt) {
		va_start(ap, argfmt);
		e->arg = xvasprintf(argfmt, ap);
		va_end(ap);
	}
	e->msg = xstrdup(strerror(eno));
	return e;
}

struct err *
err_wrap(struct err *cause, const char *op, const char *arg)
{
	struct err *e;

	if (!cause)
		return NULL;
	e = err_alloc(cause->kind, op);
	e->arg = arg ? xstrdup(arg) : NULL;
	cause->kind = ERR_OTHER;
	e->cause = cause;
	if (!cause->op && !cause->arg && !cause->msg) {	/* it carried a kind and nothing else */
		e->cause = cause->cause;
		cause->cause = NULL;
		err_free(cause);
	}
	return e;
}

struct err *
err_wrap_kind(struct err *cause, enum err_kind kind, const char *op, const char *arg)
{
	struct err *e;

	if (!cause)
		return NULL;
	if (kind == ERR_OTHER || kind == cause->kind)
		return err_wrap(cause, op, arg);
	e = err_alloc(kind, op);
	e->arg = arg ? xstrdup(arg) : NULL;
	e->cause = cause;
	return e;
}

struct err *
err_copy(const struct err *from)
{
	struct err *first = NULL, **link = &first;

	for (; from; from = from->cause) {
		struct err *e = err_alloc(from->kind, from->op);

		e->arg = from->arg ? xstrdup(from->arg) : NULL;
		e->msg = from->msg ? xstrdup(from->msg) : NULL;
		*link = e;
		link = &e->cause;
	}
	return first;
}

void
err_free(struct err *e)
{
	while (e) {
		struct err *cause = e->cause;

		free(e->op);
		free(e->arg);
		free(e->msg);
		free(e);
		e = cause;
	}
}

enum err_kind
err_kind(const struct err *e)
{
	for (; e; e = e->cause)
		if (e->kind != ERR_OTHER)
			return e->kind;
	return ERR_OTHER;
}

bool
err_is(const struct err *e, enum err_kind kind)
{
	return e && err_kind(e) == kind;
}

bool
err_transient(const struct err *e)
{
	if (!e)
		return false;
	switch (e->kind) {
	case ERR_TIMEOUT:
	case ERR_TEMPORARY:
	case ERR_TOO_MANY_TRIES:
	case ERR_UNAVAILABLE:
		return true;
	default:
		return false;
	}
}

bool
err_restartable(const struct err *e)
{
	for (; e; e = e->cause)
		if (kinds[e->kind].restart != R_CAUSE)
			return kinds[e->kind].restart == R_YES;
	return false;
}

const char *
err_kind_name(enum err_kind kind)
{
	return kinds[kind].name;
}

const char *
err_kind_text(enum err_kind kind)
{
	return kinds[kind].text;
}

enum err_kind
err_kind_from_name(const char *name, size_t n)
{
	for (enum err_kind k = 0; k < ERR_NKINDS; k++)
		if (strlen(kinds[k].name) == n && memcmp(kinds[k].name, name, n) == 0)
			return k;
	return ERR_OTHER;
}

/*
 * Line breaks and tabs, with the space around them, become one space, other control bytes `?`: the text
 * goes to terminals and logs.
 */
static void
add_line(struct buf *b, const char *s)
{
	bool gap = false;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '\n' || c == '\r' || c == '\t')
			gap = true;
		if (gap && (c == '\n' || c == '\r' || c == '\t' || c == ' '))
			continue;
		if (gap && b->len && b->p[b->len - 1] != ' ')
			buf_addch(b, ' ');
		gap = false;
		buf_addch(b, c < ' ' || c == 0x7f ? '?' : *s);
	}
}

static void
add_part(struct buf *b, const char *sep, const char *s)
{
	if (b->len)
		buf_addstr(b, sep);
	add_line(b, s);
}

char *
err_str(const struct err *e)
{
	struct buf b = BUF_INIT;

	for (; e; e = e->cause) {
		if (e->op)
			add_part(&b, ": ", e->op);
		if (e->arg)
			add_part(&b, e->op ? " " : ": ", e->arg);
		if (e->msg)
			add_part(&b, ": ", e->msg);
		else if (e->kind != ERR_OTHER)
			add_part(&b, ": ", kinds[e->kind].text);
	}
	return buf_take(&b, NULL);
}
