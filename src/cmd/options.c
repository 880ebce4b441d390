/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/*
 * Options: `--opt value`, `--opt=value`, `--switch`, `--switch=false`; one dash does as well. What a command
 * knows is its own rows and the keys of configuration of its groups.
 */
#define WHO(c)	 (c)->alone ? "" : (c)->name, (c)->alone ? "" : ": "	/* for %s%s; alone, the log says who speaks */
#define TYPED(c) (c)->alone ? "" : "weir ", (c)->name			/* for %s%s; as it is typed */

struct found {
	const struct opt *own;		/* or */
	enum config_key	  key;
	bool		  takes_value;
};

static bool
has_key(const struct cmd *c, enum config_key k)
{
	/* What comes later is known wherever a run is configured, so that it can be refused by name. */
	return (c->groups & config_group(k)) != 0 || ((c->groups & CONFIG_EVAL) && config_group(k) == CONFIG_LATE);
}

static bool
find(const struct cmd *c, const char *name, size_t n, struct found *out)
{
	memset(out, 0, sizeof *out);
	for (const struct opt *o = c->opts; o != NULL && o->name != NULL; o++) {
		if (strlen(o->name) == n && strncmp(o->name, name, n) == 0) {
			out->own = o;
			out->takes_value = o->meta != NULL;
			return true;
		}
	}
	for (int k = 0; k < CFG_NKEYS; k++) {
		char *option = config_option((enum config_key)k);
		bool same = strlen(option) == n && strncmp(option, name, n) == 0;

		free(option);
		if (same && has_key(c, (enum config_key)k)) {
			out->key = (enum config_key)k;
			out->takes_value = config_meta(out->key) != NULL;
			return true;
		}
	}
	return false;
}

static struct err *
unknown(const struct cmd *c, const char *name, size_t n)
{
	const char *names[CFG_NKEYS + 32], *near;
	char *option[CFG_NKEYS], *word = xstrndup(name, n);
	size_t count = 0;
	struct err *err;

	for (int k = 0; k < CFG_NKEYS; k++) {
		option[k] = config_option((enum config_key)k);
		if (has_key(c, (enum config_key)k))
			names[count++] = option[k];
	}
	for (const struct opt *o = c->opts; o != NULL && o->name != NULL && count < nitems(names); o++)
		names[count++] = o->name;
	near = nearest_name(word, names, count);
	if (near != NULL)
		err = err_msg(ERR_INVALID, "%s%sunknown option --%s; did you mean --%s?", WHO(c), word, near);
	else
		err = err_msg(ERR_INVALID, "%s%sunknown option --%s; see %s%s -help", WHO(c), word, TYPED(c));
	for (int k = 0; k < CFG_NKEYS; k++)
		free(option[k]);
	free(word);
	return err;
}

static struct err *
set_flag(const struct opt *o, const char *value)
{
	if (value != NULL && strcmp(value, "false") != 0 && strcmp(value, "true") != 0)
		return err_msg(ERR_INVALID, "--%s takes no value but true or false", o->name);
	*o->flag = value == NULL || strcmp(value, "true") == 0;
	return NULL;
}

static struct err *
set(struct config *config, const struct found *f, const char *value)
{
	struct err *err;
	char *option, *origin;

	if (f->own != NULL && f->own->flag != NULL)
		return set_flag(f->own, value);
	if (f->own != NULL && f->own->text != NULL) {
		*f->own->text = value;
		return NULL;
	}
	if (f->own != NULL) {
		origin = xasprintf("--%s", f->own->name);
		err = config_set(config, f->own->key, f->own->fixed, origin);
	} else {
		option = config_option(f->key);
		origin = xasprintf("--%s", option);
		err = config_set(config, f->key, value != NULL ? value : "true", origin);
		free(option);
	}
	free(origin);
	return err;
}

/* One option at argv[*i], which begins with a dash; moves *i to its last word. */
static struct err *
take(const struct cmd *c, struct config *config, int argc, char **argv, int *i, bool *help)
{
	const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1), *value = strchr(name, '=');
	size_t n = value != NULL ? (size_t)(value - name) : strlen(name);
	struct found f;

	if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
		*help = true;
		return NULL;
	}
	if (!find(c, name, n, &f))
		return unknown(c, name, n);
	if (value != NULL)
		value++;
	else if (f.takes_value) {
		if (*i + 1 >= argc)
			return err_msg(ERR_INVALID, "%s%s--%s needs a value", WHO(c), name);
		value = argv[++*i];
	}
	return set(config, &f, value);
}

static struct err *
check_count(const struct cmd *c, int n)
{
	const char *what = n < c->minargs ? "an argument is missing" : "too many arguments";

	if (n >= c->minargs && (c->maxargs < 0 || n <= c->maxargs))
		return NULL;
	return err_msg(ERR_INVALID, "%s%s%s; usage: %s%s %s", WHO(c), what, TYPED(c), c->args);
}

struct err *
cmd_options(const struct cmd *c, struct config *config, int argc, char **argv, int *nrest, char ***rest, bool *help)
{
	char **out = xcalloc((size_t)argc + 1, sizeof *out);
	struct err *err = NULL;
	int n = 0, i;

	*help = false;
	for (i = 0; i < argc && err == NULL && !*help; i++) {
		if (strcmp(argv[i], "--") == 0 && !(c->program && n > 0)) {
			i++;
			break;
		}
		if (argv[i][0] == '-' && argv[i][1] != '\0' && !(c->program && n > 0))
			err = take(c, config, argc, argv, &i, help);
		else
			out[n++] = argv[i];
	}
	while (i < argc)
		out[n++] = argv[i++];
	if (err == NULL && !*help)
		err = check_count(c, n);
	if (err != NULL) {
		free(out);
		return err;
	}
	*nrest = n;
	*rest = out;
	return NULL;
}

static void
usage_row(struct buf *out, const char *name, const char *meta, const char *help)
{
	struct buf left = BUF_INIT;

	buf_addf(&left, "  --%s%s%s", name, meta != NULL ? " " : "", meta != NULL ? meta : "");
	buf_addf(out, "%-30s %s\n", buf_str(&left), help);
	buf_release(&left);
}

void
cmd_usage(const struct cmd *c, struct buf *out)
{
	bool any = c->opts != NULL || c->groups != 0;

	buf_addf(out, "usage: %s%s%s%s%s\n\n%s\n", TYPED(c), any ? " [options]" : "", *c->args != '\0' ? " " : "",
	    c->args, c->help);
	if (any)
		buf_addstr(out, "\noptions:\n");
	for (const struct opt *o = c->opts; o != NULL && o->name != NULL; o++)
		usage_row(out, o->name, o->meta, o->help);
	for (int k = 0; k < CFG_NKEYS; k++) {
		char *option = config_option((enum config_key)k);

		if (c->groups & config_group((enum config_key)k))
			usage_row(out, option, config_meta((enum config_key)k), config_help((enum config_key)k));
		free(option);
	}
}

void
cmd_print_usage(const struct cmd *c)
{
	struct buf text = BUF_INIT;

	cmd_usage(c, &text);
	fputs(buf_str(&text), stdout);
	buf_release(&text);
}
