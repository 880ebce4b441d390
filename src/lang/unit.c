/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "lang/parse.h"
#include "lang/sys.h"

/*
 * Units: modules found, parsed and checked once, whoever makes them. What is easy to get wrong: a module
 * that is being checked while another one asks for it is its own ancestor.
 */
#define UNIT_MAX_DEPTH 100	/* of chains of makes: checking recurses along them */

static struct unit *
unit_find(struct program *p, const char *path)
{
	for (struct unit *u = p->units; u != NULL; u = u->next)
		if (strcmp(u->path, path) == 0)
			return u;
	return NULL;
}

static const char *
base_of(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');

	return dot && dot > name ? arena_strndup(a, name, (size_t)(dot - name)) : arena_strdup(a, name);
}

static struct unit *
unit_new(struct program *p, const char *path)
{
	struct unit *u = arena_alloc(p->arena, sizeof *u);

	u->path = arena_strdup(p->arena, path);
	u->base = base_of(p->arena, path);
	u->next = p->units;
	p->units = u;
	return u;
}

static const struct type *
sys_module_type(struct program *p, const struct sys_module *sys)
{
	struct type_field *f = arena_alloc(p->arena, sys->nfuncs * sizeof *f);

	for (size_t i = 0; i < sys->nfuncs; i++) {
		f[i].name = sys->funcs[i].name;
		f[i].type = sys_type(p, &sys->funcs[i]);
	}
	return type_module(p->arena, f, sys->nfuncs, NULL, 0);
}

static void
load_system(struct program *p, struct unit *u, const struct span *span)
{
	struct w1 w;

	u->sys = sys_find(u->path);
	u->state = UNIT_CHECKED;
	if (u->sys == NULL) {
		if (strcmp(u->path, "$/filesets") == 0)
			diag_error(&p->diags, span, "the system module %s is not supported yet", u->path);
		else
			diag_error(&p->diags, span, "there is no system module %s", u->path);
		diag_hint(&p->diags, "system modules: %s", sys_names());
		return;
	}
	u->type = sys_module_type(p, u->sys);
	w1_init(&w, "system module");
	w1_add_str(&w, W1_TEXT, 0, u->path);
	w1_final(&w, &u->code);
}

static void
report(struct program *p, const struct span *span, struct err *err)
{
	char *text = err_str(err);

	diag_error(&p->diags, span, "%s", text);
	free(text);
	err_free(err);
}

static void
code_digest(struct unit *u)
{
	struct w1 w;

	w1_init(&w, "module");
	w1_add_digest(&w, W1_DIGEST, 0, &u->ast->src->digest);
	for (size_t i = 0; i < u->nimports; i++)
		w1_add_digest(&w, W1_DIGEST, (uint32_t)i + 1, &u->imports[i]->code);
	w1_final(&w, &u->code);
}

static void
load_file(struct program *p, struct unit *u, const struct span *span)
{
	const struct source_text *src;
	struct err *err = sources_get(p->sources, u->path, &src);

	if (err != NULL) {
		report(p, span, err);
		return;
	}
	if (src->archive) {
		diag_error(&p->diags, span, "%s: a bundle cannot be made from yet; make its .rf module", u->path);
		return;
	}
	if ((u->ast = parse_module(p->arena, src, &p->diags)) == NULL)
		return;
	check_unit(p, u);
	code_digest(u);
}

static void
add_import(struct program *p, struct unit *importer, struct unit *u)
{
	struct unit **grown;

	if (importer->nimports == importer->cap) {
		importer->cap = importer->cap ? 2 * importer->cap : 4;
		grown = arena_alloc(p->arena, importer->cap * sizeof(struct unit *));
		if (importer->nimports > 0)
			memcpy(grown, importer->imports, importer->nimports * sizeof(struct unit *));
		importer->imports = grown;
	}
	importer->imports[importer->nimports++] = u;
}

static struct unit *
load(struct program *p, struct unit *importer, const char *key, const struct span *span)
{
	struct unit *u = unit_find(p, key);

	if (u == NULL) {
		u = unit_new(p, key);
		u->depth = importer ? importer->depth + 1 : 0;
		u->state = UNIT_CHECKING;
		if (u->depth > UNIT_MAX_DEPTH)
			diag_error(&p->diags, span, "more than %d modules make each other in a chain", UNIT_MAX_DEPTH);
		else if (source_is_system(key))
			load_system(p, u, span);
		else
			load_file(p, u, span);
		u->state = UNIT_CHECKED;
	} else if (u->state == UNIT_CHECKING) {
		diag_error(&p->diags, span, "module %s makes itself", key);
		return NULL;
	}
	return u->type ? u : NULL;
}

struct unit *
unit_get(struct program *p, struct unit *importer, const char *path, const struct span *span)
{
	char *key = importer ? source_resolve(importer->path, path) : xstrdup(path);
	struct unit *u = load(p, importer, key, span);

	free(key);
	if (u != NULL && importer != NULL)
		add_import(p, importer, u);
	return u;
}

const struct param *
unit_param(const struct unit *u, const char *name, size_t *index)
{
	for (size_t i = 0; u->ast != NULL && i < u->ast->nparams; i++) {
		if (strcmp(u->ast->param[i].name, name) != 0)
			continue;
		if (index != NULL)
			*index = i;
		return &u->ast->param[i];
	}
	return NULL;
}
