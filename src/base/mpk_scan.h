/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_MPK_SCAN_H
#define WEIR_BASE_MPK_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

/*
 * A msgpack map read in place, pair by pair, without memory of its own: for whoever wants a few fields
 * of very many documents. Everything else reads with mpk.h.
 *
 *	struct mpk_scan s;
 *	struct mpk_slice key, value;
 *
 *	if (mpk_scan_map(&s, p, n))
 *		while (mpk_scan_next(&s, &key, &value))
 *			if (mpk_slice_is(&key, "seq"))
 *				mpk_slice_u64(&value, &seq);
 */
struct mpk_scan {
	const unsigned char *p, *end;
	uint64_t	     left;	/* pairs */
};
struct mpk_slice {		/* one whole object, borrowed */
	const unsigned char *p, *end;
};
bool mpk_scan_map(struct mpk_scan *, const void *, size_t);	/* false: no map */
/* False: the end, or no msgpack. */
bool mpk_scan_next(struct mpk_scan *, struct mpk_slice *key, struct mpk_slice *value);

/*
 * For whoever wants all of a document, in one pass: what stands at p, which then is behind it. False, and nothing moved,
 * when it is something else. A count is never more than the bytes that follow.
 */
bool mpk_take_map(struct mpk_scan *, uint64_t *npairs);
bool mpk_take_array(struct mpk_scan *, uint64_t *n);
bool mpk_take_str(struct mpk_scan *, const char **, size_t *);
bool mpk_take_digest(struct mpk_scan *, struct digest *);	/* bin of 32 bytes, whatever they are */
bool mpk_take_u64(struct mpk_scan *, uint64_t *);
bool mpk_take_nil(struct mpk_scan *);
bool mpk_take_any(struct mpk_scan *);				/* one whole object, not too deep */

/* False, and nothing written, when the type is another. */
bool mpk_slice_is(const struct mpk_slice *, const char *text);
bool mpk_slice_str(const struct mpk_slice *, const char **, size_t *);
bool mpk_slice_u64(const struct mpk_slice *, uint64_t *);
bool mpk_slice_digest(const struct mpk_slice *, struct digest *);
bool mpk_slice_time(const struct mpk_slice *, int64_t *ns);

/* Of a timestamp's two parts; false if ns since 1970 cannot hold it. */
bool mpk_time_ns(int64_t sec, uint64_t nsec, int64_t *ns);
bool mpk_whole(const void *, size_t);	/* exactly one object, complete and not too deep */

#endif
