/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "cmd/text.h"

/* config: what is set, as YAML that could be read back; with --origin, from where. */
static bool origin, json;
static const struct opt opts[] = {
	{ .name = "origin", .flag = &origin, .help = "also where each value comes from" },
	{ .name = "json", .flag = &json, .help = "print one JSON document" },
	{ .name = "no-cache", .key = CFG_CACHE, .fixed = "off", .help = "the same as --cache off" },
	{ NULL },
};

/* Quoted when it could be taken for something else than this text. */
static void
yaml_text(const char *s, struct buf *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+=-";

	if (*s != '\0' && strspn(s, plain) == strlen(s) && *s != '-' && *s != '=')
		buf_addstr(out, s);
	else
		buf_add_quoted(out, s, strlen(s));
}

static void
line(const char *indent, const char *name, const char *text, const char *from, struct buf *out)
{
	buf_addstr(out, indent);
	yaml_text(name, out);
	buf_addstr(out, ": ");
	yaml_text(text, out);
	if (origin)
		buf_addf(out, "\t# %s", from);
	buf_addch(out, '\n');
}

static struct err *
print_yaml(const struct config *c)
{
	struct buf out = BUF_INIT;
	struct err *err;

	for (int i = 0; i < CFG_NKEYS; i++) {
		enum config_key k = (enum config_key)i;

		if (config_text(c, k) != NULL)
			line("", config_name(k), config_text(c, k), config_origin(c, k), &out);
		if (k != CFG_LABELS || c->labels.n == 0)
			continue;
		buf_addstr(&out, "labels:\n");
		for (size_t l = 0; l < c->labels.n; l++)
			line("  ", c->labels.v[l].name, c->labels.v[l].value,
			    labels_get(&c->label_origins, c->labels.v[l].name), &out);
	}
	err = print_out(buf_str(&out), out.len);
	buf_release(&out);
	return err;
}

static json_t *
value_json_of(const char *text, const char *from)
{
	json_t *j = json_object();

	json_object_set_new(j, "value", json_text(text, strlen(text)));
	json_object_set_new(j, "origin", json_text(from, strlen(from)));
	return j;
}

static struct err *
print_document(const struct config *c)
{
	json_t *doc = json_document("weir-config", 1), *values = json_object(), *labels = json_object();

	for (int i = 0; i < CFG_NKEYS; i++) {
		enum config_key k = (enum config_key)i;

		if (config_text(c, k) != NULL)
			json_object_set_new(values, config_name(k),
			    value_json_of(config_text(c, k), config_origin(c, k)));
	}
	for (size_t l = 0; l < c->labels.n; l++)
		json_object_set_new(labels, c->labels.v[l].name,
		    value_json_of(c->labels.v[l].value, labels_get(&c->label_origins, c->labels.v[l].name)));
	json_object_set_new(doc, "values", values);
	json_object_set_new(doc, "labels", labels);
	return print_json(doc);
}

/* The root that stands when none is set is as interesting as one that is. */
static struct err *
show_root(struct cmd_env *env)
{
	struct root root;
	struct err *err;

	if (config_text(&env->config, CFG_ROOT) != NULL)
		return NULL;
	err = cmd_root(env, false, &root);
	if (err != NULL) {	/* there is none yet: nothing to show */
		err_free(err);
		return NULL;
	}
	err = config_set(&env->config, CFG_ROOT, root.path, "default");
	root_release(&root);
	return err;
}

static int
run(struct cmd_env *env, int argc unused_arg, char **argv unused_arg)
{
	struct err *err = show_root(env);

	if (err == NULL)
		err = json ? print_document(&env->config) : print_yaml(&env->config);
	return exit_with(STAGE_OTHER, err);
}

const struct cmd cmd_config = {
	.name = "config",
	.args = "",
	.help = "Prints the configuration; weir-config(5) explains it.",
	.groups = CONFIG_ROOT | CONFIG_EVAL,
	.opts = opts,
	.run = run,
};
