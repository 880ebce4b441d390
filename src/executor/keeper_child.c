/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/keeper_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "executor/attempt.h"
#include "executor/host.h"
#include "executor/cgroup.h"
#include "executor/proctree.h"
#include "executor/runtime.h"
#include "executor/tree.h"
#include "store/db_writer.h"

/*
 * keeper_child: the keeper's children, and what to do when one dies in the middle of an attempt: its
 * tree is killed first, and only when no process of it is left is the attempt's row given up.
 */
#define CHILD_PAUSE INT64_C(1000000000)	/* before a child that died young is started again */
#define END_TRIES 400			/* of 5 ms */
#define SWEEP_TRIES 1000		/* of 5 ms: what cannot be killed stays, and its attempt counts as lost */

static void
child_close(struct keeper *k, enum child_kind kind)
{
	struct conn *c;
	struct late *l;
	sigset_t none;

	TAILQ_FOREACH(c, &k->conns, link)
		close(c->fd);
	TAILQ_FOREACH(l, &k->lates, link)
		close(l->fd);
	close(k->listen);
	close(k->signals);
	close(k->late);
	if (k->db_lifeline >= 0)
		close(k->db_lifeline);
	/* Workers keep the locks' descriptors: a new keeper begins only when they are gone, too. */
	if (kind == CHILD_DB) {
		close(k->lock);
		if (k->cgroup >= 0)
			close(k->cgroup);
	}
	k->env.repeat = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Of a slot worker, or of an intern helper, which stand behind them. */
static unsigned
child_hand(const struct keeper *k, const struct keeper_child *c)
{
	return c->kind == CHILD_SLOT ? c->slot : LEDGER_SLOTS + (c->slot - ledger_nslots(k->env.ledger));
}

static void
child_start(struct keeper *k, struct keeper_child *c)
{
	int lifeline[2];
	pid_t pid;

	if (c->kind == CHILD_DB && pipe2(lifeline, O_CLOEXEC) != 0)
		return;
	pid = fork();
	if (pid == 0) {
		child_close(k, c->kind);
		if (c->kind == CHILD_SLOT)
			slot_main(&k->env, c->slot);
		if (c->kind == CHILD_INTERN)
			intern_main(&k->env, child_hand(k, c));
		close(lifeline[1]);
		_exit(db_writer_main(&k->root, lifeline[0]));
	}
	if (c->kind == CHILD_DB) {
		close(lifeline[0]);
		if (k->db_lifeline >= 0)
			close(k->db_lifeline);
		k->db_lifeline = lifeline[1];
	}
	if (pid > 0) {
		c->pid = pid;
		c->born = host_mono();
	}
}

void
keeper_children_start(struct keeper *k)
{
	for (unsigned i = 0; i < k->nchildren; i++) {
		struct keeper_child *c = &k->children[i];

		if (c->pid == 0 && !c->draining && host_mono() >= c->retry)
			child_start(k, c);
	}
}

static bool
spare_writer(pid_t pid, void *arg)
{
	struct keeper *k = arg;

	for (unsigned i = 0; i < k->nchildren; i++) {
		if (k->children[i].kind == CHILD_DB && k->children[i].pid == pid)
			return true;
	}
	return false;
}

/* They would end with us. But their groups can be removed only when nothing is in them, not even a dead process. */
void
keeper_end_workers(struct keeper *k)
{
	for (unsigned i = 0; i < END_TRIES; i++) {
		unsigned left = proctree_signal(getpid(), SIGKILL, spare_writer, k);
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
			for (unsigned n = 0; n < k->nchildren; n++)
				k->children[n].pid = k->children[n].pid == pid ? 0 : k->children[n].pid;
		}
		/* The kernel may still be busy with what is dead. */
		if (left == 0 && (cgroup_sweep(k->env.cgroup, true) == 0 && access(k->env.cgroup, F_OK) != 0))
			return;
		usleep(5000);
	}
}

void
keeper_end_writer(struct keeper *k)
{
	for (unsigned i = 0; i < k->nchildren; i++) {
		if (k->children[i].kind != CHILD_DB || k->children[i].pid == 0)
			continue;
		kill(k->children[i].pid, SIGTERM);
		waitpid(k->children[i].pid, NULL, 0);
	}
}

static struct keeper_child *
child_of(struct keeper *k, pid_t pid)
{
	for (unsigned i = 0; i < k->nchildren; i++) {
		if (k->children[i].pid == pid)
			return &k->children[i];
	}
	return NULL;
}

void
keeper_reap(struct keeper *k)
{
	static const char *const names[] = { "slot worker", "intern helper", "database writer" };
	struct ledger_sub held;
	struct keeper_child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		c = child_of(k, pid);
		if (c == NULL)
			continue;	/* what a dead worker's exec has left */
		c->retry = 0;
		if (status != 0) {	/* else it has made room for another */
			log_info("%s %d died (%s %d)", names[c->kind], (int)pid,
			    WIFSIGNALED(status) ? "signal" : "status",
			    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			if (host_mono() - c->born < CHILD_PAUSE)
				c->retry = host_mono() + CHILD_PAUSE;
		}
		c->pid = 0;
		c->draining = c->kind == CHILD_SLOT;
		if (c->kind != CHILD_DB && ledger_held(k->env.ledger, child_hand(k, c), &held))
			keeper_say_again(k, &held);
	}
}

static bool
spare_children(pid_t pid, void *arg)
{
	return child_of(arg, pid) != NULL;
}

/* The manifest of an attempt whose worker died: the one it wrote, or that it was lost. */
static void
attempt_bury(struct keeper *k, int key_fd, const struct ledger_row *row, struct manifest *m)
{
	char name[16];
	struct err *err = attempt_read_manifest(key_fd, row->attempt, m);
	size_t len;
	int dir;

	if (err == NULL)
		return;
	err_free(err);
	memset(m, 0, sizeof *m);
	m->key = row->key;
	m->claim = (struct exec_claim){ .run = row->run, .try_ = row->try_, .retry = row->retry };
	m->ident = xstrdup(row->ident);
	m->result = (struct exec_result){ .state = ATTEMPT_LOST, .attempt = row->attempt, .status = -1,
		.host = xstrdup(k->env.host), .owner = row->run };
	m->result.usage.queued = row->queued;
	m->result.usage.started = row->started;
	m->result.usage.ended = host_wall();
	m->result.err = err_msg(ERR_UNAVAILABLE, "its slot worker died");
	snprintf(name, sizeof name, "%u", row->attempt);
	dir = openat(key_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = dir >= 0 ? attempt_write_manifest(dir, m, &len) : NULL;
	err_free(err);
	if (dir >= 0)
		close(dir);
}

/* Ends the row of a slot whose worker is gone with all its processes. */
static void
slot_bury(struct keeper *k, unsigned slot)
{
	struct ledger_sub subs[LEDGER_SUBS];
	struct ledger_row row;
	struct manifest m;
	struct err *err;
	bool fresh;
	unsigned n;
	int fd;

	ledger_lock(k->env.ledger);
	row = *ledger_row(k->env.ledger, slot);
	ledger_unlock(k->env.ledger);
	if (!row.used)
		return;
	err = attempt_key_lock(&row.key, true, &fd, &fresh);
	if (err != NULL) {
		err_free(err);
		ledger_close(k->env.ledger, slot, subs);
		return;
	}
	attempt_bury(k, fd, &row, &m);
	n = ledger_close(k->env.ledger, slot, subs);
	close(fd);
	keeper_report_over(&k->env, subs, n, &row.key, &m.result, -1);
	manifest_release(&m);
}

void
keeper_drain(struct keeper *k)
{
	bool any = false;

	for (unsigned i = 0; i < k->nchildren; i++)
		any = any || k->children[i].draining;
	/* What is below us and not a child of ours was below a dead worker. */
	if (!any || proctree_signal(getpid(), SIGKILL, spare_children, k) > 0)
		return;
	for (unsigned i = 0; i < k->nchildren; i++) {
		if (!k->children[i].draining)
			continue;
		slot_bury(k, k->children[i].slot);
		k->children[i].draining = false;
		k->children[i].term_at = 0;
	}
}

/* Since when has nobody been there who waits for this attempt? 0: somebody is. */
static int64_t
orphan_since(struct keeper *k, const struct ledger_row *row)
{
	int64_t since = 1;

	for (uint32_t i = 0; i < row->nsubs; i++) {
		struct controller *c = keeper_controller(k, row->subs[i].name);

		if (c->gone == 0)
			return 0;
		since = c->gone > since ? c->gone : since;
	}
	return since;
}

static void
press_row(struct keeper *k, struct keeper_child *c, const struct ledger_row *row)
{
	int64_t now = host_mono(), since;

	if (row->kill == LEDGER_LIVE) {
		since = orphan_since(k, row);
		if (since != 0 && now - since >= (int64_t)row->retain_ns)
			ledger_kill(k->env.ledger, c->slot, LEDGER_RETAIN);
		else if (row->watched && row->command != 0 && row->amount.mem > 0 &&
		    proctree_exceeds(row->worker, (uint64_t)row->amount.mem))
			ledger_kill(k->env.ledger, c->slot, LEDGER_MEMORY);
		else
			c->term_at = 0;
		c->termed = false;
		return;
	}
	if (c->term_at == 0)
		c->term_at = now;
	if (row->command == 0)
		return;
	/* Again and again until the row says that it is over: what was just born was missed. */
	if (row->kill == LEDGER_MEMORY || now - c->term_at >= KEEPER_TERM_NS)
		proctree_signal(row->worker, SIGKILL, NULL, NULL);
	else if (!c->termed)
		c->termed = proctree_signal(row->worker, SIGTERM, NULL, NULL) > 0;
}

void
keeper_press(struct keeper *k)
{
	struct ledger_row row;

	for (unsigned i = 0; i < k->nchildren; i++) {
		struct keeper_child *c = &k->children[i];

		if (c->kind != CHILD_SLOT || c->pid == 0)
			continue;
		ledger_lock(k->env.ledger);
		row = *ledger_row(k->env.ledger, c->slot);
		ledger_unlock(k->env.ledger);
		if (row.used)
			press_row(k, c, &row);
		else
			c->term_at = 0;
	}
}

bool
keeper_is_pressed(const struct keeper *k)
{
	for (unsigned i = 0; i < k->nchildren; i++) {
		const struct keeper_child *c = &k->children[i];

		if (c->draining || c->term_at != 0 || c->pid == 0)
			return true;
		if (c->kind == CHILD_SLOT && ledger_row(k->env.ledger, c->slot)->used &&
		    ledger_row(k->env.ledger, c->slot)->kill != LEDGER_LIVE)
			return true;
	}
	return false;
}

/* What tells a process of an earlier keeper's exec from a stranger. */
struct traces {
	struct stat *slots;	/* the directories that are bound at RUNTIME_SEEN */
	size_t	     nslots;
	struct stat  attempt;	/* of one row: whoever holds it open inherited its lock */
};

static bool
same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_ino != 0 && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool
holds_open(const char *pid, const struct stat *want)
{
	char path[64];
	struct dirent *e;
	struct stat st;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	d = opendir(path);
	while (d != NULL && !found && (e = readdir(d)) != NULL)
		found = fstatat(dirfd(d), e->d_name, &st, 0) == 0 && same_inode(want, &st);
	if (d != NULL)
		closedir(d);
	return found;
}

/* Does it see one of our slots where commands see their directory? */
static bool
sees_slot(const char *pid, const struct traces *t)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%.20s/root" RUNTIME_SEEN, pid);
	if (stat(path, &st) != 0)
		return false;
	for (size_t i = 0; i < t->nslots; i++) {
		if (same_inode(&t->slots[i], &st))
			return true;
	}
	return false;
}

static void
traces_of_slots(struct traces *t)
{
	struct dirent *e;
	DIR *d = opendir("slots");

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		t->slots = xreallocarray(t->slots, t->nslots + 1, sizeof *t->slots);
		if (fstatat(dirfd(d), e->d_name, &t->slots[t->nslots], 0) == 0)
			t->nslots++;
	}
	if (d != NULL)
		closedir(d);
}

/* Kills what is left of execs of the keeper before. Returns how many were seen. */
static unsigned
sweep_processes(const struct traces *t)
{
	struct dirent *e;
	unsigned n = 0;
	pid_t pid;
	DIR *d = opendir("/proc");

	while (d != NULL && (e = readdir(d)) != NULL) {
		pid = (pid_t)atol(e->d_name);
		if (pid <= 1 || pid == getpid() || !(sees_slot(e->d_name, t) || holds_open(e->d_name, &t->attempt)))
			continue;
		kill(pid, SIGKILL);
		n++;
	}
	if (d != NULL)
		closedir(d);
	return n;
}

static void
sweep_until_gone(const struct traces *t)
{
	for (unsigned tries = 0; tries < SWEEP_TRIES && sweep_processes(t) > 0; tries++)
		usleep(5000);
}

static void
sweep_rows(struct keeper *k, struct ledger *old)
{
	char path[ATTEMPT_PATH];
	struct ledger_row row;
	struct traces t;
	struct manifest m;
	struct err *err;
	bool fresh;
	int fd;

	for (unsigned i = 0; i < ledger_nslots(old); i++) {
		row = *ledger_row(old, i);
		if (!row.used)
			continue;
		attempt_dir(&row.key, row.attempt, path);
		memset(&t, 0, sizeof t);
		if (stat(path, &t.attempt) == 0)
			sweep_until_gone(&t);
		err = attempt_key_lock(&row.key, false, &fd, &fresh);
		if (err == NULL) {
			attempt_bury(k, fd, &row, &m);
			manifest_release(&m);
			close(fd);
		}
		err_free(err);
	}
}

void
keeper_sweep(struct keeper *k)
{
	struct buf base = BUF_INIT;
	struct traces t = { .slots = NULL };
	struct ledger *old = NULL;
	struct err *err;

	err = buf_read_file(&base, "cgroup", sizeof k->env.cgroup - 1);
	for (unsigned tries = 0; err == NULL && tries < SWEEP_TRIES && cgroup_sweep(buf_str(&base), false) > 0; tries++)
		usleep(5000);
	if (err == NULL)
		cgroup_sweep(buf_str(&base), true);
	err_free(err);
	buf_release(&base);
	traces_of_slots(&t);
	sweep_until_gone(&t);
	free(t.slots);
	err = ledger_open_old("ledger", &old);
	if (err == NULL)
		sweep_rows(k, old);
	err_free(err);
	ledger_free(old);
	tree_clear(AT_FDCWD, "work");
}
