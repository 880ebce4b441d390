/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include "cmd/subject.h"

/* get: the files of a result, below a folder. */
static bool force;
static const struct opt opts[] = {
	{ .name = "force", .flag = &force, .help = "replace files that have other content" },
	{ NULL },
};

static int
run(struct cmd_env *env, int argc unused_arg, char **argv)
{
	struct lookup l;
	struct file_plan plan = { NULL, 0 };
	size_t written, same;
	struct err *err = lookup_open(env, RUNDB_STATES, &l);

	if (err == NULL)
		err = subject_files(&l, argv[0], &plan);
	if (err == NULL && plan.n == 0)
		err = err_msg(ERR_PRECONDITION, "%s: its result holds no files", argv[0]);
	if (err == NULL)
		err = subject_unreadable(&l, plan_write(&plan, l.root.objects, argv[1], force, &written, &same));
	if (err == NULL && same > 0)
		log_info("%zu file%s written to %s, %zu there before", written, written == 1 ? "" : "s", argv[1], same);
	else if (err == NULL)
		log_info("%zu file%s written to %s", written, written == 1 ? "" : "s", argv[1]);
	plan_release(&plan);
	lookup_close(&l);
	return exit_with(STAGE_OTHER, err);
}

const struct cmd cmd_get = {
	.name = "get",
	.args = "ID DIR",
	.help = "Writes the files of a result below DIR.\n"
		"Fields of a struct keep their names, elements of lists and tuples are numbered, entries of a map are\n"
		"named by their keys, a dir is its tree, and a single file is `result`.",
	.groups = CONFIG_ROOT,
	.minargs = 2,
	.maxargs = 2,
	.opts = opts,
	.run = run,
};
