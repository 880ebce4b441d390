/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/subject.h"
#include "cmd/text.h"
#include "store/object.h"

/*
 * logs: what execs wrote. Of one that is over, objects; of one that runs, the files of its newest attempt,
 * with -f until its manifest says that it is over.
 */
#define LOOK_MS 100

static bool only_out, only_err, follow;
static const struct opt opts[] = {
	{ .name = "stdout", .flag = &only_out, .help = "only standard output" },
	{ .name = "stderr", .flag = &only_err, .help = "only standard error" },
	{ .name = "f", .flag = &follow, .help = "follow an exec that runs" },
	{ NULL },
};

struct attempt_log {		/* one stream of an attempt that runs */
	char *path;
	off_t at;
};

static unsigned
newest_attempt(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned newest = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char *end;
		unsigned long n = strtoul(e->d_name, &end, 10);

		if (*end == '\0' && n > newest && n < 1000000)
			newest = (unsigned)n;
	}
	if (d != NULL)
		closedir(d);
	return newest;
}

/* What a stream has grown by. An attempt's folder goes when its end is recorded: then nothing is left to show here. */
static struct err *
print_growth(struct attempt_log *log)
{
	char step[65536];
	int fd = open(log->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct err *err = NULL;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? NULL : err_errno(errno, "open", "%s", log->path);
	while (err == NULL && (n = pread(fd, step, sizeof step, log->at)) > 0) {
		log->at += n;
		err = print_out(step, (size_t)n);
	}
	close(fd);
	return err;
}

static struct err *
print_running(const struct lookup *l, const struct exec_view *x)
{
	char *key = attempt_path(l->root.execs, &x->key, 0), *dir, *manifest;
	unsigned n = newest_attempt(key);
	struct attempt_log out = { NULL, 0 }, errlog = { NULL, 0 };
	struct err *err = NULL;
	bool over;

	dir = attempt_path(l->root.execs, &x->key, n == 0 ? 1 : n);
	manifest = xasprintf("%s/manifest", dir);
	out.path = xasprintf("%s/stdout", dir);
	errlog.path = xasprintf("%s/stderr", dir);
	do {
		over = access(manifest, F_OK) == 0 || access(dir, F_OK) != 0;
		if (!only_err)
			err = print_growth(&out);
		if (err == NULL && !only_out)
			err = print_growth(&errlog);
		if (err == NULL && follow && !over)
			(void)poll(NULL, 0, LOOK_MS);
	} while (err == NULL && follow && !over);
	free(out.path);
	free(errlog.path);
	free(manifest);
	free(dir);
	free(key);
	return err;
}

static struct err *
print_object(const struct lookup *l, const struct digest *d)
{
	return digest_is_zero(d) ? NULL : object_copy_fd(l->root.objects, d, STDOUT_FILENO, "standard output");
}

static struct err *
print_exec(const struct lookup *l, const struct exec_view *x)
{
	struct err *err = NULL;

	if (x->state == VIEW_RUNNING && !digest_is_zero(&x->key))
		return print_running(l, x);
	if (!x->has_result)
		return NULL;
	if (!only_err)
		err = print_object(l, &x->result.out);
	if (err == NULL && !only_out)
		err = print_object(l, &x->result.errlog);
	return err;
}

static struct err *
print_heading(const struct exec_view *x, const char *before)
{
	char id[ID_TEXT] = "exec";
	struct buf b = BUF_INIT;
	struct err *err;

	if (!digest_is_zero(&x->key))
		id_text(ID_EXEC, &x->key, id);
	buf_addf(&b, "%s==> %s %s <==\n", before, x->ident == NULL ? "" : x->ident, id);
	err = print_out(b.p, b.len);
	buf_release(&b);
	return err;
}

static bool
has_log(const struct exec_view *x)
{
	return x->state == VIEW_RUNNING ||
	    (x->has_result && ((!only_err && !digest_is_zero(&x->result.out)) ||
				  (!only_out && !digest_is_zero(&x->result.errlog))));
}

static struct err *
print_run(const struct lookup *l)
{
	struct run_view view;
	struct err *err = view_open(&l->root, &l->id.digest, &view);
	bool first = true;

	for (size_t i = 0; err == NULL && i < view.nexecs; i++) {
		if (!has_log(&view.execs[i]))
			continue;
		err = print_heading(&view.execs[i], first ? "" : "\n");
		first = false;
		if (err == NULL)
			err = print_exec(l, &view.execs[i]);
	}
	view_release(&view);
	return err;
}

static struct err *
print_one(struct lookup *l, const char *text)
{
	const struct exec_view *x;
	struct run_view view;
	struct err *err = lookup_id(l, text);

	if (err != NULL)
		return err;
	if (l->id.kind == ID_RUN)
		return print_run(l);
	if (l->id.kind == ID_OBJ)
		return err_msg(ERR_INVALID, "%s is an object; weir cat %s prints it", text, text);
	err = subject_exec(l, &view, &x);
	if (err == NULL)
		err = print_exec(l, x);
	view_release(&view);
	return err;
}

static int
run(struct cmd_env *env, int argc unused_arg, char **argv)
{
	struct lookup l;
	struct err *err = lookup_open(env, RUNDB_STATES, &l);

	if (only_out && only_err)
		only_out = only_err = false;
	if (err == NULL)
		err = print_one(&l, argv[0]);
	lookup_close(&l);
	return exit_with(STAGE_OTHER, err);
}

const struct cmd cmd_logs = {
	.name = "logs",
	.args = "ID",
	.help = "Prints what an exec, or each exec of a run, wrote to standard output and standard error.",
	.groups = CONFIG_ROOT,
	.minargs = 1,
	.maxargs = 1,
	.opts = opts,
	.run = run,
};
