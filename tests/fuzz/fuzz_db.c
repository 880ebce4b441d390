/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/xalloc.h"
#include "store/db_proto.h"

/*
 * Packets to and from the writer of the databases: what is taken lies inside the packet, keeps the
 * limits, and is written again as the same bytes.
 */

static void
request(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data;
	struct buf again = BUF_INIT;
	struct db_req r;
	struct err *err = db_req_decode(data, n, &r);

	if (err) {
		err_free(err);
		return;
	}
	must(r.klen >= 1 && r.klen <= DB_KEY_MAX && r.vlen <= DB_VALUE_MAX && r.sub < DB_NSUBS);
	must((const char *)r.key >= p && (const char *)r.key + r.klen <= p + n);
	must(db_req_by_fd(&r) == (r.value == NULL));
	must(!r.value || (const char *)r.value + r.vlen == p + n);
	db_req_encode(&r, &again);
	must(again.len == n && memcmp(again.p, p, n) == 0);
	buf_release(&again);
}

static void
reply(const uint8_t *data, size_t n)
{
	struct db_reply r;
	struct err *err = db_reply_decode(data, n, &r);

	if (err) {
		err_free(err);
		return;
	}
	must((r.err == NULL) == (n == DB_REPLY));
	err_free(r.err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	request(data, n);
	reply(data, n);
	return 0;
}
