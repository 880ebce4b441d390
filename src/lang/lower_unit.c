/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "lang/sys.h"

/*
 * Instances of modules. Each make evaluates every declaration anew, in order, whether it is used or not;
 * what an instance shows are its exported names, each with the value bound last.
 */

static struct err *
lower_param(struct lower *lo, const struct param *p, struct value *given, struct place *place)
{
	struct place inner = *place;
	struct value *v;
	struct err *err;

	if (given != NULL) {
		env_push(&place->env, p->note, value_ref(given));
		return NULL;
	}
	inner.ident = arena_printf(graph_arena(lo->g), "%s.%s", place->ident, p->name);
	if ((err = lower_expr(lo, p->expr, &inner, &v)) == NULL)
		env_push(&place->env, p->note, v);
	return err;
}

/* The newest binding of an exported name stands first. */
static struct value *
exported(const struct env *env, const char *name)
{
	for (; env != NULL; env = env->next)
		if (env->binding->kind == BIND_DECL && strcmp(env->binding->name, name) == 0)
			return env->value;
	return NULL;
}

static struct value *
instance(const struct unit *u, const struct env *env)
{
	const struct type *t = u->type;
	const char **names = xcalloc(t->nfields + 1, sizeof *names);
	struct value **v = xcalloc(t->nfields + 1, sizeof *v), *module;

	for (size_t i = 0; i < t->nfields; i++) {
		names[i] = t->fields[i].name;
		v[i] = value_ref(exported(env, names[i]));
	}
	module = value_module(names, v, t->nfields);
	free(names);
	free(v);
	return module;
}

static struct value *
sys_instance(const struct sys_module *sys)
{
	const char **names = xcalloc(sys->nfuncs, sizeof *names);
	struct value **v = xcalloc(sys->nfuncs, sizeof *v), *module;

	for (size_t i = 0; i < sys->nfuncs; i++) {
		names[i] = sys->funcs[i].name;
		v[i] = sys_value(&sys->funcs[i]);
	}
	module = value_module(names, v, sys->nfuncs);
	free(names);
	free(v);
	return module;
}

struct err *
lower_unit(struct lower *lo, const struct unit *u, struct value *const *given, struct value **out)
{
	struct place place = { NULL, u->base };
	struct err *err = NULL;

	if (u->sys != NULL) {
		*out = sys_instance(u->sys);
		return NULL;
	}
	for (size_t i = 0; i < u->ast->nparams && err == NULL; i++)
		err = lower_param(lo, &u->ast->param[i], given[i], &place);
	for (size_t i = 0; i < u->ast->ndecls && err == NULL; i++)
		err = lower_decl(lo, u->ast->decl[i], &place);
	if (err == NULL)
		*out = instance(u, place.env);
	env_unref(place.env);
	return err;
}

struct err *
lower_make(struct lower *lo, const struct expr *e, const struct place *place, struct value **out)
{
	const struct unit *u = e->note;
	size_t n = u->ast ? u->ast->nparams : 0, index;
	struct value **given = xcalloc(n + 1, sizeof *given);
	struct err *err = NULL;

	for (size_t i = 0; i < e->ndecls && err == NULL; i++)
		if (unit_param(u, e->decl[i]->name, &index) != NULL)
			err = lower_expr(lo, e->decl[i]->expr, place, &given[index]);
	if (err == NULL)
		err = lower_unit(lo, u, given, out);
	values_unref(given, n);
	free(given);
	return err;
}
