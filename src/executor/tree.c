/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

/*
 * tree: removal of what a command has left. A command may have made a directory that its own user
 * cannot read; so a refused step is tried again after a chmod.
 */
#define TREE_DEPTH 256	/* of nested directories; one descriptor each */

static DIR *
tree_open(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fdopendir(fd) : NULL;
}

static void tree_remove_at(int dir, const char *name, int depth);

static void
tree_clear_at(int dir, const char *name, int depth)
{
	struct dirent *e;
	DIR *d = tree_open(dir, name);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == 0)
			continue;
		if (errno == EACCES && fchmod(dirfd(d), 0700) == 0 && unlinkat(dirfd(d), e->d_name, 0) == 0)
			continue;
		tree_remove_at(dirfd(d), e->d_name, depth + 1);
	}
	closedir(d);
}

static void
tree_remove_at(int dir, const char *name, int depth)
{
	/* Busy: something is mounted there, and what it holds is not ours. */
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == EBUSY)
		return;
	if (errno == ENOTDIR) {
		unlinkat(dir, name, 0);
		return;
	}
	if (depth > TREE_DEPTH)
		return;
	tree_clear_at(dir, name, depth);
	unlinkat(dir, name, AT_REMOVEDIR);
}

void
tree_remove(int dir, const char *name)
{
	tree_remove_at(dir, name, 0);
}

void
tree_clear(int dir, const char *name)
{
	tree_clear_at(dir, name, 0);
}

bool
name_is_text(const char *name)
{
	size_t n = strlen(name), k;

	for (size_t i = 0; i < n; i += k) {
		k = utf8_next(name + i, n - i, NULL);
		if (k == 0)
			return false;
	}
	return true;
}
