/* SPDX-License-Identifier: Apache-2.0 */
#include "run/controller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/helper.h"
#include "base/xalloc.h"
#include "cluster/cluster_local.h"
#include "executor/executor_local.h"
#include "executor/host.h"
#include "executor/keeper_client.h"
#include "executor/ledger.h"
#include "pool/pool_local.h"
#include "run/compact.h"
#include "run/rebuild.h"
#include "run/runner.h"
#include "run/sizes.h"
#include "store/assoc_lmdb.h"
#include "store/repo_file.h"
#include "store/sock.h"

/*
 * Puts the rooms together. What a reader would get wrong: the order. The keeper comes before the pool
 * (its ledger says what the host has), the journal before any run; closing goes the other way, so
 * that what is still acknowledged finds its owner.
 */
struct controller_inbox {		/* a datagram socket in keeper/, for messages such as `kill` */
	struct io io;
	int	  fd;
	char	 *name;
};

static void
make_id(struct controller *c)
{
	uint32_t r;
	uint64_t ms = (uint64_t)(loop_wall(c->loop) / 1000000);

	loop_random(c->loop, &r, sizeof r);
	snprintf(c->id, sizeof c->id, "%012llx%08x", (unsigned long long)(ms & 0xffffffffffff), r);
}

/* The one line of a small file of the kernel's. Gives. */
static char *
read_line(const char *path)
{
	struct buf b = BUF_INIT;
	struct err *err = buf_read_file(&b, path, 4096);

	err_free(err);
	while (b.len > 0 && b.p[b.len - 1] == '\n')
		b.p[--b.len] = '\0';
	return b.len > 0 ? buf_take(&b, NULL) : xstrdup("");
}

static void
controller_header_cb(struct buf *out, uint64_t first_seq, void *arg)
{
	struct controller *c = arg;
	char *host = read_line("/proc/sys/kernel/hostname"), *boot = read_line("/proc/sys/kernel/random/boot_id");

	record_header(out, first_seq, loop_wall(c->loop), c->id, host, boot);
	free(host);
	free(boot);
}

static struct err *
open_journal(struct controller *c)
{
	char *dir = xasprintf("%s/%s", c->root.journal, c->id), *program = helper_path("weir-journal");
	struct err *err = journal_open(c->loop, dir, program, controller_header_cb, c, &c->journal);

	free(dir);
	free(program);
	return err;
}

/* `kill <64 hex>`: ends a run as a first ^C would. Whoever can write here owns the root. */
static void
inbox_message(struct controller *c, const char *text, size_t n)
{
	struct digest run;
	struct err *err;

	if (n != 5 + DIGEST_HEX || memcmp(text, "kill ", 5) != 0)
		return;
	err = digest_parse(text + 5, DIGEST_HEX, &run);
	for (struct runner *r = c->runners.first; err == NULL && r != NULL; r = runner_next(r)) {
		if (digest_equal(runner_id(r), &run))
			runner_interrupt(r, "killed by `weir kill`");
	}
	err_free(err);
}

static void
inbox_read_cb(int what unused_arg, void *arg)
{
	struct controller *c = arg;
	char text[256];
	ssize_t n;

	while ((n = recv(c->inbox->fd, text, sizeof text, MSG_DONTWAIT)) > 0)
		inbox_message(c, text, (size_t)n);
}

static struct err *
open_inbox(struct controller *c)
{
	struct controller_inbox *in = xcalloc(1, sizeof *in);
	struct err *err;

	in->fd = -1;
	in->name = xasprintf("inbox-%s", c->id);
	c->inbox = in;
	err = unix_bind(c->root.keeper, in->name, SOCK_DGRAM, &in->fd);
	if (err != NULL)
		return err;
	io_init(&in->io, c->loop, in->fd, "controller_inbox", inbox_read_cb, c);
	io_want(&in->io, IO_READ);
	return NULL;
}

static void
close_inbox(struct controller *c)
{
	struct controller_inbox *in = c->inbox;
	char *path;

	if (in == NULL)
		return;
	io_clear(&in->io);
	if (in->fd >= 0)
		close(in->fd);
	path = xasprintf("%s/%s", c->root.keeper, in->name);
	(void)unlink(path);
	free(path);
	free(in->name);
	free(in);
	c->inbox = NULL;
}

struct err *
controller_send_kill(const struct root *root, const char *controller, const struct digest *run)
{
	char *name = xasprintf("inbox-%s", controller), text[5 + DIGEST_HEX + 1];
	struct err *err;
	int fd = -1;

	memcpy(text, "kill ", 5);
	digest_hex(run, text + 5);
	err = unix_connect(root->keeper, name, SOCK_DGRAM, true, &fd);
	if (err == NULL && send(fd, text, sizeof text - 1, MSG_NOSIGNAL) < 0)
		err = err_errno(errno, "kill", "controller %s", controller);
	if (fd >= 0)
		close(fd);
	free(name);
	return err;
}

/* The databases' writer is a child of the keeper. */
static void
controller_down_cb(void *arg)
{
	struct controller *c = arg;

	keeper_client_wake(c->keeper);
}

static struct err *
open_cluster(struct controller *c, const struct controller_config *config)
{
	struct resources total = RESOURCES_INIT;
	const char *name = config->cluster != NULL ? config->cluster : "local";
	struct err *err;

	if (strcmp(name, "local") != 0)
		return err_msg(ERR_NOT_SUPPORTED, "cluster %s: this version of weir has the cluster local only", name);
	err = ledger_totals(c->root.keeper, &total);
	if (err != NULL)
		return err;
	resources_override(&total, &config->resources);
	c->pool = pool_local_new(c->loop, c->executor, &total);
	c->cluster = cluster_local_new(c->loop, c->pool);
	resources_release(&total);
	return NULL;
}

/* A cache that cannot be filled again costs time and nothing else: the run goes on, and the next one tries. */
static void
fill_assoc(struct controller *c)
{
	struct err *err;
	size_t results;
	char *text;

	if (!rebuild_wanted(&c->root, c->id))
		return;
	err = rebuild(c->loop, &c->root, c->id, c->assoc, c->sizes, &results);
	text = err == NULL ? NULL : err_str(err);
	if (err != NULL)
		log_error("cache: it could not be rebuilt from the journals: %s", text);
	else if (results > 0)
		log_info("cache: rebuilt from the journals, %zu entries", results);
	free(text);
	err_free(err);
}

struct err *
controller_open(struct loop *loop, const struct controller_config *config, struct controller **out)
{
	struct controller *c = xcalloc(1, sizeof *c);
	struct keeper_options options = { .scratch = config->scratch, .resources = config->resources };
	struct err *err;

	c->loop = loop;
	make_id(c);
	if ((err = helper_check("weir-journal")) != NULL || (err = helper_check("weir-keeper")) != NULL)
		goto out;
	c->compact = config->compact;
	if ((err = root_open(config->root, config->scratch, true, &c->root)) != NULL)
		goto out;
	if ((err = open_journal(c)) != NULL || (err = open_inbox(c)) != NULL)
		goto out;
	c->keeper = keeper_client_new(loop, &c->root, &options);
	c->repo = repo_file_new(loop, c->root.objects, "local");
	c->executor = executor_local_new(c->keeper, c->repo);
	if ((err = open_cluster(c, config)) != NULL)
		goto out;
	c->assoc = assoc_lmdb_new(loop, &c->root);
	assoc_lmdb_on_down(c->assoc, controller_down_cb, c);
	c->sizes = sizes_new(c->assoc);
	fill_assoc(c);
	c->sched = sched_new(loop, c->cluster);
	*out = c;
	return NULL;
out:
	controller_close(c);
	return err;
}

struct flush {
	bool done;
};

static void
controller_flushed_cb(struct err *err, void *arg)
{
	struct flush *f = arg;

	if (err != NULL) {
		char *text = err_str(err);

		log_error("cache: not all that was computed could be remembered: %s", text);
		free(text);
	}
	err_free(err);
	f->done = true;
}

static void
flush_assoc(struct controller *c)
{
	struct flush f = { false };
	struct op *op;

	if (assoc_lmdb_npending(c->assoc) == 0)
		return;
	op = assoc_lmdb_flush_start(c->assoc, controller_flushed_cb, &f);
	while (!f.done && loop_turn(c->loop, true))
		;
	if (!f.done)
		op_cancel(&op);
}

void
controller_close(struct controller *c)
{
	if (c == NULL)
		return;
	if (c->assoc != NULL)
		flush_assoc(c);
	if (c->sched != NULL)
		sched_free(c->sched);
	sizes_free(c->sizes);
	if (c->assoc != NULL)
		assoc_free(c->assoc);
	cluster_free(c->cluster);
	pool_free(c->pool);
	if (c->executor != NULL)
		executor_free(c->executor);
	if (c->repo != NULL)
		repo_free(c->repo);
	keeper_client_free(c->keeper);
	close_inbox(c);
	if (c->journal != NULL) {
		journal_close(c->journal);
		compact_start(&c->root, &c->compact);	/* now that ours is closed as well */
	}
	root_release(&c->root);
	free(c);
}
