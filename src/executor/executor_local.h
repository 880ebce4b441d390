/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_EXECUTOR_LOCAL_H
#define WEIR_EXECUTOR_EXECUTOR_LOCAL_H

#include "executor/keeper_client.h"
#include "iface/executor.h"

/*
 * The executor of a root on this host: puts become requests to the keeper. When the keeper dies, what
 * is outstanding is put again; an exec's attempt number may then grow. LOST results come as results;
 * an error of exec_wait means that no keeper can be had.
 * Cancelling a put gives the exec up, and ends it if nobody else waits for it.
 */
struct executor *executor_local_new(struct keeper_client *, struct repo *);	/* keeps both */

#endif
