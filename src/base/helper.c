/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "base/helper.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

/* The build tree comes first, so that what is not installed never runs an installed weir's helpers. */
#define FOLDERS_UP 3

/* DIR/BELOW/NAME if that can be run, else NULL. Gives. */
static char *
helper_at(const char *dir, const char *below, const char *name)
{
	char *path = xasprintf("%s/%s%s", dir, below, name);

	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

char *
helper_path(const char *name)
{
	char exe[PATH_MAX], *slash, *path = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	exe[n > 0 ? n : 0] = '\0';
	for (int up = 0; path == NULL && up < FOLDERS_UP && (slash = strrchr(exe, '/')) != NULL && slash != exe; up++) {
		*slash = '\0';
		path = helper_at(exe, "", name);
		/* Beside bin/, wherever the whole installation may lie. */
		if (path == NULL && up == 1)
			path = helper_at(exe, "libexec/weir/", name);
	}
	return path != NULL ? path : xasprintf("%s/%s", WEIR_LIBEXECDIR, name);
}

struct err *
helper_check(const char *name)
{
	char *path = helper_path(name);
	struct err *err = NULL;

	if (access(path, X_OK) == -1)
		err = err_msg(ERR_NOT_EXIST, "the program %s, which belongs to weir, is neither beside it nor in %s: "
		    "install weir as a whole", name, WEIR_LIBEXECDIR);
	free(path);
	return err;
}

bool
helper_about(int argc, char *const *argv, const char *name, const char *about)
{
	const char *asked = argc == 2 ? argv[1] : "";

	if (strcmp(asked, "--version") == 0)
		printf("%s %s\n", name, PACKAGE_VERSION);
	else if (strcmp(asked, "--help") == 0)
		fputs(about, stdout);
	else
		return false;
	return true;
}
