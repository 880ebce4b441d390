/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/sys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/regexp.h"
#include "base/xalloc.h"
#include "lang/check.h"
#include "lang/parse.h"

/* The table of system modules, and what their functions share. */
static const struct sys_module *const modules[] = {
    &sys_dirs, &sys_files, &sys_path, &sys_regexp, &sys_strings, &sys_test};

const struct sys_module *
sys_find(const char *path)
{
	for (size_t i = 0; i < nitems(modules); i++)
		if (strcmp(modules[i]->path, path) == 0)
			return modules[i];
	return NULL;
}

/* Functions of the language's definition that are still to come. */
static const struct {
	const char *module, *name, *instead;
} missing[] = {
	{ "$/dirs", "Copy", ": take results out with weir get" },
	{ "$/dirs", "Fileset", "" },
	{ "$/files", "Copy", ": take results out with weir get" },
	{ "$/files", "Fileset", "" },
	{ "$/test", "ExecRepeatAndCheck", "" },
};

char *
sys_missing(const struct sys_module *m, const char *name)
{
	for (size_t i = 0; i < nitems(missing); i++)
		if (strcmp(missing[i].module, m->path) == 0 && strcmp(missing[i].name, name) == 0)
			return xasprintf("%s.%s is not supported yet%s", m->path + 2, name, missing[i].instead);
	return NULL;
}

const char *
sys_names(void)
{
	return "$/dirs, $/files, $/path, $/regexp, $/strings, $/test";
}

/* The types are our own text: if one does not parse, that is our bug. */
const struct type *
sys_type(struct program *p, const struct sys_func *f)
{
	struct diags diags = DIAGS_INIT;
	struct checker c = { .p = p, .arena = p->arena, .diags = &diags, .ident = "" };
	struct source_text *src = arena_alloc(p->arena, sizeof *src);
	const struct type *t;
	struct texpr *x;

	src->path = f->module;
	src->text = src->raw = f->type;
	src->len = src->rawlen = strlen(f->type);
	src->system = true;
	x = parse_type(p->arena, src, &diags);
	assert(x != NULL);
	t = check_texpr(&c, x);
	assert(t != NULL);
	diags_release(&diags);
	return t;
}

struct err *
sys_err(const struct lower_op *op, struct err *err)
{
	char *text;
	struct err *out;

	if (err == NULL)
		return NULL;
	text = err_str(err);
	out = lower_err(op->span, "%s", text);
	free(text);
	err_free(err);
	return out;
}

struct cached {
	struct regexp *re;
	UT_hash_handle hh;
	char	       pattern[];
};
struct regexp_cache {
	struct cached *entries;
};

struct err *
sys_regexp_get(struct lower *lo, const struct lower_op *op, const struct value *pattern, struct regexp **out)
{
	struct cached *c;
	struct regexp *re;
	struct err *err;
	const char *s;
	size_t n;

	s = value_get_string(pattern, &n);
	if (strlen(s) != n)
		return lower_err(op->span, "a regexp cannot hold a NUL");
	if (lo->regexps == NULL)
		lo->regexps = xcalloc(1, sizeof *lo->regexps);
	HASH_FIND(hh, lo->regexps->entries, s, n, c);
	if (c == NULL) {
		if ((err = regexp_compile(s, &re)) != NULL)
			return sys_err(op, err);
		c = xcalloc(1, offsetof(struct cached, pattern) + n + 1);
		memcpy(c->pattern, s, n + 1);
		c->re = re;
		HASH_ADD(hh, lo->regexps->entries, pattern, n, c);
	}
	*out = c->re;
	return NULL;
}

void
regexp_cache_free(void *arg)
{
	struct lower *lo = arg;
	struct cached *c, *next;

	if (lo->regexps == NULL)
		return;
	HASH_ITER(hh, lo->regexps->entries, c, next) {
		HASH_DEL(lo->regexps->entries, c);
		regexp_free(c->re);
		free(c);
	}
	free(lo->regexps);
	lo->regexps = NULL;
}

/* ---- The functions of the language itself that are values: file and dir ---- */

static struct err *
const_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	size_t len;
	const char *url = value_get_string(v[0], &len);

	return lower_intern(lo, op->span, op->place.ident, url, len, op->data == &sys_const_dir, out);
}

const struct sys_func sys_const_file = { "", "file", "func(url string) file", OPERAND_TOP, const_fn };
const struct sys_func sys_const_dir = { "", "dir", "func(url string) dir", OPERAND_TOP, const_fn };
