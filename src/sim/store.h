/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_SIM_STORE_H
#define WEIR_SIM_STORE_H

#include "iface/assoc.h"
#include "iface/repo.h"
#include "sim/world.h"

/*
 * The root's databases and its repository. The table of the cache is read at once; puts go to its one
 * writer, which commits in batches and acknowledges later. A writer that dies forgets what it had not
 * committed, and is sent it again.
 */
struct sim_db *db_new(struct world *);
void db_free(struct sim_db *);
void db_kill_writer(struct sim_db *);
void db_cut(struct sim_db *);	/* power: it may be empty afterwards */
void db_refuse(struct sim_db *, bool);	/* puts are refused: its disk is full */
bool db_has(const struct sim_db *, const struct digest *key);	/* a result; always, once it has refused any */

struct assoc *sim_assoc_new(struct ctl *);
size_t sim_assoc_npending(const struct assoc *);
void sim_assoc_gone(struct assoc *);	/* the controller is dead: nothing more is sent or heard */

struct repo *sim_repo_new(struct proc *, struct sim_objects *);	/* a process's way to objects beside it; keeps both */

#endif
