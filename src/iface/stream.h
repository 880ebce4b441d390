/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_STREAM_H
#define WEIR_IFACE_STREAM_H

#include "loop/op.h"

/*
 * A pulled stream of bytes. Whoever reads sets the pace: one read at a time, slices of at most
 * SLICE_MAX, so no reader can be flooded and no callback is long.
 */
#define SLICE_MAX (256u << 10)

struct source;
/* data is borrowed during the call; len 0 is the end. On an error (taken by the callback) data is NULL. */
typedef void source_read_cb(const void *data, size_t len, struct err *err, void *arg);
struct source_ops {
	struct op *(*read)(struct source *, source_read_cb *, void *arg);
	void (*close)(struct source *);		/* frees; any read was cancelled before */
};
struct source {
	const struct source_ops *ops;
};
struct op *source_read(struct source *, source_read_cb *, void *arg);
void source_close(struct source *);		/* NULL is fine */
struct source *source_from_bytes(struct loop *, const void *, size_t);	/* gives; copies */

#endif
