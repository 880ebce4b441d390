/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_CONTROLLER_H
#define WEIR_RUN_CONTROLLER_H

#include "iface/cluster.h"
#include "loop/journal.h"
#include "run/compact.h"
#include "run/rundb.h"

/*
 * A controller: what evaluates runs in this process. It assembles, once, the root, the journal, the
 * keeper, repository, assoc, pool, cluster and the one scheduler, and takes them down in the other order.
 */
struct controller_config {
	const char *root, *scratch;	/* NULL: the defaults */
	struct resources resources;	/* of this host, for a keeper that has to be started; empty: detected */
	const char *cluster;		/* `local` */
	struct compact_due compact;	/* when it ends */
};
struct controller {
	struct loop	*loop;
	struct root	 root;
	char		 id[21];	/* its journal folder: time and random, in hex, so names sort by age */
	struct journal	*journal;
	struct keeper_client *keeper;
	struct executor	*executor;
	struct repo	*repo;
	struct assoc	*assoc;
	struct sizes	*sizes;		/* or NULL: nothing is learned */
	struct pool	*pool;
	struct cluster	*cluster;
	struct sched	*sched;
	struct compact_due compact;
	/* runs of this controller, for messages from outside */
	struct runner_list { struct runner *first; } runners;
	struct controller_inbox *inbox;
};
must_check struct err *controller_open(struct loop *, const struct controller_config *, struct controller **);
/*
 * All runs are over, and no operation is left. Turns the loop until the assoc's puts are acknowledged; the last sync
 * of the journal is waited for. NULL is fine.
 */
void controller_close(struct controller *);

/* Asks the live controller of a run to end it (`weir kill`). */
must_check struct err *controller_send_kill(const struct root *, const char *controller, const struct digest *run);

#endif
