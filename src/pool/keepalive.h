/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_POOL_KEEPALIVE_H
#define WEIR_POOL_KEEPALIVE_H

#include "iface/alloc.h"

/*
 * Keeps an alloc alive: asks for two minutes, again before what was granted is over, and tries a
 * failed call a few times with growing pauses. It goes on until it is cancelled, or until the lease
 * cannot be had any more, or is over where that is the end of the alloc (alloc.lapses): its callback
 * comes only with an error.
 */
typedef void keepalive_cb(struct err *, void *arg);	/* never NULL; takes it */
struct op *keepalive_start(struct alloc *, keepalive_cb *, void *arg);	/* keeps the alloc */

#endif
