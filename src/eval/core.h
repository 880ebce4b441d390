/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_CORE_H
#define WEIR_EVAL_CORE_H

#include "base/regexp.h"
#include "eval/eval.h"

/*
 * The evaluator without a loop: which node is to be taken up next, and what an answer means for the
 * others. Events come in by core_want, core_missed, core_done and core_failed; intents go out by
 * core_next: a node whose state says what is to be done with it.
 *
 *  FLOW_LOOKUP	 ask the assoc by lkey; answer core_missed or core_done
 *  FLOW_PLOOKUP ask by pkey (bottom-up: and by lkey); likewise
 *  FLOW_READY	 run the exec, resolve the intern, store the data; answer core_done or core_failed
 *
 * A node is in the queue at most once, and acts by the state it has when it is taken out. Nothing
 * recurses: whatever an event sets going is queued.
 *
 * core_next breathes, so that in a slice it may be left in the middle of a node: then answers for others come (core_done,
 * core_failed, core_missed, core_ready), which set those and queue them, and nothing else.
 */
struct flow_queue {
	struct flow *head, **tail;
};
void queue_init(struct flow_queue *);
void queue_push(struct flow_queue *, struct flow *);	/* it is in no queue */
struct flow *queue_pop(struct flow_queue *);		/* NULL when empty */

struct flow_vec {
	struct flow **v;
	size_t	      n, cap;
};
void flow_vec_push(struct flow_vec *, struct flow *);

struct core {
	struct graph	 *graph;	/* kept */
	struct flow	 *root;
	const struct eval_config *config;	/* kept */
	struct regexp	 *invalidate;	/* owned, or NULL */
	struct flow_queue queue;
	struct flow_vec	  walk, settled;	/* keys.c: to be walked, last first; to get their key */
	size_t		  nsettled;		/* of those, done */
	struct flow_vec	  failures;	/* nodes that failed on their own and were wanted */
	bool		  doubtful;		/* a node that was done has failed: not all that need it were told */
	uint64_t	  more_edges;	/* found on the way: forks, forced operands */
	struct eval_stats *stats;	/* kept */
};
/* INVALID: the pattern of invalidate. */
must_check struct err *core_init(struct core *, struct graph *, struct flow *root, const struct eval_config *,
    struct eval_stats *);
void core_release(struct core *);
void core_want(struct core *, struct flow *);
/* The next intent, or NULL: nothing to do, or the slice is to give up. */
struct flow *core_next(struct core *);
void core_missed(struct core *, struct flow *);
void core_ready(struct core *, struct flow *);		/* not to be looked up after all: run it */
void core_done(struct core *, struct flow *, struct value *);	/* takes the value */
void core_failed(struct core *, struct flow *, struct err *);	/* takes */
bool core_idle(const struct core *);			/* nothing to do until an answer comes */
/*
 * Of results that were lost (heal.c), while the core is idle. again: a node that is done is to be made anew, without a
 * look-up; its value stays until then. back: a node that is under way waits once more for its operands, and for these.
 * inherit: it fails with the other's error.
 */
void core_again(struct core *, struct flow *);
void core_back(struct core *, struct flow *, struct flow *const *on, size_t n);
void core_inherit(struct core *, struct flow *, const struct flow *from);
/*
 * A node has been made anew and has another value now: everything that was worked out from values is worked out again,
 * while execs, inputs and data that are done stay what they are, and those under way go on. The caller has seen to it
 * that no exec waits outside of the core: those are back in FLOW_INIT.
 */
void core_restart(struct core *);
struct err *core_located(const struct flow *, struct err *);	/* takes; adds identifier and position */
bool core_may_lookup(const struct core *, const struct flow *);
unsigned core_rank(const struct flow *);	/* execs on the way from it to the result, as far as is known; at most 31 */

/* For core.c and keys.c. */
enum {
	CORE_WANTED = 1,	/* somebody needs its value */
	CORE_KEYWALK = 2,	/* a key walk came by */
	CORE_KEYED = 4,		/* it has its lkey, or will never have one */
	CORE_KEYLESS = 8,	/* it will not: an input below cannot be read */
	CORE_DEPSDONE = 16,	/* in FLOW_KEYS: with all operands known */
	CORE_LISTED = 32,	/* among the failures */
	CORE_LOST = 64,		/* its result was lost: not looked up; the host's record of it is void, too */
	CORE_FORCED = 128,	/* operands were forced: those of before stand behind them, in deps */
	CORE_INHERITED = 256,	/* its error is another node's */
	CORE_NEAR = 512,	/* of makers.c; none between its calls */
	CORE_DEPFAILED = 1024,	/* an operand has an error */
	CORE_RANK = 2048,	/* and all above: the rank, so many times this */
};
void core_enqueue(struct core *, struct flow *);	/* fine on one that is queued */
void core_edge(struct core *, struct flow_edge **, struct flow *dependent);
struct flow_edge *core_edges_in_order(struct flow_edge *);	/* reverses in place */
/* Finds the logical key of a node: interns below are set going, and the node is queued when it has it. */
void keys_start(struct core *, struct flow *);
void keys_resolved(struct core *, struct flow *intern);	/* its value or error is set */
bool keys_step(struct core *);				/* false: no walk has anything left to do */

#endif
