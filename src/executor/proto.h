/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_PROTO_H
#define WEIR_EXECUTOR_PROTO_H

#include "base/arena.h"
#include "executor/ledger.h"
#include "iface/exec.h"

/*
 * What a controller and the keeper say to each other: msgpack maps, readable and writable without a
 * loop. Requests (put) go to the datagram sockets keeper/req (commands) and keeper/aux (interns);
 * everything else over the SEQPACKET connection keeper/ctl. Reports come back to the datagram
 * socket that a request names, or over the connection: their form is the same.
 *
 * An ordinary exec: put -> taken (created, running) -> done (with its manifest).
 */
#define PROTO_VERSION 1
#define PROTO_INLINE  (64u << 10)	/* a longer message travels as a memfd */
#define PROTO_MAX     (256u << 20)
#define PROTO_CMD_MAX (100u << 10)	/* longer commands run from a file: execve refuses 128 KiB */

struct request {
	struct arena	 *arena;	/* owns all of config */
	struct ledger_sub from;
	struct exec_config config;
	struct digest	  digest;	/* of the document: told in the manifest */
};
void request_encode(const struct exec_config *, const struct ledger_sub *from, struct buf *);
/* Never trusts: paths stay below their directory, holes and command agree, no text holds a NUL. */
must_check struct err *request_decode(const void *, size_t, struct request *);
void request_release(struct request *);

enum report_kind {
	REPORT_TAKEN,	/* credit comes back; an attempt was made or attached to */
	REPORT_STATE,	/* it moved on */
	REPORT_DONE,	/* over: result, or its manifest as a file */
	REPORT_REFUSED,	/* no attempt came of it: err */
};
struct report {
	enum report_kind   kind;
	uint64_t	   id;
	struct digest	   key;
	uint32_t	   attempt;
	enum attempt_state state;
	bool		   attached;
	bool		   has_result;
	struct exec_result result;	/* DONE. owned */
	struct err	  *err;		/* REFUSED. owned */
};
/* manifest: the result's bytes as exec_result_mpk wrote them, or NULL. */
void report_encode(const struct report *, const void *manifest, size_t, struct buf *);
must_check struct err *report_decode(const msgpack_object *, struct report *);
void report_release(struct report *);

/* A manifest: who asked for the attempt and what became of it. */
struct manifest {
	struct digest	   key, config;
	struct exec_claim  claim;
	char		  *ident;	/* owned or NULL */
	struct exec_result result;	/* owned */
};
void manifest_encode(const struct manifest *, struct buf *);
must_check struct err *manifest_decode(const void *, size_t, struct manifest *);
void manifest_release(struct manifest *);

/* Fills the holes of a command: prefix is where arg/ and return/ lie. */
void command_fill(const struct exec_config *, const char *prefix, struct buf *);
/* Copies a text of at most size - 1 bytes out of a map; false if absent, too long, or with a NUL inside. */
bool proto_get_name(const msgpack_object *map, const char *key, char *out, size_t size);
/* Reply sockets are called `c-…` and lie in keeper/ itself. */
bool proto_name_ok(const char *);

#endif
