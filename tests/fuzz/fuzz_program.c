/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lang/program.h"

/*
 * Programs beyond the parser: any text is refused with a message or is checked, and what was checked
 * becomes a graph or an error with a position. Twice over: the same text gives the same graph.
 */

static struct err *
instantiate(struct program *p, struct digest *d)
{
	struct param_set none = { NULL, 0, NULL, 0 };
	struct graph *g = graph_new(NULL);
	struct value *v = NULL;
	struct err *err = program_instantiate(p, g, "/", &none, &v);

	must((err == NULL) == (v != NULL));
	if (v != NULL)
		value_digest(v, d);
	value_unref(v);
	graph_free(g);
	return err;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct sources *s = sources_new();
	const struct source_text *src;
	struct program *program = NULL;
	struct buf diag = BUF_INIT;
	struct digest a = { { 0 } }, b = { { 0 } };
	struct err *err = sources_add(s, "fuzz.rf", (const char *)p, n, &src), *again;

	if (err != NULL) {
		err_free(err);
		sources_free(s);
		return 0;
	}
	err = program_open("fuzz.rf", s, &diag, &program);
	must((err == NULL) == (program != NULL));
	must(err == NULL || diag.len > 0);
	if (program != NULL) {
		program_usage(program, &diag);
		err = instantiate(program, &a);
		again = instantiate(program, &b);
		must((err == NULL) == (again == NULL));
		must(digest_equal(&a, &b));
		err_free(again);
	}
	err_free(err);
	program_free(program);
	buf_release(&diag);
	return 0;
}
