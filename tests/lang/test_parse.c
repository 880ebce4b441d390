/* SPDX-License-Identifier: Apache-2.0 */
#include "../check.h"

#include <glob.h>
#include <time.h>

#include "lang/parse.h"
#include "lang/print.h"
#include "rft.h"

/*
 * The parser: every production from data (parse_*.rft), printing and parsing again, and text that is
 * no program at all.
 */

struct fixture {
	struct sources *sources;
	struct arena   *arena;
	struct diags	diags;
};

static void
open_fixture(struct fixture *f)
{
	*f = (struct fixture){ sources_new(), arena_new(), DIAGS_INIT };
}

static void
close_fixture(struct fixture *f)
{
	diags_release(&f->diags);
	arena_free(f->arena);
	sources_free(f->sources);
}

static struct module *
module_of(struct fixture *f, const char *path, const char *text, size_t n)
{
	const struct source_text *src;

	assert_ok(sources_add(f->sources, path, text, n, &src));
	return parse_module(f->arena, src, &f->diags);
}

/* ---- Cases ---- */

static bool
print_decls(struct fixture *f, const struct source_text *src, struct buf *out)
{
	size_t n;
	struct decl **d = parse_decls(f->arena, src, &f->diags, &n);

	for (size_t i = 0; d != NULL && i < n; i++) {
		print_decl(out, d[i], 0);
		buf_addch(out, '\n');
	}
	return d != NULL;
}

/* Parses as the kind says and prints; false if there were errors. */
static bool
parse_kind(struct fixture *f, const char *kind, const struct source_text *src, struct buf *out)
{
	void *tree = NULL;

	if (strcmp(kind, "decls") == 0)
		return print_decls(f, src, out);
	if (strcmp(kind, "module") == 0) {
		if ((tree = parse_module(f->arena, src, &f->diags)) != NULL)
			print_module(out, tree);
		return tree != NULL;
	}
	if (strcmp(kind, "expr") == 0 || strcmp(kind, "abbrev") == 0) {
		if ((tree = parse_expr(f->arena, src, &f->diags)) != NULL)
			(kind[0] == 'a' ? print_abbrev : print_expr)(out, tree);
	} else if (strcmp(kind, "type") == 0) {
		if ((tree = parse_type(f->arena, src, &f->diags)) != NULL)
			print_type(out, tree);
	} else if (strcmp(kind, "pat") == 0) {
		if ((tree = parse_pat(f->arena, src, &f->diags)) != NULL)
			print_pat(out, tree);
	} else {
		fail_msg("unknown kind %s", kind);
	}
	if (tree != NULL)
		buf_addch(out, '\n');
	return tree != NULL;
}

static bool
check_messages(const struct rft_case *c, const struct fixture *f)
{
	struct buf plain = BUF_INIT, carets = BUF_INIT;
	bool ok = true;

	diags_print(&f->diags, 0, &plain);
	diags_print(&f->diags, DIAG_CARETS, &carets);
	if (c->has_errors || !c->has_carets)
		ok = rft_same(c, "messages", &plain, &c->errors);
	if (c->has_carets)
		ok = rft_same(c, "messages with carets", &carets, &c->carets) && ok;
	buf_release(&plain);
	buf_release(&carets);
	return ok;
}

static bool
print_again(const char *kind, const struct buf *text, struct buf *out)
{
	struct fixture f;
	const struct source_text *src;
	bool ok;

	open_fixture(&f);
	assert_ok(sources_add(f.sources, "<again>", buf_str(text), text->len, &src));
	ok = parse_kind(&f, kind, src, out);
	close_fixture(&f);
	return ok;
}

static bool
run_case(const struct rft_case *c)
{
	struct fixture f;
	const struct source_text *src;
	struct buf out = BUF_INIT, again = BUF_INIT, same = BUF_INIT;
	bool ok;

	open_fixture(&f);
	assert_ok(sources_add(f.sources, "<input>", buf_str(&c->program), c->program.len, &src));
	parse_kind(&f, c->kind, src, &out);
	ok = check_messages(c, &f);
	if (c->same) {
		buf_add(&same, c->program.p, c->program.len);
		buf_addch(&same, '\n');
	}
	ok = rft_same(c, "result", &out, c->same ? &same : &c->result) && ok;
	if (c->has_result && ok && strcmp(c->kind, "abbrev") != 0) {
		print_again(c->kind, &out, &again);
		ok = rft_same(c, "result of the result", &again, &out);
	}
	buf_release(&out);
	buf_release(&again);
	buf_release(&same);
	close_fixture(&f);
	return ok;
}

static void
test_cases(void **state)
{
	struct rft t;
	size_t failed = 0;

	rft_read(&t, *state);
	assert_true(t.n > 0);
	for (size_t i = 0; i < t.n; i++)
		failed += run_case(&t.v[i]) ? 0 : 1;
	if (failed > 0)
		fail_msg("%zu of %zu cases failed", failed, t.n);
	rft_release(&t);
}

/* ---- Parse, print, parse ---- */

static void
check_round_trip(const char *path, const struct buf *text)
{
	struct fixture f;
	struct module *m, *again;
	struct buf one = BUF_INIT, two = BUF_INIT;

	open_fixture(&f);
	m = module_of(&f, path, buf_str(text), text->len);
	if (m == NULL) {
		diags_print(&f.diags, DIAG_CARETS, &one);
		fail_msg("%s", buf_str(&one));
	}
	print_module(&one, m);
	again = module_of(&f, "<again>", buf_str(&one), one.len);
	if (again == NULL || !module_equal(m, again))
		fail_msg("%s changed by printing:\n%s", path, buf_str(&one));
	print_module(&two, again);
	assert_string_equal(buf_str(&one), buf_str(&two));
	buf_release(&one);
	buf_release(&two);
	close_fixture(&f);
}

static size_t
round_trip_all(const char *pattern)
{
	glob_t g;
	size_t n = 0;

	if (glob(pattern, 0, NULL, &g) == 0) {
		for (size_t i = 0; i < g.gl_pathc; i++, n++) {
			struct buf text = BUF_INIT;

			assert_ok(buf_read_file(&text, g.gl_pathv[i], SOURCE_MAX_BYTES));
			check_round_trip(g.gl_pathv[i], &text);
			buf_release(&text);
		}
		globfree(&g);
	}
	return n;
}

/* Every program of the repository, and with WEIR_RF_GLOB others. */
static void
test_round_trip_files(void **state unused_arg)
{
	static const char *const below[] = { "examples/*.rf", "examples/*/*.rf", "tests/lang/*.rf" };
	size_t n = 0;

	for (size_t i = 0; i < nitems(below); i++) {
		char *pattern = source_path(below[i]);

		n += round_trip_all(pattern);
		free(pattern);
	}
	assert_true(n > 3);
	if (getenv("WEIR_RF_GLOB") != NULL)
		assert_true(round_trip_all(getenv("WEIR_RF_GLOB")) > 0);
}

/* ---- Positions, docs, comments ---- */

static void
assert_pos(const struct span *s, unsigned sl, unsigned sc, unsigned pl, unsigned pc, unsigned el, unsigned ec)
{
	assert_int_equal(s->start.line, sl);
	assert_int_equal(s->start.col, sc);
	assert_int_equal(s->pos.line, pl);
	assert_int_equal(s->pos.col, pc);
	assert_int_equal(s->end.line, el);
	assert_int_equal(s->end.col, ec);
}

static void
test_spans(void **state unused_arg)
{
	static const char text[] = "val (x, y) = (1, 2)\n"
				   "func F(a, b string) = a + b[1].c\n"
				   "ключ := F(\"é\",\n\t`r`)\n"
				   "e := exec(image := \"i\") (out file) {\"\n\t€ {{ ключ }}\n\t{{a\n+b}} {{out}}\n\"}\n";
	struct fixture f;
	struct module *m;
	const struct expr *e;

	open_fixture(&f);
	m = module_of(&f, "t.rf", text, sizeof text - 1);
	assert_non_null(m);
	assert_int_equal(m->ndecls, 4);
	assert_pos(&m->decl[0]->span, 1, 1, 1, 15, 1, 20);
	assert_pos(&m->decl[0]->name_span, 1, 5, 1, 6, 1, 11);
	assert_pos(&m->decl[1]->span, 2, 1, 2, 5, 2, 33);
	e = m->decl[1]->expr->a;
	assert_pos(&e->span, 2, 23, 2, 24, 2, 33);
	assert_pos(&e->op_span, 2, 25, 2, 26, 2, 26);
	assert_pos(&e->b->span, 2, 27, 2, 28, 2, 33);
	assert_pos(&e->b->op_span, 2, 32, 2, 33, 2, 33);
	assert_pos(&m->decl[2]->span, 3, 1, 3, 5, 4, 6);
	assert_pos(&m->decl[2]->expr->op_span, 3, 10, 3, 11, 4, 6);
	e = m->decl[3]->expr;
	assert_int_equal(e->nparts, 7);
	assert_pos(&e->tmpl_span, 5, 36, 9, 3, 9, 3);
	assert_pos(&e->part[1].expr->span, 6, 7, 6, 11, 6, 11);
	assert_pos(&e->part[1].span, 6, 4, 6, 6, 6, 14);
	assert_pos(&e->part[3].expr->span, 7, 4, 7, 5, 8, 3);
	assert_pos(&e->part[3].span, 7, 2, 7, 4, 8, 5);
	assert_pos(&e->part[5].expr->span, 8, 8, 8, 11, 8, 11);
	assert_memory_equal(e->part[4].text.p, " ", 2);
	close_fixture(&f);
}

static void
test_docs(void **state unused_arg)
{
	static const char text[] = "// Not a doc.\n\n"
				   "// Of a.\nparam a int // trailing\n"
				   "param b int\n"
				   "// Of the group.\nparam (\n\tc, d int\n\t// Own.\n\te int\n)\n"
				   "param /* inner */ f int\n"
				   "// One\n//\n//   two \n/* three\n   four */\nval X = 1 // no\n"
				   "val Y = { // no\n\t// In.\n\tz := 1\n\tz\n}\n"
				   "// Outer.\n@requires(cpu := 1)\n// Inner.\nfunc Z(a int) = a\n"
				   "// Last.\n";
	static const char *const params[] = { "Of a.", NULL, "Of the group.", "Of the group.", "Own.", "inner" };
	struct fixture f;
	struct module *m;

	open_fixture(&f);
	m = module_of(&f, "t.rf", text, sizeof text - 1);
	assert_non_null(m);
	assert_int_equal(m->nparams, nitems(params));
	for (size_t i = 0; i < nitems(params); i++) {
		if (params[i] == NULL)
			assert_null(m->param[i].doc);
		else
			assert_string_equal(m->param[i].doc, params[i]);
	}
	assert_string_equal(m->decl[0]->doc, "One\n\ntwo\nthree\nfour");
	assert_null(m->decl[1]->doc);
	assert_string_equal(m->decl[1]->expr->decl[0]->doc, "In.");
	assert_string_equal(m->decl[2]->doc, "Outer.");
	assert_int_equal(m->ncomments, 16);
	assert_true(m->comment[0].own_line);
	assert_false(m->comment[2].own_line);
	close_fixture(&f);
}

static void
test_exported(void **state unused_arg)
{
	assert_true(name_is_exported("A"));
	assert_true(name_is_exported("Éa"));
	assert_false(name_is_exported("a"));
	assert_false(name_is_exported("中"));
	assert_false(name_is_exported(""));
}

/* Names and nodes are numbered without gaps or repeats. */
static void
test_ids(void **state unused_arg)
{
	static const char text[] = "val (a, b) = (1, [c | c <- d])\n";
	struct fixture f;
	struct module *m;
	const struct expr *e;

	open_fixture(&f);
	m = module_of(&f, "t.rf", text, sizeof text - 1);
	assert_non_null(m);
	e = m->decl[0]->expr;
	assert_true(e->id > 0 && e->id <= m->nids);
	assert_int_not_equal(e->id, e->elem[0]->id);
	assert_int_not_equal(e->elem[1]->clause[0].pat->id, e->elem[1]->clause[0].expr->id);
	close_fixture(&f);
}

static void
test_empty(void **state unused_arg)
{
	static const char *const texts[] = { "", "\n\n", "// Nothing.", "/* */ ; \n", "\xef\xbb\xbf" };

	for (size_t i = 0; i < nitems(texts); i++) {
		struct fixture f;
		struct module *m;
		size_t n;

		open_fixture(&f);
		m = module_of(&f, "t.rf", texts[i], strlen(texts[i]));
		assert_non_null(m);
		assert_int_equal(m->nparams + m->ndecls, 0);
		assert_non_null(parse_decls(f.arena, m->src, &f.diags, &n));
		assert_int_equal(n, 0);
		close_fixture(&f);
	}
}

/* ---- Limits ---- */

static void
add_times(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addstr(b, s);
}

/* One message, which ends in `tail`. */
static void
assert_one_error(const struct buf *text, const char *tail)
{
	struct fixture f;
	size_t n;

	open_fixture(&f);
	assert_null(module_of(&f, "t.rf", buf_str(text), text->len));
	assert_int_equal(diags_errors(&f.diags), 1);
	n = strlen(f.diags.v[0].msg);
	assert_true(n >= strlen(tail));
	assert_string_equal(f.diags.v[0].msg + n - strlen(tail), tail);
	close_fixture(&f);
}

static void
test_depth(void **state unused_arg)
{
	static const char *const openers[] = { "(", "[", "{a: ", "-", "!", "#A(", "f(", "a[", "if x { ", "if a { a } else ",
		"func(x int) => ", "switch a { case b: ", "{ a := 1; ", "[a | b <- ", "int(", "1 ~> (", "{ @requires(x := ",
		"exec(a := ", "make(\"a\", b := " };
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < nitems(openers); i++) {
		buf_clear(&b);
		buf_addstr(&b, "val x = ");
		add_times(&b, openers[i], 100000);
		assert_one_error(&b, "nested deeper than 500 levels");
	}
	buf_release(&b);
}

static void
test_depth_of_types_and_patterns(void **state unused_arg)
{
	static const char *const types[] = { "[", "(", "{a ", "func(", "func(int) ", "#A(", "module{a ", "[int:" };
	static const char *const pats[] = { "(", "[", "[a, ...", "{a: ", "#A(" };
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < nitems(types); i++) {
		buf_clear(&b);
		buf_addstr(&b, "type t ");
		add_times(&b, types[i], 100000);
		assert_one_error(&b, "nested deeper than 500 levels");
	}
	for (size_t i = 0; i < nitems(pats); i++) {
		buf_clear(&b);
		buf_addstr(&b, "val ");
		add_times(&b, pats[i], 100000);
		assert_one_error(&b, "nested deeper than 500 levels");
	}
	buf_release(&b);
}

/* These build a deep tree without deep text: 499 of them are a tree of 500. */
static void
test_depth_of_chains(void **state unused_arg)
{
	static const char *const links[] = { ".a", "(a)", "[a]" };
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < nitems(links); i++) {
		buf_clear(&b);
		buf_addstr(&b, "val x = a");
		add_times(&b, links[i], 499);
		check_round_trip("chain", &b);
		add_times(&b, links[i], 1);
		assert_one_error(&b, "nested deeper than 500 levels");
		add_times(&b, links[i], 100000);
		assert_one_error(&b, "nested deeper than 500 levels");
	}
	buf_release(&b);
}

static void
test_many_errors(void **state unused_arg)
{
	struct fixture f;
	struct buf b = BUF_INIT, out = BUF_INIT;
	size_t lines = 0;

	open_fixture(&f);
	add_times(&b, "val x = )\n", 1000);
	assert_null(module_of(&f, "t.rf", buf_str(&b), b.len));
	assert_true(diags_full(&f.diags));
	diags_print(&f.diags, 0, &out);
	for (size_t i = 0; i < out.len; i++)
		lines += out.p[i] == '\n';
	assert_int_equal(lines, DIAG_MAX_ERRORS + 1);
	assert_non_null(strstr(buf_str(&out), "\ntoo many errors: only the first 20 are shown\n"));
	buf_release(&b);
	buf_release(&out);
	close_fixture(&f);
}

static void
test_params_limit(void **state unused_arg)
{
	struct buf b = BUF_INIT;

	buf_addstr(&b, "func f(a");
	for (int i = 1; i < PARSE_MAX_PARAMS; i++)
		buf_addf(&b, ", a%d", i);
	buf_addstr(&b, " int) = 1");
	check_round_trip("params", &b);
	buf_clear(&b);
	buf_addstr(&b, "func f(a");
	for (int i = 0; i < PARSE_MAX_PARAMS; i++)
		buf_addf(&b, ", a%d", i);
	buf_addstr(&b, " int) = 1");
	assert_one_error(&b, "functions can have at most 128 arguments");
	buf_release(&b);
}

/* What only is long is no deeper than what is short: a hundred thousand operands, of one operator or of several. */
static void
test_long_chains(void **state unused_arg)
{
	static const char *const links[] = { " + a", " ~> a", " && a || a", " * a + a", " + (a + a)" };
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < nitems(links); i++) {
		buf_clear(&b);
		buf_addstr(&b, "val x = a");
		add_times(&b, links[i], 100000);
		check_round_trip("long chain", &b);
	}
	buf_clear(&b);
	add_times(&b, "val a = 1\n", 400000);	/* over a million tokens */
	check_round_trip("many declarations", &b);
	buf_release(&b);
}

static void
test_diags_err(void **state unused_arg)
{
	struct fixture f;

	open_fixture(&f);
	assert_null(diags_err(&f.diags));
	assert_null(module_of(&f, "a.rf", "val x = )\nval y = ]\n", 20));
	assert_err(diags_err(&f.diags), "a.rf:1:10: unexpected \")\", expected an expression; "
					"a.rf:2:10: unexpected \"]\", expected an expression");
	close_fixture(&f);
}

/* ---- Text that is no program ---- */

struct rng {
	uint64_t s;
};

/* splitmix64: the same stream everywhere. */
static uint32_t
rnd(struct rng *r, uint32_t below)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ (z >> 31)) % below);
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
parse_anything(const struct buf *b)
{
	struct fixture f;
	const struct source_text *src;
	struct module *m;
	struct err *err;
	struct buf out = BUF_INIT;

	open_fixture(&f);
	err = sources_add(f.sources, "<soup>", buf_str(b), b->len, &src);
	if (err == NULL) {
		m = parse_module(f.arena, src, &f.diags);
		assert_true((m == NULL) == (diags_errors(&f.diags) > 0));
		diags_print(&f.diags, DIAG_CARETS, &out);
		buf_clear(&out);
		if (m != NULL) {
			print_module(&out, m);
			check_round_trip("<soup>", &out);
		}
	}
	err_free(err);
	buf_release(&out);
	close_fixture(&f);
}

static void
test_token_soup(void **state unused_arg)
{
	static const char *const words[] = { "val ", "func ", "type ", "param ", "exec(", "make(\"x\"", "if ", "else ",
		"switch ", "case ", "@requires(", "true ", "int ", "float ", "string ", "file ", "dir ", "module", "x ",
		"y ", "Zed ", "1 ", "2.5 ", "\"s\" ", "`r` ", "{\"t {{x}} \"}", "{\"", "\"}", "{{", "}}", "~>", "||", "&&",
		"<", "<-", "<=", ">>", "==", "=", ":=", "=>", "+", "-", "*", "/", "%", "&", "!", "|", ".", "...", ",", ":",
		";", "\n", "\n", "#", "#T", "(", ")", "[", "]", "{", "}", "_", "// c\n", "/* c */", "é", "€", "\\" };
	struct rng r = { 1 };
	struct buf b = BUF_INIT;
	double end = seconds() + 1;

	for (int i = 0; i < 30000 && seconds() < end; i++) {
		uint32_t n = 1 + rnd(&r, 60);

		buf_clear(&b);
		while (n-- > 0)
			buf_addstr(&b, words[rnd(&r, nitems(words))]);
		parse_anything(&b);
	}
	buf_release(&b);
}

/* Programs with a piece cut out, doubled or replaced: nearer to what people mistype. */
static void
test_broken_programs(void **state unused_arg)
{
	char *path = source_path("tests/lang/tour.rf");
	struct buf text = BUF_INIT, b = BUF_INIT;
	struct rng r = { 2 };
	double end = seconds() + 1;

	assert_ok(buf_read_file(&text, path, SOURCE_MAX_BYTES));
	for (int i = 0; i < 4000 && seconds() < end; i++) {
		size_t at = rnd(&r, (uint32_t)text.len), n = rnd(&r, 12), to;

		n = n < text.len - at ? n : text.len - at;
		to = rnd(&r, (uint32_t)text.len);
		buf_clear(&b);
		buf_add(&b, text.p, at);
		if (rnd(&r, 2) == 0)
			buf_add(&b, text.p + to, n < text.len - to ? n : text.len - to);
		buf_add(&b, text.p + at + n, text.len - at - n);
		parse_anything(&b);
	}
	buf_release(&text);
	buf_release(&b);
	free(path);
}

static void
test_random_bytes(void **state unused_arg)
{
	struct rng r = { 3 };
	struct buf b = BUF_INIT;
	double end = seconds() + 1;

	for (int i = 0; i < 20000 && seconds() < end; i++) {
		uint32_t n = rnd(&r, 80);
		uint32_t range = rnd(&r, 4) == 0 ? 256 : 96;

		buf_clear(&b);
		while (n-- > 0)
			buf_addch(&b, (char)(range == 256 ? rnd(&r, 256) : 32 + rnd(&r, 95)));
		parse_anything(&b);
	}
	buf_release(&b);
}

static char cases_of[][24] = { "parse_expr.rft", "parse_type.rft", "parse_pat.rft", "parse_module.rft", "abbrev.rft" };

int
main(void)
{
	const struct CMUnitTest tests[] = {
		{ "cases: expressions", test_cases, NULL, NULL, cases_of[0] },
		{ "cases: types", test_cases, NULL, NULL, cases_of[1] },
		{ "cases: patterns", test_cases, NULL, NULL, cases_of[2] },
		{ "cases: modules", test_cases, NULL, NULL, cases_of[3] },
		{ "cases: abbreviations", test_cases, NULL, NULL, cases_of[4] },
		cmocka_unit_test(test_round_trip_files),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_docs),
		cmocka_unit_test(test_exported),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_depth_of_types_and_patterns),
		cmocka_unit_test(test_depth_of_chains),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_params_limit),
		cmocka_unit_test(test_long_chains),
		cmocka_unit_test(test_diags_err),
		cmocka_unit_test(test_token_soup),
		cmocka_unit_test(test_broken_programs),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
