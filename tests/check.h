/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_CHECK_H
#define WEIR_TESTS_CHECK_H

/* What every unit test needs: cmocka in its required order, exact texts of errors, a directory of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/xalloc.h"

/* Takes err. */
#define assert_ok(err) check_ok((err), __FILE__, __LINE__)
/* Takes err, which must have exactly this text. */
#define assert_err(err, text) check_err((err), (text), __FILE__, __LINE__)

static inline void
check_ok(struct err *err, const char *file, int line)
{
	char *s;

	if (!err)
		return;
	s = err_str(err);
	err_free(err);
	print_error("unexpected error: %s\n", s);
	free(s);
	_fail(file, line);
}

static inline void
check_err(struct err *err, const char *text, const char *file, int line)
{
	char *s = err_str(err);
	bool same = err && strcmp(s, text) == 0;

	if (!same)
		print_error("error: %s\nexpected: %s\n", err ? s : "(none)", text);
	free(s);
	err_free(err);
	if (!same)
		_fail(file, line);
}

/* Gives the path of a new directory below $TMPDIR; end it with temp_dir_free(). */
static inline char *
temp_dir_new(void)
{
	const char *top = getenv("TMPDIR");
	char *path = xasprintf("%s/weir-test-XXXXXX", top && *top ? top : "/tmp");

	if (!mkdtemp(path))
		fail_msg("mkdtemp %s", path);
	return path;
}

/* Removes path and what is in it; does not follow links. */
static inline void
remove_tree(const char *path)
{
	struct dirent *de;
	struct stat st;
	DIR *d;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (d = opendir(path))) {
		while ((de = readdir(d))) {
			char *child;

			if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
				continue;
			child = xasprintf("%s/%s", path, de->d_name);
			remove_tree(child);
			free(child);
		}
		closedir(d);
	}
	remove(path);
}

static inline void
temp_dir_free(char *path)
{
	remove_tree(path);
	free(path);
}

static inline void
write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

#endif
