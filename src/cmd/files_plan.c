/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/files.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* From a value to paths. Values may be nested deeply: an explicit stack, never recursion. */
#define NAME_LONG 200	/* longer names are cut and told apart by a digest */

struct todo {
	const struct value *value;	/* borrowed from the whole */
	char		   *path;	/* owned; "" at the top */
};
struct walk {
	struct file_plan *plan;
	struct todo	 *stack;
	size_t		  n;
	struct err	 *err;
};

void
plan_release(struct file_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].path);
	free(p->v);
	memset(p, 0, sizeof *p);
}

static struct planned *
plan_add(struct file_plan *p, char *path)	/* takes path */
{
	if ((p->n & (p->n - 1)) == 0)	/* grows at each power of two */
		p->v = xreallocarray(p->v, p->n == 0 ? 1 : p->n * 2, sizeof *p->v);
	memset(&p->v[p->n], 0, sizeof *p->v);
	p->v[p->n].path = path;
	return &p->v[p->n++];
}

void
plan_file(struct file_plan *p, const struct file *f)
{
	plan_add(p, xstrdup("result"))->file = *f;
}

bool
plan_single(const struct file_plan *p, struct file *f)
{
	if (p->n != 1 || p->v[0].folder)
		return false;
	*f = p->v[0].file;
	return true;
}

/* A percent sign is always the beginning of two digits, or alone the empty name: escaping loses nothing. */
void
name_escape(const char *s, size_t n, struct buf *out)
{
	size_t from = out->len;
	struct digest d;
	char hex[9];

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (isalnum(c) || c >= 0x80 || strchr("-_+=@,:~^ ()[]{}#&!", c) != NULL ||
		    (c == '.' && out->len > from))
			buf_addch(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
	if (n == 0)
		buf_addch(out, '%');
	if (out->len - from <= NAME_LONG)
		return;
	sha256_of(s, n, &d);
	digest_short(&d, hex);
	out->len = from + NAME_LONG;
	buf_addf(out, "%%%s", hex);
}

static char *
join(const char *path, const char *name)
{
	return *path == '\0' ? xstrdup(name) : xasprintf("%s/%s", path, name);
}

/* The paths of a dir come out of commands and other people's journals. */
static bool
safe_path(const char *path)
{
	const char *p = path;

	if (*p == '\0')
		return false;
	for (;;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (p[n] == '\0')
			return true;
		p += n + 1;
	}
}

static struct err *
add_dir(struct file_plan *p, const struct fileset *fs, const char *path)
{
	if (fileset_nmap(fs) == 0 && *path != '\0')
		plan_add(p, xstrdup(path))->folder = true;
	for (size_t i = 0; i < fileset_nmap(fs); i++) {
		const struct fileset_entry *e = fileset_at(fs, i);

		if (!safe_path(e->path))
			return err_msg(ERR_INVALID, "path %s in a dir leaves it, or is no path: refused", e->path);
		plan_add(p, join(path, e->path))->file = e->file;
	}
	return NULL;
}

static void
push(struct walk *w, const struct value *v, char *path)	/* takes path */
{
	if ((w->n & (w->n - 1)) == 0)	/* grows at each power of two */
		w->stack = xreallocarray(w->stack, w->n == 0 ? 1 : w->n * 2, sizeof *w->stack);
	w->stack[w->n++] = (struct todo){ v, path };
}

static void
push_named(struct walk *w, const struct value *v, const char *path, const char *name, size_t n)
{
	struct buf b = BUF_INIT;

	name_escape(name, n, &b);
	push(w, v, join(path, buf_str(&b)));
	buf_release(&b);
}

static void
push_key(struct walk *w, const struct value *v, const char *path, const struct value *key)
{
	struct buf text = BUF_INIT;

	if (value_kind(key) == VAL_STRING) {
		size_t n;
		const char *s = value_get_string(key, &n);

		push_named(w, v, path, s, n);
		return;
	}
	value_print(key, NULL, &text);
	push_named(w, v, path, buf_str(&text), text.len);
	buf_release(&text);
}

static void
push_parts(struct walk *w, const struct value *v, const char *path)
{
	enum value_kind kind = value_kind(v);

	/* An empty list leaves a folder, so that what is written shows what the value is. */
	if (value_len(v) == 0 && *path != '\0')
		plan_add(w->plan, xstrdup(path))->folder = true;
	for (size_t i = 0; i < value_len(v); i++) {
		const struct value *part = value_at(v, i);

		if (kind == VAL_MAP) {
			push_key(w, part, path, value_key_at(v, i));
		} else if (kind == VAL_STRUCT || kind == VAL_MODULE) {
			push_named(w, part, path, value_name_at(v, i), strlen(value_name_at(v, i)));
		} else {
			char number[24];

			snprintf(number, sizeof number, "%zu", i);
			push_named(w, part, path, number, strlen(number));
		}
	}
}

static struct err *
visit(struct walk *w, const struct value *v, const char *path)
{
	switch (value_kind(v)) {
	case VAL_FILE:
		plan_add(w->plan, xstrdup(*path == '\0' ? "result" : path))->file = *value_get_file(v);
		break;
	case VAL_DIR:
		return add_dir(w->plan, value_get_dir(v), path);
	case VAL_LIST:
	case VAL_MAP:
	case VAL_TUPLE:
	case VAL_STRUCT:
	case VAL_MODULE:
		push_parts(w, v, path);
		break;
	case VAL_VARIANT:
		if (value_elem(v) != NULL)
			push_named(w, value_elem(v), path, value_tag(v), strlen(value_tag(v)));
		break;
	default:	/* texts and numbers are no files: the value itself has them */
		break;
	}
	return NULL;
}

struct err *
plan_value(struct file_plan *p, const struct value *v)
{
	struct walk w = { .plan = p };

	push(&w, v, xstrdup(""));
	while (w.n > 0 && w.err == NULL) {
		struct todo t = w.stack[--w.n];

		w.err = visit(&w, t.value, t.path);
		free(t.path);
	}
	while (w.n > 0)
		free(w.stack[--w.n].path);
	free(w.stack);
	if (w.err != NULL)
		plan_release(p);
	return w.err;
}

static struct err *
add_output(struct file_plan *p, const struct fileset *fs, const char *path)
{
	struct file f;

	if (fileset_as_file(fs, &f)) {
		plan_add(p, xstrdup(*path == '\0' ? "result" : path))->file = f;
		return NULL;
	}
	if (fileset_is_list(fs))
		return err_msg(ERR_INVALID, "an output is a list: not a result of an exec");
	return add_dir(p, fs, path);
}

static bool
usable_names(const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (*names[i] == '\0')
			return false;
		for (size_t k = 0; k < i; k++)
			if (strcmp(names[i], names[k]) == 0)
				return false;
	}
	return true;
}

static struct err *
add_outputs(struct file_plan *p, const struct fileset *fs, const char *const *names)
{
	struct err *err = NULL;

	for (size_t i = 0; err == NULL && i < fileset_nlist(fs); i++) {
		struct buf name = BUF_INIT;

		if (names != NULL)
			name_escape(names[i], strlen(names[i]), &name);
		else
			buf_addf(&name, "%zu", i);
		err = add_output(p, fileset_elem(fs, i), buf_str(&name));
		buf_release(&name);
	}
	return err;
}

struct err *
plan_fileset(struct file_plan *p, const struct fileset *fs, const char *const *names, size_t nnames)
{
	struct err *err;

	if (!fileset_is_list(fs))
		err = add_output(p, fs, "");
	else if (fileset_nlist(fs) == 1)
		err = add_output(p, fileset_elem(fs, 0), "");
	else
		err = add_outputs(p, fs, nnames == fileset_nlist(fs) && usable_names(names, nnames) ? names : NULL);
	if (err != NULL)
		plan_release(p);
	return err;
}
