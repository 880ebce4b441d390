/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/proctree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * proctree: one pass over /proc gives parents; membership then spreads from the root until it grows
 * no more. A process born during the pass is missed: callers repeat until nobody is left.
 */
struct proc {
	pid_t	 pid, parent;
	uint64_t rss_pages;
	bool	 in, dead;
};
struct procs {
	struct proc *p;
	size_t	     n, cap;
};

/* The fields after the command's name, which may itself hold spaces and brackets. */
static bool
proc_read(pid_t pid, struct proc *out)
{
	char path[40], text[1024], *p;
	unsigned long long rss = 0;
	char state = 0;
	int fd, parent;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')');
	if (p == NULL ||
	    sscanf(p + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %llu",
		&state, &parent, &rss) < 2)
		return false;
	*out = (struct proc){ .pid = pid, .parent = parent, .rss_pages = rss, .dead = state == 'Z' || state == 'X' };
	return true;
}

static void
procs_scan(struct procs *s)
{
	struct dirent *e;
	DIR *d = opendir("/proc");

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		if (s->n == s->cap) {
			s->cap = s->cap != 0 ? 2 * s->cap : 256;
			s->p = xreallocarray(s->p, s->cap, sizeof *s->p);
		}
		if (proc_read((pid_t)atol(e->d_name), &s->p[s->n]))
			s->n++;
	}
	if (d != NULL)
		closedir(d);
}

static bool
procs_has(const struct procs *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i].in && s->p[i].pid == pid)
			return true;
	}
	return false;
}

static void
procs_mark(struct procs *s, pid_t root, bool (*spare)(pid_t, void *), void *arg)
{
	bool grew = true;

	while (grew) {
		grew = false;
		for (size_t i = 0; i < s->n; i++) {
			struct proc *p = &s->p[i];

			if (p->in || (p->parent != root && !procs_has(s, p->parent)))
				continue;
			if (spare != NULL && spare(p->pid, arg))
				continue;
			p->in = grew = true;
		}
	}
}

unsigned
proctree_signal(pid_t root, int signo, bool (*spare)(pid_t, void *), void *arg)
{
	struct procs s = { NULL, 0, 0 };
	unsigned n = 0;

	procs_scan(&s);
	procs_mark(&s, root, spare, arg);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i].in && !s.p[i].dead && kill(s.p[i].pid, signo) == 0)
			n++;
	}
	free(s.p);
	return n;
}

/* `Name:   123 kB` of a process's sums; 0 if there is no such line. */
static uint64_t
rollup_field(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; p != NULL; p = strchr(p, '\n'), p = p != NULL ? p + 1 : NULL)
		if (strncmp(p, name, n) == 0)
			return strtoull(p + n, NULL, 10) << 10;
	return 0;
}

/*
 * What would be free without it: its part of what it shares with its like, and nothing of files, which the kernel can
 * read again. Of a process that we may not look into, all that is resident.
 */
static uint64_t
proc_own(const struct proc *p, uint64_t page)
{
	char path[48], text[4096];
	ssize_t n;
	bool gone;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	gone = n < 0 && (errno == ENOENT || errno == ESRCH);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return gone ? 0 : p->rss_pages * page;
	text[n] = '\0';
	if (strstr(text, "Pss_Anon:") == NULL)		/* an older kernel */
		return rollup_field(text, "Pss:") + rollup_field(text, "SwapPss:");
	return rollup_field(text, "Pss_Anon:") + rollup_field(text, "Pss_Shmem:") + rollup_field(text, "SwapPss:");
}

/* Mostly what is resident is enough to know; the closer look takes the kernel some milliseconds for a big process. */
static bool
look_exceeds(pid_t root, uint64_t limit)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), sum = 0;
	struct procs s = { NULL, 0, 0 };

	procs_scan(&s);
	procs_mark(&s, root, NULL, NULL);
	for (size_t i = 0; i < s.n; i++)
		sum += s.p[i].in ? s.p[i].rss_pages * page : 0;
	if (sum > limit) {
		sum = 0;
		for (size_t i = 0; i < s.n && sum <= limit; i++)
			sum += s.p[i].in ? proc_own(&s.p[i], page) : 0;
	}
	free(s.p);
	return sum > limit;
}

/* One look goes from process to process: what forks or ends meanwhile may be counted twice. That does not repeat. */
bool
proctree_exceeds(pid_t root, uint64_t limit)
{
	for (int look = 0; look < 3; look++) {
		if (!look_exceeds(root, limit))
			return false;
	}
	return true;
}
