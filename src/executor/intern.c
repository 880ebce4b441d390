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

#include "base/crash.h"
#include "base/xalloc.h"
#include "executor/host.h"
#include "executor/objects.h"
#include "executor/tree.h"
#include "store/db_client.h"
#include "store/memo.h"

/*
 * intern: a helper of the keeper that identifies local files and directories by their content, outside
 * the slots. The user's files are only read. Links are followed wherever they lead: they are the
 * user's own; a circle of them is an error.
 */
#define INTERN_DEPTH 128
#define INTERN_TRIES 3	/* of a file that changes while it is read */
#define MEMO_WAIT_MS 2000

struct helper {
	const struct keeper_env *env;
	unsigned	  hand;
	struct memo	 *memo;
	struct db_client *db;		/* for what the memo shall learn */
	struct buf	  message;
};

struct place {
	const struct place *up;
	dev_t	 dev;
	ino_t	 ino;
	unsigned depth;
};
struct intern {
	struct helper *helper;
	const struct exec_config *config;
	struct fileset_builder *files;
};

static void
memo_learn(struct helper *h, const struct memo_entry *e)
{
	db_client_put(h->db, DB_MEMO, e->key, sizeof e->key, e->value, sizeof e->value);
}

/* Puts the file into the repository, unless the memo knows it and it is there. */
static struct err *
intern_install(struct intern *in, int fd, const char *path, struct file *f)
{
	const char *objects = in->helper->env->objects;
	struct memo_entry entry;
	struct stat st;
	int64_t begin = host_wall();
	struct err *err;

	if (fstat(fd, &st) != 0)
		return err_errno(errno, "stat", "%s", path);
	f->size = (uint64_t)st.st_size;
	if (memo_lookup(in->helper->memo, &st, &f->id) && objects_have(objects, f))
		return NULL;
	err = objects_import(objects, fd, path, NULL, f);
	if (err == NULL) {
		memo_entry_make(&entry, &st, begin, &f->id);
		memo_learn(in->helper, &entry);
	}
	return err;
}

static struct err *
intern_hash(struct intern *in, int fd, const char *path, struct file *f)
{
	struct memo_entry entry;
	struct err *err;
	bool fresh;

	if (lseek(fd, 0, SEEK_SET) != 0)
		return err_errno(errno, "seek", "%s", path);
	err = memo_digest_fd(in->helper->memo, fd, path, &f->id, &f->size, &fresh, &entry);
	if (err == NULL && fresh)
		memo_learn(in->helper, &entry);
	return err;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	    a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* One look at the open file; *steady: it did not change meanwhile. */
static struct err *
intern_look(struct intern *in, int fd, const char *path, struct file *f, bool *steady)
{
	struct stat before, after;
	struct err *err;

	*steady = false;
	if (fstat(fd, &before) != 0)
		return err_errno(errno, "stat", "%s", path);
	err = in->config->install ? intern_install(in, fd, path, f) : intern_hash(in, fd, path, f);
	if (err != NULL && err_is(err, ERR_TEMPORARY) && fstat(fd, &after) == 0 && !same_file(&before, &after)) {
		err_free(err);
		return NULL;
	}
	if (err == NULL && fstat(fd, &after) != 0)
		err = err_errno(errno, "stat", "%s", path);
	*steady = err == NULL && same_file(&before, &after);
	return err;
}

static struct err *
intern_file(struct intern *in, const char *path, const char *name)
{
	struct err *err = NULL;
	struct file f;
	bool steady = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_errno(errno, "open", "%s", path);
	for (unsigned i = 0; i < INTERN_TRIES && err == NULL && !steady; i++)
		err = intern_look(in, fd, path, &f, &steady);
	close(fd);
	if (err == NULL && !steady)
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
		if (!name_is_text(e->d_name)) {
			err = err_msg(ERR_INVALID, "open %s: it holds a name that is not UTF-8", path);
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
intern_run(struct helper *h, const struct request *req)
{
	struct intern in = { .helper = h, .config = &req->config };
	struct report taken = { .kind = REPORT_TAKEN, .id = req->from.id, .key = req->config.key,
		.state = ATTEMPT_RUNNING };
	struct exec_result r = { .state = ATTEMPT_OK, .status = -1, .host = xstrdup(h->env->host),
		.owner = req->config.claim.run };
	int64_t begin = host_mono();

	keeper_report(h->env, &req->from, &taken, NULL, 0, -1);
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
	crash_point("keeper-interned");
	keeper_report_over(h->env, &req->from, 1, &req->config.key, &r, -1);
	ledger_hold(h->env->ledger, h->hand, NULL);
	exec_result_release(&r);
	/* Only now: what the memo could not learn costs one more reading, and nobody waits for it. */
	err_free(db_client_flush(h->db, MEMO_WAIT_MS));
}

static void
intern_take(struct helper *h)
{
	struct request req;
	struct err *err;

	err = request_decode(h->message.p, h->message.len, &req);
	ledger_hold(h->env->ledger, h->hand, &req.from);
	if (err == NULL && req.config.type != EXEC_INTERN)
		err = err_msg(ERR_INVALID, "bad request: this socket takes interns");
	if (err != NULL)
		keeper_refuse(h->env, &req.from, err);
	else
		intern_run(h, &req);
	ledger_hold(h->env->ledger, h->hand, NULL);
	request_release(&req);
}

void
intern_main(const struct keeper_env *env, unsigned hand)
{
	struct helper h = { .env = env, .hand = hand };
	int passed;

	keeper_child_init(env);
	h.memo = memo_open(env->db);
	h.db = db_client_new(".");
	for (;;) {
		if (sock_recv(env->aux, &h.message, &passed) != SOCK_MESSAGE)
			continue;
		if (passed >= 0)
			close(passed);
		if (h.message.len > 0)
			intern_take(&h);
	}
}
