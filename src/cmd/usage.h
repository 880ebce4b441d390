/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_USAGE_H
#define WEIR_CMD_USAGE_H

#include "iface/exec.h"

/* What was set aside for the execs of a run, against what they used; a row for each identifier. Zeroed is empty. */
struct usage_row {
	char	*ident;		/* owned */
	size_t	 execs;		/* attempts that ended */
	double	 asked, mem, used;	/* bytes: asked for by the program, set aside, of its largest process; the most of each */
	double	 cpu;		/* cores set aside, the most */
	int64_t	 wall_ns, cpu_ns;	/* of all of them */
};
struct usage {
	struct usage_row *rows;	/* owned, in the order in which they were first heard of */
	size_t		  nrows;
};
/* ident need not end in NUL, and may be NULL. asked: bytes of memory, 0: not known. An attached or lost one is not counted. */
void usage_add(struct usage *, const char *ident, size_t n, double asked, const struct exec_result *);
void usage_release(struct usage *);
json_t *usage_json(const struct usage *);
void usage_say(const struct usage *);	/* those that could do with much less: a line each, and no more than a few */

#endif
