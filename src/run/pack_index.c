/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pack_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/xalloc.h"
#include "run/pack_build.h"

/*
 * What a reader would get wrong: an index is believed only after all of it was checked, its sum and every
 * number that is a place; so nobody behind pack_open() need ask again, and what does not fit is not mended
 * but made anew.
 */
#define MAGIC  "weirpidx"
#define ORDER  0x01020304u
#define SCHEMA 1u

struct head {
	char	 magic[8];
	uint32_t order, schema;
	uint64_t size;			/* of this file */
	uint64_t pack_size;
	char	 first[FRAME_HEAD], last[FRAME_HEAD];	/* heads of the pack's first and last block */
	uint32_t nsections, nrows, nblocks, nexecs, nidents;
	uint32_t sum;			/* CRC-32C of the whole file, with 0 here */
	uint64_t text;			/* bytes */
};

static uint64_t
up8(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}

/* Where the tables lie follows from their counts. */
struct places {
	uint64_t sections, rows, blocks, execs, idents, by_ident, text, end;
};

static struct places
places_of(const struct head *h)
{
	struct places p;

	p.sections = up8(sizeof *h);
	p.rows = p.sections + h->nsections * (uint64_t)sizeof(struct pack_section);
	p.blocks = p.rows + h->nrows * (uint64_t)sizeof(struct pack_row);
	p.execs = p.blocks + ((uint64_t)h->nblocks + 1) * sizeof(uint64_t);
	p.idents = up8(p.execs + h->nexecs * (uint64_t)sizeof(struct pack_exec));
	p.by_ident = p.idents + h->nidents * (uint64_t)sizeof(struct pack_ident);
	p.text = up8(p.by_ident + h->nexecs * (uint64_t)sizeof(uint32_t));
	p.end = p.text + h->text;
	return p;
}

static void
set_tables(struct pack *p, const struct head *h)
{
	struct places at = places_of(h);
	const char *m = p->map;

	p->nsections = h->nsections;
	p->nrows = h->nrows;
	p->nblocks = h->nblocks;
	p->nexecs = h->nexecs;
	p->nidents = h->nidents;
	p->sections = (const void *)(m + at.sections);
	p->rows = (const void *)(m + at.rows);
	p->blocks = (const void *)(m + at.blocks);
	p->execs = (const void *)(m + at.execs);
	p->idents = (const void *)(m + at.idents);
	p->by_ident = (const void *)(m + at.by_ident);
	p->text = m + at.text;
}

/* Reading. */

static uint32_t
sum_of(const char *map, size_t size)
{
	struct head h;

	memcpy(&h, map, sizeof h);
	h.sum = 0;
	return crc32c(crc32c(0, &h, sizeof h), map + sizeof h, size - sizeof h);
}

static bool
head_fits(const struct pack *p, const struct head *h)
{
	return memcmp(h->magic, MAGIC, sizeof h->magic) == 0 && h->order == ORDER && h->schema == SCHEMA &&
	    h->size == p->map_size && h->pack_size == p->size && h->text <= h->size && places_of(h).end == h->size;
}

static bool
is_block_head(const struct pack *p, uint64_t offset, const char *head)
{
	char b[FRAME_HEAD];

	return pread(p->fd, b, sizeof b, (off_t)offset) == sizeof b && memcmp(b, head, sizeof b) == 0;
}

static bool
is_of_pack(const struct pack *p, const struct head *h)
{
	if (p->blocks[p->nblocks] != p->size)
		return false;
	return p->nblocks == 0 ||
	    (is_block_head(p, p->blocks[0], h->first) && is_block_head(p, p->blocks[p->nblocks - 1], h->last));
}

static bool
within(uint64_t at, uint64_t n, uint64_t size)
{
	return at <= size && n <= size - at;
}

static bool
tables_fit(const struct pack *p, uint64_t ntext)
{
	for (uint32_t i = 0; i < p->nsections; i++) {
		const struct pack_section *s = &p->sections[i];

		if (memchr(s->controller, '\0', PACK_NAME) == NULL || s->from > s->to || s->to > p->size ||
		    !within(s->row, s->nrows, p->nrows))
			return false;
	}
	for (uint32_t i = 0; i < p->nrows; i++)
		if (p->rows[i].section >= p->nsections || !within(p->rows[i].snapshot, p->rows[i].snapshot_len, ntext))
			return false;
	for (uint32_t i = 0; i < p->nblocks; i++)
		if (p->blocks[i] > p->blocks[i + 1])
			return false;
	for (uint32_t i = 0; i < p->nexecs; i++)
		if (p->execs[i].row >= p->nrows || p->execs[i].block >= p->nblocks || p->by_ident[i] >= p->nexecs)
			return false;
	for (uint32_t i = 0; i < p->nidents; i++)
		if (!within(p->idents[i].text, p->idents[i].len, ntext) ||
		    !within(p->idents[i].first, p->idents[i].n, p->nexecs))
			return false;
	return true;
}

static void
unmap(struct pack *p)
{
	if (p->mapped)
		munmap(p->map, p->map_size);
	else
		free(p->map);
	p->map = NULL;
	p->map_size = 0;
	p->mapped = false;
}

/* The index file, if it can be believed. */
static bool
index_load(struct pack *p, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct head h;
	struct stat st;
	bool good;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof h) {
		p->map_size = (size_t)st.st_size;
		p->map = mmap(NULL, p->map_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
		p->mapped = p->map != MAP_FAILED;
	}
	close(fd);
	if (!p->mapped) {
		p->map = NULL;
		return false;
	}
	memcpy(&h, p->map, sizeof h);
	good = head_fits(p, &h) && sum_of(p->map, p->map_size) == h.sum;
	if (good)
		set_tables(p, &h);
	if (good && is_of_pack(p, &h) && tables_fit(p, h.text))
		return true;
	unmap(p);
	return false;
}

/* Making. */

static void
pad8(struct buf *b)
{
	static const char zeros[8];

	buf_add(b, zeros, up8(b->len) - b->len);
}

static void
block_head(const struct pack *p, uint64_t offset, char *head)
{
	if (pread(p->fd, head, FRAME_HEAD, (off_t)offset) != FRAME_HEAD)
		memset(head, 0, FRAME_HEAD);
}

static void
serialize(const struct pack *p, const struct pack_build *b, struct buf *out)
{
	struct head h = { .magic = MAGIC, .order = ORDER, .schema = SCHEMA, .pack_size = p->size,
	    .nsections = b->nsections, .nrows = b->nrows, .nblocks = b->nblocks, .nexecs = b->nexecs,
	    .nidents = b->nidents, .text = b->text.len };
	char zeros[sizeof h] = { 0 };

	memcpy(h.magic, MAGIC, sizeof h.magic);
	if (b->nblocks > 0) {
		block_head(p, b->blocks[0], h.first);
		block_head(p, b->blocks[b->nblocks - 1], h.last);
	}
	h.size = places_of(&h).end;
	buf_reserve(out, h.size);
	buf_add(out, zeros, sizeof h);
	pad8(out);
	buf_add(out, b->sections, b->nsections * sizeof *b->sections);
	buf_add(out, b->rows, b->nrows * sizeof *b->rows);
	buf_add(out, b->blocks, b->nblocks * sizeof *b->blocks);
	buf_add(out, &p->size, sizeof p->size);
	buf_add(out, b->execs, b->nexecs * sizeof *b->execs);
	pad8(out);
	buf_add(out, b->idents, b->nidents * sizeof *b->idents);
	buf_add(out, b->by_ident, b->nexecs * sizeof *b->by_ident);
	pad8(out);
	buf_add(out, b->text.p, b->text.len);
	memcpy(out->p, &h, sizeof h);
	h.sum = sum_of(out->p, out->len);
	memcpy(out->p, &h, sizeof h);
}

static struct err *
index_build(const struct pack *p, struct buf *out)
{
	struct pack_build b;
	struct err *err = pack_build(p->fd, p->path, p->size, &b);

	if (err == NULL)
		serialize(p, &b, out);
	pack_build_release(&b);
	return err;
}

/* Under a name of its own first: two that do this at once make the same file. It need not be durable. */
static struct err *
index_save(const struct buf *b, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *tmp = xasprintf("%.*s/.%s.%ld.tmp", (int)(slash - path), path, slash + 1, (long)getpid());
	FILE *f = fopen(tmp, "we");
	struct err *err = NULL;
	bool ok;

	if (f == NULL) {
		err = err_errno(errno, "write", "%s", tmp);
		free(tmp);
		return err;
	}
	ok = fwrite(b->p, 1, b->len, f) == b->len;
	ok = fclose(f) == 0 && ok;
	crash_point("pack-index-written");
	if (!ok || rename(tmp, path) < 0) {
		err = err_errno(errno, "write", "%s", path);
		(void)unlink(tmp);
	}
	free(tmp);
	return err;
}

char *
pack_index_path(const char *pack_path)
{
	size_t n = strlen(pack_path), suffix = strlen(PACK_SUFFIX);

	return xasprintf("%.*s.idx", (int)(n > suffix ? n - suffix : n), pack_path);
}

static struct err *
open_file(const char *path, struct pack **out)
{
	struct pack *p = xcalloc(1, sizeof *p);
	struct stat st;

	p->path = xstrdup(path);
	p->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0 || fstat(p->fd, &st) < 0) {
		struct err *err = err_errno(errno, "open", "%s", path);

		pack_close(p);
		return err;
	}
	p->size = (uint64_t)st.st_size;
	*out = p;
	return NULL;
}

/* The index in memory; saved where that is allowed, which is nobody's concern when it is not. */
static struct err *
index_make(struct pack *p, const char *path)
{
	struct buf b = BUF_INIT;
	struct err *err = index_build(p, &b);
	struct head h;

	if (err != NULL) {
		buf_release(&b);
		return err;
	}
	err_free(index_save(&b, path));
	p->map = buf_take(&b, &p->map_size);
	memcpy(&h, p->map, sizeof h);
	set_tables(p, &h);
	return NULL;
}

struct err *
pack_open(const char *path, struct pack **out)
{
	struct pack *p = NULL;
	struct err *err = open_file(path, &p);
	char *index;

	if (err != NULL)
		return err;
	index = pack_index_path(path);
	if (!index_load(p, index))
		err = index_make(p, index);
	free(index);
	if (err != NULL) {
		pack_close(p);
		return err;
	}
	*out = p;
	return NULL;
}

struct err *
pack_index_write(const char *pack_path, const char *index_path)
{
	struct buf b = BUF_INIT;
	struct pack *p = NULL;
	struct err *err = open_file(pack_path, &p);

	if (err == NULL)
		err = index_build(p, &b);
	if (err == NULL)
		err = index_save(&b, index_path);
	buf_release(&b);
	pack_close(p);
	return err;
}

void
pack_close(struct pack *p)
{
	if (p == NULL)
		return;
	unmap(p);
	if (p->fd >= 0)
		close(p->fd);
	free(p->path);
	free(p);
}

uint32_t
pack_exec_at(const struct pack *p, const struct digest *key)
{
	uint32_t lo = 0, hi = p->nexecs;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (digest_cmp(&p->execs[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
