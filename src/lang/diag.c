/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"
#include "base/xalloc.h"

/*
 * Diagnostics. Text from a program reaches a terminal here, so it is bounded and stripped of control
 * characters: a source line of megabytes, or one that carries escape sequences, is shown as a harmless piece.
 */
#define DIAG_WIDTH  160		/* characters of a source line that are shown at most */
#define DIAG_BEFORE 60		/* of them, before the carets */

static bool
same_pos(const struct span *a, const struct span *b)
{
	return a->src == b->src && a->pos.line == b->pos.line && a->pos.col == b->pos.col;
}

static bool
already_said(const struct diags *ds, const struct span *span)
{
	for (size_t i = 0; i < ds->n; i++)
		if (ds->v[i].level == DIAG_ERROR && same_pos(&ds->v[i].span, span))
			return true;
	return false;
}

static void
diag_add(struct diags *ds, enum diag_level level, const struct span *span, char *msg)
{
	if (ds->n == ds->cap) {
		ds->cap = ds->cap == 0 ? 8 : 2 * ds->cap;
		ds->v = xreallocarray(ds->v, ds->cap, sizeof *ds->v);
	}
	ds->v[ds->n++] = (struct diag){ .level = level, .span = *span, .msg = msg };
}

void
diags_release(struct diags *ds)
{
	for (size_t i = 0; i < ds->n; i++) {
		free(ds->v[i].msg);
		free(ds->v[i].hint);
	}
	free(ds->v);
	*ds = (struct diags)DIAGS_INIT;
}

bool
diags_full(const struct diags *ds)
{
	return ds->nerrors > DIAG_MAX_ERRORS;
}

void
diag_error(struct diags *ds, const struct span *span, const char *fmt, ...)
{
	va_list ap;

	ds->hintable = false;
	if (already_said(ds, span))
		return;
	if (++ds->nerrors > DIAG_MAX_ERRORS)
		return;
	va_start(ap, fmt);
	diag_add(ds, DIAG_ERROR, span, xvasprintf(fmt, ap));
	va_end(ap);
	ds->hintable = true;
}

void
diag_warn(struct diags *ds, const struct span *span, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(ds, DIAG_WARNING, span, xvasprintf(fmt, ap));
	va_end(ap);
	ds->hintable = true;
}

void
diag_hint(struct diags *ds, const char *fmt, ...)
{
	va_list ap;

	if (!ds->hintable)
		return;
	free(ds->v[ds->n - 1].hint);
	va_start(ap, fmt);
	ds->v[ds->n - 1].hint = xvasprintf(fmt, ap);
	va_end(ap);
}

void
span_add_pos(const struct span *span, struct buf *b)
{
	buf_addf(b, "%s:%u:%u", span->src == NULL ? "<input>" : span->src->path, span->pos.line, span->pos.col);
}

static bool
is_control(uint32_t c)
{
	utf8proc_category_t cat = utf8proc_category((utf8proc_int32_t)c);

	return cat == UTF8PROC_CATEGORY_CC || cat == UTF8PROC_CATEGORY_CF || c == 0x2028 || c == 0x2029;
}

/*
 * Two lines at once: the source's, and under each of its characters what the caret line has there. Wide
 * characters take two columns, tabs stay tabs so that both lines shift alike.
 */
static void
add_carets(const struct span *span, struct buf *out)
{
	const char *line = span->src->text + span->start.off;
	const char *end = span->src->text + span->src->len;
	struct buf under = BUF_INIT;
	uint32_t col = span->start.col, first;
	bool one_line = span->end.line == span->start.line;

	while (line > span->src->text && line[-1] != '\n' && col > 1 && span->start.col - col < DIAG_BEFORE) {
		do
			line--;
		while (line > span->src->text && ((unsigned char)*line & 0xc0) == 0x80);
		col--;
	}
	first = col;
	if (first > 1) {
		buf_addstr(out, "…");
		buf_addch(&under, ' ');
	}
	for (const char *p = line; p < end && *p != '\n' && col - first < DIAG_WIDTH; col++) {
		uint32_t c;
		size_t n = utf8_next(p, (size_t)(end - p), &c);
		bool marked = col >= span->start.col && (!one_line || col < span->end.col || col == span->start.col);
		char mark = !marked ? ' ' : col == span->start.col ? '^' : '~';
		int width = utf8proc_charwidth((utf8proc_int32_t)c);

		if (c == '\t') {
			buf_addch(out, '\t');
			buf_addch(&under, marked ? mark : '\t');
		} else if (c == '\r' && (p + n == end || p[n] == '\n')) {
			break;
		} else {
			if (is_control(c))
				buf_addstr(out, "?"), width = 1;
			else
				buf_add(out, p, n);
			for (int i = 0; i < width; i++)
				buf_addch(&under, i == 0 ? mark : marked ? '~' : ' ');
		}
		p += n;
	}
	if (col == span->start.col)	/* just past the end of the line */
		buf_addch(&under, '^');
	while (under.len > 0 && (under.p[under.len - 1] == ' ' || under.p[under.len - 1] == '\t'))
		under.len--;
	buf_addch(out, '\n');
	buf_add(out, under.p, under.len);
	buf_addch(out, '\n');
	buf_release(&under);
}

void
diag_print(const struct diag *d, int flags, struct buf *out)
{
	span_add_pos(&d->span, out);
	buf_addf(out, ": %s%s\n", d->level == DIAG_WARNING ? "warning: " : "", d->msg);
	if ((flags & DIAG_CARETS) == 0)
		return;
	if (d->span.src != NULL && d->span.start.line > 0)
		add_carets(&d->span, out);
	if (d->hint != NULL)
		buf_addf(out, "hint: %s\n", d->hint);
}

void
diags_print(const struct diags *ds, int flags, struct buf *out)
{
	for (size_t i = 0; i < ds->n; i++) {
		int skip = ds->v[i].level == DIAG_WARNING ? DIAG_NO_WARN : DIAG_NO_ERROR;

		if ((flags & skip) == 0)
			diag_print(&ds->v[i], flags, out);
	}
	if (ds->nerrors > DIAG_MAX_ERRORS && (flags & DIAG_NO_ERROR) == 0)
		buf_addf(out, "too many errors: only the first %d are shown\n", DIAG_MAX_ERRORS);
}

struct err *
diags_err(const struct diags *ds)
{
	struct buf b = BUF_INIT;
	struct err *err;

	if (ds->nerrors == 0)
		return NULL;
	for (size_t i = 0; i < ds->n; i++) {
		if (ds->v[i].level != DIAG_ERROR)
			continue;
		buf_addstr(&b, b.len == 0 ? "" : "; ");
		span_add_pos(&ds->v[i].span, &b);
		buf_addf(&b, ": %s", ds->v[i].msg);
	}
	err = err_msg(ERR_INVALID, "%s", buf_str(&b));
	buf_release(&b);
	return err;
}
