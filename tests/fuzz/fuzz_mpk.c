/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/json.h"
#include "base/mpk.h"
#include "base/resources.h"

/*
 * msgpack: a document that parses can be written again, and then stays as it is; and every reader of
 * ours can be given it, whatever it expects.
 */

static int
pack_cb(void *out, const char *p, size_t n)
{
	buf_add(out, p, n);
	return 0;
}

static void
pack(struct buf *out, const msgpack_object *o)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, pack_cb);
	must(msgpack_pack_object(&pk, *o) == 0);
}

static void
rewrites(const msgpack_object *o)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct mpk_doc d;

	pack(&once, o);
	must(!mpk_parse(&d, once.p, once.len));
	pack(&twice, mpk_root(&d));
	must(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
	mpk_doc_release(&d);
	buf_release(&once);
	buf_release(&twice);
}

/* What reads as an error is written so that it reads as the same error. */
static void
reads_as_error(const msgpack_object *o)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct err *err = mpk_as_err(o), *again;
	struct mpk_doc d;
	struct mpk_w w;

	mpk_w_init(&w, &once);
	mpk_err(&w, err);
	must(!mpk_parse(&d, once.p, once.len));
	again = mpk_as_err(mpk_root(&d));
	mpk_w_init(&w, &twice);
	mpk_err(&w, again);
	must(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
	mpk_doc_release(&d);
	err_free(err);
	err_free(again);
	buf_release(&once);
	buf_release(&twice);
}

static void
reads_as_fields(const msgpack_object *o)
{
	static const char *const keys[] = { "seq", "time", "run", "cpu", "" };
	struct digest digest;
	const char *s;
	size_t len;
	uint64_t u;
	int64_t i;
	double f;
	bool flag;

	for (size_t k = 0; k < nitems(keys); k++) {
		mpk_get_str(o, keys[k], &s, &len);
		mpk_get_u64(o, keys[k], &u);
		mpk_get_i64(o, keys[k], &i);
		mpk_get_double(o, keys[k], &f);
		mpk_get_bool(o, keys[k], &flag);
		mpk_get_digest(o, keys[k], &digest);
		mpk_get_time(o, keys[k], &i);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct resources r = RESOURCES_INIT;
	struct buf text = BUF_INIT;
	struct mpk_doc d;
	struct err *err = mpk_parse(&d, data, n);
	json_t *json;

	if (err) {
		must(err_is(err, ERR_INVALID));
		err_free(err);
		return 0;
	}
	rewrites(mpk_root(&d));
	reads_as_error(mpk_root(&d));
	reads_as_fields(mpk_root(&d));
	resources_from_mpk(&r, mpk_root(&d));
	resources_str(&r, &text);
	json = json_from_mpk(mpk_root(&d));
	must(json);
	json_dump_buf(json, &text);
	must(text.len > 0);
	json_decref(json);
	resources_release(&r);
	buf_release(&text);
	mpk_doc_release(&d);
	return 0;
}
