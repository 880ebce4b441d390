/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

/*
 * posix_spawn is glibc's clone with CLONE_VM and CLONE_VFORK: its cost does not grow with our memory,
 * and it tells us when exec failed. Descriptors below 4 would be overwritten by each other's dup2, so
 * those are lifted out of the way first.
 */
#define NSLOTS 4	/* 0, 1, 2 and pass_fd */

struct spawn_fds {
	int fd[NSLOTS];		/* what becomes 0..3; -1: nothing */
	int lifted[NSLOTS];	/* ours to close; -1: none */
};

static void
spawn_fds_release(struct spawn_fds *f)
{
	int i;

	for (i = 0; i < NSLOTS; i++)
		if (f->lifted[i] != -1)
			close(f->lifted[i]);
}

static int
spawn_fds_init(struct spawn_fds *f, const struct child_spec *spec)
{
	int i;

	for (i = 0; i < NSLOTS; i++) {
		f->lifted[i] = -1;
		f->fd[i] = i < 3 ? spec->fds[i] : spec->pass_fd;
	}
	for (i = 0; i < NSLOTS; i++) {
		if (f->fd[i] == -1 || f->fd[i] >= NSLOTS)
			continue;
		f->lifted[i] = fcntl(f->fd[i], F_DUPFD_CLOEXEC, NSLOTS);
		if (f->lifted[i] == -1)
			return errno;
		f->fd[i] = f->lifted[i];
	}
	return 0;
}

static int
spawn_actions(posix_spawn_file_actions_t *fa, const struct spawn_fds *f)
{
	int i, rc = 0;

	for (i = 0; i < NSLOTS && rc == 0; i++) {
		if (f->fd[i] != -1)
			rc = posix_spawn_file_actions_adddup2(fa, f->fd[i], i);
		else if (i < 3)
			rc = posix_spawn_file_actions_addopen(fa, i, "/dev/null", O_RDWR, 0);
	}
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(fa, f->fd[3] != -1 ? 4 : 3);
	return rc;
}

static int
spawn_attr(posix_spawnattr_t *attr, const struct child_spec *spec)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t set;
	int rc;

	sigemptyset(&set);
	rc = posix_spawnattr_setsigmask(attr, &set);
	sigaddset(&set, SIGPIPE);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(attr, &set);
	if (spec->new_session)
		flags |= POSIX_SPAWN_SETSID;
	return rc != 0 ? rc : posix_spawnattr_setflags(attr, flags);
}

static int
spawn_now(const struct child_spec *spec, const struct spawn_fds *f, pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int rc;

	if ((rc = posix_spawn_file_actions_init(&fa)) != 0)
		return rc;
	if ((rc = posix_spawnattr_init(&attr)) == 0) {
		if ((rc = spawn_actions(&fa, f)) == 0 && (rc = spawn_attr(&attr, spec)) == 0)
			rc = posix_spawnp(pid, spec->path, &fa, &attr, spec->argv,
			    spec->envp != NULL ? spec->envp : environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&fa);
	return rc;
}

struct err *
spawn(const struct child_spec *spec, pid_t *pid)
{
	struct spawn_fds f;
	pid_t started = 0;
	int rc;

	rc = spawn_fds_init(&f, spec);
	if (rc == 0)
		rc = spawn_now(spec, &f, &started);
	spawn_fds_release(&f);
	if (rc != 0)
		return err_errno(rc, "start", "%s", spec->path);
	*pid = started;
	return NULL;
}
