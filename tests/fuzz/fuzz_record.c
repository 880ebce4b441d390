/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "run/knowledge.h"
#include "run/state.h"

/*
 * Records of a journal behind their frames. A State that is read is written the same, and read again;
 * whatever a record says of execs, a run may learn from it, and learns it once.
 */

static void
encode(const struct run_state *s, struct buf *out)
{
	struct mpk_w w;

	mpk_w_init(&w, out);
	state_mpk(s, &w);
}

static void
check_state(const struct run_state *s)
{
	struct buf once = BUF_INIT, twice = BUF_INIT, text = BUF_INIT;
	struct run_state again;
	struct mpk_doc doc;
	struct err *err;

	encode(s, &once);
	err = mpk_parse(&doc, once.p, once.len);
	must(err == NULL);
	err = state_from_mpk(mpk_root(&doc), &again);
	must(err == NULL);
	encode(&again, &twice);
	must(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
	must(state_try(s) == state_try(&again));
	state_str(s, &text);
	must(text.len > 0);
	state_release(&again);
	mpk_doc_release(&doc);
	buf_release(&once);
	buf_release(&twice);
	buf_release(&text);
}

static void
check_exec(const struct exec_record *x)
{
	must(x->event <= XEV_HIT && exec_event_name(x->event) != NULL);
	for (size_t i = 0; i < x->components.n; i++)
		must(x->components.v[i].name != NULL);
}

/* A run that finds the same record twice has learned nothing more. */
static void
check_knowledge(const struct record_head *h, const uint8_t *data, size_t n)
{
	struct run_record r[2] = { { .head = *h, .payload = (char *)(uintptr_t)data, .len = n } };
	struct resources one = RESOURCES_INIT, two = RESOURCES_INIT;
	struct run_knowledge *k;

	r[1] = r[0];
	k = run_knowledge_new(&h->run, r, 1);
	run_knowledge_total(k, &one);
	run_knowledge_free(k);
	k = run_knowledge_new(&h->run, r, 2);
	run_knowledge_total(k, &two);
	run_knowledge_free(k);
	must(resources_equal(&one, &two));
	resources_release(&one);
	resources_release(&two);
}

static void
check_document(const msgpack_object *o, const uint8_t *data, size_t n)
{
	struct record_head h;
	struct exec_record x;
	struct run_state s;
	struct err *err = record_head(o, &h);

	if (err != NULL) {
		err_free(err);
		return;
	}
	must(record_kind_name(h.kind) != NULL);
	err = record_as_state(o, &s);
	if (err == NULL) {
		check_state(&s);
		state_release(&s);
	}
	err_free(err);
	err = record_as_exec(o, &x);
	if (err == NULL) {
		check_exec(&x);
		exec_record_release(&x);
	}
	err_free(err);
	check_knowledge(&h, data, n);
}

/* What an assoc gives, and what its hit's record keeps of it: read, written and read again it stays the same. */
static void
check_brief(const uint8_t *data, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct exec_result r, again;
	struct mpk_w w;

	if (!exec_result_scan(data, n, &r))
		return;
	mpk_w_init(&w, &once);
	exec_result_brief_mpk(&r, &w);
	must(exec_result_scan(once.p, once.len, &again));
	mpk_w_init(&w, &twice);
	exec_result_brief_mpk(&again, &w);
	must(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
	exec_result_release(&r);
	exec_result_release(&again);
	buf_release(&once);
	buf_release(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct record_peek peek;
	struct mpk_doc doc;
	struct err *err = mpk_parse(&doc, data, n);

	if (record_peek((const char *)data, n, &peek))
		must(peek.head.kind <= REC_NOTE && (!peek.is_exec || peek.event <= XEV_HIT));
	if (err == NULL) {
		check_document(mpk_root(&doc), data, n);
		mpk_doc_release(&doc);
	}
	err_free(err);
	check_brief(data, n);
	return 0;
}
