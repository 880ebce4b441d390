/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_RUN_FOLLOW_H
#define WEIR_RUN_FOLLOW_H

#include "run/rundb.h"

/*
 * Follows a live run of another controller through its journal, until it is Done or its controller is
 * gone. An operation. record is called for each new record, in order; entry is its last known form.
 */
typedef void follow_record_cb(const struct run_record *, void *arg);
typedef void follow_cb(const struct run_entry *, struct err *, void *arg);	/* borrowed */
struct op *follow_start(struct loop *, const struct root *, const struct digest *run, follow_record_cb *, follow_cb *,
    void *arg);

#endif
