/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "lang/program_priv.h"

/*
 * Params of a program's own module as flags of the command line. What is easy to get wrong: a param that
 * has a default but no type that a flag can have is simply no flag; one without default is an error.
 */

bool
program_is_args(const struct param *param)
{
	return strcmp(param->name, "args") == 0 && param->type->kind == TYPE_LIST &&
	       param->type->elem->kind == TYPE_STRING;
}

static bool
can_be_flag(const struct type *t)
{
	switch (t->kind) {
	case TYPE_STRING:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_BOOL:
	case TYPE_FILE:
	case TYPE_DIR:
		return true;
	default:
		return false;
	}
}

static const struct param *
param_named(const struct program *p, const char *name, size_t n)
{
	const struct module *m = p->root->ast;

	for (size_t i = 0; i < m->nparams; i++)
		if (strlen(m->param[i].name) == n && memcmp(m->param[i].name, name, n) == 0 &&
		    !program_is_args(&m->param[i]))
			return &m->param[i];
	return NULL;
}

/* ---- Texts to values ---- */

static struct err *
bad_value(const struct param *param, const char *text)
{
	struct buf t = BUF_INIT, q = BUF_INIT;
	struct err *err;

	type_str(param->type, &t);
	buf_add_quoted(&q, text, strlen(text));
	err = err_msg(ERR_INVALID, "-%s: %s is not of type %s", param->name, buf_str(&q), buf_str(&t));
	buf_release(&t);
	buf_release(&q);
	return err;
}

static bool
int_value(const char *text, struct value **out)
{
	const char *digits = text + (text[0] == '-' || text[0] == '+');
	mpz_t z;

	if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0')
		return false;
	if (out != NULL) {
		mpz_init_set_str(z, digits, 10);
		if (text[0] == '-')
			mpz_neg(z, z);
		*out = value_mpz(z);
		mpz_clear(z);
	}
	return true;
}

static bool
float_value(const char *text, struct value **out)
{
	bool ok = text[0] != '\0' && text[strspn(text, "+-.0123456789eE")] == '\0';
	mpfr_t f;

	if (!ok)
		return false;
	mpfr_init2(f, 64);
	ok = mpfr_set_str(f, text + (text[0] == '+'), 10, MPFR_RNDN) == 0 && mpfr_number_p(f);
	if (ok && out != NULL)
		*out = value_float(f);
	mpfr_clear(f);
	return ok;
}

static bool
bool_value(const char *text, struct value **out)
{
	static const char *const words[] = {
	    "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < nitems(words); i++) {
		if (strcmp(words[i], text) != 0)
			continue;
		if (out != NULL)
			*out = value_bool(i < nitems(words) / 2);
		return true;
	}
	return false;
}

/* Is the text good for the param? With out, its value as well; inputs have one only in a graph. */
static bool
scalar_value(const struct param *param, const char *text, struct value **out)
{
	switch (param->type->kind) {
	case TYPE_INT:
		return int_value(text, out);
	case TYPE_FLOAT:
		return float_value(text, out);
	case TYPE_BOOL:
		return bool_value(text, out);
	case TYPE_STRING:
		if (out != NULL)
			*out = value_str(text);
		return true;
	default:
		return text[0] != '\0';
	}
}

struct err *
program_param_value(struct lower *lo, const struct param *param, const char *text, struct value **out)
{
	const char *ident = arena_printf(graph_arena(lo->g), "%s.%s", lo->p->root->base, param->name);

	if (!can_be_flag(param->type) || !scalar_value(param, text, NULL))
		return bad_value(param, text);
	if (param->type->kind == TYPE_FILE || param->type->kind == TYPE_DIR)
		return lower_intern(lo, &param->span, ident, text, strlen(text), param->type->kind == TYPE_DIR, out);
	scalar_value(param, text, out);
	return NULL;
}

/* ---- Usage ---- */

/* The default as text: only if it is a constant, which no other param has a part in and nothing delayed. */
static const char *
default_text(struct program *p, struct graph *g, const struct param *param)
{
	struct lower *lo = program_lower(p, g, "/");
	struct place place = { NULL, p->root->base };
	struct buf b = BUF_INIT;
	struct value *v = NULL;
	const char *text = NULL;
	struct err *err;

	if (param->expr == NULL || piece_get(p, param->expr, PIECE_ALL)->nfree > 0)
		return NULL;
	err = lower_expr(lo, param->expr, &place, &v);
	if (err == NULL && value_is_strict(v)) {
		value_print(v, param->type, &b);
		text = arena_strdup(p->arena, buf_str(&b));
	}
	err_free(err);
	value_unref(v);
	buf_release(&b);
	return text;
}

const struct program_param *
program_params(struct program *p, size_t *n)
{
	const struct module *m = p->root->ast;
	struct graph *g;

	if (!p->params_made) {
		g = graph_new(NULL);
		p->params = arena_alloc(p->arena, (m->nparams + 1) * sizeof *p->params);
		for (size_t i = 0; i < m->nparams; i++) {
			const struct param *param = &m->param[i];

			if (program_is_args(param) || (param->expr != NULL && !can_be_flag(param->type)))
				continue;
			p->params[p->nparams++] = (struct program_param){ param->name, param->type, param->expr == NULL,
				default_text(p, g, param), param->doc };
		}
		graph_free(g);
		p->params_made = true;
	}
	*n = p->nparams;
	return p->params;
}

static void
usage_doc(const char *doc, struct buf *out)
{
	while (doc != NULL && *doc != '\0') {
		size_t n = strcspn(doc, "\n");

		buf_addstr(out, "    \t");
		buf_add(out, doc, n);
		buf_addch(out, '\n');
		doc += n + (doc[n] == '\n');
	}
}

void
program_usage(struct program *p, struct buf *out)
{
	size_t n;
	const struct program_param *param = program_params(p, &n);

	buf_addf(out, "usage of %s:\n", program_path(p));
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "  -%s ", param[i].name);
		type_str(param[i].type, out);
		if (param[i].required)
			buf_addstr(out, " (required)");
		else if (param[i].default_text != NULL)
			buf_addf(out, " (default %s)", param[i].default_text);
		buf_addch(out, '\n');
		usage_doc(param[i].doc, out);
	}
}

/* ---- Arguments ---- */

void
param_set_release(struct param_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		free(set->v[i].name);
		free(set->v[i].text);
	}
	for (size_t i = 0; i < set->nargs; i++)
		free(set->args[i]);
	free(set->v);
	free(set->args);
	memset(set, 0, sizeof *set);
}

static void
set_text(struct param_set *set, const char *name, const char *text)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->v[i].name, name) == 0) {
			free(set->v[i].text);
			set->v[i].text = xstrdup(text);
			return;
		}
	}
	set->v = xreallocarray(set->v, set->n + 1, sizeof *set->v);
	set->v[set->n++] = (struct param_text){ xstrdup(name), xstrdup(text) };
}

static void
add_arg(struct param_set *set, const char *arg)
{
	set->args = xreallocarray(set->args, set->nargs + 1, sizeof *set->args);
	set->args[set->nargs++] = xstrdup(arg);
}

static struct err *
unsupported(const struct param *param)
{
	struct buf t = BUF_INIT;
	struct err *err;

	type_str(param->type, &t);
	err = err_msg(ERR_INVALID, "-%s: flags of type %s not supported", param->name, buf_str(&t));
	buf_release(&t);
	return err;
}

/* One flag; *next is the argument behind it, or NULL, and is emptied when it was used. */
static struct err *
parse_flag(struct program *p, const char *arg, const char **next, struct param_set *set, bool *help)
{
	const char *name = arg + 1 + (arg[1] == '-'), *text;
	size_t n = strcspn(name, "=");
	const struct param *param = param_named(p, name, n);

	if (param == NULL && name[n] == '\0' && (strcmp(name, "help") == 0 || strcmp(name, "h") == 0)) {
		*help = true;
		return NULL;
	}
	if (param == NULL)
		return err_msg(ERR_INVALID, "the program has no flag -%.*s", (int)n, name);
	if (!can_be_flag(param->type))
		return unsupported(param);
	if (name[n] == '=') {
		text = name + n + 1;
	} else if (param->type->kind == TYPE_BOOL) {
		text = "true";
	} else {
		if (*next == NULL)
			return err_msg(ERR_INVALID, "flag -%s needs a value", param->name);
		text = *next;
		*next = NULL;
	}
	if (!scalar_value(param, text, NULL))
		return bad_value(param, text);
	set_text(set, param->name, text);
	return NULL;
}

static bool
is_given(const struct param_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i].name, name) == 0)
			return true;
	return false;
}

/* All that is missing or of an impossible type, in one error. */
static struct err *
check_required(const struct program *p, const struct param_set *set)
{
	const struct module *m = p->root->ast;
	struct buf b = BUF_INIT;
	struct err *err = NULL, *one;
	size_t n = 0;

	for (size_t i = 0; i < m->nparams; i++) {
		const struct param *param = &m->param[i];
		char *text;

		if (param->expr != NULL || program_is_args(param) || is_given(set, param->name))
			continue;
		one = can_be_flag(param->type) ? err_msg(ERR_INVALID, "missing mandatory flag -%s", param->name) :
						 unsupported(param);
		text = err_str(one);
		buf_addf(&b, "%s%s", n++ ? "; " : "", text);
		free(text);
		err_free(one);
	}
	if (n == 1)
		err = err_msg(ERR_INVALID, "%s", buf_str(&b));
	else if (n > 1)
		err = err_msg(ERR_INVALID, "flag errors: %s", buf_str(&b));
	buf_release(&b);
	return err;
}

static struct err *
check_args(const struct program *p, const struct param_set *set)
{
	const struct module *m = p->root->ast;
	struct buf b = BUF_INIT;
	struct err *err;

	for (size_t i = 0; i < m->nparams; i++)
		if (program_is_args(&m->param[i]))
			return NULL;
	if (set->nargs == 0)
		return NULL;
	for (size_t i = 0; i < set->nargs; i++)
		buf_addf(&b, "%s%s", i ? " " : "", set->args[i]);
	err = err_msg(ERR_INVALID, "unrecognized parameters: %s", buf_str(&b));
	buf_release(&b);
	return err;
}

struct err *
program_parse_args(struct program *p, int argc, char **argv, struct param_set *set, bool *help)
{
	struct param_set mine = { NULL, 0, NULL, 0 };
	struct err *err = NULL;
	int i;

	*help = false;
	for (i = 0; i < argc && err == NULL && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		err = parse_flag(p, argv[i], &next, &mine, help);
		i += i + 1 < argc && next == NULL;
	}
	for (; err == NULL && i < argc; i++)
		add_arg(&mine, argv[i]);
	if (err == NULL && !*help)
		err = check_required(p, &mine);
	if (err == NULL && !*help)
		err = check_args(p, &mine);
	if (err != NULL)
		param_set_release(&mine);
	else
		*set = mine;
	return err;
}
