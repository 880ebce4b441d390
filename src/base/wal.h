/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_WAL_H
#define WEIR_BASE_WAL_H

#include "base/frame.h"

/*
 * Reads the segments of one journal folder (NNNNNN.wal) in order, without a loop and without a
 * lock. What a damaged segment holds beyond its first bad frame is reported and passed over; the
 * next segment is read all the same.
 */
struct wal_pos {
	const char *path;	/* segment, borrowed during the call */
	uint64_t    offset;	/* of the frame */
};
/* Each payload, in order. Returning an error stops the scan and hands that error out. */
typedef struct err *wal_record_cb(const struct wal_pos *, const char *payload, size_t, void *arg);
/* A place that could not be read: state is FRAME_TORN or FRAME_BAD; skipped counts the bytes passed over. */
typedef void wal_damage_cb(const struct wal_pos *, enum frame_state, uint64_t skipped, void *arg);

/*
 * The same one by one. next: payload is borrowed until the next call, NULL at the end. What damage is given
 * is borrowed during that call.
 */
struct wal_reader;
must_check struct err *wal_reader_open(const char *dir, wal_damage_cb *, void *arg, struct wal_reader **);
must_check struct err *wal_reader_next(struct wal_reader *, const char **payload, size_t *);
void wal_reader_close(struct wal_reader *);	/* NULL is fine */

must_check struct err *wal_scan_dir(const char *dir, wal_record_cb *, wal_damage_cb *, void *arg);
must_check struct err *wal_scan_file(const char *path, wal_record_cb *, wal_damage_cb *, void *arg);
/* The sizes of the segments in a folder, and how many there are. */
must_check struct err *wal_dir_size(const char *dir, uint64_t *bytes, size_t *segments);
/* Is a journal process still writing here? True while the folder's flock is held. */
bool wal_is_live(const char *dir);
/*
 * Takes the lock of a journal's folder, open as dirfd, or gives an errno value: EWOULDBLOCK if another
 * process keeps it. The only way to take it: wal_is_live() holds it for an instant, which this waits out.
 */
must_check int wal_lock(int dirfd);

#endif
