/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_NAIVE_H
#define WEIR_SIM_NAIVE_H

#include "sim/ctl.h"

/*
 * The naive evaluator: what a program gives when each command simply runs, in whatever order recursion
 * finds it. It shares the language and the nodes with the real one, and none of its keys, caches, states,
 * queues or records.
 */
struct naive;
struct naive *naive_new(struct world *, const struct sim_run *);	/* evaluates; reads the files as they are now */
void naive_free(struct naive *);
bool naive_failed(const struct naive *);
const char *naive_result(const struct naive *);		/* as State.Result; NULL if it failed */
size_t naive_nexecs(const struct naive *);		/* distinct ones */
bool naive_result_there(const struct naive *, const struct sim_objects *);	/* every file of it is */
/* No exec asks for more than this of cores or of memory, also when it is tried again with more. */
void naive_most(const struct naive *, struct resources *);
/* The first exec that the result stands on and that no record of the run explains; NULL: there is none. Borrowed. */
const char *naive_unexplained(struct naive *, const struct watch_run *);

struct sim_program *sim_program_new(const char *name, const char *text, struct buf *diag);	/* NULL: it does not check */
void sim_program_free(struct sim_program *);

#endif
