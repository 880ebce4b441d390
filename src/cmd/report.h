/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_REPORT_H
#define WEIR_CMD_REPORT_H

#include "cmd/usage.h"
#include "run/record.h"

/*
 * What a person is told of a run while it works: a line when something has ended, and at the end what
 * failed and why. Fed with events of our own evaluation, or with records of somebody else's.
 */
struct failure {
	struct digest key, errlog;
	char	     *ident, *pos, *what;	/* owned; pos may be NULL */
};
struct report {
	const char    *objects;		/* kept: where tails of stderr are */
	struct digest  run;
	bool	       said;		/* the run's id has been said */
	bool	       said_isolation;	/* that there is none */
	int64_t	       began;		/* wall clock */
	uint64_t       done, known, inputs, lost;
	struct failure *failures;	/* owned */
	size_t	       nfailures;
	struct usage   usage;
};
void report_init(struct report *, const char *objects, const struct digest *run);
void report_clear(struct report *);
void report_begin(struct report *, const char *what);	/* says the id, once */
void report_event(struct report *, const struct eval_event *);
void report_record(struct report *, const msgpack_object *);	/* an exec record; others are passed over */
void report_forget(struct report *);			/* a new try: what failed before does not count */
/* A failure that is no exec's. */
void report_failure(struct report *, const char *ident, const char *pos, const struct err *);
/* Failures in full, what to type next, the sums. */
void report_end(struct report *, const struct run_state *);

#endif
