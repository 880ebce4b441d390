/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lex.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"
#include "base/xalloc.h"

/*
 * The scanner. Sources were checked to be UTF-8 when they were read, so decoding cannot fail here. What a
 * reader would get wrong: `{"` always opens a template, whatever stands around it, and the first `"}` closes it; and a
 * keyword ends a statement at a newline just as a name does.
 */

static const struct {
	const char *text;
	enum tok    kind;
} operators[] = {
#define TOKEN(name, text) { text, T_##name },
	LEX_OPERATORS(TOKEN)
#undef TOKEN
}, keywords[] = {
#define TOKEN(name, text) { text, T_##name },
	LEX_KEYWORDS(TOKEN)
#undef TOKEN
};

void
lex_init(struct lexer *lx, const struct source_text *src, struct arena *arena, struct diags *diags,
    struct buf *comments, bool newlines)
{
	*lx = (struct lexer){
		.src = src,
		.arena = arena,
		.diags = diags,
		.at = { 1, 1, 0 },
		.limit = src->len,
		.newlines = newlines,
		.comments = comments,
		.doc_from = comments->len / sizeof(struct comment),
		.text = BUF_INIT,
	};
}

void
lex_window(struct lexer *lx, const struct lexer *outer, struct pos from, size_t limit)
{
	lex_init(lx, outer->src, outer->arena, outer->diags, outer->comments, false);
	lx->at = from;
	lx->limit = limit;
}

void
lex_release(struct lexer *lx)
{
	buf_release(&lx->text);
}

/* ---- Characters ---- */

static const char *
here(const struct lexer *lx)
{
	return lx->src->text + lx->at.off;
}

static size_t
left(const struct lexer *lx)
{
	return lx->limit - lx->at.off;
}

/* The byte k places ahead, 0 at the end: no source contains a NUL. */
static char
peek(const struct lexer *lx, size_t k)
{
	return k < left(lx) ? here(lx)[k] : '\0';
}

static uint32_t
peek_char(const struct lexer *lx)
{
	uint32_t c = 0;

	utf8_next(here(lx), left(lx), &c);
	return c;
}

static void
step(struct lexer *lx)
{
	size_t n = utf8_next(here(lx), left(lx), NULL);

	if (n == 1 && *here(lx) == '\n') {
		lx->at.line++;
		lx->at.col = 0;
	}
	lx->at.col++;
	lx->at.off += n == 0 ? 1 : (uint32_t)n;
}

static void
skip(struct lexer *lx, size_t bytes)
{
	lx->at.off += (uint32_t)bytes;
	lx->at.col += (uint32_t)bytes;	/* only over ASCII, and never over a newline */
}

struct pos
pos_after(struct pos pos, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n') {
			pos.line++;
			pos.col = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			pos.col++;
		}
	}
	pos.off += (uint32_t)n;
	return pos;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
starts_name(uint32_t c)
{
	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
		return true;
	default:
		return false;
	}
}

static bool
continues_name(uint32_t c)
{
	if (c == '_' || (c < 0x80 && is_digit((char)c)))
		return true;
	return starts_name(c) || (c >= 0x80 && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND);
}

bool
name_is_exported(const char *name)
{
	uint32_t c;

	if (utf8_next(name, strlen(name), &c) == 0)
		return false;
	return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LU;
}

/* ---- Errors ---- */

static void lex_error(struct lexer *, struct token *, struct pos start, const char *fmt, ...) printf_like(4, 5);

/* Reports from start to where the scanner stands; the token becomes one that the parser will not report again. */
static void
lex_error(struct lexer *lx, struct token *t, struct pos start, const char *fmt, ...)
{
	struct span span = { lx->src, start, lx->at, lx->at };
	char *msg;
	va_list ap;

	va_start(ap, fmt);
	msg = xvasprintf(fmt, ap);
	va_end(ap);
	diag_error(lx->diags, &span, "%s", msg);
	free(msg);
	t->kind = T_ERROR;
}

/* ---- Comments and what they document ---- */

static size_t
ncomments(const struct lexer *lx)
{
	return lx->comments->len / sizeof(struct comment);
}

static void
no_doc(struct lexer *lx)
{
	lx->doc_from = ncomments(lx);
}

static bool
skip_comment(struct lexer *lx, struct token *t)
{
	struct comment c = { .span = { lx->src, lx->at, lx->at, lx->at } };
	bool block = peek(lx, 1) == '*';

	c.own_line = lx->prev_line != lx->at.line;
	skip(lx, 2);
	if (block) {
		while (left(lx) > 0 && !(peek(lx, 0) == '*' && peek(lx, 1) == '/'))
			step(lx);
		if (left(lx) == 0) {
			lx->at = pos_after(c.span.start, "/*", 2);
			lex_error(lx, t, c.span.start, "comment is not closed");
			diag_hint(lx->diags, "write */ where it ends");
			lx->at = pos_after(lx->at, here(lx), left(lx));
			return false;
		}
		skip(lx, 2);
	} else {
		while (left(lx) > 0 && peek(lx, 0) != '\n')
			step(lx);
	}
	c.span.pos = c.span.end = lx->at;
	buf_add(lx->comments, &c, sizeof c);
	return true;
}

static void
add_trimmed(struct buf *b, const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	buf_add(b, p, (size_t)(end - p));
}

/* The lines of a comment, without slashes and stars, each trimmed. */
static void
add_comment(struct buf *b, const struct comment *c)
{
	const char *p = c->span.src->text + c->span.start.off + 2;
	const char *end = c->span.src->text + c->span.end.off;
	const char *nl;

	if (p[-1] == '*')
		end -= 2;
	while ((nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		add_trimmed(b, p, nl);
		buf_addch(b, '\n');
		p = nl + 1;
	}
	add_trimmed(b, p, end);
}

/* The comment lines that end just above the token, or before it on its line. */
static const char *
doc_text(struct lexer *lx)
{
	const struct comment *c = (const struct comment *)lx->comments->p;
	size_t n = ncomments(lx), from = 0, to;

	if (lx->doc_from >= n)
		return NULL;
	buf_clear(&lx->text);
	for (size_t i = lx->doc_from; i < n; i++) {
		if (i > lx->doc_from)
			buf_addch(&lx->text, '\n');
		add_comment(&lx->text, &c[i]);
	}
	to = lx->text.len;
	while (to > from && lx->text.p[to - 1] == '\n')
		to--;
	while (from < to && lx->text.p[from] == '\n')
		from++;
	return from == to ? NULL : arena_strndup(lx->arena, lx->text.p + from, to - from);
}

static bool
takes_doc(enum tok kind)
{
	return kind == T_IDENT || kind == T_VAL || kind == T_FUNC || kind == T_TYPE || kind == T_AT || kind == T_PARAM;
}

/* ---- Statement ends ---- */

static bool
may_end_statement(enum tok prev)
{
	switch (prev) {
	case T_IDENT:
	case T_INT:
	case T_FLOAT:
	case T_STRING:
	case T_CHAR:
	case T_TEMPLATE:
	case T_RPAREN:
	case T_RBRACE:
	case T_RBRACK:
		return true;
	default:
		return tok_is_keyword(prev);
	}
}

static void
give_semi(struct lexer *lx, struct token *t, enum semi semi)
{
	t->kind = T_SEMI;
	t->semi = semi;
	t->start = t->end = lx->at;
	lx->prev = T_SEMI;
}

/*
 * White space and comments before the next token. True if a statement ended there and t was given. A blank line
 * parts a comment from what follows; so does the end of a line that began with code.
 */
static bool
skip_space(struct lexer *lx, struct token *t)
{
	uint32_t last_line = lx->prev_line;	/* that had a token or comment on it */

	while (left(lx) > 0) {
		char c = peek(lx, 0);

		if (c == '\n') {
			if (lx->newlines && may_end_statement(lx->prev)) {
				no_doc(lx);
				give_semi(lx, t, SEMI_NEWLINE);
				return true;
			}
			if (last_line != lx->at.line || lx->prev_line == lx->at.line)
				no_doc(lx);
			step(lx);
		} else if (c == ' ' || c == '\t' || c == '\r') {
			skip(lx, 1);
		} else if (c == '/' && (peek(lx, 1) == '/' || peek(lx, 1) == '*')) {
			if (!skip_comment(lx, t))
				return true;
			last_line = lx->at.line;
		} else {
			return false;
		}
	}
	if (lx->newlines && lx->prev != T_SEMI && lx->prev != T_EOF) {
		give_semi(lx, t, SEMI_END);
		return true;
	}
	return false;
}

/* ---- Names and numbers ---- */

static void
lex_name(struct lexer *lx, struct token *t)
{
	const char *p = here(lx);
	size_t n;

	do
		step(lx);
	while (left(lx) > 0 && continues_name(peek_char(lx)));
	n = (size_t)(here(lx) - p);
	t->kind = T_IDENT;
	for (size_t i = 0; i < nitems(keywords); i++)
		if (strncmp(p, keywords[i].text, n) == 0 && keywords[i].text[n] == '\0')
			t->kind = keywords[i].kind;
	if (t->kind == T_IDENT)
		t->name = arena_strndup(lx->arena, p, n);
}

static void
skip_digits(struct lexer *lx)
{
	while (is_digit(peek(lx, 0)))
		skip(lx, 1);
}

static void
lex_hex(struct lexer *lx, struct token *t)
{
	skip(lx, 2);
	while (hex_digit(peek(lx, 0)) >= 0)
		skip(lx, 1);
	lex_error(lx, t, t->start, "numbers are written in decimal");
}

/* digits, digits "." [digits] [exponent], "." digits [exponent], digits exponent */
static void
lex_number(struct lexer *lx, struct token *t)
{
	const char *p = here(lx);

	if (p[0] == '0' && (peek(lx, 1) == 'x' || peek(lx, 1) == 'X')) {
		lex_hex(lx, t);
		return;
	}
	t->kind = T_INT;
	skip_digits(lx);
	if (peek(lx, 0) == '.' && !(peek(lx, 1) == '.' && peek(lx, 2) == '.')) {
		t->kind = T_FLOAT;
		skip(lx, 1);
		skip_digits(lx);
	}
	if (peek(lx, 0) == 'e' || peek(lx, 0) == 'E') {
		t->kind = T_FLOAT;
		skip(lx, 1);
		if (peek(lx, 0) == '+' || peek(lx, 0) == '-')
			skip(lx, 1);
		if (!is_digit(peek(lx, 0))) {
			lex_error(lx, t, t->start, "exponent has no digits");
			return;
		}
		skip_digits(lx);
	}
	t->str.len = (size_t)(here(lx) - p);
	t->str.p = arena_strndup(lx->arena, p, t->str.len);
}

/* ---- Strings and templates ---- */

static void
add_char(struct buf *b, uint32_t c)
{
	utf8proc_uint8_t out[4];

	buf_add(b, out, (size_t)utf8proc_encode_char((utf8proc_int32_t)c, out));
}

/* n digits of a base into *c; true if they are there. Steps over what it read. */
static bool
escape_digits(struct lexer *lx, int n, int base, uint32_t *c)
{
	*c = 0;
	for (; n > 0; n--) {
		int d = hex_digit(peek(lx, 0));

		if (d < 0 || d >= base)
			return false;
		*c = *c * (uint32_t)base + (uint32_t)d;
		skip(lx, 1);
	}
	return true;
}

/* One escape, at the character after the backslash; decoded into lx->text. */
static bool
lex_escape(struct lexer *lx, char quote)
{
	static const char simple[] = "abfnrtv\\", meaning[] = "\a\b\f\n\r\t\v\\";
	char e = peek(lx, 0);
	const char *s = e == '\0' ? NULL : strchr(simple, e);
	uint32_t c;

	if (s != NULL || e == quote) {
		buf_addch(&lx->text, s != NULL ? meaning[s - simple] : quote);
		skip(lx, 1);
		return true;
	}
	if (e >= '0' && e <= '7') {
		if (!escape_digits(lx, 3, 8, &c) || c > 255)
			return false;
		buf_addch(&lx->text, (char)c);
		return true;
	}
	if (e != 'x' && e != 'u' && e != 'U')
		return false;
	skip(lx, 1);
	if (!escape_digits(lx, e == 'x' ? 2 : e == 'u' ? 4 : 8, 16, &c))
		return false;
	if (e == 'x')
		buf_addch(&lx->text, (char)c);
	else if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return false;
	else
		add_char(&lx->text, c);
	return true;
}

/* "…" or '…', on one line. A bad escape is reported once and the string read to its end. */
static void
lex_string(struct lexer *lx, struct token *t, char quote)
{
	bool ok = true;

	buf_clear(&lx->text);
	skip(lx, 1);
	t->kind = quote == '"' ? T_STRING : T_CHAR;
	while (peek(lx, 0) != quote) {
		struct pos at = lx->at;
		const char *p = here(lx);

		if (left(lx) == 0 || *p == '\n') {
			lex_error(lx, t, t->start, "string is not closed on its line");
			if (quote == '"')
				diag_hint(lx->diags, "a string of several lines stands between back quotes: `…`");
			return;
		}
		if (*p != '\\') {
			step(lx);
			buf_add(&lx->text, p, (size_t)(here(lx) - p));
			continue;
		}
		skip(lx, 1);
		if (lex_escape(lx, quote) || !ok)
			continue;
		ok = false;
		if (here(lx) == p + 1 && left(lx) > 0 && *here(lx) != '\n')
			step(lx);	/* the letter that it does not know */
		lex_error(lx, t, at, "unknown escape in string");
		diag_hint(lx->diags, "a backslash itself is written \\\\; without escapes use back quotes: `…`");
	}
	skip(lx, 1);
	t->str.len = lx->text.len;
	t->str.p = arena_memdup(lx->arena, buf_str(&lx->text), lx->text.len + 1);
}

static void
lex_raw_string(struct lexer *lx, struct token *t)
{
	struct pos end;

	buf_clear(&lx->text);
	skip(lx, 1);
	end = lx->at;
	while (left(lx) > 0 && peek(lx, 0) != '`') {
		const char *p = here(lx);

		step(lx);
		if (*p != '\r')
			buf_add(&lx->text, p, (size_t)(here(lx) - p));
	}
	if (left(lx) == 0) {
		struct pos stop = lx->at;

		lx->at = end;	/* show where it began */
		lex_error(lx, t, t->start, "string is not closed");
		lx->at = stop;
		return;
	}
	skip(lx, 1);
	t->kind = T_STRING;
	t->raw = true;
	t->str.len = lx->text.len;
	t->str.p = arena_memdup(lx->arena, buf_str(&lx->text), lx->text.len + 1);
}

/* From {" to the first "}: the parser looks inside. */
static void
lex_template(struct lexer *lx, struct token *t)
{
	struct pos inside;

	skip(lx, 2);
	inside = lx->at;
	while (left(lx) > 0 && !(peek(lx, 0) == '"' && peek(lx, 1) == '}'))
		step(lx);
	if (left(lx) == 0) {
		struct pos stop = lx->at;

		lx->at = inside;
		lex_error(lx, t, t->start, "template is not closed");
		diag_hint(lx->diags, "{\" opens a template, which \"} closes; a block that begins with a string needs a "
		    "space between: { \"");
		lx->at = stop;
		return;
	}
	skip(lx, 2);
	t->kind = T_TEMPLATE;
}

/* ---- Tokens ---- */

static void
lex_operator(struct lexer *lx, struct token *t)
{
	for (size_t i = 0; i < nitems(operators); i++) {
		size_t n = strlen(operators[i].text);

		if (n <= left(lx) && memcmp(here(lx), operators[i].text, n) == 0) {
			t->kind = operators[i].kind;
			skip(lx, n);
			return;
		}
	}
	step(lx);
	lex_error(lx, t, t->start, "unexpected character");
}

/* `_` alone is a token; no name begins with it. */
static void
lex_underscore(struct lexer *lx, struct token *t)
{
	skip(lx, 1);
	t->kind = T_UNDERSCORE;
	if (left(lx) == 0 || !continues_name(peek_char(lx)))
		return;
	while (left(lx) > 0 && continues_name(peek_char(lx)))
		step(lx);
	lex_error(lx, t, t->start, "names begin with a letter");
}

static void
lex_token(struct lexer *lx, struct token *t)
{
	char c = peek(lx, 0);

	if (c == '"' || c == '\'')
		lex_string(lx, t, c);
	else if (c == '`')
		lex_raw_string(lx, t);
	else if (c == '{' && peek(lx, 1) == '"')
		lex_template(lx, t);
	else if (is_digit(c) || (c == '.' && is_digit(peek(lx, 1))))
		lex_number(lx, t);
	else if (c == '_')
		lex_underscore(lx, t);
	else if (starts_name(peek_char(lx)))
		lex_name(lx, t);
	else
		lex_operator(lx, t);
}

void
lex_next(struct lexer *lx, struct token *t)
{
	*t = (struct token){ .kind = T_EOF, .start = lx->at, .end = lx->at };
	if (skip_space(lx, t))
		return;
	t->start = t->end = lx->at;
	t->first = lx->prev_line != lx->at.line;
	if (left(lx) == 0)
		return;
	lex_token(lx, t);
	t->end = lx->at;
	if (takes_doc(t->kind))
		t->doc = doc_text(lx);
	no_doc(lx);
	lx->prev = t->kind;
	lx->prev_line = lx->at.line;
}

struct span
tok_span(const struct lexer *lx, const struct token *t)
{
	return (struct span){ lx->src, t->start, t->end, t->end };
}

bool
tok_is_keyword(enum tok kind)
{
	return kind >= T_VAL && kind <= T_INCLUDE;
}

bool
tok_is_reserved(enum tok kind)
{
	return kind == T_FORCE || kind == T_IMPORT || kind == T_INCLUDE || kind == T_STRUCT;
}

const char *
tok_text(enum tok kind)
{
	static const char *const text[T_NTOKENS] = {
		[T_EOF] = "end of file",
		[T_ERROR] = "error",
		[T_IDENT] = "name",
		[T_INT] = "number",
		[T_FLOAT] = "number",
		[T_STRING] = "string",
		[T_CHAR] = "character",
		[T_TEMPLATE] = "template",
#define TOKEN(name, str) [T_##name] = str,
		LEX_OPERATORS(TOKEN)
		LEX_KEYWORDS(TOKEN)
#undef TOKEN
	};

	return text[kind];
}

/* Of a long text, what fits into a message. */
static int
clipped(const char *text)
{
	size_t n = strnlen(text, 60);

	while (text[n] != '\0' && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

char *
tok_describe(const struct token *t)
{
	switch (t->kind) {
	case T_EOF:
	case T_ERROR:
	case T_STRING:
	case T_CHAR:
	case T_TEMPLATE:
		return xstrdup(tok_text(t->kind));
	case T_IDENT:
		return xasprintf("name \"%.*s\"", clipped(t->name), t->name);
	case T_INT:
	case T_FLOAT:
		return xasprintf("number %.*s", clipped(t->str.p), t->str.p);
	case T_SEMI:
		if (t->semi != SEMI_WRITTEN)
			return xstrdup(t->semi == SEMI_END ? "end of file" : "end of line");
		/* fallthrough */
	default:
		return xasprintf("%s\"%s\"", tok_is_keyword(t->kind) ? "keyword " : "", tok_text(t->kind));
	}
}
