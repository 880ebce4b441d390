/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_EXEC_H
#define WEIR_IFACE_EXEC_H

#include "base/resources.h"
#include "flow/fileset.h"
#include "iface/stream.h"

/*
 * An exec as an executor knows it: named by its key, configured once, run as attempts.
 * A command that fails is an exec error, in the result; trouble of the engine is an internal error,
 * handed to the callback.
 */
enum exec_type { EXEC_COMMAND, EXEC_INTERN, EXEC_EXTERN };

struct exec_input {			/* one file that the command sees, or a directory without files */
	const char   *path;		/* below arg/: `I/J` or `I/J/rest` */
	bool	      dir;		/* an empty directory to be made */
	struct file   file;
	const char   *origin;		/* absolute path of a local input that may not be in the repository yet, or NULL */
};
struct exec_output {
	const char *name;
	bool	    dir;
};
/*
 * What the I-th %s of a command stands for. The executor fills it, because only it knows where its
 * directory lies: an output is one path, an argument its elements' paths joined by a space.
 */
struct exec_hole {
	bool	 output;
	uint32_t index;			/* K of return/K, or I of arg/I/J */
	uint32_t n;			/* elements of an argument: 1 for a map, N for a list of N, 0 gives no text */
};
/* Who wants it: decides to which attempt a put attaches (the executor's promise). */
struct exec_claim {
	struct digest run;
	uint64_t      epoch;		/* of the run's controller: an older one is refused */
	uint32_t      try_;		/* the run's try: raised by Retry -> Init and by State.Reset */
	uint32_t      retry;		/* this exec's own retries within the try */
	bool	      join;		/* may attach to another run's attempt: cache readable, no verify */
	uint64_t      retain_ns;	/* how long the attempt may outlive its controller */
};
struct exec_config {			/* everything borrowed during put */
	enum exec_type	     type;
	const char	    *ident;
	struct digest	     key;	/* physical key */
	struct exec_claim    claim;
	struct resources     resources;
	/* EXEC_COMMAND */
	const char	    *image;
	const char	    *cmd;	/* printf-like: only %s, one per hole in order, and %% */
	const struct exec_hole *holes;
	size_t		     nholes;
	const char *const   *env;	/* declared, NAME=VALUE, or NULL */
	const struct exec_input *inputs;
	size_t		     ninputs;
	const struct exec_output *outputs;	/* output K is return/K */
	size_t		     noutputs;
	/* EXEC_INTERN: identify a local file or directory, and put it into the repository if asked */
	const char	    *url;
	bool		     dir;
	bool		     install;
};

enum attempt_state { ATTEMPT_QUEUED, ATTEMPT_STAGING, ATTEMPT_RUNNING, ATTEMPT_COLLECTING, ATTEMPT_OK, ATTEMPT_FAILED, ATTEMPT_LOST };
const char *attempt_state_name(enum attempt_state);
bool attempt_state_from_name(const char *, size_t, enum attempt_state *);

struct exec_usage {
	int64_t queued, started, ended;	/* wall clock ns: request taken, spawn, last process gone */
	int64_t wall_ns;		/* spawn to last process gone, monotonic */
	int64_t cpu_ns;			/* user and system of the whole tree */
	uint64_t max_rss;		/* bytes; 0 unknown */
	struct resources admitted;
};
/*
 * FAILED is the command's own doing, and stands for this (try, retry). LOST says nothing about the
 * command and is never attached to: killed (CANCELED), worker or keeper gone (UNAVAILABLE), an input
 * changed meanwhile or a full disk (TEMPORARY), objects of inputs missing or damaged (NOT_EXIST; `missing` has them).
 */
struct exec_result {
	enum attempt_state state;	/* OK, FAILED, LOST */
	uint32_t	 attempt;	/* its number under the key */
	int		 status;	/* wait status of the command; -1 if it never ran */
	struct fileset	*fileset;	/* OK: one element per output. owned */
	struct err	*err;		/* FAILED, LOST: why. owned */
	struct fileset	*missing;	/* LOST: the inputs whose objects are not there, by their path; or NULL. owned */
	struct exec_usage usage;
	struct digest	 out, errlog;	/* objects of stdout and stderr; zero when empty */
	uint64_t	 out_size, err_size;
	char		*host;		/* owned or NULL */
	bool		 isolated;	/* ran behind the mount namespace */
	bool		 attached;	/* an attempt of before, not started by this put */
	struct digest	 owner;		/* the run whose put started the attempt: it is charged for the usage */
	struct digest	 exec;		/* of what the cache gives: the key of the exec that it is from; zero: not said */
};
void exec_result_release(struct exec_result *);
void exec_result_copy(struct exec_result *, const struct exec_result *);
/* The one document of a result: manifests and `ended` records are this map (or contain it). */
void exec_result_mpk(const struct exec_result *, struct mpk_w *);
must_check struct err *exec_result_from_mpk(const msgpack_object *, struct exec_result *);
/*
 * What of it is needed where it is used again, which is what assocs keep and a hit's record has: state, attempt, fileset,
 * logs, host and exec. How the attempt went is said by the records of the run that made it. Reading takes just these of
 * either form, in one pass; false: it is no such document.
 */
void exec_result_brief_mpk(const struct exec_result *, struct mpk_w *);
bool exec_result_scan(const void *, size_t, struct exec_result *);

struct exec_inspect {
	enum attempt_state state;
	uint32_t	   attempt;
	char		  *ident, *cmd, *dir;	/* owned */
	int64_t		   started;
};
void exec_inspect_release(struct exec_inspect *);

struct exec;
typedef void exec_result_cb(struct exec_result *, struct err *, void *arg);	/* result's parts become the callback's: release them */
typedef void exec_inspect_cb(struct exec_inspect *, struct err *, void *arg);	/* likewise */
typedef void exec_state_cb(enum attempt_state, void *arg);
enum exec_log { EXEC_STDOUT, EXEC_STDERR };

struct exec_ops {
	/* Completes when the exec is over and its outputs are in the repository (promoted). */
	struct op *(*wait)(struct exec *, exec_result_cb *, void *arg);
	struct op *(*inspect)(struct exec *, exec_inspect_cb *, void *arg);
	/* The bytes so far or, with follow, until the exec ends. */
	struct op *(*logs)(struct exec *, enum exec_log, bool follow, void (*cb)(struct source *, struct err *, void *), void *arg);
	void (*kill)(struct exec *);	/* detach; the last subscriber's detach kills. No answer: wait tells */
	void (*free)(struct exec *);	/* drops the handle; the attempt goes on */
};
struct exec {
	const struct exec_ops *ops;
	struct digest	       key;
	/* Optional, set by the owner before the loop turns: state changes as they are reported. */
	exec_state_cb	      *on_state;
	void		      *on_state_arg;
};
struct op *exec_wait(struct exec *, exec_result_cb *, void *arg);
struct op *exec_inspect_start(struct exec *, exec_inspect_cb *, void *arg);
struct op *exec_logs(struct exec *, enum exec_log, bool follow, void (*cb)(struct source *, struct err *, void *), void *arg);
void exec_kill(struct exec *);
void exec_free(struct exec *);		/* NULL is fine */

#endif
