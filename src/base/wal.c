/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"

/*
 * The reading side of a journal. A segment may grow while it is read: what lies beyond the last
 * whole frame is reported as FRAME_TORN, and only the caller knows (wal_is_live) whether that is
 * damage or a record on its way.
 */

#define READ_STEP (256u << 10)

struct scan {
	struct wal_pos pos;	/* of the frame at p[off] */
	int	       fd;	/* -1: no segment is open */
	struct buf     b;
	size_t	       off;	/* in b, of the frame at pos */
	size_t	       seen;	/* length of that frame if it was handed out */
	bool	       eof;
	wal_damage_cb *damage;
	void	      *arg;
};

/* Reads one more step; memory stays bounded by the longest frame that the file really holds. */
static struct err *
scan_fill(struct scan *s)
{
	ssize_t n;

	buf_drop(&s->b, s->off);
	s->off = 0;
	buf_reserve(&s->b, READ_STEP);
	do
		n = read(s->fd, s->b.p + s->b.len, READ_STEP);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(errno, "read", "%s", s->pos.path);
	s->b.len += (size_t)n;
	s->b.p[s->b.len] = '\0';
	s->eof = n == 0;
	return NULL;
}

static void
scan_damage(struct scan *s, enum frame_state state)
{
	uint64_t end = s->pos.offset + (s->b.len - s->off);
	struct stat st;

	if (fstat(s->fd, &st) == 0 && (uint64_t)st.st_size > end)
		end = (uint64_t)st.st_size;
	if (s->damage)
		s->damage(&s->pos, state, end - s->pos.offset, s->arg);
}

/* payload NULL: the readable part of the segment is over. */
static struct err *
scan_next(struct scan *s, const char **payload, size_t *len)
{
	s->off += s->seen;
	s->pos.offset += s->seen;
	s->seen = 0;
	*payload = NULL;
	for (;;) {
		enum frame_state state = FRAME_TORN;
		struct err *err;

		if (s->b.len > s->off || s->eof)
			state = frame_next(s->b.p + s->off, s->b.len - s->off, payload, len, &s->seen);
		if (state == FRAME_TORN && !s->eof) {
			err = scan_fill(s);
			if (err)
				return err;
			continue;
		}
		if (state == FRAME_TORN || state == FRAME_BAD)
			scan_damage(s, state);
		return NULL;
	}
}

static struct err *
scan_open(struct scan *s, const char *path)
{
	s->pos = (struct wal_pos){ path, 0 };
	s->off = s->seen = 0;
	s->eof = false;
	buf_clear(&s->b);
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	return s->fd < 0 ? err_errno(errno, "open", "%s", path) : NULL;
}

static void
scan_close(struct scan *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

struct err *
wal_scan_file(const char *path, wal_record_cb *record, wal_damage_cb *damage, void *arg)
{
	struct scan s = { .fd = -1, .damage = damage, .arg = arg };
	struct err *err = scan_open(&s, path);
	const char *payload = NULL;
	size_t len = 0;

	while (!err) {
		err = scan_next(&s, &payload, &len);
		if (err || !payload)
			break;
		err = record(&s.pos, payload, len, arg);
	}
	buf_release(&s.b);
	scan_close(&s);
	return err;
}

/* The number of a segment from its name `NNNNNN.wal` (six digits or more), or 0. */
static uint64_t
segment_number(const char *name)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; name[i] >= '0' && name[i] <= '9' && i < 18; i++)
		n = 10 * n + (uint64_t)(name[i] - '0');
	return i >= 6 && strcmp(name + i, ".wal") == 0 ? n : 0;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = segment_number(*(char *const *)a), y = segment_number(*(char *const *)b);

	return x < y ? -1 : x > y;
}

static struct err *
list_segments(const char *dir, char ***names, size_t *n)
{
	DIR *d = opendir(dir);
	struct err *err = NULL;
	struct dirent *de;

	if (!d)
		return err_errno(errno, "open", "%s", dir);
	while (errno = 0, (de = readdir(d))) {
		if (!segment_number(de->d_name))
			continue;
		*names = xreallocarray(*names, *n + 1, sizeof **names);
		(*names)[(*n)++] = xstrdup(de->d_name);
	}
	if (errno)
		err = err_errno(errno, "read", "%s", dir);
	closedir(d);
	if (*n)
		qsort(*names, *n, sizeof **names, by_number);
	return err;
}

struct wal_reader {
	char	  **names, *path;	/* path: of the segment that is read */
	size_t	    n, next;
	char	   *dir;
	struct scan s;
};

struct err *
wal_reader_open(const char *dir, wal_damage_cb *damage, void *arg, struct wal_reader **out)
{
	struct wal_reader *r = xcalloc(1, sizeof *r);
	struct err *err;

	r->dir = xstrdup(dir);
	r->s.fd = -1;
	r->s.damage = damage;
	r->s.arg = arg;
	err = list_segments(dir, &r->names, &r->n);
	if (err) {
		wal_reader_close(r);
		return err;
	}
	*out = r;
	return NULL;
}

static struct err *
reader_segment(struct wal_reader *r)
{
	scan_close(&r->s);
	free(r->path);
	r->path = xasprintf("%s/%s", r->dir, r->names[r->next++]);
	return scan_open(&r->s, r->path);
}

struct err *
wal_reader_next(struct wal_reader *r, const char **payload, size_t *len)
{
	struct err *err = NULL;

	*payload = NULL;
	while (!err && !*payload) {
		if (r->s.fd >= 0)
			err = scan_next(&r->s, payload, len);
		if (err || *payload || r->next == r->n)
			break;
		err = reader_segment(r);
	}
	return err;
}

void
wal_reader_close(struct wal_reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		free(r->names[i]);
	free(r->names);
	free(r->path);
	free(r->dir);
	scan_close(&r->s);
	buf_release(&r->s.b);
	free(r);
}

struct err *
wal_scan_dir(const char *dir, wal_record_cb *record, wal_damage_cb *damage, void *arg)
{
	struct wal_reader *r;
	const char *payload;
	size_t len;
	struct err *err = wal_reader_open(dir, damage, arg, &r);

	if (err)
		return err;
	while (!(err = wal_reader_next(r, &payload, &len)) && payload) {
		err = record(&r->s.pos, payload, len, arg);
		if (err)
			break;
	}
	wal_reader_close(r);
	return err;
}

struct err *
wal_dir_size(const char *dir, uint64_t *bytes, size_t *segments)
{
	char **names = NULL;
	struct err *err;
	struct stat st;

	*bytes = 0;
	*segments = 0;
	err = list_segments(dir, &names, segments);
	for (size_t i = 0; i < *segments; i++) {
		char *path = xasprintf("%s/%s", dir, names[i]);

		if (stat(path, &st) == 0)
			*bytes += (uint64_t)st.st_size;
		free(path);
		free(names[i]);
	}
	free(names);
	return err;
}

/* The probe takes the lock shared for an instant: wal_lock() knows. */
bool
wal_is_live(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool live;

	if (fd < 0)
		return false;
	live = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return live;
}

/* A writer keeps the lock for long, a probe for microseconds: 50 ms tell them apart. */
int
wal_lock(int dirfd)
{
	for (int tries = 0;; tries++) {
		if (flock(dirfd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK || tries == 50)
			return errno;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}
