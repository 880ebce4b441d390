/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/lower.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * Execs, inputs and requirements become nodes. Of an exec's operands the texts (strings, numbers,
 * resources) are awaited, since they are part of the command; files, directories and lists of them are
 * attached as dependencies and never waited for here.
 */

/* ---- Inputs ---- */

static bool
has_scheme(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n > 0 && strncmp(url + n, "://", 3) == 0;
}

/* An absolute path without doubled slashes and `.` parts; `..` stays, since links give it a meaning only the disk
 * knows. */
static void
clean_path(const char *dir, const char *path, struct buf *out)
{
	struct buf whole = BUF_INIT;
	const char *p;

	if (path[0] != '/')
		buf_addf(&whole, "%s/", dir);
	buf_addstr(&whole, path);
	for (p = buf_str(&whole); *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n > 0 && !(n == 1 && p[0] == '.')) {
			buf_addch(out, '/');
			buf_add(out, p, n);
		}
		p += n;
		p += *p == '/';
	}
	if (out->len == 0)
		buf_addch(out, '/');
	buf_release(&whole);
}

struct err *
lower_intern(struct lower *lo, const struct span *span, const char *ident, const char *url, size_t len, bool dir,
    struct value **out)
{
	const char *what = dir ? "dir" : "file";
	struct src_pos pos = lower_pos(span);
	struct buf b = BUF_INIT;

	if (len == 0 || strlen(url) != len)
		return lower_err(span, "%s: %s", what, len == 0 ? "the path is empty" : "the path holds a NUL");
	if (has_scheme(url)) {
		while (len > 0 && url[len - 1] == '/')
			len--;
		buf_add(&b, url, len);
		if (dir)
			buf_addch(&b, '/');
	} else {
		clean_path(lo->dir, url, &b);
	}
	*out = value_flow(flow_intern(lo->g, buf_str(&b), dir, ident, &pos));
	buf_release(&b);
	return NULL;
}

/* ---- Resources ---- */

enum res_param { RES_PARAM_CPU, RES_PARAM_MEM, RES_PARAM_DISK, RES_PARAM_FEATURES, RES_PARAM_OTHER };

static enum res_param
res_param(const char *name)
{
	static const char *const names[] = { "cpu", "mem", "disk", "cpufeatures" };

	for (size_t i = 0; i < nitems(names); i++)
		if (strcmp(names[i], name) == 0)
			return (enum res_param)i;
	return RES_PARAM_OTHER;
}

static double
number(const struct value *v)
{
	return value_kind(v) == VAL_INT ? mpz_get_d(value_get_int(v)) : mpfr_get_d(value_get_float(v), MPFR_RNDN);
}

/* Sets the resources that the named values ask for; a feature counts as often as there are cores. */
static struct err *
set_resources(struct decl *const *d, size_t n, struct value *const *v, struct resources *out)
{
	static const char *const labels[] = { "cpu", "mem", "disk" };
	double cpu = 0;

	for (size_t i = 0; i < n; i++) {
		enum res_param r = res_param(d[i]->name);
		double x;

		if (r >= RES_PARAM_FEATURES)
			continue;
		x = number(v[i]);
		if (!(x >= 0 && x < 1e18))
			return lower_err(&d[i]->span, "%s must not be negative, nor beyond 1e18", d[i]->name);
		resources_set(out, labels[r], x);
		if (r == RES_PARAM_CPU)
			cpu = x;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; res_param(d[i]->name) == RES_PARAM_FEATURES && k < value_len(v[i]); k++)
			resources_set(out, value_get_string(value_at(v[i], k), NULL), cpu);
	return NULL;
}

static struct err *
lower_named(struct lower *lo, struct decl *const *d, size_t n, const struct place *place, struct value **v)
{
	struct err *err = NULL;
	size_t i;

	for (i = 0; i < n && err == NULL; i++)
		err = lower_expr(lo, d[i]->expr, place, &v[i]);
	if (err != NULL)
		values_unref(v, i);
	return err;
}

static struct err *
no_delays(struct decl *const *d, size_t n, struct value *const *v, const char *of)
{
	for (size_t i = 0; i < n; i++)
		if (!value_is_strict(v[i]))
			return lower_err(&d[i]->span,
			    "%s parameter %s must be known before anything runs, but is delayed", of, d[i]->name);
	return NULL;
}

struct err *
lower_requires(
    struct lower *lo, const struct requires *r, const struct place *place, struct value *v, struct value **out)
{
	struct requirements req = REQUIREMENTS_INIT;
	struct value **p = xcalloc(r->ndecls + 1, sizeof *p);
	struct err *err = lower_named(lo, r->decl, r->ndecls, place, p);

	if (err != NULL) {
		free(p);
		value_unref(v);
		return err;
	}
	if ((err = no_delays(r->decl, r->ndecls, p, "@requires")) == NULL)
		err = set_resources(r->decl, r->ndecls, p, &req.min);
	for (size_t i = 0; i < r->ndecls && err == NULL; i++)
		if (strcmp(r->decl[i]->name, "wide") == 0)
			req.width = value_get_bool(p[i]);
	if (err != NULL)
		value_unref(v);
	else if (value_is_strict(v))
		*out = v;
	else
		*out = value_flow(flow_requirements(lo->g, &req, flow_force(lo->g, v)));
	requirements_release(&req);
	values_unref(p, r->ndecls);
	free(p);
	return err;
}

/* ---- Execs ---- */

/* While the command is put together. */
struct command {
	struct lower	      *lo;
	const struct lower_op *op;
	struct flow_exec       x;
	struct buf	       cmd;
	struct flow	     **deps;
	size_t		       ndeps;
};

/* The command is a format: what is text must not look like a hole. */
static void
add_text(struct command *c, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_addch(&c->cmd, s[i]);
		if (s[i] == '%')
			buf_addch(&c->cmd, '%');
	}
}

static const char *
source_text_of(struct command *c, const struct span *span)
{
	if (span->src == NULL || span->end.off <= span->start.off)
		return NULL;
	return arena_strndup(graph_arena(c->lo->g), span->src->text + span->start.off, span->end.off - span->start.off);
}

static void
add_hole(struct command *c, bool out, uint32_t index, const char *name)
{
	buf_addstr(&c->cmd, "%s");
	c->x.args[c->x.nargs++] = (struct flow_arg){ out, index, name };
}

/* The same input twice is one dependency with two holes. */
static void
add_input(struct command *c, const struct expr *e, struct value *v)
{
	struct flow *f = value_is_strict(v) ? flow_val(c->lo->g, value_ref(v)) : flow_force(c->lo->g, value_ref(v));
	size_t i = 0;

	while (i < c->ndeps && c->deps[i] != f)
		i++;
	if (i == c->ndeps)
		c->deps[c->ndeps++] = f;
	add_hole(c, false, (uint32_t)i, source_text_of(c, &e->span));
}

static bool
is_input(const struct type *t)
{
	return t->kind == TYPE_FILE || t->kind == TYPE_DIR || t->kind == TYPE_LIST;
}

static struct err *
add_value(struct command *c, const struct expr *e, struct value *v)
{
	struct buf b = BUF_INIT;
	const char *s;
	size_t n;

	if (is_input(e->type)) {
		add_input(c, e, v);
		return NULL;
	}
	if (value_kind(v) == VAL_STRING) {
		s = value_get_string(v, &n);
		if (memchr(s, '\0', n) != NULL)
			return lower_err(&e->span, "a string with a NUL cannot be part of a command");
		add_text(c, s, n);
		return NULL;
	}
	if (value_kind(v) == VAL_INT)
		value_int_text(v, &b);
	else
		value_float_text(v, &b);
	add_text(c, buf_str(&b), b.len);
	buf_release(&b);
	return NULL;
}

static struct err *
add_params(struct command *c, struct value *const *v)
{
	const struct expr *e = c->op->expr;
	struct err *err = no_delays(e->decl, e->ndecls, v, "exec");

	for (size_t i = 0; i < e->ndecls && err == NULL; i++) {
		const char *name = e->decl[i]->name;

		if (strcmp(name, "image") == 0) {
			c->x.image = value_get_string(v[i], NULL);
			if (c->x.image[0] == '\0')
				err = lower_err(&e->decl[i]->span, "the image must not be empty");
		} else if (strcmp(name, "nondeterministic") == 0) {
			c->x.nondeterministic = value_get_bool(v[i]);
		}
	}
	return err ? err : set_resources(e->decl, e->ndecls, v, &c->x.resources);
}

static struct err *
add_parts(struct command *c, struct value *const *v)
{
	const struct expr *e = c->op->expr;
	const struct exec_note *note = e->note;
	struct err *err = NULL;

	for (size_t i = 0; i < e->nparts && err == NULL; i++) {
		const struct tmpl_part *part = &e->part[i];

		if (part->expr == NULL)
			add_text(c, part->text.p, part->text.len);
		else if (note->part[i] >= 0)
			add_hole(c, true, (uint32_t)note->part[i], note->outs[note->part[i]].name);
		else
			err = add_value(c, part->expr, *v++);
	}
	return err;
}

/* v: the parameters as declared, then the interpolated values in order. */
static struct err *
exec_fn(struct lower *lo, const struct lower_op *op, struct value *const *v, size_t n unused_arg, struct value **out,
    struct flow **need unused_arg)
{
	const struct expr *e = op->expr;
	const struct exec_note *note = e->note;
	struct src_pos pos = lower_pos(op->span);
	struct command c = { .lo = lo, .op = op };
	struct err *err;

	c.x.args = xcalloc(e->nparts + 1, sizeof *c.x.args);
	c.deps = xcalloc(e->nparts + 1, sizeof *c.deps);
	c.x.outs = note->outs;
	c.x.nouts = (uint32_t)note->nouts;
	if ((err = add_params(&c, v)) == NULL)
		err = add_parts(&c, v + e->ndecls);
	if (err == NULL) {
		c.x.cmd = buf_str(&c.cmd);
		*out = value_flow(flow_exec(lo->g, &c.x, c.deps, c.ndeps, op->place.ident, &pos));
	}
	resources_release(&c.x.resources);
	buf_release(&c.cmd);
	free(c.x.args);
	free(c.deps);
	return err;
}

/* The image alone may not be waited for: it decides where the command can run. */
static struct err *
image_is_there(const struct expr *e, struct value *const *v)
{
	for (size_t i = 0; i < e->ndecls; i++)
		if (strcmp(e->decl[i]->name, "image") == 0)
			return no_delays(&e->decl[i], 1, &v[i], "exec");
	return NULL;
}

struct err *
exec_done(struct lower *lo, struct frame *f, struct value **out)
{
	const struct expr *e = f->e;
	const struct exec_note *note = e->note;
	struct lower_op op = { .fn = exec_fn, .name = "exec", .expr = e, .span = &e->span,
		.place = { NULL, f->place.ident }, .gives = GIVES_STRICT };
	struct err *err = image_is_there(e, f->v);
	enum operand *modes;

	if (err != NULL) {
		values_unref(f->v, f->n);
		return err;
	}
	modes = xcalloc(f->n + 1, sizeof *modes);
	for (size_t i = 0; i < f->n; i++) {
		if (i < e->ndecls)
			modes[i] = OPERAND_FORCE;
		else
			modes[i] = is_input(note->inserted[i - e->ndecls]->type) ? OPERAND_RAW : OPERAND_TOP;
	}
	op.piece = piece_get(lo->p, e, PIECE_CODE);
	err = with_values(lo, &op, modes, f->v, f->n, out);
	free(modes);
	return err;
}
