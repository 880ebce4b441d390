/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_HEAL_H
#define WEIR_EVAL_HEAL_H

#include "eval/eval_priv.h"

/*
 * Objects that are gone, or damaged, when they are needed: whoever made them does so once more, inside the same try,
 * and who needs them waits for that. It costs no retry of anybody. The producer's entries in the cache and what a record
 * knows of it do not count any more; its own inputs are looked up like everybody's, so of what is still there nothing
 * runs again.
 */
void heal_init(struct eval *);
void heal_release(struct eval *);
/* The work's attempt did not find inputs (result.missing): takes the work's node back; the work can be freed. */
void heal_work(struct eval *, struct work *);
/* The result has files that are not there; takes them. */
void heal_result(struct eval *, struct fileset *missing);
bool heal_pending(const struct eval *);		/* heal_step has something to do */
void heal_step(struct eval *);			/* when the core is idle */
void heal_done(struct eval *, struct flow *, struct value *);	/* core_done for what makes objects; takes */
uint64_t heal_now(const struct eval *);		/* for work.healed */

#endif
