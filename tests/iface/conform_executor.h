/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_CONFORM_EXECUTOR_H
#define WEIR_TESTS_IFACE_CONFORM_EXECUTOR_H

#include "iface/executor.h"
#include "tests/loop/looptest.h"

/*
 * What every executor must do. The texts of commands are for real executors; a fake must be planned so
 * that the ident decides: `ok` gives one file that holds `out\n`, `bad` fails with exit status 1, `long`
 * would run for an hour.
 */
struct conform_executor {
	struct executor *(*make)(struct loop *, void *arg);
	void (*end)(void *arg);		/* after the executor is freed, before the loop is */
	bool  real;			/* on the real clock */
	void *arg;
	bool  names_only;		/* what commands make is known by digest and size, and cannot be read */
};
void conform_executor(const struct conform_executor *);

/* Blocking calls, for other tests too; each gives its error. */
struct err *sync_exec_put(struct executor *, const struct exec_config *, struct exec **out);
struct err *sync_exec_get(struct executor *, const struct digest *, struct exec **out);
struct err *sync_exec_wait(struct exec *, struct loop *, struct exec_result *out);

#endif
