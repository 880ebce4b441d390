/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_BASE_MPK_H
#define WEIR_BASE_MPK_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

/*
 * msgpack (msgpack.org, specification with timestamp extension -1): a writer onto a buf and a
 * reader with checked access, on msgpack-c. Reading never trusts: wrong types read as absent.
 */
struct mpk_w {
	struct buf *out;	/* kept */
};
void mpk_w_init(struct mpk_w *, struct buf *out);
void mpk_map(struct mpk_w *, size_t n);
void mpk_array(struct mpk_w *, size_t n);
void mpk_strn(struct mpk_w *, const char *, size_t);
/* Names of fields are short and known to the compiler, and there are more of them than of anything else. */
static inline void
mpk_key(struct mpk_w *w, const char *key)
{
	size_t n = strlen(key);
	struct buf *b = w->out;

	if (n >= 32) {
		mpk_strn(w, key, n);
		return;
	}
	buf_reserve(b, n + 1);
	b->p[b->len] = (char)(0xa0 | n);
	memcpy(b->p + b->len + 1, key, n + 1);
	b->len += n + 1;
}
void mpk_nil(struct mpk_w *);
void mpk_bool(struct mpk_w *, bool);
void mpk_u64(struct mpk_w *, uint64_t);
void mpk_i64(struct mpk_w *, int64_t);
void mpk_double(struct mpk_w *, double);
void mpk_str(struct mpk_w *, const char *);		/* NULL writes nil */
void mpk_bin(struct mpk_w *, const void *, size_t);
void mpk_raw(struct mpk_w *, const void *, size_t);	/* one object, written before */
void mpk_digest(struct mpk_w *, const struct digest *);	/* bin 32; NULL or zero writes nil */
void mpk_time(struct mpk_w *, int64_t ns);		/* wall clock, ns since 1970; timestamp ext -1 */

/* A parsed document; strings and bins borrow from it, it has its own copy of the bytes. At most 30 containers deep. */
struct mpk_doc {
	msgpack_zone  *zone;	/* owned; holds all of it */
	msgpack_object root;
};
must_check struct err *mpk_parse(struct mpk_doc *, const void *, size_t);	/* one object, else ERR_INVALID */
void mpk_doc_release(struct mpk_doc *);
const msgpack_object *mpk_root(const struct mpk_doc *);

const msgpack_object *mpk_get(const msgpack_object *map, const char *key);	/* NULL if absent, or no map */
bool mpk_get_str(const msgpack_object *map, const char *key, const char **, size_t *);
char *mpk_get_strdup(const msgpack_object *map, const char *key);		/* gives, NULL if absent */
bool mpk_get_u64(const msgpack_object *map, const char *key, uint64_t *);
bool mpk_get_i64(const msgpack_object *map, const char *key, int64_t *);
bool mpk_get_double(const msgpack_object *map, const char *key, double *);	/* accepts integers */
bool mpk_get_bool(const msgpack_object *map, const char *key, bool *);
bool mpk_get_digest(const msgpack_object *map, const char *key, struct digest *);	/* zero is none, as it is written */
bool mpk_get_time(const msgpack_object *map, const char *key, int64_t *ns);
/* The same of an object at hand, such as an array's element; NULL reads as absent. */
bool  mpk_as_time(const msgpack_object *, int64_t *ns);
bool  mpk_as_double(const msgpack_object *, double *);
bool  mpk_as_digest(const msgpack_object *, struct digest *);
char *mpk_as_strdup(const msgpack_object *);			/* gives, NULL if no string */

/*
 * One error as a msgpack map, near the reference's JSON form: Op (str or nil), Arg (array of one str, or nil),
 * Kind (name), Error (our message or nil), Cause (such a map or nil). Reads back as it was; a chain of more than
 * ten causes keeps its text and first kind.
 */
void	    mpk_err(struct mpk_w *, const struct err *);	/* NULL writes nil */
struct err *mpk_as_err(const msgpack_object *);			/* gives; nil or NULL gives NULL */

#endif
