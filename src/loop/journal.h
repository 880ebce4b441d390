/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_LOOP_JOURNAL_H
#define WEIR_LOOP_JOURNAL_H

#include "base/buf.h"
#include "base/digest.h"
#include "loop/loop.h"

/*
 * The controller's journal: append-only segments in one folder, written by its own small process
 * (weir-journal) so that the loop never waits for a disk. Frames go down a socketpair; the process
 * writes what is there, syncs once for all of it and answers how many records are durable.
 * It holds the folder's flock until it has drained and exited, also after its controller died.
 * If it dies, the client starts another with a new segment and resends what was not acknowledged;
 * readers drop a seq that they have seen.
 * An open journal watches its process, so loop_run does not return by itself: use loop_stop.
 *
 * Crash points: journal-before-sync, journal-after-sync, journal-before-ack in the process,
 * journal-client-appended (and sent, as far as the socket takes it), journal-client-answered here.
 */
struct journal;

/*
 * Starts the journal process on DIR (made if missing). header writes the header record's payload for
 * a segment that begins with first_seq; it is called again for each new segment.
 * An error is fatal for the controller: ENOSPC, EROFS, EACCES name the path.
 */
typedef void journal_header_cb(struct buf *out, uint64_t first_seq, void *arg);
must_check struct err *journal_open(struct loop *, const char *dir, const char *program, journal_header_cb *, void *arg,
    struct journal **);
/*
 * Ends the process after it has drained; blocks for that moment (the last sync). Asserts that nobody
 * waits any more. NULL is fine.
 */
void journal_close(struct journal *);
/* Begin a new segment before one grows beyond this many bytes (default 64 MiB). */
void journal_set_segment_size(struct journal *, size_t);

uint64_t journal_next_seq(const struct journal *);	/* the seq that the next append gets */
/* Copies; returns its seq. As much as the socket takes is sent at once: that much survives our own kill -9. */
uint64_t journal_append(struct journal *, const void *payload, size_t);
/*
 * For what nothing is done on the strength of, in great numbers: sent along with the next that is not of this kind, when
 * much has come together, or when the loop has turned once.
 */
uint64_t journal_append_lazy(struct journal *, const void *payload, size_t);
uint64_t journal_durable_seq(const struct journal *);	/* all up to here are on disk */
pid_t	 journal_pid(const struct journal *);		/* for tests that kill it */

/*
 * A journal without a process: each record is handed to the owner at once, who answers for the disk. For a simulator.
 * again: somebody waits although journal_sink_failed was said; the owner tries once more.
 */
struct journal_sink {
	void (*append)(uint64_t seq, const void *payload, size_t, void *arg);
	void (*again)(void *arg);
	void *arg;
};
struct journal *journal_open_sink(struct loop *, const struct journal_sink *);	/* gives; copies */
void journal_sink_durable(struct journal *, uint64_t seq);		/* all up to here; it only grows */
void journal_sink_failed(struct journal *, struct err *);		/* takes: nothing can be written */

/*
 * Waits until seq (one that append returned) is durable. err: the journal cannot be written (full disk);
 * nothing appended is forgotten, and a later wait tries once more with a new process and segment.
 */
struct journal_wait;
typedef void journal_wait_cb(struct err *, void *arg);
struct journal_wait *journal_wait_start(struct journal *, uint64_t seq, journal_wait_cb *, void *arg);
void journal_wait_cancel(struct journal_wait **);

#endif
