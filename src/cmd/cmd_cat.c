/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <unistd.h>

#include "cmd/subject.h"
#include "store/object.h"

/* cat: bytes of objects on standard output; nothing of one that is damaged. */
static struct err *
cat_one(struct lookup *l, const char *text)
{
	struct file_plan plan;
	struct file f;
	struct err *err = subject_files(l, text, &plan);

	if (err == NULL && !plan_single(&plan, &f))
		err = err_msg(ERR_INVALID, "%s is not a single file but %zu; weir get %s DIR writes them out", text,
		    plan.n, text);
	if (err == NULL)
		err = subject_unreadable(l, object_copy_fd(l->root.objects, &f.id, STDOUT_FILENO, "standard output"));
	plan_release(&plan);
	return err;
}

static int
run(struct cmd_env *env, int argc, char **argv)
{
	struct lookup l;
	struct err *err = lookup_open(env, RUNDB_STATES, &l);

	for (int i = 0; err == NULL && i < argc; i++)
		err = cat_one(&l, argv[i]);
	lookup_close(&l);
	return exit_with(STAGE_OTHER, err);
}

const struct cmd cmd_cat = {
	.name = "cat",
	.args = "ID...",
	.help = "Copies objects, or results that are a single file, to standard output.",
	.groups = CONFIG_ROOT,
	.minargs = 1,
	.maxargs = -1,
	.run = run,
};
