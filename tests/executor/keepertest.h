/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_EXECUTOR_KEEPERTEST_H
#define WEIR_TESTS_EXECUTOR_KEEPERTEST_H

#include "executor/executor_local.h"
#include "store/repo_file.h"
#include "tests/loop/looptest.h"

/* A root of its own with a real keeper: what the tests of this room share. */
struct world {
	struct loop *loop;
	char	    *dir;
	struct root  root;
	struct keeper_options options;
	struct keeper_client *client;
	struct repo *repo;
	struct executor *executor;
	unsigned     next;	/* for keys */
};
/* NULL: 2 slots' worth of a host, isolated if possible */
void world_open(struct world *, const struct keeper_options *);
void world_connect(struct world *);	/* client, repository and executor over loop, root and options */
void world_close(struct world *);	/* ends the keeper, too */
/* Another controller on the same root: its own client and executor on the same loop. */
void world_join(struct world *, struct world *first);
void world_leave(struct world *);	/* as if its process were gone */

/* One exec as a test writes it: cmd with holes, up to four inputs and outputs. */
struct spec {
	const char *cmd, *image;	/* image NULL: host */
	struct exec_hole holes[8];
	size_t	    nholes;
	struct exec_input inputs[8];
	size_t	    ninputs;
	struct exec_output outputs[4];
	size_t	    noutputs;
	double	    mem, cpu;
	struct digest key;	/* zero: a fresh one */
	struct exec_claim claim;
	const char *const *env;
};
struct running {
	struct exec *exec;
	struct op   *op;
	struct exec_result result;
	struct err  *err;	/* of put or wait */
	bool	     put, done;
	enum attempt_state state;
};
/* Puts it; with wait also waits for the result in the background. */
void start(struct world *, struct spec *, struct running *);
void started(struct world *, struct running *);		/* until the put is answered */
void finish(struct world *, struct running *);		/* until the result is there */
void drop(struct running *);				/* frees all */
/* All of it: gives the result, which drop frees. */
void run(struct world *, struct spec *, struct running *);

#define OUT(k)	  { .output = true, .index = (k) }
#define ARG(i, n_) { .output = false, .index = (i), .n = (n_) }

void object_put(struct world *, const char *text, struct file *);	/* stores it */
char *object_text(struct world *, const struct digest *);		/* gives its bytes */
/* The file of output k with this path (`.` for a file output). */
const struct file *output_file(const struct running *, size_t k, const char *path);
void assert_failed(const struct running *, enum attempt_state, const char *text);
void until_state(struct world *, struct running *, enum attempt_state);
void until_file(struct world *, const char *path);	/* exists */
void key_of(struct world *, struct digest *);		/* a fresh key */
pid_t keeper_pid(struct world *);
void keeper_gone(struct world *);			/* waits until it is, with its workers */
bool process_gone(pid_t);
/* The children of a process, by a look through /proc. */
size_t children_of(pid_t, pid_t *, size_t);

/* What the run of that name asks for, in its epoch 1. */
struct exec_claim claim_of(char run, uint32_t try_, uint32_t retry, bool join);
/* A command that makes path when it begins, and runs until its gate is lifted. */
struct gate {
	char *path, *lifted, *cmd;
};
void gate_open(struct world *, struct gate *);
void gate_lift(struct gate *);
void gate_free(struct gate *);

#endif
