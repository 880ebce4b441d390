/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

/*
 * Crash points: see the header. The environment is read before main, so that a program that sets
 * WEIR_CRASH for a child does not arm itself.
 */
bool crash_armed;

static const char *crash_name;	/* owned, or NULL: the environment as it was at the start */
static size_t crash_name_len;
static unsigned long crash_nth = 1;
static bool crash_of_all;	/* crash_name is that of a program */
static const char *crash_once, *crash_count;	/* owned, or NULL */

static const char *
setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? strdup(value) : NULL;
}

static void __attribute__((constructor))
crash_init(void)
{
	const char *at;

	crash_name = setting("WEIR_CRASH");
	crash_once = setting("WEIR_CRASH_ONCE");
	crash_count = setting("WEIR_CRASH_COUNT");
	crash_armed = crash_name != NULL || crash_count != NULL;
	if (crash_name == NULL)
		return;
	at = strchr(crash_name, '#');
	crash_of_all = at != NULL;
	if (at == NULL)
		at = strrchr(crash_name, ':');
	crash_name_len = at != NULL ? (size_t)(at - crash_name) : strlen(crash_name);
	if (at != NULL)
		crash_nth = strtoul(at + 1, NULL, 10);
}

/* Only the process that makes the file dies. */
static bool
crash_is_first(void)
{
	int fd;

	if (crash_once == NULL)
		return true;
	fd = open(crash_once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return false;
	close(fd);
	return true;
}

static void no_return
crash_now(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* A line is added as a whole, and where it ends says how many there are: a file opened anew has a place of its own. */
static unsigned long
crash_add(const char *name)
{
	char path[PATH_MAX], line[CRASH_LINE + 1];
	off_t end = 0;
	int fd;

	snprintf(path, sizeof path, "%s.%s", crash_count, program_invocation_short_name);
	snprintf(line, sizeof line, "%-*.*s\n", CRASH_LINE - 1, CRASH_LINE - 1, name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd != -1 && write(fd, line, CRASH_LINE) == CRASH_LINE)
		end = lseek(fd, 0, SEEK_CUR);
	if (fd != -1)
		close(fd);
	return (unsigned long)end / CRASH_LINE;
}

static bool
is_mine(const char *name)
{
	return crash_name != NULL && strlen(name) == crash_name_len && memcmp(name, crash_name, crash_name_len) == 0;
}

/* A point stands between a call and the look at what it said, and must leave errno alone. */
void
crash_passed(const char *name)
{
	int saved = errno;
	unsigned long n = crash_count != NULL ? crash_add(name) : 0;

	if (crash_of_all) {
		if (n != 0 && n == crash_nth && is_mine(program_invocation_short_name))
			crash_now();
	} else if (is_mine(name) && crash_nth > 0 && --crash_nth == 0 && crash_is_first()) {
		crash_now();
	}
	errno = saved;
}
