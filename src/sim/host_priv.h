/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_HOST_PRIV_H
#define WEIR_SIM_HOST_PRIV_H

#include <uthash.h>

#include "sim/client.h"

/* For host.c (requests, claims, deaths) and attempt.c (what an attempt goes through) alone. */
struct key_attempts {
	struct digest	key;
	struct attempt *newest;
	unsigned	last;		/* number of the newest */
	unsigned	runs;		/* commands that were run for it */
	UT_hash_handle	hh;
};
struct key_attempts *host_key(struct host *, const struct digest *key, bool make);
int64_t host_wall(const struct host *);
void host_pump(struct host *);			/* slots that are free take what waits */
void ledger_pump(struct host *);		/* and the ledger admits */

/* attempt.c */
struct attempt *attempt_new(struct host *, struct request *);	/* takes the request's contents */
void attempt_free(struct attempt *);
void attempt_begin(struct attempt *);		/* its first step comes */
void attempt_tell(struct attempt *, enum report_kind);
void attempt_add_sub(struct attempt *, struct keeper_client *, uint64_t id);
void attempt_drop_subs(struct attempt *);
void attempt_kill(struct attempt *, enum attempt_end);
void attempt_vanish(struct attempt *);		/* its processes are gone, at once */

#endif
