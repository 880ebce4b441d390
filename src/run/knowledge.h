/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_KNOWLEDGE_H
#define WEIR_RUN_KNOWLEDGE_H

#include "eval/eval.h"
#include "run/rundb.h"

/*
 * What a run knows of its execs, by physical key the newest of each; and its resolved inputs by URL.
 * Read from its records when it is resumed, and learned as it goes on; the same either way.
 */
struct run_knowledge;
/* Copies; records may be NULL. */
struct run_knowledge *run_knowledge_new(const struct digest *run, const struct run_record *, size_t n);
/* One more of its records, in their order. */
void run_knowledge_record(struct run_knowledge *, const struct record_peek *, const char *payload, size_t);
/* What happens now, as if it were read back. */
void run_knowledge_learn(struct run_knowledge *, const struct eval_event *);
/* Likewise of a snapshot. A reset run looks at its inputs again; progress counts from a Retry or a Reset on. */
void run_knowledge_state(struct run_knowledge *, const struct run_state *);
void run_knowledge_free(struct run_knowledge *);

/*
 * Only successes are known for good. A failure belongs to its try: the executor's claim rules decide,
 * so a failed exec is put again and attaches, or runs anew in a later try.
 */
const struct exec_result *run_knowledge_exec(const struct run_knowledge *, const struct digest *pkey);	/* ended ok */
const struct exec_result *run_knowledge_intern(const struct run_knowledge *, const char *url);
/* Resources x minutes of its ended attempts. */
void run_knowledge_total(const struct run_knowledge *, struct resources *);
bool run_knowledge_has_components(const struct run_knowledge *, const struct digest *pkey);
/* Keys that the run has come to know the result of in this try. */
uint64_t run_knowledge_progress(const struct run_knowledge *);

#endif
