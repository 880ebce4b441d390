/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/utf8.h"
#include "base/xalloc.h"

/* Texts of ids, times and tables. Widths count characters, not bytes. */
static const char *const id_prefix[] = { "run", "exec", "obj" };

const char *
id_text(enum id_kind kind, const struct digest *d, char out[ID_TEXT])
{
	char hex[9];

	digest_short(d, hex);
	snprintf(out, ID_TEXT, "%s:%s", id_prefix[kind], hex);
	return out;
}

char *
id_full(enum id_kind kind, const struct digest *d)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	return xasprintf("%s:%s", id_prefix[kind], hex);
}

void
duration_text(int64_t ns, struct buf *out)
{
	int64_t s = ns / SECONDS(1);

	if (ns < 0)
		buf_addstr(out, "0s");
	else if (ns < SECONDS(10))
		buf_addf(out, "%.2fs", (double)ns / 1e9);
	else if (ns < SECONDS(60))
		buf_addf(out, "%.1fs", (double)ns / 1e9);
	else if (s < 3600)
		buf_addf(out, "%lldm%02llds", (long long)s / 60, (long long)s % 60);
	else
		buf_addf(out, "%lldh%02lldm", (long long)s / 3600, (long long)s / 60 % 60);
}

static bool
unit_of(const char *p, size_t n, double *ns)
{
	static const struct { const char *name; double ns; } units[] = {
		{ "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 },
		{ "d", 86400e9 },
	};

	for (size_t i = 0; i < nitems(units); i++) {
		if (strlen(units[i].name) == n && strncmp(units[i].name, p, n) == 0) {
			*ns = units[i].ns;
			return true;
		}
	}
	return false;
}

bool
duration_parse(const char *text, int64_t *out)
{
	double total = 0;

	if (strcmp(text, "0") == 0) {
		*out = 0;
		return true;
	}
	if (*text == '\0')
		return false;
	while (*text != '\0') {
		char *end;
		double v, unit;
		size_t n;

		if (!isdigit((unsigned char)*text) || (v = strtod(text, &end)) < 0 || end == text)
			return false;
		for (n = 0; isalpha((unsigned char)end[n]); n++)
			;
		if (!unit_of(end, n, &unit))
			return false;
		total += v * unit;
		text = end + n;
	}
	if (!(total < 9e18))
		return false;
	*out = (int64_t)total;
	return true;
}

void
time_text(int64_t ns, struct buf *out)
{
	time_t t = (time_t)(ns / SECONDS(1));
	char text[40];
	struct tm tm;

	if (ns == 0 || localtime_r(&t, &tm) == NULL) {
		buf_addch(out, '-');
		return;
	}
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
	buf_addstr(out, text);
}

void
status_text(int status, struct buf *out)
{
	if (status == -1)
		buf_addstr(out, "never started");
	else if (WIFEXITED(status))
		buf_addf(out, "exit status %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		buf_addf(out, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		buf_addf(out, "wait status 0x%x", (unsigned)status);
}

/* Tables. */

void
table_add(struct table *t, const char *text)
{
	t->cell = xreallocarray(t->cell, t->ncells + 1, sizeof *t->cell);
	t->cell[t->ncells++] = xstrdup(text);
}

static size_t
width(const char *s)
{
	size_t n = strlen(s), w = 0;

	for (size_t i = 0; i < n; w++) {
		size_t k = utf8_next(s + i, n - i, NULL);

		i += k == 0 ? 1 : k;
	}
	return w;
}

void
table_print(const struct table *t, struct buf *out)
{
	size_t *widths = xcalloc(t->ncols + 1, sizeof *widths);

	for (size_t i = 0; i < t->ncells; i++) {
		size_t w = width(t->cell[i]);

		if (w > widths[i % t->ncols])
			widths[i % t->ncols] = w;
	}
	for (size_t i = 0; i < t->ncells; i++) {
		bool last = i % t->ncols == t->ncols - 1;

		buf_addstr(out, t->cell[i]);
		for (size_t w = width(t->cell[i]); !last && w < widths[i % t->ncols] + 2; w++)
			buf_addch(out, ' ');
		if (last)
			buf_addch(out, '\n');
	}
	free(widths);
}

void
table_release(struct table *t)
{
	for (size_t i = 0; i < t->ncells; i++)
		free(t->cell[i]);
	free(t->cell);
	memset(t, 0, sizeof *t);
}

/* Standard output. */

struct err *
print_out(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(STDOUT_FILENO, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(errno, "write", "standard output");
		p += k;
		n -= (size_t)k;
	}
	return NULL;
}

struct err *
print_json(json_t *j)
{
	struct buf b = BUF_INIT;
	struct err *err;

	json_dump_buf(j, &b);
	json_decref(j);
	buf_addch(&b, '\n');
	err = print_out(b.p, b.len);
	buf_release(&b);
	return err;
}

json_t *
json_document(const char *schema, int version)
{
	json_t *j = json_object();

	json_object_set_new(j, "schema", json_string(schema));
	json_object_set_new(j, "version", json_integer(version));
	return j;
}
