/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_JSON_H
#define WEIR_BASE_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/mpk.h"

/* JSON is jansson; here stand only the few conversions that every reader and writer shares. */
json_t *json_text(const char *, size_t);			/* gives a string; what is not UTF-8 becomes U+FFFD */
json_t *json_digest(const struct digest *);		/* gives "sha256:…", or null for zero */
bool	json_as_digest(const json_t *, struct digest *);	/* empty, null and "<zero>" read as zero */
/* Gives the reference's form {Op, Arg, Kind, Cause, Error}, plus Msg where we have a message; NULL: null. */
json_t *json_err(const struct err *);
struct err *json_as_err(const json_t *);		/* gives; null gives NULL */
json_t *json_time(int64_t ns);				/* gives RFC 3339 with nanoseconds, UTC */
json_t *json_from_mpk(const msgpack_object *);		/* gives; bin of 32: digest text, other: hex; RFC 3339 */
void	json_dump_buf(const json_t *, struct buf *);	/* compact, keys in the order given */

#endif
