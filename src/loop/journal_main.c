/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/crash.h"
#include "base/helper.h"
#include "loop/journal_wire.h"

/*
 * weir-journal DIR: writes one controller's journal. Descriptor 0 is the folder DIR, descriptor 3 the
 * socket (loop/journal_wire.h). All that has come is written at once and synced once, then counted:
 * while a sync runs the next batch gathers in the socket.
 *
 * The folder's flock stays held until this process has drained the socket and is gone, also when its
 * controller died long before: readers take a held lock for "still being written". Whatever fails is
 * answered and ends the process; the controller starts another, which opens another segment.
 */
#define SOCK 3
#define READ_MIN  (256u << 10)
#define BATCH_MAX (4u << 20)	/* beyond this a batch is written before more is read */

struct writer {
	const char *dir;
	int	    dirfd;
	int	    fd;			/* the segment, or -1 */
	unsigned    segment;		/* its number */
	off_t	    written, durable;	/* how much of it is */
	bool	    named;		/* the names of the segment, and of the folders above it, are durable */
	bool	    folders;		/* those above are */
	bool	    header;		/* the next record is the segment's header */
	uint64_t    count;		/* durable records */
	struct buf  in;			/* read, not yet written */
};

static void no_return
writer_exit(struct writer *w, int status)
{
	if (w->fd != -1)
		close(w->fd);
	buf_release(&w->in);
	exit(status);
}

/* A controller that is gone needs no answer; the records it sent are written all the same. */
static void
writer_answer(const struct writer *w, int eno, enum journal_step step, const char *text)
{
	struct journal_answer a = { .count = w->count, .eno = eno, .step = step, .text = text, .len = strlen(text) };
	struct buf out = BUF_INIT;
	size_t off = 0;
	ssize_t n;

	journal_answer_add(&out, &a);
	crash_point("journal-before-ack");
	while (off < out.len) {
		n = send(SOCK, out.p + off, out.len - off, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			break;
		off += (size_t)n;
	}
	buf_release(&out);
}

static void
writer_segment_name(const struct writer *w, char *name, size_t size)
{
	snprintf(name, size, "%06u.wal", w->segment);
}

/*
 * What is not known to be durable is cut away, so that a segment ends with a whole record; one that
 * did not get its header goes altogether.
 */
static void
writer_cut(struct writer *w)
{
	char name[32];

	if (w->fd == -1)
		return;
	if (w->durable == 0) {
		writer_segment_name(w, name, sizeof name);
		unlinkat(w->dirfd, name, 0);
	} else if (ftruncate(w->fd, w->durable) == -1) {
		return;		/* a torn tail, which every reader passes over */
	}
	fdatasync(w->fd);
}

static void no_return
writer_fail(struct writer *w, int eno, enum journal_step step)
{
	char name[32] = "";
	struct buf text = BUF_INIT;

	if (w->fd != -1 || step == JOURNAL_STEP_CREATE)
		writer_segment_name(w, name, sizeof name);
	writer_cut(w);
	buf_addf(&text, "%s%s%s", w->dir, *name != '\0' ? "/" : "", name);
	writer_answer(w, eno, step, buf_str(&text));
	buf_release(&text);
	writer_exit(w, 1);
}

/* One past the highest number in the folder. */
static unsigned
writer_next_number(struct writer *w)
{
	int fd = openat(w->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	const struct dirent *e;
	unsigned n, last = 0;
	int end;

	if (d == NULL)
		writer_fail(w, errno, JOURNAL_STEP_READ);
	while ((e = readdir(d)) != NULL) {
		end = 0;
		if (sscanf(e->d_name, "%9u.wal%n", &n, &end) == 1 && end > 0 && e->d_name[end] == '\0' && n > last)
			last = n;
	}
	closedir(d);
	return last + 1;
}

/* A segment's name must be as durable as its records. */
static void
writer_sync_dir(struct writer *w, const char *path)
{
	int fd = openat(w->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 && errno == EACCES)
		return;		/* a folder above that is not ours: then it was there before us */
	crash_point("journal-before-folder-sync");
	if (fd == -1 || (fsync(fd) == -1 && errno != EINVAL))	/* EINVAL: nothing to sync in this file system */
		writer_fail(w, errno, JOURNAL_STEP_SYNC);
	close(fd);
}

static void
writer_open_segment(struct writer *w)
{
	char name[32];

	if (w->fd != -1)
		close(w->fd);
	for (;; w->segment++) {
		writer_segment_name(w, name, sizeof name);
		w->fd = openat(w->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
		if (w->fd != -1)
			break;
		if (errno != EEXIST)
			writer_fail(w, errno, JOURNAL_STEP_CREATE);
	}
	crash_point("journal-segment-opened");
	w->written = w->durable = 0;
	w->header = true;
	w->named = false;
}

static void
writer_sync_names(struct writer *w)
{
	if (w->named)
		return;
	writer_sync_dir(w, ".");
	if (!w->folders) {
		writer_sync_dir(w, "..");
		writer_sync_dir(w, "../..");
	}
	w->named = w->folders = true;
}

static void
writer_write(struct writer *w, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(w->fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			writer_fail(w, errno, JOURNAL_STEP_WRITE);
		p += n;
		len -= (size_t)n;
	}
}

/* Makes whole records durable, n of which count. A header alone promises nothing: it can wait for the first of them. */
static void
writer_commit(struct writer *w, const char *p, size_t len, uint64_t n)
{
	if (len == 0)
		return;
	if (w->fd == -1)
		writer_fail(w, EPROTO, JOURNAL_STEP_READ);
	writer_write(w, p, len);
	w->written += (off_t)len;
	if (n == 0)
		return;
	writer_sync_names(w);
	crash_point("journal-before-sync");
	if (fdatasync(w->fd) == -1)
		writer_fail(w, errno, JOURNAL_STEP_SYNC);
	crash_point("journal-after-sync");
	w->durable = w->written;
	w->count += n;
}

/* Writes the whole items of what was read. Returns false if there was none. */
static bool
writer_batch(struct writer *w)
{
	size_t start = 0, off = 0, next = 0;
	uint64_t n = 0;

	for (;;) {
		switch (journal_item_next(w->in.p + off, w->in.len - off, &next)) {
		case JOURNAL_ITEM_RECORD:
			off += next;
			n += !w->header;
			w->header = false;
			continue;
		case JOURNAL_ITEM_SEGMENT:
			writer_commit(w, w->in.p + start, off - start, n);
			n = 0;
			off += next;
			start = off;
			w->segment++;
			writer_open_segment(w);
			continue;
		case JOURNAL_ITEM_MORE:
			writer_commit(w, w->in.p + start, off - start, n);
			buf_drop(&w->in, off);
			return off > 0;
		case JOURNAL_ITEM_BAD:
			writer_commit(w, w->in.p + start, off - start, n);
			writer_fail(w, EPROTO, JOURNAL_STEP_READ);
		}
	}
}

/* Takes what the socket holds; waits only for the first of it. Returns false at its end. */
static bool
writer_read(struct writer *w)
{
	int flags = 0;
	ssize_t n;

	for (;;) {
		buf_reserve(&w->in, READ_MIN);
		n = recv(SOCK, w->in.p + w->in.len, READ_MIN, flags);
		if (n > 0) {
			w->in.len += (size_t)n;
			if (w->in.len >= BATCH_MAX)
				return true;
			flags = MSG_DONTWAIT;
		} else if (n == 0 || errno == ECONNRESET) {
			return false;
		} else if (errno == EAGAIN) {
			return true;
		} else if (errno != EINTR) {
			writer_fail(w, errno, JOURNAL_STEP_READ);
		}
	}
}

/*
 * The terminal's signals do not reach us (own session); those that a service manager sends to every
 * process of a service must not end us before the controller has ended and the socket is drained.
 */
static void
writer_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXFSZ };
	size_t i;

	for (i = 0; i < nitems(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

int
main(int argc, char **argv)
{
	struct writer w = { .dirfd = 0, .fd = -1 };
	struct stat st;
	bool more;

	if (helper_about(argc, argv, "weir-journal",
		"weir-journal writes the records of one process of weir, and is started by it, never by hand.\n"
		"What it has been given it still writes when that process dies. See weir-snapshot(5) for what it writes.\n"))
		return 0;
	if (argc != 2 || fstat(0, &st) == -1 || !S_ISDIR(st.st_mode) || fstat(SOCK, &st) == -1 ||
	    !S_ISSOCK(st.st_mode)) {
		fprintf(stderr, "weir-journal: started by weir, not by hand\n");
		return 2;
	}
	writer_signals();
	w.dir = argv[1];
	/* The client holds this lock through the same open folder; from here on it is ours too. */
	if (flock(w.dirfd, LOCK_EX | LOCK_NB) == -1)
		writer_fail(&w, errno, JOURNAL_STEP_LOCK);
	if (chdir("/") == -1)
		writer_fail(&w, errno, JOURNAL_STEP_LOCK);
	w.segment = writer_next_number(&w) - 1;
	do {
		more = writer_read(&w);
		if (writer_batch(&w))
			writer_answer(&w, 0, JOURNAL_STEP_SYNC, "");
		/* While the controller makes its first record. */
		if (more && w.fd != -1)
			writer_sync_names(&w);
	} while (more);
	writer_exit(&w, 0);
}
