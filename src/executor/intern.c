/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "executor/host.h"
#include "executor/objects.h"

/*
 * intern: a helper of the keeper that identifies local files and directories by their content, outside
 * the slots. The user's files are only read. Links are followed wherever they lead: they are the
 * user's own; a circle of them is an error.
 */
#define INTERN_DEPTH 128
#define INTERN_TRIES 3	/* a file that changes while it is read */

struct place {
	const struct place *up;
	dev_t	 dev;
	ino_t	 ino;
	unsigned depth;
};
struct intern {
	const struct keeper_env *env;
	const struct exec_config *config;
	struct fileset_builder *files;
};

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct err *
intern_bytes(struct intern *in, int fd, const char *path, struct file *f)
{
	if (in->config->install)
		return objects_import(in->env->objects, fd, path, NULL, f);
	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "seek", "%s", path);
	return sha256_fd(fd, path, &f->id, &f->size);
}

static struct err *
intern_file(struct intern *in, const char *path, const char *name)
{
	struct stat before, after;
	struct err *err = NULL;
	struct file f;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_errno(errno, "open", "%s", path);
	for (unsigned i = 0; i < INTERN_TRIES; i++) {
		if (fstat(fd, &before) != 0)
			err = err_errno(errno, "stat", "%s", path);
		if (err == NULL)
			err = intern_bytes(in, fd, path, &f);
		if (err == NULL && fstat(fd, &after) != 0)
			err = err_errno(errno, "stat", "%s", path);
		if (err != NULL || same_file(&before, &after))
			break;
	}
	close(fd);
	if (err == NULL && !same_file(&before, &after))
		err = err_msg(ERR_TEMPORARY, "input changed meanwhile: %s", path);
	if (err == NULL)
		fileset_builder_add(in->files, name, &f);
	return err;
}

static struct err *
not_a_file(const char *path, const struct stat *st)
{
	const char *what = S_ISFIFO(st->st_mode) ? "a FIFO"
	    : S_ISSOCK(st->st_mode)		 ? "a socket"
	    : S_ISDIR(st->st_mode)		 ? "a directory, not a file"
	    : S_ISREG(st->st_mode)		 ? "a file, not a directory"
						 : "a device";

	return err_msg(ERR_INVALID, "open %s: it is %s", path, what);
}

static struct err *intern_any(struct intern *, const char *path, const char *name, const struct place *);

static struct err *
intern_dir(struct intern *in, const char *path, const char *name, const struct stat *st, const struct place *up)
{
	struct place self = { up, st->st_dev, st->st_ino, up != NULL ? up->depth + 1 : 0 };
	char below[PATH_MAX], sub[PATH_MAX];
	struct err *err = NULL;
	struct dirent *e;
	DIR *d;

	for (; up != NULL; up = up->up) {
		if (up->dev == self.dev && up->ino == self.ino)
			return err_msg(ERR_INVALID, "open %s: it is a link to a directory that holds it", path);
	}
	if (self.depth > INTERN_DEPTH)
		return err_msg(ERR_INVALID, "open %s: it is nested too deeply", path);
	d = opendir(path);
	if (d == NULL)
		return err_errno(errno, "open", "%s", path);
	while (err == NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if ((size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below) {
			err = err_msg(ERR_INVALID, "open %s: it holds a path that is too long", path);
			break;
		}
		snprintf(sub, sizeof sub, "%s%s%s", name, name[0] != '\0' ? "/" : "", e->d_name);
		err = intern_any(in, below, sub, &self);
	}
	closedir(d);
	return err;
}

/* name is empty for what was asked for itself. */
static struct err *
intern_any(struct intern *in, const char *path, const char *name, const struct place *up)
{
	bool top = name[0] == '\0';
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == ENOENT || errno == ENOTDIR ? err_new(ERR_NOT_EXIST, "open", "%s", path)
							   : err_errno(errno, "open", "%s", path);
	if (S_ISREG(st.st_mode) && (!top || !in->config->dir))
		return intern_file(in, path, top ? "." : name);
	if (S_ISDIR(st.st_mode) && (!top || in->config->dir))
		return intern_dir(in, path, name, &st, up);
	return not_a_file(path, &st);
}

static void
intern_run(const struct keeper_env *env, const struct request *req)
{
	struct intern in = { .env = env, .config = &req->config };
	struct report taken = { .kind = REPORT_TAKEN, .id = req->from.id, .key = req->config.key,
		.state = ATTEMPT_RUNNING };
	struct exec_result r = { .state = ATTEMPT_OK, .status = -1, .host = xstrdup(env->host) };
	int64_t begin = host_mono();

	keeper_report(env, &req->from, &taken, NULL, 0, -1);
	r.usage.queued = r.usage.started = host_wall();
	in.files = fileset_builder_new();
	r.err = intern_any(&in, req->config.url, "", NULL);
	if (r.err == NULL) {
		r.fileset = fileset_builder_finish(in.files);
	} else {
		fileset_builder_free(in.files);
		r.state = ATTEMPT_FAILED;
	}
	r.usage.ended = host_wall();
	r.usage.wall_ns = host_mono() - begin;
	keeper_report_over(env, &req->from, 1, &req->config.key, &r, -1);
	exec_result_release(&r);
}

void
intern_main(const struct keeper_env *env)
{
	struct buf message = BUF_INIT;
	struct request req;
	struct err *err;
	int passed;

	keeper_child_init(env);
	for (;;) {
		if (sock_recv(env->aux, &message, &passed) != SOCK_MESSAGE)
			continue;
		if (passed >= 0)
			close(passed);
		if (message.len == 0)
			continue;
		err = request_decode(message.p, message.len, &req);
		if (err == NULL && req.config.type != EXEC_INTERN)
			err = err_msg(ERR_INVALID, "bad request: this socket takes interns");
		if (err != NULL)
			keeper_refuse(env, &req.from, err);
		else
			intern_run(env, &req);
		request_release(&req);
	}
}
