/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_MAKERS_H
#define WEIR_EVAL_MAKERS_H

#include "eval/core.h"

/*
 * Which nodes made an object: execs, data, inputs that are not local (a local one is looked at where it lies). Equal
 * bytes may have many makers. Nodes are kept.
 */
struct makers;
struct makers *makers_new(void);
void makers_free(struct makers *);
void makers_enter(struct makers *, struct flow *);	/* it has its value; one that makes nothing is passed over */
void makers_leave(struct makers *, struct flow *);	/* its value is about to be another */
/*
 * Who is to make the object for x (NULL: for the result): a node that x gets its operands from, if one does; else any
 * that does not need x itself. One that has failed only if there is no other. NULL: nobody. Between near and its end,
 * for one x at a time; from: its operands, or the root.
 */
void makers_near(struct makers *, struct flow *const *from, size_t n);
struct flow *makers_find(struct makers *, const struct digest *, const struct flow *x);
void makers_near_end(struct makers *);

#endif
