/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/open.h"
#include "cmd/session.h"
#include "cmd/text.h"

/*
 * run: program to graph, graph to run. A Main that needs no exec and no file is printed at once, and
 * nothing is remembered of it: not even a root is made.
 */
static bool json;
static const struct opt opts[] = {
	{ .name = "json", .flag = &json, .help = "print the value as typed JSON" },
	{ .name = "no-cache", .key = CFG_CACHE, .fixed = "off", .help = "the same as --cache off" },
	{ NULL },
};

struct prepared {		/* what a run starts from */
	struct program	*program;
	struct buf	 warnings;	/* not said yet: the first thing said is the run's id */
	struct param_set params;
	char		*dir;
	struct graph	*graph;
	struct value	*main;
};

static void
prepared_release(struct prepared *p)
{
	fputs(buf_str(&p->warnings), stderr);	/* there was no run */
	buf_release(&p->warnings);
	value_unref(p->main);
	graph_free(p->graph);
	param_set_release(&p->params);
	program_free(p->program);
	free(p->dir);
}

/* The program and its parameters. Gives false, with the exit status, when there is nothing to run. */
static bool
prepare(struct prepared *p, int argc, char **argv, int *code)
{
	struct buf text = BUF_INIT;
	bool help = false;

	p->program = open_program(argv[0], &p->warnings, code);
	if (p->program == NULL)
		return false;
	*code = exit_with(STAGE_USAGE, program_parse_args(p->program, argc - 1, argv + 1, &p->params, &help));
	if (help || *code != EXIT_DONE) {
		program_usage(p->program, &text);
		fputs(buf_str(&text), *code == EXIT_DONE ? stdout : stderr);
		buf_release(&text);
		return false;
	}
	if (program_main_type(p->program) == NULL) {
		log_error("%s: module has no Main", argv[0]);
		*code = EXIT_PROGRAM;
		return false;
	}
	return true;
}

static struct err *
make_graph(struct cmd_env *env, struct prepared *p)
{
	struct graph_config config = { .universe = config_text(&env->config, CFG_UNIVERSE) };

	p->dir = getcwd(NULL, 0);
	if (p->dir == NULL)
		return err_errno(errno, "working directory", NULL);
	p->graph = graph_new(&config);
	return program_instantiate(p->program, p->graph, p->dir, &p->params, &p->main);
}

static int
print_immediate(const struct prepared *p)
{
	struct buf text = BUF_INIT, as_json = BUF_INIT, type = BUF_INIT;
	json_t *j = value_json(p->main);
	struct err *err;

	value_print(p->main, program_main_type(p->program), &text);
	json_dump_buf(j, &as_json);
	json_decref(j);
	type_str(program_main_type(p->program), &type);
	err = print_result(buf_str(&text), buf_str(&as_json), buf_str(&type), NULL, json);
	buf_release(&text);
	buf_release(&as_json);
	buf_release(&type);
	return exit_with(STAGE_OTHER, err);
}

static void
first_state(struct session *s, const struct prepared *p, const char *path, const struct digest *bundle,
    struct run_state *out)
{
	const char *alloc = config_text(&s->env->config, CFG_ALLOC);

	state_init(out);
	loop_random(s->loop, &out->ID, sizeof out->ID);
	out->Program = xstrdup(path);
	for (size_t i = 0; i < p->params.n; i++)
		labels_set(&out->Params, p->params.v[i].name, p->params.v[i].text);
	out->nArgs = p->params.nargs;
	out->Args = p->params.nargs == 0 ? NULL : xcalloc(p->params.nargs, sizeof *out->Args);
	for (size_t i = 0; i < p->params.nargs; i++)
		out->Args[i] = xstrdup(p->params.args[i]);
	if (alloc != NULL) {
		out->Phase = PHASE_EVAL;
		out->AllocID = xstrdup(alloc);
	}
	out->Bundle = *bundle;
	out->Dir = xstrdup(p->dir);
	labels_copy(&out->Labels, &s->env->config.labels);
	config_run(&s->env->config, &out->Config);
}

static int
evaluate(struct session *s, struct prepared *p, const char *path)
{
	struct digest bundle;
	struct run_state state;
	struct runner_args a = { .program = p->program, .params = &p->params, .state = &state, .cause = "created" };
	struct err *err = session_bundle(s, p->program, &bundle);

	if (err != NULL)
		return exit_with(STAGE_OTHER, err);
	first_state(s, p, path, &bundle, &state);
	a.graph = p->graph;
	a.main = p->main;
	p->graph = NULL;
	p->main = NULL;
	return session_evaluate(s, &a);
}

static int
run_delayed(struct cmd_env *env, struct prepared *p, const char *path)
{
	struct session s;
	struct root root;
	struct err *err = cmd_root(env, true, &root);
	int code;

	if (err != NULL)
		return exit_with(STAGE_OTHER, err);
	session_open(&s, env, json);
	s.warnings = &p->warnings;
	err = session_control(&s, &root);
	code = err != NULL ? exit_with(STAGE_OTHER, err) : evaluate(&s, p, path);
	session_close(&s);
	root_release(&root);
	return code;
}

static int
run(struct cmd_env *env, int argc, char **argv)
{
	struct prepared p = { .warnings = BUF_INIT };
	int code;

	if (prepare(&p, argc, argv, &code)) {
		code = exit_with(STAGE_EVAL, make_graph(env, &p));
		if (code == EXIT_DONE && value_is_strict(p.main))
			code = print_immediate(&p);
		else if (code == EXIT_DONE)
			code = run_delayed(env, &p, argv[0]);
	}
	prepared_release(&p);
	return code;
}

const struct cmd cmd_run = {
	.name = "run",
	.args = "PROGRAM.rf [-PARAM VALUE]... [ARG]...",
	.help = "Evaluates a program and prints its value.\n"
		"What follows the program are its own parameters; weir run PROGRAM.rf -help lists them.",
	.groups = CONFIG_ROOT | CONFIG_EVAL | CONFIG_HOST,
	.program = true,
	.minargs = 1,
	.maxargs = -1,
	.opts = opts,
	.run = run,
};
