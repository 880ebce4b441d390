/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EVAL_LOOKUP_H
#define WEIR_EVAL_LOOKUP_H

#include "iface/assoc.h"
#include "iface/exec.h"

/*
 * Asks the assoc for a result, by one key after the other, within a time. Whatever goes wrong is a
 * miss: the work can always be done. at: which of the keys it was found under.
 */
struct lookup_args {		/* copied; at most two keys */
	struct digest keys[2];
	unsigned      nkeys;
	int64_t	      timeout;	/* ns; 0: none */
	bool	      recompute_empty;	/* a result with an empty part is a miss */
};
/* result is NULL on a miss; else its parts become the callback's. */
typedef void lookup_cb(struct exec_result *, unsigned at, void *arg);
struct op *lookup_start(struct assoc *, const struct lookup_args *, lookup_cb *, void *arg);

/*
 * The same at once, where the assoc can answer so: false if it cannot. found: result is there and its parts are the
 * caller's, as in the callback; raw is the document that it was read from, borrowed as from the assoc.
 */
struct lookup_answer {
	bool		   found;
	unsigned	   at;
	struct exec_result result;
	const void	  *raw;
	size_t		   nraw;
};
bool lookup_peek(struct assoc *, const struct lookup_args *, struct lookup_answer *);

/* Writes a result under one key or two; NULL: deletes what is there. */
typedef void cache_put_cb(struct err *, void *arg);
struct op *cache_put_start(struct assoc *, const struct digest *keys, unsigned nkeys, const struct exec_result *,
    cache_put_cb *, void *arg);

#endif
