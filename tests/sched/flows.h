/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_SCHED_FLOWS_H
#define WEIR_TESTS_SCHED_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/resources.h"

/*
 * Flows of execs as a scheduler meets them: how long each takes, what it asks for, what it waits for. Some are made of
 * a seed, in shapes that people run; some were recorded, and lie in tests/sched/flows:
 *
 *	host cpu=4,mem=16GiB,gpu=1
 *	task align/1 12.5 cpu=2,mem=4GiB index	# name, seconds, resources, names of those it waits for
 *
 * What comes before the slash of a name is its identifier: execs of one identifier are alike.
 */
enum { CPU, MEM, GPU, NAMOUNTS };
struct ftask {
	char	 *name;			/* owned */
	unsigned  ident;		/* a number for each identifier */
	int64_t	  ns;
	double	  amount[NAMOUNTS];
	unsigned *deps;			/* owned; all are before it */
	unsigned  ndeps;
};
struct flow_case {
	char	      name[64];
	double	      host[NAMOUNTS];
	struct ftask *tasks;
	unsigned      n, cap;
};
void flow_case_release(struct flow_case *);
/* A task that waits for these; gives its number. */
unsigned flow_case_add(struct flow_case *, const char *ident, unsigned nth, int64_t ns, const double *amount,
    const unsigned *deps, unsigned ndeps);
void amounts_resources(const double *amount, struct resources *);	/* of one that was zeroed */

/* Made of a seed; the shape, too, when it is SHAPE_ANY. host NULL: of the seed. */
enum flow_shape { LAYERED, FORK_JOIN, MAP_JOIN, CHAINS_AND_MAP, MONTAGE, EPIGENOMICS, BLAST, GENOME, NSHAPES, SHAPE_ANY = NSHAPES };
const char *flow_shape_name(enum flow_shape);
void flow_case_make(struct flow_case *, uint64_t seed, enum flow_shape, const double *host);
must_check struct err *flow_case_read(struct flow_case *, const char *path);	/* recorded */

/* A deterministic stream. */
uint64_t flow_random(uint64_t *state);
double flow_uniform(uint64_t *state);	/* [0, 1) */

#endif
