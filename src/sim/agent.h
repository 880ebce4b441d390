/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_AGENT_H
#define WEIR_SIM_AGENT_H

#include "sim/host.h"
#include "sim/rpc.h"

/*
 * The agent of a host: a process that serves its pool and its execs to controllers elsewhere. The pool is the real one,
 * over the real executor of the host's keeper; what an agent adds to them is here, and is what any agent must do:
 *
 *  - a lease ends at its deadline, with all that runs under it
 *  - a request that comes twice is one: puts are known by their ids, also after they were taken back
 *  - an attempt outlives its agent by no more than a lease; an agent that starts ends what another one has left
 */
enum lie {
	LIE_NONE,
	LIE_GARBAGE,	/* answers are cut short, or noise */
	LIE_RESULTS,	/* the result of an exec is that of another key */
	LIE_OFFERS,	/* it offers, and grants nothing */
	LIE_OBJECTS,	/* it has every object that it is asked for; and one does not hash to its name */
	LIE_FORGETS,	/* it takes execs, and knows nothing of them later */
	LIE_GRANTS,	/* more than it was asked for */
	LIE_NKINDS
};
const char *lie_name(enum lie);
bool lie_from_name(const char *, enum lie *);

struct agent;
void agent_new(struct host *);		/* it starts */
void agent_free(struct host *);		/* at the end of the world; its loop ends empty */
void agent_receive(struct host *, struct rpc_request *);	/* takes */
void agent_kill(struct host *, int64_t back_after);	/* it starts again by itself; INT64_MAX: never */
void agent_start(struct host *);		/* now, unless it is there */
void agent_stall(struct host *, int64_t ns);
void agent_lie(struct host *, enum lie);
void agent_end_alloc(struct host *, const char *id);	/* somebody frees it there */
struct proc *agent_proc(struct host *);		/* NULL: down */
void agent_bury(struct host *);		/* after a turn */
void agent_check(struct host *);	/* nothing is due at this moment: what must hold on it */

#define AGENT_BACK SECONDS(2)
#define LEASE_LONGEST SECONDS(120)	/* that it grants, unless the scenario says another */

#endif
