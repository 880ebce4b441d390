/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/frame.h"
#include "base/wal.h"
#include "base/xalloc.h"
#include "run/record.h"
#include "sim/ctl.h"
#include "sim/disk.h"
#include "sim/watch.h"

/*
 * The journal process of one controller. A record is sent when it is appended (the socket takes it), is
 * written and synced with all that wait, and is acknowledged by a message. What a reader would get wrong:
 * a record may be on disk although nobody was told, and then it may be there twice.
 */
#define RESTART_DELAY MILLIS(20)
#define SEGMENT_BYTES 24000	/* small, so that runs have several */

struct entry {			/* a record that its controller does not know to be durable */
	TAILQ_ENTRY(entry) link;
	uint64_t seq;
	char	*payload;
	size_t	 len;
	struct seen *seen;
	enum { E_SENT, E_WRITING, E_DURABLE } state;
};
struct sim_journal {
	struct world *world;
	struct ctl   *ctl;	/* NULL: orphaned */
	struct journal *client;	/* of the controller */
	char	     *id, *dir;
	int	      dirfd, fd;	/* fd: the segment */
	unsigned      segment;
	size_t	      segment_bytes;
	bool	      up, full, failed;	/* failed: the client was told, and must ask again */
	TAILQ_HEAD(, entry) entries;
	struct timer  sync, restart;
	struct post   answers;
	bool	      syncing;
	uint64_t      nsyncs;
};

static void
write_all(int fd, const char *p, size_t n)
{
	if (write(fd, p, n) != (ssize_t)n)
		abort();
}

static void
segment_open(struct sim_journal *j, uint64_t first)
{
	char *path = xasprintf("%s/%06u.wal", j->dir, ++j->segment);
	struct buf payload = BUF_INIT, frame = BUF_INIT;

	if (j->fd >= 0)
		close(j->fd);
	j->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	record_header(&payload, first, loop_wall(j->world->loop), j->id, "host.example", "boot");
	frame_add(&frame, payload.p, payload.len);
	write_all(j->fd, frame.p, frame.len);
	j->segment_bytes = frame.len;
	buf_release(&payload);
	buf_release(&frame);
	free(path);
	if (j->up && j->segment > 1)
		world_step(j->world, STEP_SEGMENT, NULL, 0);
}

static void
entry_free(struct sim_journal *j, struct entry *e)
{
	TAILQ_REMOVE(&j->entries, e, link);
	seen_unref(e->seen);
	free(e->payload);
	free(e);
}

static void journal_start_sync(struct sim_journal *);

/* Answers, on the controller's loop. */

struct answer {
	struct sim_journal *j;
	uint64_t durable;
	bool	 full;
};

static void
answer_run(void *data)
{
	struct answer a = *(struct answer *)data;
	struct entry *e;

	free(data);
	if (ctl_is_dead(a.j->ctl))
		return;
	while ((e = TAILQ_FIRST(&a.j->entries)) && e->seq <= a.durable) {
		struct seen *seen = e->seen;

		e->seen = NULL;
		entry_free(a.j, e);
		watch_acknowledged(a.j->world->watch, seen);
		seen_unref(seen);
	}
	if (ctl_is_dead(a.j->ctl))
		return;
	if (a.full)
		journal_sink_failed(a.j->client, err_errno(ENOSPC, "write journal", "%s", a.j->id));
	else if (a.durable > journal_durable_seq(a.j->client))
		journal_sink_durable(a.j->client, a.durable);
}

static void
journal_answer(struct sim_journal *j, uint64_t durable, bool full)
{
	struct answer *a;

	if (!j->ctl || ctl_is_dead(j->ctl))
		return;
	a = xmalloc(sizeof *a);
	*a = (struct answer){ j, durable, full };
	post_send(&j->answers, world_delay(j->world, &j->world->network, "journal answers", ctl_number(j->ctl), j->nsyncs),
	    answer_run, free, a);
}

/* The disk. */

/* The process of a controller that is gone leaves when nothing is to be written, or can be. */
static void
journal_leave(struct sim_journal *j)
{
	if (j->ctl || (j->up && !j->failed && !sim_journal_drained(j)))
		return;
	j->up = false;
	if (j->dirfd >= 0)
		close(j->dirfd);
	j->dirfd = -1;
}

static void
entry_write(struct sim_journal *j, struct entry *e)
{
	struct buf frame = BUF_INIT;
	bool up = j->up;

	if (j->fd < 0 || j->segment_bytes > SEGMENT_BYTES)
		segment_open(j, e->seq);
	if (up && !j->up)	/* killed at that very step; who killed it has looked after the entry */
		return;
	frame_add(&frame, e->payload, e->len);
	write_all(j->fd, frame.p, frame.len);
	j->segment_bytes += frame.len;
	buf_release(&frame);
	e->state = E_DURABLE;
	watch_durable(j->world->watch, e->seen);
}

static void
sync_cb(void *arg)
{
	struct sim_journal *j = arg;
	struct entry *e;
	uint64_t durable = 0;

	j->syncing = false;
	if (j->full) {
		TAILQ_FOREACH(e, &j->entries, link)
			if (e->state == E_WRITING)
				e->state = E_SENT;
		j->failed = true;
		world_say(j->world, "journal of c%u: the disk is full", j->ctl ? ctl_number(j->ctl) : 0);
		journal_answer(j, 0, true);
		journal_leave(j);
		return;
	}
	TAILQ_FOREACH(e, &j->entries, link) {
		if (e->state == E_WRITING)
			entry_write(j, e);
		if (!j->up)	/* killed at that very step */
			return;
		if (e->state == E_DURABLE)
			durable = e->seq;
	}
	journal_answer(j, durable, false);
	journal_start_sync(j);
	journal_leave(j);
}

static void
journal_start_sync(struct sim_journal *j)
{
	struct entry *e;
	bool any = false;

	if (j->syncing || !j->up || j->failed)
		return;
	TAILQ_FOREACH(e, &j->entries, link) {
		if (e->state != E_SENT)
			continue;
		e->state = E_WRITING;
		any = true;
	}
	if (!any)
		return;
	j->syncing = true;
	timer_set(&j->sync, world_delay(j->world, &j->world->disk, "sync", j->segment, ++j->nsyncs));
}

/* The client's side. */

static void
sink_append(uint64_t seq, const void *payload, size_t len, void *arg)
{
	struct sim_journal *j = arg;
	struct entry *e;

	if (!j->ctl || ctl_is_dead(j->ctl))
		return;
	e = xcalloc(1, sizeof *e);
	e->seq = seq;
	e->payload = xmemdup(payload, len);
	e->len = len;
	e->seen = watch_record(j->world->watch, j->ctl, payload, len);
	TAILQ_INSERT_TAIL(&j->entries, e, link);
	watch_written(j->world->watch, e->seen);
	journal_start_sync(j);
}

static void
sink_again(void *arg)
{
	struct sim_journal *j = arg;

	j->failed = false;
	journal_start_sync(j);
}

static void
restart_cb(void *arg)
{
	struct sim_journal *j = arg;
	struct entry *e;

	j->up = true;
	e = TAILQ_FIRST(&j->entries);
	segment_open(j, e ? e->seq : journal_next_seq(j->client));
	if (!j->up)	/* killed at that very step */
		return;
	TAILQ_FOREACH(e, &j->entries, link)
		e->state = E_SENT;
	journal_start_sync(j);
}

struct sim_journal *
sim_journal_new(struct ctl *ctl, const char *id, struct journal **client)
{
	struct sim_journal *j = xcalloc(1, sizeof *j);
	struct journal_sink sink = { sink_append, sink_again, j };

	j->world = ctl_world(ctl);
	j->ctl = ctl;
	j->id = xstrdup(id);
	j->dir = xasprintf("%s/%s", j->world->root.journal, id);
	j->fd = -1;
	j->up = true;
	TAILQ_INIT(&j->entries);
	timer_init(&j->sync, j->world->loop, "sync", sync_cb, j);
	timer_init(&j->restart, j->world->loop, "journal_restart", restart_cb, j);
	post_init(&j->answers, ctl->proc.loop, "journal_answers");
	if (mkdir(j->dir, 0700) != 0 || (j->dirfd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    wal_lock(j->dirfd) != 0)
		abort();
	segment_open(j, 1);
	*client = j->client = journal_open_sink(ctl->proc.loop, &sink);
	return j;
}

void
sim_journal_free(struct sim_journal *j)
{
	struct entry *e;

	timer_clear(&j->sync);
	timer_clear(&j->restart);
	while ((e = TAILQ_FIRST(&j->entries)))
		entry_free(j, e);
	if (j->dirfd >= 0)
		close(j->dirfd);
	if (j->fd >= 0)
		close(j->fd);
	free(j->id);
	free(j->dir);
	free(j);
}

/* Later blocks of what was being written are on the disk, and the first is not; there may be room that was to be written. */
static void
journal_tear(struct sim_journal *j, uint64_t dice)
{
	static const char zeroes[512];
	struct buf frames = BUF_INIT;
	struct entry *e;

	TAILQ_FOREACH(e, &j->entries, link) {
		if (e->state != E_WRITING)
			continue;
		frame_add(&frames, e->payload, e->len);
		e->state = E_SENT;
	}
	for (size_t i = 0; i < frames.len / 3; i++)
		frames.p[i] = 0;
	write_all(j->fd, frames.p, frames.len);
	write_all(j->fd, zeroes, dice & 511);
	buf_release(&frames);
}

/* Half of the time it is as if only the process had been killed, or had not been given the time to write. */
void
sim_journal_cut(struct sim_journal *j)
{
	uint64_t dice = world_dice(j->world, "torn", j->segment, j->nsyncs);

	if (j->up && j->fd >= 0 && dice & 1)
		journal_tear(j, dice >> 8);
	sim_journal_kill(j);
}

/* kill -9: what was written stays, of what was being written a part, perhaps with half a frame behind it. */
void
sim_journal_kill(struct sim_journal *j)
{
	struct world *w = j->world;
	struct buf frame = BUF_INIT;
	struct entry *e;
	uint64_t keep;

	if (!j->up)
		return;
	j->up = j->syncing = false;
	timer_clear(&j->sync);
	keep = world_dice(w, "journal keeps", j->segment, j->nsyncs) % 4;
	TAILQ_FOREACH(e, &j->entries, link) {
		if (e->state != E_WRITING)
			continue;
		if (keep-- == 0) {
			frame_add(&frame, e->payload, e->len);
			write_all(j->fd, frame.p, frame.len / 2);
			break;
		}
		entry_write(j, e);
	}
	buf_release(&frame);
	if (j->ctl && !ctl_is_dead(j->ctl)) {
		timer_set(&j->restart, RESTART_DELAY);
		return;
	}
	while ((e = TAILQ_FIRST(&j->entries)))
		entry_free(j, e);
	journal_leave(j);
}

void
sim_journal_orphan(struct sim_journal *j)
{
	post_close(&j->answers);
	j->ctl = NULL;
	j->client = NULL;
	timer_clear(&j->restart);	/* nobody is there to start another */
	journal_leave(j);
}

bool
sim_journal_drained(const struct sim_journal *j)
{
	const struct entry *e;

	TAILQ_FOREACH(e, &j->entries, link)
		if (e->state != E_DURABLE)
			return false;
	return true;
}

bool
sim_journal_settled(const struct sim_journal *j)
{
	return TAILQ_EMPTY(&j->entries) || j->failed;
}

bool
sim_journal_over(const struct sim_journal *j)
{
	return !j->ctl && !j->up;
}

void
sim_journal_fill(struct sim_journal *j, bool full)
{
	j->full = full;
}
