/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_ASSOC_H
#define WEIR_IFACE_ASSOC_H

#include "base/digest.h"
#include "loop/op.h"

/*
 * The assoc remembers what a key gave. Values are short documents (msgpack): for ASSOC_FILESET the
 * result of an exec in brief (iface/exec.h); the objects it names are durable before the entry is.
 */
enum assoc_kind {		/* never renumber: on disk */
	ASSOC_FILESET = 0,	/* key (logical or physical) -> result */
	ASSOC_EXEC_INSPECT = 1,
	ASSOC_LOGS = 2,
	ASSOC_BUNDLE = 3,
	ASSOC_SEEN = 4,		/* key of a result's files -> stamps of the repository in which they were seen */
};
struct assoc;
typedef void assoc_get_cb(const void *value, size_t len, struct err *, void *arg);	/* value is borrowed; NOT_EXIST if absent */
typedef void assoc_done_cb(struct err *, void *arg);	/* called when the entry is committed */

struct assoc_ops {
	/*
	 * Optional: what get would say, where no wait is needed to know it. False: it is, ask with get. The value is
	 * borrowed until the loop's turn ends or the assoc is called again; NULL: absent.
	 */
	bool (*peek)(struct assoc *, enum assoc_kind, const struct digest *key, const void **value, size_t *len);
	struct op *(*get)(struct assoc *, enum assoc_kind, const struct digest *key, assoc_get_cb *, void *arg);
	/* Unconditional; copies the value; len 0 deletes. */
	struct op *(*put)(struct assoc *, enum assoc_kind, const struct digest *key, const void *value, size_t len, assoc_done_cb *,
	    void *arg);
	void (*free)(struct assoc *);
	/* Puts may be kept for a moment, to be sent together. Somebody waits for them now. May be NULL. */
	void (*hurry)(struct assoc *);
};
struct assoc {
	const struct assoc_ops *ops;
	struct loop	       *loop;	/* kept */
};
bool assoc_peek(struct assoc *, enum assoc_kind, const struct digest *key, const void **value, size_t *len);
struct op *assoc_get(struct assoc *, enum assoc_kind, const struct digest *key, assoc_get_cb *, void *arg);
struct op *assoc_put(struct assoc *, enum assoc_kind, const struct digest *key, const void *value, size_t len, assoc_done_cb *,
    void *arg);
void assoc_hurry(struct assoc *);
void assoc_free(struct assoc *);

#endif
