/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/xalloc.h"
#include "iface/alloc.h"

/* What a snapshot says of its alloc: whatever is read can be written, and then reads as itself. */

static void
write_inspect(const struct alloc_inspect *i, struct buf *out)
{
	struct mpk_w w;

	mpk_w_init(&w, out);
	alloc_inspect_mpk(i, &w);
}

static bool
read_inspect(const void *data, size_t n, struct alloc_inspect *i)
{
	struct mpk_doc doc;
	struct err *err = mpk_parse(&doc, data, n);
	bool ok;

	if (!err) {
		err = alloc_inspect_from_mpk(mpk_root(&doc), i);
		mpk_doc_release(&doc);
	}
	ok = !err;
	err_free(err);
	return ok;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct alloc_inspect first = { .id = NULL }, second = { .id = NULL };
	struct buf one = BUF_INIT, two = BUF_INIT;

	if (!read_inspect(data, n, &first))
		return 0;
	write_inspect(&first, &one);
	must(read_inspect(one.p, one.len, &second));
	write_inspect(&second, &two);
	must(one.len == two.len && memcmp(one.p, two.p, one.len) == 0);
	alloc_inspect_release(&first);
	alloc_inspect_release(&second);
	buf_release(&one);
	buf_release(&two);
	return 0;
}
