/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * Argument I of a command lies below arg/I: a file or directory is arg/I/0, element J of a list is
 * arg/I/J. A directory without files is made, for the command expects to find it.
 */

#define MIN_CPU 1.0
#define MIN_MEM (500.0 * (1 << 20))
#define MEM_GROWTH 1.5

void
node_config_release(struct node_config *nc)
{
	resources_release(&nc->config.resources);
	arena_free(nc->arena);
	memset(nc, 0, sizeof *nc);
}

static void
intern_key(const char *url, bool dir, bool install, struct digest *key)
{
	struct w1 w;

	w1_init(&w, "intern-request");
	w1_add_str(&w, W1_TEXT, 0, url);
	w1_add_u64(&w, 0, dir);
	w1_add_u64(&w, 1, install);
	w1_final(&w, key);
}

void
node_config_intern(struct node_config *nc, const struct origin *o, const char *url, bool dir, bool install,
    const char *ident)
{
	struct buf path = BUF_INIT;

	memset(nc, 0, sizeof *nc);
	nc->arena = arena_new();
	if (strstr(url, "://") && strncmp(url, "file://", 7) != 0)
		buf_addstr(&path, url);
	else
		origin_url(o, url, &path);
	nc->config.type = EXEC_INTERN;
	nc->config.url = arena_strdup(nc->arena, buf_str(&path));
	nc->config.dir = dir;
	nc->config.install = install;
	nc->config.ident = ident;
	intern_key(nc->config.url, dir, install, &nc->config.key);
	buf_release(&path);
}

struct inputs {
	struct arena	   *arena;
	const struct origin *origin;
	struct exec_input  *v;		/* NULL on the first pass, which only counts */
	size_t		    n;
};

static void
add_input(struct inputs *in, uint32_t i, size_t j, const char *rest, const struct file *file)
{
	struct exec_input *x = in->v ? &in->v[in->n] : NULL;
	struct buf path = BUF_INIT;

	in->n++;
	if (!x)
		return;
	x->path = rest ? arena_printf(in->arena, "%u/%zu/%s", i, j, rest) : arena_printf(in->arena, "%u/%zu", i, j);
	x->dir = file == NULL;
	if (file) {
		x->file = *file;
		if (origin_path(in->origin, &file->id, &path))
			x->origin = arena_strdup(in->arena, buf_str(&path));
	}
	buf_release(&path);
}

/* False: the value is neither a file nor a directory. */
static bool
add_element(struct inputs *in, uint32_t i, size_t j, const struct value *v)
{
	const struct fileset *dir;

	if (value_kind(v) == VAL_FILE) {
		add_input(in, i, j, NULL, value_get_file(v));
		return true;
	}
	if (value_kind(v) != VAL_DIR)
		return false;
	dir = value_get_dir(v);
	for (size_t k = 0; k < fileset_nmap(dir); k++) {
		add_input(in, i, j, fileset_at(dir, k)->path, &fileset_at(dir, k)->file);
		slice_breathe(3);
	}
	if (fileset_nmap(dir) == 0)
		add_input(in, i, j, NULL, NULL);
	return true;
}

static bool
add_argument(struct inputs *in, uint32_t i, const struct value *v)
{
	bool ok = true;

	if (value_kind(v) != VAL_LIST)
		return add_element(in, i, 0, v);
	for (size_t j = 0; ok && j < value_len(v); j++) {
		ok = add_element(in, i, j, value_at(v, j));
		slice_breathe(3);
	}
	return ok;
}

/*
 * The values of its arguments, NULL for an output, each with a reference: in a slice they may be made anew while they
 * are gone over. few: room for FEW of them.
 */
#define FEW 8
static struct value **
args_take(const struct flow *f, struct value **few)
{
	const struct flow_exec *x = f->u.exec.form;
	struct value **v = x->nargs <= FEW ? few : xcalloc(x->nargs, sizeof *v);

	for (uint32_t i = 0; i < x->nargs; i++)
		v[i] = x->args[i].out ? NULL : value_ref(f->deps[x->args[i].index]->value);
	return v;
}

static void
args_give(const struct flow *f, struct value **v, struct value **few)
{
	for (uint32_t i = 0; i < f->u.exec.form->nargs; i++)
		value_unref(v[i]);
	if (v != few)
		free(v);
}

static struct err *
add_arguments(struct inputs *in, const struct flow_exec *x, struct value *const *v)
{
	in->n = 0;
	for (uint32_t i = 0; i < x->nargs; i++)
		if (v[i] && !add_argument(in, i, v[i]))
			return err_msg(ERR_INVALID, "argument %s is no file, no directory and no list of them",
			    x->args[i].name ? x->args[i].name : "?");
	return NULL;
}

static void
set_holes(struct node_config *nc, const struct flow_exec *x, struct value *const *v)
{
	struct exec_hole *holes = arena_alloc(nc->arena, (x->nargs + 1) * sizeof *holes);
	struct exec_output *outs = arena_alloc(nc->arena, (x->nouts + 1) * sizeof *outs);

	for (uint32_t i = 0; i < x->nargs; i++) {
		holes[i].output = x->args[i].out;
		holes[i].index = x->args[i].out ? x->args[i].index : i;
		holes[i].n = v[i] && value_kind(v[i]) == VAL_LIST ? (uint32_t)value_len(v[i]) : 1;
	}
	for (size_t k = 0; k < x->nouts; k++)
		outs[k] = (struct exec_output){ x->outs[k].name, x->outs[k].dir };
	nc->config.holes = holes;
	nc->config.nholes = x->nargs;
	nc->config.outputs = outs;
	nc->config.noutputs = x->nouts;
}

struct err *
node_operands_check(const struct flow *f)
{
	struct inputs in = { NULL, NULL, NULL, 0 };
	struct value *few[FEW], **v = args_take(f, few);
	struct err *err = add_arguments(&in, f->u.exec.form, v);

	args_give(f, v, few);
	return err;
}

size_t
node_width(const struct flow *f)
{
	const struct flow_exec *x = f->u.exec.form;
	size_t n = 0;

	for (uint32_t i = 0; i < x->nargs; i++) {
		const struct value *v = x->args[i].out ? NULL : f->deps[x->args[i].index]->value;

		if (v && value_kind(v) == VAL_LIST)
			n += value_len(v);
		else if (v && value_kind(v) == VAL_DIR)
			n += fileset_nmap(value_get_dir(v));
	}
	return n;
}

void
node_config_exec(struct node_config *nc, const struct origin *o, const struct flow *f)
{
	const struct flow_exec *x = f->u.exec.form;
	struct value *few[FEW], **v = args_take(f, few);
	struct inputs in = { .origin = o };

	memset(nc, 0, sizeof *nc);
	err_free(add_arguments(&in, x, v));	/* only counts; cannot fail once checked */
	in.arena = nc->arena = arena_new();
	in.v = arena_alloc(nc->arena, (in.n + 1) * sizeof *in.v);
	err_free(add_arguments(&in, x, v));
	nc->config.type = EXEC_COMMAND;
	nc->config.ident = f->place->ident;
	nc->config.key = f->pkey;
	nc->config.image = x->image;
	nc->config.cmd = f->u.exec.cmd;
	nc->config.env = x->env;
	nc->config.inputs = in.v;
	nc->config.ninputs = in.n;
	set_holes(nc, x, v);
	args_give(f, v, few);
}

double
node_memory(const struct flow *f)
{
	double mem = resources_get(&f->u.exec.form->resources, "mem");

	return mem < MIN_MEM ? MIN_MEM : mem;
}

void
node_resources(const struct flow *f, double learned, unsigned grown, const struct resources *total,
    struct resources *out)
{
	double mem = node_memory(f);

	resources_copy(out, &f->u.exec.form->resources);
	if (resources_get(out, "cpu") < MIN_CPU)
		resources_set(out, "cpu", MIN_CPU);
	if (learned > mem)
		mem = learned < total->mem ? learned : mem < total->mem ? total->mem : mem;
	for (unsigned i = 0; i < grown; i++)
		if (mem < total->mem)
			mem = mem * MEM_GROWTH < total->mem ? mem * MEM_GROWTH : total->mem;
	resources_set(out, "mem", mem);
}

static struct err *
element_value(const struct fileset *fs, bool dir, const char *name, struct value **out)
{
	struct file file;

	if (dir) {
		if (fileset_is_list(fs))
			return err_msg(ERR_EXEC, "output %s is not a directory", name);
		*out = value_dir(fileset_ref((struct fileset *)fs));
		return NULL;
	}
	if (!fileset_as_file(fs, &file))
		return err_msg(ERR_EXEC, "output %s is missing", name);
	*out = value_file(&file);
	return NULL;
}

static struct err *
exec_value(const struct flow_exec *x, const struct fileset *fs, struct value **out)
{
	struct value **v;
	struct err *err = NULL;
	size_t n = 0;

	if (fs == NULL || !fileset_is_list(fs) || fileset_nlist(fs) != x->nouts)
		return err_msg(ERR_EXEC, "the result has not %u outputs", x->nouts);
	if (x->nouts == 1)
		return element_value(fileset_elem(fs, 0), x->outs[0].dir, x->outs[0].name, out);
	v = xcalloc(x->nouts + 1, sizeof *v);
	for (; !err && n < x->nouts; n++)
		err = element_value(fileset_elem(fs, n), x->outs[n].dir, x->outs[n].name, &v[n]);
	if (!err)
		*out = value_tuple(v, n);
	for (size_t i = 0; err && i < n; i++)
		value_unref(v[i]);
	free(v);
	return err;
}

struct err *
node_value(const struct flow *f, const struct fileset *fs, struct value **out)
{
	struct file file;

	if (f->op == FLOW_EXEC)
		return exec_value(f->u.exec.form, fs, out);
	if (fs == NULL || fileset_is_list(fs))
		return err_msg(ERR_INVALID, "%s: the result is no file or directory", f->u.intern.url);
	if (f->u.intern.dir) {
		*out = value_dir(fileset_ref((struct fileset *)fs));
		return NULL;
	}
	if (!fileset_as_file(fs, &file))
		return err_msg(ERR_NOT_EXIST, "%s: no such file", f->u.intern.url);
	*out = value_file(&file);
	return NULL;
}
