/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_REQUIREMENTS_H
#define WEIR_BASE_REQUIREMENTS_H

#include <stdbool.h>

#include "base/resources.h"

/*
 * What a flow asks of a cluster: min is what its hungriest exec needs, width says how often min would
 * be welcome beyond the first (0: exactly once). Source: grailbio/reflow executor.go.
 */
struct requirements {
	struct resources min;
	int		 width;
};
#define REQUIREMENTS_INIT { RESOURCES_INIT, 0 }

void requirements_release(struct requirements *);
void requirements_copy(struct requirements *dst, const struct requirements *src);	/* dst is released first */
bool requirements_wide(const struct requirements *);
void requirements_max(const struct requirements *, struct resources *out);	/* min * (1 + width) */
void requirements_add(struct requirements *, const struct requirements *);	/* min by label, widths summed */
void requirements_add_serial(struct requirements *, const struct resources *);
void requirements_add_parallel(struct requirements *, const struct resources *);	/* onto nothing: no width */
bool requirements_equal(const struct requirements *, const struct requirements *);
void requirements_str(const struct requirements *, struct buf *);	/* min, then `#W` when W > 1 */

#endif
