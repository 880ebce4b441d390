/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_RUN_WORLD_H
#define WEIR_TESTS_RUN_WORLD_H

#include "run/runner.h"
#include "tests/iface/fake.h"
#include "tests/iface/fake_assoc.h"
#include "tests/iface/fake_cluster.h"
#include "tests/iface/fake_executor.h"
#include "tests/iface/fake_pool.h"
#include "tests/iface/fake_repo.h"
#include "tests/run/fake_journal.h"

/*
 * A controller made of fakes, on a virtual clock, with one runner: 4 cpu on a pool `p`, execs of ten
 * seconds, a journal that can be held back. What happened is told as text, one line a record:
 *
 *	Init: created
 *	Eval: allocated; alloc p/0000000000000001
 *	started t.Main try 0.0 components
 *	ended t.Main ok
 *	Done: evaluated; alloc p/0000000000000001; try at 0.0; over at 10.0; result "…"
 */
struct world {
	struct clock	*clock;
	struct loop	*loop;		/* begins at wall clock 1000 s */
	bool		 loop_is_ours;
	struct fake	 fake;
	struct repo	*repo;
	struct executor *executor;
	struct controller c;		/* with the fakes of cluster, pool, assoc and journal */
	struct program	*program;	/* kept: world_program */
	struct param_set params;
	struct runner	*runner;
	struct op	*op;
	bool		 done, more;	/* the operation's callback came */
	struct err	*err;
	struct buf	 told;		/* the runner's transitions, a line each, and that it waits, once */
	struct run_record *history;	/* of the journals before this one; owned */
	size_t		 nhistory;
	int		 interrupt_at;	/* the transition in which to interrupt; 0: none */
};

struct program *world_program(const char *text);	/* gives; its file is t.rf */

void world_begin(struct world *, struct loop *, struct program *, const char *journal);	/* loop NULL: its own */
void world_end(struct world *);			/* cancels what is under way; the loop must be empty then */
void world_state(struct run_state *);		/* a new run's */
struct runner_args world_args(struct world *, struct run_state *);
void world_runner(struct world *, const struct runner_args *);
void world_new_run(struct world *);		/* the usual one */
void world_do(struct world *);			/* start; world_wait is for the end */
void world_run(struct world *);
void world_wait(struct world *);
void world_turns(struct world *, int n);	/* that do not move the clock */
void world_until(struct world *, const char *record);	/* until the last line told of the journal begins so */
/*
 * As kill -9 and a resume: the runner is gone, the execs go on, and what was durable is known. Gives the newest State
 * and the arguments for it, with what the run knows and cause `resumed`; the journal begins anew.
 */
struct runner_args world_restart(struct world *, struct run_state *);

/* Plans for the executor: execs whose identifier is arg (NULL: all) are lost, or fail. They cost no time. */
fake_executor_plan plan_lost, plan_failed;
int64_t world_lease(struct world *, const char *uri);	/* what is left of it, ns */
size_t world_puts(const struct world *, const char *ident);	/* new attempts; NULL: of inputs */

void world_records(const struct world *, struct buf *);
size_t world_count(const struct world *, const char *prefix);	/* lines that begin so */
#define assert_records(w, text) check_text((w), NULL, (text), __FILE__, __LINE__)
#define assert_told(w, text) check_text((w), &(w)->told, (text), __FILE__, __LINE__)
void check_text(const struct world *, const struct buf *, const char *, const char *file, int line);

#endif
