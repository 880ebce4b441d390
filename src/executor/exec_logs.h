/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_EXECUTOR_EXEC_LOGS_H
#define WEIR_EXECUTOR_EXEC_LOGS_H

#include "iface/repo.h"

/*
 * The log of an exec: the object it became when the exec is over, else the file that grows in the
 * attempt's directory. A file that was moved into the repository meanwhile is the same inode, so a
 * reader that follows loses nothing.
 */
struct exec_logs_spec {
	struct loop *loop;		/* kept */
	struct repo *repo;		/* kept */
	/* The exec is over: its log's object, zero when it is empty. NULL: it lives. */
	const struct digest *object;
	const char  *dir;		/* the attempt's; borrowed */
	const char  *name;		/* of the file in it; static */
	bool	     follow;		/* the source ends when the exec does */
};
struct op *exec_logs_open(const struct exec_logs_spec *, void (*cb)(struct source *, struct err *, void *), void *arg);

#endif
