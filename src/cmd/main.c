/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/text.h"

/* The program: configuration, the table of subcommands, and which of them is meant. */
static const struct cmd cmd_help;
static const struct cmd *const commands[] = {
	&cmd_run, &cmd_resume, &cmd_check, &cmd_ps, &cmd_info, &cmd_logs, &cmd_cat, &cmd_get, &cmd_kill, &cmd_config,
	&cmd_help, &cmd_version,
};
/* What may stand before the subcommand. */
static const struct cmd cmd_weir = {
	.name = "weir", .args = "command ...", .help = "", .groups = CONFIG_ROOT, .alone = true, .program = true,
	.maxargs = -1,
};

static void
usage(struct buf *out)
{
	buf_addstr(out, "usage: weir [options] command [options] [arguments]\n\n"
	    "weir runs data flows: graphs of commands over files that are known by their content.\n\ncommands:\n");
	for (size_t i = 0; i < nitems(commands); i++) {
		int n = (int)strcspn(commands[i]->help, "\n");

		buf_addf(out, "  %-8s %.*s\n", commands[i]->name, n, commands[i]->help);
	}
	buf_addstr(out, "\nweir help command explains a command; weir(1) explains all of them.\n");
}

/* Who asks for it reads it on stdout; who did not know what to type, on stderr. */
static int
print_usage(int code)
{
	struct buf b = BUF_INIT;

	usage(&b);
	fputs(buf_str(&b), code == EXIT_DONE ? stdout : stderr);
	buf_release(&b);
	return code;
}

static const struct cmd *
find_command(const char *name)
{
	for (size_t i = 0; i < nitems(commands); i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static int
unknown_command(const char *name)
{
	const char *names[nitems(commands)], *near;

	for (size_t i = 0; i < nitems(commands); i++)
		names[i] = commands[i]->name;
	near = nearest_name(name, names, nitems(commands));
	if (near != NULL)
		log_error("unknown command %s; did you mean %s?", name, near);
	else
		log_error("unknown command %s; weir help lists those there are", name);
	return EXIT_USAGE;
}

static int
help_run(struct cmd_env *env unused_arg, int argc, char **argv)
{
	const struct cmd *c = argc > 0 ? find_command(argv[0]) : NULL;

	if (argc == 0)
		return print_usage(EXIT_DONE);
	if (c == NULL)
		return unknown_command(argv[0]);
	cmd_print_usage(c);
	return EXIT_DONE;
}

static const struct cmd cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.help = "Explains a command, or lists them.",
	.maxargs = 1,
	.run = help_run,
};

static int
run_command(const struct cmd *c, struct cmd_env *env, int argc, char **argv)
{
	char **rest = NULL;
	struct err *err;
	int n, code;
	bool help;

	err = cmd_options(c, &env->config, argc, argv, &n, &rest, &help);
	if (err != NULL)
		return exit_with(STAGE_USAGE, err);
	log_init("weir", config_log(&env->config));
	if (help) {
		cmd_print_usage(c);
		code = EXIT_DONE;
	} else {
		code = c->run(env, n, rest);
	}
	free(rest);
	return code;
}

static int
run_weir(struct cmd_env *env, int argc, char **argv)
{
	const struct cmd *c;
	char **rest = NULL;
	struct err *err;
	int n, code;
	bool help;

	if (argc == 1 && strcmp(argv[0], "--version") == 0)
		return cmd_version.run(env, 0, NULL);
	err = cmd_options(&cmd_weir, &env->config, argc, argv, &n, &rest, &help);
	if (err != NULL)
		return exit_with(STAGE_USAGE, err);
	if (help || n == 0)
		code = print_usage(help ? EXIT_DONE : EXIT_USAGE);
	else if ((c = find_command(rest[0])) == NULL)
		code = unknown_command(rest[0]);
	else
		code = run_command(c, env, n - 1, rest + 1);
	free(rest);
	return code;
}

/* What is opened must never become somebody's standard output. */
static void
hold_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct cmd_env env;
	struct err *err;
	int code;

	hold_standard_fds();
	log_init("weir", LOG_INFO);
	config_init(&env.config);
	err = config_load(&env.config);
	code = err != NULL ? exit_with(STAGE_USAGE, err) : run_weir(&env, argc - 1, argv + 1);
	config_release(&env.config);
	return code;
}
