/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CMD_VIEW_H
#define WEIR_CMD_VIEW_H

#include "cmd/usage.h"
#include "run/rundb.h"

/*
 * A run as its records tell it: its execs in the order in which they were first heard of, each with what is
 * known of it last, and its inputs.
 */
enum view_state { VIEW_RUNNING, VIEW_OK, VIEW_KNOWN, VIEW_FAILED, VIEW_LOST };
struct exec_view {
	struct digest	 key, lkey, node;	/* key: physical, or zero: only the logical one was needed, and the cache did not say */
	enum view_state	 state;
	char		*ident, *pos, *image, *cmd;	/* owned or NULL */
	unsigned	 attempts;		/* started by this run */
	uint64_t	 noutputs;
	json_t		*outputs;		/* their names, in order; owned or NULL: of an older record */
	int64_t		 started;		/* wall clock of the last start; 0: none */
	struct resources resources;
	struct key_components components;
	bool		 has_result;
	struct exec_result result;
};
struct input_view {
	char		  *url;
	struct exec_result result;
};
struct run_view {
	struct exec_view  *execs;
	size_t		   nexecs;
	struct input_view *inputs;
	size_t		   ninputs;
	struct usage	   usage;
};
void view_init(struct run_view *, const struct run_record *, size_t n);
/* Reads the run's records. */
must_check struct err *view_open(const struct root *, const struct digest *run, struct run_view *);
void view_release(struct run_view *);
const struct exec_view *view_exec(const struct run_view *, const struct digest *key);	/* borrows, or NULL */
/* `running`, or `unfinished` where nobody evaluates the run; `ok` and so on. */
const char *view_state_name(const struct exec_view *, bool live);

json_t *view_exec_json(const struct exec_view *, bool live);		/* short: what a run's list has */
json_t *view_exec_full(const struct exec_view *, const struct digest *run, bool live);	/* all there is */
json_t *json_as_written(const struct buf *);	/* gives what msgpack bytes say, as the journal has it, under the same names */

#endif
