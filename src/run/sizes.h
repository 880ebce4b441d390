/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_SIZES_H
#define WEIR_RUN_SIZES_H

#include "iface/assoc.h"
#include "run/record.h"

/*
 * What memory execs turned out to need. An exec that was killed for want of memory and then succeeded with more leaves
 * a note, so that the next run starts it, and those of its identifier, with what worked. A note belongs to the amount
 * that the program asks for: whoever changes that is taken at his word. Nothing is ever lowered here.
 */
struct sizes;
struct sizes *sizes_new(struct assoc *);	/* keeps it: one of assoc_lmdb */
void sizes_free(struct sizes *);		/* NULL is fine */
/* Bytes that worked for execs of this identifier that ask for so much; 0: nothing is known. NULL knows nothing. */
double sizes_get(struct sizes *, const char *ident, double asked);
/* An exec has ended: is there anything to be noted? NULL notes nothing. */
void sizes_learn(struct sizes *, const char *ident, double asked, const struct exec_result *);
/* Likewise from a record, when the databases are made anew. */
void sizes_relearn(struct sizes *, const struct digest *run, const struct exec_record *);

#endif
