/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xalloc.h"

/*
 * The log. Each line leaves in one write, so that lines of a controller and its helper processes do
 * not mix on a shared stderr; nothing is buffered, so a killed process has said all it said.
 */

static struct {
	const char    *program;
	enum log_level level;
} log_state = { "weir", LOG_INFO };

void
log_init(const char *program, enum log_level level)
{
	log_state.program = program;
	log_state.level = level;
}

enum log_level
log_level(void)
{
	return log_state.level;
}

static void
add_prefix(struct buf *b)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	if (log_state.level < LOG_DEBUG) {
		buf_addf(b, "%s: ", log_state.program);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(b, "%s.%06ldZ ", text, now.tv_nsec / 1000);
}

static void printf_like(2, 0)
log_line(enum log_level level, const char *fmt, va_list ap)
{
	int saved = errno;
	struct buf b = BUF_INIT;
	char *text;
	size_t done = 0;

	if (level > log_state.level)
		return;
	text = xvasprintf(fmt, ap);
	add_prefix(&b);
	buf_addf(&b, "%s\n", text);
	free(text);
	while (done < b.len) {
		ssize_t n = write(STDERR_FILENO, b.p + done, b.len - done);

		if (n < 0 && errno != EINTR)
			break;	/* nobody is left to tell */
		done += n > 0 ? (size_t)n : 0;
	}
	buf_release(&b);
	errno = saved;
}

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_ERROR, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_INFO, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_DEBUG, fmt, ap);
	va_end(ap);
}
