/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lang/parse.h"
#include "lang/print.h"

/*
 * Programs: any bytes are refused with a message or parse; what parses prints to text that parses to
 * the same tree and prints the same.
 */

static void
check_again(struct sources *s, struct arena *a, const struct module *m)
{
	struct diags diags = DIAGS_INIT;
	struct buf one = BUF_INIT, two = BUF_INIT;
	const struct source_text *src;
	struct module *again;
	struct err *err;

	print_module(&one, m);
	err = sources_add(s, "<again>", buf_str(&one), one.len, &src);
	if (err == NULL) {	/* printing may outgrow the limit of a source */
		again = parse_module(a, src, &diags);
		must(again != NULL);
		must(module_equal(m, again));
		print_module(&two, again);
		must(one.len == two.len && memcmp(buf_str(&one), buf_str(&two), one.len) == 0);
	}
	err_free(err);
	buf_release(&one);
	buf_release(&two);
	diags_release(&diags);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct sources *s = sources_new();
	struct arena *a = arena_new();
	struct diags diags = DIAGS_INIT;
	struct buf out = BUF_INIT;
	const struct source_text *src;
	struct err *err = sources_add(s, "<fuzz>", (const char *)p, n, &src);
	struct module *m;

	if (err == NULL) {
		m = parse_module(a, src, &diags);
		must((m == NULL) == (diags_errors(&diags) > 0));
		if (m != NULL)
			check_again(s, a, m);
		diags_print(&diags, DIAG_CARETS, &out);
		parse_expr(a, src, &diags);
		parse_type(a, src, &diags);
		parse_pat(a, src, &diags);
	}
	err_free(err);
	buf_release(&out);
	diags_release(&diags);
	arena_free(a);
	sources_free(s);
	return 0;
}
