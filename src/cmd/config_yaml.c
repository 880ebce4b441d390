/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/config.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/xalloc.h"

/*
 * Configuration files. One mapping of keys to scalars, and `labels`, which is a mapping itself. What a
 * reader would get wrong: a wrong file ends the command. Ignoring a line that somebody wrote on purpose is
 * how a cache gets lost.
 */
#define FILE_MAX (1u << 20)

struct yaml_file {
	struct config  *c;
	const char     *path;
	yaml_document_t doc;
};

static char *
origin_of(const struct yaml_file *f, const yaml_node_t *n)
{
	return xasprintf("%s:%zu", f->path, n->start_mark.line + 1);
}

static struct err *
yaml_err(const struct yaml_file *f, const yaml_node_t *n, const char *what)
{
	return err_msg(ERR_INVALID, "%s:%zu: %s", f->path, n->start_mark.line + 1, what);
}

static const char *
scalar(const yaml_node_t *n)
{
	const char *text = (const char *)n->data.scalar.value;

	/* A NUL in the middle would hide the rest. */
	return n->type == YAML_SCALAR_NODE && strlen(text) == n->data.scalar.length ? text : NULL;
}

static struct err *
unknown_key(const struct yaml_file *f, const yaml_node_t *n, const char *name)
{
	const char *names[CFG_NKEYS], *near;
	struct err *err;
	char *text;

	for (size_t i = 0; i < CFG_NKEYS; i++)
		names[i] = config_name((enum config_key)i);
	near = nearest_name(name, names, CFG_NKEYS);
	if (near != NULL)
		text = xasprintf("unknown key %s; did you mean %s?", name, near);
	else
		text = xasprintf("unknown key %s; `weir config` lists those there are", name);
	err = yaml_err(f, n, text);
	free(text);
	return err;
}

static struct err *
set_scalar(const struct yaml_file *f, enum config_key k, const yaml_node_t *n, const char *text)
{
	char *origin = origin_of(f, n);
	struct err *err = config_set(f->c, k, text, origin);

	free(origin);
	return err;
}

static struct err *
set_labels(struct yaml_file *f, const yaml_node_t *map)
{
	struct err *err = NULL;

	if (map->type != YAML_MAPPING_NODE)
		return yaml_err(f, map, "labels is a mapping of names to values");
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; err == NULL && p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(&f->doc, p->key);
		const yaml_node_t *value = yaml_document_get_node(&f->doc, p->value);
		const char *name = scalar(key), *text = scalar(value);
		char *label;

		if (name == NULL || text == NULL || strchr(name, '=') != NULL)
			return yaml_err(f, key, "a label is a name, without =, and a text");
		label = xasprintf("%s=%s", name, text);
		err = set_scalar(f, CFG_LABELS, key, label);
		free(label);
	}
	return err;
}

static struct err *
set_pair(struct yaml_file *f, const yaml_node_t *key, const yaml_node_t *value)
{
	const char *name = scalar(key), *text;

	if (name == NULL)
		return yaml_err(f, key, "a key is a name");
	for (size_t i = 0; i < CFG_NKEYS; i++) {
		if (strcmp(config_name((enum config_key)i), name) != 0)
			continue;
		if (i == CFG_LABELS)
			return set_labels(f, value);
		text = scalar(value);
		if (text == NULL)
			return yaml_err(f, key, "the value is no simple text");
		return set_scalar(f, (enum config_key)i, key, text);
	}
	return unknown_key(f, key, name);
}

static struct err *
set_document(struct yaml_file *f)
{
	const yaml_node_t *root = yaml_document_get_root_node(&f->doc);
	struct err *err = NULL;

	if (root == NULL || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
		return NULL;	/* an empty file, or one of comments */
	if (root->type != YAML_MAPPING_NODE)
		return yaml_err(f, root, "the configuration is a mapping of keys to values");
	for (yaml_node_pair_t *p = root->data.mapping.pairs.start; err == NULL && p < root->data.mapping.pairs.top; p++)
		err = set_pair(f, yaml_document_get_node(&f->doc, p->key), yaml_document_get_node(&f->doc, p->value));
	return err;
}

static struct err *
parse(struct yaml_file *f, const struct buf *text)
{
	yaml_parser_t parser;
	struct err *err;

	if (yaml_parser_initialize(&parser) == 0)
		return err_msg(ERR_TEMPORARY, "%s: out of memory", f->path);
	yaml_parser_set_input_string(&parser, (const unsigned char *)buf_str(text), text->len);
	if (yaml_parser_load(&parser, &f->doc) != 0) {
		err = set_document(f);
		yaml_document_delete(&f->doc);
	} else {
		err = err_msg(ERR_INVALID, "%s:%zu: not YAML: %s", f->path, parser.problem_mark.line + 1,
		    parser.problem == NULL ? "unreadable" : parser.problem);
	}
	yaml_parser_delete(&parser);
	return err;
}

struct err *
config_load_file(struct config *c, const char *path)
{
	struct yaml_file f = { .c = c, .path = path };
	struct buf text = BUF_INIT;
	struct err *err = buf_read_file(&text, path, FILE_MAX);

	if (err != NULL && err_is(err, ERR_NOT_EXIST)) {
		err_free(err);
		return NULL;
	}
	if (err == NULL)
		err = parse(&f, &text);
	buf_release(&text);
	return err;
}
