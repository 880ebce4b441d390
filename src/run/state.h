/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_STATE_H
#define WEIR_RUN_STATE_H

#include "base/json.h"
#include "base/resources.h"
#include "eval/eval.h"
#include "iface/alloc.h"
#include "loop/loop.h"

/*
 * The State of a run: everything that a later process needs to go on with it. Written as msgpack into
 * the journal after every phase transition, under the field names of the reference (runner.State);
 * see weir-snapshot(5).
 */
enum run_phase { PHASE_INIT, PHASE_EVAL, PHASE_RETRY, PHASE_DONE };
#define STATE_SCHEMA 1
#define STALLED_TRIES 3		/* tries in a row without a new result end the run */

/* How the run evaluates; part of the State so that a resume needs no flags. */
struct run_config {
	enum cache_mode	cache;
	bool		bottomup, no_cache_extern, recompute_empty, fail_fast;
	char	       *invalidate;	/* owned or NULL */
	int64_t		lookup_timeout;	/* ns */
	int64_t		retain;		/* ns: how long execs and alloc may outlive a failed or dead controller */
	char	       *universe;	/* owned; namespace of keys */
	char	       *cluster, *cluster_aux;	/* owned: `local`, …; aux NULL: as cluster */
};
#define RUN_CONFIG_INIT { .cache = CACHE_READ_WRITE, .lookup_timeout = SECONDS(20 * 60), .retain = SECONDS(3600) }

struct run_state {
	/* fixed when the run is made */
	struct digest ID;
	char	     *Program;
	struct labels Params;		/* name to text */
	char	    **Args;
	size_t	      nArgs;
	/* while it works */
	enum run_phase Phase;
	char	     *AllocID;		/* poolid/allocid, or NULL */
	struct alloc_inspect *AllocInspect;	/* or NULL */
	char	     *Result;		/* pretty-printed, or NULL */
	struct err   *Err;		/* or NULL */
	uint32_t      NumTries;
	int64_t	      LastTry, Created, Completion;	/* wall clock ns; 0: not yet */
	struct resources TotalResources;	/* resources x minutes of this run's ended attempts */
	/* weir's own */
	uint32_t      Schema;
	uint32_t      Resets;		/* State.Reset so far; with NumTries it makes the try of claims */
	uint32_t      Stalled;		/* tries in a row in which no exec was finished: STALLED_TRIES end the run */
	struct digest Bundle;		/* the sources, an object */
	char	     *Dir;		/* working directory, absolute */
	char	     *ResultJSON;	/* typed, weir-json(5); or NULL */
	char	     *ResultType;	/* the type of Main, for people */
	char	     *Cause;		/* why this snapshot was written: `created`, `allocated`, … */
	struct labels Labels;
	struct run_config Config;
};
void run_config_copy(struct run_config *, const struct run_config *);
void run_config_release(struct run_config *);
void state_init(struct run_state *);			/* zero, schema, default config */
void state_release(struct run_state *);
void state_copy(struct run_state *, const struct run_state *);

/*
 * Back to Init: forgets phase, alloc, result, error, tries and times; keeps ID, Program, Params, Args,
 * TotalResources.
 */
void state_reset(struct run_state *);
uint32_t state_try(const struct run_state *);		/* grows with every Retry -> Init and every Reset */
/* `init`, `eval alloc URI`, `retry error E try 2/3 last T`, `done result R`, `done error E`. */
void state_str(const struct run_state *, struct buf *);
const char *phase_name(enum run_phase);			/* `Init`, … */
bool phase_from_name(const char *, size_t, enum run_phase *);

void state_mpk(const struct run_state *, struct mpk_w *);
/* Unknown fields are ignored, missing ones zero. */
must_check struct err *state_from_mpk(const msgpack_object *, struct run_state *);

#endif
