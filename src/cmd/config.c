/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/regexp.h"
#include "base/xalloc.h"
#include "cmd/text.h"

/*
 * What can be set, from where, and what a text may be. What a reader would get wrong: a key keeps its
 * text, not its meaning; config_set has proved that the meaning is there, and the getters rely on it.
 */
enum config_type {
	TYPE_TEXT_, TYPE_PATH_, TYPE_BOOL_, TYPE_TIME_, TYPE_RE_, TYPE_CACHE_, TYPE_CLUSTER_, TYPE_EVAL_,
	TYPE_RESOURCES_, TYPE_COMPACT_, TYPE_LOG_, TYPE_LABELS_, TYPE_LATER_, TYPE_LATER_BOOL_,
};
static const struct key {
	const char	 *name;
	enum config_type  type;
	const char	 *dflt, *meta, *help;
	enum config_group group;
} keys[CFG_NKEYS] = {
#define CONFIG_KEY(sym, name, type, dflt, meta, group, help) { name, TYPE_##type##_, dflt, meta, help, CONFIG_##group },
#include "cmd/config_keys.def"
#undef CONFIG_KEY
};

static const char *const cache_modes[] = { "off", "read", "write", "read+write" };
static const char *const log_levels[] = { "off", "error", "info", "debug" };
static const char *const orders[] = { "topdown", "bottomup" };

const char *
config_name(enum config_key k)
{
	return keys[k].name;
}

char *
config_option(enum config_key k)
{
	char *s = xstrdup(k == CFG_LABELS ? "label" : keys[k].name);

	for (char *p = s; *p != '\0'; p++) {
		if (*p == '_')
			*p = '-';
	}
	return s;
}

const char *
config_meta(enum config_key k)
{
	return keys[k].meta;
}

const char *
config_help(enum config_key k)
{
	return keys[k].help;
}

enum config_group
config_group(enum config_key k)
{
	return keys[k].group;
}

/* Nearest names. */

static size_t
min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits that make one word of the other, of words that are short. */
#define WORD_MAX 40
static size_t
edit_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), row[WORD_MAX + 1];

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[nb];
}

const char *
nearest_name(const char *word, const char *const *names, size_t n)
{
	size_t best = strlen(word) / 3 + 2;	/* farther than this is no likeness */
	const char *name = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = edit_distance(word, names[i]);

		if (d < best) {
			best = d;
			name = names[i];
		}
	}
	return name;
}

/* What texts may be. */

static bool
name_index(const char *const *names, size_t n, const char *text, size_t *out)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], text) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static struct err *
check_name(const char *const *names, size_t n, const char *text)
{
	struct buf b = BUF_INIT;
	struct err *err;
	size_t i;

	if (name_index(names, n, text, &i))
		return NULL;
	for (i = 0; i < n; i++)
		buf_addf(&b, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
	err = err_msg(ERR_INVALID, "%s is none of %s", text, buf_str(&b));
	buf_release(&b);
	return err;
}

static bool
bool_parse(const char *text, bool *out)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
	size_t i;

	if (!name_index(words, nitems(words), text, &i))
		return false;
	*out = i % 2 == 1;
	return true;
}

/* A pattern that cannot be compiled is better known now than after an allocation. */
static struct err *
check_re(const char *text)
{
	struct regexp *re = NULL;
	struct err *err = regexp_compile(text, &re);

	regexp_free(re);
	return err;
}

static struct err *
check_cluster(const char *text)
{
	static const char *const later[] = { "static", "slurm" };
	size_t n = strcspn(text, ",");

	for (size_t i = 0; i < nitems(later); i++) {
		if (strlen(later[i]) == n && strncmp(later[i], text, n) == 0)
			return err_msg(ERR_NOT_SUPPORTED, "%s is not supported yet; local is", text);
	}
	return strcmp(text, "local") == 0 ? NULL : err_msg(ERR_INVALID, "%s is no cluster; local is", text);
}

/* Of a whole host: without any processor or memory nothing could ever run. */
static struct err *
check_total(const struct resources *r)
{
	if (((r->present & RES_CPU) != 0 && r->cpu <= 0) || ((r->present & RES_MEM) != 0 && r->mem <= 0))
		return err_msg(ERR_INVALID, "cpu and mem must be more than 0: nothing could run");
	return NULL;
}

static bool
compact_parse(const char *text, struct compact_due *out)
{
	struct err *err = NULL;
	double bytes = 0;

	*out = (struct compact_due){ 0, 0 };
	if (strcmp(text, "off") == 0)
		return true;
	if (strcmp(text, "auto") == 0) {
		*out = COMPACT_AUTO;
		return true;
	}
	err = size_parse(text, &bytes);
	if (err == NULL && bytes >= 1 && bytes < 1e18) {
		out->bytes = (uint64_t)bytes;
		return true;
	}
	err_free(err);
	return false;
}

static struct err *
check_text(const struct key *k, const char *text)
{
	struct resources r = RESOURCES_INIT;
	struct compact_due due;
	struct err *err;
	int64_t ns;
	bool b;

	switch (k->type) {
	case TYPE_BOOL_:
		return bool_parse(text, &b) ? NULL : err_msg(ERR_INVALID, "%s is neither true nor false", text);
	case TYPE_TIME_:
		if (duration_parse(text, &ns))
			return NULL;
		return err_msg(ERR_INVALID, "%s is no time; write 90s, 20m or 1h30m", text);
	case TYPE_RE_:
		return check_re(text);
	case TYPE_CACHE_:
		return check_name(cache_modes, nitems(cache_modes), text);
	case TYPE_COMPACT_:
		return compact_parse(text, &due) ? NULL :
		    err_msg(ERR_INVALID, "%s is none of auto, off or a size such as 64MiB", text);
	case TYPE_LOG_:
		return check_name(log_levels, nitems(log_levels), text);
	case TYPE_EVAL_:
		return check_name(orders, nitems(orders), text);
	case TYPE_CLUSTER_:
		return check_cluster(text);
	case TYPE_RESOURCES_:
		err = resources_parse(&r, text);
		if (err == NULL)
			err = check_total(&r);
		resources_release(&r);
		return err;
	case TYPE_PATH_:
		return *text != '\0' ? NULL : err_msg(ERR_INVALID, "the path is empty");
	case TYPE_LATER_:
	case TYPE_LATER_BOOL_:
		return err_msg(ERR_NOT_SUPPORTED, "not supported yet");
	case TYPE_TEXT_:
	case TYPE_LABELS_:
		break;
	}
	return NULL;
}

/* Setting. */

static struct err *
set_error(struct err *cause, enum config_key k, const char *origin)	/* takes cause */
{
	char *why = err_str(cause);
	struct err *err = err_msg(err_kind(cause), "%s (%s): %s", keys[k].name, origin, why);

	free(why);
	err_free(cause);
	return err;
}

static struct err *
set_label(struct config *c, const char *text, const char *origin)
{
	const char *eq = strchr(text, '=');
	char *name;

	if (eq == NULL || eq == text)
		return err_msg(ERR_INVALID, "%s is no label; write NAME=VALUE", text);
	name = xstrndup(text, (size_t)(eq - text));
	labels_set(&c->labels, name, eq + 1);
	labels_set(&c->label_origins, name, origin);
	free(name);
	return NULL;
}

struct err *
config_set(struct config *c, enum config_key k, const char *text, const char *origin)
{
	struct config_value *v = &c->v[k];
	struct err *err;
	char *copy;

	err = k == CFG_LABELS ? set_label(c, text, origin) : check_text(&keys[k], text);
	if (err != NULL)
		return set_error(err, k, origin);
	if (k == CFG_LABELS)
		return NULL;
	copy = xstrdup(text);
	free(v->text);
	v->text = copy;
	free(v->origin);
	v->origin = xstrdup(origin);
	return NULL;
}

void
config_init(struct config *c)
{
	memset(c, 0, sizeof *c);
	for (size_t i = 0; i < CFG_NKEYS; i++) {
		if (keys[i].dflt == NULL)
			continue;
		c->v[i].text = xstrdup(keys[i].dflt);
		c->v[i].origin = xstrdup("default");
	}
}

void
config_release(struct config *c)
{
	for (size_t i = 0; i < CFG_NKEYS; i++) {
		free(c->v[i].text);
		free(c->v[i].origin);
	}
	labels_release(&c->labels);
	labels_release(&c->label_origins);
	memset(c, 0, sizeof *c);
}

/* Loading. */

/* $WEIR_LABELS is a list, `a=1,b=2`. */
static struct err *
env_labels(struct config *c, const char *text, const char *origin)
{
	char *copy = xstrdup(text), *rest = copy, *part;
	struct err *err = NULL;

	while (err == NULL && (part = strsep(&rest, ",")) != NULL) {
		if (*part != '\0')
			err = config_set(c, CFG_LABELS, part, origin);
	}
	free(copy);
	return err;
}

static char *
env_name(const char *key)
{
	char *s = xasprintf("WEIR_%s", key);

	for (char *p = s; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	return s;
}

static struct err *
env_set(struct config *c, const char *variable)
{
	const char *eq = strchr(variable, '=');
	struct err *err = NULL;

	for (size_t i = 0; err == NULL && i < CFG_NKEYS; i++) {
		char *name = env_name(keys[i].name);
		size_t n = strlen(name);

		if ((size_t)(eq - variable) == n && strncmp(variable, name, n) == 0 && eq[1] != '\0') {
			char *origin = xasprintf("$%s", name);

			err = i == CFG_LABELS ? env_labels(c, eq + 1, origin) :
						config_set(c, (enum config_key)i, eq + 1, origin);
			free(origin);
		}
		free(name);
	}
	return err;
}

/* Of variables that are no key nothing is said: helper programs and tests have theirs. An empty one is unset. */
struct err *
config_load_env(struct config *c, char *const *env)
{
	struct err *err = NULL;

	for (; err == NULL && *env != NULL; env++) {
		if (strncmp(*env, "WEIR_", 5) == 0 && strchr(*env, '=') != NULL)
			err = env_set(c, *env);
	}
	return err;
}

struct err *
config_load(struct config *c)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct err *err = config_load_file(c, "/etc/weir/config.yaml");
	char *path = NULL;

	if (err != NULL)
		return err;
	if (xdg != NULL && *xdg == '/')		/* the XDG specification: relative paths are to be ignored */
		path = xasprintf("%s/weir/config.yaml", xdg);
	else if (home != NULL && *home != '\0')
		path = xasprintf("%s/.config/weir/config.yaml", home);
	if (path != NULL)
		err = config_load_file(c, path);
	free(path);
	if (err == NULL)
		err = config_load_file(c, ".weir.yaml");
	if (err == NULL)
		err = config_load_env(c, environ);
	return err;
}

/* Getters. */

const char *
config_text(const struct config *c, enum config_key k)
{
	return c->v[k].text;
}

const char *
config_origin(const struct config *c, enum config_key k)
{
	return c->v[k].origin;
}

bool
config_bool(const struct config *c, enum config_key k)
{
	bool b = false;

	return c->v[k].text != NULL && bool_parse(c->v[k].text, &b) && b;
}

void
config_resources(const struct config *c, struct resources *out)
{
	struct err *err = NULL;

	resources_release(out);
	if (c->v[CFG_RESOURCES].text != NULL)
		err = resources_parse(out, c->v[CFG_RESOURCES].text);
	err_free(err);	/* it was checked when it was set */
}

static size_t
get_name(const struct config *c, enum config_key k, const char *const *names, size_t n)
{
	size_t i = 0;

	(void)name_index(names, n, c->v[k].text, &i);
	return i;
}

struct compact_due
config_compact(const struct config *c)
{
	struct compact_due due;

	(void)compact_parse(c->v[CFG_COMPACT].text, &due);
	return due;
}

enum log_level
config_log(const struct config *c)
{
	return (enum log_level)get_name(c, CFG_LOG, log_levels, nitems(log_levels));
}

static char *
dup_text(const struct config *c, enum config_key k)
{
	return c->v[k].text == NULL ? NULL : xstrdup(c->v[k].text);
}

void
config_run(const struct config *c, struct run_config *out)
{
	*out = (struct run_config)RUN_CONFIG_INIT;
	out->cache = (enum cache_mode)get_name(c, CFG_CACHE, cache_modes, nitems(cache_modes));
	out->bottomup = get_name(c, CFG_EVAL, orders, nitems(orders)) == 1;
	out->no_cache_extern = config_bool(c, CFG_NO_CACHE_EXTERN);
	out->recompute_empty = config_bool(c, CFG_RECOMPUTE_EMPTY);
	out->fail_fast = config_bool(c, CFG_FAIL_FAST);
	out->invalidate = dup_text(c, CFG_INVALIDATE);
	(void)duration_parse(c->v[CFG_CACHE_LOOKUP_TIMEOUT].text, &out->lookup_timeout);
	(void)duration_parse(c->v[CFG_RETAIN].text, &out->retain);
	out->universe = dup_text(c, CFG_UNIVERSE);
	out->cluster = dup_text(c, CFG_CLUSTER);
	out->cluster_aux = dup_text(c, CFG_CLUSTER_AUX);
}
