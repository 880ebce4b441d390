/* SPDX-License-Identifier: Apache-2.0 */
#include "rft.h"

#include "../check.h"

/* Reader of the data-driven cases: see rft.h for the format. */

char *
source_path(const char *below)
{
	const char *top = getenv("srcdir");

	return xasprintf("%s/%s", top && *top ? top : ".", below);
}

static struct rft_case *
add_case(struct rft *t, const char *file, int line, const char *kind, size_t n)
{
	t->v = xreallocarray(t->v, t->n + 1, sizeof *t->v);
	t->v[t->n] = (struct rft_case){ .file = file, .line = line, .kind = xstrndup(kind, n) };
	return &t->v[t->n++];
}

static void
add_line(struct buf *b, bool *has, const char *p, size_t n)
{
	if (n > 0 && *p == ' ') {
		p++;
		n--;
	}
	buf_add(b, p, n);
	buf_addch(b, '\n');
	*has = true;
}

/* True if the line is an expectation. */
static bool
add_expectation(struct rft_case *c, const char *p, size_t n)
{
	if (n >= 2 && p[0] == '-' && p[1] == '>' && (n == 2 || p[2] == ' '))
		add_line(&c->result, &c->has_result, p + 2, n - 2);
	else if (n == 1 && p[0] == '=')
		c->same = c->has_result = true;
	else if (n >= 2 && p[0] == '!' && p[1] == ' ')
		add_line(&c->errors, &c->has_errors, p + 1, n - 1);
	else if (n >= 1 && p[0] == '?' && (n == 1 || p[1] == ' ' || p[1] == '\t'))
		add_line(&c->carets, &c->has_carets, p + 1, n - 1);
	else
		return false;
	return true;
}

static void
add_program(struct rft_case *c, const char *p, size_t n, bool first)
{
	if (!first)
		buf_addch(&c->program, '\n');
	buf_add(&c->program, p, n);
}

static void
first_line(struct rft *t, const char *name, int line, const char *p, size_t n, struct rft_case **c)
{
	const char *colon = memchr(p, ':', n);
	size_t k;

	if (n == 0 || *p == '#')
		return;
	if (colon == NULL)
		fail_msg("%s:%d: a case begins with KIND:", name, line);
	*c = add_case(t, name, line, p, (size_t)(colon - p));
	k = (size_t)(colon - p) + 1;
	if (k < n)
		add_program(*c, p + k + 1, n - k - 1, true);
	else
		(*c)->program.len = 0;
}

static void
read_lines(struct rft *t, const char *name, const struct buf *text)
{
	struct rft_case *c = NULL;
	bool expecting = false, empty = true;
	int line = 1;

	for (const char *p = text->p, *end = p + text->len; p < end; line++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl == NULL ? end : nl) - p);

		if (c == NULL) {
			first_line(t, name, line, p, n, &c);
			expecting = false;
			empty = c != NULL && n == strlen(c->kind) + 1;
		} else if (add_expectation(c, p, n)) {
			expecting = true;
		} else if (expecting && n == 0) {
			c = NULL;
		} else if (expecting) {
			fail_msg("%s:%d: a case ends with a blank line", name, line);
		} else {
			add_program(c, p, n, empty);
			empty = false;
		}
		p += n + 1;
	}
	if (c != NULL && !expecting)
		fail_msg("%s:%d: the last case expects nothing", name, line);
}

void
rft_read(struct rft *t, const char *name)
{
	char *below = xasprintf("tests/lang/%s", name), *path = source_path(below);
	struct buf text = BUF_INIT;

	*t = (struct rft){ 0 };
	assert_ok(buf_read_file(&text, path, 1 << 20));
	read_lines(t, name, &text);
	buf_release(&text);
	free(path);
	free(below);
}

void
rft_release(struct rft *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].kind);
		buf_release(&t->v[i].program);
		buf_release(&t->v[i].result);
		buf_release(&t->v[i].errors);
		buf_release(&t->v[i].carets);
	}
	free(t->v);
	*t = (struct rft){ 0 };
}

bool
rft_same(const struct rft_case *c, const char *what, const struct buf *got, const struct buf *expected)
{
	if (got->len == expected->len && memcmp(buf_str(got), buf_str(expected), got->len) == 0)
		return true;
	print_error("%s:%d: %s of\n%s\n--- came:\n%s--- expected:\n%s", c->file, c->line, what, buf_str(&c->program),
	    buf_str(got), buf_str(expected));
	return false;
}
