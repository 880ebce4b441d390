/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "lang/program_priv.h"
#include "lang/sys.h"

/*
 * A program: open it, check it, evaluate it into a graph. What is easy to get wrong: an instantiation
 * (struct lower) belongs to the graph, whose continuations use it, and is gone with the graph; the trees belong to
 * the program, which must therefore live longer.
 */

static struct binding *
add_const(struct program *p, const char *name, const struct type *type, struct value *v)
{
	struct binding *b = arena_alloc(p->arena, sizeof *b);

	b->kind = BIND_CONST;
	b->name = name;
	b->type = type;
	b->value = v;
	p->consts[p->nconsts++] = b;
	return b;
}

static const struct type *
const_func_type(struct program *p, const struct sys_func *f)
{
	struct type *t = arena_memdup(p->arena, sys_type(p, f), sizeof *t);

	/* An input is always delayed. */
	t->elem = type_as_flow(p->arena, t->elem);
	return t;
}

static void
add_consts(struct program *p)
{
	static const char *const sizes[] = { "KiB", "MiB", "GiB", "TiB" };

	p->consts = arena_alloc(p->arena, (nitems(sizes) + 2) * sizeof(struct binding *));
	for (size_t i = 0; i < nitems(sizes); i++)
		add_const(p, sizes[i], type_int, value_int(INT64_C(1) << (10 * (i + 1))));
	add_const(p, "file", const_func_type(p, &sys_const_file), sys_value(&sys_const_file));
	add_const(p, "dir", const_func_type(p, &sys_const_dir), sys_value(&sys_const_dir));
}

struct err *
program_open(const char *path, struct sources *sources, struct buf *diag, struct program **out)
{
	struct program *p = xcalloc(1, sizeof *p);
	const struct source_text *src;
	struct span nowhere = { NULL };
	struct err *err;

	p->arena = arena_new();
	p->sources = sources ? sources : sources_new();
	add_consts(p);
	/* What the system says of the file is no diagnostic of the program. */
	if ((err = sources_get(p->sources, path, &src)) == NULL) {
		p->root = unit_get(p, NULL, path, &nowhere);
		diags_print(&p->diags, DIAG_CARETS, diag);
		if (diags_errors(&p->diags) > 0)
			err = err_msg(ERR_INVALID, "%s: %zu error%s", path, diags_errors(&p->diags),
			    diags_errors(&p->diags) == 1 ? "" : "s");
	}
	if (err != NULL) {
		program_free(p);
		return err;
	}
	p->main = type_field(p->root->type, "Main");
	*out = p;
	return NULL;
}

void
program_free(struct program *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->nconsts; i++)
		value_unref(p->consts[i]->value);
	piece_cache_free(p->pieces);
	diags_release(&p->diags);
	sources_free(p->sources);
	arena_free(p->arena);
	free(p);
}

const char *
program_path(const struct program *p)
{
	return p->root->path;
}

struct sources *
program_sources(struct program *p)
{
	return p->sources;
}

const struct type *
program_main_type(const struct program *p)
{
	return p->main;
}

struct lower *
program_lower(struct program *p, struct graph *g, const char *dir)
{
	struct lower *lo = arena_alloc(graph_arena(g), sizeof *lo);

	lo->p = p;
	lo->g = g;
	lo->dir = arena_strdup(graph_arena(g), dir);
	arena_cleanup(graph_arena(g), regexp_cache_free, lo);
	return lo;
}

static const char *
text_of(const struct param_set *set, const char *name)
{
	const char *text = NULL;

	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i].name, name) == 0)
			text = set->v[i].text;
	return text;
}

static struct value *
args_value(const struct param_set *set)
{
	struct value **v = xcalloc(set->nargs + 1, sizeof *v), *list;

	for (size_t i = 0; i < set->nargs; i++)
		v[i] = value_str(set->args[i]);
	list = value_list(v, set->nargs);
	free(v);
	return list;
}

/* The values that flags give to params; the rest stay NULL. */
static struct err *
given_params(struct lower *lo, const struct param_set *set, struct value **given)
{
	const struct module *m = lo->p->root->ast;
	struct err *err = NULL;

	for (size_t i = 0; i < m->nparams && err == NULL; i++) {
		const struct param *param = &m->param[i];
		const char *text = text_of(set, param->name);

		if (program_is_args(param)) {
			if (set->nargs > 0 || param->expr == NULL)
				given[i] = args_value(set);
		} else if (text != NULL) {
			err = program_param_value(lo, param, text, &given[i]);
		} else if (param->expr == NULL) {
			err = err_msg(ERR_INVALID, "missing mandatory flag -%s", param->name);
		}
	}
	return err;
}

/* Takes the value of Main. */
static struct value *
forced(struct graph *g, struct value *v)
{
	return value_is_strict(v) ? v : value_flow(flow_force(g, v));
}

struct err *
program_instantiate(
    struct program *p, struct graph *g, const char *dir, const struct param_set *set, struct value **out)
{
	struct lower *lo = program_lower(p, g, dir);
	size_t n = p->root->ast->nparams;
	struct value **given = xcalloc(n + 1, sizeof *given), *module = NULL;
	struct err *err;

	if (p->main == NULL)
		err = err_msg(ERR_INVALID, "%s: module has no Main", program_path(p));
	else
		err = given_params(lo, set, given);
	if (err == NULL)
		err = lower_run(lo, NULL, lower_unit(lo, p->root, given, &module), &module);
	if (err == NULL)
		*out = forced(g, value_ref(value_field(module, "Main")));
	value_unref(module);
	values_unref(given, n);
	free(given);
	return err;
}
