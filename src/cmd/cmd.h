/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_CMD_H
#define WEIR_CMD_CMD_H

#include "cmd/config.h"
#include "cmd/exit.h"
#include "run/id.h"
#include "store/root.h"

/*
 * Subcommands: one file and one row of the table in main.c each. A command's own options are rows too,
 * and land in the static variables that the rows point at: a process runs one command.
 */
struct opt {
	const char  *name;	/* without dashes */
	const char  *meta;	/* placeholder of its value; NULL: a switch */
	bool	    *flag;	/* one of the three: a switch, */
	const char **text;	/* a text, */
	const char  *fixed;	/* or a setting of key to this text */
	enum config_key key;
	const char  *help;
};

struct cmd_env {
	struct config config;
};
struct cmd {
	const char *name, *args;	/* args: what follows the options, for the usage */
	const char *help;		/* a sentence or two */
	unsigned    groups;		/* of configuration: CONFIG_ROOT | CONFIG_EVAL */
	bool	    alone;		/* a program of its own, no subcommand of weir */
	bool	    program;		/* options end at the first argument: the rest is a program's */
	int	    minargs, maxargs;	/* maxargs -1: any number */
	const struct opt *opts;		/* ends with a name of NULL; or NULL */
	int (*run)(struct cmd_env *, int argc, char **argv);	/* gives the exit status */
};

extern const struct cmd cmd_cat, cmd_check, cmd_config, cmd_get, cmd_info, cmd_kill, cmd_logs, cmd_ps, cmd_resume,
    cmd_run, cmd_version;

void cmd_usage(const struct cmd *, struct buf *);
void cmd_print_usage(const struct cmd *);	/* on stdout: it was asked for */
/*
 * Takes options off the arguments and sets them; the rest is given in order, to be freed. help: -help was there.
 * Errors are INVALID sentences, or NOT_SUPPORTED.
 */
must_check struct err *cmd_options(const struct cmd *, struct config *, int argc, char **argv, int *nrest, char ***rest,
    bool *help);

/* The root that the configuration names. create: make it if it is not there. */
must_check struct err *cmd_root(const struct cmd_env *, bool create, struct root *);
/* An existing root, what its journals say, and an id in it. Damage of journals is said on stderr. */
struct lookup {
	struct root   root;
	struct rundb *db;
	struct id     id;
};
must_check struct err *lookup_open(const struct cmd_env *, enum rundb_what, struct lookup *);
must_check struct err *lookup_id(struct lookup *, const char *text);
/* What the records of its run say of the exec that id names. */
must_check struct err *lookup_exec(const struct lookup *, struct rundb **);
struct run_entry *lookup_run(const struct lookup *, const struct digest *);	/* borrows, or NULL */
void lookup_close(struct lookup *);

#endif
