/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_CONFIG_H
#define WEIR_CMD_CONFIG_H

#include "base/log.h"
#include "base/resources.h"
#include "run/compact.h"
#include "run/state.h"

/*
 * The configuration: for each key its value as text and where it came from. Later settings replace
 * earlier ones, so loading goes from the weakest place to the strongest: /etc/weir/config.yaml,
 * $XDG_CONFIG_HOME/weir/config.yaml, ./.weir.yaml, $WEIR_KEY, options. Texts are checked when they
 * are set, so that the getters cannot fail. Labels are merged by name instead of replaced.
 */
enum config_key {
#define CONFIG_KEY(sym, name, type, dflt, meta, group, help) CFG_##sym,
#include "cmd/config_keys.def"
#undef CONFIG_KEY
	CFG_NKEYS
};
enum config_group { CONFIG_ROOT = 1, CONFIG_EVAL = 2, CONFIG_LATE = 4, CONFIG_HOST = 8 };

struct config_value {
	char *text;	/* NULL: not set. Both owned */
	char *origin;	/* `default`, `--cache`, `$WEIR_CACHE`, `FILE:LINE` */
};
struct config {
	struct config_value v[CFG_NKEYS];
	struct labels	    labels;
	struct labels	    label_origins;	/* by the same names */
};
void config_init(struct config *);	/* defaults */
void config_release(struct config *);

/* Errors are INVALID, or NOT_SUPPORTED for what is not there yet; each names key, value and origin. */
must_check struct err *config_set(struct config *, enum config_key, const char *text, const char *origin);
must_check struct err *config_load_file(struct config *, const char *path);	/* a missing file is fine */
must_check struct err *config_load_env(struct config *, char *const *env);
must_check struct err *config_load(struct config *);	/* all files, then the environment */

const char *config_name(enum config_key);	/* as in files */
char *config_option(enum config_key);		/* gives: as an option, without dashes */
const char *config_meta(enum config_key);	/* placeholder of its value; NULL: a switch */
const char *config_help(enum config_key);
enum config_group config_group(enum config_key);

const char *config_text(const struct config *, enum config_key);	/* borrows; NULL: not set */
const char *config_origin(const struct config *, enum config_key);	/* borrows; NULL: not set */
bool config_bool(const struct config *, enum config_key);
void config_resources(const struct config *, struct resources *out);	/* empty: to be detected */
struct compact_due config_compact(const struct config *);
enum log_level config_log(const struct config *);
void config_run(const struct config *, struct run_config *out);		/* gives its parts */

/* The name of the n names that is nearest to word, or NULL if none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

#endif
