/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_TESTS_IFACE_FAKE_ASSOC_H
#define WEIR_TESTS_IFACE_FAKE_ASSOC_H

#include "iface/assoc.h"
#include "tests/iface/fake.h"

/* An assoc in memory. Calls: assoc-get, assoc-put. */
struct assoc *fake_assoc_new(struct fake *);	/* keeps it */
/* At once; length 0 deletes. */
void fake_assoc_set(struct assoc *, enum assoc_kind, const struct digest *key, const void *, size_t);
bool fake_assoc_has(struct assoc *, enum assoc_kind, const struct digest *key);
size_t fake_assoc_count(struct assoc *);

#endif
