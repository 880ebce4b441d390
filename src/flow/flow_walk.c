/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/flow.h"

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/xalloc.h"

/*
 * What can be said of nodes without running them. Walks use an explicit stack and the nodes' mark, which
 * they leave as they found it: false.
 */

const char *
flow_op_name(enum flow_op op)
{
	static const char *const names[] = {
		[FLOW_EXEC] = "exec", [FLOW_INTERN] = "intern", [FLOW_EXTERN] = "extern", [FLOW_K] = "k",
		[FLOW_VAL] = "val", [FLOW_DATA] = "data", [FLOW_REQUIREMENTS] = "requirements",
	};

	return names[op];
}

const char *
flow_state_name(enum flow_state state)
{
	static const char *const names[] = {
		[FLOW_INIT] = "init", [FLOW_KEYS] = "keys", [FLOW_LOOKUP] = "lookup", [FLOW_DEPS] = "deps",
		[FLOW_PLOOKUP] = "plookup", [FLOW_READY] = "ready", [FLOW_RUNNING] = "running",
		[FLOW_COMMIT] = "commit", [FLOW_FORKED] = "forked", [FLOW_DONE] = "done",
	};

	return names[state];
}

bool
flow_is_local_intern(const struct flow *f)
{
	const char *url = f->u.intern.url;

	return f->op == FLOW_INTERN && (strncmp(url, "file://", 7) == 0 || strstr(url, "://") == NULL);
}

struct walk {
	struct flow **v;	/* visited, in order; those from `done` on are still to be looked at */
	size_t	      n, cap, done;
};

static void
walk_push(struct walk *w, struct flow *f)
{
	if (f->mark)
		return;
	f->mark = true;
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 64;
		w->v = xreallocarray(w->v, w->cap, sizeof(struct flow *));
	}
	w->v[w->n++] = f;
}

void
flow_requirements_of(struct flow *root, struct requirements *out)
{
	struct walk w = { NULL, 0, 0, 0 };

	requirements_release(out);
	walk_push(&w, root);
	while (w.done < w.n) {
		struct flow *f = w.v[w.done++];

		if (f->op == FLOW_EXEC)
			requirements_add_serial(out, &f->u.exec.form->resources);
		else if (f->op == FLOW_REQUIREMENTS)
			requirements_add(out, f->u.req.req);
		for (uint32_t i = 0; i < f->ndeps; i++) {
			walk_push(&w, f->deps[i]);
			slice_breathe(1);
		}
	}
	for (size_t i = 0; i < w.n; i++) {
		w.v[i]->mark = false;
		slice_breathe(1);
	}
	free(w.v);
}
