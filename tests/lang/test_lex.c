/* SPDX-License-Identifier: Apache-2.0 */
#include "../check.h"

#include "lang/lex.h"

/* The scanner: which tokens, where, and where a line ends a statement. */

struct fixture {
	struct sources *sources;
	struct arena   *arena;
	struct diags	diags;
	struct buf	comments;
	struct lexer	lex;
};

static void
open_lexer(struct fixture *f, const char *text, bool newlines)
{
	const struct source_text *src;

	*f = (struct fixture){ sources_new(), arena_new(), DIAGS_INIT, BUF_INIT, { 0 } };
	assert_ok(sources_add(f->sources, "t.rf", text, strlen(text), &src));
	lex_init(&f->lex, src, f->arena, &f->diags, &f->comments, newlines);
}

static void
close_lexer(struct fixture *f)
{
	lex_release(&f->lex);
	buf_release(&f->comments);
	diags_release(&f->diags);
	arena_free(f->arena);
	sources_free(f->sources);
}

/* All tokens as one line of words: `;` written, `;nl` and `;end` inserted. */
static void
assert_tokens(const char *text, bool newlines, const char *expected)
{
	struct fixture f;
	struct token t;
	struct buf b = BUF_INIT;

	open_lexer(&f, text, newlines);
	for (lex_next(&f.lex, &t); t.kind != T_EOF; lex_next(&f.lex, &t)) {
		buf_addstr(&b, b.len == 0 ? "" : " ");
		buf_addstr(&b, t.kind == T_IDENT ? t.name : tok_text(t.kind));
		if (t.kind == T_SEMI && t.semi != SEMI_WRITTEN)
			buf_addstr(&b, t.semi == SEMI_NEWLINE ? "nl" : "end");
	}
	assert_string_equal(buf_str(&b), expected);
	buf_release(&b);
	close_lexer(&f);
}

static void
test_operators(void **state unused_arg)
{
	assert_tokens("...~>||&&<<>><=>===!==><-:=<>+-*/%&!|=.,:;@#_()[]{}", false,
	    "... ~> || && << >> <= >= == != => <- := < > + - * / % & ! | = . , : ; @ # _ ( ) [ ] { }");
	assert_tokens("a<-b", false, "a <- b");
	assert_tokens("a:==b", false, "a := = b");
	assert_tokens("===", false, "== =");
	assert_tokens("....", false, "... .");
}

static void
test_keywords(void **state unused_arg)
{
	static const char all[] = "val file dir struct module exec func int float string bool keyspace param if else "
				  "switch case make requires type true false force import include";

	assert_tokens(all, false, all);
	assert_tokens("vals Val xval", false, "vals Val xval");
}

static void
test_numbers(void **state unused_arg)
{
	static const struct {
		const char *text;
		enum tok    kind;
	} good[] = {
		{ "0", T_INT }, { "010", T_INT }, { "99999999999999999999999", T_INT }, { "1.5", T_FLOAT }, { "1.", T_FLOAT },
		{ ".5", T_FLOAT }, { "3e10", T_FLOAT }, { "0.5e-8", T_FLOAT }, { "1E+2", T_FLOAT }, { ".5e3", T_FLOAT },
	};

	for (size_t i = 0; i < nitems(good); i++) {
		struct fixture f;
		struct token t;

		open_lexer(&f, good[i].text, false);
		lex_next(&f.lex, &t);
		assert_int_equal(t.kind, good[i].kind);
		assert_string_equal(t.str.p, good[i].text);
		assert_int_equal(t.end.off, strlen(good[i].text));
		close_lexer(&f);
	}
	assert_tokens("[1...x]", false, "[ number ... x ]");
	assert_tokens("[1 ...x]", false, "[ number ... x ]");
	assert_tokens("1.5.x", false, "number . x");
}

/* A newline ends a statement after what could end one, and nowhere else. */
static void
test_semicolons(void **state unused_arg)
{
	assert_tokens("a\nb", true, "a ;nl b ;end");
	assert_tokens("a\n\n\nb\n", true, "a ;nl b ;nl");
	assert_tokens("a;\nb;", true, "a ; b ;");
	assert_tokens("\n\na", true, "a ;end");
	assert_tokens("", true, "");
	assert_tokens("\n", true, "");
	assert_tokens("1\n1.\n\"s\"\n`r`\n'c'\n{\"t\"}\n", true,
	    "number ;nl number ;nl string ;nl string ;nl character ;nl template ;nl");
	assert_tokens(")\n]\n}\n", true, ") ;nl ] ;nl } ;nl");
	assert_tokens("int\nfile\nif\ntrue\n", true, "int ;nl file ;nl if ;nl true ;nl");
	assert_tokens("(\n[\n{\n+\n,\n.\n=\n:=\n=>\n...\n_\n#\n@\n", true, "( [ { + , . = := => ... _ # @ ;end");
	assert_tokens("a // c\nb /* d */\n/* e\n */ c", true, "a ;nl b ;nl c ;end");
	assert_tokens("a /* c\nd */ b", true, "a b ;end");
	assert_tokens("a\r\nb", true, "a ;nl b ;end");
	assert_tokens("a\nb\n", false, "a b");
}

static void
test_strings(void **state unused_arg)
{
	struct fixture f;
	struct token t;

	open_lexer(&f, "\"a\\x00b\\n\\\"\" `c\r\nd\\n`", false);
	lex_next(&f.lex, &t);
	assert_int_equal(t.str.len, 5);
	assert_memory_equal(t.str.p, "a\0b\n\"", 6);
	assert_false(t.raw);
	lex_next(&f.lex, &t);
	assert_int_equal(t.str.len, 5);
	assert_memory_equal(t.str.p, "c\nd\\n", 6);
	assert_true(t.raw);
	assert_int_equal(t.end.line, 2);
	assert_int_equal(t.end.col, 5);
	close_lexer(&f);
}

static void
test_templates(void **state unused_arg)
{
	struct fixture f;
	struct token t;

	assert_tokens("{\"\"}", false, "template");
	assert_tokens("{\"}\"}", false, "template");
	assert_tokens("{\" a \"\"} }", false, "template }");
	assert_tokens("{ \"a\"}", false, "{ string }");
	open_lexer(&f, "{\"\n  {{x}}\n\"} y", false);
	lex_next(&f.lex, &t);
	assert_int_equal(t.end.line, 3);
	assert_int_equal(t.end.col, 3);
	lex_next(&f.lex, &t);
	assert_int_equal(t.start.col, 4);
	close_lexer(&f);
}

/* Columns are characters, whatever their bytes or width. */
static void
test_positions(void **state unused_arg)
{
	struct fixture f;
	struct token t;

	open_lexer(&f, "é\t日本 €\n  x", true);
	lex_next(&f.lex, &t);
	assert_string_equal(t.name, "é");
	assert_true(t.first);
	assert_int_equal(t.end.col, 2);
	lex_next(&f.lex, &t);
	assert_string_equal(t.name, "日本");
	assert_false(t.first);
	assert_int_equal(t.start.col, 3);
	assert_int_equal(t.end.col, 5);
	lex_next(&f.lex, &t);
	assert_int_equal(t.kind, T_ERROR);
	assert_int_equal(t.start.col, 6);
	lex_next(&f.lex, &t);
	assert_string_equal(t.name, "x");
	assert_true(t.first);
	assert_int_equal(t.start.line, 2);
	assert_int_equal(t.start.off, 16);
	close_lexer(&f);
}

/* Carets never carry a control character or a megabyte to the terminal. */
static void
test_hostile_line(void **state unused_arg)
{
	struct fixture f;
	struct token t;
	struct buf text = BUF_INIT, out = BUF_INIT;

	for (int i = 0; i < 200000; i++)
		buf_addstr(&text, "a ");
	buf_addstr(&text, "\x1b[31m ");
	for (int i = 0; i < 200000; i++)
		buf_addstr(&text, "b ");
	open_lexer(&f, buf_str(&text), false);
	do
		lex_next(&f.lex, &t);
	while (t.kind == T_IDENT);
	assert_int_equal(t.kind, T_ERROR);
	diags_print(&f.diags, DIAG_CARETS, &out);
	assert_true(out.len < 600);
	assert_null(memchr(out.p, '\x1b', out.len));
	assert_non_null(strstr(buf_str(&out), "t.rf:1:400002: unexpected character\n…a a"));
	buf_release(&text);
	buf_release(&out);
	close_lexer(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_semicolons),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_hostile_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
