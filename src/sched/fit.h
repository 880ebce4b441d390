/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SCHED_FIT_H
#define WEIR_SCHED_FIT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A set in order, that can be asked for the first one which needs no more than a limit. A balanced tree (a treap) in
 * which each node knows the least of each amount below it, so that what cannot fit is not looked at. Nodes are
 * embedded; a node is in one tree at most. The root is a pointer, NULL when the tree is empty.
 */
#define FIT_DIMS 4
struct fit {
	double	    key, tie;	/* in order of key, then tie, then seq */
	uint64_t    seq;	/* no two are the same */
	double	    own[FIT_DIMS];
	double	    least[FIT_DIMS];	/* of this one and all below */
	struct fit *left, *right;
};
void fit_insert(struct fit **root, struct fit *);	/* key, tie, seq and own are set */
void fit_remove(struct fit **root, struct fit *);	/* it is in there, with the key that it was put in with */
void fit_changed(struct fit *root, struct fit *);	/* its own amounts have changed */
struct fit *fit_min(struct fit *root);			/* the first of all; NULL: none */
bool fit_before(const struct fit *, const struct fit *);
/* Is each of the FIT_DIMS amounts within the limit? */
bool fit_within(const double *amount, const double *limit);
/* The first within the limit of which ok (NULL: always) says yes; NULL: none. */
typedef bool fit_ok(struct fit *, void *arg);
struct fit *fit_first(struct fit *root, const double *limit, fit_ok *, void *arg);

#endif
