/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "executor/attempt.h"
#include "executor/collect.h"
#include "executor/host.h"
#include "executor/runtime.h"
#include "executor/stage.h"
#include "store/db_read.h"

/*
 * slot: a worker, which takes one request after the other and does all of an exec in straight-line code:
 * claim, stage, wait for the ledger, spawn, wait, collect, manifest, report. It may die at any point:
 * the ledger's row and the attempt's lock tell the keeper what it was doing.
 */
#define SHORT_WAIT INT64_C(50000000)
#define MOMENT	   INT64_C(5000000)	/* of running that nobody needs to hear of: the end says it all */

struct slot {
	const struct keeper_env *env;
	unsigned	   n;
	struct runtime	   rt;
	struct db_read	  *db;
	/* the exec in hand */
	struct request	   req;
	int		   key_fd, dir;
	unsigned	   attempt;
	bool		   told;	/* taken was reported */
	int64_t		   waits;	/* for its resources since then, monotonic */
	int64_t		   spawned;	/* monotonic */
	struct stage_mark *marks;	/* of its inputs */
	struct exec_result result;
};

static void
slot_report(struct slot *s, enum report_kind kind, enum attempt_state state, bool attached)
{
	struct report r = { .kind = kind, .id = s->req.from.id, .key = s->req.config.key, .attempt = s->attempt,
		.state = state, .attached = attached };

	s->told = true;
	keeper_report(s->env, &s->req.from, &r, NULL, 0, -1);
}

static void
slot_waits(void *arg)
{
	struct slot *s = arg;

	s->waits = host_mono();
	slot_report(s, REPORT_TAKEN, ATTEMPT_QUEUED, false);
}

/* Of short waits only the beginning is told, of short commands only the end: where they are short, each message counts. */
static void
slot_runs(void *arg)
{
	struct slot *s = arg;

	if (!s->told)
		slot_report(s, REPORT_TAKEN, ATTEMPT_RUNNING, false);
	else if (host_mono() - s->waits > SHORT_WAIT)
		slot_report(s, REPORT_STATE, ATTEMPT_RUNNING, false);
}

static void
slot_lost(struct slot *s, struct err *err)
{
	err_free(s->result.err);
	fileset_unref(s->result.fileset);
	s->result.fileset = NULL;
	s->result.state = ATTEMPT_LOST;
	s->result.err = err;
}

static void
slot_failed(struct slot *s, struct err *err)
{
	slot_lost(s, err);
	s->result.state = ATTEMPT_FAILED;
}

static struct err *
kill_error(enum ledger_kill why)
{
	if (why == LEDGER_RETAIN)
		return err_msg(ERR_CANCELED, "ended: its controller did not come back in time");
	return err_msg(ERR_CANCELED, "killed");
}

static struct err *
oom_error(double limit)
{
	struct buf b = BUF_INIT;
	struct err *err;

	buf_add_size(&b, limit);
	err = err_msg(ERR_OOM, "killed: the command needs more than its %s of memory", buf_str(&b));
	buf_release(&b);
	return err;
}

static struct err *
status_error(int status)
{
	if (WIFSIGNALED(status))
		return err_msg(ERR_EXEC, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	return err_msg(ERR_EXEC, "exited with code %d", WEXITSTATUS(status));
}

/* What the end of the command means, before its outputs are looked at. */
static bool
slot_judge(struct slot *s, const struct runtime_command *cmd, enum ledger_kill why)
{
	const struct exec_config *c = &s->req.config;
	struct err *err = NULL;

	if (cmd->oom || why == LEDGER_MEMORY)
		slot_failed(s, oom_error(c->resources.mem));
	else if (why != LEDGER_LIVE)
		slot_lost(s, kill_error(why));
	else if (cmd->status != 0)
		slot_failed(s, status_error(cmd->status));
	/* Nothing but the mounts keeps a command from its inputs. */
	if (!s->rt.isolated || runtime_remounted(&s->rt))
		err = stage_check(s->env->objects, s->rt.work, c, s->marks);
	if (err != NULL)
		slot_failed(s, err);
	return s->result.err == NULL;
}

static void
slot_collect(struct slot *s)
{
	struct err *err;

	err = collect_outputs(s->env->objects, s->rt.keeper, s->rt.work, s->rt.seen, &s->req.config,
	    &s->result.fileset);
	if (err == NULL)
		s->result.state = ATTEMPT_OK;
	else if (err_is(err, ERR_EXEC))
		slot_failed(s, err);
	else
		slot_lost(s, err);
}

static void
slot_logs(struct slot *s)
{
	struct file out, errlog;
	struct err *err;

	err = collect_log(s->env->objects, s->dir, "stdout", &out);
	if (err == NULL)
		err = collect_log(s->env->objects, s->dir, "stderr", &errlog);
	if (err != NULL) {
		slot_lost(s, err);
		return;
	}
	s->result.out = out.id;
	s->result.out_size = out.size;
	s->result.errlog = errlog.id;
	s->result.err_size = errlog.size;
}

static struct err *
slot_streams(struct slot *s, struct runtime_command *cmd)
{
	cmd->out = openat(s->dir, "stdout", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	cmd->errlog = openat(s->dir, "stderr", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	return cmd->out < 0 || cmd->errlog < 0 ? err_errno(errno, "create", "stdout and stderr") : NULL;
}

/* Spawns and waits; afterwards no process of the exec is left, and the ledger has its amounts back. */
static void
slot_command(struct slot *s)
{
	struct runtime_command cmd = { .config = &s->req.config, .lock = s->dir, .out = -1, .errlog = -1 };
	struct exec_usage *u = &s->result.usage;
	enum ledger_kill why;
	struct err *err;

	err = slot_streams(s, &cmd);
	crash_point("keeper-before-spawn");
	u->started = host_wall();
	s->spawned = host_mono();
	if (err == NULL)
		err = runtime_spawn(&s->rt, &cmd);
	if (err == NULL) {
		ledger_spawned(s->env->ledger, s->n, cmd.pid, u->started, !cmd.limited);
		runtime_wait(&s->rt, &cmd, MOMENT, slot_runs, s);
	}
	u->ended = host_wall();
	u->wall_ns = host_mono() - s->spawned;
	why = ledger_leave(s->env->ledger, s->n);
	if (cmd.out >= 0)
		close(cmd.out);
	if (cmd.errlog >= 0)
		close(cmd.errlog);
	if (err != NULL) {
		slot_lost(s, err);
		return;
	}
	s->result.status = cmd.status;
	u->cpu_ns = cmd.cpu_ns;
	u->max_rss = cmd.max_rss;
	if (slot_judge(s, &cmd, why))
		slot_collect(s);
	slot_logs(s);
}

/* Everything between the attempt's creation and its manifest. */
static void
slot_attempt(struct slot *s)
{
	struct ledger *l = s->env->ledger;
	const struct exec_config *c = &s->req.config;
	enum ledger_kill why;
	struct err *err;

	err = runtime_prepare(&s->rt, &c->key);
	if (err == NULL)
		s->marks = xcalloc(c->ninputs + 1, sizeof *s->marks);
	if (err == NULL)
		err = stage_inputs(s->env->objects, s->rt.work, c, s->marks, &s->result.missing);
	if (err == NULL)
		err = stage_outputs(s->rt.work, c);
	if (err != NULL) {
		slot_lost(s, err);
		return;
	}
	why = ledger_admit(l, s->n, &c->resources, slot_waits, s);
	if (why != LEDGER_LIVE) {
		slot_lost(s, kill_error(why));
		return;
	}
	resources_copy(&s->result.usage.admitted, &c->resources);
	slot_command(s);
}

static struct err *
slot_manifest(struct slot *s, size_t *len)
{
	struct manifest m = {
		.key = s->req.config.key,
		.config = s->req.digest,
		.claim = s->req.config.claim,
		.ident = (char *)(uintptr_t)s->req.config.ident,
		.result = s->result,
	};

	return attempt_write_manifest(s->dir, &m, len);
}

/* The manifest first, then the reports: what is told is there to be read. */
static void
slot_finish(struct slot *s)
{
	struct ledger_sub subs[LEDGER_SUBS];
	struct err *err;
	size_t len = 0;
	unsigned n;
	int fd = -1;

	attempt_key_relock(s->key_fd);
	err = slot_manifest(s, &len);
	if (err != NULL)
		slot_lost(s, err);
	else if (len > KEEPER_RESULT_INLINE)
		fd = openat(s->dir, "manifest", O_RDONLY | O_CLOEXEC);
	n = ledger_close(s->env->ledger, s->n, subs);
	attempt_key_unlock(s->key_fd);
	keeper_report_over(s->env, subs, n, &s->req.config.key, &s->result, fd);
	if (fd >= 0)
		close(fd);
	/* Below what it mounted are files of others: a worker without those mounts clears this. */
	if (!runtime_remounted(&s->rt))
		runtime_clear(&s->rt);
}

static void
slot_run(struct slot *s)
{
	s->result = (struct exec_result){ .state = ATTEMPT_LOST, .attempt = s->attempt, .status = -1,
		.isolated = s->rt.isolated, .host = xstrdup(s->env->host), .owner = s->req.config.claim.run };
	s->result.usage.queued = host_wall();
	slot_attempt(s);
	/* Without this word, one that was lost would look like one that never was. */
	if (!s->told && s->result.state == ATTEMPT_LOST)
		slot_report(s, REPORT_TAKEN, ATTEMPT_COLLECTING, false);
	slot_finish(s);
	exec_result_release(&s->result);
	free(s->marks);
	s->marks = NULL;
	close(s->dir);
	s->dir = -1;
}

/*
 * Joins those who wait for an attempt that lives. False when it cannot be: it is being ended, or has too
 * many already.
 */
static bool
slot_join(struct slot *s, struct attempt_found *f)
{
	struct ledger_sub sub = s->req.from;

	sub.attached = true;
	s->attempt = f->n;
	return ledger_subscribe(s->env->ledger, (unsigned)f->slot, &s->req.config.key, f->n, &sub);
}

static struct err *
slot_create(struct slot *s, unsigned n, const struct buf *message)
{
	struct ledger_sub subs[LEDGER_SUBS];
	struct err *err;

	s->attempt = n;
	/* The row first: if we die from here on, whoever waits is told. */
	ledger_open(s->env->ledger, s->n, &s->req.config, n, &s->req.from);
	err = attempt_create(s->key_fd, n, message->p, message->len, &s->dir);
	if (err != NULL)
		ledger_close(s->env->ledger, s->n, subs);
	return err;
}

/* One step under the key's lock: which attempt it is, and a place in it. Nothing is told meanwhile. */
static struct err *
slot_claim(struct slot *s, const struct buf *message, struct attempt_found *f)
{
	const struct exec_config *c = &s->req.config;
	struct err *err;
	bool fresh;

	err = attempt_key_lock(&c->key, true, &s->key_fd, &fresh);
	if (err != NULL)
		return err;
	for (unsigned i = 0;; i++) {
		attempt_choose(s->env->ledger, s->env->objects, s->key_fd, c, fresh, f);
		/* It may have been killed since the choice: then the second look says so. */
		if (f->choice != ATTEMPT_ATTACH || slot_join(s, f))
			break;
		if (i > 0) {
			err = err_msg(ERR_TEMPORARY, "too many controllers wait for this exec");
			break;
		}
	}
	/* Under the lock, as attempts are forgotten: what is neither here nor there has not run. */
	if (err == NULL && f->choice == ATTEMPT_NEW)
		attempt_recall(s->db, s->env->objects, c, f);
	if (err == NULL && f->choice == ATTEMPT_NEW)
		err = slot_create(s, f->n, message);
	attempt_key_unlock(s->key_fd);
	return err;
}

/* An attempt of before is over: tells its result. */
static void
slot_tell_manifest(struct slot *s, struct attempt_found *f)
{
	struct ledger_sub sub = s->req.from;

	sub.attached = true;
	s->attempt = f->n;
	slot_report(s, REPORT_TAKEN, f->manifest.result.state, true);
	f->manifest.result.attempt = f->n;
	keeper_report_over(s->env, &sub, 1, &s->req.config.key, &f->manifest.result, f->fd);
}

static void
slot_tell_joined(struct slot *s)
{
	struct ledger_row row = { .state = ATTEMPT_COLLECTING };

	/* It may be over by now; then this comes after its end, and is passed over. */
	ledger_find(s->env->ledger, &s->req.config.key, s->attempt, &row);
	slot_report(s, REPORT_TAKEN, (enum attempt_state)row.state, true);
}

static void
slot_answer(struct slot *s, struct attempt_found *f)
{
	switch (f->choice) {
	case ATTEMPT_NEW:
		slot_run(s);
		break;
	case ATTEMPT_ATTACH:
		slot_tell_joined(s);
		break;
	case ATTEMPT_COLLECT:
		slot_tell_manifest(s, f);
		break;
	}
	attempt_found_release(f);
}

/* Only the host itself: `host`, or `host:TAG` for a state of its tools. */
static struct err *
check_image(const char *image)
{
	if (image == NULL || image[0] == '\0' || strcmp(image, "host") == 0 || strncmp(image, "host:", 5) == 0)
		return NULL;
	return err_msg(ERR_NOT_SUPPORTED, "image %s: this version of weir runs commands on the host only (image := \"host\")",
	    image);
}

static void
slot_take(struct slot *s, const struct buf *message)
{
	struct attempt_found found = { .choice = ATTEMPT_NEW, .fd = -1 };
	struct err *err;

	s->key_fd = s->dir = -1;
	s->told = false;
	err = request_decode(message->p, message->len, &s->req);
	ledger_hold(s->env->ledger, s->n, &s->req.from);
	crash_point("keeper-request-held");
	if (err == NULL && s->req.config.type != EXEC_COMMAND)
		err = err_msg(ERR_INVALID, "bad request: this socket takes commands");
	if (err == NULL)
		err = check_image(s->req.config.image);
	if (err == NULL)
		err = epoch_admit(&s->req.config.claim.run, s->req.config.claim.epoch);
	if (err == NULL)
		err = ledger_could_fit(s->env->ledger, &s->req.config.resources);
	if (err == NULL)
		err = slot_claim(s, message, &found);
	if (err != NULL)
		keeper_refuse(s->env, &s->req.from, err);
	else
		slot_answer(s, &found);
	ledger_hold(s->env->ledger, s->n, NULL);
	if (s->key_fd >= 0)
		close(s->key_fd);
	request_release(&s->req);
}

/* Commands inherit it: there is no terminal from which one that stops itself could be continued. */
static void
ignore_stops(void)
{
	static const int stops[] = { SIGTSTP, SIGTTIN, SIGTTOU };

	for (size_t i = 0; i < nitems(stops); i++)
		signal(stops[i], SIG_IGN);
}

void
slot_main(const struct keeper_env *env, unsigned n)
{
	struct slot s = { .env = env, .n = n };
	struct buf message = BUF_INIT;
	const char *why = NULL;
	struct err *err;
	int passed;

	keeper_child_init(env);
	s.db = db_read_open(env->db);
	ignore_stops();
	err = runtime_init(&s.rt, n, env->cgroup, env->isolate, &why);
	if (err != NULL) {
		char *text = err_str(err);

		log_error("slot %u: %s", n, text);
		_exit(1);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* a new user namespace may have cleared it */
	if (getppid() != env->pid)
		_exit(0);
	if (why != NULL && n == 0)
		log_info("isolation is off: %s", why);
	for (;;) {
		if (sock_recv(env->req, &message, &passed) != SOCK_MESSAGE)
			continue;
		if (passed >= 0)
			close(passed);
		if (message.len > 0)
			slot_take(&s, &message);
		if (runtime_remounted(&s.rt)) {
			log_info("slot %u: the mounts have changed", n);
			_exit(0);	/* another begins with what this host has */
		}
	}
}
