/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * cgroup: groups are made once, at the keeper's start; an exec costs one write to enter and, when the
 * limit differs from that of the exec before, one to change it. Kills are told by the difference of
 * the kernel's counter, which belongs to the group and not to an exec.
 */
#define CGROUP_MOUNT  "/sys/fs/cgroup"
#define CGROUP_PREFIX "weir-keeper-"
#define LOCK_TRIES    5
#define SWEEP_GROUPS  64	/* of others, at one time: a start is not held up by what thousands have left */

/* This process's group in the hierarchy that has the memory controller. */
static bool
own_group(char *path, unsigned size, bool *v2)
{
	char line[1024], *controllers, *group;
	bool found = false, unified = false;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		controllers = strchr(line, ':');
		group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		if (group == NULL)
			continue;
		*group++ = '\0';
		if (strcmp(group, "/") == 0)
			group++;
		if (strcmp(controllers + 1, "memory") == 0) {
			found = (unsigned)snprintf(path, size, CGROUP_MOUNT "/memory%s", group) < size;
			*v2 = false;
		} else if (controllers[1] == '\0') {
			unified = (unsigned)snprintf(path, size, CGROUP_MOUNT "%s", group) < size;
		}
	}
	if (f != NULL)
		fclose(f);
	if (!found)
		*v2 = unified;
	return found || unified;
}

static int
open_below(const char *dir, const char *file, int flags)
{
	char *path = xasprintf("%s/%s", dir, file);
	int fd = open(path, flags | O_CLOEXEC);

	free(path);
	return fd;
}

static bool
write_text(const char *dir, const char *file, const char *text)
{
	int fd = open_below(dir, file, O_WRONLY);
	bool ok;

	ok = fd >= 0 && write(fd, text, strlen(text)) > 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool
same_dir(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Makes and locks it. Whoever sweeps may have taken it for a dead keeper's between the two: then once more. */
static int
make_locked(const char *path)
{
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		int fd;

		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return -1;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX) == 0 && same_dir(fd, path))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

int
cgroup_base(const char *name, char *path, unsigned size)
{
	char own[900];
	bool v2;
	int fd;

	path[0] = '\0';
	if (!own_group(own, sizeof own, &v2))
		return -1;
	if (v2 && access(CGROUP_MOUNT "/cgroup.controllers", R_OK) != 0)
		return -1;
	/* v2 gives controllers only to groups whose parent has them on; refused where the parent holds processes. */
	if (v2)
		write_text(own, "cgroup.subtree_control", "+memory");
	fd = (unsigned)snprintf(path, size, "%s/" CGROUP_PREFIX "%s", own, name) < size ? make_locked(path) : -1;
	if (fd >= 0 && v2 && !write_text(path, "cgroup.subtree_control", "+memory")) {
		rmdir(path);
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		path[0] = '\0';
	return fd;
}

void
cgroup_open(const char *base, unsigned slot, struct cgroup *cg)
{
	char dir[1100];

	*cg = (struct cgroup)CGROUP_NONE;
	if (base[0] == '\0')
		return;
	snprintf(dir, sizeof dir, "%s/slot-%u", base, slot);
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return;
	cg->limit = open_below(dir, "memory.limit_in_bytes", O_WRONLY);
	cg->v2 = cg->limit < 0;
	if (cg->v2) {
		cg->limit = open_below(dir, "memory.max", O_WRONLY);
		cg->swap = open_below(dir, "memory.swap.max", O_WRONLY);
		cg->events = open_below(dir, "memory.events", O_RDONLY);
	} else {
		cg->swap = open_below(dir, "memory.memsw.limit_in_bytes", O_WRONLY);
		cg->events = open_below(dir, "memory.oom_control", O_RDONLY);
	}
	if (cg->limit >= 0 && cg->events >= 0)
		cg->procs = open_below(dir, "cgroup.procs", O_WRONLY);
	cg->now = UINT64_MAX;	/* unknown: a keeper before may have left one */
}

static bool
write_limit(int fd, uint64_t bytes, const char *none)
{
	char text[24];

	if (bytes == 0)
		return pwrite(fd, none, strlen(none), 0) > 0;
	snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
	return pwrite(fd, text, strlen(text), 0) > 0;
}

bool
cgroup_limit(struct cgroup *cg, uint64_t bytes)
{
	const char *none = cg->v2 ? "max" : "-1";

	if (cg->procs < 0)
		return false;
	if (cg->now == bytes)
		return true;
	/* v1 wants memory plus swap to be at least memory at every moment. */
	if (!cg->v2 && cg->swap >= 0)
		write_limit(cg->swap, 0, none);
	if (!write_limit(cg->limit, bytes, none)) {
		cg->now = UINT64_MAX;
		return false;
	}
	if (cg->swap >= 0)
		write_limit(cg->swap, cg->v2 ? 0 : bytes, cg->v2 && bytes != 0 ? "0" : none);
	cg->now = bytes;
	return true;
}

uint64_t
cgroup_kills(const struct cgroup *cg)
{
	char text[512], *p;
	ssize_t n;

	if (cg->procs < 0)
		return 0;
	n = pread(cg->events, text, sizeof text - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strstr(text, "oom_kill ");
	return p != NULL ? strtoull(p + strlen("oom_kill "), NULL, 10) : 0;
}

static unsigned
group_kill(const char *dir)
{
	int fd = open_below(dir, "cgroup.procs", O_RDONLY);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	unsigned n = 0;
	int pid;

	/* 0 stands for a process that we cannot see, and would mean our own group. */
	while (f != NULL && fscanf(f, "%d", &pid) == 1) {
		if (pid > 1)
			kill(pid, SIGKILL);
		n++;
	}
	if (f != NULL)
		fclose(f);
	return n;
}

unsigned
cgroup_sweep(const char *base, bool remove)
{
	char dir[1200];
	struct dirent *e;
	unsigned n = 0;
	DIR *d = base[0] != '\0' ? opendir(base) : NULL;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "slot-", 5) != 0)
			continue;
		snprintf(dir, sizeof dir, "%s/%s", base, e->d_name);
		n += group_kill(dir);
		if (remove)
			rmdir(dir);
	}
	if (d != NULL)
		closedir(d);
	if (remove && base[0] != '\0')
		rmdir(base);
	return n;
}

/* Only empty groups go: what runs in one keeps it, whoever it is. */
static void
remove_unlocked(const char *base)
{
	char dir[1200];
	struct dirent *e;
	int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? opendir(base) : NULL;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "slot-", 5) != 0)
			continue;
		snprintf(dir, sizeof dir, "%s/%s", base, e->d_name);
		rmdir(dir);
	}
	if (d != NULL) {
		closedir(d);
		rmdir(base);
	}
	if (fd >= 0)
		close(fd);
}

void
cgroup_sweep_others(const char *base)
{
	const char *name = strrchr(base, '/');
	char *above = name != NULL ? xstrndup(base, (size_t)(name - base)) : NULL;
	DIR *d = above != NULL ? opendir(above) : NULL;
	struct dirent *e;

	for (unsigned n = 0; d != NULL && n < SWEEP_GROUPS && (e = readdir(d)) != NULL;) {
		char *path;

		if (strncmp(e->d_name, CGROUP_PREFIX, strlen(CGROUP_PREFIX)) != 0 || strcmp(e->d_name, name + 1) == 0)
			continue;
		path = xasprintf("%s/%s", above, e->d_name);
		remove_unlocked(path);
		free(path);
		n++;
	}
	if (d != NULL)
		closedir(d);
	free(above);
}
