/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_FAKE_EXECUTOR_H
#define WEIR_TESTS_IFACE_FAKE_EXECUTOR_H

#include "iface/executor.h"
#include "tests/iface/fake.h"

/*
 * An executor that runs nothing. Attempts live, attach and end as the contract says, and end after
 * `duration` on the loop's clock. What an attempt gives is, in this order: what fake_executor_result
 * said of its key; what the plan says; success, with one file a file output, holding `HEX/K` (the
 * key's first 8 digits, the output's number), and one such file named `f` in each directory output.
 * An intern of url U gives one file that holds U.
 * Objects of results that it makes itself enter the repository when the attempt ends.
 * Calls: exec-put, exec-get, exec-wait (when the attempt is over), exec-inspect, exec-logs.
 */
struct executor *fake_executor_new(struct fake *, struct repo *);	/* keeps both */
void fake_executor_duration(struct executor *, int64_t ns);		/* of attempts put from now on; default 0 */
void fake_executor_result(struct executor *, const struct digest *key, const struct exec_result *);	/* copies */

/* Sees each new attempt; may fill out (and out->usage.wall_ns: its duration) and return true, or leave it. */
typedef bool fake_executor_plan(const struct exec_config *, struct exec_result *out, void *arg);
void fake_executor_set_plan(struct executor *, fake_executor_plan *, void *arg);

void fake_executor_end(struct executor *, const struct digest *key);	/* the live attempt ends now, as planned */
void fake_executor_lose(struct executor *, const struct digest *key, enum err_kind);	/* ends LOST */

struct fake_put {		/* one put, in order */
	struct digest key;
	char	     *ident;
	struct exec_claim claim;
	bool	      attached;
	bool	      is_intern;
	int64_t	      at;	/* loop_now */
};
const struct fake_put *fake_executor_puts(struct executor *, size_t *n);
struct fake_executor_stats {
	unsigned started, running, most_running, killed, handles;
};
struct fake_executor_stats fake_executor_stats(struct executor *);

#endif
