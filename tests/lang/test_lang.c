/* SPDX-License-Identifier: Apache-2.0 */
#include "../check.h"

#include <glob.h>

#include "lang/program.h"
#include "rft.h"

/*
 * Programs, from text to value. The cases are data (eval_*.rft, typerr.rft, …); a small evaluator
 * stands in for the real one: it runs continuations, and invents what files hold.
 *
 * Kinds: `eval` prints Main; `expr` the same for one expression; `check` prints Main's type, and warnings as messages;
 * `exec` prints Main's command; `graphs` compares those of two programs, apart at a line `---`: same or different. A
 * line `--- NAME` begins another module.
 */

/* ---- The stand-in for the evaluator ---- */

struct todo {
	struct flow **v;
	size_t	      n, cap;
};

static void
todo_push(struct todo *t, struct flow *f)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->v = xreallocarray(t->v, t->cap, sizeof(struct flow *));
	}
	t->v[t->n++] = f;
}

static struct file
file_of(const char *content)
{
	struct file f = { .size = strlen(content) };

	sha256_of(content, f.size, &f.id);
	return f;
}

static const char *content_salt = "";	/* what local files hold, beside their path */

static struct value *
input(const struct flow *f)
{
	char *text = xasprintf("%s%s", f->u.intern.url, content_salt);
	struct file file = file_of(text);
	struct fileset_builder *b;

	free(text);
	if (!f->u.intern.dir)
		return value_file(&file);
	b = fileset_builder_new();
	fileset_builder_add(b, "a.txt", &file);
	fileset_builder_add(b, "sub/b.txt", &file);
	return value_dir(fileset_builder_finish(b));
}

static struct value *
exec_output(const struct flow *f, size_t i)
{
	char *text = xasprintf("%s %zu", f->u.exec.cmd, i);
	struct file file = file_of(text);
	struct fileset_builder *b;

	free(text);
	if (!f->u.exec.form->outs[i].dir)
		return value_file(&file);
	b = fileset_builder_new();
	fileset_builder_add(b, "part1", &file);
	fileset_builder_add(b, "part2", &file);
	return value_dir(fileset_builder_finish(b));
}

static struct value *
exec_value(const struct flow *f)
{
	struct value *v[8];

	if (f->u.exec.form->nouts == 1)
		return exec_output(f, 0);
	for (size_t i = 0; i < f->u.exec.form->nouts; i++)
		v[i] = exec_output(f, i);
	return value_tuple(v, f->u.exec.form->nouts);
}

static struct value *
data_value(const struct flow *f)
{
	struct file file = { .size = f->u.data.len };

	sha256_of(f->u.data.p, f->u.data.len, &file.id);
	return value_file(&file);
}

static struct err *
run_k(struct graph *g, struct flow *f)
{
	struct value **in = xcalloc(f->ndeps + 1, sizeof *in), *out = NULL;
	struct err *err;

	for (uint32_t i = 0; i < f->ndeps; i++)
		in[i] = f->deps[i]->value;
	err = f->u.k.cont->ops->call(f->u.k.cont, g, in, f->ndeps, &out);
	free(in);
	if (err != NULL)
		return err;
	if (value_kind(out) != VAL_FLOW) {
		if (f->u.k.cont->ops->strict)
			assert_true(value_is_strict(out));
		f->value = out;
		return NULL;
	}
	f->forked = value_get_flow(out);
	f->state = FLOW_FORKED;
	value_unref(out);
	return NULL;
}

/* Its deps are there, or the flow it became. */
static struct err *
finish(struct graph *g, struct flow *f)
{
	if (f->state == FLOW_FORKED) {
		f->value = value_ref(f->forked->value);
		return NULL;
	}
	switch (f->op) {
	case FLOW_EXEC:
		f->value = exec_value(f);
		return NULL;
	case FLOW_INTERN:
		f->value = input(f);
		return NULL;
	case FLOW_DATA:
		f->value = data_value(f);
		return NULL;
	case FLOW_VAL:
		f->value = value_ref(f->u.val.value);
		return NULL;
	case FLOW_REQUIREMENTS:
		f->value = value_ref(f->deps[0]->value);
		return NULL;
	case FLOW_K:
		return run_k(g, f);
	default:
		return err_msg(ERR_NOT_SUPPORTED, "no %s here", flow_op_name(f->op));
	}
}

static bool
push_missing(struct todo *t, struct flow *f)
{
	size_t n = t->n;

	if (f->state == FLOW_FORKED && f->forked->value == NULL)
		todo_push(t, f->forked);
	for (uint32_t i = 0; f->state != FLOW_FORKED && i < f->ndeps; i++)
		if (f->deps[i]->value == NULL)
			todo_push(t, f->deps[i]);
	return t->n > n;
}

static struct err *
evaluate(struct graph *g, struct flow *root)
{
	struct todo t = { NULL, 0, 0 };
	struct err *err = NULL;

	todo_push(&t, root);
	while (t.n > 0 && err == NULL) {
		struct flow *f = t.v[t.n - 1];

		if (f->value != NULL)
			t.n--;
		else if (!push_missing(&t, f))
			err = finish(g, f);
	}
	free(t.v);
	return err;
}

/* ---- Programs ---- */

struct fixture {
	struct program	*program;
	struct graph	*graph;
	struct param_set params;
	struct value	*main;
	struct buf	 diag;
};

/* Adds the modules of a case: the first is test.rf. */
static void
add_sources(struct sources *s, const char *text, size_t n)
{
	const struct source_text *src;
	const char *end = text + n, *cut;
	char *name = xstrdup("test.rf");

	for (;;) {
		cut = memmem(text, (size_t)(end - text), "\n--- ", 5);
		assert_ok(sources_add(s, name, text, (size_t)((cut ? cut + 1 : end) - text), &src));
		free(name);
		if (cut == NULL)
			return;
		cut += 5;
		text = memchr(cut, '\n', (size_t)(end - cut));
		assert_non_null(text);
		name = xstrndup(cut, (size_t)(text - cut));
		text++;
	}
}

/* The first lines of diagnostics; without a source line and carets. */
static void
plain_diag(struct buf *diag)
{
	struct buf out = BUF_INIT;

	for (const char *p = buf_str(diag); *p != '\0'; p = strchr(p, '\n') + 1)
		if (strstr(p, ".rf:") != NULL && strstr(p, ".rf:") < strchr(p, '\n') && strncmp(p, "hint:", 5) != 0)
			buf_add(&out, p, (size_t)(strchr(p, '\n') + 1 - p));
	buf_release(diag);
	*diag = out;
}

static struct err *
open_text(struct fixture *f, const char *text, size_t n)
{
	struct sources *s = sources_new();
	struct err *err;

	memset(f, 0, sizeof *f);
	add_sources(s, text, n);
	err = program_open("test.rf", s, &f->diag, &f->program);
	plain_diag(&f->diag);
	return err;
}

static struct err *
make_graph(struct fixture *f)
{
	f->graph = graph_new(NULL);
	return program_instantiate(f->program, f->graph, "/home/me", &f->params, &f->main);
}

static void
close_fixture(struct fixture *f)
{
	value_unref(f->main);
	graph_free(f->graph);
	param_set_release(&f->params);
	program_free(f->program);
	buf_release(&f->diag);
}

static void
add_err(struct err *err, struct buf *out)
{
	char *text = err_str(err);

	buf_addf(out, "%s\n", text);
	free(text);
	err_free(err);
}

static struct err *
run_main(struct fixture *f, struct value **out)
{
	struct err *err = make_graph(f);
	struct flow *root;

	if (err != NULL)
		return err;
	if (value_kind(f->main) != VAL_FLOW) {
		*out = f->main;
		return NULL;
	}
	root = value_get_flow(f->main);
	if ((err = evaluate(f->graph, root)) == NULL)
		*out = root->value;
	return err;
}

static void
run_eval(struct fixture *f, struct buf *result, struct buf *errors)
{
	struct value *v = NULL;
	struct err *err = run_main(f, &v);

	if (err != NULL) {
		add_err(err, errors);
		return;
	}
	assert_true(value_is_strict(v));
	value_print(v, program_main_type(f->program), result);
	buf_addch(result, '\n');
}

static void
run_check(struct fixture *f, struct buf *result, struct buf *errors)
{
	if (program_main_type(f->program) != NULL) {
		type_str(program_main_type(f->program), result);
		buf_addch(result, '\n');
	}
	buf_addstr(errors, buf_str(&f->diag));
}

static void
print_exec(const struct flow *f, struct buf *out)
{
	const struct flow_exec all = flow_exec_of(f), *x = &all;

	buf_addf(out, "%s %s %s", f->place->ident, x->image, x->cmd);
	for (size_t i = 0; i < x->nargs; i++) {
		const struct flow_arg *a = &x->args[i];

		if (a->out)
			buf_addf(out, " out%u:%s", a->index, x->outs[a->index].dir ? "dir" : "file");
		else
			buf_addf(out, " %s<%s>", a->name, flow_op_name(f->deps[a->index]->op));
	}
	if (x->resources.present)
		buf_addch(out, ' '), resources_str(&x->resources, out);
	if (x->nondeterministic)
		buf_addstr(out, " nondeterministic");
	buf_addch(out, '\n');
}

/* Main must end as an exec; what leads there is run. */
static void
run_exec(struct fixture *f, struct buf *result, struct buf *errors)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct value *v = NULL;
	struct err *err = run_main(f, &v);
	struct flow *root;

	if (err != NULL) {
		add_err(err, errors);
		return;
	}
	root = value_get_flow(f->main);
	if (root->op == FLOW_REQUIREMENTS) {
		flow_requirements_of(root, &req);
		requirements_str(&req, result);
		buf_addf(result, " width %d\n", req.width);
		requirements_release(&req);
		root = root->deps[0];
	}
	while (root->state == FLOW_FORKED)
		root = root->forked;
	assert_int_equal(root->op, FLOW_EXEC);
	print_exec(root, result);
}

static bool
run_case(const struct rft_case *c)
{
	struct buf text = BUF_INIT, result = BUF_INIT, errors = BUF_INIT;
	struct fixture f;
	struct err *err;
	bool ok;

	buf_addf(&text, strcmp(c->kind, "expr") == 0 ? "val Main = %s" : "%s", buf_str(&c->program));
	if ((err = open_text(&f, buf_str(&text), text.len)) != NULL) {
		err_free(err);
		buf_addstr(&errors, buf_str(&f.diag));
	} else if (strcmp(c->kind, "check") == 0) {
		run_check(&f, &result, &errors);
	} else if (strcmp(c->kind, "exec") == 0) {
		run_exec(&f, &result, &errors);
	} else {
		run_eval(&f, &result, &errors);
	}
	close_fixture(&f);
	ok = rft_same(c, "result", &result, &c->result);
	ok &= rft_same(c, "messages", &errors, &c->errors);
	buf_release(&text);
	buf_release(&result);
	buf_release(&errors);
	return ok;
}

static struct digest
root_digest(const char *text, size_t n)
{
	struct fixture f;
	struct digest d;

	assert_ok(open_text(&f, text, n));
	assert_ok(make_graph(&f));
	assert_int_equal(value_kind(f.main), VAL_FLOW);
	d = value_get_flow(f.main)->digest;
	close_fixture(&f);
	return d;
}

static bool
run_compare(const struct rft_case *c)
{
	const char *text = buf_str(&c->program), *cut = strstr(text, "\n---\n");
	struct buf result = BUF_INIT;
	struct digest a, b;
	bool ok;

	assert_non_null(cut);
	a = root_digest(text, (size_t)(cut - text));
	b = root_digest(cut + 5, strlen(cut + 5));
	buf_addstr(&result, digest_equal(&a, &b) ? "same\n" : "different\n");
	ok = rft_same(c, "graphs", &result, &c->result);
	buf_release(&result);
	return ok;
}

static void
run_file(const char *name)
{
	size_t failed = 0;
	struct rft t;

	rft_read(&t, name);
	for (size_t i = 0; i < t.n; i++) {
		failed += !(strcmp(t.v[i].kind, "graphs") == 0 ? run_compare(&t.v[i]) : run_case(&t.v[i]));
	}
	assert_true(t.n > 0);
	assert_int_equal(failed, 0);
	rft_release(&t);
}

#define CASES(name)                        \
	static void test_##name(void **s)  \
	{                                  \
		(void)s;                   \
		run_file(#name ".rft");    \
	}
CASES(eval_values)
CASES(eval_code)
CASES(eval_delayed)
CASES(eval_modules)
CASES(eval_system)
CASES(eval_exec)
CASES(typerr)
CASES(digests)

/* ---- What data cannot say ---- */

static void
test_deep(void **state unused_arg)
{
	static const char text[] = "func add(a, b int) int = a + b\n"
				   "val Main = reduce(add, [delay(i) | i <- range(0, 20000)])\n";
	struct buf out = BUF_INIT, errors = BUF_INIT;
	struct fixture f;

	assert_ok(open_text(&f, text, sizeof text - 1));
	run_eval(&f, &out, &errors);
	assert_string_equal(buf_str(&errors), "");
	assert_string_equal(buf_str(&out), "199990000\n");
	close_fixture(&f);
	buf_release(&out);
	buf_release(&errors);
}

/* Logical keys, as the evaluator computes them. */
static void
key_of(struct flow *f)
{
	size_t n = f->ndeps + f->ncaptured;
	struct digest *in;

	if (f->has_lkey)
		return;
	in = xcalloc(n + 1, sizeof *in);
	for (size_t i = 0; i < n; i++) {
		key_of(f->deps[i]);
		in[i] = f->deps[i]->lkey;
	}
	if (f->op == FLOW_INTERN && f->value == NULL)
		f->value = input(f);
	flow_logical_key("", f, in, &f->lkey);
	f->has_lkey = true;
	free(in);
}

static struct digest
main_key(const char *text, const char *salt)
{
	struct fixture f;
	struct digest d;

	content_salt = salt;
	assert_ok(open_text(&f, text, strlen(text)));
	assert_ok(make_graph(&f));
	key_of(value_get_flow(f.main));
	d = value_get_flow(f.main)->lkey;
	close_fixture(&f);
	content_salt = "";
	return d;
}

/* A file that code merely mentions, whose use is not decided yet, is part of the key all the same. */
static void
test_keys_follow_content(void **state unused_arg)
{
	static const char *const texts[] = {
		("val f = file(\"in\")\nval n = delay(1)\nval Main = if n > 0 { len(f) } else { 0 }"),
		("val fs = [file(\"in\"), file(\"in2\")]\nval Main = len(fs[delay(0)])"),
		("val f = file(\"in\")\nfunc g(x int) = x + len(f)\nval Main = [g(i) | i <- delay([1, 2])]"),
		("val f = file(\"in\")\nfunc g(x int) = x + len(f)\n"
		 "val h = if delay(true) { g } else { g }\nval Main = h(1)"),
		("val f = file(\"in\")\nfunc g(x int) = x + len(f)\nfunc h(x int) = g(x)\n"
		 "val Main = [h(i) | i <- delay([1])]"),
		("val s = {x: file(\"in\")}\nval Main = switch delay(#A) { case #A: len(s.x) }"),
	};

	for (size_t i = 0; i < nitems(texts); i++) {
		struct digest a = main_key(texts[i], ""), b = main_key(texts[i], " changed"),
			      again = main_key(texts[i], "");

		assert_true(digest_equal(&a, &again));
		if (digest_equal(&a, &b))
			fail_msg("the key does not follow the content: %s", texts[i]);
	}
}

static const char params_text[] = "param (\n"
				  "\t// n counts.\n\tn int\n"
				  "\t// s is text.\n\t// It has two lines.\n\ts = \"x\" + \"y\"\n"
				  "\tb = false\n"
				  "\tt = s + \"!\"\n"
				  "\tf = file(\"in.txt\")\n"
				  "\td dir\n"
				  "\tl = [1]\n"
				  ")\n"
				  "val Main = (n, s, b, t, f, d)\n";

static void
parse_args(const char *text, const char *args, struct buf *out)
{
	char *words = xstrdup(args), *argv[16], *save = NULL;
	struct fixture f;
	struct err *err;
	bool help;
	int argc = 0;

	for (char *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	assert_ok(open_text(&f, text, strlen(text)));
	if ((err = program_parse_args(f.program, argc, argv, &f.params, &help)) != NULL)
		add_err(err, out);
	else if (help)
		program_usage(f.program, out);
	else
		run_eval(&f, out, out);
	close_fixture(&f);
	free(words);
}

static void
test_flags(void **state unused_arg)
{
	static const struct {
		const char *args, *want;
	} rows[] = {
		{ "", "flag errors: missing mandatory flag -n; missing mandatory flag -d\n" },
		{ "-d x", "missing mandatory flag -n\n" },
		{ "-n", "flag -n needs a value\n" },
		{ "-n one", "-n: \"one\" is not of type int\n" },
		{ "-b=perhaps -n 1", "-b: \"perhaps\" is not of type bool\n" },
		{ "-x 1", "the program has no flag -x\n" },
		{ "-l 1", "-l: flags of type [int] not supported\n" },
		{ "-n 1 -d x a b", "unrecognized parameters: a b\n" },
		{ "-n 1 -d x -- -n", "unrecognized parameters: -n\n" },
		{ "-help",
		    "usage of test.rf:\n"
		    "  -n int (required)\n    \tn counts.\n"
		    "  -s string (default \"xy\")\n    \ts is text.\n    \tIt has two lines.\n"
		    "  -b bool (default false)\n"
		    "  -t string\n"
		    "  -f file\n"
		    "  -d dir (required)\n" },
	};
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < nitems(rows); i++) {
		buf_clear(&out);
		parse_args(params_text, rows[i].args, &out);
		assert_string_equal(buf_str(&out), rows[i].want);
	}
	buf_clear(&out);
	parse_args(params_text, "--n=-7 -b -s v -d x", &out);
	assert_ptr_equal(strstr(buf_str(&out), "(-7, \"v\", true, \"v!\", file("), buf_str(&out));
	buf_release(&out);
}

static void
test_args(void **state unused_arg)
{
	static const char text[] = "param (\n\tn = 1\n\targs [string]\n)\nval Main = (n, args)\n";
	static const struct {
		const char *args, *want;
	} rows[] = {
		{ "", "(1, [])\n" }, { "a b", "(1, [\"a\", \"b\"])\n" }, { "-n 2 -- -x", "(2, [\"-x\"])\n" },
		{ "-args a", "the program has no flag -args\n" },
	};
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < nitems(rows); i++) {
		buf_clear(&out);
		parse_args(text, rows[i].args, &out);
		assert_string_equal(buf_str(&out), rows[i].want);
	}
	buf_release(&out);
}

/* Every program of the examples checks without a word. */
static void
test_examples(void **state unused_arg)
{
	char *pattern = source_path("examples/*/*.rf");
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 4);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct buf diag = BUF_INIT;
		struct program *p = NULL;

		assert_ok(program_open(found.gl_pathv[i], NULL, &diag, &p));
		assert_string_equal(buf_str(&diag), "");
		program_free(p);
		buf_release(&diag);
	}
	globfree(&found);
	free(pattern);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eval_values),
		cmocka_unit_test(test_eval_code),
		cmocka_unit_test(test_eval_delayed),
		cmocka_unit_test(test_eval_modules),
		cmocka_unit_test(test_eval_system),
		cmocka_unit_test(test_eval_exec),
		cmocka_unit_test(test_typerr),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_keys_follow_content),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
