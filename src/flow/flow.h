/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_FLOW_FLOW_H
#define WEIR_FLOW_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/requirements.h"
#include "flow/value.h"

/*
 * The graph of a run: nodes interned by digest, so equal computations are one node. Nodes live in the
 * graph's arena and die with it. The language creates nodes and never looks at their state; the
 * evaluator owns the fields below its line.
 *
 * Values of nodes: exec: file or dir for one output, else a tuple in declared order; intern: file or
 * dir; data: file; k: whatever the continuation gives (if that is a flow, the node waits for it and
 * takes its value); val: its constant; extern: unit.
 *
 * Three digests:
 *  - digest: identity inside the run (interning). A local intern counts by its path.
 *  - lkey, the logical key: inputs by the keys that make them; a local intern counts by its content,
 *    so lkey is known only when all local interns below are resolved.
 *  - pkey, the physical key of an exec: inputs by content; known when its inputs are.
 */
enum flow_op { FLOW_EXEC, FLOW_INTERN, FLOW_EXTERN, FLOW_K, FLOW_VAL, FLOW_DATA, FLOW_REQUIREMENTS };

struct src_pos {		/* where in the program; name kept by the compilation's arena, which outlives the graph */
	const char *name;
	int	    line, col;
};

/* Exec: the command with holes. Hole i is arg i. */
struct flow_arg {
	bool	    out;	/* an output */
	uint32_t    index;	/* of deps (input) or of outs (output) */
	const char *name;	/* the source text of the interpolation, for people; may be NULL */
};
struct flow_out {
	const char *name;
	bool	    dir;
};
struct flow_exec {
	const char	 *image;	/* "host", "host:TAG", or a container image */
	const char	 *image_digest;	/* resolved, or NULL */
	const char	 *cmd;		/* printf-like: %s is a hole, %% a percent sign */
	struct flow_arg	 *args;		/* in the order of the holes */
	uint32_t	  nargs, nouts;
	struct flow_out	 *outs;		/* in declared order */
	const char *const *env;		/* declared environment, NAME=VALUE, sorted; NULL terminated, or NULL */
	struct resources  resources;	/* asked for; not part of any key */
	bool		  nondeterministic;
};

/* Continuations: refcounted, re-callable, never blocking. */
struct cont;
struct graph;
struct cont_ops {
	const char *name;
	bool	    strict;	/* what it gives is strict, or a flow that gives such: flow_force adds nothing */
	/*
	 * in: values of the deps, borrowed. Gives *out: a value, delayed parts allowed. It is called in a slice, and where it
	 * takes long it breathes; when it is to give up, what it gives does not matter.
	 */
	struct err *(*call)(struct cont *, struct graph *, struct value *const *in, size_t n, struct value **out);
	void (*free)(struct cont *);
};
struct cont {
	unsigned refs;
	const struct cont_ops *ops;
};
void cont_unref(struct cont *);

/* The evaluator's states of a node. Only ever grows. */
enum flow_state {
	FLOW_INIT,	/* nobody has asked for it */
	FLOW_KEYS,	/* waits until its logical key is known: local interns below are being resolved */
	FLOW_LOOKUP,	/* asks the assoc by logical key */
	FLOW_DEPS,	/* waits for npending deps */
	FLOW_PLOOKUP,	/* asks the assoc by physical key */
	FLOW_READY,	/* in the hands of sched, waiting for resources */
	FLOW_RUNNING,	/* the executor has it */
	FLOW_COMMIT,	/* result in; waits until its record is durable */
	FLOW_FORKED,	/* k: waits for the flow that the continuation gave */
	FLOW_DONE,	/* value or err is set */
};

struct flow_edge {		/* dependents, pushed when the node is done or gets its logical key */
	struct flow	 *node;
	struct flow_edge *next;
};

/* Where a node comes from; shared by those that come from there. */
struct flow_place {
	const char     *ident;		/* `align.Bam`, or NULL */
	struct src_pos	pos;
};

/* There may be millions: fields stand in an order that leaves no holes. */
struct flow {
	enum flow_op	 op : 8;

	/* The evaluator's, up to nkeys. */
	uint8_t		 state;		/* enum flow_state */
	uint16_t	 flags;		/* private to src/eval */
	bool		 has_lkey : 1, has_pkey : 1, cached : 1;
	bool		 mark : 1;	/* scratch for walks; false between them */
	bool		 queued : 1;	/* in a queue of the evaluator, through next */
	bool		 dirty : 1;	/* an extern is below: not to be looked up with NoCacheExtern */
	uint32_t	 npending;	/* deps not done, while in FLOW_DEPS */
	uint32_t	 nkeys;		/* deps and captured without logical key, while in FLOW_KEYS */

	uint32_t	 ndeps;
	/*
	 * K, VAL: nodes that the code or value merely mentions. They are not run for it, but they are part of what it
	 * is: lkey covers their lkeys as well, so FLOW_KEYS waits for ndeps + ncaptured.
	 */
	uint32_t	 ncaptured;
	struct flow	**deps;		/* ndeps whose values it needs, then ncaptured */
	struct digest	 digest;
	union {
		/* form: shared by nodes that differ in cmd alone, and has none. See flow_exec_of. */
		struct { const struct flow_exec *form; const char *cmd; } exec;
		struct { const char *url; bool dir; } intern;	/* also extern */
		struct { struct cont *cont; struct digest *own; } k;	/* cont owned: released with the graph */
		struct { struct value *value; } val;		/* owned likewise */
		struct { const char *p; size_t len; } data;
		struct { struct requirements *req; } req;	/* deps[0] is passed through */
	} u;
	const struct flow_place *place;	/* never NULL */

	/* The evaluator's. */
	struct digest	 lkey;
	union {				/* by op: look at neither of another's */
		struct digest pkey;	/* exec, when has_pkey */
		struct flow  *forked;	/* k, from FLOW_FORKED on; or NULL */
	};
	struct flow_edge *on_done, *on_key;	/* in the arena */
	struct value	*value;		/* owned; released with the graph */
	struct err	*err;		/* owned; released with the graph */
	struct flow	*next;		/* of the evaluator's queue it is in, or NULL */
};

struct graph_config {
	const char *universe;	/* namespace of all keys, "" by default */
};
struct graph *graph_new(const struct graph_config *);	/* copies the config */
void graph_free(struct graph *);			/* releases every node's value, error and continuation */
struct arena *graph_arena(struct graph *);
const char *graph_universe(const struct graph *);
size_t graph_nnodes(const struct graph *);
size_t graph_nedges(const struct graph *);
/*
 * All nodes, in parts: looks at n places of the table from *at on, and moves *at; false when there are no more. A node
 * that is made meanwhile may be missed, and one may be met twice when the table has grown: then it begins anew.
 */
struct graph_walk {
	size_t at, size;	/* zeroed: from the beginning */
};
typedef void graph_node_cb(struct flow *, void *arg);
bool graph_walk(struct graph *, struct graph_walk *, size_t n, graph_node_cb *, void *arg);

/*
 * Making nodes: each gives a node of the graph, an existing one when the digest is known. Strings and
 * arrays are copied into the arena; ident and pos of the first one made stay.
 */
struct flow *flow_exec(struct graph *, const struct flow_exec *, struct flow *const *deps, size_t ndeps, const char *ident,
    const struct src_pos *);
struct flow_exec flow_exec_of(const struct flow *);	/* all of it; borrows the node's parts */
struct flow *flow_intern(struct graph *, const char *url, bool dir, const char *ident, const struct src_pos *);
struct flow *flow_extern(struct graph *, const char *url, struct flow *dep, const char *ident, const struct src_pos *);
/*
 * own: digest of the operation and of all its immediate operands, with positions; never of a node. Takes the
 * continuation. captured: what its code may come to use; see struct flow.
 */
struct flow *flow_k(struct graph *, const struct digest *own, struct flow *const *deps, size_t ndeps,
    struct flow *const *captured, size_t ncaptured, struct cont *, const char *ident, const struct src_pos *);
struct flow *flow_val(struct graph *, struct value *);	/* takes; an open value captures its delayed parts */
struct flow *flow_data(struct graph *, const void *, size_t, const char *ident, const struct src_pos *);
struct flow *flow_requirements(struct graph *, const struct requirements *, struct flow *dep);
/* A delayed or partly delayed value as one flow whose value is strict: value_subst in a continuation. Takes. */
struct flow *flow_force(struct graph *, struct value *);
/* Is the value that the node will have known to be strict? */
bool flow_gives_strict(const struct flow *);

const char *flow_op_name(enum flow_op);
const char *flow_state_name(enum flow_state);
bool flow_is_local_intern(const struct flow *);	/* a path, without scheme or file:// */
/* Requirements of the flow under root, as the reference's flow.Requirements; each node once, without recursion. */
void flow_requirements_of(struct flow *root, struct requirements *);

/*
 * Keys. An exec's key covers namespace, image, resolved image digest, command text, each argument
 * (kind, position, digest), each output (kind, position) and the declared environment; not resources.
 * in[i] is the digest that stands for dep i: lkeys give the logical key, value digests the physical one.
 */
enum key_domain { KEY_LOGICAL, KEY_PHYSICAL };
void flow_exec_key(const char *universe, enum key_domain, const struct flow_exec *, const struct digest *in, struct digest *out);
/*
 * The logical key of any node from the logical keys of its deps and captured nodes, in that order (an intern that is
 * resolved: from its value).
 */
void flow_logical_key(const char *universe, const struct flow *, const struct digest *in, struct digest *out);

/* The parts of a physical key, by name, for `why`: "image", "cmd", "env", "universe", "arg[0] reads", … */
struct key_component {
	char	     *name;	/* owned */
	struct digest digest;
};
struct key_components {
	struct key_component *v;
	size_t		      n;
};
void flow_exec_components(const char *universe, const struct flow_exec *, const struct digest *in, struct key_components *out);
void key_components_release(struct key_components *);

#endif
