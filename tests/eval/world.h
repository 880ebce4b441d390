/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_EVAL_WORLD_H
#define WEIR_TESTS_EVAL_WORLD_H

#include "tests/check.h"

#include "eval/eval.h"
#include "loop/loop.h"
#include "tests/sched/fake.h"

/*
 * A run on a cluster in memory. What the host is told is written down in `said`, one line an event;
 * a commit takes a turn, and is written down when it is durable.
 */
struct world {
	struct clock   *clock;
	struct loop    *loop;
	struct fake	fake;
	struct sched   *sched;
	struct sched_alloc *hold;
	struct sched_run *run;
	struct graph   *graph;
	struct eval_args args;
	struct eval    *eval;

	struct buf	said;
	unsigned	ncommits;
	/* What the journal knows. */
	struct digest	known_key;
	struct exec_result known;
	const char     *known_url;
	const char     *learned_ident;	/* and what its execs are known to need */
	double		learned;
	struct exec_result known_input;

	/* The end. */
	bool		over;
	struct value   *value;
	struct err     *err;
	struct buf	failed;		/* identifiers of the failures, in order */
	struct eval_stats stats;
};
void world_init(struct world *, const char *resources);
void world_begin(struct world *);	/* two CPUs and the files x, y and d, which holds another x */
extern const char *world_x;		/* what is in x; begin makes it "x" */
void world_on(struct world *, struct loop *, const char *resources);	/* on somebody else's loop */
void world_graph(struct world *);	/* a new graph: as another run of the same program */
void world_start(struct world *, struct flow *root);
void world_run(struct world *, struct flow *root);	/* until it is over */
void world_until(struct world *);
/* What is left of the run but its cluster; for torture, whose loop must be empty. */
void world_close(struct world *);
void world_release(struct world *);

/* Texts of what happened since the last call. */
#define assert_said(w, text) assert_text(&(w)->said, (text), __FILE__, __LINE__)
#define assert_put(w, text) assert_text(&(w)->fake.log, (text), __FILE__, __LINE__)
void assert_text(struct buf *, const char *, const char *file, int line);	/* and clears it */

/* Nodes. The command of an exec is its identifier; each dep is an argument, outs are o0, o1, … */
struct flow *n_exec(struct world *, const char *ident, unsigned nouts, unsigned ndeps, ...);
struct flow *n_execv(struct world *, const char *ident, unsigned nouts, struct flow *const *deps, unsigned ndeps);
struct flow *n_exec_res(struct world *, const char *ident, const char *resources);
struct flow *n_file(struct world *, const char *url);
struct flow *n_dir(struct world *, const char *url);
struct flow *n_small(struct world *);	/* x -> a -> c, y -> b -> c; gives c */
/* Of what says how an exec goes. */
#define RUN_ARGS \
	unused_arg struct fake *f, unused_arg const struct exec_config *c, unused_arg struct exec_result *r, \
	    unused_arg int64_t *ns, unused_arg void *arg
/* A continuation that calls fn; its own digest is of the name. */
typedef struct err *k_fn(struct world *, struct value *const *in, size_t n, struct value **out);
struct flow *n_k(struct world *, const char *name, k_fn *, struct flow *const *deps, unsigned ndeps,
    struct flow *captured);
k_fn k_tuple, k_list;	/* their inputs */

#endif
