/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_CONFIG_H
#define WEIR_EVAL_CONFIG_H

#include "eval/origin.h"
#include "iface/exec.h"

/* Between nodes and executors: what an exec is configured with, and which value its result is. */

/* A configuration and the arena that holds its arrays and paths. Zeroed is empty. */
struct node_config {
	struct exec_config config;
	struct arena	  *arena;	/* owned */
};
void node_config_release(struct node_config *);
/* An intern. key is made from what is asked, so that it names this request. */
void node_config_intern(struct node_config *, const struct origin *, const char *url, bool dir, bool install,
    const char *ident);
/* Can a command be given its operands? The error (INVALID) names the one that is no file. */
must_check struct err *node_operands_check(const struct flow *);
/* What it reads at the least, told at once: elements of lists, files of directories. */
size_t node_width(const struct flow *);
/* An exec whose operands were checked; pkey is set. It breathes: a wide one takes long. */
void node_config_exec(struct node_config *, const struct origin *, const struct flow *);
/* The memory that an exec asks for: at least 500 MiB. */
double node_memory(const struct flow *);
/*
 * What is admitted: at least one core; memory as asked for or learned (0: nothing was), whichever is more, and for each
 * time that it was not enough half as much again, within total.
 */
void node_resources(const struct flow *, double learned, unsigned grown, const struct resources *total,
    struct resources *out);

/* The value of a node from its result. A file that is missing is an error that names it. */
must_check struct err *node_value(const struct flow *, const struct fileset *, struct value **);

#endif
