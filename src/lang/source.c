/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "lang/bundle.h"

/*
 * The cache of texts of one compilation: a sorted table from key to source. A key that failed is not
 * remembered, so a file that appears between two compilations of a long-lived process is seen, but within one
 * compilation a text, once read, never changes.
 */
struct sources {
	struct source_text **v;	/* sorted by path, byte order */
	size_t		n;
	size_t		cap;
	struct bundle  *bundle;	/* owned: stands for the file system; or NULL */
};

struct sources *
sources_new(void)
{
	return xcalloc(1, sizeof(struct sources));
}

struct sources *
sources_from_bundle(struct bundle *bundle)
{
	struct sources *s = sources_new();

	s->bundle = bundle;
	return s;
}

static void
source_free(struct source_text *src)
{
	free((char *)src->path);
	free((char *)src->raw);
	free(src);
}

void
sources_free(struct sources *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		source_free(s->v[i]);
	free(s->v);
	bundle_free(s->bundle);
	free(s);
}

/* Where path stands, or would stand. */
static size_t
position_of(const struct sources *s, const char *path, bool *found)
{
	size_t lo = 0, hi = s->n;

	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(s->v[mid]->path, path);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
insert_at(struct sources *s, size_t at, struct source_text *src)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 8 : 2 * s->cap;
		s->v = xreallocarray(s->v, s->cap, sizeof *s->v);
	}
	memmove(s->v + at + 1, s->v + at, (s->n - at) * sizeof *s->v);
	s->v[at] = src;
	s->n++;
}

/* A program is UTF-8 without NUL. The scan also finds where it is not. */
static struct err *
check_text(const char *path, const char *text, size_t len)
{
	unsigned line = 1, col = 1;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = utf8_next(text + i, len - i, NULL);
		if (n == 0)
			return err_msg(ERR_INVALID, "%s:%u:%u: not UTF-8: byte 0x%02x", path, line, col,
			    (unsigned char)text[i]);
		if (text[i] == '\0')
			return err_msg(ERR_INVALID, "%s:%u:%u: NUL byte in a program", path, line, col);
		col++;
		if (text[i] == '\n') {
			line++;
			col = 1;
		}
	}
	return NULL;
}

static struct err *
check_size(const char *path, size_t len)
{
	if (len > SOURCE_MAX_BYTES)
		return err_msg(ERR_INVALID, "%s: larger than %u MiB", path, SOURCE_MAX_BYTES >> 20);
	return NULL;
}

/* Takes raw, also on failure. */
static struct err *
source_make(const char *path, char *raw, size_t rawlen, struct source_text **out)
{
	struct source_text *src;
	struct err *err = check_size(path, rawlen);
	size_t skip = rawlen >= 3 && memcmp(raw, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	bool archive = source_is_archive(path);

	if (archive)
		skip = 0;
	else if (err == NULL)
		err = check_text(path, raw + skip, rawlen - skip);
	if (err != NULL) {
		free(raw);
		return err;
	}
	src = xcalloc(1, sizeof *src);
	src->path = xstrdup(path);
	src->raw = raw;
	src->rawlen = rawlen;
	src->text = raw + skip;
	src->len = rawlen - skip;
	src->archive = archive;
	sha256_of(raw, rawlen, &src->digest);
	*out = src;
	return NULL;
}

static struct err *
read_regular(const char *path, int fd, struct buf *b)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_errno(errno, "stat", "%s", path);
	if (S_ISDIR(st.st_mode))
		return err_msg(ERR_INVALID, "%s: is a directory, not a program", path);
	if (!S_ISREG(st.st_mode))
		return err_msg(ERR_INVALID, "%s: not a regular file", path);
	if (st.st_size > SOURCE_MAX_BYTES)
		return check_size(path, (size_t)st.st_size);
	return buf_read_fd(b, fd, path, SOURCE_MAX_BYTES);
}

static struct err *
read_file(const char *path, struct buf *b)
{
	struct err *err;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);	/* a FIFO must not make us wait */

	if (fd < 0)
		return err_errno(errno, "open", "%s", path);
	err = read_regular(path, fd, b);
	close(fd);
	return err;
}

static struct err *
read_bundled(struct bundle *bundle, const char *path, struct buf *b)
{
	size_t len;
	const char *p = bundle_find(bundle, path, &len, NULL);

	if (p == NULL)
		return err_msg(ERR_NOT_EXIST, "%s: not in the bundle", path);
	buf_add(b, p, len);
	return NULL;
}

struct err *
sources_get(struct sources *s, const char *path, const struct source_text **out)
{
	struct buf b = BUF_INIT;
	struct source_text *src;
	struct err *err;
	size_t at, len;
	bool found;

	at = position_of(s, path, &found);
	if (found) {
		*out = s->v[at];
		return NULL;
	}
	if (source_is_system(path))
		return err_msg(ERR_NOT_EXIST, "no system module named %s", path + 2);
	if (source_is_legacy(path))
		return err_msg(ERR_NOT_SUPPORTED, "%s: .reflow modules are not supported; write an .rf module", path);
	err = s->bundle != NULL ? read_bundled(s->bundle, path, &b) : read_file(path, &b);
	if (err == NULL) {
		buf_reserve(&b, 1);	/* an empty file has bytes too: none, and a NUL */
		b.p[b.len] = '\0';
		len = b.len;
		err = source_make(path, buf_take(&b, NULL), len, &src);
	}
	buf_release(&b);
	if (err != NULL)
		return err;
	insert_at(s, at, src);
	*out = src;
	return NULL;
}

static struct err *
add(struct sources *s, const char *path, const char *text, size_t len, bool system, const struct source_text **out)
{
	struct buf b = BUF_INIT;
	struct source_text *src;
	struct err *err;
	size_t at;
	bool found;

	buf_reserve(&b, len + 1);
	buf_add(&b, text, len);
	b.p[b.len] = '\0';
	err = source_make(path, buf_take(&b, NULL), len, &src);
	if (err != NULL)
		return err;
	src->system = system;
	at = position_of(s, path, &found);
	if (found) {
		source_free(src);
		return err_msg(ERR_INVALID, "%s: added twice", path);
	}
	insert_at(s, at, src);
	if (out != NULL)
		*out = src;
	return NULL;
}

struct err *
sources_add(struct sources *s, const char *path, const char *text, size_t len, const struct source_text **out)
{
	return add(s, path, text, len, false, out);
}

struct err *
sources_add_system(struct sources *s, const char *path, const char *text, size_t len, const struct source_text **out)
{
	return add(s, path, text, len, true, out);
}

void
sources_each(const struct sources *s, void (*fn)(const struct source_text *, void *), void *arg)
{
	for (size_t i = 0; i < s->n; i++)
		fn(s->v[i], arg);
}

size_t
sources_count(const struct sources *s)
{
	return s->n;
}

/* ---- Keys ---- */

static bool
ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && strcmp(s + n - k, end) == 0;
}

bool
source_is_system(const char *path)
{
	return strncmp(path, "$/", 2) == 0;
}

bool
source_is_archive(const char *path)
{
	return ends_in(path, ".rfx");
}

bool
source_is_legacy(const char *path)
{
	return ends_in(path, ".reflow");
}

/* Takes one element off a cleaned path, unless there is none to take. */
static bool
drop_last(struct buf *b, size_t root)
{
	size_t n = b->len;

	while (n > root && b->p[n - 1] != '/')
		n--;
	if (b->len == root || strcmp(b->p + n, "..") == 0)
		return false;
	b->len = n > root ? n - 1 : root;
	b->p[b->len] = '\0';
	return true;
}

static void
add_element(struct buf *b, size_t root, const char *p, size_t n)
{
	if (n == 0 || (n == 1 && p[0] == '.'))
		return;
	if (n == 2 && p[0] == '.' && p[1] == '.' && (drop_last(b, root) || root == 1))
		return;
	if (b->len > root)
		buf_addch(b, '/');
	buf_add(b, p, n);
}

static void
add_cleaned(struct buf *b, size_t root, const char *p, size_t len)
{
	for (size_t i = 0, from = 0; i <= len; i++) {
		if (i < len && p[i] != '/')
			continue;
		add_element(b, root, p + from, i - from);
		from = i + 1;
	}
}

char *
source_resolve(const char *importer, const char *path)
{
	struct buf b = BUF_INIT;
	const char *slash;
	size_t root = 0;

	if (strncmp(path, "./", 2) != 0 && strncmp(path, "../", 3) != 0)
		return xstrdup(path);
	buf_reserve(&b, 1);
	if (importer != NULL && importer[0] == '/') {
		buf_addch(&b, '/');
		root = 1;
	}
	slash = importer == NULL ? NULL : strrchr(importer, '/');
	if (slash != NULL)
		add_cleaned(&b, root, importer, (size_t)(slash - importer));
	add_cleaned(&b, root, path, strlen(path));
	if (b.len == 0)
		buf_addch(&b, '.');
	return buf_take(&b, NULL);
}
