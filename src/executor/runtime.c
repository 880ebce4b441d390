/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/xalloc.h"
#include "executor/ledger.h"
#include "executor/proctree.h"
#include "executor/proto.h"
#include "executor/tree.h"

/*
 * runtime: straight-line code of a slot worker. After vfork the child shares our memory: it may only
 * make system calls and change what nobody reads later.
 */
#define LOCK_FD 190	/* a place that scripts do not use for descriptors of their own */

static struct err *
make_dir(const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_errno(errno, "mkdir", "%s", path);
	return NULL;
}

static const char *const places[] = { "arg", "return", "tmp" };

static struct err *
make_places(const char *work)
{
	char path[PATH_MAX];
	struct err *err = make_dir(work);

	for (size_t i = 0; i < nitems(places) && err == NULL; i++) {
		snprintf(path, sizeof path, "%s/%s", work, places[i]);
		err = make_dir(path);
	}
	return err;
}

static bool
write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* A sentence with the reason that the system gave last. Good until the next. */
static const char *
because(const char *what)
{
	static char text[160];

	snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
	return text;
}

/* A mount namespace of our own: as root, or inside a user namespace that maps nobody but ourselves. Gives why not, or NULL. */
static const char *
unshare_mounts(void)
{
	static const char refused[] = "this host does not allow a mount namespace";

	char uids[64], gids[64];

	snprintf(uids, sizeof uids, "%d %d 1", (int)geteuid(), (int)geteuid());
	snprintf(gids, sizeof gids, "%d %d 1", (int)getegid(), (int)getegid());
	if (unshare(CLONE_NEWNS) != 0) {
		if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
			return because(refused);
		if (!write_proc("/proc/self/setgroups", "deny") || !write_proc("/proc/self/uid_map", uids) ||
		    !write_proc("/proc/self/gid_map", gids))
			return because("this host does not let a user namespace have its own user");
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0)
		return NULL;
	/* In a chroot "/" need not be a mount. The one that we mount on is enough, if that is one. */
	if (errno != EINVAL)
		return because("mounts cannot be kept from the rest of the host");
	if (mount(NULL, "/tmp", NULL, MS_REC | MS_SLAVE, NULL) == 0)
		return NULL;
	return errno == EINVAL ? "neither / nor /tmp is a mount point, as in a chroot: `mount --bind /tmp /tmp` in it makes one" :
				 because("mounts on /tmp cannot be kept from the rest of the host");
}

/* A remount must name the flags that the file system already has, or a user namespace refuses it. */
static unsigned long
mount_flags(const char *path)
{
	static const struct {
		unsigned long st, ms;
	} flags[] = {
		{ ST_NODEV, MS_NODEV }, { ST_NOSUID, MS_NOSUID }, { ST_NOEXEC, MS_NOEXEC },
		{ ST_NOATIME, MS_NOATIME }, { ST_NODIRATIME, MS_NODIRATIME }, { ST_RELATIME, MS_RELATIME },
	};
	unsigned long ms = 0;
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return 0;
	for (size_t i = 0; i < nitems(flags); i++)
		ms |= (fs.f_flag & flags[i].st) != 0 ? flags[i].ms : 0;
	return ms;
}

static bool
bind_places(const char *work)
{
	char arg[PATH_MAX];

	snprintf(arg, sizeof arg, "%s/arg", work);
	return mount(work, RUNTIME_SEEN, NULL, MS_BIND, NULL) == 0 &&
	    mount(arg, RUNTIME_SEEN "/arg", NULL, MS_BIND, NULL) == 0 &&
	    mount(NULL, RUNTIME_SEEN "/arg", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | mount_flags(arg), NULL) == 0;
}

static const char *
isolate(struct runtime *r)
{
	const char *why;
	struct stat st;

	if (mkdir(RUNTIME_SEEN, 0755) == 0)
		chmod(RUNTIME_SEEN, 0755);
	if (lstat(RUNTIME_SEEN, &st) != 0 || !S_ISDIR(st.st_mode))
		return RUNTIME_SEEN " is not a directory";
	why = unshare_mounts();
	if (why != NULL)
		return why;
	if (!bind_places(r->work)) {
		why = because("this host does not allow bind mounts");
		umount2(RUNTIME_SEEN "/arg", MNT_DETACH);
		umount2(RUNTIME_SEEN, MNT_DETACH);
		return why;
	}
	r->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (r->mounts < 0) {
		umount2(RUNTIME_SEEN "/arg", MNT_DETACH);
		umount2(RUNTIME_SEEN, MNT_DETACH);
		return "/proc/self/mountinfo cannot be read";
	}
	r->isolated = true;
	return NULL;
}

/*
 * Without isolation a slot's place is moved to work/<key>/ for an exec and back after it. Its lock is held by the
 * worker for as long as it lives, and inherited by commands: one that can be locked belongs to nobody any more.
 */
static struct err *
place_open(struct runtime *r)
{
	struct err *err = make_places(r->home);

	if (err != NULL)
		return err;
	if (r->place >= 0)
		close(r->place);
	r->place = open(r->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->place < 0 || flock(r->place, LOCK_EX | LOCK_NB) != 0)
		return err_errno(errno, "lock", "%s", r->home);
	return NULL;
}

/* Removes a place of a worker that died; false if somebody uses it. */
static bool
place_bury(const char *work)
{
	int fd = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat mine, there;
	bool dead;

	if (fd < 0)
		return errno == ENOENT;
	/* It may have been moved back to its slot between the two calls, and another one be here now. */
	dead = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 && lstat(work, &there) == 0 &&
	    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
	if (dead)
		tree_remove(AT_FDCWD, work);
	close(fd);
	return dead;
}

static struct err *
places_init(struct runtime *r)
{
	struct err *err = place_open(r);
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir("work");

	while (d != NULL && (e = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "work/%s", e->d_name);
		if (e->d_name[0] != '.')
			place_bury(path);
	}
	if (d != NULL)
		closedir(d);
	return err;
}

static int
move_if_free(const char *from, const char *to)
{
	struct stat st;

	crash_point("keeper-before-work-move");
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* A file system without this flag: a place that is not empty is not replaced either. */
	if (errno == EINVAL && lstat(to, &st) != 0 && rename(from, to) == 0)
		return 0;
	return errno == ENOTEMPTY || errno == EINVAL ? EEXIST : errno;
}

/* work/<key>; beside another living attempt of the key work/<key>-1, and so on. */
static struct err *
place_move(struct runtime *r, const struct digest *key)
{
	char hex[DIGEST_HEX + 1];
	int eno = EEXIST;

	digest_hex(key, hex);
	for (unsigned i = 0; i <= LEDGER_SLOTS && eno == EEXIST; i++) {
		snprintf(r->work, sizeof r->work, i == 0 ? "work/%s" : "work/%s-%u", hex, i);
		eno = move_if_free(r->home, r->work);
		if (eno == EEXIST && place_bury(r->work))
			eno = move_if_free(r->home, r->work);
	}
	if (eno == 0)
		return NULL;
	strcpy(r->work, r->home);
	return err_errno(eno, "rename", "work/%s", hex);
}

/* So that it can be waited for with a limit. */
static void
block_sigchld(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

struct err *
runtime_init(struct runtime *r, unsigned slot, const char *cgroup_base, bool want_isolation, const char **why)
{
	char cwd[PATH_MAX];
	struct err *err;

	memset(r, 0, sizeof *r);
	r->place = -1;
	if (getcwd(cwd, sizeof cwd) == NULL)
		return err_errno(errno, "getcwd", NULL);
	r->keeper = xstrdup(cwd);
	snprintf(r->home, sizeof r->home, "slots/%u", slot);
	strcpy(r->work, r->home);
	err = make_places(r->work);
	if (err != NULL)
		return err;
	block_sigchld();
	r->bash = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/usr/bin/bash";
	cgroup_open(cgroup_base, slot, &r->cgroup);
	r->kills = cgroup_kills(&r->cgroup);
	umask(022);
	*why = want_isolation ? isolate(r) : "it was not asked for";
	/* Behind isolation: a file of the mounts before it has another name for who is in a chroot. */
	r->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (r->null < 0)
		return err_errno(errno, "open", "/dev/null");
	r->seen = xstrdup(RUNTIME_SEEN);
	r->at = r->places[0] = r->places[1] = r->places[2] = -1;
	runtime_clear(r);	/* of a worker that died here */
	return r->isolated ? NULL : places_init(r);
}

struct err *
runtime_prepare(struct runtime *r, const struct digest *key)
{
	struct err *err;

	if (r->isolated)
		return NULL;
	err = place_move(r, key);
	if (err != NULL)
		return err;
	free(r->seen);
	r->seen = xasprintf("%s/%s", r->keeper, r->work);
	return NULL;
}

/* A command may have removed a place, or put something else there. */
static bool
place_tidy(int work, const char *name)
{
	struct stat st;

	if (fstatat(work, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
		return false;
	if ((st.st_mode & 07777) != 0700)
		fchmodat(work, name, 0700, 0);
	tree_clear(work, name);
	return true;
}

static bool
is_place(const char *name)
{
	for (size_t i = 0; i < nitems(places); i++) {
		if (strcmp(name, places[i]) == 0)
			return true;
	}
	return false;
}

/* Everything goes but the places themselves, which are empty then. False if they are not as they should be. */
static bool
places_tidy(const char *work)
{
	DIR *d = opendir(work);
	struct dirent *e;
	size_t kept = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (is_place(e->d_name) && place_tidy(dirfd(d), e->d_name))
			kept++;
		else
			tree_remove(dirfd(d), e->d_name);
	}
	if (d != NULL)
		closedir(d);
	return kept == nitems(places);
}

/* Its only entries are those of want (inode numbers of n directories). */
static bool
holds_only(int dir, const ino_t *want, size_t n)
{
	char buf[4096] __attribute__((aligned(8)));
	size_t seen = 0;
	ssize_t got;

	if (lseek(dir, 0, SEEK_SET) != 0)
		return false;
	while ((got = getdents64(dir, buf, sizeof buf)) > 0) {
		for (ssize_t at = 0; at < got; at += ((struct dirent64 *)(buf + at))->d_reclen) {
			const struct dirent64 *e = (const struct dirent64 *)(buf + at);
			size_t i = 0;

			if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
				continue;
			while (i < n && want[i] != e->d_ino)
				i++;
			if (i == n)
				return false;
			seen++;
		}
	}
	return got == 0 && seen == n;
}

/* Most commands leave nothing behind: then it is enough to look, through descriptors that stay open. */
static bool
places_clear(struct runtime *r)
{
	ino_t inos[nitems(places)];
	struct stat st;

	for (size_t i = 0; i < nitems(places); i++) {
		if (fstat(r->places[i], &st) != 0 || (st.st_mode & 07777) != 0700 || !holds_only(r->places[i], NULL, 0))
			return false;
		inos[i] = st.st_ino;
	}
	return holds_only(r->at, inos, nitems(places));
}

static void
places_forget(struct runtime *r)
{
	for (size_t i = 0; i < nitems(places); i++) {
		if (r->places[i] >= 0)
			close(r->places[i]);
		r->places[i] = -1;
	}
	if (r->at >= 0)
		close(r->at);
	r->at = -1;
}

static void
places_keep(struct runtime *r)
{
	places_forget(r);
	r->at = open(r->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < nitems(places); i++)
		r->places[i] = openat(r->at, places[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void
runtime_clear(struct runtime *r)
{
	struct err *err = NULL;

	if (places_clear(r) && strcmp(r->work, r->home) == 0)
		return;
	if (!places_tidy(r->work))
		err = make_places(r->work);
	if (strcmp(r->work, r->home) != 0) {
		crash_point("keeper-before-work-home");
		if (rename(r->work, r->home) != 0) {	/* the command has moved it, or removed it */
			err_free(err);
			err = place_open(r);
		}
		strcpy(r->work, r->home);
	}
	if (r->isolated)	/* the command may have made them anew */
		places_keep(r);
	err_free(err);	/* the next exec will meet it */
}

/* Everything that the child needs, made ready before vfork. */
struct spawn {
	const char *argv[8];
	const char **envp;
	char	   *home, *tmpdir, *tmp, *path;
	int	    cwd;
	pid_t	    parent;
	int	    eno;	/* told by the child through the shared memory */
};

static bool
env_declares(const struct exec_config *c, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; c->env != NULL && c->env[i] != NULL; i++) {
		if (strncmp(c->env[i], name, n) == 0 && c->env[i][n] == '=')
			return true;
	}
	return false;
}

static void
spawn_env(struct spawn *s, const struct runtime *r, const struct exec_config *c)
{
	const char *path = getenv("PATH");
	size_t n = 0, i;

	while (c->env != NULL && c->env[n] != NULL)
		n++;
	s->envp = xcalloc(n + 6, sizeof *s->envp);
	for (i = 0; i < n; i++)
		s->envp[i] = c->env[i];
	s->path = xasprintf("PATH=%s", path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
	s->home = xasprintf("HOME=%s/tmp", r->seen);
	s->tmpdir = xasprintf("TMPDIR=%s/tmp", r->seen);
	s->tmp = xasprintf("tmp=%s/tmp", r->seen);
	if (!env_declares(c, "PATH"))
		s->envp[i++] = s->path;
	if (!env_declares(c, "LANG"))
		s->envp[i++] = "LANG=C.UTF-8";
	if (!env_declares(c, "HOME"))
		s->envp[i++] = s->home;
	if (!env_declares(c, "TMPDIR"))
		s->envp[i++] = s->tmpdir;
	if (!env_declares(c, "tmp"))
		s->envp[i++] = s->tmp;
}

static void
spawn_release(struct spawn *s)
{
	if (s->cwd >= 0)
		close(s->cwd);
	free(s->envp);
	free(s->path);
	free(s->home);
	free(s->tmpdir);
	free(s->tmp);
}

static struct err *
write_script(const char *path, const struct buf *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct err *err = NULL;

	if (fd < 0)
		return err_errno(errno, "create", "%s", path);
	for (size_t done = 0; done < text->len && err == NULL;) {
		ssize_t k = write(fd, text->p + done, text->len - done);

		if (k < 0 && errno != EINTR)
			err = err_errno(errno, "write", "%s", path);
		done += k > 0 ? (size_t)k : 0;
	}
	close(fd);
	return err;
}

no_return static void
spawn_child(struct spawn *s, const struct runtime *r, const struct runtime_command *c)
{
	sigset_t none;

	/* No session of its own: each would be a group of its own to the kernel's scheduler, made and undone for each exec. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->parent)
		_exit(127);
	if (r->cgroup.procs >= 0 && write(r->cgroup.procs, "0", 1) != 1)
		goto fail;
	if (dup2(r->null, 0) < 0 || dup2(c->out, 1) < 0 || dup2(c->errlog, 2) < 0 || fchdir(s->cwd) != 0)
		goto fail;
	fcntl(c->lock, F_DUPFD, LOCK_FD);
	fcntl(r->place, F_DUPFD, LOCK_FD);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(r->bash, (char *const *)(uintptr_t)s->argv, (char *const *)(uintptr_t)s->envp);
fail:
	s->eno = errno;
	_exit(127);
}

static pid_t
spawn_fork(struct spawn *s, const struct runtime *r, const struct runtime_command *c)
{
	pid_t pid = vfork();

	if (pid == 0)
		spawn_child(s, r, c);
	return pid;
}

static struct err *
spawn_prepare(struct spawn *s, const struct runtime *r, const struct exec_config *c, const struct buf *text)
{
	char path[PATH_MAX];
	struct err *err = NULL;
	size_t n = 0;

	memset(s, 0, sizeof *s);
	/* By the path that the command sees: by ours, ../arg would not be read-only. */
	snprintf(path, sizeof path, "%s/tmp", r->seen);
	s->cwd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->cwd < 0)
		return err_errno(errno, "open", "%s", path);
	s->argv[n++] = "bash";
	s->argv[n++] = "-e";
	s->argv[n++] = "-o";
	s->argv[n++] = "pipefail";
	if (text->len <= PROTO_CMD_MAX) {
		s->argv[n++] = "-c";
		s->argv[n++] = buf_str(text);
	} else {
		snprintf(path, sizeof path, "%s/cmd", r->work);
		err = write_script(path, text);
		s->argv[n++] = "../cmd";
	}
	spawn_env(s, r, c);
	s->parent = getpid();
	return err;
}

struct err *
runtime_spawn(struct runtime *r, struct runtime_command *c)
{
	struct buf text = BUF_INIT;
	struct spawn s;
	struct err *err;

	command_fill(c->config, r->seen, &text);
	err = spawn_prepare(&s, r, c->config, &text);
	c->limited = cgroup_limit(&r->cgroup, c->config->resources.mem > 0 ? (uint64_t)c->config->resources.mem : 0);
	if (err == NULL) {
		c->pid = spawn_fork(&s, r, c);
		if (c->pid < 0)
			err = err_errno(errno, "fork", NULL);
		else if (s.eno != 0) {
			waitpid(c->pid, NULL, 0);
			err = err_errno(s.eno, "start", "%s", r->bash);
		}
	}
	spawn_release(&s);
	buf_release(&text);
	return err;
}

static void
usage_add(struct runtime_command *c, const struct rusage *u)
{
	c->cpu_ns += ((int64_t)u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000000 +
	    ((int64_t)u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1000;
	if ((uint64_t)u->ru_maxrss * 1024 > c->max_rss)
		c->max_rss = (uint64_t)u->ru_maxrss * 1024;
}

/* A signal of before costs a second look, no more. */
static bool
children_quiet(int64_t moment)
{
	struct timespec limit = { .tv_sec = moment / 1000000000, .tv_nsec = moment % 1000000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &limit) != SIGCHLD;
}

void
runtime_wait(struct runtime *r, struct runtime_command *c, int64_t moment, void (*runs)(void *), void *arg)
{
	bool over = false, told = false;
	struct rusage u;
	uint64_t kills;
	int status;
	pid_t pid;

	/* Orphans of the tree come to us, the nearest subreaper, and are counted with it. */
	for (;;) {
		if (!over && !told && children_quiet(moment)) {
			runs(arg);
			told = true;
		}
		pid = wait4(-1, &status, over || !told ? WNOHANG : 0, &u);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			break;
		if (pid > 0)
			usage_add(c, &u);
		if (pid == c->pid) {
			c->status = status;
			over = true;
		}
		if (pid == 0 && over) {
			/* The command decides; what it left behind goes. */
			proctree_signal(getpid(), SIGKILL, NULL, NULL);
			waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
		}
	}
	kills = cgroup_kills(&r->cgroup);
	c->oom = kills > r->kills;
	r->kills = kills;
	crash_point("keeper-after-exit");
}

bool
runtime_remounted(struct runtime *r)
{
	struct pollfd p = { .fd = r->mounts, .events = POLLPRI };

	/* The kernel tells of each change once. */
	if (r->isolated && !r->remounted)
		r->remounted = poll(&p, 1, 0) != 0;
	return r->remounted;
}
