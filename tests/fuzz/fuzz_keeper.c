/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "executor/proto.h"

/*
 * The keeper's protocol: requests, reports and manifests from foreign bytes. A request that decodes has
 * safe paths and a command whose holes all exist, and says the same when it is encoded and decoded again.
 */

static void
check_path(const char *path)
{
	must(path[0] != '\0' && path[0] != '/');
	for (const char *p = path; *p != '\0'; p++)
		must(!(p[0] == '.' && p[1] == '.' && (p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0')));
}

static void
check_request(const uint8_t *data, size_t n)
{
	struct buf once = BUF_INIT, twice = BUF_INIT, cmd = BUF_INIT;
	struct request r, again;
	struct err *err = request_decode(data, n, &r);

	if (err == NULL) {
		must(strncmp(r.from.name, "c-", 2) == 0 && strchr(r.from.name, '/') == NULL);
		for (size_t i = 0; i < r.config.ninputs; i++)
			check_path(r.config.inputs[i].path);
		if (r.config.type == EXEC_COMMAND)
			command_fill(&r.config, "/tmp/.weir", &cmd);
		request_encode(&r.config, &r.from, &once);
		err = request_decode(once.p, once.len, &again);
		must(err == NULL);
		request_encode(&again.config, &again.from, &twice);
		must(once.len == twice.len && memcmp(once.p, twice.p, once.len) == 0);
		request_release(&again);
	}
	err_free(err);
	request_release(&r);
	buf_release(&once);
	buf_release(&twice);
	buf_release(&cmd);
}

static void
check_report(const uint8_t *data, size_t n)
{
	struct mpk_doc doc;
	struct report r;
	struct err *err = mpk_parse(&doc, data, n);

	if (err == NULL) {
		err = report_decode(mpk_root(&doc), &r);
		if (err == NULL)
			report_release(&r);
		mpk_doc_release(&doc);
	}
	err_free(err);
}

static void
check_manifest(const uint8_t *data, size_t n)
{
	struct buf again = BUF_INIT;
	struct manifest m, back;
	struct err *err = manifest_decode(data, n, &m);

	if (err == NULL) {
		manifest_encode(&m, &again);
		err = manifest_decode(again.p, again.len, &back);
		must(err == NULL && back.result.state == m.result.state && back.result.attempt == m.result.attempt);
		manifest_release(&back);
		manifest_release(&m);
	}
	err_free(err);
	buf_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	check_request(data, n);
	check_report(data, n);
	check_manifest(data, n);
	return 0;
}
