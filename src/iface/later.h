/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_IFACE_LATER_H
#define WEIR_IFACE_LATER_H

#include "loop/op.h"

/*
 * An operation whose outcome is known at its start: for implementations that answer from memory. On
 * the next turn it is released, then run(data) is called, once; cancelled before, drop(data) is.
 * Both take data. name is static text.
 */
struct op *later_start(struct loop *, const char *name, void (*run)(void *data), void (*drop)(void *data), void *data);

/* The commonest: an error (or NULL) for a callback of the form (err, arg). Takes err. */
typedef void later_done_cb(struct err *, void *arg);
struct op *later_done(struct loop *, const char *name, struct err *, later_done_cb *, void *arg);

#endif
