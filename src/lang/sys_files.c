/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/sys.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/regexp.h"
#include "base/xalloc.h"

/* $/dirs, $/files, $/path and $/test. Paths here are text: nothing looks at a disk. */
#define FN(name)                                                                                                       \
	static struct err *name(struct lower *lo unused_arg, const struct lower_op *op unused_arg,                     \
	    struct value *const *v, size_t nv unused_arg, struct value **out, struct flow **need unused_arg)
#define DATA_MAX (10u << 20)

/* ---- $/dirs ---- */

/* The files of a directory by the one group of a pattern; both arrays have room for all. */
struct grouping {
	const struct fileset_entry *entry;
	char			   *key;
};

static int
by_key(const void *a, const void *b)
{
	const struct grouping *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	return c != 0 ? c : strcmp(x->entry->path, y->entry->path);
}

static struct value *
grouped(struct grouping *g, size_t n)
{
	struct value **k = xcalloc(2 * n + 1, sizeof *k), *map;
	struct fileset_builder *b = NULL;
	size_t groups = 0;

	qsort(g, n, sizeof *g, by_key);
	for (size_t i = 0; i < n; i++) {
		if (b == NULL) {
			b = fileset_builder_new();
			k[groups] = value_str(g[i].key);
		}
		fileset_builder_add(b, g[i].entry->path, &g[i].entry->file);
		if (i + 1 == n || strcmp(g[i].key, g[i + 1].key) != 0) {
			k[n + groups++] = value_dir(fileset_builder_finish(b));
			b = NULL;
		}
	}
	map = value_map(k, k + n, groups);
	free(k);
	return map;
}

FN(groups_fn)
{
	const struct fileset *fs = value_get_dir(v[0]);
	struct grouping *g;
	struct regexp *re;
	struct err *err = sys_regexp_get(lo, op, v[1], &re);
	size_t n = 0, at[4];
	bool found;

	if (err != NULL)
		return err;
	if (regexp_ngroups(re) != 1)
		return lower_err(op->span, "dirs.Groups: regexp %s must have one group, it has %u",
		    value_get_string(v[1], NULL), regexp_ngroups(re));
	g = xcalloc(fileset_nmap(fs) + 1, sizeof *g);
	for (size_t i = 0; i < fileset_nmap(fs) && err == NULL; i++) {
		const char *path = fileset_at(fs, i)->path;

		err = sys_err(op, regexp_find(re, path, strlen(path), 0, at, &found));
		if (err != NULL || !found)
			continue;
		g[n].entry = fileset_at(fs, i);
		g[n++].key = at[2] == SIZE_MAX ? xstrdup("") : xstrndup(path + at[2], at[3] - at[2]);
	}
	if (err == NULL)
		*out = grouped(g, n);
	for (size_t i = 0; i < n; i++)
		free(g[i].key);
	free(g);
	return err;
}

/* A path within a directory: relative, no empty parts, no `.` and `..`. */
static struct err *
add_path(const struct lower_op *op, struct fileset_builder *b, const struct value *path, const struct value *file)
{
	size_t n;
	const char *s = value_get_string(path, &n);
	struct buf quoted = BUF_INIT;
	bool ok = n > 0 && strlen(s) == n;
	struct err *err;

	for (const char *p = s; ok; p += strcspn(p, "/") + 1) {
		size_t k = strcspn(p, "/");

		ok = k > 0 && !(k == 1 && p[0] == '.') && !(k == 2 && p[0] == '.' && p[1] == '.');
		if (p[k] == '\0')
			break;
	}
	if (ok) {
		fileset_builder_add(b, s, value_get_file(file));
		return NULL;
	}
	buf_add_quoted(&quoted, s, n);
	err = lower_err(op->span, "dirs.%s: %s is not a path within a directory", op->detail, buf_str(&quoted));
	buf_release(&quoted);
	return err;
}

FN(make_fn)
{
	bool map = value_kind(v[0]) == VAL_MAP;
	struct fileset_builder *b = fileset_builder_new();
	struct err *err = NULL;

	for (size_t i = 0; i < value_len(v[0]) && err == NULL; i++) {
		const struct value *e = value_at(v[0], i);

		err = map ? add_path(op, b, value_key_at(v[0], i), e) : add_path(op, b, value_at(e, 0), value_at(e, 1));
	}
	if (err == NULL)
		*out = value_dir(fileset_builder_finish(b));
	else
		fileset_builder_free(b);
	return err;
}

FN(sum_fn)
{
	struct fileset_builder *b = fileset_builder_new();

	for (size_t i = 0; i < value_len(v[0]); i++) {
		const struct fileset *fs = value_get_dir(value_at(v[0], i));

		for (size_t k = 0; k < fileset_nmap(fs); k++)
			fileset_builder_add(b, fileset_at(fs, k)->path, &fileset_at(fs, k)->file);
	}
	*out = value_dir(fileset_builder_finish(b));
	return NULL;
}

FN(pick_fn)
{
	const struct fileset *fs = value_get_dir(v[0]);
	const char *glob = value_get_string(v[1], NULL);

	for (size_t i = 0; i < fileset_nmap(fs); i++) {
		const struct fileset_entry *e = fileset_at(fs, i);

		if (fnmatch(glob, e->path, FNM_PATHNAME) == 0) {
			struct value *pair[2] = { value_file(&e->file), value_str(e->path) };

			*out = value_tuple(pair, 2);
			return NULL;
		}
	}
	return lower_err(op->span, "dirs.Pick: no files matched %s", glob);
}

FN(files_fn)
{
	const struct fileset *fs = value_get_dir(v[0]);
	size_t n = fileset_nmap(fs);
	struct value **f = xcalloc(n ? n : 1, sizeof *f);

	for (size_t i = 0; i < n; i++)
		f[i] = value_file(&fileset_at(fs, i)->file);
	*out = value_list(f, n);
	free(f);
	return NULL;
}

static const struct sys_func dirs_funcs[] = {
	{ "$/dirs", "Groups", "func(d dir, regexp string) [string:dir]", OPERAND_TOP, groups_fn },
	{ "$/dirs", "Make", "func(map [string:file]) dir", OPERAND_FORCE, make_fn },
	{ "$/dirs", "FromList", "func(list [(string, file)]) dir", OPERAND_FORCE, make_fn },
	{ "$/dirs", "Sum", "func(parts [dir]) dir", OPERAND_FORCE, sum_fn },
	{ "$/dirs", "Pick", "func(d dir, pattern string) (file, string)", OPERAND_TOP, pick_fn },
	{ "$/dirs", "Files", "func(d dir) [file]", OPERAND_TOP, files_fn },
};
const struct sys_module sys_dirs = { "$/dirs", dirs_funcs, nitems(dirs_funcs) };

/* ---- $/files ---- */

FN(create_fn)
{
	struct src_pos pos = lower_pos(op->span);
	size_t n;
	const char *s = value_get_string(v[0], &n);

	if (n > DATA_MAX)
		return lower_err(op->span, "files.Create: the text has more than %u bytes", DATA_MAX);
	*out = value_flow(flow_data(lo->g, s, n, op->place.ident, &pos));
	return NULL;
}

static const struct sys_func files_funcs[] = {
	{ "$/files", "Create", "func(content string) file", OPERAND_TOP, create_fn },
};
const struct sys_module sys_files = { "$/files", files_funcs, nitems(files_funcs) };

/* ---- $/path ---- */

FN(base_fn)
{
	size_t n, start;
	const char *s = value_get_string(v[0], &n);

	if (n == 0) {
		*out = value_str(".");
		return NULL;
	}
	while (n > 1 && s[n - 1] == '/')
		n--;
	for (start = n; start > 0 && s[start - 1] != '/';)
		start--;
	*out = n == 1 && s[0] == '/' ? value_str("/") : value_string(s + start, n - start);
	return NULL;
}

/* Up to the last slash, which goes unless it is the root; nothing is cleaned: `s3://b/c` is in `s3://b`. */
FN(dir_fn)
{
	size_t n;
	const char *s = value_get_string(v[0], &n);

	while (n > 0 && s[n - 1] != '/')
		n--;
	if (n > 1)
		n--;
	*out = value_string(s, n);
	return NULL;
}

FN(ext_fn)
{
	size_t n, i;
	const char *s = value_get_string(v[0], &n);

	for (i = n; i > 0 && s[i - 1] != '/' && s[i - 1] != '.';)
		i--;
	if (i == 0 || s[i - 1] == '/')
		*out = value_str("");
	else
		*out = value_string(s + i - 1, n - i + 1);
	return NULL;
}

FN(join_fn)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < value_len(v[0]); i++) {
		size_t n;
		const char *s = value_get_string(value_at(v[0], i), &n);

		if (n == 0)
			continue;
		if (b.len > 0)
			buf_addch(&b, '/');
		buf_add(&b, s, n);
	}
	*out = value_string(buf_str(&b), b.len);
	buf_release(&b);
	return NULL;
}

static const struct sys_func path_funcs[] = {
	{ "$/path", "Base", "func(path string) string", OPERAND_TOP, base_fn },
	{ "$/path", "Dir", "func(path string) string", OPERAND_TOP, dir_fn },
	{ "$/path", "Ext", "func(path string) string", OPERAND_TOP, ext_fn },
	{ "$/path", "Join", "func(paths [string]) string", OPERAND_FORCE, join_fn },
};
const struct sys_module sys_path = { "$/path", path_funcs, nitems(path_funcs) };

/* ---- $/test ---- */

static struct err *
failed(const struct lower_op *op, const char *which)
{
	return lower_err(op->span, "failed assertion %s[%s]", op->place.ident, which);
}

FN(assert_fn)
{
	struct buf b = BUF_INIT;
	struct err *err = NULL;

	for (size_t i = 0; i < value_len(v[0]); i++)
		if (!value_get_bool(value_at(v[0], i)))
			buf_addf(&b, "%s%zu", b.len ? " " : "", i);
	if (b.len > 0)
		err = failed(op, buf_str(&b));
	else
		*out = value_unit();
	buf_release(&b);
	return err;
}

FN(all_fn)
{
	for (size_t i = 0; i < value_len(v[0]); i++) {
		if (!value_get_bool(value_at(v[0], i))) {
			char which[32];

			snprintf(which, sizeof which, "%zu", i);
			return failed(op, which);
		}
	}
	*out = value_bool(true);
	return NULL;
}

FN(assert_map_fn)
{
	struct buf b = BUF_INIT;
	struct err *err = NULL;

	for (size_t i = 0; i < value_len(v[0]); i++)
		if (!value_get_bool(value_at(v[0], i)))
			buf_addf(&b, "%s%s", b.len ? ", " : "", value_get_string(value_key_at(v[0], i), NULL));
	if (b.len > 0)
		err = failed(op, buf_str(&b));
	else
		*out = value_bool(true);
	buf_release(&b);
	return err;
}

static const struct sys_func test_funcs[] = {
	{ "$/test", "Assert", "func(tests [bool]) ()", OPERAND_FORCE, assert_fn },
	{ "$/test", "AssertMap", "func(tests [string:bool]) bool", OPERAND_FORCE, assert_map_fn },
	{ "$/test", "All", "func(tests [bool]) bool", OPERAND_FORCE, all_fn },
};
const struct sys_module sys_test = { "$/test", test_funcs, nitems(test_funcs) };
