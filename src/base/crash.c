/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Crash points: see the header. The environment is read before main, so that a program that sets
 * WEIR_CRASH for a child does not arm itself.
 */
bool crash_armed;

static const char *crash_name;	/* owned: the environment as it was at the start */
static size_t crash_name_len;
static unsigned long crash_nth = 1;
static const char *crash_once;

static void __attribute__((constructor))
crash_init(void)
{
	const char *colon;

	crash_name = getenv("WEIR_CRASH");
	if (crash_name == NULL || *crash_name == '\0')
		return;
	crash_name = strdup(crash_name);
	if (crash_name == NULL)
		return;
	colon = strrchr(crash_name, ':');
	crash_name_len = colon != NULL ? (size_t)(colon - crash_name) : strlen(crash_name);
	if (colon != NULL)
		crash_nth = strtoul(colon + 1, NULL, 10);
	crash_once = getenv("WEIR_CRASH_ONCE");
	if (crash_once != NULL)
		crash_once = strdup(crash_once);
	crash_armed = true;
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

void
crash_passed(const char *name)
{
	if (strlen(name) != crash_name_len || memcmp(name, crash_name, crash_name_len) != 0)
		return;
	if (crash_nth == 0 || --crash_nth > 0)
		return;
	if (!crash_is_first())
		return;
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
