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

/* The next of its params and declarations that has to be evaluated; the params that are given are bound on the way. */
static const struct expr *
next_expr(struct lower *lo, struct frame *f, struct place *inner)
{
	const struct module *m = f->unit->ast;

	for (; f->number < m->nparams + m->ndecls; f->number++) {
		const struct param *p = f->number < m->nparams ? &m->param[f->number] : NULL;
		const struct decl *d = p == NULL ? m->decl[f->number - m->nparams] : NULL;

		if (p != NULL && f->v[f->number] != NULL) {
			env_push(&f->place.env, p->note, value_ref(f->v[f->number]));
		} else if (p != NULL) {
			inner->ident = arena_printf(graph_arena(lo->g), "%s.%s", f->place.ident, p->name);
			return p->expr;
		} else if (d->kind == DECL_VAL) {
			inner->ident = d->note;
			return d->expr;
		}
	}
	return NULL;
}

static struct err *
bind_item(struct lower *lo, struct frame *f, struct value *v)
{
	const struct module *m = f->unit->ast;
	size_t i = f->number++;

	if (i >= m->nparams)
		return lower_bind(lo, m->decl[i - m->nparams], v, &f->place);
	env_push(&f->place.env, m->param[i].note, v);
	return NULL;
}

static struct err *
unit_step(struct lower *lo, struct frame *f, struct value *got, struct value **out)
{
	struct err *err = NULL;

	for (;;) {
		const struct expr *e;
		struct place inner;

		if (got != NULL)
			err = bind_item(lo, f, got);
		if (err != NULL || (e = next_expr(lo, f, &inner)) == NULL)
			break;
		got = NULL;
		inner.env = f->place.env;
		if ((err = frame_await(lo, f, e, &inner, &got)) != NULL || got == NULL)
			return err;
	}
	if (err == NULL)
		*out = instance(f->unit, f->place.env);
	frame_free(f);
	return err;
}

struct err *
lower_unit(struct lower *lo, const struct unit *u, struct value *const *given, struct value **out)
{
	struct place place = { NULL, u->base };
	struct frame *f;

	if (u->sys != NULL) {
		*out = sys_instance(u->sys);
		return NULL;
	}
	f = frame_new(NULL, &place, unit_step, u->ast->nparams);
	f->unit = u;
	for (f->n = 0; f->n < u->ast->nparams; f->n++)
		f->v[f->n] = given[f->n] ? value_ref(given[f->n]) : NULL;
	frame_push(lo, f);
	return NULL;
}

struct err *
make_done(struct lower *lo, struct frame *f, struct value **out)
{
	const struct expr *e = f->e;
	const struct unit *u = e->note;
	size_t n = u->ast ? u->ast->nparams : 0, index;
	struct value **given = xcalloc(n + 1, sizeof *given);
	struct err *err;

	for (size_t i = 0; i < f->n; i++)
		if (unit_param(u, e->decl[i]->name, &index) != NULL)
			given[index] = f->v[i];
	err = lower_unit(lo, u, given, out);
	values_unref(f->v, f->n);
	free(given);
	return err;
}
