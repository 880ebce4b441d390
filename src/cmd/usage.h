/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_USAGE_H
#define WEIR_CMD_USAGE_H

#include <uthash.h>

#include "iface/exec.h"

/*
 * What the execs of a run asked for, against what they used; a row for each identifier. Of memory the system tells what
 * the largest process of an exec had, and not what all of them had together. Zeroed is empty.
 */
struct usage_row {
	char	*ident;		/* owned */
	size_t	 execs, killed;	/* attempts that ended; those of them that ended for want of memory */
	double	 asked, mem, used;	/* bytes: asked for by the program, set aside, of the largest process; the most of each */
	double	 worked;	/* bytes set aside for an attempt that succeeded, the most; 0: none did */
	double	 cpu;		/* cores set aside, the most */
	int64_t	 wall_ns, cpu_ns;	/* of all of them */
	double	 mem_ns, used_ns, cores_ns;	/* bytes, bytes used and cores set aside, times the time */
	uint32_t *each;		/* owned: what each used, in KiB */
	UT_hash_handle hh;
};
struct usage {
	struct usage_row *rows;	/* owned, in the order in which they were first heard of */
};
/* ident need not end in NUL, and may be NULL. asked: bytes of memory, 0: not known. An attached or lost one is not counted. */
void usage_add(struct usage *, const char *ident, size_t n, double asked, const struct exec_result *);
void usage_release(struct usage *);
json_t *usage_json(const struct usage *);
void usage_table(const struct usage *, struct buf *);	/* all rows, for people; nothing if there are none */
/* At the end of a run, on stderr: the rows that ask for another request; and all of them, if they are few and worked long. */
void usage_say(const struct usage *);

#endif
