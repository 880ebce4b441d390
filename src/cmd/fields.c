/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/fields.h"

#include <ctype.h>
#include <string.h>

/* Recursion is as deep as the JSON: its readers (msgpack of at most 30 levels, jansson) bound that. */
static void
indent(int depth, struct buf *out)
{
	for (int i = 0; i < depth; i++)
		buf_addstr(out, "  ");
}

static bool
plain(const char *s, size_t n)
{
	if (n == 0 || s[0] == ' ' || s[n - 1] == ' ' || s[0] == '"')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (iscntrl((unsigned char)s[i]))
			return false;
	}
	return true;
}

/* Lines of printable text, more than one. */
static bool
lines(const char *s, size_t n)
{
	if (memchr(s, '\n', n) == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (iscntrl((unsigned char)s[i]) && s[i] != '\n' && s[i] != '\t')
			return false;
	}
	return true;
}

static void
print_lines(const char *s, size_t n, int depth, struct buf *out)
{
	for (size_t i = 0; i < n;) {
		const char *nl = memchr(s + i, '\n', n - i);
		size_t len = nl == NULL ? n - i : (size_t)(nl - (s + i));

		buf_addch(out, '\n');
		indent(depth, out);
		buf_addstr(out, "| ");
		buf_add(out, s + i, len);
		i += len + 1;
	}
	buf_addch(out, '\n');
}

/* The rest of the line of a field whose name has been printed. */
static void
print_value(const json_t *j, int depth, struct buf *out)
{
	const char *s;
	size_t n;

	if (json_is_string(j)) {
		s = json_string_value(j);
		n = json_string_length(j);
		if (lines(s, n)) {
			print_lines(s, n, depth + 1, out);
			return;
		}
		buf_addch(out, ' ');
		if (plain(s, n))
			buf_add(out, s, n);
		else
			buf_add_quoted(out, s, n);
		buf_addch(out, '\n');
	} else if ((json_is_object(j) && json_object_size(j) > 0) || (json_is_array(j) && json_array_size(j) > 0)) {
		buf_addch(out, '\n');
		fields_print(j, depth + 1, out);
	} else {
		buf_addch(out, ' ');
		json_dump_buf(j, out);
		buf_addch(out, '\n');
	}
}

void
fields_print(const json_t *j, int depth, struct buf *out)
{
	const char *name;
	json_t *value;
	size_t i;

	if (json_is_object(j)) {
		json_object_foreach((json_t *)j, name, value) {
			indent(depth, out);
			buf_addf(out, "%s:", name);
			print_value(value, depth, out);
		}
	} else if (json_is_array(j)) {
		json_array_foreach(j, i, value) {
			indent(depth, out);
			buf_addch(out, '-');
			print_value(value, depth, out);
		}
	} else {
		indent(depth, out);
		json_dump_buf(j, out);
		buf_addch(out, '\n');
	}
}
