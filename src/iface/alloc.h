/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_ALLOC_H
#define WEIR_IFACE_ALLOC_H

#include "base/requirements.h"
#include "iface/executor.h"

/* Labels: name to value, sorted by name. */
struct label {
	char *name, *value;	/* owned */
};
struct labels {
	struct label *v;
	size_t	      n;
};
void labels_set(struct labels *, const char *name, const char *value);
const char *labels_get(const struct labels *, const char *name);
void labels_copy(struct labels *dst, const struct labels *src);
void labels_release(struct labels *);

struct alloc_meta {
	struct resources want;
	char		*owner;		/* owned; `Full Name <user>` or `<unknown>` */
	struct labels	 labels;
};
struct alloc_inspect {
	char		 *id;		/* owned; `poolid/allocid` for State, see alloc_uri */
	struct resources  resources;
	struct alloc_meta meta;
	int64_t		  created, last_keepalive, expires;	/* wall clock ns */
};
void alloc_meta_release(struct alloc_meta *);
void alloc_meta_copy(struct alloc_meta *, const struct alloc_meta *);
void alloc_inspect_release(struct alloc_inspect *);
void alloc_inspect_copy(struct alloc_inspect *, const struct alloc_inspect *);
void alloc_inspect_mpk(const struct alloc_inspect *, struct mpk_w *);	/* ID, Resources, Meta, Created, LastKeepalive, Expires */
must_check struct err *alloc_inspect_from_mpk(const msgpack_object *, struct alloc_inspect *);

/*
 * An alloc: resources held on a pool under a lease, and the executor over them. It lives only while
 * it is kept alive; a lost lease loses the alloc, never the run.
 */
struct alloc;
typedef void alloc_keepalive_cb(int64_t granted_ns, struct err *, void *arg);
typedef void alloc_inspect_cb(struct alloc_inspect *, struct err *, void *arg);	/* parts become the callback's */
typedef void alloc_done_cb(struct err *, void *arg);
struct alloc_ops {
	/* The interval is a hint; call again before the granted time is over. 0: expires at once. */
	struct op *(*keepalive)(struct alloc *, int64_t interval_ns, alloc_keepalive_cb *, void *arg);
	struct op *(*inspect)(struct alloc *, alloc_inspect_cb *, void *arg);
	struct op *(*free_alloc)(struct alloc *, alloc_done_cb *, void *arg);	/* ends its tasks; repeated calls are harmless */
	struct executor *(*executor)(struct alloc *);	/* borrowed */
	void (*drop)(struct alloc *);			/* frees the handle; the alloc lives on */
};
struct alloc {
	const struct alloc_ops *ops;
	struct loop	       *loop;	/* kept */
	char		       *uri;	/* owned: poolid/allocid */
	struct resources	resources;	/* what it holds */
	/*
	 * Set by a pool elsewhere: at the end of its lease it is gone, so who holds it stops acting on it by then. Until
	 * when that is, as far as is known: monotonic, counted from when it was asked for; 0: unknown.
	 */
	bool			lapses;
	int64_t			granted_until;
};
struct op *alloc_keepalive(struct alloc *, int64_t interval_ns, alloc_keepalive_cb *, void *arg);
struct op *alloc_inspect_start(struct alloc *, alloc_inspect_cb *, void *arg);
struct op *alloc_free_start(struct alloc *, alloc_done_cb *, void *arg);
struct executor *alloc_executor(struct alloc *);
void alloc_drop(struct alloc *);	/* NULL is fine */

#endif
