/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/parse_priv.h"

/*
 * The inside of an exec's template. The scanner gave it as one token; here it is cut into text and
 * interpolations. `}}` is looked for after `{{`, whatever stands between: neither a string nor a nested
 * brace can hide it. Positions inside are those in the file.
 */

/* One expression between {{ and }}, read by a scanner of its own over that part of the text. */
static struct expr *
interpolation(struct parser *p, struct pos from, size_t limit)
{
	struct lexer outer = p->lex;
	struct token tok = p->tok, ahead = p->ahead;
	struct pos end = p->end;
	bool has_ahead = p->has_ahead;
	struct expr *e;

	lex_window(&p->lex, &outer, from, limit);
	p->has_ahead = false;
	p->in_template = true;
	parser_next(p);
	e = p_expr(p);
	if (e != NULL && !parser_at(p, T_EOF)) {
		parser_unexpected(p, "\"}}\"");
		e = NULL;
	}
	lex_release(&p->lex);
	p->lex = outer;
	p->tok = tok;
	p->ahead = ahead;
	p->has_ahead = has_ahead;
	p->end = end;
	p->in_template = false;
	return e;
}

static void
push_text(struct parser *p, struct pos from, const char *text, size_t n, struct pos to)
{
	struct tmpl_part part = { .text = { arena_strndup(p->arena, text, n), n } };

	part.span = (struct span){ p->lex.src, from, to, to };
	list_push(p, &part, sizeof part);
}

static const char *
find(const char *p, const char *end, const char *what)
{
	return p >= end ? NULL : memmem(p, (size_t)(end - p), what, strlen(what));
}

/* {{ expr }}: at is that of the braces. Gives where the text goes on, or NULL. */
static const char *
template_arg(struct parser *p, const char *open, const char *end, struct pos *at)
{
	const char *text = p->lex.src->text, *close = find(open + 2, end, "}}");
	struct tmpl_part part = { .span = { p->lex.src, *at, pos_after(*at, open, 2), pos_after(*at, open, 2) } };

	if (close == NULL) {
		parser_fail(p, &part.span, "unterminated interpolation");
		parser_hint(p, "an interpolation ends with }}; the template itself ends at the first \"}");
		return NULL;
	}
	*at = pos_after(*at, open, (size_t)(close + 2 - open));
	part.expr = interpolation(p, part.span.pos, (size_t)(close - text));
	if (part.expr == NULL)
		return NULL;
	part.span.end = *at;
	list_push(p, &part, sizeof part);
	return close + 2;
}

bool
p_template(struct parser *p, struct expr *exec, const struct token *t)
{
	const char *text = p->lex.src->text, *s = text + t->start.off + 2, *end = text + t->end.off - 2, *open;
	struct pos at = pos_after(t->start, "{\"", 2);
	size_t mark = p->stack.len;

	while ((open = find(s, end, "{{")) != NULL) {
		struct pos from = at;

		at = pos_after(at, s, (size_t)(open - s));
		if (open > s)
			push_text(p, from, s, (size_t)(open - s), at);
		if ((s = template_arg(p, open, end, &at)) == NULL)
			return false;
	}
	if (s < end)
		push_text(p, at, s, (size_t)(end - s), pos_after(at, s, (size_t)(end - s)));
	exec->part = list_take(p, mark, sizeof *exec->part, &exec->nparts);
	exec->tmpl_span = tok_span(&p->lex, t);
	return true;
}
