/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_EVAL_H
#define WEIR_EVAL_EVAL_H

#include "flow/flow.h"
#include "iface/assoc.h"
#include "sched/sched.h"

/*
 * The evaluator of one run: events in, intents out. A node is looked up before its dependencies are
 * explored; a node counts what it waits for; completion pushes dependents; nothing is ever rescanned
 * and nothing recurses on the graph: visits are at most nodes plus edges.
 *
 * It keeps no journal: what happened goes to its host (the runner), and what must be durable before
 * it is acted on is waited for.
 */
enum cache_mode { CACHE_OFF = 0, CACHE_READ = 1, CACHE_WRITE = 2, CACHE_READ_WRITE = 3 };
struct eval_config {
	enum cache_mode	cache;
	bool		bottomup;	/* look up only once inputs are known */
	bool		no_cache_extern, recompute_empty, fail_fast;
	const char     *invalidate;	/* RE2 subset, matched anywhere in the identifier: treated as a miss; or NULL */
	int64_t		lookup_timeout;	/* ns */
	struct exec_claim claim;	/* of this run and try; join follows cache */
};

/* What happened to a node. Borrowed during the call. */
enum eval_event_kind { EV_INTERN, EV_STARTED, EV_ENDED, EV_LOST, EV_HIT };
struct eval_event {
	enum eval_event_kind	     kind;
	const struct flow	    *node;
	const struct exec_config    *config;	/* INTERN, STARTED, ENDED, LOST */
	const struct exec_result    *result;	/* INTERN, ENDED, HIT; LOST: an attempt, or NULL */
	const void		    *raw;	/* HIT: the document that the result was read from, or NULL */
	size_t			     nraw;
	const struct digest	    *object;	/* LOST: an object that the node made is gone, and so is its result; or NULL */
	const struct key_components *components;	/* STARTED: the vector, by name */
	const struct resources	    *again;	/* ENDED: failed, and to be tried again with these; or NULL */
	bool			     logical;	/* HIT: by logical key */
	bool			     joined;	/* STARTED: another run's exec, which this one shares */
	double			     asked;	/* ENDED: bytes of memory that the exec would have had at first */
};
/* Another run's or an earlier try's knowledge, from the journal. */
struct eval_host {
	/* Not waited for: STARTED, HIT, LOST. Must not cancel or kill the evaluation. */
	void (*note)(const struct eval_event *, void *arg);
	/* Waited for: INTERN, ENDED. The callback runs when the record is durable. */
	struct op *(*commit)(const struct eval_event *, void (*cb)(struct err *, void *cbarg), void *cbarg, void *arg);
	/* The run's own record of an ended exec, or of a resolved input by URL; borrowed, NULL if unknown. Optional. */
	const struct exec_result *(*known_exec)(const struct digest *pkey, void *arg);
	const struct exec_result *(*known_intern)(const char *url, void *arg);
	/* Memory that worked for execs of this identifier that ask for so much, where that was not enough; 0: unknown. Optional. */
	double (*memory)(const char *ident, double asked, void *arg);
	/*
	 * The exec's record is durable, and the cache has it (or is not to have it, or refused): whoever puts the key from now on
	 * finds it there, so the attempt need not be kept. Optional.
	 */
	void (*settled)(const struct digest *pkey, const struct digest *owner, uint32_t attempt, void *arg);
	void *arg;
};

struct eval_stats {
	uint64_t nodes, edges;		/* of the graph, now */
	uint64_t visits;		/* nodes taken up, and dependents told of an end: at most nodes + edges */
	uint64_t key_visits;		/* the same of the walks that give logical keys */
	uint64_t execs, interns, hits, known, failed, lookups;
	uint64_t healed;		/* results that were lost, and are made anew */
	uint64_t running, waiting;	/* now */
};
struct eval_args {			/* all kept but for config and dir, which are copied */
	struct graph		*graph;		/* evaluated once; another try builds it anew */
	struct flow		*root;
	struct eval_config	 config;
	struct sched_run	*run;
	struct assoc		*assoc;		/* NULL: no cache */
	const char		*dir;		/* where relative inputs start; NULL: the working directory */
	struct eval_host	 host;
};
struct eval;
/*
 * value (gives a reference) is strict; its objects are in the repository. err: EVAL kind for failures of the flow
 * (all independent work has finished, the failures are in eval_failures), else trouble that ended the attempt.
 */
typedef void eval_cb(struct value *, struct err *, void *arg);
struct eval *eval_start(struct loop *, const struct eval_args *, eval_cb *, void *arg);
void eval_cancel(struct eval **);	/* detaches from its tasks: execs go on, for others or a resume */
void eval_kill(struct eval *);		/* ends its execs; the callback comes with CANCELED when they are gone */
const struct eval_stats *eval_stats(struct eval *);	/* also inside its callback */
/* Nodes that failed on their own, in the order they failed; borrowed, valid until the graph is freed. */
struct flow *const *eval_failures(const struct eval *, size_t *n);	/* valid until its callback returns */

#endif
