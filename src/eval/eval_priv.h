/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_EVAL_PRIV_H
#define WEIR_EVAL_EVAL_PRIV_H

#include <uthash.h>

#include "base/slice.h"
#include "base/spare.h"
#include "eval/config.h"
#include "eval/core.h"
#include "eval/lookup.h"
#include "loop/loop.h"

/* Shared by eval.c (the course of an evaluation) and work.c (the work of one node). */

/*
 * Work that may be under way at once: what more there is waits as a bare node, so that a million
 * ready nodes cost no more than the nodes. One for look-ups, one for inputs and data, and one for
 * each resource shape, lest large tasks hold back small ones.
 */
#define WINDOW_MAX   256
#define WINDOW_RANKS 7
struct window {
	char		 *shape;	/* its key; owned, or NULL */
	unsigned	  out;		/* works under way */
	size_t		  nwaiting;
	unsigned	  answered;	/* in this turn, without a work */
	struct flow_queue waiting[WINDOW_RANKS];	/* by rank, roughly; the highest is started first */
	void (*start)(struct eval *, struct window *, struct flow *);
	bool		  due;		/* in the list of those that may have something to start */
	TAILQ_ENTRY(window) link;
	UT_hash_handle	  hh;
};
void window_push(struct eval *, struct window *, struct flow *);
struct flow *window_pop(struct window *);
void window_left(struct eval *, struct window *);	/* a work that was under way is not any more */

/* One node's, from its start to the record of its end. */
struct work {
	struct eval	  *eval;
	struct flow	  *node;	/* NULL: a file of the result (result.c) */
	struct window	  *window;
	struct op	  *op;		/* look-up, commit or store, or NULL */
	struct task	  *task;	/* or NULL */
	struct node_config nc;
	struct exec_result result;	/* waits for its record */
	bool		   has_result, started;
	bool		   in_wide;	/* its configuration is still to be made, in parts */
	size_t		   ahead;	/* inputs of a configuration that was made so, until it is started */
	unsigned	   retry, losses;
	unsigned	   grown;	/* of the retries, those for want of memory */
	double		   learned;	/* what its memory began with, or 0: as asked */
	uint64_t	   healed;	/* heal_now() when the attempt was started */
	struct file	   file;	/* of the result: what must be there */
	struct digest	   key;		/* of an exec: in the table of keys */
	bool		   keyed;
	struct flow_queue  twins;	/* other nodes with this key: what comes of it is theirs once its record is durable */
	TAILQ_ENTRY(work)  link, wide_link;
	UT_hash_handle	   hh;
};

/* Look-ups that have left the queue of their window and are next, from at on. */
struct lookup_batch {
	struct flow **v;	/* owned */
	size_t	      n, at;
};
/* Is it time for some, or should more come first? idle: none will. */
bool batch_due(const struct lookup_batch *, const struct window *, bool idle);
struct flow *batch_pop(struct lookup_batch *, struct window *);	/* NULL: none waits */
void batch_release(struct lookup_batch *);

enum eval_state {
	EVAL_RUN,	/* nodes are taken up, in the slice, and answers come */
	EVAL_RESULT,	/* the files of the result are seen to be there, likewise; back to RUN when one is not */
	EVAL_STOP,	/* nothing new is begun; waits for the works that are to end by themselves */
	EVAL_DRAIN,	/* waits for the writes to the cache */
};
struct put {
	struct eval *eval;
	struct op   *op;
	struct digest pkey;	/* of an exec whose attempt is settled by it; else zero */
	struct digest owner;
	uint32_t      attempt;
	TAILQ_ENTRY(put) link;
};
struct eval {
	struct op	   op;
	enum eval_state	   state;
	struct eval_args   args;
	struct eval_config config;
	struct core	   core;
	struct slice	  *slice;	/* owned: what is gone over in it may be long */
	struct flow	  *root;	/* the node whose value is the result: strict */
	struct eval_stats  stats;
	struct origin	  *origin;
	struct window	   lookups, light, *shapes;
	struct lookup_batch batch;	/* of lookups */
	TAILQ_HEAD(, window) due;
	TAILQ_HEAD(, work) works;
	TAILQ_HEAD(, work) wide;	/* of these, the in_wide */
	struct work	  *preparing;	/* whose configuration is being made; not in wide any more */
	size_t		   ahead;	/* the sum of theirs */
	size_t		   nworks;
	struct spare	   spares;	/* for works */
	struct work	  *keys;	/* works of execs, by physical key */
	TAILQ_HEAD(, put)  puts;
	bool		   put_failed;	/* and it was said */
	struct heal	  *heal;	/* owned: heal.c */
	struct result_files *files;	/* owned: result.c */
	struct fileset_builder *missing;	/* of these, or NULL */
	struct err	  *trouble;	/* ends the attempt: recorded by a callback */
	bool		   kill;		/* asked for */
	struct err	  *err;		/* the end */
	bool		   telling;	/* in the callback */
	eval_cb		  *cb;
	void		  *arg;
};

void eval_act(struct eval *, struct flow *);		/* an intent of the core */
void eval_windows_init(struct eval *);
void eval_trouble(struct eval *, struct err *);		/* takes */
void eval_failed(struct eval *, struct err *);		/* takes: of the flow; it has run as far as it could */
void eval_to(struct eval *, enum eval_state);
/* result NULL: deletes. */
void eval_put(struct eval *, const struct digest *keys, unsigned nkeys, const struct exec_result *);
/* That of an exec that ended now, or is known: tells the host when it is decided. */
void eval_remember(struct eval *, const struct flow *, const struct exec_result *);
void eval_put_raw(struct eval *, enum assoc_kind, const struct digest *key, const void *, size_t);
bool eval_writes(const struct eval *);
struct alloc *eval_alloc(struct eval *);
unsigned eval_keys(const struct flow *, struct digest keys[2]);	/* all that the node is known by */

/* work.c */
void work_install(struct eval *, const struct file *);	/* an input that is part of the result */
void work_check(struct eval *, const struct file *);	/* another file of it */
/* Ends a work: kill asks for the end of its exec and waits, else the exec goes on by itself. */
void work_stop(struct work *, bool kill);
void work_free(struct work *);
bool work_prepare(struct eval *);			/* in the slice: false: nothing to be prepared */
void eval_twins_empty(struct eval *);			/* as if nobody had asked for them */
void eval_windows_empty(struct eval *);			/* of execs and look-ups: as if nobody had asked for them */

/* seen.c: the files of a long result that need not be looked at */
struct seen;
struct seen *seen_ask(struct eval *);			/* gives; NULL: it is short. It breathes */
void seen_free(struct seen *);
bool seen_has(const struct seen *, const struct digest *id);	/* it is there */
void seen_remember(struct eval *, struct seen *);	/* all of them are */

/* result.c */
void result_plan(struct eval *);
void result_release(struct eval *);
void result_step(struct eval *);
void result_missing(struct eval *, const struct file *);

#endif
