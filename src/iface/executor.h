/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_EXECUTOR_H
#define WEIR_IFACE_EXECUTOR_H

#include "iface/exec.h"
#include "iface/repo.h"

/*
 * An executor runs execs over a repository. It does not admit: who puts has admitted within the
 * alloc; the host's ledger admits once more, by waiting, when several controllers share a host.
 */
struct executor;
typedef void executor_put_cb(struct exec *, struct err *, void *arg);	/* gives the exec */

struct executor_ops {
	/*
	 * Creates an attempt, or attaches: to any attempt of the same run that lives, succeeded, or
	 * failed under the same (try, retry); to another run's live or successful one only with join.
	 */
	struct op *(*put)(struct executor *, const struct exec_config *, executor_put_cb *, void *arg);
	struct op *(*get)(struct executor *, const struct digest *key, executor_put_cb *, void *arg);	/* NOT_EXIST if unknown */
	struct repo *(*repo)(struct executor *);	/* borrowed */
	void (*free)(struct executor *);
};
struct executor {
	const struct executor_ops *ops;
	struct loop		  *loop;	/* kept */
	unsigned		   lookahead;	/* puts beyond what fits that keep its slots busy: the executor admits them itself */
};
struct op *executor_put(struct executor *, const struct exec_config *, executor_put_cb *, void *arg);
struct op *executor_get(struct executor *, const struct digest *key, executor_put_cb *, void *arg);
struct repo *executor_repo(struct executor *);
void executor_free(struct executor *);

#endif
