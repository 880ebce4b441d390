/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_CONTROLLER_H
#define WEIR_RUN_CONTROLLER_H

#include "iface/cluster.h"
#include "loop/journal.h"
#include "run/rundb.h"

/*
 * A controller: what evaluates runs in this process. It assembles, once, the root, the journal, the
 * keeper, repository, assoc, pool, cluster and the one scheduler, and takes them down in the other order.
 */
struct controller_config {
	const char *root, *scratch;	/* NULL: the defaults */
	struct resources resources;	/* of this host, for a keeper that has to be started; empty: detected */
	const char *cluster;		/* `local` */
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
	struct cluster	*cluster;
	struct sched	*sched;
	/* runs of this controller, for messages from outside */
	struct runner_list { struct runner *first; } runners;
	struct controller_inbox *inbox;
};
must_check struct err *controller_open(struct loop *, const struct controller_config *, struct controller **);
/* All runs are over. Waits for acknowledged assoc puts and the journal's last sync. */
void controller_close(struct controller *);

/* Takes a run over, under the lock of the journals: raises its epoch. UNAVAILABLE if a live controller has it. */
must_check struct err *controller_takeover(struct controller *, const struct digest *run, uint64_t *epoch, uint64_t *n);
/* Asks the live controller of a run to end it (`weir kill`). */
must_check struct err *controller_send_kill(const struct root *, const char *controller, const struct digest *run);

#endif
