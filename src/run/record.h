/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_RECORD_H
#define WEIR_RUN_RECORD_H

#include "run/state.h"

/*
 * Journal records: one msgpack map each, described field by field in weir-snapshot(5). Every record
 * has kind, seq, time; one that belongs to a run also run, epoch and n, its number in the run.
 */
enum record_kind { REC_UNKNOWN, REC_HEADER, REC_SNAPSHOT, REC_EXEC, REC_EPOCH, REC_NOTE };
enum exec_event { XEV_INTERN, XEV_STARTED, XEV_ENDED, XEV_LOST, XEV_HIT };

struct record_head {
	enum record_kind kind;
	uint64_t	 seq, n, epoch;
	int64_t		 time;		/* wall clock ns */
	struct digest	 run;		/* zero: none */
};
/* An exec record as read; everything borrowed from the payload but for result and components. */
struct exec_record {
	enum exec_event	 event;
	struct digest	 node, lkey, pkey;
	struct digest	 object;	/* lost: of the node's result, which is void; zero: none */
	const char	*ident, *image, *cmd, *url, *pos;	/* NULL if absent; not NUL terminated: see the lengths */
	size_t		 ident_len, image_len, cmd_len, url_len, pos_len;
	uint32_t	 try_, retry;
	bool		 logical;
	bool		 again;		/* ended, and is tried again */
	uint64_t	 asked;		/* ended: bytes of memory that the program asks for, at least the least there is */
	bool		 has_result;
	struct exec_result result;		/* owned */
	struct resources resources;		/* owned: asked for */
	struct key_components components;	/* owned */
};

void record_header(struct buf *, uint64_t seq, int64_t time, const char *controller, const char *host,
    const char *boot_id);
void record_snapshot(struct buf *, const struct record_head *, const struct run_state *);
void record_exec(struct buf *, const struct record_head *, const struct eval_event *, bool with_components);
void record_epoch(struct buf *, const struct record_head *, const char *controller, const char *why);
void record_note(struct buf *, const struct record_head *, const char *text);

/* What counting and sorting want of a record, read in place, without memory of its own. */
struct record_peek {
	struct record_head head;
	bool		   is_exec;	/* of an event that is known: the next three */
	enum exec_event	   event;
	struct digest	   pkey;	/* zero: none */
	bool		   failed;	/* ended, and not ok */
	bool		   is_state;	/* a snapshot whose State can be read */
	const char	  *ident;	/* borrowed from the payload, not NUL terminated; NULL: none */
	size_t		   ident_len;
};
bool record_peek(const char *payload, size_t, struct record_peek *);	/* false: not a record */

must_check struct err *record_head(const msgpack_object *, struct record_head *);
const char *record_kind_name(enum record_kind);
const char *exec_event_name(enum exec_event);
must_check struct err *record_as_state(const msgpack_object *, struct run_state *);
must_check struct err *record_as_exec(const msgpack_object *, struct exec_record *);
void exec_record_release(struct exec_record *);

#endif
